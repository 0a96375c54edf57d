//! Checks that the timeout of a saga is longer than its steps can take.
//!
//! A saga is cancelled when its timeout passes, unless its pivot has succeeded by then. So the longest path to the pivot counts,
//! or to the end if there is no pivot: every command uses all of its attempts, and every wait lasts until its timeout.

use std::cmp::Ordering;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use snorri_core::definition::{
    Action, Block, Child, CommandAction, ForEach, OnWaitTimeout, Sleep, Step, StepIndex,
};
use snorri_definition::Compiled;
use snorri_definition::Diagnostic;
use snorri_definition::diagnostic::code;
use snorri_definition::duration::format_duration;

pub(super) fn check(compiled: &Compiled, others: &[Arc<Compiled>]) -> Vec<Diagnostic> {
    let Some(timeout) = compiled.definition.timeout else { return Vec::new() };
    let mut timing = Timing { compiled, others, timeout, found: Vec::new() };
    let LongestPaths { to_pivot, through } = timing.block(&compiled.definition.body);
    let mut found = timing.found;
    let Some(longest) = longer(to_pivot.clone(), through) else { return found };
    if found.is_empty() && longest.total > timeout {
        found.push(too_slow(compiled, timeout, &longest, to_pivot.is_some()));
    }
    found
}

/// The longest path through a part of a definition.
#[derive(Debug, Clone, Default)]
struct TimedPath {
    total: Duration,
    parts: Vec<(Duration, String)>,
}

/// The longest path that reaches the pivot, and the longest that does not.
#[derive(Default)]
struct LongestPaths {
    to_pivot: Option<TimedPath>,
    through: Option<TimedPath>,
}

impl TimedPath {
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
            text.push_str(&format!(", {rounds} times = {}", format_duration(*total)));
        }
        self
    }
}

fn longer(one: Option<TimedPath>, other: Option<TimedPath>) -> Option<TimedPath> {
    let total = |path: &Option<TimedPath>| path.as_ref().map(|path| path.total);
    if total(&one).cmp(&total(&other)) == Ordering::Less { other } else { one }
}

struct Timing<'a> {
    compiled: &'a Compiled,
    others: &'a [Arc<Compiled>],
    timeout: Duration,
    found: Vec<Diagnostic>,
}

