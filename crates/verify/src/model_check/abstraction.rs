//! The abstraction of a definition: the same steps in the same blocks with the same policies, without data.
//!
//! Payloads and outputs are empty. Each condition is a question, and so is the list of a `for_each`; the exploration tries every
//! answer. Conditions with the same text get the same answer, because their operands do not change.

pub(in crate::model_check) mod condition;
pub(in crate::model_check) mod items;
pub(in crate::model_check) mod names;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use cel::Env;
use serde_json::{Map, Value};

use crate::model_check::Bounds;
use crate::model_check::abstraction::condition::Reading;
use crate::model_check::abstraction::items::{Item, combined, lists_of};
use crate::model_check::abstraction::names::{field, item, list_of, question_of};
use snorri_core::definition::retry::Retry;
use snorri_core::definition::{
    Action, Awaited, Child, CommandAction, CommandStep, Definition, EventPattern, ForEach, Publish, Sleep,
    Step, StepIndex, Wait,
};
use snorri_core::expression::template::Template;
use snorri_core::expression::{Expression, environment};
use snorri_core::journal::{Fact, SkipReason};

/// Most lists that are tried for one `for_each`: an answer is kept in a byte.
const MOST_LISTS: usize = 200;

/// The abstraction of a definition.
#[derive(Debug)]
pub(super) struct Abstraction {
    pub(super) definition: Definition,
    questions: Vec<Question>,
    /// The questions of each step, which are asked when it begins: its `when`, then its conditions, then its list.
    asked: Vec<Asked>,
    /// Descriptions of the parts that are not explored.
    pub(super) left_out: Vec<String>,
}

/// A decision that depends on data.
#[derive(Debug)]
struct Question {
    /// The field of the input with the answer.
    field: String,
    answers: Vec<Value>,
}

#[derive(Debug, Default)]
struct Asked {
    when: Option<usize>,
    /// `None`: the condition depends on an item, which contains the answer.
    conditions: Vec<Option<usize>>,
    list: Option<usize>,
}

/// The answers so far, by question: 0 for none, else the index of the answer plus one.
pub(super) type Answers = Box<[u8]>;

impl Abstraction {
    /// The abstraction of `definition`, within `bounds`.
    pub(super) fn of(definition: &Definition, bounds: &Bounds) -> Self {
        let mut builder = AbstractionBuilder::new(definition, bounds);
        let steps: Vec<Step> =
            (0..definition.steps().len()).map(|index| builder.step(StepIndex(index))).collect();
        let AbstractionBuilder { questions, asked, left_out, .. } = builder;
        let mut abstraction =
            Definition::new(&definition.name, definition.version, steps, definition.body.clone());
        abstraction.timeout = definition.timeout;
        abstraction.on_late_reply = definition.on_late_reply;
        abstraction.on_compensation_failure = definition.on_compensation_failure;
        Self { definition: abstraction, questions, asked, left_out }
    }

    pub(super) fn no_answers(&self) -> Answers {
        vec![0; self.questions.len()].into()
    }

    /// The input with these answers, and with the first answer to each open question.
    pub(super) fn input(&self, answers: &Answers) -> Value {
        let given = self.questions.iter().zip(answers).map(|(question, answer)| {
            let index = usize::from(*answer).saturating_sub(1);
            (question.field.clone(), question.answers[index].clone())
        });
        Value::Object(given.collect::<Map<_, _>>())
    }

    /// These answers, extended by each answer to the first open question that `facts` depend on. `None`: there is no open
    /// question.
    pub(super) fn branch(&self, facts: &[Fact], answers: &Answers) -> Option<Vec<Answers>> {
        let open =
            facts.iter().flat_map(|fact| self.asked_by(fact)).find(|question| answers[*question] == 0)?;
        let count = u8::try_from(self.questions[open].answers.len()).unwrap_or(u8::MAX);
        let with = |answer| {
            let mut answers = answers.clone();
            answers[open] = answer;
            answers
        };
        Some((1..=count).map(with).collect())
    }

    /// The answers of another version, as far as its questions are the same.
    pub(super) fn adopt(&self, other: &Self, answers: &Answers) -> Answers {
        let adopted = self.questions.iter().map(|question| {
            let is_same = |old: &Question| old.field == question.field && old.answers == question.answers;
            other.questions.iter().position(is_same).map_or(0, |index| answers[index])
        });
        adopted.collect()
    }

    /// The conditions of a step that are separate questions: they distinguish steps of the same shape.
    pub(super) fn conditions_of(&self, step: StepIndex) -> impl Iterator<Item = usize> {
        let asked = &self.asked[step.0];
        asked.when.into_iter().chain(asked.conditions.iter().copied().flatten())
    }

