//! Cross-origin resource sharing, with the options and the behaviour of Node's `cors` package.

use std::time::Duration;

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::origin::{OriginMatch, OriginPredicate};

/// Which headers let pages of other origins read our answers.
///
/// Names and defaults are those of the `cors` option of Node's server. A foreign origin is not refused here, its
/// browser refuses to show it the answer; to refuse, and for WebSockets, use
/// [`AllowedOrigins`](super::AllowedOrigins).
///
/// ```
/// use socketio_server::{Cors, CorsOrigin};
///
/// let mut cors = Cors::default();
/// cors.origin = CorsOrigin::list(["https://app.example", "https://admin.example"]);
/// cors.credentials = true;
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Cors {
    /// Origins that get an `Access-Control-Allow-Origin`. Default [`CorsOrigin::Any`].
    pub origin: CorsOrigin,
    /// Methods named to a preflight request. Default `GET,HEAD,PUT,PATCH,POST,DELETE`.
    pub methods: Vec<String>,
    /// Headers named to a preflight request. Default: those that it asked for.
    pub allowed_headers: Option<Vec<String>>,
    /// Headers of our answers that a page may read. Default none.
    pub exposed_headers: Vec<String>,
    /// Allow cookies and authorization. Default `false`.
    pub credentials: bool,
    /// How long a browser may remember the answer to a preflight request. Default: its own choice.
    pub max_age: Option<Duration>,
    /// Let a preflight request go on after its headers were set instead of answering it. Default `false`.
    pub preflight_continue: bool,
    /// Status of the answer to a preflight request. Default 204.
    pub options_success_status: StatusCode,
}

impl Default for Cors {
    fn default() -> Self {
        Self {
            origin: CorsOrigin::Any,
            methods: ["GET", "HEAD", "PUT", "PATCH", "POST", "DELETE"]
                .map(str::to_owned)
                .into(),
            allowed_headers: None,
            exposed_headers: Vec::new(),
            credentials: false,
            max_age: None,
            preflight_continue: false,
            options_success_status: StatusCode::NO_CONTENT,
        }
    }
}

/// Value of the `origin` option of [`Cors`].
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum CorsOrigin {
    /// `*`: every origin.
    #[default]
    Any,
    /// The same origin in every answer, whoever asks.
    Fixed(String),
    /// The origin of the request, if it is one of these.
    List(Vec<OriginMatch>),
    /// The origin of the request, whatever it is (`origin: true` in Node).
    Mirror,
    /// The origin of the request, if the function says yes.
    Predicate(OriginPredicate),
}

impl CorsOrigin {
    /// The origin of the request, if it is one of `origins`.
    #[must_use]
    pub fn list<I, S>(origins: I) -> Self
    where
        I: IntoIterator<Item = S>,
        S: Into<OriginMatch>,
    {
        Self::List(origins.into_iter().map(Into::into).collect())
    }

    fn reflects(&self, origin: &str) -> bool {
        match self {
            Self::Any | Self::Fixed(_) => false,
            Self::List(list) => list.iter().any(|allowed| allowed.matches(origin)),
            Self::Mirror => true,
            Self::Predicate(predicate) => predicate.matches(origin),
        }
    }
}

impl Cors {
    /// Headers for the answer to an ordinary request (also a refused one, and the 101 of a WebSocket).
    pub(crate) fn headers(&self, request: &HeaderMap) -> HeaderMap {
        let mut headers = HeaderMap::new();
        self.set_origin(request, &mut headers);
        self.set_exposed(&mut headers);
        headers
    }

    /// Headers for the answer to an `OPTIONS` request.
    pub(crate) fn preflight_headers(&self, request: &HeaderMap) -> HeaderMap {
        let mut headers = HeaderMap::new();
        self.set_origin(request, &mut headers);
        set(
            &mut headers,
            ACCESS_CONTROL_ALLOW_METHODS,
            &self.methods.join(","),
        );
        match &self.allowed_headers {
            Some(allowed) => set(
                &mut headers,
                ACCESS_CONTROL_ALLOW_HEADERS,
                &allowed.join(","),
            ),
            None => {
                vary(&mut headers, "Access-Control-Request-Headers");
                if let Some(asked) = request.get(ACCESS_CONTROL_REQUEST_HEADERS) {
                    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
                }
            }
        }
        if let Some(age) = self.max_age {
            headers.insert(ACCESS_CONTROL_MAX_AGE, age.as_secs().into());
        }
        self.set_exposed(&mut headers);
        headers
    }

