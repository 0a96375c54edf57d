//! The rare parts of a batch: incidents, attributes, dead letters, removed buffered events and the audit.
//!
//! Only a batch that has such rows pays for them. The rows of each kind are one JSON array, and on PostgreSQL a part of the
//! batch's one statement, whose text then differs.

use serde::Serialize;

use crate::parameters::{code, hex, hex_digits, json, json_keys, text};
use crate::session::error::SqlError;
use snorri_ports::store::{Attributes, AuditEntry, Batch, DeadLetter, OpenIncidents};

/// Rows of one kind, and the statements that write them. `$n` is the parameter of the rows on PostgreSQL.
pub(super) struct Part {
    pub postgres: &'static [(&'static str, &'static str)],
    pub sqlite: &'static [&'static str],
    pub rows: String,
}

/// An unchanged row is not deleted and inserted again, because parts of one statement do not see each other's changes.
const POSTGRES_INCIDENTS: [(&str, &str); 2] = [
    (
        "passed",
        "DELETE FROM incident
WHERE saga = ANY(ARRAY(SELECT (row ->> 0)::uuid FROM json_array_elements($n::json) AS row)) AND NOT EXISTS (
    SELECT 1 FROM json_array_elements($n::json) AS row, json_array_elements_text(row -> 2) AS open (code)
    WHERE (row ->> 0)::uuid = incident.saga AND open.code = incident.code)",
    ),
    (
        "opened",
        "INSERT INTO incident (saga, started_at, code)
SELECT (row ->> 0)::uuid, (row ->> 1)::bigint, open.code
FROM json_array_elements($n::json) AS row, json_array_elements_text(row -> 2) AS open (code)
ON CONFLICT (saga, code) DO NOTHING",
    ),
];

const SQLITE_INCIDENTS: [&str; 2] = [
    "DELETE FROM incident WHERE saga IN (SELECT unhex(value ->> 0) FROM json_each(?1))",
    "INSERT INTO incident (saga, started_at, code)
SELECT unhex(item.value ->> 0), item.value ->> 1, code.value
FROM json_each(?1) AS item, json_each(item.value, '$[2]') AS code WHERE true
ON CONFLICT (saga, code) DO NOTHING",
];

const POSTGRES_ATTRIBUTES: [(&str, &str); 1] = [(
    "named",
    "INSERT INTO attribute (saga, started_at, name, value)
SELECT (row ->> 0)::uuid, (row ->> 1)::bigint, row ->> 2, row ->> 3 FROM json_array_elements($n::json) AS row
ON CONFLICT (saga, name) DO NOTHING",
)];

