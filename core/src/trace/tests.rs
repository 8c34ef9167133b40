use proptest::prelude::*;

use super::*;
use crate::payload::Payload;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";

/// Any context, for the tests of what carries one.
pub(crate) fn arbitrary() -> impl Strategy<Value = TraceContext> + Clone {
    let state = prop::option::of("[a-z0-9][a-z0-9_*/@-]{0,9}=[!-+--<>-~]{1,9}(,[a-z]=[0-9]){0,3}");
    (any::<[u8; 16]>(), any::<[u8; 8]>(), 0..4u8, state).prop_filter_map(
        "all zeros",
        |(trace, span, flags, state)| {
            let context = TraceContext::new(trace, span, flags)?;
            Some(match state {
                Some(state) => context.with_tracestate(&state),
                None => context,
            })
        },
    )
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(context in arbitrary()) {
        let text = context.traceparent();
        prop_assert_eq!(TraceContext::parse(text.as_str(), context.tracestate()), Ok(context));
    }

    #[test]
    fn what_is_read_is_well_formed(parent in "\\PC{0,60}|00-[0-9a-g]{32}-[0-9a-f]{16}-[0-9a-f]{2}", state in "\\PC{0,40}|[a-z,= ]{0,20}") {
        if let Ok(context) = TraceContext::parse(&parent, Some(&state)) {
            let again = context.traceparent();
            prop_assert_eq!(&again.as_str()[..53], &parent[..53]);
            prop_assert_eq!(again.as_str().len(), LEN);
            let kept = context.tracestate().unwrap_or("k=v");
            prop_assert!(kept.len() <= 512 && kept.is_ascii() && kept.contains('='));
            prop_assert_eq!(TraceContext::parse(again.as_str(), context.tracestate()), Ok(context));
        }
    }
}

#[test]
fn the_example_of_the_specification_is_read() {
    let text = format!("00-{TRACE}-{SPAN}-01");
    let context = TraceContext::parse(&text, Some("rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"));
    let context = context.expect("valid");
    assert_eq!(context.trace_id()[..2], [0x4b, 0xf9]);
    assert_eq!(context.span_id()[..3], [0x00, 0xf0, 0x67]);
    assert!(context.is_sampled());
    assert_eq!(context.traceparent().to_string(), text);
    assert_eq!(
        context.tracestate(),
        Some("rojo=00f067aa0ba902b7,congo=t61rcWkgMzE")
    );
    let quiet: TraceContext = format!("00-{TRACE}-{SPAN}-00").parse().expect("valid");
    assert!(!quiet.is_sampled());
}

#[test]
fn what_is_malformed_is_refused() {
    let zero_trace = "0".repeat(32);
    let malformed = [
        String::new(),
        "00".to_owned(),
        format!("00-{TRACE}-{SPAN}"),
        format!("00-{TRACE}-{SPAN}-1"),
        format!("00-{TRACE}-{SPAN}-01-"),
        format!("00-{TRACE}-{SPAN}-01-more"),
        format!("00-{TRACE}-{SPAN}-0x"),
        format!("00-{TRACE}-{SPAN}-01 "),
        format!(" 00-{TRACE}-{SPAN}-01"),
        format!("00_{TRACE}-{SPAN}-01"),
        format!("0-{TRACE}-{SPAN}-001"),
        format!("ff-{TRACE}-{SPAN}-01"),
        format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
        format!("00-{zero_trace}-{SPAN}-01"),
        format!("00-{TRACE}-0000000000000000-01"),
        format!("cc-{TRACE}-{SPAN}-01.more"),
        format!("00-{}é-{SPAN}-01", &TRACE[..30]),
    ];
    for text in malformed {
        let read = text.parse::<TraceContext>();
        assert_eq!(read, Err(InvalidTraceparent), "{text}");
    }
}

#[test]
fn of_a_later_version_what_is_known_is_read() {
    let expected: TraceContext = format!("00-{TRACE}-{SPAN}-01").parse().expect("valid");
    for text in [
        format!("cc-{TRACE}-{SPAN}-01"),
        format!("cc-{TRACE}-{SPAN}-01-what the future"),
        // Flags that nobody knows yet are not passed on.
        format!("01-{TRACE}-{SPAN}-fd"),
    ] {
        assert_eq!(text.parse(), Ok(expected.clone()), "{text}");
    }
}

#[test]
fn a_state_that_is_too_long_or_malformed_is_left_out() {
    let context = TraceContext::new([1; 16], [2; 8], 1).expect("not all zeros");
    let state = |text: &str| {
        let context = context.clone().with_tracestate(text);
        context.tracestate().map(str::to_owned)
    };
    for good in [
        "a=b",
        "0a_-*/@z=b c",
        "fw529a3039@dt=FfAA",
        "a=1, b=2 ,,\tc=3",
    ] {
        assert_eq!(state(good).as_deref(), Some(good));
    }
    assert_eq!(state("  a=b\t").as_deref(), Some("a=b"));
    let long = format!("a={},b={}", "x".repeat(256), "y".repeat(251));
    assert_eq!(long.len(), 512);
    assert_eq!(state(&long), Some(long.clone()));
    let many = vec!["a=1"; 33].join(",");
    for bad in [
        "",
        " , ,",
        "a",
        "a=",
        "=b",
        "A=b",
        "a=b=c",
        "a=é",
        "a=\u{7f}",
        "_a=1",
        "a b=1",
        "a=1,b",
        &format!("{long}z"),
        &format!("a={}", "x".repeat(257)),
        &many,
    ] {
        assert_eq!(state(bad), None, "{bad}");
    }
}

