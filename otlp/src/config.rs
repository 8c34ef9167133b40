//! What can be chosen, and whether it is sound.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use http::uri::{Scheme, Uri};
use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;
use thiserror::Error;

/// More spans than this cannot be meant to wait: they would take a gigabyte.
const MAX_QUEUE: usize = 1 << 20;
/// Where a collector takes traces over HTTP.
const HTTP_PATH: &str = "/v1/traces";

/// Where spans go, which of them, and how many may wait.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct OtlpConfig {
    /// The collector: `http://` or `https://`, a host and a port. Over HTTP a URL without a path gets
    /// `/v1/traces`; any other path is taken as it is.
    pub endpoint: String,
    /// Default: HTTP, as OpenTelemetry recommends.
    pub protocol: Protocol,
    /// Headers of each request, such as the key of an account. Default: none.
    pub headers: Vec<(String, String)>,
    /// PEM file of the authority that signed the collector's certificate. Default: those of the
    /// system.
    pub ca: Option<PathBuf>,
    /// Default: none.
    pub compression: Compression,
    /// How long one batch may take, all tries together. Default: 10 s.
    pub timeout: Duration,
    /// Which part of all traces is sent, from 0 to 1. Default: 1.
    pub sample_ratio: f64,
    /// Whether a trace that began elsewhere is sampled as it was decided there. Otherwise the ratio
    /// decides here too, which is of use where nobody shall make a node send spans from outside.
    /// Default: true.
    pub parent_based: bool,
    /// The name of the program, which is the attribute `service.name` if nothing else says it.
    pub program: String,
    /// The attribute `service.name`. Default: that of [`resource`](Self::resource).
    pub service_name: Option<String>,
    /// Further attributes of the process, such as `deployment.environment.name`; later ones win.
    /// Default: none.
    pub resource: Vec<(String, String)>,
    /// Spans that may wait to be sent. Default: 2048.
    pub queue: usize,
    /// Spans of one request. Default: 512.
    pub batch: usize,
    /// How long a span may wait for others to be sent with it. Default: 5 s.
    pub delay: Duration,
}

/// How a collector is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// `grpc`; collectors listen on port 4317.
    Grpc,
    /// `http/protobuf`; collectors listen on port 4318.
    HttpProtobuf,
}

/// How requests are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// `gzip`
    Gzip,
    /// `none`
    None,
}

/// Why spans cannot be sent with a configuration; one line.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OtlpError {
    /// The authority's file cannot be used.
    #[error("otlp_ca: {}: {problem}", path.display())]
    Authority {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// An option is wrong.
    #[error("{option}: {problem}")]
    Option {
        /// Its name, as in [`Given::option`](crate::Given::option).
        option: &'static str,
        /// What is wrong with it.
        problem: String,
    },
}

impl OtlpError {
    pub(crate) fn option(option: &'static str, problem: impl Into<String>) -> Self {
        let problem = problem.into();
        Self::Option { option, problem }
    }
}

impl OtlpConfig {
    /// The defaults, for this program and collector.
    pub fn new(program: impl Into<String>, endpoint: impl Into<String>) -> Self {
        Self {
            program: program.into(),
            endpoint: endpoint.into(),
            protocol: Protocol::HttpProtobuf,
            headers: Vec::new(),
            ca: None,
            compression: Compression::None,
            timeout: Duration::from_secs(10),
            sample_ratio: 1.0,
            parent_based: true,
            service_name: None,
            resource: Vec::new(),
            queue: 2048,
            batch: 512,
            delay: Duration::from_secs(5),
        }
    }

    /// What each value alone cannot tell, and what is not checked elsewhere.
    pub(crate) fn check(&self) -> Result<(), OtlpError> {
        if !(0.0..=1.0).contains(&self.sample_ratio) {
            return Err(OtlpError::option(
                "trace_sample_ratio",
                "must be from 0 to 1",
            ));
        }
        if !(1..=MAX_QUEUE).contains(&self.queue) {
            let problem = format!("must be from 1 to {MAX_QUEUE}");
            return Err(OtlpError::option("trace_queue", problem));
        }
        if !(1..=self.queue).contains(&self.batch) {
            let problem = "must be from 1 to trace_queue";
            return Err(OtlpError::option("trace_batch", problem));
        }
        for (option, duration) in [("otlp_timeout", self.timeout), ("trace_delay", self.delay)] {
            if duration.is_zero() {
                return Err(OtlpError::option(option, "must be longer than 0"));
            }
        }
        Ok(())
    }

    /// Where requests go.
    pub(crate) fn uri(&self) -> Result<Uri, OtlpError> {
        let wrong = |problem: String| OtlpError::option("otlp_endpoint", problem);
        let uri: Uri = self
            .endpoint
            .parse()
            .map_err(|error| wrong(format!("{error}")))?;
        let known = [Some(&Scheme::HTTP), Some(&Scheme::HTTPS)];
        if !known.contains(&uri.scheme()) || uri.host().is_none_or(str::is_empty) {
            return Err(wrong(
                "expected a URL such as http://127.0.0.1:4318".to_owned(),
            ));
        }
        if self.protocol == Protocol::Grpc || uri.path() != "/" {
            return Ok(uri);
        }
        let mut parts = uri.into_parts();
        parts.path_and_query = Some(http::uri::PathAndQuery::from_static(HTTP_PATH));
        Uri::from_parts(parts).map_err(|error| wrong(format!("{error}")))
    }

