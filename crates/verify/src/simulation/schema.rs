//! Generates the smallest value that a schema allows.

use serde_json::{Map, Value, json};

/// Most levels of a schema that are followed.
const DEEPEST: usize = 12;

/// Generates a small value that a schema allows. Keywords that are not supported are ignored.
pub(super) fn of_schema(schema: &Value, root: &Value, depth: usize) -> Value {
    if depth > DEEPEST {
        return Value::Null;
    }
    if let Some(target) = schema.get("$ref").and_then(Value::as_str).and_then(|path| path.strip_prefix('#')) {
        return root.pointer(target).map_or(Value::Null, |schema| of_schema(schema, root, depth + 1));
    }
    let fixed = ["const", "default"].into_iter().find_map(|key| schema.get(key));
    let first = ["examples", "enum"].into_iter().find_map(|key| schema.get(key)?.get(0));
    if let Some(value) = fixed.or(first) {
        return value.clone();
    }
    if let Some(first) = ["oneOf", "anyOf"].into_iter().find_map(|key| schema.get(key)?.get(0)) {
        return of_schema(first, root, depth + 1);
    }
    match kind(schema) {
        "object" => object(schema, root, depth),
        "array" => array(schema, root, depth),
        "string" => text(schema),
        "integer" | "number" => number(schema),
        "boolean" => json!(true),
        _ => Value::Null,
    }
}

/// The schema of a part of a value: of a field, or of the items of a list.
pub(super) fn within<'a>(schema: &'a Value, root: &'a Value, field: Option<&str>) -> Option<&'a Value> {
    let mut schema = schema;
    for _ in 0..DEEPEST {
        match schema.get("$ref").and_then(Value::as_str) {
            Some(target) => schema = root.pointer(target.strip_prefix('#')?)?,
            None => break,
        }
    }
    let parts = schema.get("allOf").and_then(Value::as_array).into_iter().flatten();
    std::iter::once(schema).chain(parts).find_map(|part| match field {
        Some(name) => part.get("properties")?.get(name),
        None => part.get("items"),
    })
}

fn kind(schema: &Value) -> &str {
    let kind = schema.get("type");
    let named = kind.and_then(Value::as_str).or_else(|| kind?.get(0)?.as_str());
    named.unwrap_or_else(|| {
        let keywords =
            [("properties", "object"), ("allOf", "object"), ("required", "object"), ("items", "array")];
        keywords.into_iter().find(|(key, _)| schema.get(key).is_some()).map_or("", |(_, kind)| kind)
    })
}

fn object(schema: &Value, root: &Value, depth: usize) -> Value {
    let mut fields = Map::new();
    for part in schema.get("allOf").and_then(Value::as_array).into_iter().flatten() {
        if let Value::Object(more) = of_schema(part, root, depth + 1) {
            fields.extend(more);
        }
    }
    let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
    for name in required.filter_map(Value::as_str) {
        let value = schema.get("properties").and_then(|properties| properties.get(name));
        let value = value.map_or(Value::Null, |schema| of_schema(schema, root, depth + 1));
        fields.insert(name.to_owned(), if value.is_null() { json!(format!("{name}-1")) } else { value });
    }
    for (name, value) in &mut fields {
        let named = |value: &mut Value| {
            if value == "text" {
                *value = json!(format!("{name}-1"));
            }
        };
        match value {
            Value::Array(items) => items.iter_mut().for_each(named),
            value => named(value),
        }
    }
    Value::Object(fields)
}

/// Generates a list with at least one item, for the `for_each`s over it.
fn array(schema: &Value, root: &Value, depth: usize) -> Value {
    let least = schema.get("minItems").and_then(Value::as_u64).unwrap_or(1).clamp(1, 100);
    let most = schema.get("maxItems").and_then(Value::as_u64).unwrap_or(least);
    let item = schema.get("items").map_or(Value::Null, |items| of_schema(items, root, depth + 1));
    let item = if item.is_null() { json!("item-1") } else { item };
    (0..least.min(most)).map(|_| item.clone()).collect()
}

fn text(schema: &Value) -> Value {
    let made = match schema.get("format").and_then(Value::as_str) {
        Some("date-time") => "2026-01-02T00:00:00Z",
        Some("date") => "2026-01-02",
        Some("time") => "12:00:00Z",
        Some("email") => "user@example.org",
        Some("uuid") => "00000000-0000-4000-8000-000000000001",
        Some("uri" | "url") => "https://example.org/",
        _ => "text",
    };
    let least = schema.get("minLength").and_then(Value::as_u64).unwrap_or_default();
    let missing = usize::try_from(least).unwrap_or_default().saturating_sub(made.len()).min(1_000);
    json!(format!("{made}{}", "x".repeat(missing)))
}

fn number(schema: &Value) -> Value {
    let bound = |key: &str| schema.get(key).and_then(Value::as_i64);
    let least = bound("minimum").or_else(|| bound("exclusiveMinimum").map(|least| least.saturating_add(1)));
    let most = bound("maximum").or_else(|| bound("exclusiveMaximum").map(|most| most.saturating_sub(1)));
    let number = least.unwrap_or(1).min(most.unwrap_or(i64::MAX));
    match bound("multipleOf") {
        Some(step) if step > 0 => json!(number.div_euclid(step).saturating_add(1).saturating_mul(step)),
        _ => json!(number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_of_a_schema() {
        let schema = json!({
            "type": "object",
            "required": ["id", "amount", "lines", "kind", "at", "shared"],
            "$defs": { "shared": { "type": "string", "minLength": 8 } },
            "properties": {
                "id": { "type": "string" },
                "amount": { "type": "integer", "minimum": 5 },
                "kind": { "enum": ["new", "old"] },
                "at": { "type": "string", "format": "date" },
                "shared": { "$ref": "#/$defs/shared" },
                "unused": { "type": "string" },
                "lines": { "type": "array", "minItems": 2, "items": { "type": "boolean" } },
            },
        });
        let made = of_schema(&schema, &schema, 0);
        assert_eq!(
            made,
            json!({"id": "id-1", "amount": 5, "kind": "new", "at": "2026-01-02", "shared": "textxxxx", "lines": [true, true]})
        );
    }
}
