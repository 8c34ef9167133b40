//! What `docs/` says of metrics and options, against what the binary says.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Instant;

use serde_json::json;
use socketio_testkit::Redis;
use socketio_testkit::docs::{assert_documented, shown, table};

use super::http::{PATIENCE, get, request};
use super::process::{Node, output};
use super::session::Session;

/// Families of a page: name (as their samples have it), type and names of labels.
fn families(page: &str) -> BTreeMap<String, Vec<String>> {
    let mut families: BTreeMap<String, (String, BTreeSet<String>)> = BTreeMap::new();
    let mut family = String::new();
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect(line);
            family = match kind {
                "counter" => format!("{name}_total"),
                _ => name.to_owned(),
            };
            let before = families.insert(family.clone(), (kind.to_owned(), BTreeSet::new()));
            assert!(before.is_none(), "{name} stands twice");
        } else if !line.starts_with('#') {
            assert!(line.starts_with(&family), "{line} is of no family");
            for label in labels(line) {
                let of_family = families.get_mut(&family).expect(line);
                of_family.1.insert(label);
            }
        }
    }
    let row = |(name, (kind, labels)): (String, (String, BTreeSet<String>))| {
        let labels: Vec<_> = labels.iter().map(|label| format!("`{label}`")).collect();
        (name, vec![kind, labels.join(", ")])
    };
    families.into_iter().map(row).collect()
}

/// The names of a sample's labels, without the one that every bucket has.
fn labels(line: &str) -> Vec<String> {
    let Some((_, rest)) = line.split_once('{') else {
        return Vec::new();
    };
    let names = rest.split("\",").filter_map(|part| part.split_once('='));
    let names = names.map(|(name, _)| name.to_owned());
    names.filter(|name| name != "le").collect()
}

fn page(address: SocketAddr) -> String {
    get(address, "/metrics").body
}

/// Waits for a round trip: what is measured only then is on the page too.
fn page_of_a_cluster(address: SocketAddr) -> String {
    let start = Instant::now();
    loop {
        let page = page(address);
        if page.contains("socketio_adapter_last_round_trip_seconds") {
            return page;
        }
        assert!(start.elapsed() < PATIENCE, "no round trip:\n{page}");
    }
}

#[test]
fn every_metric_is_documented() {
    let redis = Redis::start();
    let url = format!("--redis-url={}", redis.url());
    // Nobody listens there, which harms nobody.
    let collector = "--otlp-endpoint=http://127.0.0.1:9";
    let node = Node::start(&["--adapter=redis", &url, collector]);
    let real = families(&page_of_a_cluster(node.address()));
    assert!(real.len() > 50, "{real:#?}");
    assert_documented("docs/METRICS.md", &table("METRICS.md", "The node"), &real);
}

/// The series of a page, without their values.
fn series(page: &str) -> BTreeSet<String> {
    let lines = page.lines().filter(|line| !line.starts_with('#'));
    let names = lines.filter_map(|line| line.rsplit_once(' '));
    names.map(|(series, _)| series.to_owned()).collect()
}

/// Whatever a client chooses may be counted, but must not become a label.
#[test]
fn clients_cannot_grow_the_page() {
    let node = Node::start(&["--allow-eio3"]);
    let before = series(&page(node.address()));
    for target in [
        "/socket.io/?EIO=4&transport=carrier-pigeon-1",
        "/socket.io/?EIO=4&transport=polling&sid=unknown-1",
        "/socket.io/?EIO=77&transport=polling",
        "/socket.io/?EIO=3&transport=polling&b64=1",
        "/no/such/page-1",
    ] {
        get(node.address(), target);
    }
    for method in ["PUT", "BREW"] {
        let agent = [("User-Agent", "grow-1"), ("Origin", "http://grow-2")];
        let target = "/socket.io/?EIO=4&transport=polling";
        request(node.address(), method, target, &agent, "grow-3");
    }
    let mut session = Session::open(node.address());
    for n in 0..50 {
        session.send(&format!("40/grow-{n},{{\"token\":\"grow\"}}"));
        session.receive();
        session.send(&format!("42[\"grow-event-{n}\",1]"));
        session.call(&json!(["join", format!("grow-room-{n}")]));
        session.send(&format!("42[\"publish\",\"grow-room-{n}\",\"grow-{n}\"]"));
        assert_eq!(session.event()[0], format!("grow-{n}"));
    }
    session.send("42{broken");
    let after = page(node.address());
    let grown: Vec<_> = series(&after).difference(&before).cloned().collect();
    assert_eq!(grown, Vec::<String>::new());
    assert!(!after.contains("grow"), "{after}");
    assert!(
        after.contains("\nsocketio_connects_refused_total 50\n"),
        "the namespaces were asked for:\n{after}"
    );
}

/// The options with their variables, keys and defaults, as `--print-config` and `--help` tell them.
fn options() -> BTreeMap<String, Vec<String>> {
    let config = output(&["--print-config"]);
    let config = String::from_utf8(config.stdout).expect("text");
    let help = String::from_utf8(output(&["--help"]).stdout).expect("text");
    let mut options = BTreeMap::new();
    let settings = config.lines().filter_map(|line| {
        // What is not set is a comment.
        let line = line.strip_prefix("# ").unwrap_or(line);
        let (key, value) = line.split_once(" =")?;
        let is_key = key
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        is_key.then(|| (key.to_owned(), value.trim().to_owned()))
    });
    for (key, value) in settings {
        let flag = format!("--{}", key.replace('_', "-"));
        assert!(help.contains(&flag), "--help says nothing of {flag}");
        let variable = format!("SOCKETIO_{}", key.to_uppercase());
        let value = match value.strip_prefix('[') {
            Some(list) => list.trim_end_matches(']').replace(['"', ' '], ""),
            None => value.trim_matches('"').to_owned(),
        };
        let row = vec![format!("`{variable}`"), format!("`{key}`"), shown(&value)];
        options.insert(flag, row);
    }
    options
}

#[test]
fn every_option_is_documented() {
    let real = options();
    assert!(real.len() > 60, "{real:#?}");
    assert_documented(
        "docs/OPTIONS.md",
        &table("OPTIONS.md", "The stock node"),
        &real,
    );
}
