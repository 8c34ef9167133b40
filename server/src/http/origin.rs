//! Which web origins may open a session, on either transport.
//!
//! CORS alone does not protect WebSockets: a browser opens one to any host and sends its cookies along, and only the
//! server can refuse it (cross-site WebSocket hijacking). [`AllowedOrigins`] is that refusal.

use std::fmt;
use std::sync::Arc;

use http::HeaderMap;
use http::header::{HOST, ORIGIN};
use regex::Regex;

/// Origins whose pages may open sessions, by polling and by WebSocket.
///
/// A request without an `Origin` header does not come from a page of another site and is always accepted.
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum AllowedOrigins {
    /// No check, as in Node. The default.
    #[default]
    Any,
    /// Only pages of the server's own origin, as in python-socketio: `scheme://host` of the request, or of the
    /// `X-Forwarded-Proto` and `X-Forwarded-Host` headers that a proxy has set.
    SameOrigin,
    /// These origins.
    List(Vec<OriginMatch>),
    /// Origins for which the function says yes.
    Predicate(OriginPredicate),
}

impl AllowedOrigins {
    /// These origins, each exactly as a browser sends it: `https://example.com`.
    #[must_use]
    pub fn list<I, S>(origins: I) -> Self
    where
        I: IntoIterator<Item = S>,
        S: Into<OriginMatch>,
    {
        Self::List(origins.into_iter().map(Into::into).collect())
    }

    /// Origins for which `predicate` says yes.
    #[must_use]
    pub fn predicate(predicate: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        Self::Predicate(OriginPredicate::new(predicate))
    }

    /// Whether the request with these headers may go on.
    pub(crate) fn allows(&self, headers: &HeaderMap, secure: bool) -> bool {
        let Some(origin) = headers.get(ORIGIN) else {
            return true;
        };
        // An origin that is no text belongs to no list.
        let Ok(origin) = origin.to_str() else {
            return matches!(self, Self::Any);
        };
        match self {
            Self::Any => true,
            Self::SameOrigin => same_origin(origin, headers, secure),
            Self::List(list) => list.iter().any(|allowed| allowed.matches(origin)),
            Self::Predicate(predicate) => predicate.matches(origin),
        }
    }
}

impl fmt::Debug for AllowedOrigins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("Any"),
            Self::SameOrigin => f.write_str("SameOrigin"),
            Self::List(list) => f.debug_tuple("List").field(list).finish(),
            Self::Predicate(_) => f.write_str("Predicate(..)"),
        }
    }
}

/// One entry of a list of origins.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum OriginMatch {
    /// This origin.
    Exact(String),
    /// Origins in which the pattern occurs; anchor it with `^` and `$`.
    Pattern(Regex),
}

impl OriginMatch {
    pub(crate) fn matches(&self, origin: &str) -> bool {
        match self {
            Self::Exact(allowed) => allowed == origin,
            Self::Pattern(pattern) => pattern.is_match(origin),
        }
    }
}

impl From<&str> for OriginMatch {
    fn from(origin: &str) -> Self {
        Self::Exact(origin.to_owned())
    }
}

impl From<String> for OriginMatch {
    fn from(origin: String) -> Self {
        Self::Exact(origin)
    }
}

impl From<Regex> for OriginMatch {
    fn from(pattern: Regex) -> Self {
        Self::Pattern(pattern)
    }
}

/// A function that decides about an origin.
#[derive(Clone)]
pub struct OriginPredicate(Arc<dyn Fn(&str) -> bool + Send + Sync>);

impl OriginPredicate {
    /// Wraps `predicate`; it gets the value of the `Origin` header.
    #[must_use]
    pub fn new(predicate: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(predicate))
    }

    pub(crate) fn matches(&self, origin: &str) -> bool {
        (self.0)(origin)
    }
}

impl fmt::Debug for OriginPredicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OriginPredicate(..)")
    }
}

/// Whether `origin` is the server itself, as the client or the proxy in front of us addressed it.
fn same_origin(origin: &str, headers: &HeaderMap, secure: bool) -> bool {
    let first = |name: &str| {
        let value = headers.get(name)?.to_str().ok()?;
        Some(value.split(',').next().unwrap_or(value).trim())
    };
    let own_scheme = if secure { "https" } else { "http" };
    // HTTP/2 has no `Host` header field; hyper leaves the authority in the URI and the caller copies it.
    let Some(own_host) = first(HOST.as_str()) else {
        return false;
    };
    let is = |scheme: &str, host: &str| {
        origin
            .strip_prefix(scheme)
            .and_then(|rest| rest.strip_prefix("://"))
            .is_some_and(|rest| rest.eq_ignore_ascii_case(host))
    };
    if is(own_scheme, own_host) {
        return true;
    }
    let (proto, host) = (first("x-forwarded-proto"), first("x-forwarded-host"));
    (proto.is_some() || host.is_some()) && is(proto.unwrap_or(own_scheme), host.unwrap_or(own_host))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(list: &[(&'static str, &'static str)]) -> HeaderMap {
        list.iter()
            .map(|(name, value)| {
                (
                    http::HeaderName::from_static(name),
                    http::HeaderValue::from_static(value),
                )
            })
            .collect()
    }

    #[test]
    fn no_origin_is_always_accepted() {
        for rule in [
            AllowedOrigins::Any,
            AllowedOrigins::SameOrigin,
            AllowedOrigins::list(["http://a"]),
        ] {
            assert!(rule.allows(&headers(&[("host", "b")]), false));
        }
    }

    #[test]
    fn lists_patterns_and_predicates() {
        let from = |origin| headers(&[("origin", origin)]);
        let list = AllowedOrigins::list(["https://a.example"]);
        assert!(list.allows(&from("https://a.example"), false));
        assert!(!list.allows(&from("https://b.example"), false));
        assert!(!AllowedOrigins::List(Vec::new()).allows(&from("https://a.example"), false));
        let pattern = AllowedOrigins::list([Regex::new(r"^https://\w+\.example$").unwrap()]);
        assert!(pattern.allows(&from("https://b.example"), false));
        assert!(!pattern.allows(&from("https://b.example.evil.test"), false));
        let predicate = AllowedOrigins::predicate(|origin| origin.ends_with(":8080"));
        assert!(predicate.allows(&from("http://x:8080"), false));
        assert!(!predicate.allows(&from("http://x:8081"), false));
    }

    #[test]
    fn same_origin_knows_scheme_port_and_proxy() {
        let rule = AllowedOrigins::SameOrigin;
        let direct = |origin| headers(&[("host", "h:3000"), ("origin", origin)]);
        assert!(rule.allows(&direct("http://h:3000"), false));
        assert!(!rule.allows(&direct("http://h:3000"), true));
        assert!(rule.allows(&direct("https://h:3000"), true));
        assert!(!rule.allows(&direct("http://h"), false));
        assert!(!rule.allows(&direct("null"), false));
        let proxied = |origin| {
            headers(&[
                ("host", "h:3000"),
                ("x-forwarded-proto", "https, http"),
                ("x-forwarded-host", "site.example, h"),
                ("origin", origin),
            ])
        };
        assert!(rule.allows(&proxied("https://site.example"), false));
        assert!(rule.allows(&proxied("http://h:3000"), false));
        assert!(!rule.allows(&proxied("http://site.example"), false));
    }
}
