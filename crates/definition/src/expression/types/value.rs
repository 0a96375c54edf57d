//! The type of a value: its kinds, and what is known of its parts.

use std::collections::BTreeMap;
use std::sync::Arc;

use cel::IdedExpr;
use cel::common::ast::LiteralValue;
use serde_json::Value as Json;

use super::kind::Kinds;
use super::known::{self, Field, Part};

/// Most values that are listed.
const MOST_VALUES: usize = 100;

/// Why a value may be null: it is the output of a step that may have none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Absence {
    /// The index of the step.
    pub(crate) step: usize,
    pub(crate) why: Why,
}

/// Why a step may have no output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    /// It is `optional`.
    Optional,
    /// Its `when` may be false.
    Skipped,
    /// It is a wait that continues after its timeout.
    TimedOut,
    /// Its own compensation reads it, and its outcome may be unknown.
    Compensated,
}

#[derive(Debug, Clone)]
pub(crate) struct Type {
    pub(super) kinds: Kinds,
    /// The schema that declares it.
    pub(super) schema: Option<Part>,
    /// For a list that was made in the expression: the type of its items.
    items: Option<Arc<Type>>,
    /// For an object that was made in the expression: all its fields.
    fields: Option<Arc<BTreeMap<String, Type>>>,
    /// All values that it can have, if those are few.
    pub(super) values: Option<Vec<Json>>,
    /// Whether it was checked already, so that a missing part of it is not reported.
    pub(super) is_vouched: bool,
    /// Why it may be null, although its schema does not allow that.
    pub(super) absence: Option<Absence>,
}

/// A field that may be missing when it is read.
pub(super) struct Missing<'a> {
    pub(super) expression: &'a IdedExpr,
    pub(super) path: String,
    /// Its type, or that of its operand if it is not known.
    pub(super) of: Type,
    /// The field of the schema that is probably meant.
    pub(super) meant: Option<String>,
    /// It is compared with null, to find out whether it is present: with `==`, or with `!=`.
    pub(super) is_compared_with_null: Option<bool>,
    /// It is read from an output that may be missing: why, and that output.
    pub(super) absence: Option<(Absence, &'a IdedExpr)>,
}

/// A part of an expression, and its type.
#[derive(Clone)]
pub(super) struct Typed<'a> {
    pub(super) expression: &'a IdedExpr,
    pub(super) of: Type,
}

/// A field, and whether it is there.
pub(super) struct Taken {
    pub(super) of: Type,
    /// Whether it may be missing.
    pub(super) may_be_missing: bool,
    /// The field that is probably meant, if the schema does not list this one.
    pub(super) meant: Option<String>,
}

impl Type {
    pub(super) fn of(kinds: Kinds) -> Self {
        Self {
            kinds,
            schema: None,
            items: None,
            fields: None,
            values: None,
            is_vouched: false,
            absence: None,
        }
    }

    pub(super) fn unknown() -> Self {
        Self::of(Kinds::ANY)
    }

    pub(super) fn json() -> Self {
        Self::of(Kinds::JSON)
    }

    pub(super) fn by(part: &Part) -> Self {
        Self { values: part.values(), schema: Some(part.clone()), ..Self::of(part.kinds()) }
    }

    pub(crate) fn list(items: Type) -> Self {
        Self { items: Some(Arc::new(items)), ..Self::of(Kinds::LIST) }
    }

    pub(crate) fn object(fields: impl IntoIterator<Item = (String, Type)>) -> Self {
        Self { fields: Some(Arc::new(fields.into_iter().collect())), ..Self::of(Kinds::OBJECT) }
    }

    pub(super) fn or_null(self) -> Self {
        let values = self.values.map(|values| values.into_iter().chain([Json::Null]).collect());
        Self { kinds: self.kinds | Kinds::NULL, values, ..self }
    }

    /// The output of a step that may have none, if there is a reason.
    pub(super) fn absent(self, absence: Option<Absence>) -> Self {
        Self { absence, ..self }
    }

    pub(super) fn vouched(self) -> Self {
        Self { is_vouched: true, ..self }
    }

    pub(super) fn literal(value: &LiteralValue) -> Self {
        let (kinds, json) = match value {
            LiteralValue::Boolean(value) => (Kinds::BOOL, Some(Json::from(*value.inner()))),
            LiteralValue::Bytes(_) => (Kinds::BYTES, None),
            LiteralValue::Double(value) => (Kinds::DOUBLE, Some(Json::from(*value.inner()))),
            LiteralValue::Int(value) => (Kinds::INT, Some(Json::from(*value.inner()))),
            LiteralValue::Null => (Kinds::NULL, Some(Json::Null)),
            LiteralValue::String(value) => (Kinds::TEXT, Some(Json::from(value.inner()))),
            LiteralValue::UInt(value) => (Kinds::UINT, Some(Json::from(*value.inner()))),
        };
        Self { values: json.map(|value| vec![value]), ..Self::of(kinds) }
    }

    pub(super) fn of_json(value: &Json) -> Self {
        match value {
            Json::Array(items) => {
                let items = items.iter().map(Self::of_json).reduce(Self::join);
                items.map_or_else(|| Self::of(Kinds::LIST), Self::list)
            }
            Json::Object(fields) => {
                Self::object(fields.iter().map(|(name, field)| (name.clone(), Self::of_json(field))))
            }
            _ => Self { values: Some(vec![value.clone()]), ..Self::of(known::of_value(value)) },
        }
    }

    /// Either of the two.
    pub(super) fn join(self, other: Self) -> Self {
        let values = match (self.values, other.values) {
            (Some(mut values), Some(more)) if values.len() + more.len() <= MOST_VALUES => {
                values.extend(more);
                Some(values)
            }
            _ => None,
        };
        let is_vouched = self.is_vouched || other.is_vouched;
        let absence = self.absence.or(other.absence);
        Self { values, is_vouched, absence, ..Self::of(self.kinds | other.kinds) }
    }

    /// The type of a field.
    pub(super) fn field(&self, name: &str) -> Taken {
        let sure = |of| Taken { of, may_be_missing: false, meant: None };
        if let Some(fields) = &self.fields {
            let of = fields.get(name).cloned().unwrap_or_else(Self::unknown);
            let absence = of.absence.filter(|_| !self.is_vouched);
            return sure(of.absent(absence));
        }
        match self.schema.as_ref().map(|part| part.field(name)) {
            Some(Field::Known { part, is_required }) => {
                let of = Self { is_vouched: self.is_vouched, ..Self::by(&part) };
                Taken { of, may_be_missing: !is_required && !self.is_vouched, meant: None }
            }
            Some(Field::Open { near }) => {
                let meant = near.filter(|_| !self.is_vouched);
                Taken { meant, ..sure(Self { is_vouched: self.is_vouched, ..Self::json() }) }
            }
            None => sure(if self.kinds.is(Kinds::JSON) { Self::json() } else { Self::unknown() }),
        }
    }

    /// The type of its items: for an object, of its keys.
    pub(crate) fn items(&self) -> Self {
        if self.kinds.is(Kinds::OBJECT) {
            return Self::of(Kinds::TEXT);
        }
        if !self.kinds.is(Kinds::LIST | Kinds::NULL) {
            return if self.kinds.is(Kinds::JSON) { Self::json() } else { Self::unknown() };
        }
        let declared =
            self.schema.as_ref().map(|part| part.items().map_or_else(Self::json, |items| Self::by(&items)));
        let items = self.items.as_deref().cloned().or(declared).unwrap_or_else(Self::unknown);
        Self { is_vouched: self.is_vouched || items.is_vouched, ..items }
    }
}
