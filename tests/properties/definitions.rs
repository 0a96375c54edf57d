//! Random definitions: any block within any other, three levels deep.

use std::sync::Arc;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::json;
use snorri_core::Definition;
use snorri_core::definition::retry::Retry;
use snorri_core::definition::{
    Action, Awaited, Block, Child, CommandAction, CommandStep, ForEach, Kind, OnCompensationFailure,
    OnLateReply, OnTimeout, OnWaitTimeout, Publish, Sleep, Step, StepIndex, Wait,
};
use snorri_core::expression::Expression;
use snorri_core::expression::template::Template;

/// Most steps of a random definition; more are left out.
pub const MOST_STEPS: usize = 12;

/// A block to be.
#[derive(Debug, Clone)]
pub enum Plan {
    Command {
        attempts: u32,
        optional: bool,
        on_timeout: OnTimeout,
        has_compensation: bool,
    },
    Wait {
        on_timeout: OnWaitTimeout,
    },
    Sleep,
    Child {
        optional: bool,
        compensated: bool,
    },
    Publish,
    Fail,
    /// Left out, or not.
    When(bool, Box<Plan>),
    Parallel(Vec<Vec<Plan>>),
    /// Which branch to take; there may be none of this index.
    Choice(usize, Vec<Vec<Plan>>),
    ForEach {
        items: u32,
        concurrency: u32,
        body: Vec<Plan>,
    },
}

fn leaf() -> impl Strategy<Value = Plan> {
    let on_timeout = prop_oneof![Just(OnTimeout::Retry), Just(OnTimeout::Unknown), Just(OnTimeout::Hold)];
    let command = (1..4_u32, prop::bool::weighted(0.2), on_timeout, prop::bool::weighted(0.8)).prop_map(
        |(attempts, optional, on_timeout, has_compensation)| Plan::Command {
            attempts,
            optional,
            on_timeout,
            has_compensation,
        },
    );
    let on_wait =
        prop_oneof![Just(OnWaitTimeout::Fail), Just(OnWaitTimeout::Continue), Just(OnWaitTimeout::Hold)];
    let child = (prop::bool::weighted(0.2), prop::bool::weighted(0.8))
        .prop_map(|(optional, compensated)| Plan::Child { optional, compensated });
    let bare = prop_oneof![
        12 => command,
        2 => on_wait.prop_map(|on_timeout| Plan::Wait { on_timeout }),
        1 => Just(Plan::Sleep),
        3 => child,
        1 => Just(Plan::Publish),
    ];
    prop_oneof![
        12 => bare.clone(),
        2 => (any::<bool>(), bare).prop_map(|(when, plan)| Plan::When(when, Box::new(plan))),
        1 => Just(Plan::When(false, Box::new(Plan::Fail))),
    ]
}

fn plans() -> impl Strategy<Value = Vec<Plan>> {
    let plan = leaf().prop_recursive(3, 12, 3, |inner| {
        let branch = vec(inner, 1..4);
        prop_oneof![
            3 => vec(branch.clone(), 2..4).prop_map(Plan::Parallel),
            2 => (0..4_usize, vec(branch.clone(), 1..4)).prop_map(|(taken, branches)| Plan::Choice(taken, branches)),
            3 => (0..4_u32, 1..4_u32, branch)
                .prop_map(|(items, concurrency, body)| Plan::ForEach { items, concurrency, body }),
        ]
    });
    (vec(plan, 1..5), prop::bool::weighted(0.05)).prop_map(|(mut plans, fails)| {
        if fails {
            plans.push(Plan::Fail);
        }
        plans
    })
}

/// What a definition has besides its steps.
#[derive(Debug, Clone)]
struct Settings {
    pivot: Option<usize>,
    timeout: Option<u64>,
    late_is_stuck: bool,
    continues: bool,
}

fn settings() -> impl Strategy<Value = Settings> {
    let pivot = prop::option::of(0..MOST_STEPS);
    let timeout = prop::option::weighted(0.3, 1_000..40_000_u64);
    (pivot, timeout, any::<bool>(), any::<bool>()).prop_map(|(pivot, timeout, late_is_stuck, continues)| {
        Settings { pivot, timeout, late_is_stuck, continues }
    })
}

pub fn definition() -> impl Strategy<Value = Arc<Definition>> {
    (plans(), settings()).prop_map(|(plans, settings)| build(1, &plans, &settings))
}

/// One of few steps.
pub fn small_definition() -> impl Strategy<Value = Arc<Definition>> {
    (plans(), settings()).prop_map(|(plans, settings)| build_of(6, 1, &plans, &settings))
}

/// Two versions of a definition that begin in the same way.
pub fn versions() -> impl Strategy<Value = [Arc<Definition>; 2]> {
    (plans(), [plans(), plans()], settings(), prop::option::weighted(0.3, settings())).prop_map(
        |(begin, [end, other_end], settings, other)| {
            let with = |end: &[Plan]| [begin.as_slice(), end].concat();
            // What one version continues with after a failure would have to stop in the other.
            let continues = settings.continues;
            let other = Settings { continues, ..other.unwrap_or_else(|| settings.clone()) };
            [build(1, &with(&end), &settings), build(2, &with(&other_end), &other)]
        },
    )
}

fn build(version: u32, plans: &[Plan], settings: &Settings) -> Arc<Definition> {
    build_of(MOST_STEPS, version, plans, settings)
}

