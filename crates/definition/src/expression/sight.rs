//! Checks that the names in an expression can be seen in its place.

use super::super::code;
use super::super::diagnostic::Diagnostic;
use super::super::schema::{self, Lookup};
use super::super::suggest;
use super::path::{Path, PathField};
use super::reserved::is_type;
use super::scope::{At, Hop, ListOf, Names, Scope, Sight};

/// Checks a path.
pub(super) fn check(path: &Path<'_>, scope: Scope, names: &Names) -> Option<Diagnostic> {
    View { scope, names }.check(path)
}

/// The names as seen from a scope.
struct View<'a> {
    scope: Scope,
    names: &'a Names,
}

impl View<'_> {
    fn check(&self, path: &Path<'_>) -> Option<Diagnostic> {
        let in_saga = !matches!(self.scope.at, At::Key | At::Attribute | At::Event(_) | At::Schedule);
        match path.root {
            "input" if in_saga || matches!(self.scope.at, At::Key | At::Attribute) => {
                fields_in(&self.names.input.as_ref()?.json, "the input", "input", &path.fields)
            }
            "saga" if in_saga => fields_of("saga", &["id", "key"], path.fields.first()?),
            "event" if self.scope.event => None,
            "schedule" if self.scope.at == At::Schedule => {
                fields_of("schedule", &["time"], path.fields.first()?)
            }
            name if is_type(name) || self.names.items(self.scope).any(|item| item == name) => None,
            name => match self.names.position(name) {
                Some(step) => match self.names.sight(step, self.scope) {
                    Sight::Seen => self.output(step, path),
                    sight => Some(self.unseen(step, sight, path)),
                },
                None => Some(self.unknown(name, path)),
            },
        }
    }

    fn nameable_help(&self) -> String {
        format!("what can be used here: {}", suggest::all_of(self.names.nameable(self.scope)))
    }

    /// Checks a path into the output of a step that has certainly run.
    fn output(&self, step: usize, path: &Path<'_>) -> Option<Diagnostic> {
        let step = &self.names.steps[step];
        if !step.has_output {
            let message = format!("`{}` has no output", step.name);
            return Some(
                Diagnostic::new(code::UNKNOWN_FIELD, path.span.clone(), message)
                    .label("nothing to be used")
                    .help(self.nameable_help()),
            );
        }
        let (output, fields) = path.fields.split_first()?;
        let wrong = fields_of(&step.name, &["output"], output);
        wrong.or_else(|| {
            fields_in(&step.reply.as_ref()?.json, &format!("`{}.output`", step.name), "reply", fields)
        })
    }

    fn unseen(&self, step: usize, sight: Sight<'_>, path: &Path<'_>) -> Diagnostic {
        let name = &self.names.steps[step].name;
        let diagnostic = |message| Diagnostic::new(code::NOT_RUN_YET, path.span.clone(), message);
        let may_not = || diagnostic(format!("`{name}` may not have run yet"));
        let diagnostic = match sight {
            Sight::Seen | Sight::Never => match self.scope.at {
                At::Event(key) => diagnostic(format!("`{key}` cannot use `{name}`"))
                    .label("nothing but `event` is known when an event arrives"),
                At::Schedule => diagnostic(format!("a schedule cannot use `{name}`"))
                    .label("no step has run when a saga is started"),
                At::Attribute => diagnostic(format!("an attribute cannot use `{name}`"))
                    .label("no step has run when the attributes are made"),
                _ => diagnostic(format!("`key` cannot use `{name}`"))
                    .label("no step has run when the key is made"),
            },
            Sight::Itself => {
                diagnostic(format!("`{name}` cannot use its own output")).label("not there before it has run")
            }
            Sight::Around => diagnostic(format!("`{name}` cannot use its own output"))
                .label("not there before all its items are done"),
            Sight::Later => may_not().label(format!("`{name}` comes after `{}`", self.here())),
            Sight::OtherBranch(hop) => other_branch(may_not(), name, hop),
            Sight::Enclosed(hop) => return self.enclosed(diagnostic, step, hop),
        };
        diagnostic.help(self.nameable_help())
    }

    /// The name of the step of this scope.
    fn here(&self) -> &str {
        let own = match self.scope.at {
            At::Step(own) | At::Compensation(own) | At::Item(own) => self.names.steps.get(own),
            _ => None,
        };
        own.map(|step| step.name.as_str()).filter(|name| !name.contains('#')).unwrap_or("this step")
    }

    fn enclosed(&self, diagnostic: impl Fn(String) -> Diagnostic, step: usize, hop: &Hop) -> Diagnostic {
        let step = &self.names.steps[step];
        let name = &step.name;
        if hop.of != ListOf::ForEach {
            return diagnostic(format!("`{name}` may not have run"))
                .label("only seen within its branch")
                .also(hop.head.clone(), "one of these branches is taken, or none")
                .help(self.nameable_help());
        }
        let depth = step.place.iter().filter(|outer| outer.of == ListOf::ForEach);
        let depth = depth.take_while(|outer| outer.head != hop.head).count();
        let around = step.within.get(depth).map(|&index| self.names.steps[index].name.as_str());
        let help = match around {
            Some(around) if !around.contains('#') => {
                format!(
                    "`{around}.output` is the list of the outputs of its items; define them with its `output`"
                )
            }
            _ => "give this `for_each` a name: its output is the list of the outputs of its items".into(),
        };
        diagnostic(format!("`{name}` has not one output here, but one for each item"))
            .label("only seen within the `steps` of its `for_each`")
            .also(hop.head.clone(), "it runs once for each item of this")
            .help(help)
    }

    fn unknown(&self, name: &str, path: &Path<'_>) -> Diagnostic {
        let diagnostic = |message| Diagnostic::new(code::UNKNOWN_NAME, path.span.clone(), message);
        let is_item = || self.names.steps.iter().any(|step| step.item.as_deref() == Some(name));
        match (name, self.scope.at) {
            ("saga", At::Key) => diagnostic("`key` cannot use `saga`".into())
                .label("there is no saga yet when the key is made")
                .help("a key is made from the input alone"),
            ("saga", At::Attribute) => diagnostic("an attribute cannot use `saga`".into())
                .label("there is no saga yet when the attributes are made")
                .help("an attribute is made from the input alone"),
            ("input" | "saga", At::Event(key)) => diagnostic(format!("`{key}` cannot use `{name}`"))
                .label("nothing but `event` is known when an event arrives")
                .help("use what the event carries, like `event.orderId`"),
            ("event", _) => diagnostic("there is no `event` here".into())
                .label("stands for nothing")
                .help("`event` is known under `start`, and in the `correlate` and `match` of an event"),
            ("schedule", _) => diagnostic("there is no `schedule` here".into())
                .label("stands for nothing")
                .help("`schedule.time` is known in the `input` of a schedule"),
            _ if is_item() => diagnostic(format!("there is no `{name}` here"))
                .label("an item is only seen within the `steps` of its `for_each`")
                .help(self.nameable_help()),
            _ => {
                let near = suggest::nearest(name, self.names.nameable(self.scope));
                diagnostic(format!("there is no `{name}` here"))
                    .label("stands for nothing")
                    .help(near.map_or_else(|| self.nameable_help(), |near| format!("did you mean `{near}`?")))
            }
        }
    }
}

