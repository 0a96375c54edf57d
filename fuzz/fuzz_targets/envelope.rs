//! Any message is a reply or a start, or it is refused with a reason.

#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use snorri_core::input::Attempt;
use snorri_core::{Direction, SagaId, StepPath, Time};
use snorri_ports::broker::{Delivery, HeaderValue, Properties};
use snorri_wire::envelope::{Key, Keyring, SECRET_BYTES, Wire, answer_refused, decode_start};
use snorri_wire::topology::Names;

#[derive(Debug, Arbitrary)]
struct Message {
    kind: Option<String>,
    message_id: Option<String>,
    correlation_id: Correlation,
    reply_to: Option<String>,
    traceparent: Option<Header>,
    body: Vec<u8>,
}

/// A correlation token is long: most are made of parts that are nearly right, and some are valid.
#[derive(Debug, Arbitrary)]
enum Correlation {
    None,
    Any(String),
    Token { code: u128, saga: u128, forward: bool, attempt: u32, step: String },
    Signed { saga: u128, attempt: u32 },
}

#[derive(Debug, Arbitrary)]
enum Header {
    Text(String),
    Integer(i64),
}

impl Correlation {
    fn text(self, wire: &Wire) -> Option<String> {
        match self {
            Self::None => None,
            Self::Any(text) => Some(text),
            Self::Token { code, saga, forward, attempt, step } => {
                let direction = if forward { 'f' } else { 'c' };
                Some(format!("{code:032x}:{}:{direction}:{attempt}:{step}", uuid(saga)))
            }
            Self::Signed { saga, attempt } => {
                let step = StepPath::new("ship");
                let attempt = Attempt { step, direction: Direction::Forward, number: attempt.max(1) };
                let saga: SagaId = uuid(saga).parse().expect("a UUID");
                Some(wire.correlation_id(saga, &attempt))
            }
        }
    }
}

fn uuid(number: u128) -> String {
    let digits = format!("{number:032x}");
    [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
}

fuzz_target!(|message: Message| {
    let wire = Wire::new(Names::new("snorri"), Keyring::new(Key::new(&[7; SECRET_BYTES]).into()));
    let is_ours = matches!(message.correlation_id, Correlation::Signed { .. });
    let header = message.traceparent.map(|header| match header {
        Header::Text(text) => HeaderValue::Text(text),
        Header::Integer(number) => HeaderValue::Integer(number),
    });
    let properties = Properties {
        kind: message.kind,
        message_id: message.message_id,
        correlation_id: message.correlation_id.text(&wire),
        reply_to: message.reply_to,
        headers: header.into_iter().map(|value| ("traceparent".to_owned(), value)).collect(),
        ..Properties::default()
    };
    let delivery = Delivery { properties, body: message.body, ..Delivery::default() };
    match wire.decode_reply(&delivery) {
        Ok(_) => assert!(is_ours),
        Err(problem) => assert!(!is_ours && !problem.reason.is_empty()),
    }
    match decode_start(&delivery) {
        Ok(start) => assert!(!start.definition.is_empty() && start.version != Some(0)),
        Err(problem) => assert!(!problem.reason.is_empty()),
    }
    let _ = answer_refused(&delivery.properties, "refused", "", None, Time(0));
});
