//! What conditions ask, read from their texts, so that the answers to several fit each other.
//!
//! `input.vip` and `!input.vip` ask the same; of `input.kind == 'a'` and `input.kind == 'b'` at most one is true. Whatever is not
//! written like this is a question of its own, the same for the same text.

use std::collections::BTreeSet;

use crate::saga::definition::{Action, Definition};

/// Most literals that are told apart: an answer is kept in a byte.
const MOST_LITERALS: usize = 200;

/// What a condition asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reading {
    /// The text, or what is compared.
    pub(super) of: String,
    /// What it is compared with, if it is.
    pub(super) literal: Option<String>,
    pub(super) negated: bool,
}

/// Reads the text of a condition. Spaces mean nothing, but in quotes.
pub(super) fn read(source: &str) -> Reading {
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

/// All literals that conditions of a definition compare with the same.
pub(super) fn literals(definition: &Definition, of: &str) -> Vec<String> {
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
        let told = |source| {
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
            assert_eq!(told(source), expected, "{source}");
        }
    }
}
