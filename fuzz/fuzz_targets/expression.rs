//! Any text between `${` and `}` is refused, or it has a value or an error, in bounded time and memory.

#![no_main]

use std::sync::{Arc, LazyLock};

use cel::Env;
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};
use snorri_core::expression::template::{Template, expressions_in};
use snorri_core::expression::{Scope, Variable, environment};

static ENV: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(environment()));
static INPUT: LazyLock<Value> = LazyLock::new(|| {
    json!({
        "id": "o-1", "amount": 41, "price": 1.5, "big": u64::MAX, "small": i64::MIN, "nothing": null, "yes": true,
        "lines": [{"sku": "a", "count": 2}, {"sku": "ä", "count": 0}], "tags": {"a": "b"},
    })
});

struct Example;

impl Scope for Example {
    fn variable(&self, name: &str) -> Option<Variable<'_>> {
        match name {
            "input" => Some(Variable::Json(&INPUT)),
            "saga" => Some(Variable::Saga { id: "018f3c9e-1111-7222-8333-444455556666", key: Some("o-1") }),
            "reserve" => Some(Variable::Step { output: Some(&INPUT) }),
            "charge" => Some(Variable::Step { output: None }),
            _ => None,
        }
    }
}

fuzz_target!(|text: &str| {
    let found = expressions_in(text);
    let Ok(template) = Template::of_text(&ENV, text) else { return };
    assert_eq!(found.map(|found| found.len()), Ok(template.expressions().len()));
    let first = template.render(&Example);
    // A saga that is replayed must decide as it did before.
    assert_eq!(first, template.render(&Example));
});
