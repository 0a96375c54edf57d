//! Tests of reading: accepted text, refused text, and the place of the error.

use serde_json::json;

use super::*;

const LIMITS: Limits = Limits { bytes: 1_000, depth: 4 };

fn refused(text: &str) -> (String, &'static str) {
    let error = read(text.as_bytes(), LIMITS).expect_err(text);
    (error.path, error.reason.code())
}

fn at(path: &str, code: &'static str) -> (String, &'static str) {
    (path.to_owned(), code)
}

#[test]
fn what_is_exact_is_read() {
    let text = r#"{"a": [1, -2.50, 1e3, "\"{[:12345678901234567890.5"], "b": {"a": null}, "c": true}"#;
    assert_eq!(
        read(text.as_bytes(), LIMITS),
        Ok(json!({"a": [1, -2.5, 1e3, "\"{[:12345678901234567890.5"], "b": {"a": null}, "c": true}))
    );
    assert_eq!(read(b"\xef\xbb\xbf{\"a\": 1}", LIMITS), Ok(json!({"a": 1})), "a byte order mark is skipped");
    assert_eq!(read(b" [[[[]]]] ", LIMITS), Ok(json!([[[[]]]])));
}

#[test]
fn inexact_numbers_are_refused_with_their_place() {
    assert_eq!(refused("340282366920938463463"), at("", "inexact_number"));
    assert_eq!(refused(r#"{"a": {"b/c": [1, {"~": 1e400}]}}"#), at("/a/b~1c/1/~0", "inexact_number"));
    assert_eq!(
        refused(r#"{"x": [2, 3], "y": {"a": 1}, "z": -0.1000000000000000055}"#),
        at("/z", "inexact_number")
    );
}

#[test]
fn what_nests_too_deep_is_refused_with_its_place() {
    assert_eq!(refused("[[[[[1]]]]]"), at("/0/0/0/0", "too_deep"));
    assert_eq!(refused(&"[".repeat(400)), at("", "invalid_json"), "and is never closed");
    assert_eq!(refused(&format!("{}1{}", "[".repeat(400), "]".repeat(400))), at("/0/0/0/0", "too_deep"));
}

#[test]
fn no_member_is_lost() {
    assert_eq!(refused(r#"{"a": 1, "b": [{"c": 1, "d": {"c": 2}, "c": 3}]}"#), at("/b/0/c", "repeated_key"));
    assert_eq!(refused(r#"{"a": 1, "\u0061": 2}"#), at("/a", "repeated_key"), "however it is written");
    assert!(read(br#"{"a": {"a": {"a": ["a", "a"]}}}"#, LIMITS).is_ok());
}

#[test]
fn what_is_no_json_is_refused_as_that() {
    for text in ["", "{", "{} {}", "[1,]", "01", "nul", "\u{feff}\u{feff}1", "{\"a\": 1e400", "'a'"] {
        assert_eq!(refused(text), at("", "invalid_json"), "{text}");
    }
    let error = read(b"{\n\"a\": \"\xff\"}", LIMITS).expect_err("no UTF-8");
    assert_eq!(error.reason, Reason::Syntax { line: 2, column: 7 });
}

#[test]
fn errors_say_where_and_what_to_do() {
    let error = read(br#"{"amount": 1e400}"#, LIMITS).expect_err("inexact").to_string();
    assert!(error.starts_with("`/amount`: this number cannot be kept exactly"), "{error}");
    assert!(error.ends_with("send it as a string"), "{error}");
    let long = format!(r#"{{"{}\u0000\u202e": 1e400}}"#, "x".repeat(150));
    let error = read(long.as_bytes(), LIMITS).expect_err("inexact");
    assert!(error.path.ends_with("x\\u{0}\\u{202e}"), "{error}");
    let long = format!(r#"{{"{}": 1e400}}"#, "x".repeat(500));
    assert_eq!(read(long.as_bytes(), LIMITS).expect_err("inexact").path.chars().count(), MAX_POINTER);
    let large = read(&[b' '; 1_001], LIMITS).expect_err("large");
    assert_eq!(large.reason, Reason::TooLarge { bytes: 1_001, most: 1_000 });
}

#[test]
fn values_made_inside_are_checked() {
    let value = json!({"a": [1, {"b": [2]}]});
    assert_eq!(check(&value, LIMITS), Ok(()));
    let error = check(&value, Limits { depth: 3, ..LIMITS }).expect_err("deep");
    assert_eq!((error.path.as_str(), error.reason), ("/a/1/b", Reason::TooDeep { most: 3 }));
    let error = check(&value, Limits { bytes: 18, ..LIMITS }).expect_err("large");
    assert_eq!(error.reason, Reason::TooLarge { bytes: 19, most: 18 });
}
