//! Long-polling over HTTP: section 1.6 of the wire formats.

#![allow(clippy::unwrap_used)]

mod http_support;

use std::io::Read as _;
use std::time::Duration;

use http_support::serve::{Served, serve, target};
use http_support::{PATIENCE, Raw};
use tokio::time::timeout;

/// A session that has joined the main namespace, and the connection it polls on.
async fn joined(served: &Served) -> (String, Raw) {
    let target = target(&served.open().await);
    let mut raw = served.connect().await;
    assert_eq!(raw.post(&target, "40").await.text(), "ok");
    let answer = raw.get(&target).await;
    assert!(answer.text().starts_with("40{\"sid\":\""), "{answer:?}");
    (target, raw)
}

/// Asserts that the session is there, by a message that comes back.
async fn alive(target: &str, raw: &mut Raw) {
    assert_eq!(
        raw.post(target, "42[\"say\",\"still here\"]").await.text(),
        "ok"
    );
    assert_eq!(raw.get(target).await.text(), "42[\"said\",\"still here\"]");
}

/// Asserts that the session is gone.
async fn gone(target: &str, served: &Served) {
    timeout(PATIENCE, ends(target, served))
        .await
        .expect("the session ends");
}

async fn ends(target: &str, served: &Served) {
    // The session ends in its own task, so it may take a moment.
    loop {
        let answer = served.get(target).await;
        if answer.status == 400 && answer.text() == r#"{"code":1,"message":"Session ID unknown"}"# {
            return;
        }
        // Until then a GET gets the close packet, or a noop.
        assert!(
            answer.status == 400 || ["1", "6", "6\u{1e}1"].contains(&answer.text()),
            "{answer:?}"
        );
    }
}

#[tokio::test]
async fn headers_of_answers() {
    let served = serve(|_| {}).await;
    let (target, mut raw) = joined(&served).await;
    let answer = raw.post(&target, "42[\"say\",\"é€\"]").await;
    assert_eq!(
        answer.names(),
        ["content-type", "content-length", "cache-control"]
    );
    assert_eq!(answer.header("content-type"), Some("text/html"));
    assert_eq!(
        (answer.header("cache-control"), answer.text()),
        (Some("no-store"), "ok")
    );
    let answer = raw.get(&target).await;
    assert_eq!(
        answer.names(),
        ["content-type", "content-length", "cache-control"]
    );
    assert_eq!(
        answer.header("content-type"),
        Some("text/plain; charset=UTF-8")
    );
    assert_eq!(answer.text(), "42[\"said\",\"é€\"]");
}

#[tokio::test]
async fn one_get_takes_everything() {
    let served = serve(|_| {}).await;
    let (target, mut raw) = joined(&served).await;
    let post: Vec<_> = (0..50).map(|n| format!("42[\"say\",\"{n}\"]")).collect();
    // Answered after the packets were dispatched, so their answers are queued.
    raw.post(&target, &post.join("\u{1e}")).await;
    let expected: Vec<_> = (0..50).map(|n| format!("42[\"said\",\"{n}\"]")).collect();
    assert_eq!(raw.get(&target).await.text(), expected.join("\u{1e}"));
}

#[tokio::test]
async fn other_methods_do_not_harm_the_session() {
    let served = serve(|_| {}).await;
    let (target, mut raw) = joined(&served).await;
    for method in ["PUT", "DELETE", "PATCH", "OPTIONS"] {
        raw.request(method, &target, "", b"").await;
        let answer = raw.answer().await;
        assert_eq!((answer.status, answer.body.len()), (500, 0), "{method}");
    }
    raw.request("HEAD", &target, "", b"").await;
    assert_eq!(raw.head_answer().await.status, 500);
    alive(&target, &mut raw).await;
}

#[tokio::test]
async fn bodies_over_the_limit_are_refused_and_the_session_lives() {
    let served = serve(|options| options.max_http_buffer_size = 1000).await;
    let (target, mut raw) = joined(&served).await;
    let message = |length: usize| format!("42[\"say\",\"{}\"]", "x".repeat(length - 12));
    assert_eq!(message(1000).len(), 1000);
    assert_eq!(raw.post(&target, &message(1000)).await.status, 200);
    assert_eq!(raw.get(&target).await.body.len(), 1001);
    let mut second = served.connect().await;
    let answer = second.post(&target, &message(1001)).await;
    assert_eq!((answer.status, answer.body.len()), (413, 0));
    // Counted while streaming, where no length was announced.
    let mut third = served.connect().await;
    third
        .send(&format!(
            "POST {target} HTTP/1.1\nHost: test\nTransfer-Encoding: chunked\n\n"
        ))
        .await;
    for _ in 0..3 {
        third.send(&format!("190\n{}\n", "x".repeat(400))).await;
    }
    third.send("0\n\n").await;
    let answer = third.answer().await;
    assert_eq!((answer.status, answer.body.len()), (413, 0));
    // A large announcement is refused before its body comes.
    let mut fourth = served.connect().await;
    fourth
        .send(&format!(
            "POST {target} HTTP/1.1\nHost: test\nExpect: 100-continue\nContent-Length: 5000000\n\n"
        ))
        .await;
    assert_eq!(fourth.answer().await.status, 413);
    alive(&target, &mut raw).await;
}

