//! Compares two JSON Schemas: which of them accepts more.
//!
//! Only structure is judged: types, properties, bounds, lists of values. Two schemas that differ in anything else, such as
//! `oneOf` or `pattern`, count as breaking, because the effect is unknown.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::{Changes, Whom};

/// The keywords that do not restrict a value.
const ANNOTATIONS: [&str; 10] = [
    "title",
    "description",
    "examples",
    "default",
    "deprecated",
    "readOnly",
    "writeOnly",
    "format",
    "$comment",
    "$schema",
];
/// The keywords that are compared part by part. The rest is only compared as a whole.
const KNOWN: [&str; 20] = [
    "type",
    "enum",
    "const",
    "properties",
    "required",
    "additionalProperties",
    "items",
    "$ref",
    "$defs",
    "$id",
    "minimum",
    "exclusiveMinimum",
    "minLength",
    "minItems",
    "minProperties",
    "maximum",
    "exclusiveMaximum",
    "maxLength",
    "maxItems",
    "maxProperties",
];
const LEAST: [&str; 5] = ["minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"];
const MOST: [&str; 5] = ["maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"];
const TYPES: [&str; 6] = ["array", "boolean", "null", "number", "object", "string"];

/// The side of a schema that a party is on.
#[derive(Debug, Clone, Copy)]
pub(super) enum Role {
    /// They send what is checked: taking less breaks them.
    Taken(Whom),
    /// They read what was checked: giving more, or other things, breaks them.
    Given(Whom),
}

/// How a schema has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Move {
    Narrower,
    Wider,
    /// A reader may miss it; a sender is not affected.
    Gone,
    /// A reader may miss it, and it must not be sent.
    Refused,
    /// Something that was neither sent nor read before.
    More,
    /// The effect is unknown.
    Otherwise,
}

/// Compares two schemas. A missing schema accepts everything.
pub(super) fn compare(
    place: &str,
    role: Role,
    old: Option<&Value>,
    new: Option<&Value>,
    changes: &mut Changes,
) {
    let all = Value::Bool(true);
    let (old, new) = (old.unwrap_or(&all), new.unwrap_or(&all));
    let mut comparison = SchemaComparison { old, new, role, changes, followed: BTreeSet::new() };
    comparison.schemas(place, old, new);
}

struct SchemaComparison<'a, 'c> {
    old: &'a Value,
    new: &'a Value,
    role: Role,
    changes: &'c mut Changes,
    /// Pairs of references that were followed: schemas may refer to themselves.
    followed: BTreeSet<(Option<&'a str>, Option<&'a str>)>,
}

