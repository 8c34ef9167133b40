use super::*;
use TransportKind::{Polling, WebSocket};

const CONFIG: SessionConfig = SessionConfig {
    ping_interval: Duration::from_millis(300),
    ping_timeout: Duration::from_millis(200),
    upgrade_timeout: Duration::from_millis(1000),
};

/// A session and a clock that only moves when told to.
struct Fixture {
    session: Session,
    now: Instant,
}

impl Fixture {
    fn new(revision: Revision, transport: TransportKind) -> Self {
        let now = Instant::now();
        let session = Session::new(revision, transport, CONFIG, now);
        Self { session, now }
    }

    fn drain(&mut self) -> Vec<Output> {
        std::iter::from_fn(|| self.session.poll_output()).collect()
    }

    fn packet(&mut self, text: &str) -> Vec<Output> {
        let packet = Packet::decode_text(self.session.revision(), &text.into()).expect("valid");
        self.session.handle_packet(self.now, packet);
        self.drain()
    }

    fn candidate(&mut self, text: &str) -> Vec<Output> {
        let packet = Packet::decode_text(self.session.revision(), &text.into()).expect("valid");
        self.session.handle_upgrade_packet(self.now, &packet);
        self.drain()
    }

    fn request_upgrade(&mut self) -> Result<(), UpgradeRefused> {
        self.session.handle_upgrade_request(self.now)
    }

    /// Lets time pass, stopping at each deadline; returns what happened.
    fn advance(&mut self, milliseconds: u64) -> Vec<Output> {
        let end = self.now + Duration::from_millis(milliseconds);
        let mut outputs = Vec::new();
        while let Some(deadline) = self.session.deadline().filter(|&at| at <= end) {
            assert!(deadline >= self.now, "a deadline in the past was left");
            self.now = deadline;
            self.session.handle_timeout(deadline);
            outputs.extend(self.drain());
        }
        self.now = end;
        outputs
    }

    /// An upgrade, complete, without any time passing.
    fn upgrade(&mut self) {
        assert_eq!(self.request_upgrade(), Ok(()));
        assert_eq!(
            self.candidate("2probe"),
            [Output::SendCandidate(Control::PongProbe)]
        );
        assert_eq!(self.candidate("5"), [Output::AnswerPoll, Output::Upgraded]);
        assert_eq!(self.session.transport(), WebSocket);
    }
}

fn v4(transport: TransportKind) -> Fixture {
    Fixture::new(Revision::V4, transport)
}

fn v3(transport: TransportKind) -> Fixture {
    Fixture::new(Revision::V3, transport)
}

fn ping() -> Output {
    Output::Send(Control::Ping)
}

fn pong(data: &str) -> Output {
    Output::Send(Control::Pong(data.into()))
}

fn close() -> Output {
    Output::Send(Control::Close)
}

fn closed(reason: CloseReason) -> Output {
    Output::Closed(reason)
}

#[test]
fn a_session_is_small_and_messages_need_no_heap() {
    assert!(size_of::<Session>() <= 200, "{}", size_of::<Session>());
    let mut fixture = v4(WebSocket);
    let packet = Packet::text(PacketKind::Message, "a");
    fixture.session.handle_packet(fixture.now, packet);
    assert!(!fixture.session.outputs.spilled());
    // What a close needed is given back.
    let mut fixture = v4(Polling);
    fixture.request_upgrade().expect("free");
    fixture.session.close(CloseReason::ForcedClose);
    assert_eq!(fixture.drain().len(), 3);
    assert!(!fixture.session.outputs.spilled());
}

#[test]
fn messages_go_up_in_order() {
    let mut fixture = v4(WebSocket);
    for packet in [
        Packet::text(PacketKind::Message, "a"),
        Packet::binary(vec![1]),
        Packet::text(PacketKind::Message, ""),
    ] {
        fixture.session.handle_packet(fixture.now, packet);
    }
    assert_eq!(
        fixture.drain(),
        [
            Output::Message("a".into()),
            Output::Message(Message::Binary(vec![1].into())),
            Output::Message("".into()),
        ]
    );
}

mod heartbeat {
    use super::*;

