//! CEL between `${ }`, and templates: JSON in which strings may hold such expressions.
//!
//! An expression is total, does no IO, and is bounded: its source by [`MAX_SOURCE_BYTES`], its nesting by the parser,
//! what it may see by the limits on payloads. It is compiled once, when its definition is loaded.
//!
//! One rule is ours: an expression that reaches into the output of a step that has none (it is unknown, was skipped,
//! or failed and is optional) is null, so that a compensation can name its step's output without asking first.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use cel::{Context, Env, Program};
use serde_json::Value;

/// Longest source of one expression.
pub const MAX_SOURCE_BYTES: usize = 4 * 1024;

/// The variables that an expression sees.
pub trait Scope {
    fn variable(&self, name: &str) -> Option<Variable<'_>>;
}

#[derive(Debug, Clone, Copy)]
pub enum Variable<'a> {
    Json(&'a Value),
    /// A step: an object whose only field is `output`.
    Step {
        output: Option<&'a Value>,
    },
    /// The saga's own `id` and business `key`.
    Saga {
        id: &'a str,
        key: Option<&'a str>,
    },
}

/// A compiled CEL expression.
pub struct Expression {
    source: String,
    program: Program,
    env: Arc<Env>,
    references: Vec<String>,
}

/// Why an expression could not be compiled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SyntaxError {
    pub message: String,
    /// Where, in bytes of the template's text.
    pub at: Range<usize>,
}

/// Why an expression has no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{expression}`: {message}")]
pub struct EvaluationError {
    pub expression: String,
    pub message: String,
}

impl Expression {
    pub fn compile(env: &Arc<Env>, source: &str) -> Result<Self, String> {
        if source.len() > MAX_SOURCE_BYTES {
            return Err(format!("longer than {MAX_SOURCE_BYTES} bytes"));
        }
        let program = env.compile(source).map_err(|errors| {
            let first = errors.errors.first();
            first.map_or_else(|| errors.to_string(), |error| error.msg.clone())
        })?;
        let mut references: Vec<_> =
            program.references().variables().into_iter().map(str::to_owned).collect();
        references.sort_unstable();
        Ok(Self { source: source.to_owned(), program, env: Arc::clone(env), references })
    }

    /// The variables it names.
    pub fn references(&self) -> &[String] {
        &self.references
    }

    pub fn source(&self) -> &str {
        &self.source
    }

    /// What it was compiled to, for whoever checks what it reaches for.
    pub fn program(&self) -> &Program {
        &self.program
    }

    pub fn evaluate(&self, scope: &dyn Scope) -> Result<Value, EvaluationError> {
        let mut context = Context::with_env(Arc::clone(&self.env));
        let mut reaches_into_nothing = false;
        for name in &self.references {
            if let Some(variable) = scope.variable(name) {
                reaches_into_nothing |=
                    matches!(variable, Variable::Step { output: None | Some(Value::Null) });
                context.add_variable_from_value(name.as_str(), variable.to_cel());
            }
        }
        let wrong = |message: String| EvaluationError { expression: self.source.clone(), message };
        match self.program.execute(&context) {
            Ok(value) => value.json().map_err(|error| wrong(error.to_string())),
            Err(_) if reaches_into_nothing => Ok(Value::Null),
            Err(error) => Err(wrong(error.to_string())),
        }
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Expression({})", self.source)
    }
}

impl Variable<'_> {
    fn to_cel(self) -> cel::Value {
        match self {
            Self::Json(value) => to_cel(value),
            Self::Step { output } => object([("output", output.map_or(cel::Value::Null, to_cel))]),
            Self::Saga { id, key } => {
                object([("id", id.into()), ("key", key.map_or(cel::Value::Null, Into::into))])
            }
        }
    }
}

fn object<const N: usize>(fields: [(&str, cel::Value); N]) -> cel::Value {
    fields.into_iter().collect::<std::collections::HashMap<_, _>>().into()
}