#[test]
fn a_message_pays_a_pointer_for_it() {
    assert!(size_of::<TraceContext>() <= 48);
    assert_eq!(size_of::<Option<Box<TraceContext>>>(), size_of::<usize>());
}

/// Payloads with an object at their end, and the same with a context in it.
#[test]
fn a_context_is_a_member_of_the_last_argument() {
    let context = TraceContext::parse(&format!("00-{TRACE}-{SPAN}-01"), Some("a=b"));
    let context = context.expect("valid");
    let member = format!(r#""_t":{{"traceparent":"00-{TRACE}-{SPAN}-01","tracestate":"a=b"}}"#);
    for (json, expected) in [
        (r#"["e",{}]"#, format!(r#"["e",{{{member}}}]"#)),
        (
            r#"["e",1,{"a":{"_t":1}}]"#,
            format!(r#"["e",1,{{{member},"a":{{"_t":1}}}}]"#),
        ),
        (" [\"e\" , { \n} ] ", format!(" [\"e\" , {{{member} \n}}]")),
        (
            r#"["e",{"{":"]"}]"#,
            format!(r#"["e",{{{member},"{{":"]"}}]"#),
        ),
    ] {
        let payload = Payload::from_json(json.to_owned().into(), Vec::new()).expect("valid");
        assert_eq!(TraceContext::find_in(&payload, "_t"), None, "{json}");
        let traced = context.add_to(&payload, "_t").expect("an object");
        assert_eq!(traced.json(), &expected);
        assert_eq!(
            TraceContext::find_in(&traced, "_t").as_ref(),
            Some(&context)
        );
        assert!(traced.to_values().is_ok());
        // What is there already is left alone.
        assert_eq!(context.add_to(&traced, "_t"), None);
    }
    for json in [
        r#"["e"]"#,
        r#"[]"#,
        r#"["e",[]]"#,
        r#"["e",{},1]"#,
        r#"[{}]"#,
        r#"["e","{}"]"#,
        r#"["e",{"\u005ft":0}]"#,
    ] {
        let payload = Payload::from_json(json.into(), Vec::new()).expect("valid");
        assert_eq!(context.add_to(&payload, "_t"), None, "{json}");
    }
    // The place of bytes is no object; beside one there may be.
    let bytes = || bytes::Bytes::from_static(b"x");
    let payload = Payload::event("e", &bytes()).expect("bytes");
    assert_eq!(context.add_to(&payload, "_t"), None);
    let payload = Payload::event("e", &(bytes(), serde_json::json!({}))).expect("bytes");
    let traced = context.add_to(&payload, "_t").expect("an object");
    assert_eq!(traced.attachments(), payload.attachments());
}

#[test]
fn a_member_that_is_no_context_is_none() {
    let find = |member: &str| {
        let json = format!(r#"["e",{{"_t":{member}}}]"#);
        let payload = Payload::from_json(json.into(), Vec::new()).expect("valid");
        TraceContext::find_in(&payload, "_t")
    };
    let parent = format!("00-{TRACE}-{SPAN}-01");
    let bare: TraceContext = parent.parse().expect("valid");
    assert_eq!(find(&format!("\"{parent}\"")).as_ref(), Some(&bare));
    assert_eq!(
        find(&format!(r#"{{"traceparent":"{parent}","x":1}}"#)).as_ref(),
        Some(&bare)
    );
    assert_eq!(
        find(&format!(r#"{{"traceparent":"{parent}","tracestate":7}}"#)),
        Some(bare)
    );
    for other in [
        "1",
        "null",
        "\"00\"",
        "[]",
        "{}",
        r#"{"traceparent":1}"#,
        r#"{"tracestate":"a=b"}"#,
    ] {
        assert_eq!(find(other), None, "{other}");
    }
}

proptest! {
    #[test]
    fn whatever_is_sent_a_context_can_be_added_and_found(
        context in arbitrary(),
        values in prop::collection::vec(crate::value::arbitrary(), 0..3),
        key in "[a-z_\"é]{1,4}",
    ) {
        let mut values = values;
        values.insert(0, "e".into());
        let payload = Payload::from_values(&values);
        if let Some(traced) = context.add_to(&payload, &key) {
            prop_assert_eq!(TraceContext::find_in(&traced, &key), Some(context));
            let again = traced.to_values().expect("valid");
            prop_assert_eq!(&again[..again.len() - 1], &values[..values.len() - 1]);
        }
    }
}
