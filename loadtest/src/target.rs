//! Where the servers are.

use std::fmt;

use url::Url;

use crate::settings::without_password;

const SCHEMES: &str = "it must begin with http:// or https://";

/// A URL that is no target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{url}` is no target: {reason}")]
pub struct TargetError {
    url: String,
    reason: String,
}

/// One server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Whether it speaks TLS.
    pub tls: bool,
    /// Name or address, without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The path of the endpoint, as `/socket.io/`.
    pub path: String,
    /// A query of the URL, to be sent with each request; without `?`.
    pub query: Option<String>,
}

impl Target {
    /// Reads a URL; `ws` and `wss` mean `http` and `https`.
    ///
    /// # Errors
    ///
    /// When it is none, or of another scheme.
    pub fn parse(text: &str) -> Result<Self, TargetError> {
        let error = |reason: &str| TargetError {
            url: without_password(text),
            reason: reason.to_owned(),
        };
        let url = Url::parse(text).map_err(|cause| match cause {
            url::ParseError::RelativeUrlWithoutBase => error(SCHEMES),
            cause => error(&cause.to_string()),
        })?;
        let tls = match url.scheme() {
            "http" | "ws" => false,
            "https" | "wss" => true,
            _ => return Err(error(SCHEMES)),
        };
        // They would be in every report.
        if !url.username().is_empty() || url.password().is_some() {
            return Err(error(
                "names and passwords in a URL are not sent; write a --header, if it is a target of clients",
            ));
        }
        let host = url.host_str().filter(|host| !host.is_empty());
        let host = host.ok_or_else(|| error("it names no host"))?;
        let path = match url.path() {
            "" | "/" => "/socket.io/",
            path => path,
        };
        Ok(Self {
            tls,
            host: host.trim_matches(['[', ']']).to_owned(),
            port: url.port().unwrap_or(if tls { 443 } else { 80 }),
            path: path.to_owned(),
            // The URL's own rules escape the braces of places.
            query: url
                .query()
                .map(|query| query.replace("%7B", "{").replace("%7D", "}")),
        })
    }

    /// For the header `Host`.
    #[must_use]
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// Path and query of a request of Engine.IO 4; `query` comes first, if there is any.
    #[must_use]
    pub fn request(&self, query: Option<&str>, transport: &str, sid: Option<&str>) -> String {
        let mut out = format!("{}?", self.path);
        if let Some(query) = query {
            out.push_str(query);
            out.push('&');
        }
        out.push_str("EIO=4&transport=");
        out.push_str(transport);
        if let Some(sid) = sid {
            out.push_str("&sid=");
            out.extend(url::form_urlencoded::byte_serialize(sid.as_bytes()));
        }
        out
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority(), self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_become_targets() {
        for (url, shown) in [
            ("http://localhost:3000", "http://localhost:3000/socket.io/"),
            ("wss://example.com", "https://example.com:443/socket.io/"),
            ("http://[::1]:80/my/path/", "http://[::1]:80/my/path/"),
        ] {
            assert_eq!(
                Target::parse(url).map(|target| target.to_string()),
                Ok(shown.to_owned())
            );
        }
        let target = Target::parse("http://h/?token=a").expect("valid");
        assert_eq!(
            target.request(target.query.as_deref(), "polling", Some("a/b")),
            "/socket.io/?token=a&EIO=4&transport=polling&sid=a%2Fb"
        );
    }

    #[test]
    fn others_are_refused_in_one_line() {
        for url in [
            "",
            "localhost:3000",
            "ftp://h",
            "http://",
            "http://h:99999",
            "127.0.0.1",
            "127.0.0.1:3000",
        ] {
            let error = Target::parse(url).expect_err(url).to_string();
            assert!(error.contains(url) && !error.contains('\n'), "{error}");
        }
        let error = Target::parse("127.0.0.1:3000").expect_err("no scheme");
        assert!(error.to_string().contains("http://"), "{error}");
    }

    #[test]
    fn passwords_are_refused_and_not_repeated() {
        for url in [
            "http://me:secret@h",
            "http://secret@h/?a",
            "https://:secret@h:1",
        ] {
            let error = Target::parse(url).expect_err(url).to_string();
            assert!(
                error.contains("--header") && !error.contains("secret"),
                "{error}"
            );
        }
    }
}
