//! Request bodies: read within a size and a time.

use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use http::HeaderMap;
use http::header::EXPECT;
use http_body_util::BodyExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Body as _, Frame};
use tokio::time::timeout;

/// Any request body, with its type erased: only POSTs have one, and they are not the fast path.
pub(crate) struct RequestBody {
    stream: UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>,
    /// Bytes that its head announced; 0 if it did not.
    announced: u64,
}

/// How much memory is taken at once on the word of a `Content-Length`.
const TRUSTED: usize = 64 * 1024;
/// How long a refused body is read on.
const DISCARD_TIME: Duration = Duration::from_secs(2);

/// Why there is no body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyError {
    /// The client went away or broke the rules of HTTP.
    Broken,
    /// It took too long.
    Slow,
    /// More bytes than allowed.
    TooLarge,
}

/// Erases the type of `body`.
pub(super) fn erase<B>(body: B) -> RequestBody
where
    B: hyper::body::Body + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    // Asked for now, because a mapped body does not tell any more.
    let announced = body.size_hint().lower();
    let stream = body
        .map_frame(|frame| frame.map_data(|mut data| data.copy_to_bytes(data.remaining())))
        .map_err(Into::into)
        .boxed_unsync();
    RequestBody { stream, announced }
}

/// Reads `body` of at most `limit` bytes, counted as they come, within `time`. A body that is refused is left where it
/// is, for [`discard`].
pub(super) async fn read(
    body: &mut RequestBody,
    limit: usize,
    time: Duration,
) -> Result<Bytes, BodyError> {
    // Announced to be too large: refused before a byte of it is kept.
    if body.announced > limit as u64 {
        return Err(BodyError::TooLarge);
    }
    timeout(time, collect(body, limit))
        .await
        .unwrap_or(Err(BodyError::Slow))
}

async fn collect(body: &mut RequestBody, limit: usize) -> Result<Bytes, BodyError> {
    let Some(first) = next(body).await? else {
        return Ok(Bytes::new());
    };
    if first.len() > limit {
        return Err(BodyError::TooLarge);
    }
    // Most posts come in one piece, which is passed on as it is.
    if body.stream.is_end_stream() {
        return Ok(first);
    }
    let announced = usize::try_from(body.announced).unwrap_or(TRUSTED);
    let mut collected = BytesMut::with_capacity(announced.min(TRUSTED).max(first.len()));
    collected.extend_from_slice(&first);
    drop(first);
    while let Some(data) = next(body).await? {
        if collected.len() + data.len() > limit {
            return Err(BodyError::TooLarge);
        }
        collected.extend_from_slice(&data);
    }
    Ok(collected.freeze())
}

/// The next data that is not empty; trailers are skipped.
async fn next(body: &mut RequestBody) -> Result<Option<Bytes>, BodyError> {
    while let Some(frame) = body.stream.frame().await {
        match frame.map(Frame::into_data) {
            Ok(Ok(data)) if !data.is_empty() => return Ok(Some(data)),
            Ok(_) => {}
            Err(_) => return Err(BodyError::Broken),
        }
    }
    Ok(None)
}

/// Reads a refused body on for a while without keeping anything. Closing while the client still writes would reset the
/// connection, and the client would see that instead of our answer. The bound is the time: a client that sends faster
/// costs no more than one whose bodies are welcome.
pub(super) async fn discard(mut body: RequestBody, request: &HeaderMap) {
    // This client waits for leave to send the body, and reading would give it.
    if request.contains_key(EXPECT) || body.stream.is_end_stream() {
        return;
    }
    let reading = async { while let Ok(Some(_)) = next(&mut body).await {} };
    // Late or not, the answer is the same.
    let _ = timeout(DISCARD_TIME, reading).await;
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::stream;
    use http_body_util::{Full, StreamBody};

    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    fn chunks(parts: &'static [&'static str]) -> RequestBody {
        let frames = parts
            .iter()
            .map(|part| Ok::<_, Infallible>(Frame::data(Bytes::from_static(part.as_bytes()))));
        erase(StreamBody::new(stream::iter(frames)))
    }

    #[tokio::test]
    async fn limit_counts_while_streaming() {
        assert_eq!(read(&mut chunks(&[]), 5, LONG).await, Ok(Bytes::new()));
        assert_eq!(
            read(&mut chunks(&["ab", "", "cde"]), 5, LONG).await,
            Ok(Bytes::from("abcde"))
        );
        assert_eq!(
            read(&mut chunks(&["ab", "cdef"]), 5, LONG).await,
            Err(BodyError::TooLarge)
        );
        assert_eq!(
            read(&mut chunks(&["abcdef"]), 5, LONG).await,
            Err(BodyError::TooLarge)
        );
        assert_eq!(
            read(&mut erase(Full::new(Bytes::from("abcde"))), 5, LONG).await,
            Ok(Bytes::from("abcde"))
        );
        assert_eq!(
            read(&mut erase(Full::new(Bytes::from("abcdef"))), 5, LONG).await,
            Err(BodyError::TooLarge)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn slow_bodies_end() {
        let never = stream::pending::<Result<Frame<Bytes>, Infallible>>();
        assert_eq!(
            read(&mut erase(StreamBody::new(never)), 5, LONG).await,
            Err(BodyError::Slow)
        );
    }

    #[tokio::test]
    async fn broken_bodies_are_errors() {
        let frames = [
            Ok(Frame::data(Bytes::from("ab"))),
            Err(std::io::Error::other("reset")),
        ];
        assert_eq!(
            read(&mut erase(StreamBody::new(stream::iter(frames))), 5, LONG).await,
            Err(BodyError::Broken)
        );
    }
}
