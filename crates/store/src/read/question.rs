//! A query with varying conditions, as its text and values.

use sea_orm::{Statement, Value};
use uuid::Uuid;

use crate::sql_store::SqlStore;
use snorri_core::Time;

/// A select, its conditions, and the values that they name.
#[derive(Debug)]
pub(crate) struct Question {
    select: String,
    conditions: Vec<String>,
    values: Vec<Value>,
}

impl Question {
    pub(crate) fn new(select: impl Into<String>) -> Self {
        Self { select: select.into(), conditions: Vec::new(), values: Vec::new() }
    }

    /// The name of a value in the text.
    pub(crate) fn value(&mut self, value: impl Into<Value>) -> String {
        self.values.push(value.into());
        format!("${}", self.values.len())
    }

    pub(crate) fn and(&mut self, condition: impl Into<String>) {
        self.conditions.push(condition.into());
    }

    /// The column has this value, if one is given.
    pub(crate) fn filter(&mut self, column: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            let value = self.value(value);
            self.and(format!("{column} = {value}"));
        }
    }

    /// The first rows of one select.
    pub(crate) fn finish(mut self, store: &SqlStore, order: &str, limit: u32) -> Statement {
        let limit = self.value(i64::from(limit));
        let all = if self.conditions.is_empty() { "true".to_owned() } else { self.conditions.join(" AND ") };
        let sql = format!("{} WHERE {all} ORDER BY {order} LIMIT {limit}", self.select);
        store.statement(sql, self.values)
    }

    /// The first rows of several selects that differ in one condition. Each is in order and ends with the page, so that the
    /// database merges them; otherwise it would sort them.
    pub(crate) fn merge(
        mut self,
        store: &SqlStore,
        cases: impl IntoIterator<Item = String>,
        order: &str,
        limit: u32,
    ) -> Statement {
        let limit = self.value(i64::from(limit));
        let case = |condition| {
            let all: Vec<_> = std::iter::once(condition).chain(self.conditions.iter().cloned()).collect();
            let (select, all) = (&self.select, all.join(" AND "));
            format!("SELECT * FROM ({select} WHERE {all} ORDER BY {order} LIMIT {limit}) AS run")
        };
        let runs: Vec<_> = cases.into_iter().map(case).collect();
        let sql = format!("{} ORDER BY {order} LIMIT {limit}", runs.join(" UNION ALL "));
        store.statement(sql, self.values)
    }

    /// A page of a table that is read in the order of (at, id), newest first.
    pub(crate) fn newest_first(
        mut self,
        store: &SqlStore,
        after: Option<(Time, Uuid)>,
        limit: u32,
    ) -> Statement {
        if let Some((at, id)) = after {
            let (at, id) = (self.value(at.0), self.value(id));
            self.and(format!("(at, id) < ({at}, {id})"));
        }
        self.finish(store, "at DESC, id DESC", limit)
    }
}