    #[test]
    fn v4_server_pings_and_pongs_keep_alive() {
        for transport in [Polling, WebSocket] {
            let mut fixture = v4(transport);
            for _ in 0..5 {
                assert_eq!(fixture.advance(299), []);
                assert_eq!(fixture.advance(1), [ping()]);
                assert_eq!(fixture.advance(199), []);
                // The interval counts from the pong.
                assert_eq!(fixture.packet("3"), []);
            }
        }
    }

    #[test]
    fn v4_silence_is_a_ping_timeout() {
        let mut fixture = v4(WebSocket);
        assert_eq!(
            fixture.advance(500),
            [ping(), closed(CloseReason::PingTimeout)]
        );
        assert!(fixture.session.is_closed());
        assert_eq!(fixture.session.deadline(), None);
    }

    #[test]
    fn v4_only_pongs_count_as_life() {
        let mut fixture = v4(WebSocket);
        assert_eq!(fixture.advance(300), [ping()]);
        assert_eq!(fixture.packet("4a"), [Output::Message("a".into())]);
        assert_eq!(fixture.advance(199), []);
        assert_eq!(fixture.packet("4a"), [Output::Message("a".into())]);
        assert_eq!(fixture.advance(1), [closed(CloseReason::PingTimeout)]);
    }

    /// CVE-2026-48802: each of them started a timer.
    #[test]
    fn v4_unsolicited_pongs_start_nothing() {
        let mut fixture = v4(WebSocket);
        let deadline = fixture.session.deadline();
        fixture.advance(100);
        for _ in 0..1000 {
            assert_eq!(fixture.packet("3"), []);
        }
        assert_eq!(fixture.session.deadline(), deadline);
        assert_eq!(fixture.advance(200), [ping()]);
        // Several pongs for one ping are one pong.
        fixture.packet("3");
        let deadline = fixture.session.deadline();
        fixture.advance(10);
        fixture.packet("3");
        assert_eq!(fixture.session.deadline(), deadline);
    }

    #[test]
    fn v4_a_late_timer_is_not_held_against_the_client() {
        let mut fixture = v4(WebSocket);
        fixture.now += Duration::from_secs(60);
        fixture.session.handle_timeout(fixture.now);
        assert_eq!(fixture.drain(), [ping()]);
        assert_eq!(fixture.advance(199), []);
    }

    #[test]
    fn v3_client_pings_and_gets_its_data_back() {
        for transport in [Polling, WebSocket] {
            let mut fixture = v3(transport);
            for _ in 0..5 {
                assert_eq!(fixture.advance(499), []);
                assert_eq!(fixture.packet("2"), [pong("")]);
            }
            assert_eq!(fixture.packet("2probe"), [pong("probe")]);
            let binary = Packet::decode_binary(Revision::V3, vec![2, 7].into()).expect("valid");
            fixture.session.handle_packet(fixture.now, binary);
            assert_eq!(fixture.drain(), [pong("")]);
        }
    }

    #[test]
    fn v3_silence_is_a_ping_timeout() {
        let mut fixture = v3(WebSocket);
        assert_eq!(fixture.advance(400), []);
        assert_eq!(fixture.packet("4a"), [Output::Message("a".into())]);
        assert_eq!(fixture.advance(100), [closed(CloseReason::PingTimeout)]);
    }

    #[test]
    fn the_wrong_direction_is_a_transport_error() {
        for revision in [Revision::V3, Revision::V4] {
            let wrong = if revision == Revision::V3 { "3" } else { "2" };
            let error = closed(CloseReason::TransportError);
            let outputs = Fixture::new(revision, WebSocket).packet(wrong);
            assert_eq!(outputs, std::slice::from_ref(&error));
            let outputs = Fixture::new(revision, Polling).packet(wrong);
            assert_eq!(outputs, [close(), error]);
        }
    }

    #[test]
    fn an_early_timer_does_nothing() {
        let mut fixture = v4(Polling);
        fixture.request_upgrade().expect("free");
        fixture.candidate("2probe");
        let deadline = fixture.session.deadline();
        fixture.session.handle_timeout(fixture.now);
        assert_eq!(fixture.drain(), []);
        assert_eq!(fixture.session.deadline(), deadline);
    }
}

mod upgrade {
    use super::*;

