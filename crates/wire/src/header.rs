//! The headers of the messages that Snorri sends.

pub const SAGA: &str = "snorri-saga";
pub const DEFINITION: &str = "snorri-definition";
/// On a signal: a saga's business key.
pub const KEY: &str = "snorri-key";
pub const STEP: &str = "snorri-step";
/// `forward` or `compensate`.
pub const DIRECTION: &str = "snorri-direction";
/// An integer, from 1.
pub const ATTEMPT: &str = "snorri-attempt";
/// When the orchestrator stops waiting for this attempt: an integer, milliseconds since the Unix epoch.
pub const DEADLINE: &str = "snorri-deadline";
/// On a command: the exchange that its reply is to be published to, if that is not the default exchange.
pub const REPLY_EXCHANGE: &str = "snorri-reply-exchange";
/// W3C Trace Context.
pub const TRACEPARENT: &str = "traceparent";
/// On a dead letter: its reason, as a stable code and as a sentence.
pub const CODE: &str = "snorri-code";
pub const REASON: &str = "snorri-reason";
/// On a dead letter: the queue that it came from.
pub const QUEUE: &str = "snorri-queue";
/// On a dead letter: the exchange and routing key that it was published to, without which a replayed event could not be
/// decoded.
pub const EXCHANGE: &str = "snorri-exchange";
pub const ROUTING_KEY: &str = "snorri-routing-key";
/// On a dead letter: a MAC over its exchange, its routing key and its body.
pub const ORIGIN: &str = "snorri-origin";
/// On a message with malformed properties that were repaired: their names. Set by the broker's client; a publisher's value
/// is dropped.
pub const MALFORMED: &str = "snorri-malformed";
/// On a message whose body was cut: its length before. Set and dropped as the one above.
pub const CUT: &str = "snorri-cut";
/// On a dead letter whose body was cut: the length and the SHA-256 (hexadecimal) of the whole body.
pub const BODY_BYTES: &str = "snorri-body-bytes";
pub const BODY_SHA256: &str = "snorri-body-sha256";
