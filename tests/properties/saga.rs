//! One saga, and what must be true of it after each input.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;
use snorri_core::definition::{Action, Block, OnCompensationFailure, StepIndex};
use snorri_core::input::Migrate;
use snorri_core::journal::{By, Fact, Started};
use snorri_core::migration::obstacles;
use snorri_core::restart::carry;
use snorri_core::state::{Entered, Pending, StepOutcome};
use snorri_core::transition::messages_of;
use snorri_core::walk::{self, Next};
use snorri_core::{
    Decision, Definition, Direction, Entry, Input, MAX_STEP_EXECUTIONS, Message, Rejection, SagaId, State,
    Status, StepPath, Time, transition,
};
use uuid::Uuid;

pub struct Saga {
    pub definition: Arc<Definition>,
    pub state: State,
    pub journal: Vec<Entry>,
    pub now: Time,
    places: Vec<Place>,
    /// The number of entries before the migration to another version: they follow the rules of the version before.
    migrated_after: usize,
}

/// Where a step stands in the tree: one turn for each block around it.
type Place = Vec<Turn>;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Turn {
    /// The nth of a sequence.
    Nth(usize),
    /// One of several that are not ordered.
    Unordered(usize),
    /// The body of this `for_each`.
    Each(StepIndex),
}

pub fn started() -> Input {
    Input::Start(Box::new(Started {
        definition: "random".into(),
        version: 1,
        key: None,
        input: Arc::new(Value::Null),
        deadline: None,
        answer: None,
        trace_id: None,
        parent: None,
        attributes: BTreeMap::new(),
        inherited: None,
    }))
}

pub fn by() -> By {
    By { actor: "ann".to_owned(), reason: "because".to_owned() }
}

impl Saga {
    pub fn new(definition: &Arc<Definition>) -> Self {
        let state = State::new(SagaId(Uuid::from_u128(1)));
        let places = places_of(definition);
        let definition = Arc::clone(definition);
        Self { definition, state, journal: Vec::new(), now: Time(0), places, migrated_after: 0 }
    }

    /// Continues with another version, if that is safe.
    pub fn migrate(&mut self, to: &Arc<Definition>) -> Vec<Message> {
        let input = Input::Migrate(Box::new(Migrate { to: Arc::clone(to), by: by() }));
        let before = Arc::clone(&self.definition);
        if transition(&before, &self.state, &input, self.now).is_ok() {
            self.definition = Arc::clone(to);
            self.places = places_of(to);
            self.migrated_after = self.journal.len();
        }
        self.take_as(&before, &input).unwrap_or_default()
    }

    /// Decides an input, checks every invariant, and returns what is sent.
    pub fn take(&mut self, input: &Input) -> Result<Vec<Message>, Rejection> {
        self.take_as(&Arc::clone(&self.definition), input)
    }

    fn take_as(&mut self, definition: &Definition, input: &Input) -> Result<Vec<Message>, Rejection> {
        let before = self.state.clone();
        let Decision { entry, state, messages, .. } = transition(definition, &self.state, input, self.now)?;
        self.journal.push(entry);
        self.state = state;
        assert_eq!(self.state.seq, before.seq + 1, "one input, one entry");
        assert_eq!(State::replay(self.state.id, &self.journal), self.state, "replay gives the stored state");
        if before.status().is_final() {
            assert_eq!(before.status(), self.state.status(), "final is final");
            assert!(messages.is_empty(), "a final saga sends nothing");
        }
        self.check_messages(&before, &messages);
        self.check_wake();
        self.check_pause(&before, input, &messages);
        let obstacles = obstacles(&self.definition, &self.definition, &self.state);
        assert_eq!(obstacles, [], "a saga can continue with its own version");
        self.check_sent();
        self.check_concurrency();
        self.check_end();
        Ok(messages)
    }

    /// The messages follow from the journal.
    fn check_messages(&self, before: &State, messages: &[Message]) {
        let last = self.journal.last().expect("an entry");
        let remade = messages_of(&self.definition, before, last);
        let json = |messages| serde_json::to_string::<[Message]>(messages).expect("JSON");
        assert_eq!(json(&remade), json(messages), "the same messages, in the same order");
    }

    /// Whatever is due, the store will wake the saga for it in time.
    fn check_wake(&self) {
        if let Some(due) = self.state.next_due() {
            let wake = self.state.wake.expect("something is due, so a wake-up is set");
            assert!(wake <= due.max(self.now), "woken at {wake:?} for {due:?}");
        }
    }

    /// Nothing is sent during a pause, and after it all is due so much later.
    fn check_pause(&self, before: &State, input: &Input, messages: &[Message]) {
        if self.state.paused.is_some() {
            assert!(messages.is_empty(), "a paused saga sends nothing");
            assert_eq!((self.state.wake, self.state.next_due()), (None, None), "no time passes for it");
        }
        let (Input::Resume(_), Some(since)) = (input, before.paused) else { return };
        let held = self.now.since(since);
        for (path, step) in &before.steps {
            let after = self.state.step(path).expect("a step stays");
            for direction in [Direction::Forward, Direction::Compensate] {
                if let (Some(Pending::Reply { deadline }), Some(Pending::Reply { deadline: now })) =
                    (step.pending(direction), after.pending(direction))
                {
                    assert_eq!(now, deadline.after(held), "{path} is due later by the pause");
                }
            }
        }
    }