    fn asked_by(&self, fact: &Fact) -> Vec<usize> {
        let Some(path) = path_of(fact) else { return Vec::new() };
        let Some(index) = self.definition.index_of(path) else { return Vec::new() };
        let asked = &self.asked[index.0];
        let mut questions: Vec<usize> = asked.when.into_iter().collect();
        match fact {
            Fact::BranchSelected { branch, .. } => {
                questions.extend(asked.conditions.iter().take(*branch as usize + 1).copied().flatten());
            }
            Fact::ItemsExpanded { .. } => questions.extend(asked.list),
            _ => {}
        }
        questions
    }
}

/// The name of the step whose beginning a fact records.
fn path_of(fact: &Fact) -> Option<&str> {
    match fact {
        Fact::Sent { step, .. }
        | Fact::Skipped { step, reason: SkipReason::Condition, .. }
        | Fact::BranchSelected { step, .. }
        | Fact::ItemsExpanded { step, .. }
        | Fact::Waiting { step, .. }
        | Fact::Sleeping { step, .. }
        | Fact::Published { step }
        | Fact::ChildSent { step, .. }
        | Fact::Failed { step, .. }
        | Fact::Held { step, .. } => Some(step.name()),
        _ => None,
    }
}

struct AbstractionBuilder<'a> {
    definition: &'a Definition,
    bounds: &'a Bounds,
    env: Arc<Env>,
    questions: Vec<Question>,
    asked: Vec<Asked>,
    /// The questions by their text, and whether they choose among several literals.
    by_text: BTreeMap<(String, bool), usize>,
    left_out: Vec<String>,
}

impl<'a> AbstractionBuilder<'a> {
    fn new(definition: &'a Definition, bounds: &'a Bounds) -> Self {
        Self {
            definition,
            bounds,
            env: Arc::new(environment()),
            questions: Vec::new(),
            asked: Vec::new(),
            by_text: BTreeMap::new(),
            left_out: Vec::new(),
        }
    }

    fn step(&mut self, index: StepIndex) -> Step {
        let step = self.definition.step_at(index);
        self.asked.push(Asked::default());
        let when = step.when.as_ref().map(|condition| {
            let (expression, question) = self.condition(step, condition);
            self.asked[index.0].when = question;
            expression
        });
        let action = self.action(index, step);
        Step {
            name: Arc::clone(&step.name),
            kind: step.kind,
            when,
            optional: step.optional,
            action,
            within: step.within.clone(),
        }
    }

    fn action(&mut self, index: StepIndex, step: &Step) -> Action {
        match &step.action {
            Action::Command(step) => Action::Command(Box::new(CommandStep {
                command: self.command(&step.command),
                compensation: step.compensation.as_ref().map(|command| self.command(command)),
                on_timeout: step.on_timeout,
                reply_schema: None,
            })),
            Action::Choice(conditions) => {
                let (conditions, questions) =
                    conditions.iter().map(|condition| self.condition(step, condition)).unzip();
                self.asked[index.0].conditions = questions;
                Action::Choice(conditions)
            }
            Action::ForEach(each) => self.for_each(index, step, each),
            Action::Wait(wait) => {
                Action::Wait(Box::new(Wait { awaited: self.awaited(&wait.awaited), ..**wait }))
            }
            Action::Sleep(_) => Action::Sleep(Sleep::For(Duration::from_hours(1))),
            Action::Child(child) => Action::Child(Box::new(Child {
                definition: Arc::clone(&child.definition),
                version: child.version,
                input: Template::null(),
                compensated: child.compensated,
            })),
            Action::Publish(publish) => Action::Publish(Box::new(Publish {
                exchange: Arc::clone(&publish.exchange),
                event: Arc::clone(&publish.event),
                payload: Template::null(),
            })),
            Action::Fail { code, .. } => Action::Fail { code: code.clone(), message: Template::null() },
        }
    }

    fn command(&self, command: &CommandAction) -> CommandAction {
        let retry = Retry { attempts: command.retry.attempts.min(self.bounds.attempts), ..command.retry };
        CommandAction {
            exchange: Arc::clone(&command.exchange),
            name: Arc::clone(&command.name),
            payload: Template::null(),
            timeout: command.timeout,
            unroutable_timeout: command.unroutable_timeout,
            retry,
            reply_events: Vec::new(),
        }
    }

    fn awaited(&self, awaited: &Awaited) -> Awaited {
        match awaited {
            Awaited::Signal(name) => Awaited::Signal(Arc::clone(name)),
            Awaited::Event(event) => Awaited::Event(Box::new(EventPattern {
                exchange: Arc::clone(&event.exchange),
                event: Arc::clone(&event.event),
                correlate: self.expression("event"),
                matches: None,
            })),
        }
    }

