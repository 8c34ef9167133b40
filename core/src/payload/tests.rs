use std::collections::{BTreeMap, HashMap};

use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::*;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Picture {
    name: String,
    data: Bytes,
    size: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Point(f64, f64);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Shape {
    Dot,
    Circle(f64),
    Line(Point, Point),
    Image { data: Bytes },
}

fn event(data: &(impl Serialize + ?Sized)) -> String {
    Payload::event("e", data).unwrap().json().to_string()
}

#[test]
fn tuples_are_several_arguments_and_unit_none() {
    assert_eq!(event(&()), r#"["e"]"#);
    assert_eq!(event("a"), r#"["e","a"]"#);
    assert_eq!(event(&1), r#"["e",1]"#);
    assert_eq!(event(&(1, "two", [3.5])), r#"["e",1,"two",[3.5]]"#);
    assert_eq!(event(&((1, 2),)), r#"["e",[1,2]]"#);
    assert_eq!(event(&vec![1, 2]), r#"["e",[1,2]]"#);
    assert_eq!(event(&[1, 2]), r#"["e",1,2]"#);
    assert_eq!(event(&None::<(i32, i32)>), r#"["e",null]"#);
    assert_eq!(event(&Some((1, 2))), r#"["e",[1,2]]"#);
    assert_eq!(event(&Point(1.0, 2.5)), r#"["e",[1.0,2.5]]"#);
    assert_eq!(event(&Shape::Dot), r#"["e","Dot"]"#);
    assert_eq!(event(&f64::NAN), r#"["e",null]"#);
    assert_eq!(Payload::args(&("a", 1)).unwrap().json(), r#"["a",1]"#);
    assert_eq!(Payload::args(&()).unwrap().json(), "[]");
    assert_eq!(Payload::args(&()).unwrap(), Payload::empty());
    let raw = serde_json::value::RawValue::from_string(r#"{"b":1,  "a":2}"#.to_owned()).unwrap();
    assert_eq!(event(&raw), r#"["e",{"b":1,  "a":2}]"#);
}

#[test]
fn bytes_become_attachments_in_the_order_of_their_placeholders() {
    let first = Bytes::from_static(b"one");
    let picture = Picture {
        name: "x".into(),
        data: Bytes::from_static(b"two"),
        size: None,
    };
    let payload = Payload::event("e", &(first, &picture)).unwrap();
    assert_eq!(
        payload.json(),
        r#"["e",{"_placeholder":true,"num":0},{"name":"x","data":{"_placeholder":true,"num":1},"size":null}]"#
    );
    assert_eq!(payload.attachments(), ["one".as_bytes(), b"two"]);
    assert_eq!(payload.len(), payload.json().len() + 6);
    let (bytes, read): (Bytes, Picture) = payload.deserialize_args(true).unwrap();
    assert_eq!((&bytes[..], read), (&b"one"[..], picture));
}

#[test]
fn what_cannot_be_serialized_is_an_error() {
    let keys_that_are_no_text = HashMap::from([((1, 2), 3)]);
    assert!(Payload::event("e", &keys_that_are_no_text).is_err());
    assert!(Payload::event("e", &(1, &keys_that_are_no_text)).is_err());
}

#[test]
fn placeholders_cannot_be_forged() {
    let relayed = serde_json::json!({"_placeholder": true, "num": 9});
    let raw = r#"{"_\u0070laceholder":true,"num":0}"#.to_owned();
    let raw = serde_json::value::RawValue::from_string(raw).unwrap();
    let bytes = Bytes::from_static(b"x");
    assert!(Payload::event("e", &(&relayed, &bytes)).is_err());
    assert!(Payload::event("e", &(&bytes, &raw)).is_err());
    // Without bytes they are plain objects, for every recipient.
    assert!(Payload::event("e", &(&relayed, &raw)).is_ok());
}

fn args<T: DeserializeOwned>(json: &'static str) -> Result<T, ValueError> {
    Payload::from_json(json.into(), Vec::new())
        .unwrap()
        .deserialize_args(true)
}

#[test]
fn arguments_are_read_as_they_are_written() {
    assert_eq!(args::<i32>(r#"["e",1,2]"#), Ok(1));
    assert_eq!(
        args::<(i32, String)>(r#"["e" , 1 , "x", 7 ]"#),
        Ok((1, "x".into()))
    );
    assert_eq!(args::<(i32, Option<String>)>(r#"["e",1]"#), Ok((1, None)));
    assert_eq!(args::<()>(r#"["e",1]"#), Ok(()));
    assert_eq!(args::<Option<i32>>(r#"["e"]"#), Ok(None));
    assert_eq!(args::<Vec<i32>>(r#"["e",[1,2]]"#), Ok(vec![1, 2]));
    assert_eq!(args::<Point>(r#"["e",[1,2.5]]"#), Ok(Point(1.0, 2.5)));
    assert_eq!(
        args::<Shape>(r#"["e",{"Circle":1}]"#),
        Ok(Shape::Circle(1.0))
    );
    assert_eq!(args::<String>(r#"["e","\ud800!"]"#), Ok("\u{fffd}!".into()));
    assert!(args::<i32>(r#"["e"]"#).is_err());
    assert!(args::<(i32, i32)>(r#"["e",1,"x"]"#).is_err());
    assert!(args::<String>(r#"["e",1]"#).is_err());
    let numbers: BTreeMap<u8, bool> = args(r#"["e",{"1":true,"2":false}]"#).unwrap();
    assert_eq!(numbers, BTreeMap::from([(1, true), (2, false)]));
    let payload = Payload::args(&("a", 1)).unwrap();
    assert_eq!(
        payload.deserialize_args::<(String, u8)>(false),
        Ok(("a".into(), 1))
    );
}

#[test]
fn types_are_read_alike_with_and_without_attachments() {
    fn check<T: Serialize + DeserializeOwned + PartialEq + fmt::Debug>(data: &T) {
        let plain = Payload::event("e", &(data,)).unwrap();
        assert_eq!(&plain.deserialize_args::<(T,)>(true).unwrap().0, data);
        let binary = Payload::event("e", &(data, Bytes::from_static(b"x"))).unwrap();
        assert!(!binary.attachments().is_empty());
        let read: (T, Bytes) = binary.deserialize_args(true).unwrap();
        assert_eq!((&read.0, &read.1[..]), (data, &b"x"[..]));
        assert_eq!(&binary.deserialize_args::<(T,)>(true).unwrap().0, data);
    }
    check(&HashMap::from([(1u64, 'x'), (2, 'y')]));
    check(&BTreeMap::from([(-1i8, Some(1.5f32)), (2, None)]));
    check(&BTreeMap::from([(true, 1)]));
    check(&vec![
        Shape::Dot,
        Shape::Circle(1.0),
        Shape::Line(Point(0.5, 1.0), Point(2.0, 3.0)),
    ]);
    check(&u64::MAX);
    check(&i64::MIN);
    check(&(1, "a".to_owned(), ((), None::<u8>)));
    check(&serde_json::json!({"a": [1, null, {"b": "c"}], "": 0.25}));
    check(&Value::Object(vec![
        ("z".into(), Value::Null),
        ("a".into(), Value::Bytes("b".into())),
    ]));
    check(&Shape::Image {
        data: Bytes::from_static(b"image"),
    });
}

#[test]
fn names_of_events_are_texts_or_numbers() {
    let name = |json: &'static str| {
        let payload = Payload::from_json(json.into(), Vec::new()).unwrap();
        payload.event_name().map(Cow::into_owned)
    };
    assert_eq!(name(r#"["chat",1]"#).as_deref(), Some("chat"));
    assert_eq!(name(r#"[ "c\u0068at"]"#).as_deref(), Some("chat"));
    assert_eq!(name("[42]").as_deref(), Some("42"));
    assert_eq!(name("[]"), None);
    assert_eq!(name("[[]]"), None);
    assert_eq!(name(r#"[{"toString":"foo"}]"#), None);
}

#[test]
fn json_from_outside_is_checked() {
    let check = |json: &'static str, attachments| Payload::from_json(json.into(), attachments);
    let attachment = || vec![Bytes::from_static(b"x")];
    assert!(check("{}", Vec::new()).is_err());
    assert!(check("[1", Vec::new()).is_err());
    assert!(check(r#"[{"_placeholder":true,"num":1}]"#, attachment()).is_err());
    assert!(check(r#"[{"_placeholder":true}]"#, attachment()).is_err());
    assert!(check(r#"[{"num":0,"_placeholder":true}]"#, attachment()).is_ok());
    let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
    assert!(Payload::from_json(deep.into(), Vec::new()).is_err());
    // Without attachments nothing is a placeholder.
    let plain = check(r#"[{"_placeholder":true,"num":0}]"#, Vec::new()).unwrap();
    assert!(plain.to_values().unwrap()[0].as_object().is_some());
}

proptest! {
    #[test]
    fn values_survive(values in prop::collection::vec(value::arbitrary(), 0..5)) {
        let payload = Payload::from_values(&values);
        prop_assert_eq!(&payload.to_values().unwrap(), &values);
        // The way through serde yields the same.
        let mut list = vec![Value::from("e")];
        list.extend(values.clone());
        let serialized = Payload::args(&(list,)).unwrap();
        let read: (Vec<Value>,) = serialized.deserialize_args(false).unwrap();
        prop_assert_eq!(&read.0[1..], &values);
    }
}

#[test]
fn tail_keeps_text_and_attachments() {
    let read = |json: &'static str, count| {
        let payload = Payload::from_json(json.into(), Vec::new()).unwrap();
        payload.tail(count).unwrap().json().to_string()
    };
    assert_eq!(
        read(r#"["e", 1.0 ,"\ud800",{"a":[]}]"#, 1),
        r#"[1.0 ,"\ud800",{"a":[]}]"#
    );
    assert_eq!(read(r#"[{"a":{}},{"b":1},2]"#, 2), "[2]");
    assert_eq!(read(r#"["e"]"#, 1), "[]");
    assert_eq!(read(r#"["e"]"#, 5), "[]");
    assert_eq!(read("[]", 1), "[]");
    assert_eq!(read("[1]", 0), "[1]");

    let (one, two) = (Bytes::from_static(b"1"), Bytes::from_static(b"2"));
    let payload = Payload::event("e", &(&one, "x", &two)).unwrap();
    let tail = payload.tail(1).unwrap();
    assert_eq!(tail.attachments(), [one.clone(), two.clone()]);
    assert_eq!(tail, Payload::args(&(&one, "x", &two)).unwrap());
    assert_eq!(
        payload.tail(2).unwrap(),
        Payload::args(&("x", &two)).unwrap()
    );
    assert!(payload.tail(4).unwrap().attachments().is_empty());
}
