//! What is known from schemas: the kinds of a value, its fields and its items.
//!
//! Only what is certain. `$ref` and `allOf` are followed; of `anyOf` and `oneOf` the kinds are known; a schema with anything else
//! that may change what is required counts as open.

use std::ops::Range;
use std::sync::Arc;

use serde_json::Value as Json;

use super::super::super::source::{Node, Value};
use super::super::super::suggest;
use super::kind::Kinds;

/// Most references and parts that are followed for one answer.
const MOST_FOLLOWED: usize = 32;
/// The keywords that may require more fields than `required` does, or make a field impossible.
const CONDITIONS: [&str; 9] = [
    "anyOf",
    "oneOf",
    "if",
    "not",
    "dependentRequired",
    "dependentSchemas",
    "minProperties",
    "unevaluatedProperties",
    "$dynamicRef",
];

/// A schema of a definition, and its place.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) json: Json,
    pub(crate) node: Node,
    /// For people: "the `input` schema".
    pub(crate) called: String,
}

/// A part of a schema.
#[derive(Debug, Clone)]
pub(super) struct Part {
    known: Arc<Known>,
    /// A JSON Pointer.
    pointer: String,
}

/// A field by its schema.
pub(super) enum Field {
    /// The schema does not list it, but may list a field with a similar name.
    Open {
        near: Option<String>,
    },
    Known {
        part: Part,
        is_required: bool,
    },
}

impl Part {
    pub(super) fn root(known: &Arc<Known>) -> Self {
        Self { known: Arc::clone(known), pointer: String::new() }
    }

    pub(super) fn called(&self) -> &str {
        &self.known.called
    }

    /// The name of the property whose schema it is, if any.
    pub(super) fn name(&self) -> Option<String> {
        let (before, name) = self.pointer.rsplit_once('/')?;
        before.ends_with("/properties").then(|| name.replace("~1", "/").replace("~0", "~"))
    }

    /// Its place, if it is in the definition itself.
    pub(super) fn place(&self) -> Option<Range<usize>> {
        let steps = self.pointer.split('/').skip(1).map(|step| step.replace("~1", "/").replace("~0", "~"));
        let mut node = &self.known.node;
        for step in steps {
            node = match &node.value {
                Value::Mapping(entries) => &entries.iter().find(|entry| entry.key == step)?.value,
                Value::Sequence(items) => items.get(step.parse::<usize>().ok()?)?,
                _ => return None,
            };
        }
        (!node.span.is_empty()).then(|| node.span.clone())
    }

    fn at(&self, pointer: String) -> Self {
        Self { known: Arc::clone(&self.known), pointer }
    }

    /// The schema, and all others that hold for the same value.
    fn facets(&self) -> Vec<(String, &Json)> {
        let mut todo = vec![self.pointer.clone()];
        let mut facets: Vec<(String, &Json)> = Vec::new();
        while let Some(pointer) = todo.pop() {
            let is_new = facets.iter().all(|(seen, _)| *seen != pointer);
            let Some(schema) = self.known.json.pointer(&pointer).filter(|_| is_new) else { continue };
            if facets.len() == MOST_FOLLOWED {
                break;
            }
            let target =
                schema.get("$ref").and_then(Json::as_str).and_then(|target| target.strip_prefix('#'));
            todo.extend(target.map(str::to_owned));
            let all = schema.get("allOf").and_then(Json::as_array).map_or(0, Vec::len);
            todo.extend((0..all).map(|index| format!("{pointer}/allOf/{index}")));
            facets.push((pointer, schema));
        }
        facets
    }

