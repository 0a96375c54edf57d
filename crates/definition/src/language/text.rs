//! The texts of the language: names, addresses, durations, expressions, each with its pattern.

use schemars::JsonSchema;

/// A saga's name: small letters, digits and dashes.
#[derive(Debug, JsonSchema)]
#[schemars(extend("pattern" = "^[a-z][a-z0-9-]*$", "maxLength" = 100))]
pub struct SagaName(pub String);

/// A step's name, which stands in expressions: letters, digits and underscores.
#[derive(Debug, JsonSchema)]
#[schemars(extend("pattern" = "^[A-Za-z_][A-Za-z0-9_]*$", "maxLength" = 100))]
pub struct StepName(pub String);

/// The name of an attribute, which stands in URLs: letters, digits and underscores.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, JsonSchema)]
#[schemars(extend("pattern" = "^[A-Za-z_][A-Za-z0-9_]*$", "maxLength" = 100))]
pub struct AttributeName(pub String);

/// An exchange, a routing key or another fixed name: no white space, no wildcards, no expressions.
#[derive(Debug, JsonSchema)]
#[schemars(extend("pattern" = r"^[^\s*#]+$", "maxLength" = 255))]
pub struct Address(pub String);

/// A number with its unit: `200ms`, `10s`, `5m`, `1h 30m` or `2d`.
#[derive(Debug, JsonSchema)]
#[schemars(extend("pattern" = r"^\s*([0-9][0-9\s]*(\.[0-9\s]+)?[a-zA-Zµ]+\s*)+$", "examples" = ["200ms", "10s", "1h 30m"]))]
pub struct Duration(pub String);

/// The first and the longest pause, as in `200ms..30s`, or one duration that is both.
#[derive(Debug, JsonSchema)]
#[schemars(extend(
    "pattern" = r"^\s*([0-9][0-9\s]*(\.[0-9\s]+)?[a-zA-Zµ]+\s*)+(\.\.\s*([0-9][0-9\s]*(\.[0-9\s]+)?[a-zA-Zµ]+\s*)+)?$",
    "examples" = ["200ms..30s", "5s"]
))]
pub struct Range(pub String);

/// CEL between `${ }`, and nothing else around it.
#[derive(Debug, JsonSchema)]
#[schemars(extend("pattern" = r"^\$\{[\s\S]*\}$", "examples" = ["${ input.amount > 0 }"]))]
pub struct Expression(pub String);

/// A text with an expression in it, so that it differs from saga to saga.
#[derive(Debug, JsonSchema)]
#[schemars(extend("pattern" = r"\$\{[\s\S]*\}", "examples" = ["${ input.orderId }"]))]
pub struct Keyed(pub String);

/// Minute, hour, day of month, month and day of week.
#[derive(Debug, JsonSchema)]
#[schemars(extend("pattern" = r"^\s*\S+(\s+\S+){4}\s*$", "examples" = ["0 3 * * *"]))]
pub struct Cron(pub String);
