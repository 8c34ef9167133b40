//! The cookie that a polling handshake may set, for balancers that keep a client on its node by one.

use std::fmt::Write as _;
use std::time::Duration;

use http::HeaderValue;

/// Attributes of the session cookie. It is set on the polling handshake's answer only, as in Node.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cookie {
    /// Name. Default `io`.
    pub name: String,
    /// `Path`. Default `/`; `None` drops the attribute.
    pub path: Option<String>,
    /// `HttpOnly`. Default `true`.
    pub http_only: bool,
    /// `SameSite`. Default lax.
    pub same_site: Option<SameSite>,
    /// `Max-Age`. Default none: the cookie lives as long as the browser.
    pub max_age: Option<Duration>,
    /// `Domain`. Default none: the host that was asked.
    pub domain: Option<String>,
    /// `Secure`. Default `false`.
    pub secure: bool,
    /// `Partitioned`. Default `false`.
    pub partitioned: bool,
}

/// Value of a cookie's `SameSite` attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SameSite {
    /// Sent with top-level navigations, too.
    Lax,
    /// Sent with every request; browsers also want [`Cookie::secure`].
    None,
    /// Sent with requests of the same site only.
    Strict,
}

impl Default for Cookie {
    fn default() -> Self {
        Self {
            name: "io".to_owned(),
            path: Some("/".to_owned()),
            http_only: true,
            same_site: Some(SameSite::Lax),
            max_age: None,
            domain: None,
            secure: false,
            partitioned: false,
        }
    }
}

impl Cookie {
    /// Value of the `Set-Cookie` header for the session `sid`, attributes in the order of Node's `cookie` package.
    ///
    /// `None` if the configured name, domain or path cannot stand in a header.
    pub(crate) fn header(&self, sid: &str) -> Option<HeaderValue> {
        let mut text = format!("{}={sid}", self.name);
        if let Some(age) = self.max_age {
            // Writing to a string cannot fail.
            let _ = write!(text, "; Max-Age={}", age.as_secs());
        }
        for (attribute, value) in [("Domain", &self.domain), ("Path", &self.path)] {
            if let Some(value) = value {
                let _ = write!(text, "; {attribute}={value}");
            }
        }
        for (attribute, set) in [
            ("HttpOnly", self.http_only),
            ("Secure", self.secure),
            ("Partitioned", self.partitioned),
        ] {
            if set {
                let _ = write!(text, "; {attribute}");
            }
        }
        if let Some(same_site) = self.same_site {
            let _ = write!(text, "; SameSite={same_site:?}");
        }
        HeaderValue::try_from(text).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_is_nodes() {
        assert_eq!(
            Cookie::default().header("abc").unwrap(),
            "io=abc; Path=/; HttpOnly; SameSite=Lax"
        );
    }

    #[test]
    fn every_attribute() {
        let cookie = Cookie {
            name: "route".into(),
            path: None,
            http_only: false,
            same_site: Some(SameSite::None),
            max_age: Some(Duration::from_secs(60)),
            domain: Some("example.com".into()),
            secure: true,
            partitioned: true,
        };
        assert_eq!(
            cookie.header("abc").unwrap(),
            "route=abc; Max-Age=60; Domain=example.com; Secure; Partitioned; SameSite=None"
        );
        assert_eq!(
            Cookie {
                name: "a\nb".into(),
                ..Cookie::default()
            }
            .header("abc"),
            None
        );
    }
}
