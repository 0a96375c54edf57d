//! The names by which the expressions of an abstraction find their answers. They are built from the names and texts of the
//! definition, so they are the same in each version of it.

use snorri_core::definition::{Definition, StepIndex};

/// The name of the item of a list.
pub(in crate::model_check) fn item(definition: &Definition, each: StepIndex) -> String {
    format!("item{}", field(&definition.step_at(each).name))
}

/// The name of a list.
pub(in crate::model_check) fn list_of(definition: &Definition, each: StepIndex) -> String {
    format!("l{}", field(&definition.step_at(each).name))
}

/// The name of a question, built from its text and the literals that it is compared with.
pub(in crate::model_check) fn question_of(text: &str, literals: Option<&[String]>) -> String {
    format!("q{}", field(&format!("{text} {}", literals.unwrap_or_default().join(" "))))
}

/// Encodes a text as an identifier of the expression language.
pub(in crate::model_check) fn field(text: &str) -> String {
    text.bytes().fold("c".to_owned(), |name, byte| name + &format!("{byte:02x}"))
}
