use bytes::Bytes;
use proptest::prelude::*;

use crate::value::{self, MAX_DEPTH, Value};

use super::*;

proptest! {
    #[test]
    fn values_survive(value in value::arbitrary()) {
        let bytes = Bytes::from(encode(&value));
        prop_assert_eq!(decode(&bytes).unwrap(), value);
        let mut reader = Reader::new(&bytes);
        skip(&mut reader).unwrap();
        prop_assert!(reader.rest().is_empty());
    }

    #[test]
    fn arbitrary_bytes_do_no_harm(bytes in any::<Vec<u8>>()) {
        let bytes = Bytes::from(bytes);
        let skipped = skip(&mut Reader::new(&bytes));
        if let Ok(value) = decode(&bytes) {
            prop_assert_eq!(skipped, Ok(()));
            prop_assert!(decode(&encode(&value).into()).is_ok());
        }
    }

    #[test]
    fn a_cut_value_is_an_error(value in value::arbitrary(), cut in any::<prop::sample::Index>()) {
        let bytes = Bytes::from(encode(&value));
        let bytes = bytes.slice(..cut.index(bytes.len()));
        prop_assert_eq!(decode(&bytes), Err(MessagePackError::Truncated));
        prop_assert_eq!(skip(&mut Reader::new(&bytes)), Err(MessagePackError::Truncated));
    }

    #[test]
    fn payloads_and_values_are_written_alike(
        values in prop::collection::vec(value::arbitrary(), 0..20)
    ) {
        let payload = crate::payload::Payload::from_values(&values);
        let mut direct = Vec::new();
        write_payload(&mut direct, &payload);
        prop_assert_eq!(&direct, &encode(&Value::Array(values)));
        direct.extend_from_slice(b"rest");
        let (read, rest) = decode_payload(&direct.into()).unwrap();
        prop_assert_eq!((read, &rest[..]), (payload, &b"rest"[..]));
    }
}

