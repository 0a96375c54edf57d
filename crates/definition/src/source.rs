//! Parses YAML into a tree of values with their places in the source.
//!
//! No other module handles YAML: aliases are followed and merge keys merged here, and everything is bounded before it
//! is built. Only `true` and `false` are booleans, so that `on` and `no` remain texts.

pub mod fields;

use std::fmt;
use std::ops::Range;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_saphyr::options::{DuplicateKeyPolicy, NonFiniteFloatPolicy};
use serde_saphyr::{Location, Options, Spanned};

use crate::diagnostic::code;
use crate::diagnostic::{Diagnostic, Problems};
use crate::syntax;

/// Longest source of a definition.
pub const MAX_SOURCE_BYTES: usize = 256 * 1024;
/// Deepest nesting of lists and mappings.
const MAX_DEPTH: usize = 48;
/// Most values, those behind aliases not counted.
const MAX_NODES: usize = 50_000;
/// Most uses of an anchor, and most values that all aliases expand to.
const MAX_ALIASES: usize = 100;
const MAX_ALIASED_NODES: usize = 10_000;

/// A value and its place. The place of a list or mapping is the rest of the line on which it begins.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    pub value: Value,
    pub span: Range<usize>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Null,
    Bool(bool),
    Number(serde_json::Number),
    String(String),
    Sequence(Vec<Node>),
    Mapping(Vec<Entry>),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub key: String,
    pub key_span: Range<usize>,
    pub value: Node,
}

/// Parses `source`. After a duplicate key it continues with the first of the two.
pub fn parse(source: &str, problems: &mut Problems) -> Option<Node> {
    if source.len() > MAX_SOURCE_BYTES {
        let message =
            format!("this file has {} bytes; a definition has at most {MAX_SOURCE_BYTES}", source.len());
        problems.report(
            Diagnostic::new(code::TOO_LONG, 0..0, message).help("split it into several sagas, one file each"),
        );
        return None;
    }
    let parsed = read(source, DuplicateKeyPolicy::Error).or_else(|error| {
        let duplicate = matches!(error, serde_saphyr::Error::DuplicateMappingKey { .. });
        problems.report(syntax::explain(source, &error));
        if duplicate { read(source, DuplicateKeyPolicy::FirstWins).map_err(drop) } else { Err(()) }
    });
    let mut root = parsed.ok()?.into_node();
    root.underline_first_lines(source);
    Some(root)
}

fn read(source: &str, duplicate_keys: DuplicateKeyPolicy) -> Result<Raw, serde_saphyr::Error> {
    serde_saphyr::from_str_with_options(source, options(duplicate_keys))
}

fn options(duplicate_keys: DuplicateKeyPolicy) -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: MAX_DEPTH,
            flow_nesting_limit: MAX_DEPTH,
            max_nodes: MAX_NODES,
            max_events: 3 * MAX_NODES,
            max_documents: 1,
            max_aliases: MAX_ALIASES,
            max_anchors: MAX_ALIASES,
            max_merge_keys: MAX_ALIASES,
            max_recorded_anchor_events: MAX_NODES,
            max_recorded_anchor_bytes: MAX_SOURCE_BYTES,
            max_total_scalar_bytes: 4 * MAX_SOURCE_BYTES,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: MAX_ALIASED_NODES,
            max_replay_stack_depth: 16,
            max_alias_expansions_per_anchor: MAX_ALIASES,
        },
        duplicate_keys: duplicate_keys,
        strict_booleans: true,
        non_finite_float_policy: NonFiniteFloatPolicy::Reject,
        with_snippet: false,
    }
}