    /// A new saga takes over from one that has ended, wherever it can, and nothing of it is compensated in the wrong order.
    pub fn check_restart(&self) {
        for step in self.definition.steps() {
            let Ok(carried) = carry(&self.definition, &self.state, &step.name) else { continue };
            let mut next = Self::new(&self.definition);
            let Input::Start(mut started) = started() else { return };
            started.inherited = Some(carried);
            next.take(&Input::Start(started)).expect("it starts");
            // What was taken over may be all that there is.
            drop(next.take(&Input::Cancel(by())));
        }
    }

    /// The order of what was sent, over the whole journal.
    fn check_sent(&self) {
        let mut compensated = BTreeSet::new();
        let mut passed_over = BTreeSet::new();
        let mut rolling_back = false;
        let mut begun = BTreeSet::new();
        let mut came_back = BTreeSet::new();
        let mut sent = BTreeMap::<(StepPath, Direction), u32>::new();
        let entries = self.journal.iter().enumerate();
        for (nth, fact) in entries.flat_map(|(nth, entry)| entry.facts.iter().map(move |fact| (nth, fact))) {
            match fact {
                Fact::RollbackBegan => rolling_back = true,
                Fact::Compensated { step } | Fact::Skipped { step, direction: Direction::Compensate, .. } => {
                    compensated.insert(step.clone());
                }
                Fact::Held { step, direction: Direction::Compensate, .. } => {
                    passed_over.insert(step.clone());
                }
                Fact::WaitingForRoute { step, direction, .. } => {
                    came_back.insert((step.clone(), *direction));
                }
                Fact::Sent { step, direction, attempt, .. }
                | Fact::ChildSent { step, direction, attempt } => {
                    let key = (step.clone(), *direction);
                    let is_new = !came_back.remove(&key) || sent.get(&key) != Some(attempt);
                    let last = sent.entry(key).or_default();
                    *last += u32::from(is_new);
                    assert_eq!(*last, *attempt, "attempts are numbered without gaps");
                    match direction {
                        Direction::Forward => {
                            assert!(!rolling_back, "nothing goes forward after the turn");
                            // Another version may have begun more at once.
                            if nth >= self.migrated_after {
                                begun.insert(step.clone());
                            }
                        }
                        Direction::Compensate if !rolling_back && nth >= self.migrated_after => {
                            self.check_cleared(step, &begun);
                        }
                        Direction::Compensate if nth >= self.migrated_after => {
                            self.check_compensation(step, &compensated, &passed_over);
                        }
                        Direction::Compensate => {}
                    }
                }
                Fact::Published { .. }
                | Fact::BranchSelected { .. }
                | Fact::ItemsExpanded { .. }
                | Fact::Waiting { .. }
                | Fact::Sleeping { .. } => {
                    assert!(!rolling_back, "nothing begins after the turn: {fact:?}");
                }
                _ => {}
            }
        }
        assert!(self.state.executions <= MAX_STEP_EXECUTIONS);
    }

    /// Before a rollback only an optional step whose outcome is unknown is compensated, and nothing after it has begun.
    fn check_cleared(&self, step: &StepPath, begun: &BTreeSet<StepPath>) {
        let own = self.definition.step(step).expect("a step of the definition");
        assert!(own.optional, "{step} is compensated, and the saga does not roll back");
        for later in begun {
            assert!(!self.comes_after(later, step), "{later} began before {step} was compensated");
        }
    }

    /// A step is compensated only after all that came after it, and a pivot never.
    fn check_compensation(
        &self,
        step: &StepPath,
        compensated: &BTreeSet<StepPath>,
        passed_over: &BTreeSet<StepPath>,
    ) {
        let own = self.definition.step(step).expect("a step of the definition");
        assert!(!own.is_pivot(), "a pivot is never compensated");
        let continues = self.definition.on_compensation_failure == OnCompensationFailure::Continue;
        for (later, state) in &self.state.steps {
            let needs_compensation =
                self.definition.step(later).is_some_and(|later| later.has_compensation())
                    && matches!(state.outcome, StepOutcome::Completed(_) | StepOutcome::Unknown { .. });
            let is_left_behind = continues && passed_over.contains(later);
            if needs_compensation && !compensated.contains(later) && !is_left_behind {
                assert!(!self.comes_after(later, step), "{step} is compensated before {later}");
            }
        }
    }

