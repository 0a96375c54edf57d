//! The conditions that must hold after the faults have ended and everything has had its time.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::FutureExt;
use snorri_core::definition::Action;
use snorri_core::state::{Pending, StepOutcome, StepState};
use snorri_core::{Direction, SagaId, State, Status, StepPath};
use snorri_engine::StartRequest;
use snorri_ports::broker::Broker;
use snorri_ports::store::{Filter, LetterFilter, SagaRow, Store};
use tokio::time::{Instant, sleep};

use crate::clients::{Clients, Wanted};
use crate::world::{OUTCOMES, PARTICIPANTS};

/// How long everything may take to come to rest.
const REST_LIMIT: Duration = Duration::from_secs(240);
/// The most journal entries that a saga of this size may need.
const MAX_ENTRIES: u32 = 300;

impl Clients {
    /// Waits until all sagas are at rest, and records the violations.
    pub async fn end(&self, wanted: &[Wanted]) {
        let pings = self.ping().await;
        let began = Instant::now();
        loop {
            sleep(Duration::from_secs(1)).await;
            self.check_waits();
            let unfinished = self.unfinished(wanted, &pings).await;
            if unfinished.is_empty() {
                break;
            }
            self.look_after().await;
            if began.elapsed() > REST_LIMIT {
                self.world.watch.violation(|| format!("never at rest: {}", unfinished.join("; ")));
                return;
            }
        }
        self.check_sagas();
        self.check_outcomes(wanted);
        self.check_digests();
    }

    /// Starts a saga in each lane of each replica, at its engine alone.
    async fn ping(&self) -> Vec<SagaId> {
        let mut pings = Vec::new();
        for replica in &self.replicas {
            let count = self.world.fate.climate().lanes as u64;
            let mut lanes: Vec<u64> = (0..count).collect();
            for number in 0.. {
                let key = format!("r{} {number}", replica.number);
                let id = SagaId::of_key("ping", &key);
                let lane = id.0.as_u64_pair().1 % count;
                if !lanes.contains(&lane) {
                    continue;
                }
                lanes.retain(|other| *other != lane);
                self.world.story.name(id, &format!("ping {key}"));
                let request = StartRequest {
                    definition: "ping".to_owned(),
                    input: serde_json::json!({ "id": key }),
                    ..StartRequest::default()
                };
                let (clients, replica) = (self.clone(), replica.clone());
                tokio::spawn(async move { clients.ping_one(&replica, request).await });
                pings.push(id);
                if lanes.is_empty() {
                    break;
                }
            }
        }
        pings
    }

    async fn ping_one(&self, replica: &crate::replica::Replica, request: StartRequest) {
        loop {
            if let Some((engine, process)) = replica.current() {
                tokio::select! {
                    biased;
                    () = process.died() => {}
                    started = engine.starter.start(request.clone()) => {
                        if started.is_ok() {
                            return;
                        }
                    }
                }
            }
            sleep(Duration::from_millis(200)).await;
        }
    }

    /// Lists everything that is not finished.
    async fn unfinished(&self, wanted: &[Wanted], pings: &[SagaId]) -> Vec<String> {
        let world = &self.world;
        let mut unfinished = Vec::new();
        let rows = self.rows();
        let wanted = wanted.iter().filter(|wanted| !world.watch.was_poisoned(wanted.id));
        let ids = wanted.map(|wanted| wanted.id).chain(pings.iter().copied());
        for id in ids.filter(|id| !rows.iter().any(|row| row.id == *id)) {
            unfinished.push(format!("{} has not started", world.story.name_of(id)));
        }
        if !rows.iter().any(|row| *row.definition == *"digest") {
            unfinished.push("the schedule has started nothing".to_owned());
        }
        for replica in &self.replicas {
            let health = replica.current().map(|(engine, _)| engine.health.get());
            if !health.is_some_and(|health| health.database && health.broker) {
                unfinished.push(format!("r{} is not ready: {health:?}", replica.number));
            }
        }
        for row in rows.iter().filter(|row| !row.status.is_final()) {
            let state = world.watch.state(row.id);
            unfinished.push(format!(
                "{} is {}: {}",
                world.story.name_of(row.id),
                row.status.as_str(),
                waits(&state)
            ));
        }
        let unsent = world.store.count_unsent(1_000).now_or_never().expect("in memory").expect("counted");
        if unsent > 0 {
            unfinished.push(format!("{unsent} messages are in the outbox"));
        }
        let names = &world.wire.names;
        let own = [&names.replies, &names.starts, &names.events, &names.signals, &names.dead_letters];
        let mut queues: Vec<_> =
            own.into_iter().cloned().chain([PARTICIPANTS, OUTCOMES].map(str::to_owned)).collect();
        // A process may end before its queue is declared.
        let processes = world.store.processes().now_or_never().expect("in memory").expect("processes");
        for queue in processes.iter().map(|process| names.replies_of(process.id)) {
            if world.broker.depth(&queue).await.is_ok() {
                queues.push(queue);
            }
        }
        for queue in &queues {
            let depth = world.broker.depth(queue).await.expect("a queue");
            if depth > 0 {
                unfinished.push(format!("{depth} messages are in {queue}"));
            }
        }
        unfinished.extend(self.missing_letters());
        unfinished
    }

    fn rows(&self) -> Vec<SagaRow> {
        self.world.store.sagas(&Filter::default(), 1_000).now_or_never().expect("in memory").expect("sagas")
    }

