//! Infers the type of each part of an expression, and finds parts that do not fit.

use cel::IdedExpr;
use cel::common::ast::{CallExpr, EntryExpr, Expr, LiteralValue, MapExpr, operators};

use super::super::super::diagnostic::Diagnostic;
use super::super::reserved::is_type;
use super::super::scope::{Names, Scope};
use super::extent::Text;
use super::guard::{self, facts};
use super::kind::Kinds;
use super::value::{Missing, Type, Typed};
use super::{compare, operators as table, report};

pub(super) struct Typing<'a> {
    pub(super) text: Text<'a>,
    pub(super) scope: Scope,
    pub(super) names: &'a Names,
    /// Names that macros bind, innermost last.
    pub(super) bound: Vec<(&'a str, Type)>,
    /// Facts that are known.
    pub(super) present: Vec<String>,
    pub(super) found: Vec<Diagnostic>,
    pub(super) missing: Vec<Missing<'a>>,
}

impl<'a> Typing<'a> {
    pub(super) fn new(text: Text<'a>, scope: Scope, names: &'a Names) -> Self {
        let present = names.assured(scope);
        Self { text, scope, names, bound: Vec::new(), present, found: Vec::new(), missing: Vec::new() }
    }

    pub(super) fn is_bound(&self, name: &str) -> bool {
        self.bound.iter().any(|(bound, _)| *bound == name)
    }

    pub(super) fn infer(&mut self, expression: &'a IdedExpr) -> Type {
        match &expression.expr {
            Expr::Literal(literal) => Type::literal(literal),
            Expr::Ident(name) => {
                let of = self.name(name);
                self.unless_present(expression, of)
            }
            Expr::Select(select) => {
                let operand = self.typed(&select.operand);
                if select.test {
                    self.fields_of(&operand, expression, &select.field);
                    self.found.extend(self.always_has(expression, &select.operand, &select.field));
                    return Type::of(Kinds::BOOL);
                }
                let of = self.take(expression, &operand, &select.field);
                self.unless_present(expression, of)
            }
            Expr::Call(call) => self.call(expression, call),
            Expr::List(list) => {
                let items: Vec<_> = list.elements.iter().map(|element| self.infer(element)).collect();
                if !list.optional_indices.is_empty() {
                    return Type::list(Type::unknown());
                }
                items.into_iter().reduce(Type::join).map_or_else(|| Type::of(Kinds::LIST), Type::list)
            }
            Expr::Map(map) => self.map(map),
            Expr::Comprehension(loops) => self.comprehension(expression, loops),
            Expr::Struct(_) | Expr::Unspecified => Type::unknown(),
        }
    }

