//! Checks that a domain event can be correlated with one step, and has one outcome there.

use std::ops::Range;

use crate::code;
use crate::decode::outline::Outline;
use crate::diagnostic::{Diagnostic, Problems};
use crate::expression::{ListOf, Names, reads};
use crate::source::{Entry, Node, Value as Written};
use snorri_core::Definition;
use snorri_core::definition::{Action, CommandAction, EventPattern, EventReply, Step};
use snorri_core::expression::template::Template;
use snorri_core::id::Direction;

/// An event that a step listens for, and its place.
struct Listening<'a> {
    step: usize,
    /// Compensations run only when no step goes forward any more.
    direction: Direction,
    pattern: &'a EventPattern,
    entry: &'a Entry,
}

/// Checks a definition that has no other errors.
pub(in crate::decode) fn check(
    definition: &Definition,
    outlines: &[Outline<'_>],
    names: &Names,
    problems: &mut Problems,
) {
    let steps = definition.steps();
    let mut listening = Vec::new();
    for (index, (step, outline)) in steps.iter().zip(outlines).enumerate() {
        for direction in [Direction::Forward, Direction::Compensate] {
            let Some(command) = step.command(direction) else { continue };
            let find = command_entries(outline, direction);
            let on = find("reply_events").map(|entry| items(&entry.value)).unwrap_or_default();
            let events: Vec<_> = on.iter().filter_map(|item| key(item, "event")).collect();
            if let Some(first) = events.first() {
                let place = find("payload").or_else(|| find("command")).unwrap_or(first);
                problems.find_all(unknown_key(definition.key.as_ref(), command, place, first));
            }
            contradictions(&command.reply_events, &events, problems);
            let patterns = command.reply_events.iter().map(|reply| &reply.event);
            listening.extend(patterns.zip(events).map(|(pattern, entry)| Listening {
                step: index,
                direction,
                pattern,
                entry,
            }));
        }
        if let Action::Wait(wait) = &step.action
            && let Some(pattern) = wait.awaited.event()
            && let Some(entry) = outline.get("wait").and_then(|entry| key(&entry.value, "event"))
        {
            listening.push(Listening { step: index, direction: Direction::Forward, pattern, entry });
        }
    }
    for (index, one) in listening.iter().enumerate() {
        problems.find_all(constant(one));
        let rival = listening[..index].iter().find(|other| is_taken_by_either(one, other, steps, names));
        match rival {
            Some(other) => problems.find(either(one, other, steps)),
            None => problems.find_all(one_of_many(one, steps, names)),
        }
    }
}

/// Finds the entries of a step's command or of its compensation.
fn command_entries<'a>(outline: &Outline<'a>, direction: Direction) -> impl Fn(&str) -> Option<&'a Entry> {
    let node = match direction {
        Direction::Forward => Some(outline.node),
        Direction::Compensate => outline.get("compensate").map(|entry| &entry.value),
    };
    move |name| node.and_then(|node| key(node, name))
}

fn key<'a>(node: &'a Node, key: &str) -> Option<&'a Entry> {
    let Written::Mapping(entries) = &node.value else { return None };
    entries.iter().find(|entry| entry.key == key)
}

fn items(node: &Node) -> &[Node] {
    match &node.value {
        Written::Sequence(items) => items,
        _ => &[],
    }
}

fn constant(one: &Listening<'_>) -> Option<Diagnostic> {
    let correlate = &one.pattern.correlate;
    if correlate.references().iter().any(|name| name == "event") {
        return None;
    }
    let message = format!("`{}` can never find its saga", one.pattern.event);
    Some(
        Diagnostic::new(code::CANNOT_CORRELATE, one.entry.value.span.clone(), message)
            .label(format!("its `correlate` is `{}`, whatever the event carries", correlate.source()))
            .help("name the field of the event that is the saga's key, like `correlate: ${ event.orderId }`"),
    )
}

/// Reports a command without the key that the events of its participant must carry.
fn unknown_key(
    key: Option<&Template>,
    command: &CommandAction,
    place: &Entry,
    event: &Entry,
) -> Option<Diagnostic> {
    let keys: Vec<_> = key?.expressions().into_iter().flat_map(reads).collect();
    if matches!(command.payload, Template::Expression(_)) || keys.iter().any(|path| path.len() == 1) {
        return None;
    }
    let mut sent = command.payload.expressions().into_iter().flat_map(reads);
    if sent.any(|path| keys.iter().any(|key| carries(&path, key))) {
        return None;
    }
    let key = keys.first()?;
    let (path, name) = (key.join("."), key.last()?);
    let message = format!("`{}` does not carry the fields of the saga's key", command.name);
    let span = match place.value.value {
        Written::String(_) => &place.value.span,
        _ => &place.key_span,
    };
    Some(
        Diagnostic::new(code::KEY_NOT_SENT, span.clone(), message)
            .label(format!("`{path}` is not in it"))
            .also(event.value.span.clone(), "the participant cannot name the saga in this event")
            .help(format!("add `{name}: ${{ {path} }}` to its `payload`"))
            .warning(),
    )
}

/// Whether a path that is read contains the key or a part of it.
fn carries(read: &[String], key: &[String]) -> bool {
    match read[0].as_str() {
        "input" => read.iter().zip(key).all(|(read, key)| read == key),
        "saga" => read.get(1).is_none_or(|field| field == "key"),
        // The reply of a step or an item may contain it.
        _ => read.last() == key.last() || (read.len() == 2 && read[1] == "output"),
    }
}

