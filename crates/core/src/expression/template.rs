//! Templates: JSON with expressions in its strings.

use std::ops::Range;
use std::sync::Arc;

use cel::Env;
use serde_json::Value;

use crate::expression::{Budget, EvaluationError, Expression, Scope};
use crate::json::number_text;

/// JSON that contains expressions.
#[derive(Debug, PartialEq)]
pub enum Template {
    Literal(Value),
    /// `${ expression }` and nothing else: keeps the expression's type.
    Expression(Expression),
    /// Text around expressions.
    Text(Vec<Part>),
    Array(Vec<Template>),
    Object(Vec<(String, Template)>),
}

#[derive(Debug, PartialEq)]
pub enum Part {
    Literal(String),
    Expression(Expression),
}

/// Why an expression could not be compiled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SyntaxError {
    pub message: String,
    /// Where, in bytes of the template's text.
    pub at: Range<usize>,
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

    /// The source: expressions are written as texts, between `${ }`.
    pub fn source(&self) -> Value {
        match self {
            Self::Literal(value) => value.clone(),
            Self::Expression(expression) => format!("${{ {} }}", expression.source()).into(),
            Self::Text(parts) => parts.iter().map(Part::source).collect::<String>().into(),
            Self::Array(items) => items.iter().map(Self::source).collect(),
            Self::Object(fields) => {
                fields.iter().map(|(name, field)| (name.clone(), field.source())).collect()
            }
        }
    }

    /// Renders the JSON. An error if one of the expressions has no value, or if all of them together take more than
    /// [`MAX_STEPS`](crate::expression::MAX_STEPS) and [`MAX_BYTES`](crate::expression::MAX_BYTES).
    pub fn render(&self, scope: &dyn Scope) -> Result<Value, EvaluationError> {
        match self {
            Self::Literal(value) => Ok(value.clone()),
            Self::Expression(expression) => expression.evaluate(scope),
            _ => self.render_within(scope, &Arc::default()),
        }
    }

    /// Renders the JSON within a shared budget.
    pub fn render_within(&self, scope: &dyn Scope, budget: &Arc<Budget>) -> Result<Value, EvaluationError> {
        match self {
            Self::Literal(value) => Ok(value.clone()),
            Self::Expression(expression) => expression.evaluate_within(scope, budget),
            Self::Text(parts) => {
                let append = |text, part: &Part| part.append(text, scope, budget);
                parts.iter().try_fold(String::new(), append).map(Value::String)
            }
            Self::Array(items) => items.iter().map(|item| item.render_within(scope, budget)).collect(),
            Self::Object(fields) => fields
                .iter()
                .map(|(name, field)| Ok((name.clone(), field.render_within(scope, budget)?)))
                .collect(),
        }
    }

    /// All its expressions, in reading order.
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
    fn source(&self) -> String {
        match self {
            Self::Literal(literal) => literal.clone(),
            Self::Expression(expression) => format!("${{ {} }}", expression.source()),
        }
    }

    fn append(
        &self,
        mut text: String,
        scope: &dyn Scope,
        budget: &Arc<Budget>,
    ) -> Result<String, EvaluationError> {
        match self {
            Self::Literal(literal) => text.push_str(literal),
            Self::Expression(expression) => match expression.evaluate_within(scope, budget)? {
                Value::String(value) => text.push_str(&value),
                Value::Number(number) => text.push_str(&number_text(&number)),
                Value::Bool(value) => text.push_str(&value.to_string()),
                value => {
                    return Err(EvaluationError {
                        expression: expression.source().to_owned(),
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

/// The number of bytes before the brace that closes an expression: braces nest, and do not count in strings.
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
    use crate::expression::{Variable, environment};

    struct Example(Value);

    impl Scope for Example {
        fn variable(&self, name: &str) -> Option<Variable<'_>> {
            match name {
                "input" => Some(Variable::Json(&self.0)),
                "skipped" => Some(Variable::Step { output: None }),
                "own" => Some(Variable::Compensated { output: None }),
                "answered" => Some(Variable::Step { output: Some(&Value::Null) }),
                _ => None,
            }
        }
    }

    fn render(text: &str) -> Result<Value, String> {
        let scope = Example(
            json!({"id": "o-1", "amount": 41, "lines": [{"sku": "a"}], "big": 18_446_744_073_709_551_615_u64}),
        );
        let template =
            Template::of_text(&Arc::new(environment()), text).map_err(|error| error.to_string())?;
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
    fn a_missing_output_can_be_named_and_asked_for_and_not_read() {
        for (asked, value) in [
            ("${ skipped.output }", Value::Null),
            ("${ skipped.output == null }", json!(true)),
            ("${ has(skipped.output.id) }", json!(false)),
            ("${ has(skipped.output.id) ? skipped.output.id : 'none' }", json!("none")),
            ("${ skipped.output != null && skipped.output.id == 'a' }", json!(false)),
            ("${ input.lines.filter(line, has(line.sku) && !has(skipped.output.id)).size() }", json!(1)),
        ] {
            assert_eq!(render(asked), Ok(value), "{asked}");
        }
        for read in [
            "${ skipped.output.id }",
            "${ skipped.output.id == null }",
            "${ has(skipped.output.id.text) }",
            "${ skipped.output + 1 }",
            "${ skipped.output.map(one, one) }",
            "${ own.output.id + skipped.output.id }",
        ] {
            let error = render(read).expect_err(read);
            assert!(error.contains("`skipped` has no output here"), "{read}: {error}");
        }
        assert_eq!(
            render("id ${ skipped.output }"),
            Err("`skipped.output`: null has no place within a text".into())
        );
        assert!(render("${ input.nothing }").is_err());
    }

    #[test]
    fn a_compensation_reads_the_missing_output_of_its_step_as_null() {
        assert_eq!(render("${ own.output.id }"), Ok(Value::Null));
        assert_eq!(render("${ own.output.amount * 2 }"), Ok(Value::Null));
        assert_eq!(render("${ has(own.output.id) }"), Ok(json!(false)));
        assert!(render("id ${ own.output.id }").is_err());
        assert_eq!(render("${ answered.output.id }"), Ok(Value::Null));
    }

    #[test]
    fn a_long_list_can_be_named_and_not_computed_with() {
        let scope = Example(json!({"all": vec![1; 1_001]}));
        let render =
            |text| Template::of_text(&Arc::new(environment()), text).expect("compiles").render(&scope);
        assert_eq!(render("${ input.all }").expect("a value").as_array().map(Vec::len), Some(1_001));
        let error = render("${ input.all.map(x, x + 1) }").expect_err("too long").to_string();
        assert!(error.contains("1001 items"), "{error}");
    }

    #[test]
    fn a_compile_error_has_its_place() {
        let error = Template::of_text(&Arc::new(environment()), "a ${ 1 + } b").expect_err("a syntax error");
        assert_eq!(error.at, 2..10);
        assert_eq!(render("${ input.id"), Err("`${` is never closed by `}`".into()));
    }
}
