//! Regular expressions with a cost that is known before they are compiled and matched.
//!
//! Matching takes time in proportion to the length of the text times that of the pattern, repetitions written out: a pattern
//! of 200 positions on 250 KB is half a second. So both are counted.

use regex::{Regex, RegexBuilder};
use regex_syntax::ast::{self, Ast, ClassPerlKind, ClassSet, ClassSetItem, RepetitionKind, RepetitionRange};

/// Longest source of a pattern, in bytes.
pub const MAX_PATTERN_BYTES: usize = 4 * 1024;
/// Most bytes that a compiled pattern takes.
pub const MAX_COMPILED_BYTES: usize = 10 * 1024 * 1024;
/// Most bytes of the states of matching a pattern.
pub const MAX_STATE_BYTES: usize = 1024 * 1024;
/// Positions of a pattern, times bytes of a text, that are matched in one step of a [budget](crate::expression::MAX_STEPS).
const MATCHED_PER_STEP: u64 = 10;
/// Steps of compiling any pattern, and of each range of characters in it.
const COMPILING_STEPS: u64 = 100;
const COMPILING_STEPS_OF_CODE: u64 = 3;
/// The ranges of characters in a class that Unicode defines.
const UNICODE_CLASS: u64 = 700;
/// The approximate bytes of any compiled pattern, and of each range of characters in it.
const COMPILED_BYTES: u64 = 8 * 1024;
const COMPILED_BYTES_OF_CODE: u64 = 128;

/// A compiled regular expression.
#[derive(Debug)]
pub struct Pattern {
    regex: Regex,
    weight: Weight,
}

/// The cost of a pattern.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Weight {
    /// Characters and classes, repetitions written out: how many may be active at each byte of a text.
    pub positions: u64,
    /// Ranges of characters, repetitions written out: the cost of compiling.
    pub code: u64,
}

impl Weight {
    const ONE: Self = Self { positions: 1, code: 1 };

    /// The most steps of matching a text of so many bytes.
    pub fn matching_steps(self, text: usize) -> u64 {
        self.positions.max(1).saturating_mul(text as u64) / MATCHED_PER_STEP
    }

    /// The steps of compiling the pattern.
    pub fn compiling_steps(self) -> u64 {
        self.code.saturating_mul(COMPILING_STEPS_OF_CODE).saturating_add(COMPILING_STEPS)
    }

    /// The approximate bytes of the compiled pattern.
    pub fn compiled_bytes(self) -> u64 {
        self.code.saturating_mul(COMPILED_BYTES_OF_CODE).saturating_add(COMPILED_BYTES)
    }

    fn class(code: u64) -> Self {
        Self { positions: 1, code }
    }

    fn times(self, times: u32) -> Self {
        let times = u64::from(times.max(1));
        Self { positions: self.positions.saturating_mul(times), code: self.code.saturating_mul(times) }
    }

    fn and(self, other: Self) -> Self {
        Self {
            positions: self.positions.saturating_add(other.positions),
            code: self.code.saturating_add(other.code),
        }
    }
}

impl Pattern {
    /// The cost of a pattern, without compiling it. An error if it is not a pattern, or longer than [`MAX_PATTERN_BYTES`].
    pub fn weigh(source: &str) -> Result<Weight, String> {
        if source.len() > MAX_PATTERN_BYTES {
            return Err(format!(
                "a regular expression of {} bytes; at most {MAX_PATTERN_BYTES} can be",
                source.len()
            ));
        }
        let ast = ast::parse::Parser::new().parse(source).map_err(|error| error.to_string())?;
        Ok(weigh(&ast))
    }

    /// `weight` is the one of `source`. An error if the pattern takes more than [`MAX_COMPILED_BYTES`].
    pub fn compile(source: &str, weight: Weight) -> Result<Self, String> {
        // Finding this out by compiling takes time, and as much memory.
        if weight.compiled_bytes() > MAX_COMPILED_BYTES as u64 {
            return Err(format!(
                "a regular expression that takes more than {MAX_COMPILED_BYTES} bytes compiled"
            ));
        }
        let mut builder = RegexBuilder::new(source);
        let regex = builder.size_limit(MAX_COMPILED_BYTES).dfa_size_limit(MAX_STATE_BYTES).build();
        Ok(Self { regex: regex.map_err(|error| error.to_string())?, weight })
    }

