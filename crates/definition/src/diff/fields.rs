//! Compares templates: their fields, and how these are made.

use serde_json::{Map, Value};

use super::{Changes, Whom};
use snorri_core::expression::template::{Part, Template};

/// Compares the values that `whom` receives. A removed field breaks them; an added or a changed one does not.
pub(super) fn compare(
    place: &str,
    whom: Whom,
    old: Option<&Template>,
    new: Option<&Template>,
    changes: &mut Changes,
) {
    match (old.map(written), new.map(written)) {
        (None, None) => {}
        (Some(_), None) => changes.breaks(place, whom, "removed"),
        (None, Some(_)) => changes.fits(place, "added"),
        (Some(old), Some(new)) => values(place, whom, &old, &new, changes),
    }
}

fn values(place: &str, whom: Whom, old: &Value, new: &Value, changes: &mut Changes) {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            for (name, before) in old {
                let place = format!("{place}.{name}");
                match new.get(name) {
                    None => changes.breaks(place, whom, "removed"),
                    Some(after) => values(&place, whom, before, after, changes),
                }
            }
            for name in new.keys().filter(|name| !old.contains_key(*name)) {
                changes.fits(format!("{place}.{name}"), "added");
            }
        }
        (Value::Object(_), _) if !is_expression(new) => {
            changes.breaks(place, whom, format!("no longer an object: {new}"));
        }
        (Value::Object(fields), _) if !fields.is_empty() => {
            changes.breaks(place, whom, format!("computed as a whole: {new}; its fields cannot be compared"));
        }
        _ if old != new => changes.fits(place, format!("{new} (it was {old})")),
        _ => {}
    }
}

fn is_expression(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.contains("${"))
}

/// A template as JSON, with its expressions as texts.
fn written(template: &Template) -> Value {
    match template {
        Template::Literal(value) => value.clone(),
        Template::Expression(expression) => Value::String(format!("${{ {} }}", expression.source())),
        Template::Text(parts) => Value::String(parts.iter().map(part).collect()),
        Template::Array(items) => items.iter().map(written).collect(),
        Template::Object(fields) => {
            let fields: Map<_, _> =
                fields.iter().map(|(name, field)| (name.clone(), written(field))).collect();
            Value::Object(fields)
        }
    }
}

fn part(part: &Part) -> String {
    match part {
        Part::Literal(text) => text.clone(),
        Part::Expression(expression) => format!("${{ {} }}", expression.source()),
    }
}

/// Formats a template for people.
pub(super) fn shown(template: &Template) -> String {
    match written(template) {
        Value::String(text) => format!("`{text}`"),
        value => value.to_string(),
    }
}