/// JSON as CEL sees it. Integers become signed where they fit, so that `input.amount + 1` adds two of a kind.
fn to_cel(value: &Value) -> cel::Value {
    match value {
        Value::Null => cel::Value::Null,
        Value::Bool(value) => (*value).into(),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => number.into(),
            (None, Some(number)) => number.into(),
            (None, None) => number.as_f64().unwrap_or(f64::NAN).into(),
        },
        Value::String(text) => text.as_str().into(),
        Value::Array(items) => items.iter().map(to_cel).collect::<Vec<_>>().into(),
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| (name.clone(), to_cel(value)))
            .collect::<std::collections::HashMap<_, _>>()
            .into(),
    }
}

/// JSON with expressions in it.
#[derive(Debug)]
pub enum Template {
    Literal(Value),
    /// `${ expression }` and nothing else: keeps the expression's type.
    Expression(Expression),
    /// Text around expressions.
    Text(Vec<Part>),
    Array(Vec<Template>),
    Object(Vec<(String, Template)>),
}

#[derive(Debug)]
pub enum Part {
    Literal(String),
    Expression(Expression),
}

impl Template {
    pub fn null() -> Self {
        Self::Literal(Value::Null)
    }

    /// Compiles a string, which may hold expressions. `$${` stands for a literal `${`.
    pub fn of_text(env: &Arc<Env>, text: &str) -> Result<Self, SyntaxError> {
        let mut parts = split(text)?
            .into_iter()
            .map(|(part, at)| match part {
                Source::Literal(text) => Ok(Part::Literal(text)),
                Source::Expression(source) => Expression::compile(env, source.trim())
                    .map(Part::Expression)
                    .map_err(|message| SyntaxError { message, at }),
            })
            .collect::<Result<Vec<_>, _>>()?;
        Ok(match (parts.len(), parts.pop()) {
            (0, _) => Self::Literal(Value::String(String::new())),
            (1, Some(Part::Literal(text))) => Self::Literal(Value::String(text)),
            (1, Some(Part::Expression(expression))) => Self::Expression(expression),
            (_, last) => Self::Text(parts.into_iter().chain(last).collect()),
        })
    }

    pub fn render(&self, scope: &dyn Scope) -> Result<Value, EvaluationError> {
        match self {
            Self::Literal(value) => Ok(value.clone()),
            Self::Expression(expression) => expression.evaluate(scope),
            Self::Text(parts) => {
                parts.iter().try_fold(String::new(), |text, part| part.append(text, scope)).map(Value::String)
            }
            Self::Array(items) => items.iter().map(|item| item.render(scope)).collect(),
            Self::Object(fields) => {
                fields.iter().map(|(name, field)| Ok((name.clone(), field.render(scope)?))).collect()
            }
        }
    }

    /// All expressions in it, in reading order.
    pub fn expressions(&self) -> Vec<&Expression> {
        match self {
            Self::Literal(_) => Vec::new(),
            Self::Expression(expression) => vec![expression],
            Self::Text(parts) => parts
                .iter()
                .filter_map(|part| match part {
                    Part::Literal(_) => None,
                    Part::Expression(expression) => Some(expression),
                })
                .collect(),
            Self::Array(items) => items.iter().flat_map(Self::expressions).collect(),
            Self::Object(fields) => fields.iter().flat_map(|(_, field)| field.expressions()).collect(),
        }
    }
}

