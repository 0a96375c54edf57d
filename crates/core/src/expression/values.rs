//! Conversion between JSON and the values of CEL.
//!
//! Only what an expression reads is made, and texts are borrowed, so that a large input costs little where an expression
//! takes one field of it.

use std::collections::{BTreeMap, HashMap};

use cel::common::ast::{EntryExpr, Expr, IdedExpr};
use cel::common::types::{
    CelBool, CelBytes, CelDouble, CelInt, CelList, CelMap, CelMapKey, CelNull, CelOptional, CelString,
    CelUInt,
};
use cel::common::value::Val;
use serde_json::Value;

use super::budget::{Budget, Size};
use super::{MAX_LIST_ITEMS, Variable};

/// Bytes of a value in a list: a pointer to it, and what it points to.
const VALUE_BYTES: u64 = 48;
/// Bytes of a field in an object, in addition to its value.
const FIELD_BYTES: u64 = 80;
/// Bytes of a value in JSON, and of a field in addition to its value.
const JSON_BYTES: u64 = 32;
const JSON_FIELD_BYTES: u64 = 64;

/// The parts of a variable that an expression reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reads {
    All,
    Fields(BTreeMap<String, Reads>),
}

impl Reads {
    /// The parts of all variables that an expression reads, by name. Names that a macro binds are among them.
    pub(super) fn of(expression: &IdedExpr) -> BTreeMap<String, Self> {
        let mut reads = BTreeMap::new();
        let mut todo = vec![expression];
        while let Some(part) = todo.pop() {
            match path(&part.expr) {
                Some(names) => add(&mut reads, &names),
                None => todo.extend(parts(&part.expr)),
            }
        }
        reads
    }
}

fn add(reads: &mut BTreeMap<String, Reads>, names: &[&str]) {
    let Some((name, rest)) = names.split_first() else { return };
    let read = reads.entry((*name).to_owned()).or_insert_with(|| Reads::Fields(BTreeMap::new()));
    match read {
        Reads::All => {}
        read if rest.is_empty() => *read = Reads::All,
        Reads::Fields(fields) => add(fields, rest),
    }
}

/// The names in `a.b.c`, also in `has(a.b.c)`.
pub(super) fn path(expression: &Expr) -> Option<Vec<&str>> {
    let mut names = Vec::new();
    let mut rest = expression;
    loop {
        match rest {
            Expr::Ident(name) => {
                names.push(name.as_str());
                names.reverse();
                return Some(names);
            }
            Expr::Select(select) => {
                names.push(select.field.as_str());
                rest = &select.operand.expr;
            }
            _ => return None,
        }
    }
}

/// The parts that an expression is made of.
pub fn parts(expression: &Expr) -> Vec<&IdedExpr> {
    match expression {
        Expr::Call(call) => call.target.as_deref().into_iter().chain(&call.args).collect(),
        Expr::Select(select) => vec![&select.operand],
        Expr::List(list) => list.elements.iter().collect(),
        Expr::Map(map) => map.entries.iter().flat_map(|entry| of_entry(&entry.expr)).collect(),
        Expr::Struct(literal) => literal.entries.iter().flat_map(|entry| of_entry(&entry.expr)).collect(),
        Expr::Comprehension(each) => {
            vec![&each.iter_range, &each.accu_init, &each.loop_cond, &each.loop_step, &each.result]
        }
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => Vec::new(),
    }
}

fn of_entry(entry: &EntryExpr) -> Vec<&IdedExpr> {
    match entry {
        EntryExpr::StructField(field) => vec![&field.value],
        EntryExpr::MapEntry(entry) => vec![&entry.key, &entry.value],
    }
}

type Boxed<'v> = Box<dyn Val + 'v>;

impl<'v> Variable<'v> {
    pub(super) fn to_cel(self, reads: &Reads, budget: &Budget) -> Result<Boxed<'v>, String> {
        let output = |output: Option<&'v Value>| {
            let reads = match reads {
                Reads::Fields(fields) => fields.get("output"),
                Reads::All => Some(&Reads::All),
            };
            match (output, reads) {
                (Some(output), Some(reads)) => to_cel(output, reads, budget),
                _ => Ok(Box::new(CelNull) as Boxed<'v>),
            }
        };
        Ok(match self {
            Self::Json(value) => to_cel(value, reads, budget)?,
            Self::Step { output: value } | Self::Compensated { output: value } => {
                object([("output", output(value)?)])
            }
            Self::Saga { id, key } => {
                let text = |text: &'v str| Box::new(CelString::from(text)) as Boxed<'v>;
                object([("id", text(id)), ("key", key.map_or_else(|| Box::new(CelNull) as Boxed<'v>, text))])
            }
        })
    }
}

fn object<'v, const N: usize>(fields: [(&'static str, Boxed<'v>); N]) -> Boxed<'v> {
    let fields = fields.into_iter().map(|(name, value)| (CelMapKey::String(name.into()), value));
    Box::new(CelMap::from(fields.collect::<HashMap<_, _>>()))
}

/// JSON as a value of CEL. Integers become signed where they fit, so that `input.amount + 1` adds two of a kind.
fn to_cel<'v>(value: &'v Value, reads: &Reads, budget: &Budget) -> Result<Boxed<'v>, String> {
    let one = Size { values: 1, bytes: VALUE_BYTES };
    budget.make(one).map_err(|exceeded| exceeded.to_string())?;
    Ok(match value {
        Value::Null => Box::new(CelNull),
        Value::Bool(value) => Box::new(CelBool::from(*value)),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => Box::new(CelInt::from(number)),
            (None, Some(number)) => Box::new(CelUInt::from(number)),
            (None, None) => Box::new(CelDouble::from(number.as_f64().unwrap_or(f64::NAN))),
        },
        Value::String(text) => Box::new(CelString::from(text.as_str())),
        Value::Array(items) if items.len() > MAX_LIST_ITEMS => {
            return Err(format!(
                "it computes with a list of {} items; at most {MAX_LIST_ITEMS} can be",
                items.len()
            ));
        }
        Value::Array(items) => {
            let items = items.iter().map(|item| to_cel(item, &Reads::All, budget));
            Box::new(CelList::from(items.collect::<Result<Vec<_>, _>>()?))
        }
        Value::Object(fields) => Box::new(CelMap::from(fields_to_cel(fields, reads, budget)?)),
    })
}