    /// Whether the definition has `later` begin only once `earlier` was through.
    fn comes_after(&self, later: &StepPath, earlier: &StepPath) -> bool {
        let place = |path: &StepPath| &self.places[self.definition.index_of(path.name()).expect("a step").0];
        let mut depth = 0;
        for (of_later, of_earlier) in place(later).iter().zip(place(earlier)) {
            match (of_later, of_earlier) {
                (Turn::Nth(later), Turn::Nth(earlier)) if later != earlier => return later > earlier,
                (Turn::Each(index), _) => {
                    let items = (later.items()[depth], earlier.items()[depth]);
                    if items.0 != items.1 {
                        return self.concurrency(*index) == 1 && items.0 > items.1;
                    }
                    depth += 1;
                }
                (of_later, of_earlier) if of_later != of_earlier => return false,
                _ => {}
            }
        }
        false
    }

    fn concurrency(&self, index: StepIndex) -> u32 {
        match &self.definition.step_at(index).action {
            Action::ForEach(each) => each.concurrency,
            other => panic!("a for_each, not {other:?}"),
        }
    }

    /// No more items of a list are under way than may be. An operator who tries again what was left behind may exceed it.
    fn check_concurrency(&self) {
        // Another version may have fewer at once.
        if self.migrated_after > 0 {
            return;
        }
        let continues = self.definition.on_compensation_failure == OnCompensationFailure::Continue;
        let directions: &[Direction] =
            if continues { &[Direction::Forward] } else { &[Direction::Forward, Direction::Compensate] };
        for (path, entered) in &self.state.entered {
            let Entered::Items(_) = entered else { continue };
            let each = self.definition.index_of(path.name()).expect("a step");
            let depth = path.items().len();
            let is_within = |step: &StepPath| {
                let within = &self.definition.step(step).expect("a step").within;
                within.get(depth) == Some(&each) && step.items().starts_with(path.items())
            };
            let busy = self.state.steps.iter().filter(|(step, state)| {
                is_within(step) && directions.iter().any(|&direction| is_under_way(state.pending(direction)))
            });
            let items: BTreeSet<u32> = busy.map(|(step, _)| step.items()[depth]).collect();
            assert!(items.len() <= self.concurrency(each) as usize, "{path}: {items:?} at once");
        }
    }

    fn check_end(&self) {
        let steps = &self.state.steps;
        match self.state.status() {
            Status::Completed => {
                for (path, step) in steps {
                    assert!(!matches!(step.outcome, StepOutcome::Pending(_)), "{path} is pending at the end");
                    let own = self.definition.step(path).expect("a step of the definition");
                    let is_unknown = matches!(step.outcome, StepOutcome::Unknown { .. });
                    assert!(
                        step.compensation.is_none() || is_unknown,
                        "{path} was compensated in a completed saga"
                    );
                    let may_be_there =
                        is_unknown && own.optional && own.has_compensation() && !step.skipped_by_operator;
                    assert!(
                        !may_be_there || step.is_compensated(),
                        "{path} may be there, and its output is null"
                    );
                }
                assert_eq!(walk::forward(&self.definition, &self.state), Next::Done);
            }
            Status::Compensated => {
                for (path, step) in steps {
                    let own = self.definition.step(path).expect("a step of the definition");
                    assert!(!matches!(step.outcome, StepOutcome::Pending(_)), "{path} is pending at the end");
                    let happened =
                        matches!(step.outcome, StepOutcome::Completed(_) | StepOutcome::Unknown { .. });
                    assert!(
                        !happened || !own.has_compensation() || step.is_compensated(),
                        "{path} is not compensated"
                    );
                    assert!(!(happened && own.is_pivot()), "a saga is compensated in spite of its pivot");
                }
            }
            _ if self.state.paused.is_some() => {}
            Status::Running | Status::Compensating => {
                let both = [Direction::Forward, Direction::Compensate];
                let has_child = steps.values().any(|step| {
                    both.into_iter().any(|direction| step.pending(direction) == Some(Pending::Child))
                });
                assert!(self.state.next_due().is_some() || has_child, "nothing waits silently");
            }
            Status::Stuck => assert!(!self.state.incidents.is_empty(), "a stuck saga has an incident"),
            Status::Abandoned => {}
        }
    }
}

fn is_under_way(pending: Option<Pending>) -> bool {
    pending.is_some_and(|pending| pending != Pending::Operator)
}

fn places_of(definition: &Definition) -> Vec<Place> {
    let mut places = vec![Vec::new(); definition.steps().len()];
    find_places(&definition.body, &mut Vec::new(), &mut places);
    places
}

fn find_places(block: &Block, around: &mut Place, places: &mut [Place]) {
    let mut go = |turn: Turn, block: &Block| {
        around.push(turn);
        find_places(block, around, places);
        around.pop();
    };
    match block {
        Block::Step(index) => places[index.0].clone_from(around),
        Block::Sequence(blocks) => {
            blocks.iter().enumerate().for_each(|(nth, block)| go(Turn::Nth(nth), block));
        }
        Block::Parallel(branches) => {
            branches.iter().enumerate().for_each(|(nth, block)| go(Turn::Unordered(nth), block));
        }
        Block::Choice(index, branches) => {
            branches.iter().enumerate().for_each(|(nth, block)| go(Turn::Unordered(nth), block));
            places[index.0].clone_from(around);
        }
        Block::ForEach(index, body) => {
            go(Turn::Each(*index), body);
            places[index.0].clone_from(around);
        }
    }
}
