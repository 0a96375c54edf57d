//! Finds the fields that the expressions of a definition read, so that generated values contain them.

use std::collections::BTreeMap;

use cel::common::ast::{EntryExpr, Expr, IdedExpr, LiteralValue};
use serde_json::{Map, Value, json};

use super::schema;
use snorri_core::Definition;
use snorri_core::definition::{Action, Sleep};
use snorri_core::expression::Expression;
use snorri_core::expression::template::Template;

/// Stands for the items of a list in a path.
const ITEM: &str = "[]";

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Root {
    Input,
    Output(String),
}

/// A field that should exist.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Want {
    pub root: Root,
    path: Vec<String>,
    kind: Kind,
}

/// The type of a field, the most certain first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Time,
    List,
    Number,
    Bool,
    Text,
}

/// The fields that a definition reads, the deepest first.
pub(super) fn wants(definition: &Definition) -> Vec<Want> {
    let mut reader = Reader { definition, items: BTreeMap::new(), guarded: Vec::new(), found: Vec::new() };
    for step in definition.steps() {
        if let Action::ForEach(each) = &step.action {
            let path = names_of(&each.list.program().expression().expr);
            reader.items.extend(path.map(|path| (each.item.to_string(), path)));
        }
    }
    let templates = definition.key.iter().chain(definition.attributes.iter().map(|(_, value)| value));
    templates.chain(&definition.output).for_each(|template| reader.template(template));
    for step in definition.steps() {
        step.when.iter().for_each(|condition| reader.expression(condition, Kind::Bool));
        match &step.action {
            Action::Command(command) => {
                reader.template(&command.command.payload);
                command.compensation.iter().for_each(|compensation| reader.template(&compensation.payload));
            }
            Action::Choice(conditions) => {
                conditions.iter().for_each(|condition| reader.expression(condition, Kind::Bool));
            }
            Action::ForEach(each) => {
                reader.expression(&each.list, Kind::List);
                each.output.iter().for_each(|output| reader.template(output));
            }
            Action::Sleep(Sleep::Until(time)) => reader.expression(time, Kind::Time),
            Action::Child(child) => reader.template(&child.input),
            Action::Publish(publish) => reader.template(&publish.payload),
            Action::Fail { message, .. } => reader.template(message),
            Action::Wait(_) | Action::Sleep(_) => {}
        }
    }
    let mut found = reader.found;
    found.sort_by(|a, b| (b.path.len(), a.kind, &a.path).cmp(&(a.path.len(), b.kind, &b.path)));
    found.dedup();
    found
}

struct Reader<'a> {
    definition: &'a Definition,
    /// The names of items, each with the path of its list.
    items: BTreeMap<String, Vec<String>>,
    /// The fields that the current expression guards with `has()`.
    guarded: Vec<(Root, Vec<String>)>,
    found: Vec<Want>,
}

impl Reader<'_> {
    fn template(&mut self, template: &Template) {
        template.expressions().into_iter().for_each(|expression| self.expression(expression, Kind::Text));
    }

    fn expression(&mut self, expression: &Expression, kind: Kind) {
        let before = self.found.len();
        self.visit(expression.program().expression(), kind);
        let guarded = std::mem::take(&mut self.guarded);
        let is_guarded = |want: &Want| {
            guarded.iter().any(|(root, path)| want.root == *root && want.path.starts_with(path))
        };
        let found = self.found.split_off(before);
        self.found.extend(found.into_iter().filter(|want| !is_guarded(want)));
    }

    fn visit(&mut self, expression: &IdedExpr, kind: Kind) {
        if let Some(path) = names_of(&expression.expr) {
            return self.want(&path, kind);
        }
        match &expression.expr {
            Expr::Call(call) => {
                let operands: Vec<_> = call.target.as_deref().into_iter().chain(&call.args).collect();
                for (index, operand) in operands.iter().enumerate() {
                    self.visit(operand, kind_of_operand(&call.func_name, index, &operands, kind));
                }
            }
            Expr::Select(select) if select.test => {
                let path = names_of(&select.operand.expr).map(|mut path| {
                    path.push(select.field.clone());
                    path
                });
                self.guarded.extend(path.and_then(|path| self.place(&path, 0)));
            }
            Expr::Select(select) => self.visit(&select.operand, Kind::Text),
            Expr::List(list) => list.elements.iter().for_each(|element| self.visit(element, Kind::Text)),
            Expr::Map(map) => map.entries.iter().for_each(|entry| match &entry.expr {
                EntryExpr::MapEntry(entry) => self.visit(&entry.value, Kind::Text),
                EntryExpr::StructField(field) => self.visit(&field.value, Kind::Text),
            }),
            Expr::Comprehension(loops) => {
                self.visit(&loops.iter_range, Kind::List);
                self.visit(&loops.loop_step, Kind::Text);
            }
            _ => {}
        }
    }

    fn want(&mut self, path: &[String], kind: Kind) {
        if let Some((root, path)) = self.place(path, 0).filter(|(_, path)| !path.is_empty()) {
            self.found.push(Want { root, path, kind });
        }
    }

    /// Resolves the names in an expression to a root and a path.
    fn place(&self, path: &[String], depth: usize) -> Option<(Root, Vec<String>)> {
        let (first, rest) = path.split_first()?;
        if let Some(list) = self.items.get(first).filter(|_| depth < 8) {
            let path: Vec<_> =
                list.iter().cloned().chain([ITEM.to_owned()]).chain(rest.iter().cloned()).collect();
            return self.place(&path, depth + 1);
        }
        match rest.split_first() {
            _ if first == "input" => Some((Root::Input, rest.to_vec())),
            Some((output, rest)) if output == "output" && self.definition.index_of(first).is_some() => {
                Some((Root::Output(first.clone()), rest.to_vec()))
            }
            _ => None,
        }
    }
}

