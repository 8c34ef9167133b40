//! Serves the official client bundles out of an installed `socket.io-client` package.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::{fmt, fs, io};

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

use super::compression::{self, Encoding, STATIC};

/// The files that Node's server gives out; each has a source map beside it.
const BUNDLES: [&str; 4] = [
    "socket.io.js",
    "socket.io.min.js",
    "socket.io.esm.min.js",
    "socket.io.msgpack.min.js",
];

/// Why [`ClientFiles::load`] failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientFilesError {
    /// The folder holds none of the bundles.
    #[error("no client bundle (socket.io.js and the like) in {}", .0.display())]
    NoBundle(PathBuf),
    /// A file could not be read.
    #[error("cannot read {}", .0.display())]
    Read(PathBuf, #[source] io::Error),
    /// The `package.json` beside the folder names no version.
    #[error("no version in {}", .0.display())]
    Version(PathBuf),
}

/// The client bundles, in memory: `socket.io.js`, `.min.js`, `.esm.min.js`, `.msgpack.min.js` and their source maps.
///
/// Answers carry the package's version as `ETag`, and are compressed once per coding.
#[derive(Clone)]
pub struct ClientFiles {
    inner: Arc<Inner>,
}

struct Inner {
    version: String,
    etag: HeaderValue,
    files: Vec<File>,
}

struct File {
    name: String,
    body: Bytes,
    /// One slot per coding, in the order of [`STATIC`]; filled at first use.
    encoded: [OnceLock<Bytes>; STATIC.len()],
}

impl ClientFiles {
    /// Reads the bundles from `dir`, the `dist` folder of a `socket.io-client` package; its version comes from the
    /// `package.json` next to it. Files that the package does not have are not served.
    ///
    /// # Errors
    ///
    /// When the folder holds no bundle, or a file cannot be read.
    pub fn load(dir: impl AsRef<Path>) -> Result<Self, ClientFilesError> {
        let dir = dir.as_ref();
        let mut files = Vec::new();
        for name in BUNDLES
            .iter()
            .flat_map(|bundle| [(*bundle).to_owned(), format!("{bundle}.map")])
        {
            let path = dir.join(&name);
            match fs::read(&path) {
                Ok(body) => files.push(File {
                    name,
                    body: body.into(),
                    encoded: Default::default(),
                }),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(ClientFilesError::Read(path, error)),
            }
        }
        if files.is_empty() {
            return Err(ClientFilesError::NoBundle(dir.to_owned()));
        }
        let version = version(dir)?;
        let etag = HeaderValue::try_from(format!("\"{version}\""))
            .map_err(|_| ClientFilesError::Version(dir.to_owned()))?;
        Ok(Self {
            inner: Arc::new(Inner {
                version,
                etag,
                files,
            }),
        })
    }

    /// Version of the client package.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.inner.version
    }

    /// Answers a request for the file `name` (what follows the server's path), or `None` if it is no bundle.
    pub(crate) async fn answer(&self, name: &str, request: &HeaderMap) -> Option<Response<Bytes>> {
        let at = self.inner.files.iter().position(|file| file.name == name)?;
        let file = &self.inner.files[at];
        let etag = &self.inner.etag;
        if request
            .get_all(IF_NONE_MATCH)
            .iter()
            .any(|value| names(value, etag))
        {
            let mut answer = Response::new(Bytes::new());
            *answer.status_mut() = StatusCode::NOT_MODIFIED;
            answer.headers_mut().insert(ETAG, etag.clone());
            return Some(answer);
        }
        let encoding = compression::negotiate(request, &STATIC);
        let body = match encoding {
            Some(encoding) => self.encoded(at, encoding).await?,
            None => file.body.clone(),
        };
        let mut answer = Response::new(body);
        let headers = answer.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=0"));
        let content_type = if name.ends_with(".map") {
            "application/json; charset=utf-8"
        } else {
            "application/javascript; charset=utf-8"
        };
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert(ETAG, etag.clone());
        // `public` lets shared caches keep it, so they must know that it comes in several codings.
        headers.append(VARY, HeaderValue::from_static("Accept-Encoding"));
        if let Some(encoding) = encoding {
            headers.insert(CONTENT_ENCODING, encoding.header());
        }
        Some(answer)
    }

    /// The file `at` in `encoding`. Compressed off the runtime's threads, as the best levels take tens of milliseconds;
    /// two first requests at once may both do the work, the first result is kept.
    async fn encoded(&self, at: usize, encoding: Encoding) -> Option<Bytes> {
        let slot = STATIC.iter().position(|known| *known == encoding)?;
        if let Some(body) = self.inner.files[at].encoded[slot].get() {
            return Some(body.clone());
        }
        let inner = Arc::clone(&self.inner);
        let packed = tokio::task::spawn_blocking(move || {
            let file = &inner.files[at];
            let packed = encoding.compress_best(&file.body)?;
            Ok::<_, io::Error>(file.encoded[slot].get_or_init(|| packed).clone())
        });
        packed.await.ok()?.ok()
    }
}

impl fmt::Debug for ClientFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientFiles")
            .field("version", &self.inner.version)
            .field(
                "files",
                &self
                    .inner
                    .files
                    .iter()
                    .map(|file| &file.name)
                    .collect::<Vec<_>>(),
            )
            .finish()
    }
}

/// Whether an `If-None-Match` header names `etag`, weakly or not.
fn names(header: &HeaderValue, etag: &HeaderValue) -> bool {
    let (Ok(header), Ok(etag)) = (header.to_str(), etag.to_str()) else {
        return false;
    };
    header
        .split(',')
        .map(str::trim)
        .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

/// The version in the `package.json` of the package whose `dist` folder is `dir`.
fn version(dir: &Path) -> Result<String, ClientFilesError> {
    #[derive(serde::Deserialize)]
    struct Package {
        version: String,
    }
    // Not `dir.join("..")`: that would follow a symbolic link out of the package.
    let path = dir.parent().unwrap_or(dir).join("package.json");
    let text = fs::read(&path).map_err(|error| ClientFilesError::Read(path.clone(), error))?;
    let package: Package =
        serde_json::from_slice(&text).map_err(|_| ClientFilesError::Version(path))?;
    Ok(package.version)
}
