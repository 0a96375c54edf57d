//! Formats values as YAML: on one line, with quotes only where they are needed.

use serde_json::Value;

/// Words with another meaning without quotes, here or in other YAML parsers.
const TAKEN: [&str; 9] = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];

/// `{ orderId: o-1, amount: 90 }`.
pub(super) fn value(value: &Value) -> String {
    match value {
        Value::String(text) => scalar(text),
        Value::Array(items) => format!("[{}]", items.iter().map(self::value).collect::<Vec<_>>().join(", ")),
        Value::Object(fields) if fields.is_empty() => "{}".to_owned(),
        Value::Object(fields) => {
            let fields = fields.iter().map(|(key, field)| format!("{}: {}", scalar(key), self::value(field)));
            format!("{{ {} }}", fields.collect::<Vec<_>>().join(", "))
        }
        // 90.0 is written as 90.
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < 1e15 => {
                format!("{float:.0}")
            }
            _ => number.to_string(),
        },
        Value::Null | Value::Bool(_) => value.to_string(),
    }
}

/// Formats the name of a step on a line of its own: `install[2]` needs no quotes there, but it does in brackets.
pub(super) fn name(text: &str) -> String {
    let bare = text.replace(['[', ']'], "");
    if !text.starts_with('[') && scalar(&bare) == bare { text.to_owned() } else { scalar(text) }
}

/// Formats the name of a step in brackets.
pub(super) fn between_brackets(name: &str) -> String {
    if name.contains('[') && !name.starts_with('"') { format!("\"{name}\"") } else { name.to_owned() }
}

/// Formats a text, in quotes if it would be read as another value.
pub(super) fn scalar(text: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || [' ', '_', '-', '.', '/'].contains(&c);
    let begins = text.starts_with(|c: char| c.is_alphabetic() || c == '_');
    let is_word = begins && !text.ends_with(' ') && text.chars().all(is_plain);
    if is_word && !TAKEN.contains(&text.to_lowercase().as_str()) {
        return text.to_owned();
    }
    // A JSON string is a YAML string.
    Value::String(text.to_owned()).to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_written_plainly() {
        let written = value(
            &json!({"a": "o-1", "b": [1, 2.0, 2.5], "c": {}, "d": "5", "e": "no", "f": "x: y", "g": null}),
        );
        assert_eq!(written, r#"{ a: o-1, b: [1, 2, 2.5], c: {}, d: "5", e: "no", f: "x: y", g: null }"#);
    }
}