    /// The headers of each request.
    pub(crate) fn header_map(&self) -> Result<HeaderMap, OtlpError> {
        let mut map = HeaderMap::new();
        for (name, value) in &self.headers {
            // Not the value: it may be a secret.
            let wrong = || OtlpError::option("otlp_headers", format!("{name}: not a header"));
            let key = HeaderName::from_str(name).map_err(|_| wrong())?;
            let mut value = HeaderValue::from_str(value).map_err(|_| wrong())?;
            value.set_sensitive(true);
            map.append(key, value);
        }
        Ok(map)
    }
}

impl FromStr for Protocol {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "grpc" => Ok(Self::Grpc),
            "http/protobuf" => Ok(Self::HttpProtobuf),
            _ => Err("expected one of grpc, http/protobuf".to_owned()),
        }
    }
}

impl FromStr for Compression {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "gzip" => Ok(Self::Gzip),
            "none" => Ok(Self::None),
            _ => Err("expected one of none, gzip".to_owned()),
        }
    }
}

/// Reads `name=value`, as headers and attributes are written: blanks around both are left out, and
/// the value may be percent-encoded.
///
/// # Errors
///
/// There is no `=`, no name, or the value is not UTF-8. The text, which may hold a secret, is not
/// part of the error.
pub fn pair(text: &str) -> Result<(String, String), String> {
    let expected = || "expected name=value".to_owned();
    let (name, value) = text.split_once('=').ok_or_else(expected)?;
    let name = name.trim();
    if name.is_empty() {
        return Err(expected());
    }
    let value = percent_decode_str(value.trim()).decode_utf8();
    let value = value.map_err(|_| format!("{name}: not UTF-8"))?;
    Ok((name.to_owned(), value.into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(endpoint: &str, protocol: Protocol) -> Result<String, String> {
        let mut config = OtlpConfig::new("p", endpoint);
        config.protocol = protocol;
        let uri = config.uri().map_err(|error| error.to_string())?;
        Ok(uri.to_string())
    }

    #[test]
    fn a_path_is_added_only_where_there_is_none() {
        let http = |endpoint| uri(endpoint, Protocol::HttpProtobuf);
        for without in ["http://h:4318", "http://h:4318/"] {
            assert_eq!(http(without), Ok("http://h:4318/v1/traces".to_owned()));
        }
        for with in ["https://h/v1/traces", "http://h/api/otlp?key=1"] {
            assert_eq!(http(with), Ok(with.to_owned()));
        }
        let grpc = uri("http://h:4317", Protocol::Grpc);
        assert_eq!(grpc, Ok("http://h:4317/".to_owned()));
    }

    #[test]
    fn other_endpoints_are_refused() {
        for wrong in [
            "",
            "h:4317",
            "h",
            "ftp://h",
            "http://",
            "http:///v1",
            "unix:///x",
            "http://a b",
        ] {
            for protocol in [Protocol::Grpc, Protocol::HttpProtobuf] {
                let error = uri(wrong, protocol).expect_err(wrong);
                assert!(error.starts_with("otlp_endpoint: "), "{error}");
                assert!(!error.contains('\n'), "{error}");
            }
        }
    }

    #[test]
    fn limits_are_checked() {
        assert!(OtlpConfig::new("p", "").check().is_ok());
        type Change = fn(&mut OtlpConfig);
        let wrong: [(&str, Change); 8] = [
            ("trace_sample_ratio", |config| config.sample_ratio = 1.1),
            ("trace_sample_ratio", |config| config.sample_ratio = -0.1),
            ("trace_sample_ratio", |config| {
                config.sample_ratio = f64::NAN
            }),
            ("trace_queue", |config| config.queue = 0),
            ("trace_queue", |config| config.queue = usize::MAX),
            ("trace_batch", |config| config.batch = 0),
            ("trace_batch", |config| config.batch = 2049),
            ("trace_delay", |config| config.delay = Duration::ZERO),
        ];
        for (option, change) in wrong {
            let mut config = OtlpConfig::new("p", "http://h");
            change(&mut config);
            let error = config.check().expect_err(option).to_string();
            assert!(error.starts_with(option), "{error}");
        }
    }

    #[test]
    fn pairs_are_decoded_and_headers_checked() {
        let read = |text| pair(text).ok();
        let expected = Some(("a".to_owned(), "b=c, d".to_owned()));
        assert_eq!(read(" a = b=c%2C%20d "), expected);
        assert_eq!(read("a="), Some(("a".to_owned(), String::new())));
        for wrong in ["", "a", "=b", "a=%ff"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
        let mut config = OtlpConfig::new("p", "http://h");
        config.headers = vec![("x-key".to_owned(), "secret".to_owned())];
        let map = config.header_map().expect("a header");
        assert!(!format!("{map:?}").contains("secret"));
        for (name, value) in [("x key", "v"), ("x", "sec\nret")] {
            config.headers = vec![(name.to_owned(), value.to_owned())];
            let error = config.header_map().expect_err(name).to_string();
            assert!(!error.contains("ret"), "{error}");
        }
    }
}