    /// The stored saga is consistent, and agrees with the effects of the participants.
    fn check_sagas(&self) {
        for row in self.rows() {
            let state = self.world.watch.state(row.id);
            let name = self.world.story.name_of(row.id);
            if state.status() != row.status {
                let status = state.status().as_str();
                self.world.watch.violation(|| {
                    format!("{name} is listed as {} and its journal gives {status}", row.status.as_str())
                });
            }
            if state.seq > MAX_ENTRIES {
                self.world.watch.violation(|| format!("{name} has {} entries", state.seq));
            }
            self.check_effects(&state, &name);
        }
    }

    /// No saga waits for nothing: it has a timer, a message to be sent, a running child, or an incident.
    fn check_waits(&self) {
        for row in self.rows().iter().filter(|row| !row.status.is_final() && !row.paused) {
            let state = self.world.watch.state(row.id);
            let has_child = state.steps.values().any(|step| {
                let mut pending = [Direction::Forward, Direction::Compensate]
                    .map(|direction| step.pending(direction))
                    .into_iter();
                pending.any(|pending| pending == Some(Pending::Child))
            });
            if state.wake.is_none() && state.incidents.is_empty() && !has_child {
                let name = self.world.story.name_of(row.id);
                self.world.watch.violation(|| format!("{name} waits for nothing: {}", waits(&state)));
            }
        }
    }

    /// A schedule starts one saga for each time.
    fn check_digests(&self) {
        let mut times = BTreeSet::new();
        for row in self.rows().iter().filter(|row| *row.definition == *"digest") {
            let state = self.world.watch.state(row.id);
            let input = state.started.as_ref().map(|started| started.input.to_string()).unwrap_or_default();
            if !times.insert(input.clone()) {
                self.world.watch.violation(|| format!("the schedule started two sagas with {input}"));
            }
        }
    }

    /// Messages that cannot be read and are not among the dead letters yet.
    fn missing_letters(&self) -> Vec<String> {
        let letters = self.world.store.dead_letters(&LetterFilter::default(), 10_000).now_or_never();
        let letters = letters.expect("in memory").expect("letters");
        let kept: BTreeSet<&str> =
            letters.iter().filter_map(|letter| letter.properties["message_id"].as_str()).collect();
        let poison = self.world.poison.lock().expect("unpoisoned");
        let missing = poison.iter().filter(|poison| !kept.contains(poison.as_str()));
        missing.map(|poison| format!("`{poison}` is not among the dead letters")).collect()
    }

    /// A completed step was done and not compensated; one that was compensated, or refused, has left nothing.
    fn check_effects(&self, state: &State, name: &str) {
        if state.status() == Status::Abandoned || was_helped(state) || self.world.watch.was_poisoned(state.id)
        {
            return;
        }
        let Some(compiled) = self.world.watch.definition_of(state) else { return };
        let command_of = |path: &StepPath| {
            let step = compiled.definition.steps().iter().find(|step| *step.name == *path.name())?;
            if let Action::Command(command) = &step.action { Some(command) } else { None }
        };
        for (path, step) in &state.steps {
            let Some(command) = command_of(path) else { continue };
            let effect = self.world.ledger.effect(state.id, &path.to_string());
            let expected = match (&step.outcome, step.compensation.is_some()) {
                (StepOutcome::Completed(_), false) => Some((true, false)),
                (StepOutcome::Completed(_) | StepOutcome::Unknown { .. }, true) => None,
                (StepOutcome::Failed(_), _) => Some((false, effect.compensated)),
                _ => continue,
            };
            let is_right = match expected {
                Some(expected) => expected == (effect.done, effect.compensated),
                None => effect.compensated,
            };
            if !is_right {
                self.world.watch.violation(|| {
                    format!("{path} of {name} is {:?}, and its participant has {effect:?}", step.outcome)
                });
            }
            let is_left = state.status() == Status::Compensated
                && command.compensation.is_some()
                && effect.done
                && !effect.compensated;
            if is_left {
                self.world.watch.violation(|| format!("{name} is compensated, and {path} is still done"));
            }
        }
    }

    /// Every starter that asked for an outcome has received it.
    fn check_outcomes(&self, wanted: &[Wanted]) {
        let heard = self.world.outcomes.lock().expect("unpoisoned").clone();
        let has_starter =
            |wanted: &&Wanted| wanted.definition != "deposit" && !self.world.watch.was_poisoned(wanted.id);
        for wanted in wanted.iter().filter(has_starter) {
            if !heard.contains(&wanted.name()) {
                self.world
                    .watch
                    .violation(|| format!("the starter of {} never hears the outcome", wanted.name()));
            }
        }
    }
}

/// Whether an operator has resolved a step.
fn was_helped(state: &State) -> bool {
    state.steps.values().any(|step| step.skipped_by_operator)
}

/// The waits of the steps without an outcome.
fn waits(state: &State) -> String {
    let pending = |(path, step): (&StepPath, &StepState)| {
        [Direction::Forward, Direction::Compensate]
            .into_iter()
            .filter_map(|direction| Some(format!("{direction} {path}: {:?}", step.pending(direction)?)))
            .collect::<Vec<_>>()
    };
    let all: Vec<String> = state.steps.iter().flat_map(pending).collect();
    format!("{} (wake {:?}, {} incidents)", all.join(", "), state.wake, state.incidents.len())
}
