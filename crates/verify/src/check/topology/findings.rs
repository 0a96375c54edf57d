//! Collects findings: each is reported once, with all the steps that it is about.

use snorri_core::definition::StepIndex;
use snorri_definition::Compiled;
use snorri_definition::Diagnostic;
use snorri_definition::Diagnostics;
use snorri_definition::diagnostic::code;

#[derive(Debug, Default)]
pub(super) struct Findings {
    list: Vec<Finding>,
    /// The key of the step under check: `command` or `compensate`.
    pub(super) key: &'static str,
}

#[derive(Debug)]
struct Finding {
    code: &'static str,
    is_warning: bool,
    what: String,
    help: String,
    /// `None`: a trigger of the definition.
    steps: Vec<Option<usize>>,
    key: &'static str,
}

impl Findings {
    pub(super) fn error(&mut self, code: &'static str, step: Option<usize>, what: String, help: String) {
        self.add(Finding { code, is_warning: false, what, help, steps: vec![step], key: self.key });
    }

    pub(super) fn warning(&mut self, code: &'static str, step: Option<usize>, what: String, help: String) {
        self.add(Finding { code, is_warning: true, what, help, steps: vec![step], key: self.key });
    }

    fn add(&mut self, mut new: Finding) {
        // Names on the broker may contain control characters, which must not reach the terminal.
        new.what = new.what.replace(char::is_control, "\u{fffd}");
        new.help = new.help.replace(char::is_control, "\u{fffd}");
        match self.list.iter_mut().find(|known| known.code == new.code && known.what == new.what) {
            Some(known) => new.steps.iter().for_each(|step| {
                if !known.steps.contains(step) {
                    known.steps.push(*step);
                }
            }),
            None => self.list.push(new),
        }
    }

    /// Places each finding at the first of its steps.
    pub(super) fn into_diagnostics(self, compiled: &Compiled) -> Diagnostics {
        let mut diagnostics = Diagnostics::none(&compiled.findings.file, &compiled.findings.source);
        diagnostics.extend(self.list.into_iter().map(|finding| finding.into_diagnostic(compiled)));
        diagnostics
    }
}

impl Finding {
    fn into_diagnostic(self, compiled: &Compiled) -> Diagnostic {
        let steps = compiled.definition.steps();
        let name = |step: &Option<usize>| step.map_or("start", |index| &steps[index].name).to_owned();
        let names: Vec<_> = self.steps.iter().map(name).collect();
        let step = self.steps.iter().flatten().next();
        let place = step.map(|index| compiled.place_of(StepIndex(*index), &[self.key]));
        let message = format!("{}: {}: {}", compiled.definition.name, names.join(", "), self.what);
        let diagnostic = Diagnostic::new(self.code, place.unwrap_or_default(), message)
            .label(label(self.code))
            .help(self.help);
        if self.is_warning { diagnostic.warning() } else { diagnostic }
    }
}

fn label(code: &str) -> &'static str {
    match code {
        code::NO_SUCH_EXCHANGE | code::OTHER_EXCHANGE => "uses this exchange",
        code::NO_ROUTE => "reaches no queue",
        code::NO_CONSUMER => "reaches no consumer",
        _ => "goes to this queue",
    }
}
