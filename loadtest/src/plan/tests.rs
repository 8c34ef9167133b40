use super::*;

fn settings(toml: &str) -> Settings {
    toml::from_str(&format!("target = [\"http://h\"]\n{toml}")).expect("valid settings")
}

fn error(toml: &str) -> String {
    Plan::new(&settings(toml)).expect_err(toml).to_string()
}

#[test]
fn wrong_settings_are_told_in_one_line() {
    for (toml, part) in [
        ("", "no scenario"),
        ("scenario = \"emit\"", "needs a --broker"),
        (
            "scenario = \"echo\"\nbroker = \"redis://h\"",
            "is for the scenario emit",
        ),
        ("scenario = \"echo\"\nclients = 0", "--clients"),
        ("scenario = \"echo\"\nrate = 0.0", "--rate"),
        ("scenario = \"echo\"\nrate = 5.0\nwindow = 2", "--window"),
        ("scenario = \"echo\"\nauth = \"[]\"", "no JSON object"),
        ("scenario = \"echo\"\nheader = [\"a b: c\"]", "no header"),
        ("scenario = \"echo\"\nthreshold = [\"lost\"]", "lost"),
        ("scenario = \"echo\"\ntransports = \"pigeon=1\"", "pigeon"),
        (
            "scenario = \"echo\"\ntransports = \"polling=0\"",
            "polling=0",
        ),
        ("scenario = \"echo\"\nkill = [\"true\"]", "--at"),
        ("scenario = \"echo\"\nphase = [\"5 s\"]", "no phase"),
        (
            "scenario = \"echo\"\nphase = [\"5s rate=1\", \"5s\"]",
            "either all phases",
        ),
        ("scenario = \"fanout\"\nrooms-per-client = 2", "--rooms"),
        ("scenario = \"fanout\"\npublishers = 101", "--publishers"),
        ("scenario = \"fanout\"\npublish-args = \"[]\"", "{stamp}"),
        (
            "scenario = \"fanout\"\npublish-event = \"connect\"",
            "reserved",
        ),
        ("scenario = \"slow\"\nslow-share = 2.0", "--slow-share"),
    ] {
        let error = error(toml);
        assert!(
            error.contains(part) && !error.contains('\n'),
            "{toml}: {error}"
        );
    }
}

#[test]
fn clients_are_shared_without_rest() {
    for count in 1..6 {
        let shares = (0..count).map(|index| Share { index, count });
        let mut all: Vec<u32> = shares
            .flat_map(|share| (0..share.of(57)).map(move |local| share.global(local)))
            .collect();
        all.sort_unstable();
        assert_eq!(all, (0..57).collect::<Vec<_>>());
    }
    assert_eq!(Share { index: 1, count: 3 }.local(7), Some(2));
    assert_eq!(Share { index: 1, count: 3 }.local(8), None);
}

#[test]
fn transports_and_slow_clients_follow_their_shares() {
    let plan = Plan::new(&settings("scenario = \"mix\"")).expect("valid");
    let polling = (0..400).filter(|client| plan.transport_of(*client) == Transport::Polling);
    assert_eq!(polling.count(), 100);
    let plan = Plan::new(&settings("scenario = \"slow\"\nslow-share = 0.25")).expect("valid");
    assert_eq!((0..400).filter(|client| plan.is_slow(*client)).count(), 100);
    assert!(!plan.is_slow(0));
}

#[test]
fn rooms_go_round() {
    let plan = Plan::new(&settings(
        "scenario = \"fanout\"\nrooms = 5\nrooms-per-client = 2",
    ));
    let plan = plan.expect("valid");
    assert_eq!(plan.rooms_of(2).collect::<Vec<_>>(), [4, 0]);
}

#[test]
fn who_loses_a_target_tries_all_others_and_they_share_its_clients() {
    let plan = |targets: u32| {
        let targets: Vec<String> = (0..targets).map(|at| format!("\"http://h{at}\"")).collect();
        let text = format!("scenario = \"idle\"\ntarget = [{}]", targets.join(","));
        let settings: Settings = toml::from_str(&text).expect("valid settings");
        Plan::new(&settings).expect("valid")
    };
    assert_eq!(plan(1).target_of(7, 3), 0);
    let three = plan(3);
    for client in 0..30 {
        let way: Vec<usize> = (0..4).map(|moves| three.target_of(client, moves)).collect();
        assert_eq!(way[0], client as usize % 3);
        assert_eq!(way[0], way[3]);
        let all: std::collections::BTreeSet<_> = way.iter().collect();
        assert_eq!(all.len(), 3, "{way:?}");
    }
    // Ten clients of the first target: five go to each of the others.
    let others = (0..30).step_by(3).map(|client| three.target_of(client, 1));
    assert_eq!(others.filter(|target| *target == 1).count(), 5);
}

#[test]
fn places_are_filled_in_for_one_client() {
    let text = "scenario = \"fanout\"\nrooms = 5\nroom-prefix = \"r\"\njoin-event = \"\"";
    let plan = Plan::new(&settings(text)).expect("valid");
    assert!(plan.events.join.is_none());
    assert_eq!(plan.text_for("{client} in {room}", 7), "7 in r2");
    assert_eq!(plan.text_for("plain", 7), "plain");
    let error = error("scenario = \"churn\"\njoin-event = \"\"\nchurn = \"both\"");
    assert!(error.contains("only connections"), "{error}");
    for args in [
        "publish-args = '[\"a {data} {stamp}\"]'",
        "emit-args = '[\"{stamp}{data}\"]'",
    ] {
        let text = format!("scenario = \"fanout\"\nbinary = true\n{args}");
        let error = Plan::new(&settings(&text)).expect_err(args).to_string();
        assert!(error.contains("a string of its own"), "{error}");
    }
}