impl Timing<'_> {
    fn block(&mut self, block: &Block) -> LongestPaths {
        match block {
            Block::Step(index) => self.step(*index),
            Block::Sequence(blocks) => self.sequence(blocks),
            Block::Parallel(branches) => self.parallel(branches),
            Block::Choice(choice, branches) => {
                let mut paths = LongestPaths::default();
                if !self.takes_one(*choice, branches) {
                    paths.through = Some(TimedPath::default());
                }
                for branch in branches {
                    let own = self.block(branch);
                    paths.to_pivot = longer(paths.to_pivot, own.to_pivot);
                    paths.through = longer(paths.through, own.through);
                }
                paths
            }
            Block::ForEach(index, body) => {
                let rounds = match &self.compiled.definition.step_at(*index).action {
                    Action::ForEach(block) => self.rounds(block),
                    _ => 1,
                };
                let own = self.block(body);
                LongestPaths { to_pivot: None, through: own.through.map(|path| path.times(rounds)) }
            }
        }
    }

    fn sequence(&mut self, blocks: &[Block]) -> LongestPaths {
        let mut paths = LongestPaths { to_pivot: None, through: Some(TimedPath::default()) };
        for block in blocks {
            let Some(before) = paths.through.take() else { break };
            let own = self.block(block);
            let to_pivot = own.to_pivot.map(|path| before.clone().then(path));
            paths.to_pivot = longer(paths.to_pivot, to_pivot);
            paths.through = own.through.map(|path| before.then(path));
        }
        paths
    }

    /// All branches are awaited, but those parallel to the pivot do not count.
    fn parallel(&mut self, branches: &[Block]) -> LongestPaths {
        if let Some(branch) = branches.iter().find(|branch| self.commits(branch)) {
            return self.block(branch);
        }
        let mut paths = LongestPaths::default();
        for branch in branches {
            let own = self.block(branch);
            paths.to_pivot = longer(paths.to_pivot, own.to_pivot);
            paths.through = longer(paths.through, own.through);
        }
        paths
    }

    /// Whether the pivot has succeeded for certain after a block.
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

    fn step(&mut self, index: StepIndex) -> LongestPaths {
        let step = self.compiled.definition.step_at(index);
        let nothing = Some(TimedPath::default());
        if step.is_pivot() {
            // A saga that is cancelled while its pivot is in flight waits for the outcome of the pivot.
            let through = nothing.clone().filter(|_| step.when.is_some());
            return LongestPaths { to_pivot: nothing, through };
        }
        let part = match &step.action {
            Action::Command(action) => Some(longest_attempts(&action.command)),
            Action::Wait(wait) => {
                Some((wait.timeout, format!("waits for {}", format_duration(wait.timeout))))
            }
            Action::Sleep(Sleep::For(time)) => {
                Some((*time, format!("sleeps for {}", format_duration(*time))))
            }
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
                Some(TimedPath { total, parts: vec![(total, format!("{}: {text}", step.name))] })
            }
            None => nothing,
        };
        LongestPaths { to_pivot: None, through }
    }

    /// The timeout of a child, if its definition is known.
    fn child(&self, child: &Child) -> Option<(Duration, String)> {
        let mut definitions = self.others.iter().map(|compiled| &compiled.definition);
        let known = definitions.find(|it| child.is_of(it))?;
        let timeout = known.timeout?;
        Some((timeout, format!("a saga of {}", format_duration(timeout))))
    }

    /// How often the body runs in sequence, for the number of items that the list has at least.
    fn rounds(&self, block: &ForEach) -> u32 {
        let path = block.list.source().strip_prefix("input.");
        let schema = self.compiled.input_schema.as_ref();
        let fields = schema.and_then(|schema| schema.get("properties"));
        let list = path.and_then(|path| fields?.get(path));
        let items = list.and_then(|list| list.get("minItems")).and_then(Value::as_u64).unwrap_or(1);
        u32::try_from(items).unwrap_or(u32::MAX).div_ceil(block.concurrency.max(1)).max(1)
    }

    fn never_in_time(&self, index: StepIndex, step: &Step, time: Duration) -> Diagnostic {
        let (own, all) = (format_duration(time), format_duration(self.timeout));
        let (place, message, label, help) = if matches!(step.action, Action::Sleep(_)) {
            let message = format!("a sleep of {own} never ends within the saga's timeout of {all}");
            ("sleep", message, "the saga is always cancelled before it ends", "sleep for less")
        } else {
            let message = format!("a wait of {own} never gives up within the saga's timeout of {all}");
            ("timeout", message, "the saga is cancelled before it gives up", "wait for less time")
        };
        let found = Diagnostic::new(code::NEVER_IN_TIME, self.compiled.place_of(index, &[place]), message)
            .label(label)
            .also(self.compiled.place_of_timeout(), "cancels the saga first")
            .help(format!("raise the saga's `timeout`, or {help}"));
        // A wait that fails would roll the saga back as well.
        let fails = matches!(&step.action, Action::Wait(wait) if wait.on_timeout == OnWaitTimeout::Fail);
        if fails { found.warning() } else { found }
    }
}

fn longest_attempts(command: &CommandAction) -> (Duration, String) {
    let (attempts, waits) = (command.retry.attempts, command.retry.longest_waits());
    let total = command.timeout.saturating_mul(attempts).saturating_add(waits);
    let timeout = format_duration(command.timeout);
    let text = match attempts {
        1 => format!("1 attempt of {timeout}"),
        _ => {
            let (waits, total) = (format_duration(waits), format_duration(total));
            format!("{attempts} x {timeout} + {waits} of backoff = {total}")
        }
    };
    (total, text)
}

fn too_slow(compiled: &Compiled, timeout: Duration, longest: &TimedPath, has_pivot: bool) -> Diagnostic {
    let (all, sum) = (format_duration(timeout), format_duration(longest.total));
    let (what, until) =
        if has_pivot { ("the steps before the pivot", "the pivot") } else { ("the steps", "the end") };
    let message = format!("{what} can take {sum}, but the saga's timeout is {all}");
    let mut trace: Vec<_> = longest.parts.iter().map(|(_, text)| text.clone()).collect();
    trace.push(format!("{sum} to {until}"));
    Diagnostic::new(code::TOO_SLOW, compiled.place_of_timeout(), message)
        .label("rolls back a saga whose last attempts would have succeeded")
        .help(format!(
            "raise it to more than {sum}, or have the steps give up sooner: `timeout`, `attempts`, `backoff`"
        ))
        .trace(trace)
        .warning()
}
