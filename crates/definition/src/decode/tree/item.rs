//! The kind of an item of a list of steps.

use crate::code;
use crate::decode::foreign;
use crate::decode::words::{COMMAND, KINDS};
use crate::diagnostic::{Diagnostic, Problems};
use crate::source::Entry;
use crate::suggest;
use snorri_core::definition::StepKind;

/// The kind of an item of a list of steps.
pub(super) enum ItemKind {
    /// A block without a state of its own.
    Parallel,
    Step(StepKind),
}

impl ItemKind {
    fn named(key: &str) -> Option<Self> {
        if key == "parallel" { Some(Self::Parallel) } else { StepKind::named(key).map(Self::Step) }
    }
}

/// The key that defines the kind of a step.
pub(super) fn item_kind(entries: &[Entry], problems: &mut Problems) -> Option<ItemKind> {
    let mut kinds = entries.iter().filter_map(|entry| Some((entry, ItemKind::named(&entry.key)?)));
    match (kinds.next(), kinds.next()) {
        (
            Some((Entry { key: first, key_span: here, .. }, _)),
            Some((Entry { key: second, key_span: there, .. }, _)),
        ) => {
            let message = format!("a step is either `{first}` or `{second}`");
            problems.report(
                Diagnostic::new(code::EITHER_OR, there.clone(), message)
                    .label("defines another kind")
                    .also(here.clone(), "defines the kind of this step")
                    .help("make two steps of it"),
            );
            None
        }
        (Some((_, kind)), None) => Some(kind),
        (None, _) => {
            let stranger = |entry: &&Entry| !COMMAND.takes(&entry.key);
            let near = entries.iter().filter(stranger).find_map(|entry| {
                suggest::nearest(&entry.key, KINDS)
                    .filter(|near| *near != "command")
                    .map(|near| (entry, near))
            });
            let is_command =
                entries.iter().any(|entry| COMMAND.suggest_keyword(&entry.key) == Some("command"));
            let mut words = entries.iter().filter(|_| !is_command);
            let foreign = words.find_map(|entry| Some((entry, foreign::step(&entry.key)?)));
            let (entry, message, help) = match (near, foreign) {
                (Some((entry, near)), _) => {
                    (entry, format!("a step has no `{}`", entry.key), format!("did you mean `{near}`?"))
                }
                (None, Some((entry, (message, help)))) => (entry, message, help.to_owned()),
                (None, None) => return Some(ItemKind::Step(StepKind::Command)),
            };
            problems.report(
                Diagnostic::new(code::UNKNOWN_KEY, entry.key_span.clone(), message)
                    .label("unknown key")
                    .help(help),
            );
            None
        }
    }
}
