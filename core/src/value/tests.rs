use proptest::prelude::*;

use super::*;

/// Any value that JSON with attachments can express.
pub(crate) fn arbitrary() -> impl Strategy<Value = Value> + Clone {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-1e300..1e300f64).prop_map(Value::Float),
        text().prop_map(Value::from),
        prop::collection::vec(any::<u8>(), 0..20).prop_map(|b| Value::Bytes(b.into())),
    ];
    leaf.prop_recursive(4, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::Array),
            prop::collection::vec((text(), inner), 0..5).prop_map(Value::Object),
        ]
    })
}

/// Short text with everything that JSON escapes. `any::<String>()` is slow where thousands are
/// made.
fn text() -> impl Strategy<Value = String> + Clone {
    let characters = prop::sample::select(vec![
        'a', '"', '\\', '\n', '\0', '\u{7f}', 'é', '\u{2028}', '😀',
    ]);
    prop::collection::vec(characters, 0..6).prop_map(String::from_iter)
}

proptest! {
    #[test]
    fn rust_types_and_values_convert(value in arbitrary()) {
        prop_assert_eq!(&to_value(&value).unwrap(), &value);
        prop_assert_eq!(&from_value::<Value>(value.clone()).unwrap(), &value);
    }
}

#[test]
fn accessors_convert_only_what_fits() {
    assert_eq!(Value::UInt(u64::MAX).as_i64(), None);
    assert_eq!(Value::Int(-1).as_u64(), None);
    assert_eq!(Value::from(u64::MAX), Value::UInt(u64::MAX));
    assert_eq!(Value::from(7u64), Value::Int(7));
    assert_eq!(Value::Int(3).as_f64(), Some(3.0));
    let object: Value = [("a", Value::Int(1)), ("a", Value::Int(2))]
        .into_iter()
        .collect();
    assert_eq!(object.get("a"), Some(&Value::Int(2)));
    assert_eq!(object.get("b"), None);
    assert!(Value::Array(vec![object.clone(), Value::Bytes("x".into())]).has_bytes());
    assert!(!object.has_bytes());
    assert_eq!(object.to_string(), r#"{"a":1,"a":2}"#);
}

#[test]
fn numbers_are_read_exactly_where_possible() {
    let cases = [
        ("9223372036854775807", Value::Int(i64::MAX)),
        ("9223372036854775808", Value::UInt(1 << 63)),
        ("-9223372036854775808", Value::Int(i64::MIN)),
        (
            "18446744073709551616",
            Value::Float(18_446_744_073_709_551_616.0),
        ),
        ("1.0", Value::Float(1.0)),
        ("-0", Value::Float(-0.0)),
        ("1e999", Value::Float(f64::INFINITY)),
    ];
    for (text, value) in cases {
        assert_eq!(parse(text, &[]), Ok(value), "{text}");
    }
}

#[test]
fn trees_from_outside_are_not_deep() {
    let nested = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(parse(&nested(MAX_DEPTH), &[]).is_ok());
    assert_eq!(
        parse(&nested(MAX_DEPTH + 1), &[]),
        Err(ValueError::Json(crate::json::JsonError::TooDeep))
    );
}
