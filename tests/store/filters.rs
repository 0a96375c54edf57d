//! Lists by every combination of conditions: each returns the sagas that a filter in this test returns.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use rstest::rstest;
use snorri_core::{Status, Time};
use snorri_ports::store::{Attributes, Batch, Filter, OpenIncidents, SagaRow};

use crate::database::On::{Memory, Postgres, Sqlite};
use crate::database::{On, run};
use crate::list;
use crate::samples::{AWKWARD, row, saga_id, with_key, without_timer};

const STATUSES: [Status; 6] = [
    Status::Running,
    Status::Completed,
    Status::Stuck,
    Status::Compensating,
    Status::Compensated,
    Status::Abandoned,
];

struct Sample {
    row: SagaRow,
    codes: Vec<String>,
    attributes: BTreeMap<String, String>,
}

/// Sagas that differ in every condition.
fn samples() -> Vec<Sample> {
    let sample = |number: usize| {
        let mut row = row(saga_id(), number as i64 / 3);
        row.status = STATUSES[number % 6];
        row.definition = if number.is_multiple_of(7) { "trip" } else { "order" }.into();
        row.version = 1 + number as u32 % 3;
        if !number.is_multiple_of(4) {
            row =
                with_key(row, &format!("key {}", if number.is_multiple_of(7) { number / 7 } else { number }));
        }
        row.paused = !row.status.is_final() && number.is_multiple_of(5);
        let codes = if row.status == Status::Stuck { &["timeout", AWKWARD][..1 + number % 2] } else { &[] };
        let codes = codes.iter().map(|code| (*code).to_owned()).collect();
        let region = if number.is_multiple_of(3) { "eu" } else { AWKWARD };
        let attributes = BTreeMap::from([
            ("region".to_owned(), region.to_owned()),
            (AWKWARD.to_owned(), format!("number {number}")),
        ]);
        Sample { row, codes, attributes: if number.is_multiple_of(2) { attributes } else { BTreeMap::new() } }
    };
    (0..120).map(sample).collect()
}

/// Without its pages.
fn takes(filter: &Filter, sample: &Sample) -> bool {
    let Filter { definition, version, status, unfinished, key, started_from, started_until, .. } = filter;
    let Sample { row, codes, attributes } = sample;
    definition.as_deref().is_none_or(|name| *name == *row.definition)
        && version.is_none_or(|version| version == row.version)
        && status.is_none_or(|status| status == row.status)
        && !(*unfinished && row.status.is_final())
        && (key.is_none() || *key == row.key)
        && started_from.is_none_or(|from| row.started_at >= from)
        && started_until.is_none_or(|until| row.started_at < until)
        && filter.paused.is_none_or(|paused| paused == row.paused)
        && filter.incident.as_ref().is_none_or(|code| codes.contains(code))
        && filter.attribute.as_ref().is_none_or(|(name, value)| attributes.get(name) == Some(value))
}

/// One filter for each of the combinations, of which there are some thousand.
fn filter(number: usize) -> Filter {
    let mut rest = number;
    let mut choose = |choices: usize| {
        let choice = rest % choices;
        rest /= choices;
        choice
    };
    Filter {
        definition: [None, Some("order"), Some("nothing")][choose(3)].map(str::to_owned),
        version: [None, Some(2)][choose(2)],
        status: [None, Some(Status::Stuck), Some(Status::Completed)][choose(3)],
        unfinished: choose(2) == 1,
        key: [None, Some("key 2".to_owned())][choose(2)].clone(),
        started_from: [None, Some(Time(10))][choose(2)],
        started_until: [None, Some(Time(30))][choose(2)],
        incident: [None, Some("timeout"), Some(AWKWARD)][choose(3)].map(str::to_owned),
        attribute: [None, Some("eu"), Some(AWKWARD)][choose(3)]
            .map(|of| ("region".to_owned(), of.to_owned())),
        paused: [None, Some(true), Some(false)][choose(3)],
        after: None,
    }
}

const FILTERS: usize = 3 * 2 * 3 * 2 * 2 * 2 * 2 * 3 * 3 * 3;

#[rstest]
#[tokio::test]
async fn sagas_are_listed_by_every_combination(#[values(Memory, Sqlite, Postgres)] on: On) {
    run(on, async |test| {
        let mut samples = samples();
        let incidents =
            samples.iter().filter(|sample| !sample.codes.is_empty()).map(|sample| OpenIncidents {
                saga: sample.row.id,
                started_at: sample.row.started_at,
                codes: sample.codes.clone(),
            });
        let attributes =
            samples.iter().filter(|sample| !sample.attributes.is_empty()).map(|sample| Attributes {
                saga: sample.row.id,
                started_at: sample.row.started_at,
                values: sample.attributes.clone(),
            });
        let batch = Batch {
            sagas: samples.iter().map(|sample| without_timer(sample.row.clone())).collect(),
            incidents: incidents.collect(),
            attributes: attributes.collect(),
            ..Batch::default()
        };
        test.store.commit(batch).await.expect("a commit");
        samples.sort_by_key(|sample| Reverse((sample.row.started_at, sample.row.id)));
        let mut most = 0;
        // A step that shares no divisor with the choices visits each pair of them.
        for number in (0..FILTERS).step_by(17) {
            let filter = filter(number);
            let expected: Vec<SagaRow> = samples
                .iter()
                .filter(|sample| takes(&filter, sample))
                .map(|sample| sample.row.clone())
                .collect();
            most = most.max(expected.len());
            assert_eq!(list(&test.store, filter.clone()).await, expected, "{filter:?}");
        }
        assert!(most > 10, "{most}");
    })
    .await;
}

#[rstest]
#[tokio::test]
async fn incidents_are_replaced(#[values(Memory, Sqlite, Postgres)] on: On) {
    run(on, async |test| {
        let (saga, other) = (row(saga_id(), 10), row(saga_id(), 20));
        let long = "ü".repeat(100_000);
        let open = |row: &SagaRow, codes: &[&str]| OpenIncidents {
            saga: row.id,
            started_at: row.started_at,
            codes: codes.iter().map(|code| (*code).to_owned()).collect(),
        };
        let with = async |code: &str| {
            let incident = Some(code.to_owned());
            let found = list(&test.store, Filter { incident, ..Filter::default() }).await;
            found.iter().map(|row| row.id).collect::<Vec<_>>()
        };
        let (one, two) = (saga.id, other.id);
        let incidents = vec![open(&saga, &["a", "b"]), open(&other, &["a", &long])];
        let sagas = [&saga, &other].map(|row| without_timer(row.clone())).into();
        test.store.commit(Batch { sagas, incidents, ..Batch::default() }).await.expect("a commit");
        assert_eq!(with("a").await, [two, one]);
        assert_eq!(with("b").await, [one]);
        assert_eq!(with(&long).await, [two]);

        let incidents = vec![open(&saga, &["b", "c"]), open(&other, &[])];
        test.store.commit(Batch { incidents, ..Batch::default() }).await.expect("a commit");
        assert_eq!(with("a").await, []);
        assert_eq!(with("b").await, [one]);
        assert_eq!(with("c").await, [one]);
        assert_eq!(with(&long).await, []);
    })
    .await;
}
