//! Whether a saga has the time that its steps may take.
//!
//! Once its timeout has passed, a saga is cancelled, unless its pivot has succeeded by then. So what counts is the longest
//! way to the pivot, or to the end if there is none: every command tried until its attempts are used up, every wait until
//! it gives up.

use std::cmp::Ordering;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::catalog::{Compiled, Diagnostic, code};
use crate::saga::definition::{
    Action, Block, Child, Command, ForEach, OnWaitTimeout, Sleep, Step, StepIndex,
};

pub(super) fn check(compiled: &Compiled, beside: &[Arc<Compiled>]) -> Vec<Diagnostic> {
    let Some(timeout) = compiled.definition.timeout else { return Vec::new() };
    let mut timing = Timing { compiled, beside, timeout, found: Vec::new() };
    let Ways { to_pivot, through } = timing.block(&compiled.definition.body);
    let mut found = timing.found;
    let Some(longest) = longer(to_pivot.clone(), through) else { return found };
    if found.is_empty() && longest.total > timeout {
        found.push(too_slow(compiled, timeout, &longest, to_pivot.is_some()));
    }
    found
}

/// The longest way through a part of a definition.
#[derive(Debug, Clone, Default)]
struct Way {
    total: Duration,
    parts: Vec<(Duration, String)>,
}

/// The longest way on which the pivot is reached, and the longest on which it is not.
#[derive(Default)]
struct Ways {
    to_pivot: Option<Way>,
    through: Option<Way>,
}

impl Way {
    fn then(mut self, next: Self) -> Self {
        self.total = self.total.saturating_add(next.total);
        self.parts.extend(next.parts);
        self
    }

    fn times(mut self, rounds: u32) -> Self {
        if rounds == 1 {
            return self;
        }
        self.total = self.total.saturating_mul(rounds);
        for (total, text) in &mut self.parts {
            *total = total.saturating_mul(rounds);
            text.push_str(&format!(", {rounds} times = {}", told(*total)));
        }
        self
    }
}

fn longer(one: Option<Way>, other: Option<Way>) -> Option<Way> {
    let total = |way: &Option<Way>| way.as_ref().map(|way| way.total);
    if total(&one).cmp(&total(&other)) == Ordering::Less { other } else { one }
}

struct Timing<'a> {
    compiled: &'a Compiled,
    beside: &'a [Arc<Compiled>],
    timeout: Duration,
    found: Vec<Diagnostic>,
}

