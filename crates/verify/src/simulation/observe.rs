//! Counts the facts of a run.

use super::tally::{Cause, millis};
use super::world::{BEGINNING, SimulatedWorld};
use snorri_core::journal::{Entry, Fact, StopReason};
use snorri_core::{Direction, StepPath};

impl SimulatedWorld<'_> {
    /// Counts the facts of an entry, and schedules the events that its waits need.
    pub(super) fn take_note(&mut self, saga: usize, entry: &Entry) {
        for fact in &entry.facts {
            self.count(saga, fact);
        }
        if saga == 0 {
            self.reason = self.reason.take().or_else(|| reason(entry));
        }
    }

    fn count(&mut self, saga: usize, fact: &Fact) {
        let (now, running) = (self.time.now(), &mut self.sagas[saga]);
        let definition = &running.compiled.definition;
        let Some((path, direction)) = about(fact) else { return };
        let Some(index) = definition.index_of(path.name()) else { return };
        let tally = self.tally.step(&definition.name, index.0, path.name());
        let key = (path.clone(), direction);
        match fact {
            Fact::Sent { .. } | Fact::ChildSent { .. } | Fact::Waiting { .. } | Fact::Sleeping { .. } => {
                let first = !running.begun.contains_key(&key);
                running.begun.entry(key).or_insert(now);
                let (begun, attempts) = match direction {
                    Direction::Forward => (&mut tally.begun, &mut tally.attempts),
                    Direction::Compensate => (&mut tally.undos, &mut tally.undo_attempts),
                };
                *begun += u64::from(first);
                *attempts += 1;
                tally.commands += u64::from(matches!(fact, Fact::Sent { .. }));
            }
            Fact::Completed { .. } | Fact::Failed { .. } | Fact::Unknown { .. } => {
                tally.refused += u64::from(matches!(fact, Fact::Failed { .. }));
                tally.unknown += u64::from(matches!(fact, Fact::Unknown { .. }));
                if let Some(begun) = running.begun.get(&key) {
                    tally.took.push(millis(now.since(*begun)));
                }
            }
            Fact::Compensated { .. } => {
                tally.compensated += 1;
                if let Some(begun) = running.begun.get(&key) {
                    tally.undo_took.push(millis(now.since(*begun)));
                }
            }
            Fact::Published { .. } => tally.begun += 1,
            Fact::Held { .. } => tally.held += 1,
            Fact::LateReply { .. } => tally.late += 1,
            _ => {}
        }
        if matches!(fact, Fact::Waiting { .. }) {
            self.schedule_arrival(saga, &path.clone());
        }
    }

    /// Counts the end of the run.
    pub(super) fn end(self) {
        let state = self.time.state(0);
        let (end, at) = match (&state.ended, state.incidents.first()) {
            (Some(end), _) => (end.status.as_str(), end.at),
            (None, Some(incident)) => ("stuck", incident.at),
            (None, None) => ("unfinished", self.time.now()),
        };
        for incident in &state.incidents {
            let cause = Cause {
                end,
                step: incident.step.as_ref().map(|step| step.name().to_owned()),
                direction: incident.direction.unwrap_or(Direction::Forward),
                what: incident.problem.code.to_string(),
            };
            *self.tally.causes.entry(cause).or_default() += 1;
        }
        if let Some((step, what)) = self.reason.filter(|_| end == "compensated") {
            let cause = Cause { end, step, direction: Direction::Forward, what };
            *self.tally.causes.entry(cause).or_default() += 1;
        }
        self.tally.ended(end, at.since(BEGINNING));
    }
}

/// The step that a fact is about.
fn about(fact: &Fact) -> Option<(&StepPath, Direction)> {
    match fact {
        Fact::Sent { step, direction, .. }
        | Fact::ChildSent { step, direction, .. }
        | Fact::Held { step, direction, .. } => Some((step, *direction)),
        Fact::Compensated { step } => Some((step, Direction::Compensate)),
        Fact::Completed { step, .. }
        | Fact::Failed { step, .. }
        | Fact::Unknown { step, .. }
        | Fact::Published { step }
        | Fact::Waiting { step, .. }
        | Fact::Sleeping { step, .. }
        | Fact::LateReply { step, .. } => Some((step, Direction::Forward)),
        _ => None,
    }
}

/// The reason for which a saga stops in this entry: the step, and its outcome.
fn reason(entry: &Entry) -> Option<(Option<String>, String)> {
    let (reason, problem) = entry.facts.iter().find_map(|fact| match fact {
        Fact::Stopping { reason, problem } => Some((reason, problem)),
        _ => None,
    })?;
    let step = entry.facts.iter().find_map(|fact| match fact {
        Fact::Failed { step, .. } | Fact::Unknown { step, .. } => Some(step.name().to_owned()),
        _ => None,
    });
    Some(match reason {
        StopReason::StepFailed => (step, problem.code.to_string()),
        StopReason::Cancelled => (None, "cancelled".into()),
        StopReason::TimedOut => (None, "saga timeout".into()),
        StopReason::ParentRolledBack => (None, "compensated".into()),
    })
}