    pub fn weight(&self) -> Weight {
        self.weight
    }

    pub fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }
}

fn weigh(ast: &Ast) -> Weight {
    match ast {
        Ast::Empty(_) | Ast::Flags(_) | Ast::Assertion(_) | Ast::Literal(_) => Weight::ONE,
        Ast::Dot(_) => Weight::class(4),
        Ast::ClassUnicode(_) => Weight::class(UNICODE_CLASS),
        Ast::ClassPerl(class) => Weight::class(of_perl(&class.kind)),
        Ast::ClassBracketed(class) => Weight::class(of_set(&class.kind)),
        Ast::Repetition(repetition) => weigh(&repetition.ast).times(most(&repetition.op.kind)),
        Ast::Group(group) => weigh(&group.ast),
        Ast::Alternation(all) => sum(&all.asts),
        Ast::Concat(all) => sum(&all.asts),
    }
}

fn sum(parts: &[Ast]) -> Weight {
    parts.iter().fold(Weight::default(), |sum, part| sum.and(weigh(part)))
}

/// How often a part is written out.
fn most(kind: &RepetitionKind) -> u32 {
    match kind {
        RepetitionKind::ZeroOrOne | RepetitionKind::ZeroOrMore | RepetitionKind::OneOrMore => 1,
        RepetitionKind::Range(RepetitionRange::Exactly(times) | RepetitionRange::Bounded(_, times)) => *times,
        RepetitionKind::Range(RepetitionRange::AtLeast(times)) => times.saturating_add(1),
    }
}

fn of_perl(kind: &ClassPerlKind) -> u64 {
    match kind {
        ClassPerlKind::Digit => 70,
        ClassPerlKind::Space => 10,
        ClassPerlKind::Word => UNICODE_CLASS,
    }
}

fn of_set(set: &ClassSet) -> u64 {
    match set {
        ClassSet::Item(item) => of_item(item),
        ClassSet::BinaryOp(both) => of_set(&both.lhs).saturating_add(of_set(&both.rhs)),
    }
}

fn of_item(item: &ClassSetItem) -> u64 {
    match item {
        ClassSetItem::Empty(_)
        | ClassSetItem::Literal(_)
        | ClassSetItem::Range(_)
        | ClassSetItem::Ascii(_) => 1,
        ClassSetItem::Unicode(_) => UNICODE_CLASS,
        ClassSetItem::Perl(class) => of_perl(&class.kind),
        ClassSetItem::Bracketed(class) => of_set(&class.kind),
        ClassSetItem::Union(union) => union.items.iter().map(of_item).sum(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repetitions_are_written_out() {
        let weights = [
            ("abc", 3, 3),
            ("a+b*c?", 3, 3),
            ("[a-z0-9_]{4}", 4, 12),
            ("(ab|c){2,10}", 30, 30),
            ("((a{10}){10}){10}", 1_000, 1_000),
            (r"\w{3,}", 4, 2_800),
        ];
        for (source, positions, code) in weights {
            assert_eq!(Pattern::weigh(source), Ok(Weight { positions, code }), "{source}");
        }
        assert!(Pattern::weigh("(((a{99999}){99999}){99999}){99999}").expect("one").positions > 1 << 60);
    }

    #[test]
    fn what_is_no_pattern_or_too_long_is_refused() {
        for source in ["(", "a{", "[z-a]", r"((\w{50}){50}){50}"] {
            let is_refused =
                Pattern::weigh(source).and_then(|weight| Pattern::compile(source, weight)).is_err();
            assert!(is_refused, "{source}");
        }
        assert!(Pattern::weigh(&"a".repeat(MAX_PATTERN_BYTES + 1)).is_err());
    }
}
