//! Whatever a message says of itself, it is a reply or a start, or it is told why it is neither.

#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use snorri::broker::envelope::{answer_refused, decode_reply, decode_start};
use snorri::broker::{Delivery, HeaderValue, Properties};
use snorri::saga::Time;

#[derive(Debug, Arbitrary)]
struct Message {
    kind: Option<String>,
    message_id: Option<String>,
    correlation_id: Correlation,
    reply_to: Option<String>,
    traceparent: Option<Header>,
    body: Vec<u8>,
}

/// A token of ours is long: most are made of parts that are nearly right.
#[derive(Debug, Arbitrary)]
enum Correlation {
    None,
    Any(String),
    Token { saga: u128, forward: bool, attempt: u32, step: String },
}

#[derive(Debug, Arbitrary)]
enum Header {
    Text(String),
    Integer(i64),
}

impl Correlation {
    fn text(self) -> Option<String> {
        match self {
            Self::None => None,
            Self::Any(text) => Some(text),
            Self::Token { saga, forward, attempt, step } => {
                let digits = format!("{saga:032x}");
                let parts = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]];
                let direction = if forward { 'f' } else { 'c' };
                Some(format!("{}:{direction}:{attempt}:{step}", parts.join("-")))
            }
        }
    }
}

fuzz_target!(|message: Message| {
    let header = message.traceparent.map(|header| match header {
        Header::Text(text) => HeaderValue::Text(text),
        Header::Integer(number) => HeaderValue::Integer(number),
    });
    let properties = Properties {
        kind: message.kind,
        message_id: message.message_id,
        correlation_id: message.correlation_id.text(),
        reply_to: message.reply_to,
        headers: header.into_iter().map(|value| ("traceparent".to_owned(), value)).collect(),
        ..Properties::default()
    };
    let delivery = Delivery { properties, body: message.body, ..Delivery::default() };
    if let Err(problem) = decode_reply(&delivery) {
        assert!(!problem.reason.is_empty());
    }
    match decode_start(&delivery) {
        Ok(start) => assert!(!start.definition.is_empty() && start.version != Some(0)),
        Err(problem) => assert!(!problem.reason.is_empty()),
    }
    let _ = answer_refused(&delivery.properties, "refused", "", Time(0));
});
