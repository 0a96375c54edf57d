//! Decodes a step of any kind.

use crate::decode::fields::DefinitionFields;
use crate::decode::outline::Outline;
use crate::decode::policy::StepDefaults;
use crate::decode::words::{CHILD, CHOICE, COMMAND, FAIL, FOR_EACH, PUBLISH, SLEEP, Shape, WAIT};
use crate::decode::{Context, command, flow, name, scalar, template};
use crate::expression::Scope;
use crate::source::Entry;
use snorri_core::definition::{Action, Kind, Step, StepIndex};

pub(super) fn decode(
    outline: &Outline<'_>,
    index: usize,
    defaults: &StepDefaults<'_>,
    cx: &mut Context<'_>,
) -> Option<Step> {
    let shape: &'static Shape = match outline.kind {
        "command" => &COMMAND,
        "choice" => &CHOICE,
        "for_each" => &FOR_EACH,
        "wait" => &WAIT,
        "sleep" => &SLEEP,
        "saga" => &CHILD,
        "publish" => &PUBLISH,
        _ => &FAIL,
    };
    // The keys of blocks were checked with the tree.
    let fields = match outline.kind {
        "choice" | "for_each" => DefinitionFields::known(outline.node, shape)?,
        _ => DefinitionFields::of(outline.node, shape, &mut cx.problems)?,
    };
    let entry = match outline.kind {
        "command" => fields.require("name", "name: reserve", &mut cx.problems),
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
        "command" => command::decode(fields, index, defaults, cx).map(Box::new).map(Action::Command),
        "choice" => flow::choice(fields, index, cx),
        "for_each" => flow::for_each(fields, index, cx).map(Box::new).map(Action::ForEach),
        "wait" => flow::wait(fields, index, cx).map(Box::new).map(Action::Wait),
        "sleep" => flow::sleep(fields.get("sleep")?, index, cx).map(Action::Sleep),
        "saga" => flow::child(fields, index, pivot, cx).map(Box::new).map(Action::Child),
        "publish" => flow::publish(fields, index, cx).map(Box::new).map(Action::Publish),
        _ => flow::fail(fields.get("fail")?, index, cx),
    }
}
