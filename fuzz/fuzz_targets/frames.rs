//! The AMQP client can read any message of a publisher after its repair, and the message after it.

#![no_main]

use amq_protocol::frame::{AMQPFrame, parse_frame};
use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use snorri_broker::amqp::repair::frames::Frames;

/// `basic.deliver` with an empty consumer tag.
const DELIVER: [u8; 14] = [0, 60, 0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0];
/// Class, weight and body size of a content header, and the flags of an empty message.
const EMPTY: [u8; 14] = [0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
const HEARTBEAT: [u8; 8] = [8, 0, 0, 0, 0, 0, 0, 0xce];
const MOST_BYTES: usize = 120 * 1024;

#[derive(Debug, Arbitrary)]
struct Message {
    routing_key: Vec<u8>,
    flags: u16,
    /// Valid and invalid properties.
    properties: Vec<Property>,
    bodies: Vec<Vec<u8>>,
    max_body: Option<u8>,
    chunk: u8,
}

#[derive(Debug, Arbitrary)]
enum Property {
    Any(Vec<u8>),
    Short(Vec<u8>),
    Table(Vec<Entry>),
    /// A table in a table, this many times.
    Deep(u16),
}

#[derive(Debug, Arbitrary)]
struct Entry {
    name: Vec<u8>,
    value: Value,
}

#[derive(Debug, Arbitrary)]
enum Value {
    Any(u8, Vec<u8>),
    Long(Vec<u8>),
    Table(Vec<Entry>),
    Array(Vec<Value>),
}

fn short(bytes: &[u8]) -> Vec<u8> {
    let bytes = &bytes[..bytes.len().min(255)];
    [&[bytes.len() as u8], bytes].concat()
}

fn long(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u32).to_be_bytes(), bytes].concat()
}

fn entries(entries: &[Entry]) -> Vec<u8> {
    entries.iter().flat_map(|entry| [short(&entry.name), value(&entry.value)].concat()).collect()
}

fn value(value: &Value) -> Vec<u8> {
    match value {
        Value::Any(kind, bytes) => [&[*kind], &bytes[..]].concat(),
        Value::Long(bytes) => [&b"S"[..], &long(bytes)].concat(),
        Value::Table(of) => [&b"F"[..], &long(&entries(of))].concat(),
        Value::Array(of) => [&b"A"[..], &long(&of.iter().flat_map(self::value).collect::<Vec<_>>())].concat(),
    }
}

fn property(property: &Property) -> Vec<u8> {
    match property {
        Property::Any(bytes) => bytes.clone(),
        Property::Short(bytes) => short(bytes),
        Property::Table(of) => long(&entries(of)),
        Property::Deep(levels) => {
            (0..*levels).fold(long(b""), |inner, _| long(&[b"\0F", &inner[..]].concat()))
        }
    }
}

fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    [&[kind, 0, 1], &long(payload)[..], &[0xce]].concat()
}

fuzz_target!(|message: Message| {
    let size: usize = message.bodies.iter().map(Vec::len).sum();
    let mut header = EMPTY.to_vec();
    header[4..12].copy_from_slice(&(size as u64).to_be_bytes());
    header[12..].copy_from_slice(&message.flags.to_be_bytes());
    header.extend(message.properties.iter().flat_map(property));
    header.truncate(MOST_BYTES);
    let deliver = [&DELIVER[..], b"\x01e", &short(&message.routing_key)].concat();
    let bodies: Vec<u8> = message.bodies.iter().flat_map(|body| frame(3, body)).collect();
    let stream = [
        frame(1, &deliver),
        frame(2, &header),
        HEARTBEAT.to_vec(),
        bodies,
        frame(1, &deliver),
        frame(2, &EMPTY),
    ]
    .concat();
    let max_body = message.max_body.map(usize::from);

    let through = |chunk: usize| {
        let (mut frames, mut output) = (Frames::with_max_body(max_body), Vec::new());
        for bytes in stream.chunks(chunk) {
            frames.push(bytes).expect("no frame is too long");
            let mut buffer = [0; 4096];
            while let count @ 1.. = frames.take(&mut buffer) {
                output.extend_from_slice(&buffer[..count]);
            }
        }
        output
    };
    let output = through(stream.len());
    assert_eq!(through(usize::from(message.chunk) + 1), output, "it does not matter how it is cut");

    let mut rest = &output[..];
    let (mut kinds, mut announced, mut came) = (Vec::new(), 0, 0);
    while !rest.is_empty() {
        let (after, frame) = parse_frame(rest).expect("a frame that the client reads");
        assert!(
            rest.len() - after.len() <= MOST_BYTES + 4096,
            "a frame grows by what it is to fit in at most"
        );
        rest = after;
        kinds.push(match frame {
            AMQPFrame::Method(..) => 1,
            AMQPFrame::Header(_, header) => {
                announced += header.body_size;
                2
            }
            AMQPFrame::Body(_, body) => {
                came += body.len() as u64;
                continue;
            }
            AMQPFrame::Heartbeat => 8,
            other => panic!("{other:?}"),
        });
    }
    assert_eq!(kinds, [1, 2, 8, 1, 2]);
    assert_eq!(came, announced, "the client gets the announced body");
    let is_cut = max_body.is_some_and(|max_body| size > max_body);
    assert_eq!(came, if is_cut { max_body.unwrap_or(0) + 32 } else { size } as u64);
});
