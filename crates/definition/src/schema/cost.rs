//! The cost of validating a value with a schema, counted before the validation.
//!
//! The validator has no bound of its own: schemas that refer to each other twice double the work with each level, each pattern
//! takes time in proportion to the text, and each error takes memory. So a first pass goes the same way through schema and
//! value, only counts, and stops at a limit.

use std::collections::HashMap;

use serde_json::{Map, Value as Json};

use snorri_core::MAX_PAYLOAD_BYTES;
use snorri_core::expression::pattern::{Pattern, Weight};

/// Most steps of validating one value. A step is at most 50 ns: a keyword for a value, half an option of an
/// `enum`, half of a position of a pattern at a byte of a text.
pub(super) const MAX_STEPS: u64 = 1_000_000;
/// Deepest nesting of schemas and values together.
const MAX_DEPTH: usize = 1_000;

/// The schema goes beyond the limit with a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooCostly;

/// The cost model of a schema.
#[derive(Debug)]
pub(super) struct Costs {
    /// The number of values in it. `None` if it refers to parts of itself, which may count more than once.
    nodes: Option<u64>,
    patterns: HashMap<String, Weight>,
    /// Positions of all its patterns.
    positions: u64,
    /// Whether it has alternatives, whose errors the validator collects even if the value is valid.
    pub(super) has_alternatives: bool,
}

impl Costs {
    pub(super) fn of(schema: &Json) -> Self {
        let mut costs =
            Self { nodes: Some(0), patterns: HashMap::new(), positions: 0, has_alternatives: false };
        costs.learn(schema);
        costs
    }

    fn learn(&mut self, schema: &Json) {
        self.nodes = self.nodes.map(|nodes| nodes + 1);
        match schema {
            Json::Array(items) => items.iter().for_each(|item| self.learn(item)),
            Json::Object(fields) => {
                for (key, value) in fields {
                    match (key.as_str(), value) {
                        ("$ref" | "$dynamicRef", Json::String(_)) => self.nodes = None,
                        ("pattern", Json::String(pattern)) => self.learn_pattern(pattern),
                        ("patternProperties", Json::Object(patterns)) => {
                            patterns.keys().for_each(|pattern| self.learn_pattern(pattern));
                        }
                        ("anyOf" | "oneOf", _) => self.has_alternatives = true,
                        _ => {}
                    }
                    self.learn(value);
                }
            }
            _ => {}
        }
    }

    fn learn_pattern(&mut self, pattern: &str) {
        // The validator accepts some patterns of other dialects; they count as heavy.
        let unknown = Weight { positions: 10 * pattern.len() as u64, code: 0 };
        let weight = Pattern::weigh(pattern).unwrap_or(unknown);
        self.positions = self.positions.saturating_add(weight.positions.max(1));
        self.patterns.insert(pattern.to_owned(), weight);
    }

    /// The most steps of validating `value` with `schema`, whose costs these are.
    pub(super) fn steps(&self, schema: &Json, value: &Json) -> Result<u64, TooCostly> {
        if let Some(nodes) = self.nodes {
            let (values, text) = measure(value);
            let most = nodes.saturating_mul(values).saturating_add(of_text(self.positions, text));
            if most <= MAX_STEPS / 100 {
                return Ok(most);
            }
        }
        let mut count = Count { costs: self, root: schema, steps: 0, depth: 0, under_way: Vec::new() };
        count.schema(schema, value).map(|()| count.steps)
    }
}

/// Positions of a pattern from which on texts of a usual length take too long.
const MANY_POSITIONS: u64 = 100;
/// Most bytes of a character.
const CHARACTER_BYTES: u64 = 4;

/// The longest text, in bytes, that a pattern can be matched with, if longer ones may come. `longest`: most characters that
/// the schema allows.
pub(super) fn longest_text(pattern: &str, longest: Option<u64>) -> Option<u64> {
    let positions = Pattern::weigh(pattern).ok()?.positions;
    let comes = longest.map_or(MAX_PAYLOAD_BYTES as u64, |longest| longest.saturating_mul(CHARACTER_BYTES));
    let is_slow = positions >= MANY_POSITIONS && of_text(positions, comes) > MAX_STEPS;
    is_slow.then(|| MAX_STEPS / of_text(positions, 1).max(1))
}

/// Twice, because the validator matches again to make the error.
fn of_text(positions: u64, text: u64) -> u64 {
    positions.saturating_mul(text).saturating_mul(2)
}