    fn set_origin(&self, request: &HeaderMap, headers: &mut HeaderMap) {
        match &self.origin {
            CorsOrigin::Any => {
                headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
            }
            CorsOrigin::Fixed(origin) => {
                set(headers, ACCESS_CONTROL_ALLOW_ORIGIN, origin);
                vary(headers, "Origin");
            }
            reflecting @ (CorsOrigin::List(_) | CorsOrigin::Mirror | CorsOrigin::Predicate(_)) => {
                if let Some(origin) = request.get(ORIGIN)
                    && origin.to_str().is_ok_and(|text| reflecting.reflects(text))
                {
                    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
                }
                // Also without a match: a cache must not give the answer of one origin to another.
                vary(headers, "Origin");
            }
        }
        if self.credentials {
            headers.insert(
                ACCESS_CONTROL_ALLOW_CREDENTIALS,
                HeaderValue::from_static("true"),
            );
        }
    }

    fn set_exposed(&self, headers: &mut HeaderMap) {
        if !self.exposed_headers.is_empty() {
            set(
                headers,
                ACCESS_CONTROL_EXPOSE_HEADERS,
                &self.exposed_headers.join(","),
            );
        }
    }
}

/// Sets a header from a configured text; one that cannot be a header value is left out.
fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// Adds a field to the one `Vary` header.
fn vary(headers: &mut HeaderMap, field: &'static str) {
    let value = match headers.get(VARY).and_then(|value| value.to_str().ok()) {
        Some(present) => HeaderValue::from_str(&format!("{present}, {field}")),
        None => Ok(HeaderValue::from_static(field)),
    };
    if let Ok(value) = value {
        headers.insert(VARY, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(origin: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(ORIGIN, HeaderValue::from_static(origin));
        headers
    }

    fn list(headers: &HeaderMap) -> Vec<(&str, &str)> {
        headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
            .collect()
    }

    #[test]
    fn any_origin_needs_no_vary() {
        assert_eq!(
            list(&Cors::default().headers(&request("http://a"))),
            [("access-control-allow-origin", "*")]
        );
        assert_eq!(
            list(&Cors::default().headers(&HeaderMap::new())),
            [("access-control-allow-origin", "*")]
        );
    }

    #[test]
    fn fixed_origin_is_the_same_for_everyone() {
        let cors = Cors {
            origin: CorsOrigin::Fixed("http://b".into()),
            ..Cors::default()
        };
        assert_eq!(
            list(&cors.headers(&request("http://a"))),
            [
                ("access-control-allow-origin", "http://b"),
                ("vary", "Origin")
            ]
        );
    }

    #[test]
    fn reflected_origin_always_varies() {
        let cors = Cors {
            origin: CorsOrigin::list(["http://a"]),
            credentials: true,
            ..Cors::default()
        };
        assert_eq!(
            list(&cors.headers(&request("http://a"))),
            [
                ("access-control-allow-origin", "http://a"),
                ("vary", "Origin"),
                ("access-control-allow-credentials", "true")
            ]
        );
        assert_eq!(
            list(&cors.headers(&request("http://c"))),
            [
                ("vary", "Origin"),
                ("access-control-allow-credentials", "true")
            ]
        );
        let mirror = Cors {
            origin: CorsOrigin::Mirror,
            ..Cors::default()
        };
        assert_eq!(
            list(&mirror.headers(&HeaderMap::new())),
            [("vary", "Origin")]
        );
    }

    #[test]
    fn preflight_names_methods_and_echoes_headers() {
        let mut asked = request("http://a");
        asked.insert(
            ACCESS_CONTROL_REQUEST_HEADERS,
            HeaderValue::from_static("x-one, x-two"),
        );
        assert_eq!(
            list(&Cors::default().preflight_headers(&asked)),
            [
                ("access-control-allow-origin", "*"),
                (
                    "access-control-allow-methods",
                    "GET,HEAD,PUT,PATCH,POST,DELETE"
                ),
                ("vary", "Access-Control-Request-Headers"),
                ("access-control-allow-headers", "x-one, x-two"),
            ]
        );
        let cors = Cors {
            origin: CorsOrigin::list([regex::Regex::new("^http://").unwrap()]),
            methods: vec!["GET".into(), "POST".into()],
            allowed_headers: Some(vec!["x-three".into()]),
            exposed_headers: vec!["x-four".into()],
            max_age: Some(Duration::from_secs(600)),
            ..Cors::default()
        };
        assert_eq!(
            list(&cors.preflight_headers(&asked)),
            [
                ("access-control-allow-origin", "http://a"),
                ("vary", "Origin"),
                ("access-control-allow-methods", "GET,POST"),
                ("access-control-allow-headers", "x-three"),
                ("access-control-max-age", "600"),
                ("access-control-expose-headers", "x-four"),
            ]
        );
        let both = Cors {
            origin: CorsOrigin::Mirror,
            ..Cors::default()
        }
        .preflight_headers(&asked);
        assert_eq!(
            both.get(VARY).unwrap(),
            "Origin, Access-Control-Request-Headers"
        );
    }
}
