//! Replies of participants, right and wrong.

use serde_json::json;

use super::*;
use crate::envelope::tests::wire;
use crate::message::Properties;
use snorri_core::input::Attempt;
use snorri_core::{Direction, StepPath};

fn saga() -> SagaId {
    "018f3c9e-1111-7222-8333-444455556666".parse().expect("a saga's id")
}

fn attempt() -> Attempt {
    let step: StepPath = "pack[2]".parse().expect("a path");
    Attempt { step, direction: Direction::Compensate, number: 3 }
}

fn reply(kind: Option<&str>, body: &[u8]) -> Delivery {
    let properties = Properties {
        kind: kind.map(str::to_owned),
        correlation_id: Some(wire().correlation_id(saga(), &attempt())),
        ..Properties::default()
    };
    Delivery { properties, body: body.to_vec(), ..Delivery::default() }
}

fn decoded(delivery: &Delivery) -> DecodedReply {
    let decoded = wire().decode_reply(delivery).expect("a reply");
    assert_eq!((decoded.saga, &decoded.reply.attempt), (saga(), &attempt()));
    decoded
}

fn result(kind: &str, body: impl AsRef<[u8]>) -> ReplyResult {
    let decoded = decoded(&reply(Some(kind), body.as_ref()));
    assert!(decoded.is_readable, "{decoded:?}");
    decoded.reply.result
}

/// The problem of an undecodable reply.
fn unreadable(delivery: &Delivery) -> Problem {
    let decoded = decoded(delivery);
    assert!(!decoded.is_readable, "{decoded:?}");
    match decoded.reply.result {
        ReplyResult::Error(problem) => problem,
        other => panic!("not an error: {other:?}"),
    }
}

fn problem(code: &str, message: &str, details: Option<Value>) -> Problem {
    Problem { details, ..Problem::of_participant(code, message) }
}

/// An array in an array, this many times.
fn nested(depth: usize) -> String {
    "[".repeat(depth) + &"]".repeat(depth)
}

