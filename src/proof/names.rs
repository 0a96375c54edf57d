//! The names by which the expressions of a skeleton find their answers. They are made of the names and texts of the definition,
//! and so are the same in each version of it.

use crate::saga::definition::{Definition, StepIndex};

/// The name of the item of a list.
pub(super) fn item(definition: &Definition, each: StepIndex) -> String {
    format!("item{}", field(&definition.step_at(each).name))
}

/// The name of a list.
pub(super) fn list_of(definition: &Definition, each: StepIndex) -> String {
    format!("l{}", field(&definition.step_at(each).name))
}

/// The name of a question: what is asked, and what it is compared with.
pub(super) fn question_of(text: &str, literals: Option<&[String]>) -> String {
    format!("q{}", field(&format!("{text} {}", literals.unwrap_or_default().join(" "))))
}

/// A name that is the same for the same text, and fits an expression.
pub(super) fn field(text: &str) -> String {
    text.bytes().fold("c".to_owned(), |name, byte| name + &format!("{byte:02x}"))
}
