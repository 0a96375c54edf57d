//! The places of the parts of an expression. The parser keeps one token for each; the rest of the part is found around it.

use std::ops::Range;

use cel::IdedExpr;
use cel::common::ast::{Expr, LiteralValue, SourceInfo, operators};

use super::super::path;

/// The text of an expression.
pub(super) struct Text<'a> {
    pub(super) source: &'a str,
    info: &'a SourceInfo,
    /// The source, byte for byte, with blank quotes.
    masked: Vec<u8>,
}

impl<'a> Text<'a> {
    pub(super) fn new(source: &'a str, info: &'a SourceInfo) -> Self {
        Self { source, info, masked: mask(source) }
    }

    /// The text of an expression.
    pub(super) fn of(&self, expression: &IdedExpr) -> &'a str {
        self.source.get(self.extent(expression)).unwrap_or(self.source)
    }

    /// The place of all of an expression, without the parentheses around it.
    pub(super) fn extent(&self, expression: &IdedExpr) -> Range<usize> {
        let token = path::place(expression, self.info, self.source);
        let range = match &expression.expr {
            Expr::Select(select) if select.test => self.start_of_name(token.start)..self.closing(token.start),
            Expr::Select(select) => {
                let start = self.extent(&select.operand).start;
                let after = token.end.min(self.source.len());
                let found = self.source.get(after..).and_then(|rest| rest.find(&select.field));
                start..found.map_or(after, |at| after + at + select.field.len())
            }
            Expr::Comprehension(loops) => self.extent(&loops.iter_range).start..self.closing(token.start),
            Expr::List(_) | Expr::Map(_) => token.start..self.closing(token.start),
            Expr::Call(call) => match (call.func_name.as_str(), call.args.as_slice()) {
                (operators::INDEX | operators::OPT_INDEX, [operand, _]) => {
                    self.extent(operand).start..self.closing(token.start)
                }
                (operators::OPT_SELECT, [operand, field]) => {
                    let end = match &field.expr {
                        Expr::Literal(LiteralValue::String(name)) => self.field(expression, name.inner()).end,
                        _ => token.end,
                    };
                    self.extent(operand).start..end
                }
                (operators::LOGICAL_NOT | operators::NEGATE, [operand]) => {
                    token.start..self.extent(operand).end
                }
                (name, [first, .., last]) if is_operator(name) => {
                    self.extent(first).start..self.extent(last).end
                }
                _ => {
                    let target = call.target.as_deref().map(|target| self.extent(target).start);
                    target.unwrap_or_else(|| self.start_of_name(token.start))..self.closing(token.start)
                }
            },
            _ => token,
        };
        self.balanced(range)
    }

    /// The name that is called by the parenthesis of an expression.
    pub(super) fn name_before(&self, expression: &IdedExpr) -> &'a str {
        let end = path::place(expression, self.info, self.source).start;
        self.source.get(self.start_of_name(end)..end).unwrap_or_default().trim()
    }

    /// The place of a field that is taken from `operand`.
    pub(super) fn field(&self, whole: &IdedExpr, name: &str) -> Range<usize> {
        let after = path::place(whole, self.info, self.source).end.min(self.source.len());
        let found = self.source.get(after..).and_then(|rest| rest.find(name));
        found.map_or_else(|| self.extent(whole), |at| after + at..after + at + name.len())
    }

    fn start_of_name(&self, end: usize) -> usize {
        let before = self.masked.get(..end).unwrap_or_default();
        let space = before.iter().rev().take_while(|byte| byte.is_ascii_whitespace()).count();
        let name = before[..before.len() - space].iter().rev();
        let name = name.take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
        before.len() - space - name
    }

    /// Behind the bracket that closes the one at `open`.
    fn closing(&self, open: usize) -> usize {
        let mut depth = 0_usize;
        for (at, byte) in self.masked.iter().enumerate().skip(open) {
            match byte {
                b'(' | b'[' | b'{' => depth += 1,
                b')' | b']' | b'}' => depth = depth.saturating_sub(1),
                _ => continue,
            }
            if depth == 0 {
                return at + 1;
            }
        }
        self.masked.len()
    }

    /// With the parentheses that are only half within.
    fn balanced(&self, range: Range<usize>) -> Range<usize> {
        let Some(within) = self.masked.get(range.clone()) else { return range };
        let (mut open, mut missing) = (0_usize, 0_usize);
        for byte in within {
            match byte {
                b'(' => open += 1,
                b')' if open > 0 => open -= 1,
                b')' => missing += 1,
                _ => {}
            }
        }
        let (mut start, mut end) = (range.start, range.end);
        while missing > 0 && start > 0 {
            start -= 1;
            missing -= usize::from(self.masked[start] == b'(');
        }
        while open > 0 && end < self.masked.len() {
            open -= usize::from(self.masked[end] == b')');
            end += 1;
        }
        start..end
    }
}

fn is_operator(name: &str) -> bool {
    name == operators::IN || name.starts_with('_')
}

fn mask(source: &str) -> Vec<u8> {
    let mut masked = source.as_bytes().to_vec();
    let mut quote = None;
    let mut is_escaped = false;
    for byte in &mut masked {
        match (quote, *byte) {
            (Some(_), _) if is_escaped => is_escaped = false,
            (Some(_), b'\\') => is_escaped = true,
            (Some(open), byte) if byte == open => {
                quote = None;
                continue;
            }
            (Some(_), _) => {}
            (None, b'\'' | b'"') => {
                quote = Some(*byte);
                continue;
            }
            (None, _) => continue,
        }
        *byte = b' ';
    }
    masked
}