impl Part {
    fn append(&self, mut text: String, scope: &dyn Scope) -> Result<String, EvaluationError> {
        match self {
            Self::Literal(literal) => text.push_str(literal),
            Self::Expression(expression) => match expression.evaluate(scope)? {
                Value::String(value) => text.push_str(&value),
                value @ (Value::Number(_) | Value::Bool(_)) => text.push_str(&value.to_string()),
                value => {
                    return Err(EvaluationError {
                        expression: expression.source.clone(),
                        message: format!("{} has no place within a text", kind(&value)),
                    });
                }
            },
        }
        Ok(text)
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// The sources of the expressions in a text, in reading order, each with its place in bytes.
pub fn expressions_in(text: &str) -> Result<Vec<(&str, Range<usize>)>, SyntaxError> {
    let sources = split(text)?.into_iter().filter_map(|(part, at)| match part {
        Source::Literal(_) => None,
        Source::Expression(source) => {
            let start = at.start + 2 + (source.len() - source.trim_start().len());
            let source = source.trim();
            Some((source, start..start + source.len()))
        }
    });
    Ok(sources.collect())
}

enum Source<'a> {
    Literal(String),
    Expression(&'a str),
}

/// Cuts a text into literals and the sources of its expressions, each with its place.
fn split(text: &str) -> Result<Vec<(Source<'_>, Range<usize>)>, SyntaxError> {
    let mut parts = Vec::new();
    let mut literal = String::new();
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        if let Some(after) = rest.strip_prefix("$${") {
            literal.push_str("${");
            at = text.len() - after.len();
        } else if let Some(inner) = rest.strip_prefix("${") {
            let length = expression_length(inner).ok_or_else(|| SyntaxError {
                message: "`${` is never closed by `}`".into(),
                at: at..text.len(),
            })?;
            if !literal.is_empty() {
                parts.push((Source::Literal(std::mem::take(&mut literal)), at..at));
            }
            let end = at + 2 + length;
            parts.push((Source::Expression(&inner[..length]), at..end + 1));
            at = end + 1;
        } else {
            let next = rest.chars().next().map_or(1, char::len_utf8);
            literal.push_str(&rest[..next]);
            at += next;
        }
    }
    if !literal.is_empty() {
        parts.push((Source::Literal(literal), text.len()..text.len()));
    }
    Ok(parts)
}

/// How many bytes there are before the brace that closes an expression: braces nest, and do not count in strings.
fn expression_length(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut quote = None;
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match (quote, character) {
            (Some(_), '\\') => {
                characters.next();
            }
            (Some(open), _) if character == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(character),
            (None, '{') => depth += 1,
            (None, '}') if depth == 0 => return Some(at),
            (None, '}') => depth -= 1,
            (None, _) => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    struct Example(Value);

    impl Scope for Example {
        fn variable(&self, name: &str) -> Option<Variable<'_>> {
            match name {
                "input" => Some(Variable::Json(&self.0)),
                "unknown" => Some(Variable::Step { output: None }),
                _ => None,
            }
        }
    }

    fn render(text: &str) -> Result<Value, String> {
        let scope = Example(
            json!({"id": "o-1", "amount": 41, "lines": [{"sku": "a"}], "big": 18_446_744_073_709_551_615_u64}),
        );
        let template =
            Template::of_text(&Arc::new(Env::stdlib()), text).map_err(|error| error.to_string())?;
        template.render(&scope).map_err(|error| error.to_string())
    }

    #[test]
    fn a_whole_expression_keeps_its_type() {
        assert_eq!(render("${ input.amount + 1 }"), Ok(json!(42)));
        assert_eq!(render("${ input.lines }"), Ok(json!([{"sku": "a"}])));
        assert_eq!(render("${ {'id': input.id} }"), Ok(json!({"id": "o-1"})));
        assert_eq!(render("${ input.big }"), Ok(json!(18_446_744_073_709_551_615_u64)));
    }

    #[test]
    fn text_takes_in_scalars_only() {
        assert_eq!(render("order ${ input.id } of ${ input.amount }"), Ok(json!("order o-1 of 41")));
        assert_eq!(render("a $${b} and ${ '}' }"), Ok(json!("a ${b} and }")));
        assert_eq!(render(""), Ok(json!("")));
        assert_eq!(
            render("x ${ input.lines }"),
            Err("`input.lines`: a list has no place within a text".into())
        );
    }

    #[test]
    fn reaching_into_a_step_without_output_is_null() {
        assert_eq!(render("${ unknown.output }"), Ok(Value::Null));
        assert_eq!(render("${ unknown.output.reservationId }"), Ok(Value::Null));
        assert!(render("${ input.nothing }").is_err());
    }

    #[test]
    fn what_cannot_be_compiled_is_told_with_its_place() {
        let error = Template::of_text(&Arc::new(Env::stdlib()), "a ${ 1 + } b").expect_err("a syntax error");
        assert_eq!(error.at, 2..10);
        assert_eq!(render("${ input.id"), Err("`${` is never closed by `}`".into()));
    }
}