#[test]
fn a_success_has_its_body_as_output() {
    let success = |value| ReplyResult::Success(Arc::new(value));
    assert_eq!(result("success", r#"{"id": 7}"#), success(json!({ "id": 7 })));
    assert_eq!(result("success", ""), success(Value::Null));
    assert_eq!(result("success", "\u{feff}{}"), success(json!({})), "a byte order mark is skipped");
}

#[test]
fn a_refusal_counts_however_it_is_explained() {
    let none = "the participant gave no reason";
    let cases: [(&[u8], Problem); 19] = [
        (br#"{"code": "sold_out", "message": "none left"}"#, problem("sold_out", "none left", None)),
        (br#"{"code": "x", "details": {"n": 1}}"#, problem("x", "", Some(json!({ "n": 1 })))),
        (
            br#"{"code": "x", "details": 1, "at": 2}"#,
            problem("x", "", Some(json!({ "details": 1, "at": 2 }))),
        ),
        (br#"{"code": 42}"#, problem("unspecified", "", Some(json!({ "code": 42 })))),
        (br#"{"code": "", "message": "m"}"#, problem("unspecified", "m", None)),
        (br#"{"error": "boom"}"#, problem("unspecified", "", Some(json!({ "error": "boom" })))),
        (br#""sold out""#, problem("unspecified", "sold out", None)),
        (b"[1]", problem("unspecified", "", Some(json!([1])))),
        (b"", problem("unspecified", none, None)),
        (b" \r\n", problem("unspecified", none, None)),
        (b"\xef\xbb\xbf", problem("unspecified", none, None)),
        (b"Insufficient funds on card", problem("unspecified", "Insufficient funds on card", None)),
        (b"Kein Guthaben f\xfcr Z\xfcrich", problem("unspecified", "Kein Guthaben für Zürich", None)),
        (
            br#"{"code": "kein_guthaben", "message": "f"#,
            problem("unspecified", r#"{"code": "kein_guthaben", "message": "f"#, None),
        ),
        (b"{\"code\": \"kein_guthaben\", \"message\": \"f\xfcr\"}", problem("kein_guthaben", "für", None)),
        (b"\xac\xed\x00\x05t\x00", problem("unspecified", "\u{fffd}\u{fffd}\\u{0}\\u{5}t\\u{0}", None)),
        (b"no\x1b[2J", problem("unspecified", "no\\u{1b}[2J", None)),
        (b"caf\xe9", problem("unspecified", "café", None)),
        (br#"{"code": "a\u0000b"}"#, problem("a\\u{0}b", "", None)),
    ];
    for (body, problem) in cases {
        let shown = String::from_utf8_lossy(body);
        assert_eq!(result("failure", body), ReplyResult::Failure(problem.clone()), "{shown}");
        assert_eq!(result("error", body), ReplyResult::Error(problem), "{shown}");
    }
}

#[test]
fn a_refusal_counts_however_long_it_is_explained() {
    let message = |body: String| match result("failure", &body) {
        ReplyResult::Failure(Problem { code, message, details: None }) if code.as_str() == "unspecified" => {
            message
        }
        other => panic!("{other:?}"),
    };
    let long = message("ä".repeat(MAX_PAYLOAD_BYTES));
    assert_eq!(long, "ä".repeat(MAX_MESSAGE_CHARS) + "…");
    assert!(message(nested(10_000)).starts_with("[[[["), "too deep for JSON");
    let cut = message(format!("x{}", "ä".repeat(4 * MAX_MESSAGE_CHARS)));
    assert_eq!(cut, format!("x{}…", "ä".repeat(MAX_MESSAGE_CHARS - 1)), "no character is cut in two");
    let ReplyResult::Failure(problem) = result("failure", json!({ "code": "c".repeat(9_999) }).to_string())
    else {
        panic!("not a failure");
    };
    assert_eq!(problem.code.as_str().len(), MAX_CODE_BYTES);
}

#[test]
fn a_compressed_refusal_is_one() {
    let mut delivery = reply(Some("failure"), b"\x1f\x8b\x08\x00");
    for encoding in ["gzip", "GZIP", "gzip:UTF-8", "gzip, utf-8"] {
        delivery.properties.content_encoding = Some(encoding.to_owned());
        let ReplyResult::Failure(problem) = decoded(&delivery).reply.result else { panic!("not a failure") };
        assert!(problem.message.contains("compressed (`gzip`)"), "{problem:?}");
    }
}

#[test]
fn a_reply_that_cannot_be_read_is_an_error_with_the_reason() {
    let encoded = |encoding: &str| {
        let mut delivery = reply(Some("success"), b"{}");
        delivery.properties.content_encoding = Some(encoding.to_owned());
        delivery
    };
    let java = || {
        let mut delivery = reply(Some("success"), b"\xac\xed\x00\x05");
        delivery.properties.content_type = Some("application/x-java-serialized-object".to_owned());
        delivery
    };
    let cases = [
        (reply(None, b"{}"), "no `type`: set it to `success`, `failure` or `error`"),
        (reply(Some(""), b"{}"), "no `type`: set it to"),
        (reply(Some("done"), b"{}"), "`done` is not the `type` of a reply: set it to `success`"),
        (reply(Some("do\0ne"), b"{}"), "`do\\u{0}ne` is not the `type`"),
        (reply(Some("Success"), b"{}"), "is `Success`: write it in lower case"),
        (reply(Some("FAILURE"), b"no"), "is `FAILURE`: write it in lower case"),
        (reply(Some("success"), b"{]"), "not JSON (line 1, column 2): send UTF-8 encoded JSON"),
        (reply(Some("success"), b"\"\xff\""), "send UTF-8 encoded JSON"),
        (reply(Some("success"), nested(10_000).as_bytes()), "nests deeper than 64 levels"),
        (encoded("gzip"), "compressed (`content_encoding` is `gzip`): send it uncompressed"),
        (encoded("deflate:utf-8"), "compressed (`content_encoding` is `deflate`)"),
        (java(), "(the `content_type` is `application/x-java-serialized-object`)"),
    ];
    for (delivery, reason) in cases {
        let problem = unreadable(&delivery);
        assert!(problem.is(ProblemCode::UnreadableReply), "{problem:?}");
        assert!(problem.message.contains(reason), "{problem:?}");
    }
    for charset in ["UTF-8", "utf8", "binary", "identity", ""] {
        assert!(decoded(&encoded(charset)).is_readable, "{charset}");
    }
}

#[test]
fn an_oversized_success_is_an_error() {
    let fits = format!("\"{}\"", "x".repeat(MAX_PAYLOAD_BYTES - 2));
    assert!(matches!(result("success", &fits), ReplyResult::Success(_)));
    let problem = unreadable(&reply(Some("success"), format!("{fits} ").as_bytes()));
    assert!(problem.is(ProblemCode::PayloadTooLarge), "{problem:?}");
    assert!(problem.message.contains("262145 bytes: send at most 262144"), "{problem:?}");
}

#[test]
fn an_invalid_reply_is_rejected_with_a_remedy() {
    let correlated_with = |correlation_id: Option<&str>| Delivery {
        properties: Properties {
            kind: Some("success".to_owned()),
            correlation_id: correlation_id.map(str::to_owned),
            ..Properties::default()
        },
        ..Delivery::default()
    };
    let computed = format!("{}:f:1:ship", saga());
    let cases = [
        (None, "undecodable", "no `correlation_id`: echo the `correlation_id` of the command"),
        (Some("4711"), "undecodable", "not one that Snorri sent with a command: echo"),
        (Some(&*computed), "forged", "was not made with a key of this installation"),
    ];
    for (correlation_id, code, reason) in cases {
        let error = wire().decode_reply(&correlated_with(correlation_id)).expect_err("no reply");
        assert_eq!(error.code, code);
        assert!(error.reason.contains(reason), "{error}");
    }
}

#[test]
fn a_reply_with_a_malformed_property_is_an_error_unless_it_refuses() {
    let malformed = |kind| Delivery {
        malformed: Some("app_id".to_owned()),
        ..reply(Some(kind), br#"{"code": "sold_out"}"#)
    };
    let problem = unreadable(&malformed("success"));
    assert!(problem.message.contains("app_id"), "{problem:?}");
    assert!(matches!(decoded(&malformed("failure")).reply.result, ReplyResult::Failure(_)));
}