fn other_branch(diagnostic: Diagnostic, name: &str, hop: &Hop) -> Diagnostic {
    let (label, also) = match hop.of {
        ListOf::Parallel => ("another branch of the same `parallel`", "its branches run side by side"),
        _ => ("another branch of the same `choice`", "only one of its branches is taken"),
    };
    diagnostic.label(format!("`{name}` is in {label}")).also(hop.head.clone(), also)
}

/// Checks that a value of `schema` can have all these fields, each in the one before.
fn fields_in(root: &serde_json::Value, owner: &str, key: &str, fields: &[PathField]) -> Option<Diagnostic> {
    let mut schema = root;
    let mut owner = owner.to_owned();
    for PathField { name, span } in fields {
        match schema::lookup(root, schema, name) {
            Lookup::Known(next) => schema = next,
            Lookup::Open => return None,
            Lookup::Impossible(known) => {
                let message = format!("{owner} cannot have `{name}`");
                return Some(
                    Diagnostic::new(code::UNKNOWN_FIELD, span.clone(), message)
                        .label(format!("not in the `{key}` schema"))
                        .maybe_help(suggest::did_you_mean(name, known)),
                );
            }
        }
        owner = format!("`{name}`");
    }
    None
}

/// Checks that `owner`, whose fields are known, has `field`.
fn fields_of(owner: &str, known: &[&str], field: &PathField) -> Option<Diagnostic> {
    let name = &field.name;
    if known.contains(&name.as_str()) {
        return None;
    }
    let help = match known {
        ["output"] if suggest::nearest(name, ["output"]).is_some() => "did you mean `output`?".into(),
        ["output"] => format!("write `{owner}.output.{name}`"),
        _ => format!("it has {}", suggest::all_of(known.iter().copied())),
    };
    Some(
        Diagnostic::new(code::UNKNOWN_FIELD, field.span.clone(), format!("`{owner}` has no `{name}`"))
            .label("no such field")
            .help(help),
    )
}