/// The type of an operand of an operator.
fn kind_of_operand(operator: &str, index: usize, operands: &[&IdedExpr], around: Kind) -> Kind {
    let has_text = operands.iter().any(|it| matches!(&it.expr, Expr::Literal(LiteralValue::String(_))));
    let has_number = operands.iter().any(|it| {
        matches!(
            &it.expr,
            Expr::Literal(LiteralValue::Int(_) | LiteralValue::UInt(_) | LiteralValue::Double(_))
        )
    });
    let has_bool = operands.iter().any(|it| matches!(&it.expr, Expr::Literal(LiteralValue::Boolean(_))));
    match operator {
        "_<_" | "_<=_" | "_>_" | "_>=_" if !has_text => Kind::Number,
        "_-_" | "_*_" | "_/_" | "_%_" | "-_" => Kind::Number,
        "_==_" | "_!=_" | "_+_" if has_number => Kind::Number,
        "_==_" | "_!=_" if has_bool => Kind::Bool,
        "_&&_" | "_||_" | "!_" => Kind::Bool,
        "_?_:_" if index == 0 => Kind::Bool,
        "_?_:_" => around,
        "size" => Kind::List,
        "@in" if index == 1 => Kind::List,
        _ => Kind::Text,
    }
}

/// The names in `a.b.c`, if an expression consists of names only.
fn names_of(expression: &Expr) -> Option<Vec<String>> {
    match expression {
        Expr::Ident(name) => Some(vec![name.clone()]),
        Expr::Select(select) if !select.test => {
            let mut names = names_of(&select.operand.expr)?;
            names.push(select.field.clone());
            Some(names)
        }
        _ => None,
    }
}

impl Want {
    /// Adds the field if it is missing, with a value that its schema allows, if there is one.
    pub fn put_into(&self, value: &mut Value, schema: Option<&Value>) {
        let (root, mut schema) = (schema, schema);
        let made = |schema: Option<&Value>| {
            let made = schema.zip(root).map(|(schema, root)| schema::of_schema(schema, root, 0));
            made.filter(|made| !made.is_null())
        };
        let mut at = value;
        for name in &self.path {
            let is_item = name == ITEM;
            if at.is_null() {
                let empty = || if is_item { json!([null]) } else { Value::Object(Map::new()) };
                *at = made(schema).unwrap_or_else(empty);
            }
            let next = if is_item {
                at.as_array_mut().and_then(|items| items.first_mut())
            } else {
                at.as_object_mut().map(|fields| fields.entry(name.clone()).or_insert(Value::Null))
            };
            let field = (!is_item).then_some(name.as_str());
            schema = schema.zip(root).and_then(|(schema, root)| schema::within(schema, root, field));
            match next {
                Some(next) => at = next,
                None => return,
            }
        }
        if at.is_null() {
            let name = self.path.iter().rev().find(|name| *name != ITEM).map_or("item", String::as_str);
            *at = match (made(schema), self.kind) {
                (Some(made), _) if made != "text" => made,
                (_, Kind::Time) => json!("2026-01-02T00:00:00Z"),
                (None, Kind::List) => json!([format!("{name}-1")]),
                (None, Kind::Number) => json!(1),
                (None, Kind::Bool) => json!(true),
                _ => json!(format!("{name}-1")),
            };
        }
    }
}