    #[test]
    fn probe_noops_and_switch() {
        for mut fixture in [v4(Polling), v3(Polling)] {
            assert_eq!(fixture.request_upgrade(), Ok(()));
            assert!(fixture.session.is_upgrading());
            // Nothing is due before the probe.
            assert_eq!(fixture.advance(50), []);
            fixture.candidate("2probe");
            // Node's client test counts packets in the first 100 ms.
            assert_eq!(fixture.advance(99), []);
            assert_eq!(fixture.advance(1), [Output::AnswerPoll]);
            assert_eq!(fixture.advance(99), []);
            assert_eq!(fixture.session.transport(), Polling);
            // Until the switch, polling is the transport.
            assert_eq!(fixture.packet("4a"), [Output::Message("a".into())]);
            assert_eq!(
                fixture.candidate("5"),
                [Output::AnswerPoll, Output::Upgraded]
            );
            assert!(!fixture.session.is_upgrading());
            assert_eq!(fixture.session.transport(), WebSocket);
            // No noop after it, and packets come from the new transport.
            let outputs = fixture.advance(149);
            assert!(!outputs.contains(&Output::AnswerPoll), "{outputs:?}");
            assert_eq!(fixture.packet("4b"), [Output::Message("b".into())]);
        }
    }

    #[test]
    fn a_switch_without_a_probe_is_accepted() {
        let mut fixture = v4(Polling);
        fixture.request_upgrade().expect("free");
        assert_eq!(
            fixture.candidate("5"),
            [Output::AnswerPoll, Output::Upgraded]
        );
    }

    #[test]
    fn a_second_probe_does_not_move_the_noops() {
        let mut fixture = v4(Polling);
        fixture.request_upgrade().expect("free");
        fixture.candidate("2probe");
        fixture.advance(60);
        assert_eq!(
            fixture.candidate("2probe"),
            [Output::SendCandidate(Control::PongProbe)]
        );
        assert_eq!(fixture.advance(39), []);
        assert_eq!(fixture.advance(1), [Output::AnswerPoll]);
        assert_eq!(fixture.advance(99), []);
    }

    #[test]
    fn anything_else_drops_the_candidate_only() {
        for (before, packet) in [
            (None, "4a"),
            (None, "2"),
            (None, "2Probe"),
            (None, "3probe"),
            (None, "1"),
            (None, "0"),
            (None, "6"),
            (None, "bcHJvYmU="),
            (Some("2probe"), "4a"),
            (Some("2probe"), "2"),
            (Some("2probe"), "1"),
        ] {
            let mut fixture = v4(Polling);
            fixture.request_upgrade().expect("free");
            if let Some(before) = before {
                fixture.candidate(before);
            }
            assert_eq!(fixture.candidate(packet), [Output::DropCandidate]);
            assert!(!fixture.session.is_upgrading());
            // What comes after it on that WebSocket is nobody's.
            assert_eq!(fixture.candidate("5"), []);
            assert_eq!(fixture.session.transport(), Polling);
            assert_eq!(fixture.packet("4a"), [Output::Message("a".into())]);
            assert_eq!(fixture.advance(300), [ping()]);
            // And another may try.
            fixture.packet("3");
            fixture.upgrade();
        }
        let mut fixture = v4(Polling);
        fixture.request_upgrade().expect("free");
        fixture.session.handle_upgrade_error();
        assert_eq!(fixture.drain(), [Output::DropCandidate]);
    }

    #[test]
    fn a_candidate_that_goes_away_leaves_nothing() {
        let mut fixture = v4(Polling);
        let deadline = fixture.session.deadline();
        fixture.request_upgrade().expect("free");
        fixture.candidate("2probe");
        fixture.session.handle_upgrade_closed();
        assert_eq!(fixture.drain(), []);
        assert_eq!(fixture.session.deadline(), deadline);
        fixture.upgrade();
    }

    #[test]
    fn a_candidate_has_limited_time() {
        for probed in [false, true] {
            let mut fixture = v4(Polling);
            fixture.request_upgrade().expect("free");
            if probed {
                fixture.candidate("2probe");
            }
            let mut outputs = Vec::new();
            for _ in 0..9 {
                outputs.extend(fixture.advance(100));
                // Unless a ping is due this is an unsolicited pong.
                fixture.packet("3");
            }
            outputs.extend(fixture.advance(99));
            assert!(!outputs.contains(&Output::DropCandidate));
            let noops = outputs.iter().filter(|&o| *o == Output::AnswerPoll).count();
            assert_eq!(noops, if probed { 9 } else { 0 });
            let outputs = fixture.advance(1);
            assert!(outputs.contains(&Output::DropCandidate), "{outputs:?}");
            assert!(!fixture.session.is_upgrading());
            assert!(!fixture.session.is_closed());
        }
    }