/// The values that one is made of, and the bytes of its texts and names.
fn measure(value: &Json) -> (u64, u64) {
    let (mut values, mut text) = (0, 0);
    let mut todo = vec![value];
    while let Some(value) = todo.pop() {
        values += 1;
        match value {
            Json::String(string) => text += string.len() as u64,
            Json::Array(items) => todo.extend(items),
            Json::Object(fields) => {
                text += fields.keys().map(|name| name.len() as u64).sum::<u64>();
                todo.extend(fields.values());
            }
            _ => {}
        }
    }
    (values, text)
}

struct Count<'a> {
    costs: &'a Costs,
    root: &'a Json,
    steps: u64,
    depth: usize,
    /// References that are being followed, each with the value: the validator does not follow one twice for a value.
    under_way: Vec<(*const Json, *const Json)>,
}

impl<'a> Count<'a> {
    fn spend(&mut self, steps: u64) -> Result<(), TooCostly> {
        self.steps = self.steps.saturating_add(steps);
        if self.steps > MAX_STEPS { Err(TooCostly) } else { Ok(()) }
    }

    fn schema(&mut self, schema: &'a Json, value: &Json) -> Result<(), TooCostly> {
        self.spend(1)?;
        let Json::Object(keywords) = schema else { return Ok(()) };
        if self.depth >= MAX_DEPTH {
            return Err(TooCostly);
        }
        self.depth += 1;
        for (keyword, argument) in keywords {
            self.spend(1)?;
            self.keyword(keyword, argument, value)?;
        }
        self.depth -= 1;
        Ok(())
    }

    fn keyword(&mut self, keyword: &str, argument: &'a Json, value: &Json) -> Result<(), TooCostly> {
        match (keyword, argument, value) {
            ("$ref" | "$dynamicRef", Json::String(target), _) => self.reference(target, value),
            ("allOf" | "anyOf" | "oneOf", Json::Array(all), _) => {
                all.iter().try_for_each(|schema| self.schema(schema, value))
            }
            ("not" | "if" | "then" | "else", schema, _) => self.schema(schema, value),
            ("dependentSchemas", Json::Object(schemas), Json::Object(_)) => {
                schemas.values().try_for_each(|schema| self.schema(schema, value))
            }
            ("items" | "contains" | "unevaluatedItems", schema, Json::Array(items)) => {
                items.iter().try_for_each(|item| self.schema(schema, item))
            }
            ("prefixItems", Json::Array(schemas), Json::Array(items)) => {
                schemas.iter().zip(items).try_for_each(|(schema, item)| self.schema(schema, item))
            }
            ("uniqueItems", _, Json::Array(_)) => self.spend(4 * measure(value).0),
            ("enum", Json::Array(options), _) => self.spend(options.len() as u64 / 2),
            ("const", Json::Array(_) | Json::Object(_), _) => self.spend(measure(value).0),
            ("required", Json::Array(names), Json::Object(_)) => self.spend(names.len() as u64),
            ("pattern", Json::String(pattern), Json::String(text)) => self.pattern(pattern, text),
            (keyword, argument, Json::Object(fields)) => self.of_object(keyword, argument, fields),
            _ => Ok(()),
        }
    }

    fn of_object(
        &mut self,
        keyword: &str,
        argument: &'a Json,
        fields: &Map<String, Json>,
    ) -> Result<(), TooCostly> {
        match (keyword, argument) {
            ("properties", Json::Object(schemas)) => {
                self.spend(schemas.len() as u64)?;
                let there = schemas.iter().filter_map(|(name, schema)| Some((schema, fields.get(name)?)));
                there.into_iter().try_for_each(|(schema, value)| self.schema(schema, value))
            }
            ("patternProperties", Json::Object(schemas)) => {
                for (pattern, schema) in schemas {
                    for (name, value) in fields {
                        self.pattern(pattern, name)?;
                        self.schema(schema, value)?;
                    }
                }
                Ok(())
            }
            ("additionalProperties" | "unevaluatedProperties", schema) => {
                fields.values().try_for_each(|value| self.schema(schema, value))
            }
            ("propertyNames", schema) => {
                fields.keys().try_for_each(|name| self.schema(schema, &Json::String(name.clone())))
            }
            _ => Ok(()),
        }
    }

    fn pattern(&mut self, pattern: &str, text: &str) -> Result<(), TooCostly> {
        let weight = self.costs.patterns.get(pattern).copied().unwrap_or_default();
        self.spend(of_text(weight.positions.max(1), text.len() as u64))
    }

