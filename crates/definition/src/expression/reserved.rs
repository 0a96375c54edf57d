//! The names with a meaning of their own in expressions.

/// The names with a meaning of their own in expressions, which no step can have.
pub(crate) const RESERVED: [&str; 41] = [
    "input",
    "saga",
    "event",
    "schedule",
    "item", // ours
    "as",
    "break",
    "const",
    "continue",
    "else",
    "false",
    "for",
    "function",
    "if",
    "import",
    "in",
    "let",
    "loop",
    "namespace",
    "null",
    "package",
    "return",
    "true",
    "var",
    "void",
    "while", // CEL's words
    "bool",
    "bytes",
    "double",
    "duration",
    "dyn",
    "int",
    "list",
    "map",
    "null_type",
    "string",
    "timestamp",
    "type",
    "uint",
    "optional",
    "optional_type", // CEL's types
];
/// How many of them, at the end, are types: an expression may name those.
const TYPES: usize = 15;

pub(super) fn is_type(name: &str) -> bool {
    RESERVED[RESERVED.len() - TYPES..].contains(&name)
}