const SQLITE_ATTRIBUTES: [&str; 1] = ["INSERT INTO attribute (saga, started_at, name, value)
SELECT unhex(value ->> 0), value ->> 1, value ->> 2, value ->> 3 FROM json_each(?1) WHERE true
ON CONFLICT (saga, name) DO NOTHING"];

/// Passed as `jsonb`, which is parsed once: each access to a row of `json` parses all of it, with a body of up to 512 KiB.
const POSTGRES_LETTERS: [(&str, &str); 1] = [(
    "kept",
    "INSERT INTO dead_letter (id, at, queue, code, reason, saga, step, properties, body, resolved_at)
SELECT (row ->> 0)::uuid, (row ->> 1)::bigint, row ->> 2, row ->> 3, row ->> 4, (row ->> 5)::uuid, row ->> 6, row ->> 7,
    decode(row ->> 8, 'hex'), (row ->> 9)::bigint
FROM jsonb_array_elements($n::jsonb) AS row
ON CONFLICT (id) DO NOTHING",
)];

const SQLITE_LETTERS: [&str; 1] =
    ["INSERT INTO dead_letter (id, at, queue, code, reason, saga, step, properties, body, resolved_at)
SELECT unhex(value ->> 0), value ->> 1, value ->> 2, value ->> 3, value ->> 4, unhex(value ->> 5), value ->> 6,
    value ->> 7, unhex(value ->> 8), value ->> 9
FROM json_each(?1) WHERE true
ON CONFLICT (id) DO NOTHING"];

const POSTGRES_RESOLVED: [(&str, &str); 1] = [(
    "resolved",
    "UPDATE dead_letter SET resolved_at = (row ->> 1)::bigint FROM json_array_elements($n::json) AS row
WHERE dead_letter.id = (row ->> 0)::uuid AND dead_letter.resolved_at IS NULL",
)];

const SQLITE_RESOLVED: [&str; 1] = ["UPDATE dead_letter SET resolved_at = value ->> 1 FROM json_each(?1)
WHERE dead_letter.id = unhex(value ->> 0) AND dead_letter.resolved_at IS NULL"];

const POSTGRES_UNBUFFERED: [(&str, &str); 1] = [(
    "unbuffered",
    "DELETE FROM buffered_event
WHERE id = ANY(ARRAY(SELECT row::uuid FROM json_array_elements_text($n::json) AS row))",
)];

const SQLITE_UNBUFFERED: [&str; 1] =
    ["DELETE FROM buffered_event WHERE id IN (SELECT unhex(value) FROM json_each(?1))"];

pub(super) const POSTGRES_AUDIT: [(&str, &str); 1] = [(
    "audited",
    "INSERT INTO audit (id, at, actor, action, reason, saga, seq, step, definition, before, after)
SELECT (row ->> 0)::uuid, (row ->> 1)::bigint, row ->> 2, row ->> 3, row ->> 4, (row ->> 5)::uuid, (row ->> 6)::integer,
    row ->> 7, row ->> 8, row ->> 9, row ->> 10
FROM json_array_elements($n::json) AS row",
)];

pub(super) const SQLITE_AUDIT: [&str; 1] =
    ["INSERT INTO audit (id, at, actor, action, reason, saga, seq, step, definition, before, after)
SELECT unhex(value ->> 0), value ->> 1, value ->> 2, value ->> 3, value ->> 4, unhex(value ->> 5), value ->> 6,
    value ->> 7, value ->> 8, value ->> 9, value ->> 10
FROM json_each(?1)"];

/// The rare parts of a batch; most batches have none.
pub(super) fn parts(batch: &Batch) -> Result<Vec<Part>, SqlError> {
    let mut parts = Vec::new();
    let mut add = |postgres, sqlite, rows| parts.push(Part { postgres, sqlite, rows });
    if !batch.incidents.is_empty() {
        add(&POSTGRES_INCIDENTS[..], &SQLITE_INCIDENTS[..], incident_rows(&batch.incidents)?);
    }
    if !batch.attributes.is_empty() {
        add(&POSTGRES_ATTRIBUTES, &SQLITE_ATTRIBUTES, attribute_rows(&batch.attributes)?);
    }
    if !batch.dead_letters.is_empty() {
        add(&POSTGRES_LETTERS, &SQLITE_LETTERS, letter_rows(&batch.dead_letters)?);
    }
    if !batch.letters_resolved.is_empty() {
        let rows: Vec<_> = batch.letters_resolved.iter().map(|(id, at)| (hex(id), at)).collect();
        add(&POSTGRES_RESOLVED, &SQLITE_RESOLVED, json(&rows)?);
    }
    if !batch.buffered_removed.is_empty() {
        add(&POSTGRES_UNBUFFERED, &SQLITE_UNBUFFERED, json_keys(batch.buffered_removed.iter()));
    }
    if !batch.audit.is_empty() {
        add(&POSTGRES_AUDIT, &SQLITE_AUDIT, audit_rows(&batch.audit)?);
    }
    Ok(parts)
}

fn incident_rows(incidents: &[OpenIncidents]) -> Result<String, SqlError> {
    let row = |open: &OpenIncidents| {
        (hex(&open.saga.0), open.started_at, open.codes.iter().map(|open| code(open)).collect::<Vec<_>>())
    };
    json(&incidents.iter().map(row).collect::<Vec<_>>())
}

fn attribute_rows(attributes: &[Attributes]) -> Result<String, SqlError> {
    let rows = attributes.iter().flat_map(|of| {
        of.values.iter().map(|(name, value)| (hex(&of.saga.0), of.started_at, text(name), text(value)))
    });
    json(&rows.collect::<Vec<_>>())
}

fn letter_rows(letters: &[DeadLetter]) -> Result<String, SqlError> {
    let row = |letter: &DeadLetter| {
        let DeadLetter { id, at, queue, code, reason, saga, step, properties, body, resolved_at } = letter;
        let body = hex_digits(body);
        let saga = saga.map(|saga| hex(&saga.0));
        let (step, properties) = (step.as_deref().map(text), json(properties)?);
        Ok((hex(id), *at, text(queue), text(code), text(reason), saga, step, properties, body, *resolved_at))
    };
    json(&letters.iter().map(row).collect::<Result<Vec<_>, SqlError>>()?)
}

pub(super) fn audit_rows<'a>(entries: impl IntoIterator<Item = &'a AuditEntry>) -> Result<String, SqlError> {
    json(&entries.into_iter().map(audit_row).collect::<Result<Vec<_>, SqlError>>()?)
}

fn audit_row(entry: &AuditEntry) -> Result<impl Serialize + use<>, SqlError> {
    let AuditEntry { id, at, actor, action, reason, saga, seq, step, definition, before, after } = entry;
    let (saga, step) = (saga.map(|saga| hex(&saga.0)), step.as_deref().map(text));
    let (definition, before, after) = (definition.as_deref().map(text), json(before)?, json(after)?);
    Ok((hex(id), *at, text(actor), text(action), text(reason), saga, *seq, step, definition, before, after))
}