#[tokio::test]
async fn a_refused_body_does_not_reset_the_client() {
    let served = serve(|_| {}).await;
    let (target, mut raw) = joined(&served).await;
    let mut large = served.connect().await;
    let answer = large.post(&target, &"4".repeat(1_000_001)).await;
    assert_eq!(answer.status, 413);
    alive(&target, &mut raw).await;
}

#[tokio::test]
async fn compressed_bodies_are_refused() {
    let served = serve(|_| {}).await;
    let (target, mut raw) = joined(&served).await;
    raw.request("POST", &target, "Content-Encoding: gzip\n", b"\x1f\x8b")
        .await;
    assert_eq!(raw.answer().await.status, 415);
    let mut raw = served.connect().await;
    raw.request("POST", &target, "Content-Encoding: identity\n", b"3")
        .await;
    assert_eq!(raw.answer().await.status, 200);
    alive(&target, &mut raw).await;
}

#[tokio::test]
async fn binary_content_closes_a_session_of_revision_4() {
    let served = serve(|_| {}).await;
    let (target, mut raw) = joined(&served).await;
    raw.request(
        "POST",
        &target,
        "Content-Type: application/octet-stream\n",
        b"\x00",
    )
    .await;
    assert_eq!(raw.answer().await.status, 400);
    gone(&target, &served).await;
}

#[tokio::test]
async fn binary_content_is_for_revision_3() {
    let served = serve(|options| options.allow_eio3 = true).await;
    let target = format!(
        "/socket.io/?EIO=3&transport=polling&sid={}",
        served.open_with("EIO=3").await
    );
    let mut raw = served.connect().await;
    let body = b"\x00\x01\x08\xff42[\"say\",\"binary\"]";
    raw.request(
        "POST",
        &target,
        "Content-Type: application/octet-stream\n",
        body,
    )
    .await;
    assert_eq!(raw.answer().await.text(), "ok");
    let mut seen = String::new();
    while !seen.contains("19:42[\"said\",\"binary\"]") {
        let answer = raw.get(&target).await;
        assert_eq!(answer.status, 200, "{answer:?} after {seen}");
        seen.push_str(answer.text());
    }
}

#[tokio::test]
async fn invalid_payloads_are_answered_ok_and_close_the_session() {
    let served = serve(|_| {}).await;
    for body in ["", "nonsense", "9", "4\u{1e}\u{1e}x"] {
        let (target, mut raw) = joined(&served).await;
        let answer = raw.post(&target, body).await;
        assert_eq!((answer.status, answer.text()), (200, "ok"), "{body:?}");
        gone(&target, &served).await;
    }
}

#[tokio::test]
async fn overlapping_gets_close_the_session() {
    let served = serve(|_| {}).await;
    let (target, mut first) = joined(&served).await;
    first.request("GET", &target, "", b"").await;
    let mut second = served.connect().await;
    second.request("GET", &target, "", b"").await;
    // Either may have been the first to arrive.
    let answers = [first.answer().await, second.answer().await];
    let mut seen = answers
        .each_ref()
        .map(|answer| (answer.status, answer.text()));
    seen.sort_unstable();
    assert_eq!(seen, [(200, "1"), (400, "")]);
    gone(&target, &served).await;
}

#[tokio::test]
async fn overlapping_posts_close_the_session() {
    let served = serve(|_| {}).await;
    let (target, mut poll) = joined(&served).await;
    let mut first = served.connect().await;
    // `100 Continue` says that the body is being read, so the first POST is registered.
    first
        .send(&format!(
            "POST {target} HTTP/1.1\nHost: test\nExpect: 100-continue\nContent-Length: 10\n\n"
        ))
        .await;
    let interim = first.take("HTTP/1.1 100 Continue\r\n\r\n".len()).await;
    assert!(interim.starts_with(b"HTTP/1.1 100"));
    let mut second = served.connect().await;
    let answer = second.post(&target, "3").await;
    assert_eq!((answer.status, answer.body.len()), (400, 0));
    poll.request("GET", &target, "", b"").await;
    assert!([200, 400].contains(&poll.answer().await.status));
    gone(&target, &served).await;
}

