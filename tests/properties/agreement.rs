//! The exhaustive check against brute force: whatever random runs end in, it has found too.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use serde_json::Value;
use snorri_core::input::{Attempt, Reply, ReplyResult};
use snorri_core::journal::{EventSource, Problem, ReceivedEvent};
use snorri_core::state::Pending;
use snorri_core::{Definition, Direction, Input, SagaId, State, Status, Time, transition};
use snorri_verify::model_check::{Bounds, ModelCheck, Surroundings, check_model};
use uuid::Uuid;

use crate::definitions::{definition, small_definition};
use crate::saga::{by, started};

const DEFINITIONS: usize = 500;
const RUNS_OF_EACH: u32 = 25;
/// Definitions with more states than these are passed over. Without optimization, the definitions are small.
const STATES: usize = 1_500;
const STATES_OF_A_CAMPAIGN: usize = 20_000;

/// How a run ended: the status, and what was held.
type Ending = (Status, BTreeSet<(String, Option<Direction>)>);

#[test]
fn random_runs_end_only_as_the_model_check_predicts() {
    let mut runner = TestRunner::new_with_rng(
        ProptestConfig::default(),
        TestRng::from_seed(RngAlgorithm::ChaCha, b"the same definitions every time."),
    );
    let child = [("child".to_owned(), 1)];
    let around = Surroundings { committed: child.clone().into(), known: child.into(), is_child: false };
    let is_campaign = std::env::var_os("SNORRI_PROPERTY_CASES").is_some();
    let bounds =
        Bounds { states: if is_campaign { STATES_OF_A_CAMPAIGN } else { STATES }, ..Bounds::default() };
    let (mut compared, mut cut, mut endings, mut states) = (0, 0, 0, 0);
    while compared < DEFINITIONS {
        let number = compared + cut;
        let definition = match is_campaign {
            true => definition().new_tree(&mut runner).expect("a definition").current(),
            false => small_definition().new_tree(&mut runner).expect("a definition").current(),
        };
        let model = check_model(&definition, &around, &bounds);
        if model.is_cut {
            cut += 1;
            continue;
        }
        compared += 1;
        states += model.states;
        let known: BTreeSet<_> =
            model.ends.iter().map(|end| format!("{:?}", (end.status, held_of(end)))).collect();
        let mut seen = BTreeSet::new();
        for seed in 0..RUNS_OF_EACH {
            let (status, held) = run(&definition, &model, &mut Random::new(number as u32 * 1_000 + seed));
            let ending = format!("{:?}", (status, held));
            assert!(
                known.contains(&ending),
                "definition {number}, run {seed} ends {ending}, not in {known:#?}"
            );
            seen.insert(ending);
        }
        endings += seen.len();
    }
    println!("{compared} definitions of {states} states, {endings} endings reached; {cut} were too large");
    assert!(endings > 2 * DEFINITIONS, "only {endings} endings were reached");
}

fn held_of(end: &snorri_verify::model_check::End) -> BTreeSet<(String, Option<Direction>)> {
    end.held.iter().map(|held| (held.step.clone(), held.direction)).collect()
}

/// One saga in a world in which anything may happen that participants and the network can do, until nothing does.
fn run(definition: &Arc<Definition>, model: &ModelCheck, random: &mut Random) -> Ending {
    let mut now = Time(0);
    let mut state = State::new(SagaId(Uuid::from_u128(1)));
    let take = |state: &mut State, input: &Input, now: Time| {
        if let Ok(decision) = transition(definition, state, input, now) {
            *state = decision.state;
        }
    };
    take(&mut state, &started(), now);
    for _ in 0..2_000 {
        if is_quiet(&state) {
            break;
        }
        match random.below(20) {
            0..=13 => {
                if let Some(attempt) = any_attempt(&state, random) {
                    let result = match random.below(10) {
                        0..=5 => ReplyResult::Success(Arc::new(Value::Null)),
                        6 | 7 => ReplyResult::Failure(Problem::of_participant("no", "")),
                        _ => ReplyResult::Error(Problem::of_participant("busy", "")),
                    };
                    // Children know no errors.
                    let is_child = state.step(&attempt.step).and_then(|step| step.pending(attempt.direction))
                        == Some(Pending::Child);
                    if !(is_child && matches!(result, ReplyResult::Error(_))) {
                        take(&mut state, &Input::Reply(Reply { attempt, result }), now);
                    }
                }
            }
            14 => {
                if let Some(attempt) = any_attempt(&state, random) {
                    take(&mut state, &Input::Unroutable(attempt), now);
                }
            }
            15 if random.below(6) == 0 => take(&mut state, &Input::Cancel(by()), now),
            16 => {
                let source = EventSource::Signal("go".into());
                let arrival = ReceivedEvent { source, id: None, body: Value::Null };
                take(&mut state, &Input::Event(Arc::new(arrival)), now);
            }
            _ => {
                if let Some(at) = state.wake {
                    now = now.max(at).after(Duration::from_millis(u64::from(random.below(30)) * 100));
                    take(&mut state, &Input::wake(), now);
                }
            }
        }
    }
    assert!(is_quiet(&state), "it does not come to rest: {state:#?}");
    let incidents = state.incidents.iter().map(|incident| {
        let step =
            incident.step.as_ref().map_or_else(String::new, |step| model.called(step.name()).to_owned());
        (step, incident.direction)
    });
    let held = if state.status() == Status::Stuck { incidents.collect() } else { BTreeSet::new() };
    (state.status(), held)
}

/// The latest attempt of a command or child, mostly of one that is awaited. Participants answer what they were sent, and the
/// one who has refused sticks to it.
fn any_attempt(state: &State, random: &mut Random) -> Option<Attempt> {
    let late = random.below(8) == 0;
    let both = [Direction::Forward, Direction::Compensate];
    let sent: Vec<_> = state
        .steps
        .iter()
        .flat_map(|(path, step)| both.map(|direction| (path, step, direction)))
        .filter(|(_, step, direction)| step.attempts(*direction).last > 0)
        .filter(|(_, step, direction)| late || step.pending(*direction).is_some())
        .filter(|(_, step, _)| !matches!(step.outcome, snorri_core::state::StepOutcome::Failed(_)))
        .collect();
    let (path, step, direction) = sent.get(random.below(sent.len().max(1) as u32) as usize)?;
    Some(Attempt { step: (*path).clone(), direction: *direction, number: step.attempts(*direction).last })
}

fn is_quiet(state: &State) -> bool {
    let continues = |pending| match pending {
        Pending::Reply { .. } | Pending::Retry { .. } | Pending::Route { .. } | Pending::Child => true,
        Pending::ReceivedEvent { .. } | Pending::Sleep { .. } => state.stopping.is_none(),
        Pending::Operator => false,
    };
    let both = [Direction::Forward, Direction::Compensate];
    let under_way = state
        .steps
        .values()
        .any(|step| both.iter().any(|direction| step.pending(*direction).is_some_and(continues)));
    state.ended.is_some() || !under_way
}

/// A small generator of our own, so that a run is the same everywhere: SplitMix64 (Steele, Lea, Flood, 2014).
struct Random(u64);

impl Random {
    fn new(seed: u32) -> Self {
        Self(u64::from(seed))
    }

    fn below(&mut self, bound: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        u32::try_from((mixed ^ (mixed >> 31)) % u64::from(bound)).expect("below a bound of 32 bits")
    }
}
