//! What the exploration plays on: the definition without its data, what its sagas have around them, and what follows.

use std::borrow::Cow;
use std::sync::Arc;

use uuid::Uuid;

use super::Surroundings;
use super::happening::{self, Happening, Kind, NOW, goes_on, under_way};
use super::operator::{self, Act};
use super::skeleton::{Answers, Skeleton};
use crate::saga::Input;
use crate::saga::definition::{Definition, OnLateReply, Step};
use crate::saga::id::{Direction, SagaId, StepPath};
use crate::saga::journal::{Parent, Started};
use crate::saga::state::{Pending, State};
use crate::saga::transition::{Decision, transition};

pub(super) struct Stage<'a> {
    pub(super) skeleton: Skeleton,
    /// The same definition as another version.
    pub(super) next: Arc<Definition>,
    pub(super) around: &'a Surroundings,
    /// Whether an operator intervenes in every state.
    pub(super) everywhere: bool,
}

impl Stage<'_> {
    pub(super) fn beginning(&self) -> (State, Answers) {
        (State::new(SagaId(Uuid::from_u128(1))), self.skeleton.no_answers())
    }

    /// What can happen. Where the order of things makes no difference to what they lead to, only one order is tried:
    /// partial-order reduction (P. Godefroid, "Partial-Order Methods", 1996). Once a saga turns back, what is under way comes
    /// to its end one after the other. And where several things are under way, the next attempt follows at once: a saga that
    /// stops before it knows no more than one that stops right after it. For the same reason a command that came back for want of a
    /// queue, and is sent again at once, is where it was.
    pub(super) fn happenings(&self, state: &State) -> Vec<Happening> {
        if state.seq == 0 {
            return vec![Happening { kind: Kind::Started, of: None }];
        }
        let mut all = happening::all(&self.skeleton.definition, state, self.around);
        if state.paused.is_some() {
            all.retain(|one| !one.kind.is_timer() && !one.kind.is_repetition());
            all.push(Act::Resume.on(None));
            return all;
        }
        // A success that comes late is more than a repetition if an operator is called for it.
        all.retain(|one| !one.kind.is_repetition() || one.kind == Kind::LateSuccess && self.late_calls());
        if under_way(state) > 1 {
            all.retain(|one| one.kind != Kind::Unroutable);
        }
        let turns_back = state.stopping.is_some() && state.ended.is_none() && !self.awaits_pivot(state);
        let first = all.iter().find(|one| match turns_back {
            true => one.kind != Kind::LateSuccess && Self::awaited(state, one).is_some_and(goes_on(state)),
            false => {
                let is_backoff = matches!(Self::awaited(state, one), Some(Pending::Backoff { .. }));
                one.kind == Kind::Due && is_backoff && under_way(state) > 1
            }
        });
        let Some(first) = first.cloned() else { return all };
        all.retain(|one| match turns_back {
            true => one.kind == Kind::LateSuccess || one.of.is_none() || one.of == first.of,
            false => *one == first,
        });
        all
    }

    /// What can happen, and what an operator can do that leads to another state.
    pub(super) fn moves(&self, state: &State) -> Vec<Happening> {
        let mut all = self.happenings(state);
        all.extend(self.choices(state));
        all
    }

    pub(super) fn choices(&self, state: &State) -> Vec<Happening> {
        operator::choices(&self.skeleton.definition, state, self.everywhere)
    }

    fn late_calls(&self) -> bool {
        self.skeleton.definition.on_late_reply == OnLateReply::Stuck
    }

    /// What that waits for which something happens to.
    fn awaited(state: &State, happening: &Happening) -> Option<Pending> {
        let (path, direction) = happening.of.as_ref()?;
        state.step(path)?.pending(*direction)
    }

    fn awaits_pivot(&self, state: &State) -> bool {
        state.steps.iter().any(|(path, step)| {
            step.pending(Direction::Forward).is_some()
                && self.skeleton.definition.step(path).is_some_and(Step::is_pivot)
        })
    }

    /// What follows from something, for each answer that data may give to the questions that it asks.
    pub(super) fn decisions(
        &self,
        state: &State,
        answers: &Answers,
        happening: &Happening,
    ) -> Vec<(Decision, Answers)> {
        let mut decisions = Vec::new();
        let mut todo = vec![answers.clone()];
        while let Some(given) = todo.pop() {
            let Some((mut state, input)) = self.come_true(state, &given, happening) else { break };
            // The saga has the answers so far in its input; only new ones make another one.
            if given != *answers && state.started.is_some() {
                let input = Arc::new(self.skeleton.input(&given));
                let state = state.to_mut();
                state.started = state.started.take().map(|it| Arc::new(Started { input, ..(*it).clone() }));
            }
            let Ok(decision) = transition(&self.skeleton.definition, &state, &input, NOW) else { break };
            match self.skeleton.branch(&decision.entry.facts, &given) {
                // The first answer is tried first.
                Some(branches) => todo.extend(branches.into_iter().rev()),
                None => decisions.push((decision, given)),
            }
        }
        decisions
    }

    fn come_true<'s>(
        &self,
        state: &'s State,
        answers: &Answers,
        happening: &Happening,
    ) -> Option<(Cow<'s, State>, Input)> {
        match happening.kind {
            Kind::Started => {}
            Kind::Operator(act) => {
                let step = happening.of.as_ref().map(|(step, _)| step);
                return Some((Cow::Borrowed(state), act.input(step, &self.next)?));
            }
            _ => return happening.come_true(&self.skeleton.definition, state),
        }
        let parent = self.around.is_child.then(|| Parent {
            saga: SagaId(Uuid::from_u128(2)),
            step: StepPath::new("part"),
            attempt: 1,
        });
        let input = Arc::new(self.skeleton.input(answers));
        let started = Started { parent, ..self.skeleton.definition.start(input) };
        Some((Cow::Borrowed(state), Input::Start(Box::new(started))))
    }
}