#[tokio::test]
async fn aborted_requests_close_the_session() {
    let served = serve(|_| {}).await;
    let (target, _raw) = joined(&served).await;
    abort_until_gone(
        &target,
        &served,
        &format!("GET {target} HTTP/1.1\nHost: test\n\n"),
    )
    .await;
    let (target, _raw) = joined(&served).await;
    let post = format!("POST {target} HTTP/1.1\nHost: test\nContent-Length: 10\n\n42[");
    abort_until_gone(&target, &served, &post).await;
}

/// Begins `request` and goes away, until the session has ended by that. More than once, because a connection whose end
/// comes together with the request is never served.
async fn abort_until_gone(target: &str, served: &Served, request: &str) {
    let mut other = served.connect().await;
    let ended = async {
        loop {
            let mut raw = served.connect().await;
            raw.send(request).await;
            // Not a GET, which would itself overlap or wait.
            other.request("PUT", target, "", b"").await;
            match other.answer().await.status {
                500 => drop(raw),
                status => return assert_eq!(status, 400),
            }
        }
    };
    timeout(PATIENCE, ended).await.expect("the session ends");
}

#[tokio::test]
async fn slow_bodies_are_cut_off() {
    let served = serve(|options| options.body_read_timeout = Duration::from_millis(100)).await;
    let (target, _raw) = joined(&served).await;
    let mut slow = served.connect().await;
    slow.send(&format!(
        "POST {target} HTTP/1.1\nHost: test\nContent-Length: 10\n\n42["
    ))
    .await;
    assert_eq!(slow.answer().await.status, 408);
    gone(&target, &served).await;
}

#[tokio::test]
async fn internet_explorer_gets_its_header() {
    let served = serve(|_| {}).await;
    for (agent, expected) in [
        ("Mozilla/4.0 (compatible;MSIE 8.0)", Some("0")),
        ("Mozilla/5.0 (Windows NT 6.1; Trident/7.0)", Some("0")),
        ("Mozilla/5.0 Firefox", None),
    ] {
        let mut raw = served.connect().await;
        raw.request(
            "GET",
            "/socket.io/?EIO=4&transport=polling",
            &format!("User-Agent: {agent}\n"),
            b"",
        )
        .await;
        assert_eq!(
            raw.answer().await.header("x-xss-protection"),
            expected,
            "{agent}"
        );
    }
}

#[tokio::test]
async fn jsonp_wraps_and_unwraps() {
    let served = serve(|_| {}).await;
    let answer = served
        .get("/socket.io/?EIO=4&transport=polling&j=a1%22b2")
        .await;
    assert_eq!(
        answer.header("content-type"),
        Some("text/plain; charset=UTF-8")
    );
    let script = answer.text();
    let payload: String = serde_json::from_str(
        script
            .strip_prefix("___eio[12](")
            .and_then(|rest| rest.strip_suffix(");"))
            .unwrap_or_else(|| panic!("{script}")),
    )
    .unwrap();
    assert!(payload.starts_with("0{"));
    let target = format!("{}&j=0", target(&http_support::serve::sid(&payload)));
    let mut raw = served.connect().await;
    let form = "Content-Type: application/x-www-form-urlencoded\n";
    raw.request("POST", &target, form, b"d=40").await;
    assert_eq!(raw.answer().await.text(), "ok");
    assert!(raw.get(&target).await.text().starts_with("___eio[0](\"40{"));
    // Two characters `\n` are a newline, `\\n` is the two characters.
    raw.request(
        "POST",
        &target,
        form,
        b"d=42%5B%22say%22%2C%22a+%E2%80%A8%5C%5Cn%22%5D",
    )
    .await;
    assert_eq!(raw.answer().await.text(), "ok");
    let script = raw.get(&target).await;
    assert!(script.text().contains("\\u2028"), "{script:?}");
    // A form without data is none of our business.
    raw.request("POST", &target, form, b"x=1").await;
    assert_eq!(raw.answer().await.text(), "ok");
    raw.request("POST", &target, form, b"d=42%5B%22say%22%2C%22still%22%5D")
        .await;
    assert_eq!(raw.answer().await.text(), "ok");
    assert_eq!(
        raw.get(&target).await.text(),
        r#"___eio[0]("42[\"said\",\"still\"]");"#
    );
}

