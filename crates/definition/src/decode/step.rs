//! Decodes a step of any kind.

use crate::decode::fields::DefinitionFields;
use crate::decode::outline::Outline;
use crate::decode::policy::StepDefaults;
use crate::decode::words::{CHILD, CHOICE, COMMAND, FAIL, FOR_EACH, PUBLISH, SLEEP, Shape, WAIT};
use crate::decode::{Context, command, flow, name, scalar, template};
use crate::expression::Scope;
use crate::source::Entry;
use snorri_core::definition::{Action, Kind, Step, StepIndex, StepKind};

pub(super) fn decode(
    outline: &Outline<'_>,
    index: usize,
    defaults: &StepDefaults<'_>,
    cx: &mut Context<'_>,
) -> Option<Step> {
    let shape: &'static Shape = match outline.kind {
        StepKind::Command => &COMMAND,
        StepKind::Choice => &CHOICE,
        StepKind::ForEach => &FOR_EACH,
        StepKind::Wait => &WAIT,
        StepKind::Sleep => &SLEEP,
        StepKind::Saga => &CHILD,
        StepKind::Publish => &PUBLISH,
        StepKind::Fail => &FAIL,
    };
    // The keys of blocks were checked with the tree.
    let fields = match outline.kind {
        StepKind::Choice | StepKind::ForEach => DefinitionFields::known(outline.node, shape)?,
        _ => DefinitionFields::of(outline.node, shape, &mut cx.problems)?,
    };
    let entry = match outline.kind {
        StepKind::Command => fields.require("name", "name: reserve", &mut cx.problems),
        _ => fields.get("name"),
    };
    let is_named = entry.is_none_or(|entry| name::step(entry, &mut cx.problems).is_some());
    let flag = |key: &str, cx: &mut Context<'_>| match shape.takes(key) {
        true => {
            fields.get(key).and_then(|entry| scalar::boolean(entry, &mut cx.problems)).unwrap_or_default()
        }
        false => false,
    };
    let (pivot, optional) = (flag("pivot", cx), flag("optional", cx));
    let when: Option<&Entry> = if shape.takes("when") { fields.get("when") } else { None };
    let when = when.map(|entry| template::expression(entry, Scope::step(index), cx));
    let action = action(outline, fields, index, pivot, defaults, cx);
    let named = &cx.names.steps[index];
    is_named.then_some(Step {
        name: named.name.as_str().into(),
        kind: if pivot { Kind::Pivot } else { Kind::Plain },
        when: when.flatten(),
        optional,
        action: action?,
        within: named.within.iter().copied().map(StepIndex).collect(),
    })
}

fn action(
    outline: &Outline<'_>,
    fields: DefinitionFields<'_>,
    index: usize,
    pivot: bool,
    defaults: &StepDefaults<'_>,
    cx: &mut Context<'_>,
) -> Option<Action> {
    match outline.kind {
        StepKind::Command => command::decode(fields, index, defaults, cx).map(Box::new).map(Action::Command),
        StepKind::Choice => flow::choice(fields, index, cx),
        StepKind::ForEach => flow::for_each(fields, index, cx).map(Box::new).map(Action::ForEach),
        StepKind::Wait => flow::wait(fields, index, cx).map(Box::new).map(Action::Wait),
        StepKind::Sleep => flow::sleep(fields.get("sleep")?, index, cx).map(Action::Sleep),
        StepKind::Saga => flow::child(fields, index, pivot, cx).map(Box::new).map(Action::Child),
        StepKind::Publish => flow::publish(fields, index, cx).map(Box::new).map(Action::Publish),
        StepKind::Fail => flow::fail(fields.get("fail")?, index, cx),
    }
}