impl Timing<'_> {
    fn block(&mut self, block: &Block) -> Ways {
        match block {
            Block::Step(index) => self.step(*index),
            Block::Sequence(blocks) => self.sequence(blocks),
            Block::Parallel(branches) => self.parallel(branches),
            Block::Choice(choice, branches) => {
                let mut ways = Ways::default();
                if !self.takes_one(*choice, branches) {
                    ways.through = Some(Way::default());
                }
                for branch in branches {
                    let own = self.block(branch);
                    ways.to_pivot = longer(ways.to_pivot, own.to_pivot);
                    ways.through = longer(ways.through, own.through);
                }
                ways
            }
            Block::ForEach(index, body) => {
                let rounds = match &self.compiled.definition.step_at(*index).action {
                    Action::ForEach(block) => self.rounds(block),
                    _ => 1,
                };
                let own = self.block(body);
                Ways { to_pivot: None, through: own.through.map(|way| way.times(rounds)) }
            }
        }
    }

    fn sequence(&mut self, blocks: &[Block]) -> Ways {
        let mut ways = Ways { to_pivot: None, through: Some(Way::default()) };
        for block in blocks {
            let Some(before) = ways.through.take() else { break };
            let own = self.block(block);
            let to_pivot = own.to_pivot.map(|way| before.clone().then(way));
            ways.to_pivot = longer(ways.to_pivot, to_pivot);
            ways.through = own.through.map(|way| before.then(way));
        }
        ways
    }

    /// All branches are awaited, but what is beside the pivot may take its time.
    fn parallel(&mut self, branches: &[Block]) -> Ways {
        if let Some(branch) = branches.iter().find(|branch| self.commits(branch)) {
            return self.block(branch);
        }
        let mut ways = Ways::default();
        for branch in branches {
            let own = self.block(branch);
            ways.to_pivot = longer(ways.to_pivot, own.to_pivot);
            ways.through = longer(ways.through, own.through);
        }
        ways
    }

    /// Whether the pivot has certainly succeeded after a block.
    fn commits(&self, block: &Block) -> bool {
        match block {
            Block::Step(index) => {
                let step = self.compiled.definition.step_at(*index);
                step.is_pivot() && step.when.is_none()
            }
            Block::Sequence(blocks) | Block::Parallel(blocks) => {
                blocks.iter().any(|block| self.commits(block))
            }
            Block::Choice(choice, branches) => {
                self.takes_one(*choice, branches) && branches.iter().all(|branch| self.commits(branch))
            }
            Block::ForEach(..) => false,
        }
    }

    fn takes_one(&self, choice: StepIndex, branches: &[Block]) -> bool {
        let action = &self.compiled.definition.step_at(choice).action;
        matches!(action, Action::Choice(conditions) if branches.len() > conditions.len())
    }

    fn step(&mut self, index: StepIndex) -> Ways {
        let step = self.compiled.definition.step_at(index);
        let nothing = Some(Way::default());
        if step.is_pivot() {
            // A saga that is cancelled while its pivot is in flight waits for what becomes of it.
            let through = nothing.clone().filter(|_| step.when.is_some());
            return Ways { to_pivot: nothing, through };
        }
        let part = match &step.action {
            Action::Command(action) => Some(tried(&action.command)),
            Action::Wait(wait) => Some((wait.timeout, format!("waits for {}", told(wait.timeout)))),
            Action::Sleep(Sleep::For(time)) => Some((*time, format!("sleeps for {}", told(*time)))),
            Action::Child(child) => self.child(child),
            _ => None,
        };
        if let Some((time, _)) = part
            && matches!(step.action, Action::Wait(_) | Action::Sleep(_))
            && time >= self.timeout
        {
            self.found.push(self.never_in_time(index, step, time));
        }
        let through = match part {
            Some((total, text)) => {
                Some(Way { total, parts: vec![(total, format!("{}: {text}", step.name))] })
            }
            None => nothing,
        };
        Ways { to_pivot: None, through }
    }

    /// What another definition says of its own time.
    fn child(&self, child: &Child) -> Option<(Duration, String)> {
        let mut definitions = self.beside.iter().map(|compiled| &compiled.definition);
        let known = definitions.find(|it| child.is_of(it))?;
        let timeout = known.timeout?;
        Some((timeout, format!("a saga of {}", told(timeout))))
    }

    /// How often the body runs one after the other, for as many items as the list certainly has.
    fn rounds(&self, block: &ForEach) -> u32 {
        let path = block.list.source().strip_prefix("input.");
        let schema = self.compiled.input_schema.as_ref();
        let fields = schema.and_then(|schema| schema.get("properties"));
        let list = path.and_then(|path| fields?.get(path));
        let items = list.and_then(|list| list.get("minItems")).and_then(Value::as_u64).unwrap_or(1);
        u32::try_from(items).unwrap_or(u32::MAX).div_ceil(block.concurrency.max(1)).max(1)
    }

    fn never_in_time(&self, index: StepIndex, step: &Step, time: Duration) -> Diagnostic {
        let (own, all) = (told(time), told(self.timeout));
        let (place, message, label, help) = if matches!(step.action, Action::Sleep(_)) {
            let message = format!("a sleep of {own} never ends within the saga's timeout of {all}");
            ("sleep", message, "the saga is always cancelled before", "sleep for less")
        } else {
            let message = format!("a wait of {own} never gives up within the saga's timeout of {all}");
            ("timeout", message, "the saga is cancelled before", "wait for less time")
        };
        let found = Diagnostic::new(code::NEVER_IN_TIME, self.compiled.place_of(index, &[place]), message)
            .label(label)
            .also(self.compiled.place_of_timeout(), "cancels the saga, whatever it waits for")
            .help(format!("raise the saga's `timeout`, or {help}"));
        // A wait that fails would have it rolled back, too.
        let fails = matches!(&step.action, Action::Wait(wait) if wait.on_timeout == OnWaitTimeout::Fail);
        if fails { found.warning() } else { found }
    }
}

fn tried(command: &Command) -> (Duration, String) {
    let (attempts, waits) = (command.retry.attempts, command.retry.longest_waits());
    let total = command.timeout.saturating_mul(attempts).saturating_add(waits);
    let timeout = told(command.timeout);
    let text = match attempts {
        1 => format!("1 attempt of {timeout}"),
        _ => {
            let (waits, total) = (told(waits), told(total));
            format!("{attempts} x {timeout} + {waits} of backoff = {total}")
        }
    };
    (total, text)
}

fn too_slow(compiled: &Compiled, timeout: Duration, longest: &Way, has_pivot: bool) -> Diagnostic {
    let (all, sum) = (told(timeout), told(longest.total));
    let (what, until) =
        if has_pivot { ("the steps before the pivot", "the pivot") } else { ("the steps", "the end") };
    let message = format!("{what} can take {sum}, but the saga's timeout is {all}");
    let mut story: Vec<_> = longest.parts.iter().map(|(_, text)| text.clone()).collect();
    story.push(format!("{sum} to {until}"));
    Diagnostic::new(code::TOO_SLOW, compiled.place_of_timeout(), message)
        .label("rolls back a saga whose last attempts would have succeeded")
        .help(format!(
            "raise it to more than {sum}, or have the steps give up sooner: `timeout`, `attempts`, `backoff`"
        ))
        .story(story)
        .warning()
}

/// As definitions have it: `1d 2h`, `56s 200ms`.
fn told(duration: Duration) -> String {
    let all = duration.as_millis();
    let units = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
    let mut left = all;
    let mut parts = Vec::new();
    for (unit, millis) in units {
        if left >= millis {
            parts.push(format!("{}{unit}", left / millis));
            left %= millis;
        }
    }
    if parts.is_empty() { "0s".into() } else { parts.join(" ") }
}