fn build_of(most_steps: usize, version: u32, plans: &[Plan], settings: &Settings) -> Arc<Definition> {
    let Settings { pivot, timeout, late_is_stuck, continues } = *settings;
    let mut builder =
        Builder { most_steps, steps: Vec::new(), within: Vec::new(), pivot, is_past_pivot: false };
    let body = builder.sequence(plans);
    let mut definition = Definition::new("random", version, builder.steps, body);
    definition.timeout = timeout.map(Duration::from_millis);
    definition.on_late_reply = if late_is_stuck { OnLateReply::Stuck } else { OnLateReply::Record };
    definition.on_compensation_failure =
        if continues { OnCompensationFailure::Continue } else { OnCompensationFailure::Stop };
    Arc::new(definition)
}

struct Builder {
    most_steps: usize,
    steps: Vec<Step>,
    within: Vec<StepIndex>,
    /// The command that is the pivot, by its index among all steps, if it may be one.
    pivot: Option<usize>,
    /// Whether the pivot comes before, on the path to here.
    is_past_pivot: bool,
}

impl Builder {
    fn sequence(&mut self, plans: &[Plan]) -> Block {
        let mut blocks = Vec::new();
        for plan in plans {
            if self.steps.len() >= self.most_steps {
                break;
            }
            blocks.push(self.block(plan));
        }
        Block::Sequence(blocks)
    }

    fn block(&mut self, plan: &Plan) -> Block {
        match plan {
            Plan::Parallel(branches) => Block::Parallel(self.branches(branches)),
            Plan::Choice(taken, branches) => {
                let conditions = (0..branches.len()).map(|index| always(index == *taken)).collect();
                let index = self.add(Action::Choice(conditions), None, false);
                Block::Choice(index, self.branches(branches))
            }
            Plan::ForEach { items, concurrency, body } => {
                let list: Vec<u32> = (0..*items).collect();
                let each = ForEach {
                    list: expression(&format!("{list:?}")),
                    item: "item".into(),
                    concurrency: *concurrency,
                    output: None,
                    steps: Vec::new(),
                };
                let index = self.add(Action::ForEach(Box::new(each)), None, false);
                self.within.push(index);
                let body = self.sequence(body);
                self.within.pop();
                Block::ForEach(index, Box::new(body))
            }
            Plan::When(when, plan) => self.leaf(plan, Some(always(*when))),
            plan => self.leaf(plan, None),
        }
    }

    /// Branches do not see each other's pivots; what comes after them sees all.
    fn branches(&mut self, branches: &[Vec<Plan>]) -> Vec<Block> {
        let before = self.is_past_pivot;
        let mut after = before;
        let built = branches.iter().map(|branch| {
            self.is_past_pivot = before;
            let block = self.sequence(branch);
            after |= self.is_past_pivot;
            block
        });
        let built = built.collect();
        self.is_past_pivot = after;
        built
    }

    fn leaf(&mut self, plan: &Plan, when: Option<Expression>) -> Block {
        let (action, optional) = match plan {
            Plan::Command { attempts, optional, on_timeout, has_compensation } => {
                let name = format!("s{}", self.steps.len());
                let is_pivot = self.is_pivot_next();
                let has_compensation = *has_compensation && !is_pivot && !self.is_past_pivot;
                let step = CommandStep {
                    command: command(&name, *attempts),
                    compensation: has_compensation.then(|| command(&format!("compensate-{name}"), 2)),
                    on_timeout: *on_timeout,
                    reply_schema: None,
                };
                (Action::Command(Box::new(step)), *optional && !is_pivot)
            }
            Plan::Wait { on_timeout } => {
                let (awaited, timeout) = (Awaited::Signal("go".into()), Duration::from_secs(20));
                (Action::Wait(Box::new(Wait { awaited, timeout, on_timeout: *on_timeout })), false)
            }
            Plan::Sleep => (Action::Sleep(Sleep::For(Duration::from_secs(5))), false),
            Plan::Child { optional, compensated } => {
                let child = Child {
                    definition: "child".into(),
                    version: 1,
                    input: Template::null(),
                    compensated: *compensated && !self.is_past_pivot,
                };
                (Action::Child(Box::new(child)), *optional)
            }
            Plan::Publish => {
                let (exchange, event, payload) = ("x".into(), "e".into(), Template::null());
                (Action::Publish(Box::new(Publish { exchange, event, payload })), false)
            }
            _ => (Action::Fail { code: "no".to_owned(), message: Template::null() }, false),
        };
        Block::Step(self.add(action, when, optional))
    }

    fn is_pivot_next(&self) -> bool {
        self.pivot == Some(self.steps.len()) && self.within.is_empty()
    }

    fn add(&mut self, action: Action, when: Option<Expression>, optional: bool) -> StepIndex {
        let is_pivot = self.is_pivot_next() && matches!(action, Action::Command(_));
        self.is_past_pivot |= is_pivot;
        let index = StepIndex(self.steps.len());
        self.steps.push(Step {
            name: format!("s{}", index.0).into(),
            kind: if is_pivot { Kind::Pivot } else { Kind::Plain },
            when,
            optional,
            action,
            within: self.within.clone(),
        });
        index
    }
}

fn command(name: &str, attempts: u32) -> CommandAction {
    CommandAction {
        exchange: "x".into(),
        name: name.into(),
        payload: Template::Literal(json!({})),
        timeout: Duration::from_secs(10),
        unroutable_timeout: Duration::from_mins(10),
        retry: Retry { attempts, first: Duration::from_millis(100), most: Duration::from_secs(1) },
        reply_events: Vec::new(),
    }
}

fn always(value: bool) -> Expression {
    expression(if value { "true" } else { "false" })
}

fn expression(source: &str) -> Expression {
    Expression::compile(&Arc::new(snorri_core::expression::environment()), source).expect("compiles")
}