fn fields_to_cel<'v>(
    fields: &'v serde_json::Map<String, Value>,
    reads: &Reads,
    budget: &Budget,
) -> Result<HashMap<CelMapKey<'v>, Boxed<'v>>, String> {
    let field = |(name, value, reads): (&'v str, &'v Value, &Reads)| {
        let size = Size { values: 0, bytes: FIELD_BYTES };
        budget.make(size).map_err(|exceeded| exceeded.to_string())?;
        Ok((CelMapKey::String(name.into()), to_cel(value, reads, budget)?))
    };
    match reads {
        Reads::All => fields.iter().map(|(name, value)| field((name.as_str(), value, &Reads::All))).collect(),
        Reads::Fields(read) => {
            let read = read.iter().filter_map(|(name, reads)| {
                let (name, value) = fields.get_key_value(name)?;
                Some((name.as_str(), value, reads))
            });
            read.map(field).collect()
        }
    }
}

/// The size of a value in memory. A text counts although it may be borrowed: results, and lists that are compared, copy it.
pub(crate) fn size(value: &dyn Val) -> Size {
    let own = Size { values: 1, bytes: VALUE_BYTES + length(value) as u64 };
    if let Some(list) = value.downcast_ref::<CelList<'_>>() {
        return own + list.inner().iter().map(|item| size(item.as_ref())).sum();
    }
    if let Some(map) = value.downcast_ref::<CelMap<'_>>() {
        let field = |(key, value): (&CelMapKey<'_>, &Boxed<'_>)| {
            let bytes = FIELD_BYTES + length(key.inner()) as u64;
            size(value.as_ref()) + Size { values: 0, bytes }
        };
        return own + map.inner().iter().map(field).sum();
    }
    match value.downcast_ref::<CelOptional<'_>>().and_then(CelOptional::option) {
        Some(inner) => own + size(inner),
        None => own,
    }
}

/// The length in bytes of a text or of bytes; of anything else 0.
pub(crate) fn length(value: &dyn Val) -> usize {
    let text = value.downcast_ref::<CelString<'_>>().map(|text| text.inner().len());
    text.or_else(|| value.downcast_ref::<CelBytes<'_>>().map(|bytes| bytes.inner().len())).unwrap_or_default()
}

/// The size of JSON in memory.
pub(crate) fn json_size(value: &Value) -> Size {
    let own = Size { values: 1, bytes: JSON_BYTES };
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => own,
        Value::String(text) => own + Size { values: 0, bytes: text.len() as u64 },
        Value::Array(items) => own + items.iter().map(json_size).sum(),
        Value::Object(fields) => {
            let field = |(name, value): (&String, &Value)| {
                json_size(value) + Size { values: 0, bytes: JSON_FIELD_BYTES + name.len() as u64 }
            };
            own + fields.iter().map(field).sum()
        }
    }
}

/// The JSON of a result. An error if there is no exact one.
pub(super) fn to_json(value: &dyn Val) -> Result<Value, String> {
    if let Some(list) = value.downcast_ref::<CelList<'_>>() {
        return list.inner().iter().map(|item| to_json(item.as_ref())).collect();
    }
    if let Some(map) = value.downcast_ref::<CelMap<'_>>() {
        let mut fields = serde_json::Map::new();
        for (key, field) in map.inner() {
            let key = cel::objects::Key::from(key.clone()).to_string();
            if fields.contains_key(&key) {
                return Err(format!("two keys of an object are both written `{key}`"));
            }
            fields.insert(key, to_json(field.as_ref())?);
        }
        return Ok(Value::Object(fields));
    }
    if let Some(text) = value.downcast_ref::<CelString<'_>>() {
        return Ok(Value::String(text.inner().to_owned()));
    }
    match cel::Value::try_from(value).map_err(|error| error.to_string())? {
        cel::Value::Float(double) if !double.is_finite() => {
            Err("the result is too large, or not a number".to_owned())
        }
        value => value.json().map_err(|error| error.to_string()),
    }
}