    #[test]
    fn refusals() {
        let mut fixture = v4(Polling);
        assert_eq!(fixture.request_upgrade(), Ok(()));
        let refused = Err(UpgradeRefused::AlreadyUpgrading);
        assert_eq!(fixture.request_upgrade(), refused);
        // The refusal does not disturb the first candidate.
        assert_eq!(fixture.drain(), []);
        assert_eq!(
            fixture.candidate("5"),
            [Output::AnswerPoll, Output::Upgraded]
        );
        let refused = Err(UpgradeRefused::AlreadyUpgraded);
        assert_eq!(fixture.request_upgrade(), refused);
        fixture.session.close(CloseReason::ForcedClose);
        assert_eq!(fixture.request_upgrade(), Err(UpgradeRefused::Closed));
    }

    /// In Node, whoever knows the id can take such a session over.
    #[test]
    fn a_session_opened_on_websocket_is_not_taken_over() {
        let mut fixture = v4(WebSocket);
        let refused = Err(UpgradeRefused::AlreadyUpgraded);
        assert_eq!(fixture.request_upgrade(), refused);
        assert_eq!(fixture.candidate("2probe"), []);
        assert_eq!(fixture.candidate("5"), []);
        assert_eq!(fixture.packet("4a"), [Output::Message("a".into())]);
    }

    /// Node's defect (a): no timeout until the client's next ping, which never comes.
    #[test]
    fn v3_a_client_that_is_silent_after_its_upgrade_is_closed() {
        let mut fixture = v3(Polling);
        fixture.advance(100);
        fixture.upgrade();
        assert_eq!(fixture.advance(399), []);
        assert_eq!(fixture.advance(1), [closed(CloseReason::PingTimeout)]);
    }

    /// Node's defect (b): the timeout is cancelled, and nothing starts it again.
    #[test]
    fn v4_an_upgrade_between_ping_and_pong_keeps_the_timeout() {
        let mut fixture = v4(Polling);
        assert_eq!(fixture.advance(300), [ping()]);
        fixture.upgrade();
        assert_eq!(fixture.advance(199), []);
        assert_eq!(fixture.advance(1), [closed(CloseReason::PingTimeout)]);

        // And with a pong, on the new transport, the pings go on.
        let mut fixture = v4(Polling);
        assert_eq!(fixture.advance(300), [ping()]);
        fixture.upgrade();
        assert_eq!(fixture.packet("3"), []);
        assert_eq!(fixture.advance(300), [ping()]);
    }

    #[test]
    fn v4_an_upgrade_does_not_postpone_the_ping() {
        let mut fixture = v4(Polling);
        fixture.advance(200);
        fixture.upgrade();
        assert_eq!(fixture.advance(100), [ping()]);
    }
}

mod closing {
    use super::*;

    #[test]
    fn a_close_packet_closes_on_both_transports() {
        let gone = closed(CloseReason::TransportClose);
        assert_eq!(v4(Polling).packet("1"), [Output::AnswerPoll, gone.clone()]);
        // Node ignores it here.
        assert_eq!(v4(WebSocket).packet("1"), [gone]);
    }

    #[test]
    fn nothing_follows_a_close() {
        for mut fixture in [v4(Polling), v3(WebSocket)] {
            fixture.packet("1");
            assert_eq!(fixture.packet("4a"), []);
            assert_eq!(fixture.packet("2"), []);
            assert_eq!(fixture.packet("3"), []);
            assert_eq!(fixture.packet("1"), []);
            fixture.session.handle_packet_error();
            fixture.session.handle_transport_closed(true);
            fixture
                .session
                .handle_timeout(fixture.now + CONFIG.upgrade_timeout);
            fixture.session.close(CloseReason::ForcedClose);
            assert_eq!(fixture.drain(), []);
            assert_eq!(fixture.session.deadline(), None);
        }
    }

