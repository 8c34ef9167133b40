//! The demo's page, compiled into the binary so that a node is one file.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderMap, IF_NONE_MATCH,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;

macro_rules! file {
    ($name:literal, $content_type:expr) => {
        (
            concat!("/", $name),
            $content_type,
            include_str!(concat!("../../page/", $name)),
        )
    };
}

const CSS: &str = "text/css; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

const INDEX: &str = include_str!("../../page/index.html");
/// Path, media type and content of everything beside the index.
const FILES: &[(&str, &str, &str)] = &[
    file!("style.css", CSS),
    file!("app.js", JAVASCRIPT),
    file!("chat.js", JAVASCRIPT),
    file!("client.js", JAVASCRIPT),
    file!("connection.js", JAVASCRIPT),
    file!("engine.js", JAVASCRIPT),
    file!("image.js", JAVASCRIPT),
    file!("message.js", JAVASCRIPT),
    file!("favicon.svg", "image/svg+xml"),
];

/// How the page names the Socket.IO path; replaced when another one is configured.
const DEFAULT_PATH: &str = r#"content="/socket.io/""#;

/// The page shows what others published, so nothing but its own files may run in it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self' blob: data:; connect-src 'self' ws: wss:; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The files of the page with their validators.
#[derive(Debug)]
pub(crate) struct Page {
    files: Vec<File>,
}

#[derive(Debug)]
struct File {
    path: &'static str,
    content_type: &'static str,
    etag: HeaderValue,
    body: Bytes,
}

impl Page {
    /// The page for a node whose Socket.IO endpoint is at `socketio_path` (with its final slash, if
    /// it has one).
    pub(crate) fn new(socketio_path: &str) -> Self {
        let escaped = socketio_path.replace('&', "&amp;").replace('"', "&quot;");
        let index = INDEX.replace(DEFAULT_PATH, &format!("content=\"{escaped}\""));
        let files = FILES
            .iter()
            .map(|&(path, content_type, text)| {
                (path, content_type, Bytes::from_static(text.as_bytes()))
            })
            .chain([("/", HTML, Bytes::from(index))])
            .map(|(path, content_type, body)| File {
                path,
                content_type,
                etag: etag(&body),
                body,
            });
        Self {
            files: files.collect(),
        }
    }

    /// The answer to a GET of `path`, if it is one of the page's files.
    pub(crate) fn get(&self, path: &str, request: &HeaderMap) -> Option<Response<Full<Bytes>>> {
        if path == "/favicon.ico" {
            // Browsers ask for it unasked; the page names the other one.
            let mut response = Response::new(Full::default());
            *response.status_mut() = StatusCode::NO_CONTENT;
            return Some(response);
        }
        let path = if path == "/index.html" { "/" } else { path };
        let file = self.files.iter().find(|file| file.path == path)?;
        let mut response = if is_current(request, &file.etag) {
            let mut response = Response::new(Full::default());
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            response
        } else {
            Response::new(Full::new(file.body.clone()))
        };
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(file.content_type));
        headers.insert(ETAG, file.etag.clone());
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        Some(response)
    }
}

fn is_current(request: &HeaderMap, etag: &HeaderValue) -> bool {
    let known = request.get_all(IF_NONE_MATCH).iter();
    let mut known = known
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    known.any(|tag| {
        let tag = tag.trim();
        tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag
    })
}

/// Changes when the content does; nothing more is asked of it.
fn etag(body: &[u8]) -> HeaderValue {
    let mut hasher = DefaultHasher::new();
    body.hash(&mut hasher);
    let text = format!("\"{:016x}\"", hasher.finish());
    // Quotes and hexadecimal digits are visible ASCII; the fallback only makes the tag useless.
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("\"0\""))
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    async fn body(response: Response<Full<Bytes>>) -> String {
        let Ok(body) = response.into_body().collect().await;
        String::from_utf8(body.to_bytes().to_vec()).expect("text")
    }

    #[tokio::test]
    async fn the_path_is_written_into_the_page() {
        assert!(
            INDEX.contains(DEFAULT_PATH),
            "index.html must name the path"
        );
        let page = Page::new("/chat\"&/");
        let index = page.get("/", &HeaderMap::new()).expect("index");
        assert!(body(index).await.contains("content=\"/chat&quot;&amp;/\""));
    }

    #[tokio::test]
    async fn a_known_file_is_not_sent_again() {
        let page = Page::new("/socket.io/");
        let first = page.get("/app.js", &HeaderMap::new()).expect("file");
        assert_eq!(
            first.headers()[CONTENT_TYPE],
            "text/javascript; charset=utf-8"
        );
        let mut request = HeaderMap::new();
        request.insert(IF_NONE_MATCH, first.headers()[ETAG].clone());
        let second = page.get("/app.js", &request).expect("file");
        assert_eq!(second.status(), StatusCode::NOT_MODIFIED);
        assert_eq!(body(second).await, "");
        assert_ne!(body(first).await, "");
        assert!(
            page.get("/style.css", &request)
                .expect("file")
                .status()
                .is_success()
        );
    }

    #[test]
    fn every_file_that_is_named_is_served() {
        let named = |text: &'static str| {
            let names = text.split(['"', '\'', '`']);
            names.filter(|name| {
                [".js", ".css", ".svg"]
                    .iter()
                    .any(|end| name.ends_with(end))
            })
        };
        let texts = FILES.iter().map(|(_, _, text)| *text).chain([INDEX]);
        let found: Vec<&str> = texts.flat_map(named).collect();
        assert!(found.len() >= 4, "{found:?}");
        for name in found {
            let path = format!("/{}", name.trim_start_matches("./"));
            assert!(FILES.iter().any(|(known, _, _)| *known == path), "{name}");
        }
    }

    #[test]
    fn nothing_comes_from_elsewhere() {
        for (path, _, text) in FILES.iter().chain([&("/", "", INDEX)]) {
            for source in [
                "src=\"http",
                "href=\"http",
                "src=\"//",
                "href=\"//",
                "@import",
                "url(http",
                "from \"http",
            ] {
                assert!(!text.contains(source), "{path} contains {source}");
            }
        }
        // The policy would block these.
        assert!(!INDEX.contains("<script>") && !INDEX.contains("style=\""));
    }
}
