//! Parses the texts of conditions into questions, so that the answers to several conditions are consistent.
//!
//! `input.vip` and `!input.vip` are the same question; of `input.kind == 'a'` and `input.kind == 'b'` at most one is true. Any
//! other text is a question of its own, the same for the same text.

use std::collections::BTreeSet;

use snorri_core::definition::{Action, Definition};

/// Most literals that are distinguished: an answer is kept in a byte.
const MOST_LITERALS: usize = 200;

/// The question of a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::model_check) struct Reading {
    /// The text, or the left side of a comparison.
    pub(in crate::model_check) of: String,
    /// The right side of a comparison.
    pub(in crate::model_check) literal: Option<String>,
    pub(in crate::model_check) negated: bool,
}

/// Parses the text of a condition. Spaces are ignored, except in quotes.
pub(in crate::model_check) fn read(source: &str) -> Reading {
    let text = without_spaces(source);
    for (operator, negated) in [("==", false), ("!=", true)] {
        let Some((left, right)) = text.split_once(operator) else { continue };
        match right {
            "true" if is_path(left) => return Reading { of: left.to_owned(), literal: None, negated },
            "false" if is_path(left) => {
                return Reading { of: left.to_owned(), literal: None, negated: !negated };
            }
            _ if is_path(left) && is_literal(right) => {
                return Reading { of: left.to_owned(), literal: Some(right.replace('"', "'")), negated };
            }
            _ => {}
        }
    }
    match text.strip_prefix('!').filter(|rest| is_path(rest)) {
        Some(path) => Reading { of: path.to_owned(), literal: None, negated: true },
        None => Reading { of: text, literal: None, negated: false },
    }
}

/// All literals that the conditions of a definition compare with `of`.
pub(in crate::model_check) fn literals(definition: &Definition, of: &str) -> Vec<String> {
    let conditions = definition.steps().iter().flat_map(|step| {
        let branches = match &step.action {
            Action::Choice(conditions) => conditions.as_slice(),
            _ => &[],
        };
        step.when.iter().chain(branches)
    });
    let readings = conditions.map(|condition| read(condition.source()));
    let literals = readings.filter(|reading| reading.of == of).filter_map(|reading| reading.literal);
    let literals: BTreeSet<String> = literals.collect();
    literals.into_iter().take(MOST_LITERALS).collect()
}

fn is_path(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '.')
}

fn is_literal(text: &str) -> bool {
    let quoted = |quote: char| {
        let within = text.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
        within.is_some_and(|within| !within.contains(['\'', '"', '\\']))
    };
    let digits = text.strip_prefix('-').unwrap_or(text);
    quoted('\'') || quoted('"') || (!digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit()))
}

fn without_spaces(source: &str) -> String {
    let mut quote = None;
    let keep = |c: &char| {
        match quote {
            Some(open) if open == *c => quote = None,
            Some(_) => {}
            None if *c == '\'' || *c == '"' => quote = Some(*c),
            None => return !c.is_whitespace(),
        }
        true
    };
    source.chars().filter(keep).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_excludes_each_other_asks_the_same() {
        let format_reading = |source| {
            let Reading { of, literal, negated } = read(source);
            format!("{}{of} {}", if negated { "not " } else { "" }, literal.unwrap_or_default())
        };
        let cases = [
            ("input.vip", "input.vip "),
            ("! input.vip", "not input.vip "),
            ("input.vip == false", "not input.vip "),
            ("input.kind == 'a b'", "input.kind 'a b'"),
            ("input.kind=='a b'", "input.kind 'a b'"),
            ("input.kind != \"a b\"", "not input.kind 'a b'"),
            ("score.output.risk == 3", "score.output.risk 3"),
            ("input.x > 3", "input.x>3 "),
            ("!(input.x > 3)", "!(input.x>3) "),
            ("input.a == input.b", "input.a==input.b "),
            ("input.a == 'x' || input.b == 'y'", "input.a=='x'||input.b=='y' "),
        ];
        for (source, expected) in cases {
            assert_eq!(format_reading(source), expected, "{source}");
        }
    }
}