    fn reference(&mut self, target: &str, value: &Json) -> Result<(), TooCostly> {
        // A reference that is not found counts as the whole schema.
        let fragment = target.strip_prefix('#').unwrap_or_default();
        let root = self.root;
        let schema = root.pointer(fragment).or_else(|| anchor(root, fragment)).unwrap_or(root);
        let own = (std::ptr::from_ref(schema), std::ptr::from_ref(value));
        if self.under_way.contains(&own) {
            return Ok(());
        }
        self.under_way.push(own);
        self.schema(schema, value)?;
        self.under_way.pop();
        Ok(())
    }
}

/// The part of a schema that has an anchor.
fn anchor<'a>(root: &'a Json, name: &str) -> Option<&'a Json> {
    let mut todo = vec![root];
    while let Some(schema) = todo.pop() {
        let has = |key: &str| schema.get(key).and_then(Json::as_str) == Some(name);
        if !name.is_empty() && (has("$anchor") || has("$dynamicAnchor")) {
            return Some(schema);
        }
        match schema {
            Json::Array(items) => todo.extend(items),
            Json::Object(fields) => todo.extend(fields.values()),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn steps(schema: &Json, value: &Json) -> Result<u64, TooCostly> {
        Costs::of(schema).steps(schema, value)
    }

    /// Definitions that refer each to the next one by `link`; the last is a number.
    fn doubling(levels: usize, link: impl Fn(Json) -> Json) -> Json {
        let reference = |level: usize| json!({"$ref": format!("#/$defs/d{level}")});
        let mut levels_of: Map<_, _> =
            (0..levels).map(|level| (format!("d{level}"), link(reference(level + 1)))).collect();
        levels_of.insert(format!("d{levels}"), json!({"type": "number"}));
        json!({"$ref": "#/$defs/d0", "$defs": levels_of})
    }

    #[test]
    fn what_grows_is_too_costly() {
        let numbers = json!(vec![1; 100_000]);
        let text = json!("ab".repeat(50_000));
        let nested = (0..40).fold(json!(1), |value, _| json!([value]));
        let too_costly = [
            (doubling(28, |next| json!({"allOf": [next, next]})), json!(1)),
            (doubling(28, |next| json!({"anyOf": [{"type": "null"}, next, next]})), json!(1)),
            (doubling(28, |next| json!({"if": next, "then": next})), json!(1)),
            (doubling(28, |next| json!({"items": {"allOf": [next, next]}})), nested.clone()),
            (json!({"anyOf": [{"items": {"$ref": "#"}}, {"contains": {"$ref": "#"}}]}), nested),
            (json!({"pattern": "(a|b)*a(a|b){40}c"}), text.clone()),
            (json!({"items": {"pattern": "^[a-z]{8}$"}}), json!(vec![json!("abcdefgh".repeat(20)); 1_000])),
            (json!({"patternProperties": {"(a|b)*a(a|b){40}c": {}}}), json!({("ab".repeat(50_000)): 1})),
            (json!({"propertyNames": {"pattern": "(a|b)*a(a|b){40}c"}}), json!({("ab".repeat(50_000)): 1})),
            (json!({"items": {"enum": (0..1_000).collect::<Vec<_>>()}}), numbers.clone()),
            (json!({"items": {"allOf": vec![json!({"type": "number"}); 20]}}), numbers.clone()),
        ];
        for (schema, value) in too_costly {
            assert_eq!(steps(&schema, &value), Err(TooCostly), "{schema}");
        }
        let fine = [
            (json!({"items": {"type": "integer", "minimum": 0}, "uniqueItems": true}), numbers),
            (json!({"pattern": "^[a-z ]*$", "maxLength": 200_000}), text),
            (doubling(200, |next| next), json!(1)),
            (json!({"$defs": {"a": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}), json!(1)),
            (json!({"properties": {"next": {"$ref": "#"}}}), json!({"next": {"next": {}}})),
        ];
        for (schema, value) in fine {
            assert!(steps(&schema, &value).is_ok(), "{schema}");
        }
    }

    #[test]
    fn references_lead_where_they_say() {
        let anchored = json!({"$defs": {"n": {"$anchor": "number", "enum": vec![1; 1_000]}}, "items": {"$ref": "#number"}});
        assert!((500..700).contains(&steps(&anchored, &json!([1])).expect("few")));
        let escaped = json!({"$defs": {"a/b": {"enum": vec![1; 1_000]}}, "$ref": "#/$defs/a~1b"});
        assert!((500..700).contains(&steps(&escaped, &json!([1])).expect("few")));
    }
}