#[test]
fn values_take_their_shortest_form() {
    let cases: [(Value, &[u8]); 22] = [
        (Value::Null, b"\xc0"),
        (false.into(), b"\xc2"),
        (true.into(), b"\xc3"),
        (0.into(), b"\x00"),
        (127.into(), b"\x7f"),
        (128.into(), b"\xcc\x80"),
        (255.into(), b"\xcc\xff"),
        (256.into(), b"\xcd\x01\x00"),
        (65_536.into(), b"\xce\x00\x01\x00\x00"),
        ((1u64 << 32).into(), b"\xcf\x00\x00\x00\x01\x00\x00\x00\x00"),
        (u64::MAX.into(), b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff"),
        ((-1).into(), b"\xff"),
        ((-32).into(), b"\xe0"),
        ((-33).into(), b"\xd0\xdf"),
        ((-129).into(), b"\xd1\xff\x7f"),
        ((-32_769).into(), b"\xd2\xff\xff\x7f\xff"),
        (i64::MIN.into(), b"\xd3\x80\x00\x00\x00\x00\x00\x00\x00"),
        (0.5.into(), b"\xcb\x3f\xe0\x00\x00\x00\x00\x00\x00"),
        ("é".into(), b"\xa2\xc3\xa9"),
        (Bytes::from_static(b"\x01").into(), b"\xc4\x01\x01"),
        (Value::Array(vec![1.into()]), b"\x91\x01"),
        (
            Value::Object(vec![("a".into(), 1.into())]),
            b"\x81\xa1a\x01",
        ),
    ];
    for (value, bytes) in cases {
        assert_eq!(encode(&value), bytes, "{value:?}");
    }
    for (len, tag) in [(31, 0xbf), (32, 0xd9), (256, 0xda), (65_536, 0xdb)] {
        assert_eq!(encode(&"x".repeat(len).into())[0], tag);
    }
    for (len, tag) in [(255, 0xc4), (256, 0xc5), (65_536, 0xc6)] {
        assert_eq!(encode(&Bytes::from(vec![0; len]).into())[0], tag);
    }
    for (len, tag) in [(15, 0x9f), (16, 0xdc), (65_536, 0xdd)] {
        assert_eq!(encode(&Value::Array(vec![Value::Null; len]))[0], tag);
    }
    for (len, tag) in [(15, 0x8f), (16, 0xde), (65_536, 0xdf)] {
        let members = vec![(String::new(), Value::Null); len];
        assert_eq!(encode(&Value::Object(members))[0], tag);
    }
}

#[test]
fn what_javascript_writes_is_understood() {
    let read = |bytes: &'static [u8]| decode(&Bytes::from_static(bytes));
    let bin = |bytes: &'static [u8]| Value::Bytes(Bytes::from_static(bytes));
    let cases: [(&[u8], Value); 9] = [
        // `undefined` alone, in an array and in an object
        (b"\xd4\x00\x00", Value::Null),
        (
            b"\x92\xd4\x00\x00\x01",
            Value::Array(vec![Value::Null, 1.into()]),
        ),
        (
            b"\x82\xa1a\xd4\x00\x00\xa1b\xc0",
            Value::Object(vec![("b".into(), Value::Null)]),
        ),
        // dates of both versions of notepack
        (
            b"\xd7\x00\0\0\0\0\0\0\0\x01",
            "1970-01-01T00:00:00.001Z".into(),
        ),
        (b"\xd6\xff\0\0\0\x01", "1970-01-01T00:00:01.000Z".into()),
        // an unknown extension
        (b"\xc7\x02\x05ab", Value::Array(vec![5.into(), bin(b"ab")])),
        // numbers as keys
        (
            b"\x82\x07\x01\xff\x02",
            Value::Object(vec![("7".into(), 1.into()), ("-1".into(), 2.into())]),
        ),
        (b"\xca\x3f\x00\x00\x00", 0.5.into()),
        // a lone surrogate in the encoding of notepack
        (b"\xa3\xed\xa0\x80", "\u{fffd}\u{fffd}\u{fffd}".into()),
    ];
    for (bytes, value) in cases {
        assert_eq!(read(bytes), Ok(value), "{bytes:x?}");
    }
    assert_eq!(read(b"\xc1"), Err(MessagePackError::Invalid));
    assert_eq!(read(b"\x01\x01"), Err(MessagePackError::Invalid));
    assert_eq!(read(b"\x81\x90\x01"), Err(MessagePackError::Invalid));
}

#[test]
fn claimed_lengths_reserve_nothing() {
    for tag in [0xdd, 0xdf, 0xc6, 0xc9, 0xdb] {
        let bytes = Bytes::from(vec![tag, 0xff, 0xff, 0xff, 0xff, 0xc0]);
        assert!(decode(&bytes).is_err());
        assert_eq!(
            skip(&mut Reader::new(&bytes)),
            Err(MessagePackError::Truncated)
        );
        assert!(decode_payload(&bytes).is_err());
    }
}

#[test]
fn nesting_is_limited() {
    let nested = |depth: usize| Bytes::from([vec![0x91; depth], vec![0xc0]].concat());
    assert!(decode(&nested(MAX_DEPTH)).is_ok());
    assert_eq!(
        decode(&nested(MAX_DEPTH + 1)),
        Err(MessagePackError::TooDeep)
    );
    assert_eq!(decode(&nested(1_000_000)), Err(MessagePackError::TooDeep));
    assert_eq!(
        decode_payload(&nested(1_000_000)),
        Err(MessagePackError::TooDeep)
    );
    let input = nested(1_000_000);
    assert_eq!(skip(&mut Reader::new(&input)), Ok(()));
    // From JSON any depth goes.
    let json = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let mut out = Vec::new();
    write_json(&mut out, &json, &[]);
    assert_eq!(out.len(), 10_000);
}
