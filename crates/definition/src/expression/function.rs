//! The functions that an expression can call: CEL's standard library.

use cel::common::ast::CallExpr;

use super::super::suggest;

/// How a function is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    /// `size(list)`
    Plain,
    /// `text.contains('a')`
    OnValue,
    /// Either way.
    Both,
    /// A macro: the parser expands right calls, so that only wrong ones are found.
    Macro(&'static str),
}

const FUNCTIONS: &[(&str, Call)] = &[
    ("all", Call::Macro("list.all(item, item > 0)")),
    ("bool", Call::Plain),
    ("bytes", Call::Plain),
    ("contains", Call::OnValue),
    ("double", Call::Plain),
    ("duration", Call::Plain),
    ("dyn", Call::Plain),
    ("endsWith", Call::OnValue),
    ("exists", Call::Macro("list.exists(item, item > 0)")),
    ("existsOne", Call::Macro("list.existsOne(item, item > 0)")),
    ("exists_one", Call::Macro("list.exists_one(item, item > 0)")),
    ("filter", Call::Macro("list.filter(item, item > 0)")),
    ("getDate", Call::OnValue),
    ("getDayOfMonth", Call::OnValue),
    ("getDayOfWeek", Call::OnValue),
    ("getDayOfYear", Call::OnValue),
    ("getFullYear", Call::OnValue),
    ("getHours", Call::OnValue),
    ("getMilliseconds", Call::OnValue),
    ("getMinutes", Call::OnValue),
    ("getMonth", Call::OnValue),
    ("getSeconds", Call::OnValue),
    ("has", Call::Macro("has(input.note)")),
    ("hasValue", Call::OnValue),
    ("int", Call::Plain),
    ("map", Call::Macro("list.map(item, item.sku)")),
    ("matches", Call::Both),
    ("or", Call::OnValue),
    ("orValue", Call::OnValue),
    ("size", Call::Both),
    ("startsWith", Call::OnValue),
    ("string", Call::Plain),
    ("timestamp", Call::Plain),
    ("type", Call::Plain),
    ("uint", Call::Plain),
    ("value", Call::OnValue),
];

/// The help for a function that is not similar to any of them.
const NEAREST_TO_NONE: &str = "it has `size`, `contains`, `startsWith`, `endsWith`, `matches`, `string`, `int`, `double`, `timestamp`, \
     `duration`, and for lists `map`, `filter`, `all` and `exists`; what they cannot do, a participant must";

/// Functions of other languages that make a list from a number.
const COUNTING: [&str; 6] = ["range", "sequence", "iota", "enumerate", "repeat", "times"];
const COUNT_ELSEWHERE: &str = "a saga cannot repeat steps a number of times, and an expression cannot make a list of a number: take the list \
     from the input or from the reply of a step, and write `for_each: ${ input.items }`";

/// Functions that are called with a namespace.
const QUALIFIED: [(&str, &str); 3] =
    [("optional", "none"), ("optional", "of"), ("optional", "ofNonZeroValue")];

/// The name of a function as it is written; `None` for an operator.
pub(super) fn name(function: &str) -> Option<&str> {
    let name = function.trim_start_matches('.');
    name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_').then_some(name)
}

pub(super) fn is_qualified(namespace: &str, name: &str) -> bool {
    QUALIFIED.contains(&(namespace, name))
}

pub(super) fn is_macro(name: &str) -> bool {
    FUNCTIONS.iter().any(|(known, call)| *known == name && matches!(call, Call::Macro(_)))
}

/// What is wrong with a call of `name`, and what to write instead.
pub(super) fn check(name: &str, call: &CallExpr) -> Option<(String, Option<String>)> {
    let known = FUNCTIONS.iter().find(|(known, _)| *known == name).map(|(_, call)| *call);
    let on_value = call.target.is_some();
    match known {
        None => {
            if COUNTING.contains(&name) {
                return Some((format!("CEL has no function `{name}`"), Some(COUNT_ELSEWHERE.into())));
            }
            let near = suggest::nearest(name, FUNCTIONS.iter().map(|(known, _)| *known));
            let help = near.map_or_else(|| NEAREST_TO_NONE.into(), |near| format!("did you mean `{near}`?"));
            Some((format!("CEL has no function `{name}`"), Some(help)))
        }
        Some(Call::Macro(example)) => {
            Some((format!("`{name}` is not called like this"), Some(format!("write it like `{example}`"))))
        }
        Some(Call::OnValue) if !on_value => Some((
            format!("`{name}` is called on a value"),
            Some(format!("write it like `value.{name}(...)`")),
        )),
        Some(Call::Plain) if on_value => Some((
            format!("`{name}` is not called on a value"),
            Some(format!("write it like `{name}(value)`")),
        )),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// Whether CEL itself has the function of a call, with any arguments.
    fn is_declared(source: &str) -> bool {
        let env = Arc::new(cel::Env::stdlib());
        let program = env.compile(source).expect("a call is CEL");
        match program.execute(&cel::Context::with_env(env)) {
            Err(cel::ExecutionError::UndeclaredReference(_)) => false,
            Ok(_) | Err(_) => true,
        }
    }

    #[test]
    fn every_function_is_one_of_cel() {
        for (name, call) in FUNCTIONS {
            let declared = match call {
                Call::Plain => is_declared(&format!("{name}(1)")),
                Call::OnValue => {
                    is_declared(&format!("'a'.{name}(1)")) || is_declared(&format!("'a'.{name}()"))
                }
                Call::Both => is_declared(&format!("{name}(1)")) && is_declared(&format!("'a'.{name}(1)")),
                Call::Macro(_) => true,
            };
            assert!(declared, "{name}");
        }
        assert!(!is_declared("nothing(1)"), "an unknown function is recognized");
        for (namespace, name) in QUALIFIED {
            assert!(is_declared(&format!("{namespace}.{name}(1)")), "{namespace}.{name}");
        }
    }
}
