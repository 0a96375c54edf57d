//! A query whose conditions vary, as its text and values.

use sea_orm::{Statement, Value};
use uuid::Uuid;

use super::SqlStore;
use crate::saga::Time;

/// One or more selects, each with conditions, that share their values.
#[derive(Debug)]
pub(super) struct Question {
    sql: String,
    values: Vec<Value>,
    has_condition: bool,
}

impl Question {
    pub(super) fn new(select: &str) -> Self {
        Self { sql: select.to_owned(), values: Vec::new(), has_condition: false }
    }

    /// The name of a value in the text.
    pub(super) fn value(&mut self, value: impl Into<Value>) -> String {
        self.values.push(value.into());
        format!("${}", self.values.len())
    }

    pub(super) fn and(&mut self, condition: &str) {
        let word = if self.has_condition { " AND " } else { " WHERE " };
        self.sql.extend([word, condition]);
        self.has_condition = true;
    }

    /// The column has this value, if one is given.
    pub(super) fn filter(&mut self, column: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            let value = self.value(value);
            self.and(&format!("{column} = {value}"));
        }
    }

    /// Begins the next select, whose rows are added.
    pub(super) fn or_else(&mut self, select: &str) {
        self.sql.extend([" UNION ALL ", select]);
        self.has_condition = false;
    }

    pub(super) fn finish(mut self, store: &SqlStore, order: &str, limit: u32) -> Statement {
        let limit = self.value(i64::from(limit));
        self.sql.push_str(&format!(" ORDER BY {order} LIMIT {limit}"));
        store.statement(self.sql, self.values)
    }

    /// A page of a table that is read in the order of (at, id), newest first.
    pub(super) fn newest_first(
        mut self,
        store: &SqlStore,
        after: Option<(Time, Uuid)>,
        limit: u32,
    ) -> Statement {
        if let Some((at, id)) = after {
            let (at, id) = (self.value(at.0), self.value(id));
            self.and(&format!("(at, id) < ({at}, {id})"));
        }
        self.finish(store, "at DESC, id DESC", limit)
    }
}
