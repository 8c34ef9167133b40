use proptest::prelude::*;

use std::borrow::Cow;

use super::*;

/// Text made of the pieces of JSON, valid now and then.
fn json_like() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "[",
        "]",
        "{",
        "}",
        ",",
        ":",
        "\"",
        "\"a\"",
        "\"é\\n\\u00e9\"",
        "\\",
        "\\ud83d",
        "\\udE00",
        "0",
        "1",
        "-",
        "12.5",
        ".",
        "e",
        "1e5",
        "+",
        "true",
        "false",
        "null",
        "tru",
        " ",
        "\n",
        "\t",
        "\u{1}",
        "\u{7f}",
        "aaaaaaaa",
        "\"k\":",
        "[]",
        "{}",
    ]);
    prop::collection::vec(pieces, 0..12).prop_map(|pieces| pieces.concat())
}

/// Any valid text, with white space in places.
fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|value| value.to_string()),
        any::<i64>().prop_map(|value| value.to_string()),
        (-1e30..1e30f64).prop_map(|value| format!("{value:e}")),
        any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
        Just(r#""\ud800 \uDFFF\u0041 \ud83d\ude00""#.to_owned()),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        let member = (any::<String>(), inner.clone());
        prop_oneof![
            prop::collection::vec(inner, 0..6).prop_map(|all| format!("[ {} ]", all.join(" ,\n"))),
            prop::collection::vec(member, 0..6).prop_map(|members| {
                let members = members.into_iter();
                let members =
                    members.map(|(k, v)| format!("{}\t: {v}", serde_json::to_string(&k).unwrap()));
                format!("{{{}}}", members.collect::<Vec<_>>().join(","))
            }),
        ]
    })
}

proptest! {
    #[test]
    fn accepts_what_serde_json_accepts(text in prop_oneof![json_like(), any::<String>(), json()]) {
        // `IgnoredAny` reads lone surrogates as JavaScript does.
        let expected = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
        prop_assert_eq!(validate(&text, 100).is_ok(), expected, "{}", text);
    }

    #[test]
    fn splits_arrays_into_their_elements(elements in prop::collection::vec(json(), 0..6)) {
        let text = format!("[{}]", elements.join(", "));
        let split: Vec<&str> = super::elements(&text).collect();
        prop_assert_eq!(split, elements);
    }

    #[test]
    fn reads_strings_as_serde_json_does(text in any::<String>()) {
        let json = serde_json::to_string(&text).unwrap();
        let token = Reader::new(&json, 1).next().unwrap();
        let Some(Token::String(read)) = token else { panic!("{token:?}") };
        prop_assert_eq!(read.decode(), text.as_str());
        prop_assert!(read.is(&text));
    }

    #[test]
    fn text_without_lone_surrogates_is_readable(text in json()) {
        let readable = without_lone_surrogates(&text);
        prop_assert!(serde_json::from_str::<serde_json::Value>(&readable).is_ok(), "{}", readable);
    }

    #[test]
    fn plain_prefix_ends_at_the_first_special_byte(
        bytes in prop::collection::vec(prop_oneof![
            8 => 0x20u8..=0xff,
            1 => prop::sample::select(vec![0u8, 0x1f, b'"', b'\\']),
        ], 0..40)
    ) {
        let expected = bytes.iter().position(|&b| b < 0x20 || b == b'"' || b == b'\\');
        prop_assert_eq!(plain_prefix(&bytes), expected.unwrap_or(bytes.len()));
    }
}

#[test]
fn nesting_is_limited_and_does_not_recurse() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert_eq!(validate(&nested(100), 100), Ok(()));
    assert_eq!(validate(&nested(101), 100), Err(JsonError::TooDeep));
    assert_eq!(validate(&nested(1_000_000), usize::MAX), Ok(()));
    assert_eq!(
        validate(&"{\"a\":".repeat(101), 100),
        Err(JsonError::TooDeep)
    );
    // Containers of both kinds across a word of the stack.
    let mixed = format!("{}1{}", "[{\"a\":".repeat(200), "}]".repeat(200));
    assert_eq!(validate(&mixed, 400), Ok(()));
    let wrong = format!("{}1{}", "[{\"a\":".repeat(200), "]}".repeat(200));
    assert!(matches!(validate(&wrong, 400), Err(JsonError::Syntax(_))));
}

#[test]
fn lone_surrogates_become_replacement_characters() {
    let cases = [
        (r#""\ud800""#, "\u{fffd}"),
        (r#""\udc00x""#, "\u{fffd}x"),
        (r#""\ud800\ud800""#, "\u{fffd}\u{fffd}"),
        (r#""\ud83d\ude00""#, "\u{1f600}"),
        (r#""\ud83d\u0041""#, "\u{fffd}A"),
        (r#""\\ud800""#, "\\ud800"),
        (r#""\ud800é\"\\""#, "\u{fffd}é\"\\"),
    ];
    for (json, expected) in cases {
        let token = Reader::new(json, 1).next().unwrap();
        let Some(Token::String(text)) = token else {
            panic!("{token:?}")
        };
        assert_eq!(text.decode(), expected);
        let readable = without_lone_surrogates(json);
        assert_eq!(serde_json::from_str::<String>(&readable).unwrap(), expected);
    }
    assert!(matches!(
        without_lone_surrogates(r#""\ud83d\ude00 \n""#),
        Cow::Borrowed(_)
    ));
}
