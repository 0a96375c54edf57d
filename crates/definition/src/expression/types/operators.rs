//! The kinds that the operators and functions of CEL take and return: in the evaluator, not in the standard.

use cel::common::ast::operators;

use super::kind::Kinds;

/// How an operator is written, if it is one that computes or orders.
pub(super) fn sign(operator: &str) -> Option<&'static str> {
    Some(match operator {
        operators::ADD => "+",
        operators::SUBSTRACT => "-",
        operators::MULTIPLY => "*",
        operators::DIVIDE => "/",
        operators::MODULO => "%",
        operators::LESS => "<",
        operators::LESS_EQUALS => "<=",
        operators::GREATER => ">",
        operators::GREATER_EQUALS => ">=",
        _ => return None,
    })
}

pub(super) fn is_ordering(sign: &str) -> bool {
    sign.starts_with(['<', '>'])
}

/// The kinds of the result of an operator with two values of these kinds: none, if it takes none of them.
pub(super) fn binary(sign: &str, left: Kinds, right: Kinds) -> Kinds {
    let mut given = Kinds::NONE;
    for one in left.each() {
        for other in right.each() {
            // The content of an optional value is unknown.
            let kind =
                if (one | other).may_be(Kinds::OPTIONAL) { Some(Kinds::ANY) } else { of(sign, one, other) };
            given = given | kind.unwrap_or(Kinds::NONE);
        }
    }
    given
}

/// The kind of the result for two values of one kind each.
fn of(sign: &str, left: Kinds, right: Kinds) -> Option<Kinds> {
    const ORDERED: Kinds = Kinds::BOOL;
    if is_ordering(sign) {
        let is_alike = left == right
            && !left.may_be(Kinds::NULL | Kinds::LIST | Kinds::OBJECT | Kinds::TYPE | Kinds::OPTIONAL);
        let are_numbers = (left | right).is(Kinds::NUMERIC);
        return (is_alike || are_numbers).then_some(ORDERED);
    }
    if left == right && left.is(Kinds::NUMERIC) {
        return (sign != "%" || left != Kinds::DOUBLE).then_some(left);
    }
    let (timestamp, duration) = (Kinds::TIMESTAMP, Kinds::DURATION);
    match sign {
        "+" if left == right && left.is(Kinds::TEXT | Kinds::BYTES | Kinds::LIST | duration) => Some(left),
        "+" if left == Kinds::LIST && right == Kinds::OBJECT => Some(Kinds::LIST),
        "+" if (left, right) == (timestamp, duration) || (left, right) == (duration, timestamp) => {
            Some(timestamp)
        }
        "-" if (left, right) == (timestamp, timestamp) || (left, right) == (duration, duration) => {
            Some(duration)
        }
        "-" if (left, right) == (timestamp, duration) => Some(timestamp),
        _ => None,
    }
}

/// The kinds that a function takes, its receiver first, and the kinds of its result.
pub(super) struct Function {
    pub(super) takes: &'static [Kinds],
    pub(super) gives: Kinds,
    /// The number of arguments at the end that may be left out.
    pub(super) optional: usize,
}

const fn function(takes: &'static [Kinds], gives: Kinds) -> Option<Function> {
    Some(Function { takes, gives, optional: 0 })
}

/// The signature of a function. Functions of optional values and macros have none: their arguments are checked elsewhere.
pub(super) fn known(name: &str) -> Option<Function> {
    // A constant cannot use `|`.
    const SIZED: Kinds = Kinds::any_of(&[Kinds::TEXT, Kinds::LIST, Kinds::OBJECT, Kinds::BYTES]);
    const NUMBERS: Kinds = Kinds::any_of(&[Kinds::NUMERIC, Kinds::TEXT]);
    const COUNTED: Kinds = Kinds::any_of(&[Kinds::NUMERIC, Kinds::TEXT, Kinds::TIMESTAMP]);
    const PRINTED: Kinds = Kinds::any_of(&[
        Kinds::BOOL,
        Kinds::NUMERIC,
        Kinds::TEXT,
        Kinds::BYTES,
        Kinds::TIMESTAMP,
        Kinds::DURATION,
    ]);
    const TIMES: Kinds = Kinds::any_of(&[Kinds::INT, Kinds::TEXT, Kinds::TIMESTAMP]);
    const SPANS: Kinds = Kinds::any_of(&[Kinds::TEXT, Kinds::DURATION]);
    const CLOCKED: Kinds = Kinds::any_of(&[Kinds::TIMESTAMP, Kinds::DURATION]);
    const FLAGS: Kinds = Kinds::any_of(&[Kinds::BOOL, Kinds::TEXT]);
    const BINARY: Kinds = Kinds::any_of(&[Kinds::BYTES, Kinds::TEXT]);
    match name {
        "size" => function(&[SIZED], Kinds::INT),
        "string" => function(&[PRINTED], Kinds::TEXT),
        "int" => function(&[COUNTED], Kinds::INT),
        "uint" => function(&[NUMBERS], Kinds::UINT),
        "double" => function(&[NUMBERS], Kinds::DOUBLE),
        "bool" => function(&[FLAGS], Kinds::BOOL),
        "bytes" => function(&[BINARY], Kinds::BYTES),
        "timestamp" => function(&[TIMES], Kinds::TIMESTAMP),
        "duration" => function(&[SPANS], Kinds::DURATION),
        "type" => function(&[Kinds::ANY], Kinds::TYPE),
        "dyn" => function(&[Kinds::ANY], Kinds::ANY),
        "contains" | "startsWith" | "endsWith" | "matches" => {
            function(&[Kinds::TEXT, Kinds::TEXT], Kinds::BOOL)
        }
        "getFullYear" | "getMonth" | "getDate" | "getDayOfMonth" | "getDayOfWeek" | "getDayOfYear" => {
            Some(Function { takes: &[Kinds::TIMESTAMP, Kinds::TEXT], gives: Kinds::INT, optional: 1 })
        }
        "getHours" | "getMinutes" | "getSeconds" | "getMilliseconds" => {
            Some(Function { takes: &[CLOCKED, Kinds::TEXT], gives: Kinds::INT, optional: 1 })
        }
        _ => None,
    }
}
