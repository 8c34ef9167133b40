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