#[tokio::test]
async fn answers_are_compressed_from_the_threshold_on() {
    let served = serve(|_| {}).await;
    let (target, mut raw) = joined(&served).await;
    // `42["said",""]` has 13 characters.
    for (length, accept, coding) in [
        (1024 - 13, "gzip", Some("gzip")),
        (1023 - 13, "gzip", None),
        (5000, "", None),
        (5000, "Accept-Encoding: identity\n", None),
        (5000, "gzip, deflate, br", Some("gzip")),
        (5000, "deflate", Some("deflate")),
        (5000, "br;q=1, gzip;q=0.5", Some("br")),
        (100_000, "gzip;q=0, br", Some("br")),
    ] {
        let text = "x".repeat(length);
        raw.post(&target, &format!("42[\"say\",\"{text}\"]")).await;
        let header = match accept {
            "" => String::new(),
            full if full.contains(':') => full.to_owned(),
            value => format!("Accept-Encoding: {value}\n"),
        };
        raw.request("GET", &target, &header, b"").await;
        let answer = raw.answer().await;
        assert_eq!(
            answer.header("content-encoding"),
            coding,
            "{length} {accept}"
        );
        assert_eq!(answer.header("vary"), None);
        let mut plain = Vec::new();
        match coding {
            Some("gzip") => flate2::read::GzDecoder::new(&answer.body[..])
                .read_to_end(&mut plain)
                .unwrap(),
            Some("deflate") => flate2::read::ZlibDecoder::new(&answer.body[..])
                .read_to_end(&mut plain)
                .unwrap(),
            Some(_) => brotli::Decompressor::new(&answer.body[..], 4096)
                .read_to_end(&mut plain)
                .unwrap(),
            None => answer.body.as_slice().read_to_end(&mut plain).unwrap(),
        };
        assert_eq!(
            String::from_utf8(plain).unwrap(),
            format!("42[\"said\",\"{text}\"]")
        );
    }
    let off = serve(|options| options.http_compression = None).await;
    let (target, mut raw) = joined(&off).await;
    raw.post(&target, &format!("42[\"say\",\"{}\"]", "x".repeat(5000)))
        .await;
    raw.request("GET", &target, "Accept-Encoding: gzip\n", b"")
        .await;
    assert_eq!(raw.answer().await.header("content-encoding"), None);
}

#[tokio::test]
async fn a_close_packet_ends_the_session() {
    let served = serve(|_| {}).await;
    let (target, mut poll) = joined(&served).await;
    poll.request("GET", &target, "", b"").await;
    let mut post = served.connect().await;
    // What follows it is dropped.
    assert_eq!(
        post.post(&target, "1\u{1e}42[\"say\",\"late\"]")
            .await
            .text(),
        "ok"
    );
    let answer = poll.answer().await;
    assert!(
        ["6", "1"].contains(&answer.text()) || answer.status == 400,
        "{answer:?}"
    );
    gone(&target, &served).await;
}

#[tokio::test]
async fn packets_before_a_bad_one_are_dispatched() {
    let served = serve(|_| {}).await;
    let (witness, mut raw) = joined(&served).await;
    let (target, mut post) = joined(&served).await;
    assert_eq!(
        post.post(
            &target,
            "42[\"shout\",\"first\"]\u{1e}x\u{1e}42[\"shout\",\"second\"]"
        )
        .await
        .text(),
        "ok"
    );
    gone(&target, &served).await;
    assert_eq!(raw.get(&witness).await.text(), "42[\"shouted\",\"first\"]");
}

#[tokio::test]
async fn many_packets_in_one_body() {
    let served = serve(|_| {}).await;
    let (target, mut raw) = joined(&served).await;
    // As many as fit; python-engineio throws away bodies of more than 16.
    let body = vec!["3"; 499_000].join("\u{1e}");
    assert_eq!(raw.post(&target, &body).await.text(), "ok");
    alive(&target, &mut raw).await;
}

#[tokio::test]
async fn upgrade_moves_the_session() {
    let served = serve(|_| {}).await;
    let (target, mut poll) = joined(&served).await;
    let query = target
        .trim_start_matches("/socket.io/?")
        .replace("polling", "websocket");
    let (mut socket, answer) = served.websocket(&query, "").await;
    assert_eq!(answer.status, 101);
    poll.request("GET", &target, "", b"").await;
    socket.send_text("2probe").await;
    assert_eq!(socket.text().await, "3probe");
    // The pending GET is let go, so that the client can go on.
    assert_eq!(poll.answer().await.text(), "6");
    // Until the upgrade is complete, data goes by polling.
    assert_eq!(
        poll.post(&target, "42[\"say\",\"between\"]").await.text(),
        "ok"
    );
    assert_eq!(poll.get(&target).await.text(), "42[\"said\",\"between\"]");
    socket.send_text("5").await;
    socket.send_text("42[\"say\",\"after\"]").await;
    assert_eq!(socket.text().await, "42[\"said\",\"after\"]");
    let answer = poll.get(&target).await;
    assert_eq!(
        (answer.status, answer.text()),
        (400, r#"{"code":3,"message":"Bad request"}"#)
    );
}