impl<'a> SchemaComparison<'a, '_> {
    fn schemas(&mut self, place: &str, old: &'a Value, new: &'a Value) {
        let (old_target, new_target) = (target(old), target(new));
        if (old_target.is_some() || new_target.is_some()) && !self.followed.insert((old_target, new_target)) {
            return;
        }
        let (Some(old), Some(new)) = (follow(self.old, old), follow(self.new, new)) else {
            if old != new || self.old.get("$defs") != self.new.get("$defs") {
                self.report(place, Move::Otherwise, "refers to something else");
            }
            return;
        };
        match (old, new) {
            (Value::Bool(false), Value::Bool(false)) => {}
            (Value::Bool(false), _) => self.report(place, Move::Wider, "can be there now"),
            (_, Value::Bool(false)) => self.report(place, Move::Narrower, "cannot be there any more"),
            _ => {
                let (old, new) = (keywords(old), keywords(new));
                self.types(place, &old, &new);
                self.values(place, &old, &new);
                self.bounds(place, &old, &new);
                self.properties(place, &old, &new);
                self.rest(place, &old, &new);
                let items = (old.get("items").copied(), new.get("items").copied());
                self.parts(&format!("{place}[]"), items);
            }
        }
    }

    /// Compares the schemas of parts, either of which may be missing.
    fn parts(&mut self, place: &str, parts: (Option<&'a Value>, Option<&'a Value>)) {
        match parts {
            (None, None) => {}
            (Some(old), Some(new)) => self.schemas(place, old, new),
            (None, Some(new)) if !is_open(new) => self.report(place, Move::Narrower, "has a schema now"),
            (Some(old), None) if !is_open(old) => self.report(place, Move::Wider, "can be anything now"),
            _ => {}
        }
    }

    fn types(&mut self, place: &str, old: &Keywords<'_>, new: &Keywords<'_>) {
        let (before, after) = (types(old), types(new));
        if before == after {
            return;
        }
        let text = format!("{} (it was {})", listed(&after), listed(&before));
        self.report(place, movement(before.is_subset(&after), after.is_subset(&before)), &text);
    }

    fn values(&mut self, place: &str, old: &Keywords<'_>, new: &Keywords<'_>) {
        match (values(old), values(new)) {
            (None, None) => {}
            (Some(_), None) => self.report(place, Move::Wider, "takes other values too"),
            (None, Some(after)) => {
                self.report(place, Move::Narrower, &format!("only one of {}", texts(&after)));
            }
            (Some(before), Some(after)) => {
                let missing = |from: &[&Value], of: &[&'_ Value]| -> Vec<String> {
                    of.iter().filter(|value| !from.contains(value)).map(ToString::to_string).collect()
                };
                let (removed, added) = (missing(&after, &before), missing(&before, &after));
                if !removed.is_empty() {
                    self.report(place, Move::Narrower, &format!("no longer {}", removed.join(", ")));
                }
                if !added.is_empty() {
                    self.report(place, Move::Wider, &format!("also {}", added.join(", ")));
                }
            }
        }
    }

    fn bounds(&mut self, place: &str, old: &Keywords<'_>, new: &Keywords<'_>) {
        for (key, is_least) in LEAST.map(|key| (key, true)).into_iter().chain(MOST.map(|key| (key, false))) {
            let number = |keywords: &Keywords<'_>| keywords.get(key).and_then(|value| value.as_f64());
            let (movement, text) = match (number(old), number(new)) {
                (Some(before), None) => (Move::Wider, format!("no `{key}` any more (it was {before})")),
                (None, Some(after)) => (Move::Narrower, format!("`{key}` is {after} now")),
                (Some(before), Some(after)) if before != after => {
                    let narrower = (after > before) == is_least;
                    let movement = if narrower { Move::Narrower } else { Move::Wider };
                    (movement, format!("`{key}` is {after} (it was {before})"))
                }
                _ => continue,
            };
            self.report(place, movement, &text);
        }
    }

    fn properties(&mut self, place: &str, old: &Keywords<'a>, new: &Keywords<'a>) {
        let (before, after) = (properties(old), properties(new));
        let (was_required, is_required) = (required(old), required(new));
        let (was_closed, is_closed) = (is_closed(old), is_closed(new));
        let names: BTreeSet<_> = [before.keys(), after.keys()]
            .into_iter()
            .flatten()
            .chain(&was_required)
            .chain(&is_required)
            .collect();
        for &name in names {
            let place = format!("{place}.{name}");
            match (before.get(name), after.get(name)) {
                (Some(old), Some(new)) => self.schemas(&place, old, new),
                (Some(_), None) if is_closed => {
                    self.report(&place, Move::Refused, "removed, and refused now");
                }
                (Some(_), None) => self.report(&place, Move::Gone, "removed"),
                (None, Some(_)) if is_required.contains(name) => {}
                (None, Some(_)) => self.report(&place, Move::More, "added"),
                (None, None) => {}
            }
            match (was_required.contains(name), is_required.contains(name)) {
                (false, true) if before.contains_key(name) => {
                    self.report(&place, Move::Narrower, "required now");
                }
                (false, true) => self.report(&place, Move::Narrower, "added, and required"),
                (true, false) if after.contains_key(name) => {
                    self.report(&place, Move::Wider, "no longer required");
                }
                _ => {}
            }
        }
        match (was_closed, is_closed) {
            (false, true) => self.report(place, Move::Narrower, "other properties are refused now"),
            (true, false) => self.report(place, Move::More, "other properties can be there now"),
            (false, false) => {
                let key = "additionalProperties";
                self.parts(&format!("{place}.*"), (old.get(key).copied(), new.get(key).copied()));
            }
            (true, true) => {}
        }
    }

    /// Compares the keywords of which only a difference is known, not its effect.
    fn rest(&mut self, place: &str, old: &Keywords<'a>, new: &Keywords<'a>) {
        let names: BTreeSet<_> = old.keys().chain(new.keys()).filter(|key| !KNOWN.contains(key)).collect();
        let other_definitions = self.old.get("$defs") != self.new.get("$defs");
        for &key in names {
            let (movement, text) = match (old.get(key), new.get(key)) {
                (Some(_), None) => (Move::Wider, format!("no `{key}` any more")),
                (None, Some(_)) => (Move::Narrower, format!("has `{key}` now")),
                (before, after) if before != after => (Move::Otherwise, format!("another `{key}`")),
                (Some(part), _) if other_definitions && has_reference(part) => {
                    (Move::Otherwise, format!("`{key}` refers to what has changed"))
                }
                _ => continue,
            };
            self.report(place, movement, &text);
        }
    }

    fn report(&mut self, place: &str, movement: Move, text: &str) {
        let breaks = match (self.role, movement) {
            (Role::Taken(whom) | Role::Given(whom), Move::Otherwise | Move::Refused)
            | (Role::Taken(whom), Move::Narrower)
            | (Role::Given(whom), Move::Wider | Move::Gone) => Some(whom),
            _ => None,
        };
        match breaks {
            Some(whom) => self.changes.breaks(place, whom, text),
            None => self.changes.fits(place, text),
        }
    }
}