    /// The expression that looks up the answer to a condition of `step`, and its question, unless an item contains the answer.
    fn condition(&mut self, step: &Step, condition: &Expression) -> (Expression, Option<usize>) {
        if let Some(each) = self.innermost(step, condition) {
            return (
                self.expression(&format!("{}.{}", item(self.definition, each), field(condition.source()))),
                None,
            );
        }
        let Reading { of, literal, negated } = condition::read(condition.source());
        let literals = literal.as_ref().map(|_| condition::literals(self.definition, &of));
        let key = (of, literal.is_some());
        let question = self.by_text.get(&key).copied().unwrap_or_else(|| {
            let answers = match &literals {
                // The last answer: none of the literals.
                Some(literals) => (0..=literals.len()).map(Value::from).collect(),
                None => vec![true.into(), false.into()],
            };
            self.questions.push(Question { field: question_of(&key.0, literals.as_deref()), answers });
            self.by_text.insert(key, self.questions.len() - 1);
            self.questions.len() - 1
        });
        let field = &self.questions[question].field;
        let source = match literals.zip(literal) {
            Some((literals, literal)) => {
                let answer = literals.iter().position(|other| *other == literal).unwrap_or(literals.len());
                format!("input.{field} {} {answer}", if negated { "!=" } else { "==" })
            }
            None => format!("{}input.{field}", if negated { "!" } else { "" }),
        };
        (self.expression(&source), Some(question))
    }

    /// The innermost `for_each` around `step` whose items the condition depends on.
    fn innermost(&self, step: &Step, condition: &Expression) -> Option<StepIndex> {
        let depends_on = |each: &StepIndex| {
            let own = self.definition.step_at(*each);
            let Action::ForEach(of) = &own.action else { return false };
            condition.references().iter().any(|name| {
                *name == *of.item
                    || self
                        .definition
                        .index_of(name)
                        .is_some_and(|named| self.definition.step_at(named).within.contains(each))
            })
        };
        step.within.iter().rev().find(|each| depends_on(each)).copied()
    }

    fn for_each(&mut self, index: StepIndex, step: &Step, each: &ForEach) -> Action {
        let list = match step.within.last() {
            Some(outer) => self.expression(&format!(
                "{}.{}",
                item(self.definition, *outer),
                list_of(self.definition, index)
            )),
            None => {
                let answers = self.lists(index);
                let field = list_of(self.definition, index);
                let list = self.expression(&format!("input.{field}"));
                self.questions.push(Question { field, answers });
                self.asked[index.0].list = Some(self.questions.len() - 1);
                list
            }
        };
        Action::ForEach(Box::new(ForEach {
            list,
            item: item(self.definition, index).into(),
            concurrency: each.concurrency,
            output: Some(Template::null()),
            steps: Vec::new(),
        }))
    }

    /// The lists of a `for_each`: of different lengths, and of all kinds of items if they are few.
    fn lists(&mut self, index: StepIndex) -> Vec<Value> {
        let aspects = self.aspects(index);
        let (kinds, mut all) = combined(&aspects);
        let mut lists = vec![Vec::new()];
        for length in 1..=self.bounds.items as usize {
            let (longer, all_longer) = lists_of(length, &kinds);
            lists.extend(longer);
            all &= all_longer;
        }
        all &= lists.len() <= MOST_LISTS;
        lists.truncate(MOST_LISTS);
        let name = &self.definition.step_at(index).name;
        let missing = format!("some combinations of the conditions on the items of `{name}`");
        if !all && !self.left_out.contains(&missing) {
            self.left_out.push(missing);
        }
        lists.into_iter().map(Value::Array).collect()
    }

    /// The aspects of an item, each with its values: the branch that it takes of each choice, the answer to each `when`, and
    /// the lists within it.
    fn aspects(&mut self, index: StepIndex) -> Vec<Vec<Item>> {
        let definition = self.definition;
        let mut aspects = Vec::new();
        let mut covered = BTreeSet::new();
        let one = |name: String, value: Value| Item::from_iter([(name, value)]);
        for (inner, step) in definition.steps().iter().enumerate() {
            if let Action::Choice(conditions) = &step.action {
                let own =
                    conditions.iter().filter(|condition| self.innermost(step, condition) == Some(index));
                let own: Vec<_> = own.map(|condition| field(condition.source())).collect();
                let taken = (0..=own.len()).map(|taken| {
                    let answers = own.iter().enumerate();
                    answers.map(|(at, name)| (name.clone(), Value::Bool(at == taken))).collect()
                });
                if !own.is_empty() {
                    aspects.push(taken.collect());
                }
                covered.extend(own);
            }
            if step.within.last() == Some(&index) && matches!(step.action, Action::ForEach(_)) {
                let lists = self.lists(StepIndex(inner));
                aspects.push(
                    lists.into_iter().map(|list| one(list_of(definition, StepIndex(inner)), list)).collect(),
                );
            }
        }
        for step in definition.steps() {
            let own = step.when.iter().filter(|condition| self.innermost(step, condition) == Some(index));
            for name in own.map(|condition| field(condition.source())) {
                if covered.insert(name.clone()) {
                    aspects.push([true, false].map(|answer| one(name.clone(), answer.into())).into());
                }
            }
        }
        aspects
    }

    fn expression(&self, source: &str) -> Expression {
        // The source consists of names and dots, so it always compiles.
        Expression::compile(&self.env, source).unwrap_or_else(|error| unreachable!("{source}: {error}"))
    }
}