    /// The target of a reference, if it is a pointer that exists.
    fn target<'a>(&self, reference: &'a str) -> Option<&'a str> {
        let pointer = reference.strip_prefix('#')?;
        self.known.json.pointer(pointer).map(|_| pointer)
    }

    pub(super) fn kinds(&self) -> Kinds {
        let mut budget = MOST_FOLLOWED;
        self.kinds_within(&mut budget)
    }

    fn kinds_within(&self, budget: &mut usize) -> Kinds {
        let mut kinds = Kinds::JSON;
        for (pointer, schema) in self.facets() {
            if *budget == 0 {
                return Kinds::JSON;
            }
            *budget -= 1;
            kinds = kinds & own_kinds(schema);
            for key in ["anyOf", "oneOf"] {
                let count = schema.get(key).and_then(Json::as_array).map_or(0, Vec::len);
                let alternatives =
                    (0..count).map(|index| self.at(format!("{pointer}/{key}/{index}")).kinds_within(budget));
                kinds = kinds & alternatives.reduce(|all, one| all | one).unwrap_or(Kinds::JSON);
            }
        }
        // A schema that no value matches is no reason for a diagnostic.
        if kinds.is_empty() { Kinds::JSON } else { kinds }
    }

    /// All values that it can be, if those are few.
    pub(super) fn values(&self) -> Option<Vec<Json>> {
        let is_scalar = |value: &Json| !value.is_array() && !value.is_object();
        self.facets().into_iter().find_map(|(_, schema)| {
            let values = match (schema.get("const"), schema.get("enum")) {
                (Some(value), _) => vec![value.clone()],
                (None, Some(Json::Array(values))) => values.clone(),
                _ => return None,
            };
            values.iter().all(is_scalar).then_some(values)
        })
    }

    pub(super) fn field(&self, name: &str) -> Field {
        let facets = self.facets();
        let has = |(_, schema): &&(String, &Json)| {
            schema.get("properties").and_then(|properties| properties.get(name)).is_some()
        };
        let Some((pointer, _)) = facets.iter().find(has) else {
            return Field::Open { near: self.near(&facets, name) };
        };
        let requires = |schema: &Json| {
            let required = schema.get("required").and_then(Json::as_array);
            required.is_some_and(|required| required.iter().any(|key| key == name))
        };
        let may_require = |schema: &Json| {
            let is_lost = |target: &str| self.target(target).is_none();
            CONDITIONS.iter().any(|key| schema.get(key).is_some())
                || schema.get("$ref").and_then(Json::as_str).is_some_and(is_lost)
        };
        let is_required = facets.len() == MOST_FOLLOWED
            || facets.iter().any(|(_, schema)| requires(schema) || may_require(schema));
        let name = name.replace('~', "~0").replace('/', "~1");
        Field::Known { part: self.at(format!("{pointer}/properties/{name}")), is_required }
    }

    /// The property of which `name` is probably a misspelling. `None` if the schema may have further properties elsewhere.
    fn near(&self, facets: &[(String, &Json)], name: &str) -> Option<String> {
        let may_name_more = |schema: &Json| {
            let is_lost = |target: &str| self.target(target).is_none();
            let requires = |required: &Json| {
                required.as_array().is_some_and(|names| names.iter().any(|required| required == name))
            };
            CONDITIONS.iter().any(|key| schema.get(key).is_some())
                || schema.get("patternProperties").is_some()
                || schema.get("additionalProperties").is_some_and(Json::is_object)
                || schema.get("required").is_some_and(requires)
                || schema.get("$ref").and_then(Json::as_str).is_some_and(is_lost)
        };
        if facets.len() == MOST_FOLLOWED || facets.iter().any(|(_, schema)| may_name_more(schema)) {
            return None;
        }
        let properties = facets.iter().filter_map(|(_, schema)| schema.get("properties")?.as_object());
        let known = properties.flat_map(|properties| properties.keys().map(String::as_str));
        suggest::nearest(name, known.filter(|known| may_be_misspelt(known, name))).map(str::to_owned)
    }

    /// The schema of all items of the list.
    pub(super) fn items(&self) -> Option<Self> {
        let facets = self.facets();
        if facets.iter().any(|(_, schema)| schema.get("prefixItems").is_some()) {
            return None;
        }
        let (pointer, _) =
            facets.iter().find(|(_, schema)| schema.get("items").is_some_and(Json::is_object))?;
        Some(self.at(format!("{pointer}/items")))
    }
}

/// `ip` is no misspelling of `id`, nor `line2` of `line1`.
fn may_be_misspelt(known: &str, name: &str) -> bool {
    const SHORT: usize = 3;
    let letters = |name: &str| name.replace(|character: char| character.is_ascii_digit(), "");
    known.eq_ignore_ascii_case(name) || (name.len() > SHORT && letters(known) != letters(name))
}

/// The kinds that one schema itself allows.
fn own_kinds(schema: &Json) -> Kinds {
    let by_type = match schema.get("type") {
        Some(Json::String(name)) => of_type(name),
        Some(Json::Array(names)) => {
            names.iter().filter_map(Json::as_str).map(of_type).fold(Kinds::NONE, |all, one| all | one)
        }
        _ => Kinds::JSON,
    };
    let by_value = match (schema.get("const"), schema.get("enum")) {
        (Some(value), _) => of_value(value),
        (None, Some(Json::Array(values))) => {
            values.iter().map(of_value).fold(Kinds::NONE, |all, one| all | one)
        }
        _ => Kinds::JSON,
    };
    by_type & by_value
}

fn of_type(name: &str) -> Kinds {
    match name {
        "null" => Kinds::NULL,
        "boolean" => Kinds::BOOL,
        "integer" => Kinds::INT,
        "number" => Kinds::NUMBER,
        "string" => Kinds::TEXT,
        "array" => Kinds::LIST,
        "object" => Kinds::OBJECT,
        _ => Kinds::JSON,
    }
}

pub(super) fn of_value(value: &Json) -> Kinds {
    match value {
        Json::Null => Kinds::NULL,
        Json::Bool(_) => Kinds::BOOL,
        // 1.0 is as good as 1 to a schema, and comes as either.
        Json::Number(number) if number.is_f64() => {
            match number.as_f64().is_some_and(|it| it.fract() == 0.0) {
                true => Kinds::NUMBER,
                false => Kinds::DOUBLE,
            }
        }
        Json::Number(_) => Kinds::INT,
        Json::String(_) => Kinds::TEXT,
        Json::Array(_) => Kinds::LIST,
        Json::Object(_) => Kinds::OBJECT,
    }
}
