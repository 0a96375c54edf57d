//! Infers the types of expressions from schemas, and finds what cannot work because of them.
//!
//! Unknown types lead to no diagnostics: a definition without schemas has no errors here. The rules are those of the evaluator,
//! which differ from CEL's standard: an integer cannot be added to a decimal number.

mod absent;
mod calls;
mod compare;
mod extent;
mod guard;
mod infer;
mod kind;
mod known;
mod missing;
mod operators;
mod report;
mod value;
mod wanted;

use cel::Program;

use super::super::diagnostic::Diagnostic;
use super::scope::{Names, Scope};
use extent::Text;
use infer::Typing;
use kind::Kinds;
use snorri_core::expression::template::Template;

pub(crate) use guard::Facts;
pub(crate) use known::Known;
pub(crate) use value::{Absence, Type, Why};
pub(crate) use wanted::Wanted;

/// Finds all that is known to fail, or to be pointless, in an expression whose names are valid.
pub(crate) fn check(
    source: &str,
    program: &Program,
    scope: Scope,
    names: &Names,
    wanted: Wanted,
) -> Vec<Diagnostic> {
    let wanted = wanted.at(scope);
    let root = program.expression();
    let mut typing = Typing::new(Text::new(source, program.source_info()), scope, names);
    let whole = typing.typed(root);
    if !wanted.takes_null() {
        typing.needs(&whole, root);
    }
    let Typing { text, mut found, missing, .. } = typing;
    // An error within it explains the error of the whole.
    if found.is_empty() {
        found.extend(wanted.check(&text, &whole));
    }
    let place = missing::Place { scope, names, wanted };
    found.extend(missing.iter().filter_map(|missing| match missing.absence {
        Some(absence) => absent::report_absence(&text, root, missing, absence, &place),
        None => missing::report_missing(&text, root, missing, &place),
    }));
    found.sort_by_key(|diagnostic| (diagnostic.span.start, diagnostic.span.end));
    found
}

/// The type of a template, without diagnostics.
pub(crate) fn of_template(template: &Template, scope: Scope, names: &Names) -> Type {
    match template {
        Template::Literal(value) => Type::of_json(value),
        Template::Expression(expression) => {
            of_program(expression.source(), expression.program(), scope, names)
        }
        Template::Text(_) => Type::of(Kinds::TEXT),
        Template::Array(items) => {
            let items = items.iter().map(|item| of_template(item, scope, names)).reduce(Type::join);
            items.map_or_else(|| Type::of(Kinds::LIST), Type::list)
        }
        Template::Object(fields) => {
            Type::object(fields.iter().map(|(name, field)| (name.clone(), of_template(field, scope, names))))
        }
    }
}

pub(crate) fn of_program(source: &str, program: &Program, scope: Scope, names: &Names) -> Type {
    Typing::new(Text::new(source, program.source_info()), scope, names).infer(program.expression())
}

/// The facts that follow if an expression is true, and if it is false.
pub(crate) fn facts(source: &str, program: &Program) -> Facts {
    Facts::of(&Text::new(source, program.source_info()), program.expression())
}

/// The output of a step, seen from a place.
pub(crate) fn of_output(name: &str, scope: Scope, names: &Names) -> Type {
    names.type_of(name, scope, &names.assured(scope)).field("output").of
}

/// The types of names.
impl Names {
    fn type_of(&self, name: &str, scope: Scope, present: &[String]) -> Type {
        let by = |known: &Option<std::sync::Arc<Known>>| {
            known.as_ref().map_or_else(Type::json, |known| Type::by(&known::Part::root(known)))
        };
        match name {
            "input" => return by(&self.input),
            "event" => return Type::json(),
            "saga" => {
                return Type::object([
                    ("id".to_owned(), Type::of(Kinds::TEXT)),
                    ("key".to_owned(), Type::of(Kinds::TEXT | Kinds::NULL)),
                ]);
            }
            "schedule" => return Type::object([("time".to_owned(), Type::of(Kinds::TEXT))]),
            _ => {}
        }
        if let Some(each) = self.around(scope).find(|&each| self.steps[each].item.as_deref() == Some(name)) {
            return self.steps[each].items.clone().unwrap_or_else(Type::json);
        }
        let Some(index) = self.position(name) else { return Type::unknown() };
        let step = &self.steps[index];
        // An operator can skip any step.
        let output = step.output.clone().unwrap_or_else(|| by(&step.reply)).or_null();
        let output = output.absent(self.absence(index, scope, present));
        Type::object([("output".to_owned(), output)])
    }
}

#[cfg(test)]
mod tests;