/// The keywords of a schema that restrict a value.
type Keywords<'a> = BTreeMap<&'a str, &'a Value>;

fn keywords(schema: &Value) -> Keywords<'_> {
    let fields = schema.as_object().into_iter().flatten().map(|(key, value)| (key.as_str(), value));
    fields.filter(|(key, _)| !ANNOTATIONS.contains(key)).collect()
}

fn movement(is_wider: bool, is_narrower: bool) -> Move {
    match (is_wider, is_narrower) {
        (true, false) => Move::Wider,
        (false, true) => Move::Narrower,
        _ => Move::Otherwise,
    }
}

/// The accepted types. `number` includes `integer`.
fn types<'a>(keywords: &Keywords<'a>) -> BTreeSet<&'a str> {
    let mut types: BTreeSet<_> = match keywords.get("type") {
        Some(Value::String(single)) => BTreeSet::from([single.as_str()]),
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
        _ => TYPES.into(),
    };
    if types.contains("number") {
        types.insert("integer");
    }
    types
}

fn listed(types: &BTreeSet<&str>) -> String {
    if TYPES.iter().all(|name| types.contains(name)) {
        return "anything".into();
    }
    let implied = types.contains("number");
    let names = types.iter().filter(|name| !(implied && **name == "integer"));
    names.copied().collect::<Vec<_>>().join(" or ")
}

fn values<'a>(keywords: &Keywords<'a>) -> Option<Vec<&'a Value>> {
    let several = keywords.get("enum").and_then(|values| values.as_array());
    let several = several.map(|values| values.iter().collect());
    several.or_else(|| keywords.get("const").map(|value| vec![*value]))
}

fn texts(values: &[&Value]) -> String {
    values.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn properties<'a>(keywords: &Keywords<'a>) -> BTreeMap<&'a str, &'a Value> {
    let fields = keywords.get("properties").and_then(|properties| properties.as_object());
    fields.into_iter().flatten().map(|(name, schema)| (name.as_str(), schema)).collect()
}

fn required<'a>(keywords: &Keywords<'a>) -> BTreeSet<&'a str> {
    let names = keywords.get("required").and_then(|names| names.as_array());
    names.into_iter().flatten().filter_map(Value::as_str).collect()
}

fn is_closed(keywords: &Keywords<'_>) -> bool {
    keywords.get("additionalProperties") == Some(&&Value::Bool(false))
        && !keywords.contains_key("patternProperties")
}

fn is_open(schema: &Value) -> bool {
    *schema == Value::Bool(true) || schema.as_object().is_some_and(Map::is_empty)
}

/// The reference in a schema.
fn target(schema: &Value) -> Option<&str> {
    schema.get("$ref").and_then(Value::as_str)
}

/// Whether a schema has keywords besides its reference.
fn adds_constraints(schema: &Value) -> bool {
    keywords(schema).keys().any(|key| !["$ref", "$defs", "$id"].contains(key))
}

/// The schema that this one refers to. `None` if that is not within `root`, or if this one has other keywords.
fn follow<'a>(root: &'a Value, schema: &'a Value) -> Option<&'a Value> {
    /// Most references that lead to one another.
    const MOST: usize = 16;
    let mut at = schema;
    for _ in 0..MOST {
        match target(at) {
            None => return Some(at),
            Some(_) if adds_constraints(at) => return None,
            Some(target) => at = root.pointer(target.strip_prefix('#')?)?,
        }
    }
    None
}

fn has_reference(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().any(has_reference),
        Value::Object(fields) => fields.contains_key("$ref") || fields.values().any(has_reference),
        _ => false,
    }
}
