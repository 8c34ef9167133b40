use super::*;
use proptest::prelude::*;
use std::collections::HashSet;

const INTERVAL: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_secs(10);

fn message(node: &str, sequence: Option<u64>, operation: Operation) -> ClusterMessage {
    ClusterMessage {
        node: NodeId::from(node),
        namespace: "/".into(),
        sequence,
        trace: None,
        operation,
    }
}

fn heartbeat(node: &str) -> ClusterMessage {
    message(node, None, Operation::Heartbeat)
}

fn events(members: &mut Members) -> Vec<MemberEvent> {
    std::iter::from_fn(|| members.poll_event()).collect()
}

fn joined(node: &str) -> MemberEvent {
    MemberEvent::Joined(NodeId::from(node))
}

fn left(node: &str) -> MemberEvent {
    MemberEvent::Left(NodeId::from(node))
}

fn members(now: Instant) -> Members {
    let mut members = Members::new(NodeId::from("me"), MembersConfig::default(), now);
    assert_eq!(events(&mut members), [MemberEvent::SendInitialHeartbeat]);
    members
}

#[test]
fn a_heartbeat_makes_a_member_and_any_message_keeps_it_alive() {
    let start = Instant::now();
    let mut members = members(start);
    assert!(members.handle_message(start, &heartbeat("a")));
    assert_eq!(events(&mut members), [joined("a")]);
    assert_eq!(members.count(), 2);
    let later = start + TIMEOUT - Duration::from_millis(1);
    let join = Operation::Join {
        target: crate::target::Target::all(),
        rooms: Vec::new(),
    };
    members.handle_message(later, &message("a", None, join));
    members.handle_timeout(start + TIMEOUT);
    assert_eq!(events(&mut members), [MemberEvent::SendHeartbeat]);
    assert!(members.is_alive(&NodeId::from("a")));
    members.handle_timeout(later + TIMEOUT);
    assert!(events(&mut members).contains(&left("a")));
    assert_eq!(members.count(), 1);
}

#[test]
fn own_messages_and_emitters_are_no_members() {
    let now = Instant::now();
    let mut members = members(now);
    assert!(!members.handle_message(now, &heartbeat("me")));
    assert!(members.handle_message(now, &heartbeat("emitter")));
    assert!(events(&mut members).is_empty());
    assert_eq!(members.count(), 1);
}

#[test]
fn a_newcomer_is_answered_and_a_farewell_is_believed_at_once() {
    let now = Instant::now();
    let mut members = members(now);
    members.handle_message(now, &message("a", Some(1), Operation::InitialHeartbeat));
    assert_eq!(
        events(&mut members),
        [joined("a"), MemberEvent::SendHeartbeat]
    );
    members.handle_message(now, &message("a", Some(2), Operation::Close));
    assert_eq!(events(&mut members), [left("a")]);
    assert!(!members.is_alive(&NodeId::from("a")));
    // A late copy does not bring it back, nor make it leave again.
    assert!(!members.handle_message(now, &message("a", Some(1), Operation::InitialHeartbeat)));
    members.handle_timeout(now + TIMEOUT);
    assert_eq!(events(&mut members), [MemberEvent::SendHeartbeat]);
    assert!(members.nodes.is_empty());
    // Neither does the farewell of somebody unknown.
    members.handle_message(now, &message("b", Some(9), Operation::Close));
    assert!(events(&mut members).is_empty());
}

#[test]
fn heartbeats_are_sent_whatever_else_is() {
    let start = Instant::now();
    let mut members = members(start);
    assert_eq!(members.deadline(), start + INTERVAL);
    members.handle_timeout(start + INTERVAL / 2);
    assert!(events(&mut members).is_empty());
    members.handle_timeout(start + INTERVAL);
    assert_eq!(events(&mut members), [MemberEvent::SendHeartbeat]);
    assert_eq!(members.deadline(), start + 2 * INTERVAL);
}

#[test]
fn only_a_heartbeat_makes_a_member() {
    let now = Instant::now();
    let mut members = members(now);
    let rooms = || Operation::Rooms(crate::cluster::RoomNews::Withheld);
    assert!(members.handle_message(now, &message("a", Some(7), rooms())));
    assert!(
        !members.handle_message(now, &message("a", Some(7), rooms())),
        "a copy all the same"
    );
    assert!(members.handle_message(now, &message("b", None, rooms())));
    assert!(events(&mut members).is_empty());
    assert_eq!(members.count(), 1);
    assert!(members.handle_message(now, &message("a", Some(8), Operation::Heartbeat)));
    assert_eq!(events(&mut members), [joined("a")]);
    // Foreign members and emitters have none that count.
    let foreign = NodeId::foreign("x");
    assert!(members.handle_message(now, &heartbeat(foreign.as_str())));
    assert_eq!(members.count(), 2);
}

