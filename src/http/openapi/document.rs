//! The OpenAPI document: generated from the types of the API and the routes.

use std::time::Duration;

use serde_json::Value;

use crate::http::handlers;
use crate::http::openapi::links;

/// The OpenAPI document of all routes.
pub fn document() -> Result<String, serde_json::Error> {
    let document =
        handlers::all().and(handlers::health()).build(Duration::ZERO, Duration::ZERO, 1).into_openapi();
    // A `Value` sorts its fields by name, so the document is the same in every build.
    let mut document = serde_json::to_value(&document)?;
    unsigned(&mut document);
    links::add(&mut document);
    serde_json::to_string_pretty(&document)
}

/// Replaces the signed format of each unsigned number, which utoipa gives it, with the maximum.
fn unsigned(value: &mut Value) {
    match value {
        Value::Object(schema) => {
            let most: Option<u64> = match schema.get("format").and_then(Value::as_str) {
                Some("int32") => Some(u32::MAX.into()),
                Some("int64") => Some(u64::MAX),
                _ => None,
            };
            if let Some(most) = most.filter(|_| schema.contains_key("minimum")) {
                schema.remove("format");
                schema.entry("maximum").or_insert(most.into());
            }
            schema.values_mut().for_each(unsigned);
        }
        Value::Array(items) => items.iter_mut().for_each(unsigned),
        _ => {}
    }
}
