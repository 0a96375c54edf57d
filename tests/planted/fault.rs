//! A planted fault. All of them are in one build, in which a variable enables each.

/// A fault that is there only if [`SWITCH`] names it.
pub struct Fault {
    pub name: &'static str,
    pub what: &'static str,
    pub file: &'static str,
    pub right: &'static str,
    pub wrong: &'static str,
}

/// The environment variable that names the fault, and the module that reads it in the copy.
pub const SWITCH: &str = "SNORRI_PLANTED";
pub const MODULE: &str = r#"//! Which fault is there.

static NAME: std::sync::LazyLock<String> =
    std::sync::LazyLock::new(|| std::env::var("SNORRI_PLANTED").unwrap_or_default());

pub fn is(name: &str) -> bool {
    *NAME == name
}
"#;