impl Node {
    /// The kind of the value, for messages.
    pub fn kind(&self) -> &'static str {
        match &self.value {
            Value::Null => "empty",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::String(_) => "a text",
            Value::Sequence(_) => "a list",
            Value::Mapping(_) => "a mapping",
        }
    }

    /// The value as JSON, without places.
    pub fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(value) => (*value).into(),
            Value::Number(number) => serde_json::Value::Number(number.clone()),
            Value::String(text) => text.as_str().into(),
            Value::Sequence(items) => items.iter().map(Self::to_json).collect(),
            Value::Mapping(entries) => {
                entries.iter().map(|entry| (entry.key.clone(), entry.value.to_json())).collect()
            }
        }
    }

    /// The node that a JSON Pointer leads to, or the last one on the way there.
    pub fn at(&self, pointer: &str) -> &Self {
        let steps = pointer.split('/').skip(1).map(|step| step.replace("~1", "/").replace("~0", "~"));
        let mut node = self;
        for step in steps {
            let next = match &node.value {
                Value::Mapping(entries) => {
                    entries.iter().find(|entry| entry.key == step).map(|entry| &entry.value)
                }
                Value::Sequence(items) => step.parse().ok().and_then(|index: usize| items.get(index)),
                _ => None,
            };
            let Some(next) = next else { break };
            node = next;
        }
        node
    }

    /// The place in the source of a part of this text. Quoted and folded texts differ from their source, but a part
    /// without line breaks and escapes occurs in the source as often as in the text.
    pub(super) fn find(&self, source: &str, part: Range<usize>) -> Option<Range<usize>> {
        let Value::String(text) = &self.value else { return None };
        let wanted = text.get(part.clone()).filter(|wanted| !wanted.is_empty())?;
        let written = source.get(self.span.clone())?;
        if written.matches(wanted).count() != text.matches(wanted).count() {
            return None;
        }
        let nth = text.match_indices(wanted).position(|(at, _)| at == part.start)?;
        let start = self.span.start + written.match_indices(wanted).nth(nth)?.0;
        Some(start..start + wanted.len())
    }

    fn underline_first_lines(&mut self, source: &str) {
        let written = |span: &Range<usize>| source.get(span.clone()).unwrap_or_default();
        match &mut self.value {
            Value::String(_) => {
                // The span of a block of text includes the line break after it.
                self.span.end = self.span.start + written(&self.span).trim_end().len();
                return;
            }
            Value::Sequence(items) => items.iter_mut().for_each(|item| item.underline_first_lines(source)),
            Value::Mapping(entries) => {
                entries.iter_mut().for_each(|entry| entry.value.underline_first_lines(source));
            }
            _ => return,
        }
        let line = written(&(self.span.start..source.len())).lines().next().unwrap_or_default();
        self.span.end = self.span.start + line.split(" #").next().unwrap_or_default().trim_end().len();
    }
}

/// A node as the parser returns it.
struct Raw(Spanned<RawValue>);

enum RawValue {
    Scalar(Value),
    Sequence(Vec<Raw>),
    Mapping(Vec<(Spanned<String>, Raw)>),
}

impl Raw {
    fn into_node(self) -> Node {
        let value = match self.0.value {
            RawValue::Scalar(value) => value,
            RawValue::Sequence(items) => Value::Sequence(items.into_iter().map(Self::into_node).collect()),
            RawValue::Mapping(entries) => Value::Mapping(
                entries
                    .into_iter()
                    .map(|(key, value)| Entry {
                        key_span: span(key.defined),
                        key: key.value,
                        value: value.into_node(),
                    })
                    .collect(),
            ),
        };
        Node { value, span: span(self.0.defined) }
    }
}

/// The place of a value; for an alias, that of its anchor.
fn span(defined: Location) -> Range<usize> {
    let number = |bytes: Option<u64>| bytes.and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(0);
    let start = number(defined.span().byte_offset());
    start..start + number(defined.span().byte_len())
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Spanned::deserialize(deserializer).map(Self)
    }
}

impl<'de> Deserialize<'de> for RawValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = RawValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<RawValue, E> {
        Ok(RawValue::Scalar(Value::Null))
    }

    fn visit_none<E>(self) -> Result<RawValue, E> {
        Ok(RawValue::Scalar(Value::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<RawValue, D::Error> {
        RawValue::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<RawValue, E> {
        Ok(RawValue::Scalar(Value::Bool(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<RawValue, E> {
        Ok(RawValue::Scalar(Value::Number(value.into())))
    }

    fn visit_u64<E>(self, value: u64) -> Result<RawValue, E> {
        Ok(RawValue::Scalar(Value::Number(value.into())))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<RawValue, E> {
        let number = serde_json::Number::from_f64(value).ok_or_else(|| E::custom("not a finite number"))?;
        Ok(RawValue::Scalar(Value::Number(number)))
    }

    fn visit_str<E>(self, value: &str) -> Result<RawValue, E> {
        Ok(RawValue::Scalar(Value::String(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<RawValue, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = sequence.next_element()? {
            items.push(item);
        }
        Ok(RawValue::Sequence(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut mapping: A) -> Result<RawValue, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = mapping.next_entry()? {
            if entries.len() >= MAX_NODES {
                return Err(A::Error::custom("too many keys"));
            }
            entries.push(entry);
        }
        Ok(RawValue::Mapping(entries))
    }
}
