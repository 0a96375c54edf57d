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
enum Stimulus {
    Input(Input),
    /// A reply to the nth command that waits for one, so that deep states are reached.
    Awaited(usize, ReplyResult),
    Time(u64),
    /// The saga continues with the other version, if there is one.
    Migration,
}

fn stimulus() -> impl Strategy<Value = Stimulus> {
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
        6 => reply.prop_map(Stimulus::Input),
        12 => (any::<usize>(), result).prop_map(|(nth, result)| Stimulus::Awaited(nth, result)),
        3 => any_attempt().prop_map(|attempt| Stimulus::Input(Input::Unroutable(attempt))),
        3 => Just(Stimulus::Input(Input::wake())),
        2 => arrival.prop_map(Stimulus::Input),
        1 => Just(Stimulus::Input(Input::Cancel(by()))),
        1 => (1..3_u32).prop_map(|attempt| Stimulus::Input(Input::Compensate { attempt })),
        3 => any_intervention().prop_map(|action| Stimulus::Input(Input::Intervene { action, by: by() })),
        1 => Just(Stimulus::Input(started())),
        1 => Just(Stimulus::Input(Input::Pause(by()))),
        2 => Just(Stimulus::Input(Input::Resume(by()))),
        4 => (0..15_000_u64).prop_map(Stimulus::Time),
        3 => Just(Stimulus::Migration),
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

fn play(versions: &[Arc<Definition>], stimuli: &[Stimulus]) {
    let mut saga = Saga::new(&versions[0]);
    saga.take(&started()).expect("the first start");
    for stimulus in stimuli {
        match stimulus {
            // A rejected input changes nothing; the scripts verify the reason.
            Stimulus::Input(input) => drop(saga.take(input)),
            Stimulus::Awaited(nth, result) => {
                if let Some(attempt) = awaited(&saga, *nth) {
                    drop(saga.take(&Input::Reply(Reply { attempt, result: result.clone() })));
                }
            }
            Stimulus::Time(millis) => saga.now = saga.now.after(Duration::from_millis(*millis)),
            Stimulus::Migration => {
                let other = versions.iter().find(|other| other.version != saga.definition.version);
                if let Some(other) = other {
                    saga.migrate(other);
                }
            }
        }
    }
    saga.check_restart();
}

proptest! {
    #![proptest_config(crate::config())]

    #[test]
    fn any_input_keeps_the_invariants(definition in definition(), stimuli in vec(stimulus(), 0..80)) {
        play(&[definition], &stimuli);
    }

    #[test]
    fn any_input_between_migrations_keeps_the_invariants(versions in versions(), stimuli in vec(stimulus(), 0..80)) {
        play(&versions, &stimuli);
    }
}
