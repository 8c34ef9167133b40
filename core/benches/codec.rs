//! What one message costs on its way in and on its way out.

use std::hint::black_box;

use bytes::Bytes;
use bytestring::ByteString;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use socketio_core::engine::Revision;
use socketio_core::engine::payload::{PayloadDecoder, PayloadEncoder};
use socketio_core::frame::FrameOptions;
use socketio_core::packet::{DecodeLimits, Packet, PacketDecoder, ParserKind};
use socketio_core::payload::Payload;
use socketio_core::value::Value;
use socketio_core::websocket::{FrameDecoder, OpCode, Role, frame};

/// A chat message: the size that most events have.
fn chat() -> Payload {
    let message = Value::from_iter([
        ("room", Value::from("general")),
        ("from", Value::from("a9f3c2d1-7b55-4e0f-9a51")),
        (
            "text",
            Value::from("Shall we meet at the station at half past nine?"),
        ),
        ("at", Value::from(1_795_245_155_923_u64)),
    ]);
    Payload::from_values(&["chat message".into(), message])
}

fn binary() -> Payload {
    let image = Value::Bytes(vec![0x5a; 4096].into());
    Payload::from_values(&["image".into(), "cat.png".into(), image])
}

fn options() -> FrameOptions {
    FrameOptions { compress: true }
}

fn encode(c: &mut Criterion) {
    let mut group = c.benchmark_group("encode");
    for (name, parser) in [
        ("json", ParserKind::Json),
        ("msgpack", ParserKind::MessagePack),
    ] {
        for (kind, payload) in [("chat", chat()), ("binary 4 KiB", binary())] {
            group.throughput(Throughput::Bytes(payload.len() as u64));
            group.bench_function(format!("{name}: {kind} to a shared frame"), |b| {
                b.iter(|| parser.encode_event("/", None, black_box(&payload), options()));
            });
        }
    }
    group.throughput(Throughput::Elements(1));
    group.bench_function("typed data to a payload", |b| {
        let data = ("general", 42, [1.5, 2.5], Some("text"));
        b.iter(|| Payload::event("event", black_box(&data)));
    });
    let shared = ParserKind::Json.encode_event("/", None, &chat(), options());
    group.bench_function("polling payload of 16 chats", |b| {
        b.iter(|| {
            let mut payload = PayloadEncoder::new(Revision::V4, true);
            (0..16).for_each(|_| shared.write_payload(&mut payload));
            payload.finish()
        });
    });
    group.finish();
}

fn decode(c: &mut Criterion) {
    let mut group = c.benchmark_group("decode");
    let text = ByteString::from(format!("2{}", chat().json()));
    group.throughput(Throughput::Bytes(text.len() as u64));
    group.bench_function("json: chat", |b| {
        let mut decoder =
            PacketDecoder::new(ParserKind::Json, Revision::V4, DecodeLimits::default());
        b.iter(|| decoder.handle_text(black_box(text.clone())));
    });
    group.bench_function("json: chat, with its arguments as a value", |b| {
        let payload = chat();
        b.iter(|| black_box(&payload).to_values());
    });
    let frame_of_chat = ParserKind::MessagePack.encode_event("/", None, &chat(), options());
    let packed: Vec<Bytes> = frame_of_chat
        .attachments()
        .map(Bytes::copy_from_slice)
        .collect();
    if let [packed] = &packed[..] {
        group.throughput(Throughput::Bytes(packed.len() as u64));
        group.bench_function("msgpack: chat", |b| {
            let limits = DecodeLimits::default();
            let mut decoder = PacketDecoder::new(ParserKind::MessagePack, Revision::V4, limits);
            b.iter(|| decoder.handle_binary(black_box(packed.clone())));
        });
    }

    // Masked, as clients send; one read of 16 messages.
    let mask = Some([0x12, 0x34, 0x56, 0x78]);
    let one = frame(OpCode::Text, format!("4{text}").as_bytes(), mask);
    let read: Vec<u8> = one.repeat(16);
    group.throughput(Throughput::Bytes(read.len() as u64));
    group.bench_function("websocket: a read of 16 chats", |b| {
        let mut decoder = FrameDecoder::new(Role::Server, 1_000_000);
        b.iter_batched_ref(
            || read.clone(),
            |read| {
                let mut rest = &mut read[..];
                let mut messages = 0;
                while let Ok(decoded) = decoder.decode(rest)
                    && black_box(&decoded.event).is_some()
                {
                    rest = &mut rest[decoded.consumed..];
                    messages += 1;
                }
                assert_eq!(messages, 16);
            },
            BatchSize::SmallInput,
        );
    });
    let mut large = frame(OpCode::Binary, &vec![1; 1 << 20], mask).to_vec();
    group.throughput(Throughput::Bytes(large.len() as u64));
    group.bench_function("websocket: a message of 1 MiB", |b| {
        let mut decoder = FrameDecoder::new(Role::Server, 2 << 20);
        // Unmasking a second time masks again, which costs the same.
        b.iter(|| decoder.decode(black_box(&mut large)));
    });

    let mut payload = PayloadEncoder::new(Revision::V4, true);
    (0..16).for_each(|_| payload.push_text(&format!("4{text}")));
    let body = payload.finish().body;
    group.throughput(Throughput::Bytes(body.len() as u64));
    group.bench_function("polling payload of 16 chats", |b| {
        b.iter(|| PayloadDecoder::new(Revision::V4, black_box(body.clone()), false).count());
    });
    group.throughput(Throughput::Bytes(text.len() as u64));
    group.bench_function("json: chat, and the name of the event", |b| {
        let mut decoder =
            PacketDecoder::new(ParserKind::Json, Revision::V4, DecodeLimits::default());
        b.iter(|| match decoder.handle_text(text.clone()) {
            Ok(Some(Packet::Event { payload, .. })) => payload.event_name().map(|n| n.len()),
            _ => None,
        });
    });
    group.finish();
}

criterion_group!(benches, encode, decode);
criterion_main!(benches);