#[test]
fn a_node_that_starts_again_under_its_id_is_heard_at_once() {
    let now = Instant::now();
    let time = std::time::SystemTime::now();
    let first = ClusterMessage::first_sequence(time);
    let second = ClusterMessage::first_sequence(time + Duration::from_millis(300));
    let initial = |sequence| message("a", Some(sequence), Operation::InitialHeartbeat);
    for has_said_goodbye in [false, true] {
        let mut members = members(now);
        members.handle_message(now, &initial(first));
        members.handle_message(now, &message("a", Some(first + 1), Operation::Heartbeat));
        if has_said_goodbye {
            members.handle_message(now, &message("a", Some(first + 2), Operation::Close));
        }
        let mut expected = vec![joined("a"), MemberEvent::SendHeartbeat, left("a")];
        assert!(members.handle_message(now, &initial(second)));
        expected.extend([joined("a"), MemberEvent::SendHeartbeat]);
        assert_eq!(events(&mut members), expected);
        assert!(!members.handle_message(now, &initial(second)));
        assert!(!members.handle_message(now, &initial(first)));
        assert_eq!((members.lost(), members.duplicates()), (0, 2));
        assert!(members.is_alive(&NodeId::from("a")));
    }
}

#[test]
fn copies_do_not_keep_a_node_alive() {
    let start = Instant::now();
    let mut members = members(start);
    let message = message("a", Some(1), Operation::Heartbeat);
    members.handle_message(start, &message);
    members.handle_message(start + TIMEOUT / 2, &message);
    members.handle_timeout(start + TIMEOUT);
    assert!(events(&mut members).contains(&left("a")));
}

#[test]
fn whoever_is_connected_again_announces_itself() {
    let start = Instant::now();
    let mut members = members(start);
    members.handle_connected(start + INTERVAL / 2);
    assert_eq!(events(&mut members), [MemberEvent::SendInitialHeartbeat]);
    assert_eq!(members.deadline(), start + INTERVAL / 2 + INTERVAL);
}

#[test]
fn the_deadline_is_the_next_expiry_if_that_comes_first() {
    let start = Instant::now();
    let mut members = members(start);
    members.handle_message(start, &heartbeat("a"));
    let beat = MemberEvent::SendHeartbeat;
    members.handle_timeout(start + TIMEOUT - Duration::from_secs(1));
    assert_eq!(events(&mut members), [joined("a"), beat]);
    assert_eq!(members.deadline(), start + TIMEOUT);
    members.handle_timeout(start + TIMEOUT);
    assert_eq!(events(&mut members), [left("a")]);
}

#[test]
fn copies_are_ignored_and_gaps_are_counted() {
    let now = Instant::now();
    let mut members = members(now);
    let mut take = |sequence| {
        let message = message("a", Some(sequence), Operation::Heartbeat);
        (members.handle_message(now, &message), members.lost())
    };
    // The first one heard may be any: the node was there before us.
    assert_eq!(take(100), (true, 0));
    assert_eq!(take(100), (false, 0));
    assert_eq!(take(99), (false, 0));
    assert_eq!(take(101), (true, 0));
    assert_eq!(take(105), (true, 3));
    assert_eq!(take(103), (true, 2));
    assert_eq!(take(103), (false, 2));
    assert_eq!(take(1000), (true, 896));
    // So many are not lost at once.
    assert_eq!(take(u64::MAX), (true, 896));
    assert_eq!(take(0), (false, 896));
    assert_eq!(members.duplicates(), 4);
}

proptest! {
    /// Within the window, whatever the order: each number is taken once.
    #[test]
    fn each_number_is_taken_once(numbers in prop::collection::vec(1000u64..1060, 1..200)) {
        let mut window = Window::new(1000);
        let mut taken = HashSet::new();
        for number in numbers {
            let fresh = window.handle(number) != Arrival::Duplicate;
            prop_assert_eq!(fresh, taken.insert(number));
        }
    }
}
