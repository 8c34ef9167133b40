//! Content negotiation and compression of answers.

use std::io::{self, Write as _};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use http::header::{ACCEPT_ENCODING, HeaderMap, HeaderValue};

/// When answers to polls are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HttpCompression {
    /// Bytes from which on an answer is compressed. Default 1024.
    pub threshold: usize,
}

impl Default for HttpCompression {
    fn default() -> Self {
        Self { threshold: 1024 }
    }
}

/// A content coding that we can produce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Brotli,
    /// zlib format (RFC 1950), which is what HTTP calls `deflate`.
    Deflate,
    Gzip,
}

/// Preference among codings that the client likes equally, for answers made anew each time: gzip as in Node; brotli
/// before deflate because it is smaller.
pub(crate) const DYNAMIC: [Encoding; 3] = [Encoding::Gzip, Encoding::Brotli, Encoding::Deflate];
/// The same for files that are compressed once.
pub(crate) const STATIC: [Encoding; 3] = [Encoding::Brotli, Encoding::Gzip, Encoding::Deflate];

impl Encoding {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Deflate => "deflate",
            Self::Gzip => "gzip",
        }
    }

    pub(crate) fn header(self) -> HeaderValue {
        HeaderValue::from_static(self.as_str())
    }

    /// Compresses an answer to a poll: fast levels, as the session waits for it.
    pub(crate) fn compress(self, body: &[u8]) -> io::Result<Bytes> {
        self.encode(body, Compression::new(4), 4)
    }

    /// Compresses a file: best ratio, as it happens once.
    pub(crate) fn compress_best(self, body: &[u8]) -> io::Result<Bytes> {
        self.encode(body, Compression::best(), 9)
    }

    fn encode(self, body: &[u8], level: Compression, quality: u32) -> io::Result<Bytes> {
        let out = Vec::with_capacity(body.len() / 3 + 64);
        let out = match self {
            Self::Gzip => {
                let mut encoder = GzEncoder::new(out, level);
                encoder.write_all(body)?;
                encoder.finish()?
            }
            Self::Deflate => {
                let mut encoder = ZlibEncoder::new(out, level);
                encoder.write_all(body)?;
                encoder.finish()?
            }
            Self::Brotli => {
                let mut encoder = brotli::CompressorWriter::new(out, 4096, quality, 20);
                encoder.write_all(body)?;
                encoder.flush()?;
                encoder.into_inner()
            }
        };
        Ok(out.into())
    }
}

/// Picks the coding that the request's `Accept-Encoding` rates highest; among equals the first of `preferred`.
///
/// `None`: send it as it is. So too without the header, and when the client rates `identity` above everything else.
pub(crate) fn negotiate(headers: &HeaderMap, preferred: &[Encoding]) -> Option<Encoding> {
    let mut rated: [Option<u16>; 3] = [None; 3];
    let (mut any, mut identity) = (None, None);
    for value in headers.get_all(ACCEPT_ENCODING) {
        for item in value.to_str().ok()?.split(',') {
            let mut parts = item.split(';');
            let name = parts.next().unwrap_or_default().trim();
            let quality = parts.find_map(|p| quality(p.trim())).unwrap_or(1000);
            if name == "*" {
                any = Some(quality);
            } else if name.eq_ignore_ascii_case("identity") {
                identity = Some(quality);
            } else if let Some(at) = preferred
                .iter()
                .position(|e| name.eq_ignore_ascii_case(e.as_str()))
            {
                rated[at] = Some(quality);
            }
        }
    }
    let mut best: Option<(Encoding, u16)> = None;
    for (encoding, rating) in preferred.iter().zip(rated) {
        let rating = rating.or(any).unwrap_or(0);
        if rating > best.map_or(0, |(_, best)| best) {
            best = Some((*encoding, rating));
        }
    }
    best.filter(|(_, rating)| *rating >= identity.unwrap_or(0))
        .map(|(encoding, _)| encoding)
}

/// A `q=` parameter in thousandths; one that is no number counts as 0, the careful reading.
fn quality(parameter: &str) -> Option<u16> {
    let (name, value) = parameter.split_once('=')?;
    if !name.trim().eq_ignore_ascii_case("q") {
        return None;
    }
    let value: f32 = value.trim().parse().unwrap_or(0.0);
    // In range after the clamp (NaN becomes 0), so the cast loses nothing but digits that HTTP does not have.
    Some((value.clamp(0.0, 1.0) * 1000.0) as u16)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn pick(accept: &str) -> Option<&'static str> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_ENCODING, accept.parse().unwrap());
        negotiate(&headers, &DYNAMIC).map(Encoding::as_str)
    }

    #[test]
    fn no_header_means_no_compression() {
        assert_eq!(negotiate(&HeaderMap::new(), &DYNAMIC), None);
        assert_eq!(pick(""), None);
        assert_eq!(pick("identity"), None);
        assert_eq!(pick("zstd"), None);
    }

    #[test]
    fn quality_decides_then_our_order() {
        assert_eq!(pick("gzip, deflate, br"), Some("gzip"));
        assert_eq!(pick("deflate"), Some("deflate"));
        assert_eq!(pick("br;q=1.0, gzip;q=0.8"), Some("br"));
        assert_eq!(pick("gzip;q=0.2, DEFLATE; q=0.3"), Some("deflate"));
        assert_eq!(pick("gzip;q=0"), None);
        assert_eq!(pick("gzip;q=0, *;q=0.5"), Some("br"));
        assert_eq!(pick("*"), Some("gzip"));
        assert_eq!(pick("*;q=0"), None);
        assert_eq!(pick("identity, gzip;q=0.5"), None);
        assert_eq!(pick("identity;q=0.5, gzip"), Some("gzip"));
        assert_eq!(pick("gzip;q=nonsense, br;q=NaN"), None);
        assert_eq!(pick("gzip;q=99"), Some("gzip"));
    }

    #[test]
    fn codings_decode_to_the_same_bytes() {
        let body = "4hello ".repeat(1000).into_bytes();
        for encoding in DYNAMIC {
            for packed in [
                encoding.compress(&body).unwrap(),
                encoding.compress_best(&body).unwrap(),
            ] {
                assert!(packed.len() < body.len() / 4);
                let mut plain = Vec::new();
                match encoding {
                    Encoding::Gzip => {
                        flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut plain)
                    }
                    Encoding::Deflate => {
                        flate2::read::ZlibDecoder::new(&packed[..]).read_to_end(&mut plain)
                    }
                    Encoding::Brotli => {
                        brotli::Decompressor::new(&packed[..], 4096).read_to_end(&mut plain)
                    }
                }
                .unwrap();
                assert_eq!(plain, body);
            }
        }
    }
}
