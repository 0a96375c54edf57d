//! Generates example values: the smallest that a schema allows, with the fields that expressions read.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::schema::of_schema;
use super::wants::{Root, wants};
use snorri_core::Definition;
use snorri_core::definition::{Action, Schema, Step};
use snorri_definition::Compiled;

/// Generates an input that a saga can be started with, as far as the schema and the expressions determine it.
pub fn input(compiled: &Compiled) -> Value {
    let schema = compiled.input_schema.as_ref();
    let least = schema.map_or(Value::Null, |schema| of_schema(schema, schema, 0));
    let mut input = if least.is_null() { json!({}) } else { least };
    for want in wants(&compiled.definition).iter().filter(|want| want.root == Root::Input) {
        want.put_into(&mut input, schema);
    }
    input
}

/// Generates the replies, signals and events of the steps for which `is_answered` is true, by the name of the step.
pub fn outputs(definition: &Definition, is_answered: &dyn Fn(&Step) -> bool) -> BTreeMap<String, Value> {
    let wants = wants(definition);
    let answered = definition.steps().iter().filter(|step| is_answered(step));
    let made = answered.map(|step| {
        let (name, schema) = match &step.action {
            Action::Command(command) => (&step.name, command.reply_schema.as_deref()),
            _ => (&step.name, None),
        };
        let document = schema.and_then(Schema::document);
        let mut output = document.map_or_else(|| json!({}), |schema| of_schema(schema, schema, 0));
        let root = Root::Output(name.to_string());
        wants.iter().filter(|want| want.root == root).for_each(|want| want.put_into(&mut output, document));
        (name.to_string(), output)
    });
    made.collect()
}
