//! The world in which anything arrives.

use std::sync::Arc;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Value;
use snorri_core::input::{Attempt, Intervention, Reply, ReplyResult, Resolution};
use snorri_core::journal::{EventSource, Problem, ReceivedEvent};
use snorri_core::{Definition, Direction, Input, StepPath};

use crate::definitions::{MOST_STEPS, definition, versions};
use crate::saga::{Saga, by, started};

fn any_path() -> impl Strategy<Value = StepPath> {
    (0..MOST_STEPS, vec(0..3_u32, 0..3)).prop_map(|(step, items)| StepPath::at(format!("s{step}"), &items))
}

fn any_attempt() -> impl Strategy<Value = Attempt> {
    (any_path(), any::<bool>(), 0..5_u32).prop_map(|(step, compensation, number)| Attempt {
        step,
        direction: if compensation { Direction::Compensate } else { Direction::Forward },
        number,
    })
}

fn any_intervention() -> impl Strategy<Value = Intervention> {
    prop_oneof![
        prop::option::of(any_path()).prop_map(|step| Intervention::Retry { step }),
        prop::option::of(any_path()).prop_map(|step| Intervention::Skip { step }),
        any_path().prop_map(|step| Intervention::Resolve { step, outcome: Resolution::Failed }),
        any_path().prop_map(|step| Intervention::Resolve {
            step,
            outcome: Resolution::Succeeded(Arc::new(Value::Null))
        }),
        Just(Intervention::Rollback),
        Just(Intervention::Abandon),
    ]
}

#[derive(Debug, Clone)]
enum Happening {
    Input(Input),
    /// A reply to the so-manieth command that waits for one, so that something happens in deep places, too.
    Awaited(usize, ReplyResult),
    Time(u64),
    /// The other version is to be gone on with, if there is one.
    Migration,
}

fn happening() -> impl Strategy<Value = Happening> {
    let result = prop_oneof![
        5 => Just(ReplyResult::Success(Arc::new(Value::Null))),
        2 => Just(ReplyResult::Failure(Problem::of_participant("no", ""))),
        2 => Just(ReplyResult::Error(Problem::of_participant("busy", ""))),
    ];
    let reply =
        (any_attempt(), result.clone()).prop_map(|(attempt, result)| Input::Reply(Reply { attempt, result }));
    let arrival = prop::option::of("[ab]").prop_map(|id| {
        Input::Event(Arc::new(ReceivedEvent {
            source: EventSource::Signal("go".into()),
            id,
            body: Value::Null,
        }))
    });
    prop_oneof![
        6 => reply.prop_map(Happening::Input),
        12 => (any::<usize>(), result).prop_map(|(nth, result)| Happening::Awaited(nth, result)),
        3 => any_attempt().prop_map(|attempt| Happening::Input(Input::Unroutable(attempt))),
        3 => Just(Happening::Input(Input::wake())),
        2 => arrival.prop_map(Happening::Input),
        1 => Just(Happening::Input(Input::Cancel(by()))),
        1 => (1..3_u32).prop_map(|attempt| Happening::Input(Input::Compensate { attempt })),
        3 => any_intervention().prop_map(|action| Happening::Input(Input::Intervene { action, by: by() })),
        1 => Just(Happening::Input(started())),
        1 => Just(Happening::Input(Input::Pause(by()))),
        2 => Just(Happening::Input(Input::Resume(by()))),
        4 => (0..15_000_u64).prop_map(Happening::Time),
        3 => Just(Happening::Migration),
    ]
}

/// The attempt of the so-manieth command or child that has no outcome yet.
fn awaited(saga: &Saga, nth: usize) -> Option<Attempt> {
    let both = [Direction::Forward, Direction::Compensate];
    let pending: Vec<_> = saga
        .state
        .steps
        .iter()
        .flat_map(|(path, step)| both.map(|direction| (path, direction, step)))
        .filter(|(_, direction, step)| step.pending(*direction).is_some())
        .collect();
    let (path, direction, step) = pending.get(nth.checked_rem(pending.len())?)?;
    Some(Attempt { step: (*path).clone(), direction: *direction, number: step.attempts(*direction).last })
}

fn play(versions: &[Arc<Definition>], happenings: &[Happening]) {
    let mut saga = Saga::new(&versions[0]);
    saga.take(&started()).expect("the first start");
    for happening in happenings {
        match happening {
            // What is ignored changes nothing; why it was is told by the scripts.
            Happening::Input(input) => drop(saga.take(input)),
            Happening::Awaited(nth, result) => {
                if let Some(attempt) = awaited(&saga, *nth) {
                    drop(saga.take(&Input::Reply(Reply { attempt, result: result.clone() })));
                }
            }
            Happening::Time(millis) => saga.now = saga.now.after(Duration::from_millis(*millis)),
            Happening::Migration => {
                let other = versions.iter().find(|other| other.version != saga.definition.version);
                if let Some(other) = other {
                    saga.migrate(other);
                }
            }
        }
    }
    saga.go_on_from_it();
}

proptest! {
    #![proptest_config(crate::config())]

    #[test]
    fn whatever_arrives_leaves_the_invariants_whole(definition in definition(), happenings in vec(happening(), 0..80)) {
        play(&[definition], &happenings);
    }

    #[test]
    fn whatever_arrives_between_migrations_does_too(versions in versions(), happenings in vec(happening(), 0..80)) {
        play(&versions, &happenings);
    }
}