    #[test]
    fn what_is_not_for_the_server_is_ignored() {
        for mut fixture in [v4(Polling), v4(WebSocket), v3(Polling), v3(WebSocket)] {
            let deadline = fixture.session.deadline();
            for packet in ["0", "0{}", "5", "6", "6x"] {
                assert_eq!(fixture.packet(packet), []);
            }
            assert_eq!(fixture.session.deadline(), deadline);
        }
    }

    #[test]
    fn an_invalid_packet_is_a_parse_error() {
        let mut fixture = v4(WebSocket);
        fixture.session.handle_packet_error();
        assert_eq!(fixture.drain(), [closed(CloseReason::ParseError)]);
        let mut fixture = v4(Polling);
        fixture.session.handle_packet_error();
        assert_eq!(fixture.drain(), [close(), closed(CloseReason::ParseError)]);
    }

    #[test]
    fn a_lost_transport_says_nothing_to_it() {
        for transport in [Polling, WebSocket] {
            let mut fixture = v4(transport);
            fixture.session.handle_transport_closed(false);
            assert_eq!(fixture.drain(), [closed(CloseReason::TransportClose)]);
            let mut fixture = v4(transport);
            fixture.session.handle_transport_closed(true);
            assert_eq!(fixture.drain(), [closed(CloseReason::TransportError)]);
        }
    }

    #[test]
    fn our_close_tells_a_polling_client() {
        for reason in CloseReason::ALL {
            let mut fixture = v4(Polling);
            fixture.session.close(reason);
            assert_eq!(fixture.drain(), [close(), closed(reason)]);
            let mut fixture = v4(WebSocket);
            fixture.session.close(reason);
            assert_eq!(fixture.drain(), [closed(reason)]);
        }
    }

    /// However it ends, a candidate never outlives the session.
    #[test]
    fn every_end_drops_the_candidate_first() {
        type End = fn(&mut Fixture);
        let ends: [(End, CloseReason); 6] = [
            (
                |f| f.session.close(CloseReason::ForcedClose),
                CloseReason::ForcedClose,
            ),
            (|f| f.session.handle_packet_error(), CloseReason::ParseError),
            (
                |f| f.session.handle_transport_closed(true),
                CloseReason::TransportError,
            ),
            (
                |f| f.session.handle_timeout(f.now + Duration::from_millis(500)),
                CloseReason::PingTimeout,
            ),
            (
                |f| {
                    let packet = Packet::text(PacketKind::Close, "");
                    f.session.handle_packet(f.now, packet);
                },
                CloseReason::TransportClose,
            ),
            (
                |f| {
                    let packet = Packet::text(PacketKind::Ping, "");
                    f.session.handle_packet(f.now, packet);
                },
                CloseReason::TransportError,
            ),
        ];
        for (end, reason) in ends {
            let mut fixture = v4(Polling);
            fixture.advance(300);
            fixture.request_upgrade().expect("free");
            fixture.candidate("2probe");
            end(&mut fixture);
            let outputs = fixture.drain();
            assert_eq!(outputs.first(), Some(&Output::DropCandidate));
            assert_eq!(outputs.last(), Some(&closed(reason)));
            assert!(!fixture.session.is_upgrading());
        }
    }

    #[test]
    fn a_client_that_was_not_read_gets_its_time_again() {
        for (revision, whole) in [(Revision::V4, 200), (Revision::V3, 500)] {
            let mut fixture = Fixture::new(revision, WebSocket);
            fixture.advance(490);
            fixture.session.handle_reading_resumed(fixture.now);
            assert_eq!(fixture.advance(whole - 1), [], "{revision:?}");
            assert_eq!(fixture.advance(1), [closed(CloseReason::PingTimeout)]);
        }
        // Nothing is due, so nothing changes.
        let mut fixture = v4(WebSocket);
        let deadline = fixture.session.deadline();
        fixture.session.handle_reading_resumed(fixture.now);
        assert_eq!(fixture.session.deadline(), deadline);
    }

    #[test]
    fn reasons_are_nodes() {
        let words = CloseReason::ALL.map(CloseReason::as_str);
        for word in [
            "transport close",
            "transport error",
            "ping timeout",
            "parse error",
            "forced close",
            "server shutting down",
        ] {
            assert!(words.contains(&word), "{word}");
        }
    }
}