    pub(super) fn typed(&mut self, expression: &'a IdedExpr) -> Typed<'a> {
        Typed { expression, of: self.infer(expression) }
    }

    /// Infers a type where further facts are known.
    pub(super) fn typed_behind(&mut self, known: Vec<String>, expression: &'a IdedExpr) -> Typed<'a> {
        let before = self.present.len();
        self.present.extend(known);
        let typed = self.typed(expression);
        self.present.truncate(before);
        typed
    }

    fn name(&self, name: &str) -> Type {
        let name = name.trim_start_matches('.');
        if let Some((_, of)) = self.bound.iter().rev().find(|(bound, _)| *bound == name) {
            return of.clone();
        }
        if is_type(name) {
            Type::of(Kinds::TYPE)
        } else {
            self.names.type_of(name, self.scope, &self.present)
        }
    }

    /// Reports an `operand` that can have no fields.
    fn fields_of(&mut self, operand: &Typed<'a>, whole: &IdedExpr, name: &str) -> bool {
        let has = operand.of.kinds.may_be(Kinds::OBJECT | Kinds::OPTIONAL);
        if !has {
            self.found.push(report::no_fields(&self.text, operand, whole, name));
        }
        has
    }

    fn take(&mut self, whole: &'a IdedExpr, operand: &Typed<'a>, name: &str) -> Type {
        if !self.fields_of(operand, whole, name) {
            return Type::unknown();
        }
        self.needs(operand, whole);
        let taken = operand.of.field(name);
        let Some(path) = guard::path(whole) else { return taken.of };
        // Reading `look.output.price.net` needs all of the path.
        let inner = self.missing.iter_mut().find(|missing| {
            missing.absence.is_some() && std::ptr::eq(missing.expression, operand.expression)
        });
        if let Some(inner) = inner {
            (inner.expression, inner.of) = (whole, taken.of.clone());
        }
        let is_reported =
            self.missing.iter().any(|missing| missing.absence.is_none() && missing.path == path);
        let may_be_missing = taken.may_be_missing || taken.meant.is_some();
        if may_be_missing && !is_reported && !self.present.contains(&path) {
            let of = if taken.meant.is_some() { operand.of.clone() } else { taken.of.clone() };
            self.missing.push(Missing {
                expression: whole,
                path: path.clone(),
                of,
                meant: taken.meant,
                is_compared_with_null: None,
                absence: None,
            });
        }
        match self.present.contains(&guard::items(&path)) {
            true => taken.of.vouched(),
            false => taken.of,
        }
    }

    fn map(&mut self, map: &'a MapExpr) -> Type {
        let mut fields = Some(Vec::with_capacity(map.entries.len()));
        for entry in &map.entries {
            let EntryExpr::MapEntry(entry) = &entry.expr else { return Type::unknown() };
            let (key, value) = (self.typed(&entry.key), self.infer(&entry.value));
            if !key.of.kinds.may_be(Kinds::any_of(&[
                Kinds::BOOL,
                Kinds::INT,
                Kinds::UINT,
                Kinds::TEXT,
                Kinds::OPTIONAL,
            ])) {
                self.found.push(report::argument(&self.text, "a key of an object", "a text", &key, None));
            }
            match &entry.key.expr {
                Expr::Literal(LiteralValue::String(name)) if !entry.optional => {
                    fields
                        .iter_mut()
                        .for_each(|fields| fields.push((name.inner().to_owned(), value.clone())));
                }
                _ => fields = None,
            }
        }
        fields.map_or_else(|| Type::of(Kinds::OBJECT), Type::object)
    }

    fn call(&mut self, whole: &'a IdedExpr, call: &'a CallExpr) -> Type {
        match (call.func_name.as_str(), call.args.as_slice()) {
            (operators::CONDITIONAL, [condition, yes, no]) => {
                self.condition(condition, "the condition before `?`");
                let yes = self.typed_behind(facts(&self.text, condition, true), yes);
                let no = self.typed_behind(facts(&self.text, condition, false), no);
                yes.of.join(no.of)
            }
            (name @ (operators::LOGICAL_AND | operators::LOGICAL_OR), [left, right]) => {
                let (is_and, sign) = (
                    name == operators::LOGICAL_AND,
                    if name == operators::LOGICAL_AND { "&&" } else { "||" },
                );
                // A side that fails is no error if the other decides, whichever comes first.
                for (one, other) in [(left, right), (right, left)] {
                    let typed = self.typed_behind(facts(&self.text, other, is_and), one);
                    self.needs(&typed, one);
                    self.must_be_bool(&typed, &format!("`{sign}`"));
                }
                Type::of(Kinds::BOOL)
            }
            (operators::LOGICAL_NOT, [negated]) => {
                self.condition(negated, "`!`");
                Type::of(Kinds::BOOL)
            }
            (operators::NEGATE, [negated]) => {
                let negated = self.typed(negated);
                self.needs(&negated, whole);
                let kinds = negated.of.kinds & (Kinds::NUMBER | Kinds::OPTIONAL);
                if kinds.is_empty() {
                    self.found.push(report::argument(&self.text, "`-`", "a number", &negated, None));
                    return Type::unknown();
                }
                Type::of(kinds)
            }
            (name @ (operators::EQUALS | operators::NOT_EQUALS), [left, right]) => {
                self.equality(whole, left, right, name == operators::EQUALS)
            }
            (operators::IN, [item, list]) => self.membership(whole, item, list),
            (operators::INDEX, [of, index]) => self.index(whole, of, index),
            (operators::OPT_INDEX | operators::OPT_SELECT, [of, name]) => {
                self.infer(of);
                self.infer(name);
                Type::of(Kinds::OPTIONAL)
            }
            (name, [left, right]) if let Some(sign) = table::sign(name) => {
                let (left, right) = (self.typed(left), self.typed(right));
                self.needs(&left, left.expression);
                self.needs(&right, right.expression);
                self.binary(whole, sign, &left, &right)
            }
            _ => self.function(whole, call),
        }
    }

    /// A part that must be true or false.
    pub(super) fn condition(&mut self, condition: &'a IdedExpr, of: &str) {
        let typed = self.typed(condition);
        self.needs(&typed, condition);
        self.must_be_bool(&typed, of);
    }

    fn must_be_bool(&mut self, typed: &Typed<'a>, of: &str) {
        if !typed.of.kinds.may_be(Kinds::BOOL | Kinds::OPTIONAL) {
            let help = report::as_condition(&self.text, typed);
            self.found.push(report::argument(&self.text, of, "true or false", typed, help));
        }
    }

    fn binary(&mut self, whole: &IdedExpr, sign: &'static str, left: &Typed<'a>, right: &Typed<'a>) -> Type {
        let given = table::binary(sign, left.of.kinds, right.of.kinds);
        if given.is_empty() {
            self.found.push(report::operands(&self.text, whole, sign, left, right));
            return Type::unknown();
        }
        let divides_by_zero = ["/", "%"].contains(&sign)
            && right.of.values.as_deref().is_some_and(|values| {
                values.iter().all(|value| value.as_i64() == Some(0)) && !values.is_empty()
            });
        if divides_by_zero {
            self.found.push(report::zero(&self.text, right));
        }
        // Other mixtures may be right with more knowledge than the schema has.
        let is_number = |typed: &Typed<'_>| {
            let kinds = typed.of.kinds.without(Kinds::NULL);
            !kinds.is_empty() && kinds.is(Kinds::NUMBER)
        };
        let is_mixed = |typed: &Typed<'_>| typed.of.kinds.without(Kinds::NULL) == Kinds::NUMBER;
        let is_same =
            guard::path(left.expression).is_some_and(|path| guard::path(right.expression) == Some(path));
        if !table::is_ordering(sign)
            && !is_same
            && is_number(left)
            && is_number(right)
            && (is_mixed(left) || is_mixed(right))
        {
            self.found.push(report::mixed(&self.text, whole, sign, left, right));
            return Type::of(Kinds::NUMERIC & given);
        }
        Type::of(given)
    }

    fn equality(
        &mut self,
        whole: &IdedExpr,
        left: &'a IdedExpr,
        right: &'a IdedExpr,
        is_equal: bool,
    ) -> Type {
        let before = self.missing.len();
        let (left, right) = (self.typed(left), self.typed(right));
        let with_null = [(&left, &right), (&right, &left)]
            .into_iter()
            .find(|(_, null)| matches!(null.expression.expr, Expr::Literal(LiteralValue::Null)));
        if let Some((asked, _)) = with_null
            && let Some(missing) = self.missing[before..]
                .iter_mut()
                .find(|missing| std::ptr::eq(missing.expression, asked.expression))
        {
            missing.is_compared_with_null = Some(is_equal);
            return Type::of(Kinds::BOOL);
        }
        let given_up = with_null.and_then(|(asked, _)| self.given_up(asked.expression));
        self.found.extend(match given_up {
            Some(step) => Some(report::rolled_back_before(&self.text, whole, step, is_equal)),
            None => compare::equality(&self.text, whole, &left, &right, is_equal),
        });
        Type::of(Kinds::BOOL)
    }

    fn membership(&mut self, whole: &IdedExpr, item: &'a IdedExpr, list: &'a IdedExpr) -> Type {
        const KEYS: Kinds = Kinds::any_of(&[Kinds::BOOL, Kinds::NUMERIC, Kinds::TEXT, Kinds::OPTIONAL]);
        let (item, list) = (self.typed(item), self.typed(list));
        self.needs(&list, list.expression);
        if !list.of.kinds.may_be(Kinds::any_of(&[Kinds::LIST, Kinds::OBJECT, Kinds::OPTIONAL])) {
            let (inner, outer) = (self.text.of(item.expression), self.text.of(list.expression));
            let help = list.of.kinds.is(Kinds::TEXT).then(|| format!("write `{outer}.contains({inner})`"));
            self.found.push(report::argument(
                &self.text,
                "`in`",
                "a list or an object on its right",
                &list,
                help,
            ));
        } else if list.of.kinds.is(Kinds::OBJECT) && !item.of.kinds.may_be(KEYS) {
            self.found.push(report::argument(
                &self.text,
                "`in` an object",
                "a text on its left",
                &item,
                None,
            ));
        } else {
            self.found.extend(compare::membership(&self.text, whole, &item, &list));
        }
        Type::of(Kinds::BOOL)
    }

    fn index(&mut self, whole: &'a IdedExpr, of: &'a IdedExpr, index: &'a IdedExpr) -> Type {
        const INDEXED: Kinds = Kinds::any_of(&[Kinds::LIST, Kinds::OBJECT, Kinds::OPTIONAL]);
        let (of, index) = (self.typed(of), self.typed(index));
        if !of.of.kinds.may_be(INDEXED) {
            self.found.push(report::argument(
                &self.text,
                "`[ ]`",
                "a list or an object before it",
                &of,
                None,
            ));
            return Type::unknown();
        }
        if let Expr::Literal(LiteralValue::String(name)) = &index.expression.expr
            && of.of.kinds.may_be(Kinds::OBJECT)
        {
            return self.take(whole, &of, name.inner());
        }
        self.needs(&of, whole);
        let wanted = match of.of.kinds {
            Kinds::LIST => Some(("the index of a list", "an integer", Kinds::NUMERIC)),
            Kinds::OBJECT if of.of.schema.is_some() => Some(("the key of an object", "a text", Kinds::TEXT)),
            _ => None,
        };
        if let Some((place, word, kinds)) = wanted
            && !index.of.kinds.may_be(kinds | Kinds::OPTIONAL)
        {
            self.found.push(report::argument(&self.text, place, word, &index, None));
        }
        match of.of.kinds {
            kinds if kinds.is(Kinds::LIST | Kinds::NULL) && kinds.may_be(Kinds::LIST) => of.of.items(),
            kinds if kinds.is(Kinds::JSON) => Type::json(),
            _ => Type::unknown(),
        }
    }
}
