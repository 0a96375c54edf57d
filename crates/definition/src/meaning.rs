//! The digest of the content of a definition: comments, line ends, quotes, anchors and the order of keys do not change it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value as Json;
use sha2::{Digest, Sha256};

/// SHA-256 of a definition and of the files that its schemas refer to, in hexadecimal.
///
/// Each document is hashed as JSON with sorted keys and without white space, on a line of its own. No such text has a line
/// break in it, so that different sets of documents have different texts.
pub(super) fn digest(definition: &Json, files: &BTreeMap<&str, Json>) -> String {
    let mut text = String::new();
    write_canonical(&mut text, definition);
    for (path, file) in files {
        text.push('\n');
        write_canonical(&mut text, &Json::from(*path));
        text.push('\n');
        write_canonical(&mut text, file);
    }
    Sha256::digest(&text).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The depth of `value` was bounded when it was read.
fn write_canonical(text: &mut String, value: &Json) {
    match value {
        Json::Array(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write_canonical(text, item);
            }
            text.push(']');
        }
        Json::Object(fields) => {
            let sorted: BTreeMap<&String, &Json> = fields.iter().collect();
            text.push('{');
            for (index, (key, value)) in sorted.into_iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write_canonical(text, &Json::from(key.as_str()));
                text.push(':');
                write_canonical(text, value);
            }
            text.push('}');
        }
        scalar => {
            // Writing to a text does not fail.
            let _ = write!(text, "{scalar}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crate::compile_with;

    const ORDER: &str = r#"saga: order
version: 1
input: { $ref: "schemas/order.json" }
key: ${ input.id }
steps:
  - name: pay
    command: payment.charge
    exchange: commands
    payload:
      note: |
        two
        lines
      amount: 10
    compensate: none
"#;
    const SCHEMA: &str = r#"{"type": "object", "properties": {"id": {"type": "string"}}}"#;

    fn digest(source: &str, schema: &str) -> String {
        let files = BTreeMap::from([("schemas/order.json".to_owned(), schema.to_owned())]);
        compile_with("order.yaml", source, &files).expect("compiles").digest
    }

    #[test]
    fn what_changes_no_meaning_changes_no_digest() {
        let registered = digest(ORDER, SCHEMA);
        let same = [
            format!("# reviewed\n{ORDER}"),
            ORDER.replace('\n', "\r\n"),
            format!("{ORDER}\n\n"),
            format!("\u{feff}{ORDER}"),
            ORDER.replace("amount: 10", "amount:   10   # in euros"),
            ORDER.replace("saga: order\nversion: 1", "version: 1\nsaga: 'order'"),
            ORDER.replace("      note: |\n        two\n        lines\n", "      note: \"two\\nlines\\n\"\n"),
        ];
        for source in same {
            assert_eq!(digest(&source, SCHEMA), registered, "{source}");
        }
        let spaced = SCHEMA.replace(": ", " :\r\n ");
        assert_eq!(digest(ORDER, &spaced), registered);
        let other_order = r#"{"properties": {"id": {"type": "string"}}, "type": "object"}"#;
        assert_eq!(digest(ORDER, other_order), registered);
    }

    #[test]
    fn what_changes_the_meaning_changes_the_digest() {
        let registered = digest(ORDER, SCHEMA);
        let other = [
            ORDER.replace("amount: 10", "amount: 11"),
            ORDER.replace("amount: 10", "amount: '10'"),
            ORDER.replace("        lines", "        line"),
            ORDER.replace("note: |", "note: |-"),
            format!("description: an order\n{ORDER}"),
        ];
        for source in other {
            assert_ne!(digest(&source, SCHEMA), registered, "{source}");
        }
        assert_ne!(digest(ORDER, &SCHEMA.replace("string", "integer")), registered);
    }
}
