//! Any expression over any value ends within its budget, and with the same result each time.
//!
//! The first line is the template, the rest is the JSON that it sees as `input`.

#![no_main]

use std::sync::{Arc, LazyLock};

use cel::Env;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use snorri_core::expression::template::Template;
use snorri_core::expression::{MAX_BYTES, Scope, Variable, environment};

static ENV: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(environment()));

struct Input(Value);

impl Scope for Input {
    fn variable(&self, name: &str) -> Option<Variable<'_>> {
        match name {
            "input" => Some(Variable::Json(&self.0)),
            "reserve" => Some(Variable::Step { output: Some(&self.0) }),
            "charge" => Some(Variable::Compensated { output: None }),
            _ => None,
        }
    }
}

fuzz_target!(|text: &str| {
    let (template, input) = text.split_once('\n').unwrap_or((text, "null"));
    let Ok(template) = Template::of_text(&ENV, template) else { return };
    let Ok(input) = serde_json::from_str(input) else { return };
    let input = Input(input);
    let first = template.render(&input);
    if let Ok(value) = &first {
        // Each byte of JSON has taken at least one of the budget.
        assert!(value.to_string().len() as u64 <= 2 * MAX_BYTES);
    }
    assert_eq!(first, template.render(&input));
});