/// Reports the same event with two outcomes: the first one that matches counts.
fn contradictions(on: &[EventReply], events: &[&Entry], problems: &mut Problems) {
    for (index, later) in on.iter().enumerate() {
        let contradicts = |first: &&EventReply| {
            let same = is_same(&first.event, &later.event) && first.result != later.result;
            same && (first.event.matches.is_none() || first.event.matches == later.event.matches)
        };
        let Some(first) = on[..index].iter().position(|first| contradicts(&first)) else { continue };
        let message = format!("`{}` has two outcomes", later.event.event);
        let help = "distinguish the two with `match`, and put the one with `match` first, like \
                    `match: ${ event.status == 'ok' }`";
        problems.find(
            Diagnostic::new(code::CONTRADICTING_EVENTS, events[index].value.span.clone(), message)
                .label("another outcome, which is never used")
                .also(events[first].value.span.clone(), "matches whenever the other does, and comes first")
                .help(help),
        );
    }
}

fn is_same(one: &EventPattern, other: &EventPattern) -> bool {
    one.exchange == other.exchange && one.event == other.event
}

/// Whether two steps that can be in flight together listen for the same event, so that either may consume the event of the
/// other.
fn is_taken_by_either(one: &Listening<'_>, other: &Listening<'_>, steps: &[Step], names: &Names) -> bool {
    if one.step == other.step
        || one.direction != other.direction
        || !is_same(one.pattern, other.pattern)
        || !are_side_by_side(one.step, other.step, names)
    {
        return false;
    }
    match (&one.pattern.matches, &other.pattern.matches) {
        (Some(mine), Some(theirs)) if mine == theirs => {
            // The items of two blocks may have the same name.
            let own = &steps[one.step].within;
            let inner = own.last().filter(|_| *own != steps[other.step].within);
            let item = inner.and_then(|inner| names.steps[inner.0].item.as_ref());
            item.is_none_or(|item| !mine.references().contains(item))
        }
        (Some(_), Some(_)) => false,
        _ => true,
    }
}

/// Whether they are in two branches of the same `parallel`.
fn are_side_by_side(one: usize, other: usize, names: &Names) -> bool {
    let hops = names.steps[one].place.iter().zip(&names.steps[other].place);
    let mut apart =
        hops.skip_while(|(one, other)| one.branch == other.branch && one.position == other.position);
    apart.next().is_some_and(|(one, other)| one.of == ListOf::Parallel && one.branch != other.branch)
}

fn either(one: &Listening<'_>, other: &Listening<'_>, steps: &[Step]) -> Diagnostic {
    let (here, there) = (called(&steps[one.step].name), called(&steps[other.step].name));
    let which = if here == there { "either of two steps".into() } else { format!("{there} or by {here}") };
    let message = format!("`{}` can be consumed by {which}", one.pattern.event);
    let diagnostic = ambiguous(one, message)
        .label("both can be in flight when it comes")
        .help("distinguish them with `match` in both, like `match: ${ event.step == 'room' }`");
    let span = &other.entry.value.span;
    if *span == one.entry.value.span {
        return diagnostic;
    }
    diagnostic.also(span.clone(), format!("{there} listens for the same event"))
}

/// Reports an event that any of several items in flight may consume.
fn one_of_many(one: &Listening<'_>, steps: &[Step], names: &Names) -> Option<Diagnostic> {
    let matches = one.pattern.matches.as_ref();
    let names_one_of = |around: usize| {
        let own = names.steps.iter().filter(|step| step.within.contains(&around)).map(|step| &step.name);
        let item = names.steps[around].item.iter();
        let mut identifying = own.chain(item);
        matches.is_some_and(|matches| identifying.any(|name| matches.references().contains(name)))
    };
    let around = steps[one.step].within.iter().map(|around| around.0).find(|&around| {
        let at_once = matches!(&steps[around].action, Action::ForEach(block) if block.concurrency > 1);
        at_once && !names_one_of(around)
    })?;
    let Action::ForEach(block) = &steps[around].action else { return None };
    let item = distinguishing_path(&block.item, &steps[one.step]);
    let last = item.rsplit('.').next().unwrap_or_default();
    let step = called(&steps[one.step].name);
    let message = format!("`{}` does not identify the item of {step}", one.pattern.event);
    let head: Range<usize> = names.steps[one.step].place.last().map(|hop| hop.head.clone())?;
    Some(
        ambiguous(one, message)
            .label(format!("{} items can be in flight when it comes", block.concurrency))
            .also(head, "any of these may consume it")
            .help(format!("identify the item with `match`, like `match: ${{ event.{last} == {item} }}`")),
    )
}

/// The path that distinguishes an item from the others: one that its step sends, or else the item itself.
fn distinguishing_path(item: &str, step: &Step) -> String {
    let payload = step.command(Direction::Forward).map(|command| &command.payload);
    let mut paths = payload.map(Template::expressions).unwrap_or_default().into_iter().flat_map(reads);
    paths.find(|path| path[0] == item).map_or_else(|| item.to_owned(), |path| path.join("."))
}

fn ambiguous(one: &Listening<'_>, message: String) -> Diagnostic {
    Diagnostic::new(code::AMBIGUOUS_EVENT, one.entry.value.span.clone(), message).warning()
}

fn called(name: &str) -> String {
    if name.contains('#') { "a step".into() } else { format!("`{name}`") }
}
