//! Random edits of a definition: the compiler reports what they break, and does not panic.

use proptest::prelude::*;
use proptest::sample::Index;

use super::ORDER;
use super::language::TRIP;

/// One change of a text, such as a typing mistake.
#[derive(Debug, Clone)]
enum Edit {
    Delete(Index, usize),
    Insert(Index, String),
    SwapLines(Index, Index),
}

fn edit() -> impl Strategy<Value = Edit> {
    let tokens =
        "[ -~]{1,3}|\\$\\{ |\\}|\n|\t|: |- |&a |\\*a|<<: |\"|'|é|\u{feff}|none|\\$ref|input\\.|\\.map\\(";
    prop_oneof![
        (any::<Index>(), 1..12_usize).prop_map(|(at, length)| Edit::Delete(at, length)),
        (any::<Index>(), tokens).prop_map(|(at, text)| Edit::Insert(at, text)),
        (any::<Index>(), any::<Index>()).prop_map(|(a, b)| Edit::SwapLines(a, b)),
    ]
}

fn apply(text: String, edit: &Edit) -> String {
    if text.is_empty() {
        return text;
    }
    let mut bytes = text.into_bytes();
    match edit {
        Edit::Delete(at, length) => {
            let at = at.index(bytes.len());
            bytes.drain(at..(at + length).min(bytes.len()));
        }
        Edit::Insert(at, text) => {
            let at = at.index(bytes.len());
            bytes.splice(at..at, text.bytes());
        }
        Edit::SwapLines(a, b) => {
            let mut lines: Vec<_> = bytes.split(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect();
            let (a, b) = (a.index(lines.len()), b.index(lines.len()));
            lines.swap(a, b);
            bytes = lines.join(&b'\n');
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn no_edit_makes_the_compiler_panic(is_order: bool, edits in prop::collection::vec(edit(), 1..6)) {
        let text = if is_order { ORDER } else { TRIP };
        let source = edits.iter().fold(text.to_owned(), apply);
        if let Err(diagnostics) = snorri_definition::compile("order.yaml", &source) {
            prop_assert!(!diagnostics.list.is_empty());
            prop_assert!(!diagnostics.plain().is_empty());
            prop_assert!(!diagnostics.pretty().is_empty());
            prop_assert!(serde_json::to_value(&diagnostics).is_ok());
            for diagnostic in &diagnostics.list {
                let text = diagnostics.source.get(diagnostic.span.clone());
                prop_assert!(text.is_some(), "{} at {:?}", diagnostic.message, diagnostic.span);
            }
        }
    }
}
