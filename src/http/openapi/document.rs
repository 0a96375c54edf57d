//! The OpenAPI document: generated from the types, and refined with constraints that the types cannot express.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::http::handlers;
use crate::http::openapi::links;
use snorri_api::schema::VISIBLE;

/// The OpenAPI document of all routes.
pub fn document() -> Result<String, serde_json::Error> {
    let document =
        handlers::all().and(handlers::health()).build(Duration::ZERO, Duration::ZERO, 1).into_openapi();
    // A `Value` sorts its fields by name, so the document is the same in every build.
    let mut document = serde_json::to_value(&document)?;
    each_object(&mut document, &mut unsigned);
    each_object(&mut document, &mut parameter);
    if let Some(schemas) = document.pointer_mut("/components/schemas").and_then(Value::as_object_mut) {
        refine(schemas);
    }
    links::add(&mut document);
    serde_json::to_string_pretty(&document)
}

fn each_object(value: &mut Value, change: &mut impl FnMut(&mut Map<String, Value>)) {
    match value {
        Value::Object(fields) => {
            change(fields);
            fields.values_mut().for_each(|value| each_object(value, change));
        }
        Value::Array(items) => items.iter_mut().for_each(|value| each_object(value, change)),
        _ => {}
    }
}

/// Replaces the signed format of an unsigned number with its maximum.
fn unsigned(schema: &mut Map<String, Value>) {
    let most: u64 = match schema.get("format").and_then(Value::as_str) {
        Some("int32") => u32::MAX.into(),
        Some("int64") => u64::MAX,
        _ => return,
    };
    if schema.contains_key("minimum") {
        schema.remove("format");
        schema.entry("maximum").or_insert(most.into());
    }
}

/// Removes null from the schema of a parameter: an optional parameter is absent, not null.
fn parameter(parameter: &mut Map<String, Value>) {
    let is_text = match parameter.get("in").and_then(Value::as_str) {
        Some("query" | "path") => true,
        Some("header") => false,
        _ => return,
    };
    let Some(schema) = parameter.get_mut("schema").and_then(Value::as_object_mut) else { return };
    if let Some(Value::Array(types)) = schema.get("type")
        && let Some(kind) = types.iter().find(|kind| **kind != "null").cloned()
    {
        schema.insert("type".to_owned(), kind);
    }
    let is_free = ["format", "pattern", "enum"].iter().all(|name| !schema.contains_key(*name));
    if is_text && is_free && schema.get("type").is_some_and(|kind| kind == "string") {
        schema.insert("pattern".to_owned(), VISIBLE.into());
    }
}

fn refine(schemas: &mut Map<String, Value>) {
    let mut add = |pointer: [&str; 3], name: &str, value: Value| {
        let [schema, part, field] = pointer;
        let place = schemas.get_mut(schema).and_then(|schema| schema.get_mut(part)?.get_mut(field));
        if let Some(fields) = place.and_then(Value::as_object_mut) {
            fields.insert(name.to_owned(), value);
        }
    };
    let attributes = ["StartRequest", "properties", "attributes"];
    add(attributes, "maxProperties", 16.into());
    add(attributes, "propertyNames", json!({"type": "string", "minLength": 1, "maxLength": 64}));
    add(attributes, "additionalProperties", json!({"type": "string", "maxLength": 256}));
    let data = ["Event", "properties", "data"];
    add(
        data,
        "contentSchema",
        json!({"oneOf": [{"$ref": "#/components/schemas/Change"}, {"type": "integer"}]}),
    );
    // A version requires its definition.
    let version = json!([
        {"properties": {"version": {"type": "null"}}},
        {"required": ["definition"], "properties": {"definition": {"type": "string"}}},
    ]);
    if let Some(query) = schemas.get_mut("SagaQuery") {
        query["anyOf"] = version;
    }
    if let Some(request) = schemas.get_mut("BulkRequest") {
        *request = bulk(request);
    }
}

/// Splits the schema of a bulk request: only `migrate` has a version, and requires it and a definition.
fn bulk(request: &Value) -> Value {
    let (mut migrate, mut other) = (request.clone(), request.clone());
    let description = request["description"].clone();
    for variant in [&mut migrate, &mut other] {
        if let Some(fields) = variant.as_object_mut() {
            fields.remove("description");
        }
    }
    migrate["title"] = "Migrate".into();
    migrate["properties"]["action"] = json!({"const": "migrate"});
    migrate["properties"]["version"]["type"] = "integer".into();
    migrate["properties"]["query"] = json!({
        "allOf": [{"$ref": "#/components/schemas/SagaQuery"}],
        "required": ["definition"],
        "properties": {"definition": {"type": "string"}},
    });
    if let Some(required) = migrate["required"].as_array_mut() {
        required.push("version".into());
    }
    other["title"] = "Everything else".into();
    other["properties"]["action"] =
        json!({"allOf": [{"$ref": "#/components/schemas/BulkAction"}, {"not": {"const": "migrate"}}]});
    other["properties"]["version"] = json!({"type": "null"});
    json!({"description": description, "oneOf": [migrate, other]})
}
