//! Entry points for fuzzing: each takes any bytes and panics if a promise of a decoder is broken.
//!
//! They live here, and not in `core/fuzz`, so that they are compiled and tried with every build.

mod cluster;
mod engine;
mod packet;

use crate::engine::Revision;

pub use cluster::{cluster_native, node_wire, python_wire, trace_context};
pub use engine::{engine_packet, engine_payload, engine_session, jsonp_form, websocket};
pub use packet::{message_pack, socketio_packet};

/// A function that must not panic, whatever it is given.
pub type Target = fn(&[u8]);

/// All targets by name.
pub const TARGETS: &[(&str, Target)] = &[
    ("cluster_native", cluster_native),
    ("engine_packet", engine_packet),
    ("engine_payload", engine_payload),
    ("engine_session", engine_session),
    ("jsonp_form", jsonp_form),
    ("message_pack", message_pack),
    ("node_wire", node_wire),
    ("python_wire", python_wire),
    ("socketio_packet", socketio_packet),
    ("trace_context", trace_context),
    ("websocket", websocket),
];

fn revision(bit: u8) -> Revision {
    if bit & 1 == 0 {
        Revision::V4
    } else {
        Revision::V3
    }
}

#[cfg(test)]
mod tests {
    use super::TARGETS;
    use proptest::{prelude::*, sample::select, test_runner::FileFailurePersistence};

    /// Bytes that mean something to one of the decoders, mixed with any bytes.
    fn input() -> impl Strategy<Value = Vec<u8>> {
        let pieces: Vec<&[u8]> = vec![
            b"4",
            b"2probe",
            b"\x1e",
            b"b4AQID",
            b"12:",
            b"\x00\x06\xff",
            b"\x81\x80\0\0\0\0",
            b"\x01\x82\0\0\0\0",
            b"\x80\x01",
            b"\x89\x80\x01\x02\x03\x04",
            b"d=",
            b"%5Cn",
            b"2[\"a\",1]",
            b"51-[\"a\",{\"_placeholder\":true,\"num\":0}]\xff",
            b"/admin,",
            b"\xff",
            b"\x84\xa4type",
            b"\x92\xa1a\xc4\x02",
            b"[[[[[[[[",
            b"\x91\x91\x91\x91",
            b"\xc7\x08\xff",
            b"{\"method\":\"emit\",\"event\":\"e\",\"namespace\":\"/\"",
            b",\"host_id\":\"h\",\"callback\":[1,2,3]",
            b",\"binary\":true",
            b",\"data\":",
            b",\"room\":",
            b"\"AQ==\"",
            b"[1,",
            b"NaN",
            b"]",
            b"}",
            b"\x95\x01\x02\xa1n\xa1/\x07",
            b"\x9c\x01\x04\xa1n\xa1/\xc0\x02\x90\x90\xc0\xc0\xa5[\"e\"]\x90",
            b"\x96\x01\x23\xc0\xa1/\xa1r\x91\x94\xa1s",
            b"\x93\xa1u\x83\xa4type\x02\xa3nsp\xa1/\xa4data\x92\xa1e",
            b"\x82\xa5rooms\x91\xa1r\xa5flags\x80",
            b"{\"type\":2,\"opts\":{\"rooms\":[1]}",
            b"{\"type\":9,\"nsp\":\"/\",\"data\":{\"packet\":[\"e\",",
            b"{\"type\":12,\"nsp\":\"/\",\"data\":{\"requestId\":\"q\"",
            b"{\"requestId\":\"q\",\"sockets\":[{\"id\":\"s\"",
            b",\"requestId\":\"q\"",
            b",\"packet\":",
            b"\"\\ud800\"",
            b",\"traceparent\":",
            b"\"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\"",
            b",\"tracestate\":\"a=b\"",
            b"\x96\x01\x02\xa1n\xa1/\xc0\x92\xd9\x3700-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            b"\xa3a=b",
            b"\xc0",
            b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            b"ff-",
            b"\nk=v,",
            b"1e999,",
        ];
        let piece = prop_oneof![
            2 => select(pieces).prop_map(<[u8]>::to_vec),
            1 => proptest::collection::vec(any::<u8>(), 0..6),
        ];
        proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 2000,
            failure_persistence: Some(Box::new(FileFailurePersistence::Off)),
            ..ProptestConfig::default()
        })]

        #[test]
        fn no_target_fails(mode in any::<[u8; 2]>(), data in input(), noise in proptest::collection::vec(any::<u8>(), 0..120)) {
            for &(_, target) in TARGETS {
                target(&data);
                target(&[&mode[..1], &data].concat());
                target(&[&mode[..], &data].concat());
                target(&noise);
            }
        }
    }

    #[test]
    fn deep_nesting_does_not_overflow_the_stack() {
        for opening in [&b"["[..], b"{\"a\":", b"\x91", b"\x81\xa1a"] {
            for prefix in [
                &b""[..],
                b"\x002[\"a\",",
                b"\x02\x84\xa4type\x02\xa4data\x92\xa1a",
            ] {
                let data = [prefix, &opening.repeat(200_000)].concat();
                for &(_, target) in TARGETS {
                    target(&data);
                }
            }
        }
    }
}
