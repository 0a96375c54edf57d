//! Rewrites a list of `expect` whose items have lines of their own. Items that stay keep their text and comments.

use std::ops::Range;

use similar::{Algorithm, DiffOp, capture_diff_slices};

use super::expect;
use super::script::{Line, ListedItem};

/// The text of an item.
struct Written<'a> {
    /// The comments and empty lines between the previous item and this one.
    above: Option<&'a str>,
    own: &'a str,
}

/// The text of `extent`, which is a key and its list, with the observed lines. `None`: the items are not on lines of their own.
pub(super) fn rewritten(
    text: &str,
    extent: &Range<usize>,
    items: &[ListedItem],
    expected: &[Line],
    got: &[Line],
) -> Option<String> {
    let starts: Option<Vec<usize>> = items.iter().map(|item| dash(text, extent, &item.span)).collect();
    let starts = starts.filter(|starts| starts.is_sorted_by(|one, next| one < next))?;
    let (&first, last) = (starts.first()?, extent.end);
    if got.is_empty() || items.iter().map(|item| item.times).sum::<usize>() != expected.len() {
        return None;
    }
    let head = text[extent.start..first].lines().next()?;
    let mut above_from = extent.start + head.len();
    let mut written = Vec::new();
    for (nth, &start) in starts.iter().enumerate() {
        let own = own(&text[start..starts.get(nth + 1).copied().unwrap_or(last)]);
        written.push(Written { above: above(&text[above_from..start]), own });
        above_from = start + own.len();
    }
    let mut lines = vec![head.to_owned()];
    let dash = text[first..].find('-').map(|indent| &text[first..=first + indent])?;
    let of: Vec<usize> = items.iter().enumerate().flat_map(|(nth, item)| vec![nth; item.times]).collect();
    let mut seen = vec![false; items.len()];
    let stays = staying(expected, got, &of);
    let mut from = 0;
    while let Some(item) = stays.get(from) {
        let until = from + stays[from..].iter().take_while(|other| *other == item).count();
        let fresh = expect::items(&got[from..until]).into_iter().map(|item| format!("{dash} {item}"));
        match item.filter(|nth| !seen[*nth]) {
            None => lines.extend(fresh),
            Some(nth) => {
                seen[nth] = true;
                let Written { above, own } = &written[nth];
                lines.extend(above.map(str::to_owned));
                let begins = of.iter().position(|of| *of == nth).unwrap_or_default();
                if expected[begins..begins + items[nth].times] == got[from..until] {
                    lines.push((*own).to_owned());
                } else {
                    let at = lines.len();
                    lines.extend(fresh);
                    lines.get_mut(at)?.push_str(comment_in(own, &items[nth], starts[nth]));
                }
            }
        }
        from = until;
    }
    Some(lines.join("\n"))
}

/// The beginning of the line of an item, if it has a line of its own.
fn dash(text: &str, extent: &Range<usize>, span: &Range<usize>) -> Option<usize> {
    let before = text.get(extent.start..span.start).filter(|_| span.end <= extent.end)?;
    let line = before.rfind('\n')? + 1;
    (before[line..].trim() == "-").then_some(extent.start + line)
}

/// The lines between two items.
fn above(text: &str) -> Option<&str> {
    let (_, lines) = text.split_once('\n')?;
    let (lines, _) = lines.rsplit_once('\n')?;
    Some(lines.trim_end())
}

/// The text of an item without the comments and empty lines that belong to the next one.
fn own(text: &str) -> &str {
    let mut end = 0;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let has_content = !line.trim().is_empty() && !line.trim_start().starts_with('#');
        if has_content {
            end = at + line.trim_end().len();
        }
        at += line.len();
    }
    &text[..end]
}

/// The comment after an item on a single line, with the spaces before it.
fn comment_in<'a>(own: &'a str, item: &ListedItem, start: usize) -> &'a str {
    let behind = own.get(item.span.end - start..).filter(|_| !own.contains('\n')).unwrap_or_default();
    let (mut quote, mut before) = (None, None);
    for (at, c) in behind.char_indices() {
        match quote {
            Some(open) if c == open && before != Some('\\') => quote = None,
            Some(_) => {}
            None if c == '#' && before == Some(' ') => return &behind[behind[..at].trim_end().len()..],
            None if ['"', '\''].contains(&c) && before.is_some_and(|c| " {[,:".contains(c)) => {
                quote = Some(c);
            }
            None => {}
        }
        before = Some(c);
    }
    ""
}

/// For each observed line the expected item that it matches, if there is one.
fn staying(expected: &[Line], got: &[Line], of: &[usize]) -> Vec<Option<usize>> {
    let whats = |lines: &[Line]| lines.iter().map(|line| line.what.clone()).collect::<Vec<_>>();
    let mut stays = vec![None; got.len()];
    for op in capture_diff_slices(Algorithm::Myers, &whats(expected), &whats(got)) {
        if let DiffOp::Equal { old_index, new_index, len } = op {
            (0..len).for_each(|nth| stays[new_index + nth] = Some(of[old_index + nth]));
        }
    }
    // A repetition of the previous line belongs to the same item.
    for nth in 1..got.len() {
        if stays[nth].is_none() && got[nth] == got[nth - 1] {
            stays[nth] = stays[nth - 1];
        }
    }
    stays
}
