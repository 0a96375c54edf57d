//! Writes observed values into a scenario file. Only differing values are replaced; comments and everything else stay.

use std::collections::BTreeMap;
use std::ops::Range;

use super::decode::plain;
use super::expect::{self, Section, YamlText};
use super::listed;
use super::script::{ListedItem, Place, Scenario, Spot};
use super::world::Observed;

/// Most characters of a line with an `expect` in braces.
const WIDE: usize = 110;

/// The updated text of a file.
#[derive(Debug)]
pub struct Updated {
    pub text: String,
    /// The scenarios that were changed.
    pub changed: Vec<String>,
    /// The scenarios that differ and were left, because they are written in braces: `expect` has no lines of its own there.
    pub left: Vec<String>,
}

/// Updates the text of a file with the observations of `runs`. Returns the same text if there are no differences.
pub fn updated(source: &str, runs: &[(&Scenario, &Observed)]) -> Updated {
    let text = plain(source);
    // Scenarios that share an `expect` by an alias share its place.
    let mut edits: BTreeMap<usize, (usize, String)> = BTreeMap::new();
    let (mut changed, mut left) = (Vec::new(), Vec::new());
    for (scenario, observed) in runs {
        match edits_of(text, scenario, observed) {
            None => left.push(scenario.name.clone()),
            Some(new) if new.is_empty() => {}
            Some(new) => {
                changed.push(scenario.name.clone());
                new.into_iter().for_each(|(range, new)| {
                    edits.entry(range.start).or_insert((range.end, new));
                });
            }
        }
    }
    let mut written = text.to_owned();
    let mut done_from = text.len();
    for (start, (end, new)) in edits.into_iter().rev().filter(|(start, (end, _))| start <= end) {
        // An edit within another one, which aliases can cause, is left to the next run.
        if end <= done_from {
            written.replace_range(start..end, &new);
            done_from = start;
        }
    }
    let mark = &source[..source.len() - text.len()];
    Updated { text: format!("{mark}{written}"), changed, left }
}

/// `None`: the scenario is in braces, so there is no place for edits.
fn edits_of(text: &str, scenario: &Scenario, observed: &Observed) -> Option<Vec<(Range<usize>, String)>> {
    let place = &scenario.place;
    let differing = expect::differing(scenario, observed);
    if scenario.expected.is_some() && differing.is_empty() {
        return Some(Vec::new());
    }
    if place.in_braces {
        return None;
    }
    let Some(expect) = &place.expect else {
        let extent = extent(text, place.last.start);
        let indent = column(text, place.last.start);
        let new = block(&expect::worth_expecting(observed), indent);
        return Some(vec![(extent.end..extent.end, format!("\n{}{new}", " ".repeat(indent)))]);
    };
    if scenario.expected.is_none() {
        let indent = column(text, expect.key.start);
        let whole = extent(text, expect.key.start);
        return Some(vec![(whole, block(&expect::worth_expecting(observed), indent))]);
    }
    if text.get(expect.value.start..).is_some_and(|value| value.starts_with('{')) {
        let whole = extent(text, expect.key.start);
        let mut all = expect::sections(scenario, observed);
        all.sort_by_key(|section| place.parts.iter().position(|(key, _)| key == section.key));
        let indent = column(text, expect.key.start);
        let comment = comment_behind(text, expect);
        let new = in_braces(&all).map(|line| line + comment).unwrap_or_else(|| block(&all, indent));
        return Some(vec![(whole, new)]);
    }
    let edit = |section| list_edit(text, scenario, observed, section).or_else(|| edit(text, place, section));
    Some(differing.iter().filter_map(edit).collect())
}

/// Replaces the differing items of a list that has lines of its own.
fn list_edit(
    text: &str,
    scenario: &Scenario,
    observed: &Observed,
    Section { key, .. }: &Section,
) -> Option<(Range<usize>, String)> {
    let named = |list: &&(String, Vec<ListedItem>)| list.0 == *key;
    let (_, items) = scenario.place.lists.iter().find(named)?;
    let (_, spot) = scenario.place.parts.iter().find(|(part, _)| part == key)?;
    let (expected, got) = expect::lines(key, scenario.expected.as_ref()?, observed)?;
    let extent = extent(text, spot.key.start);
    let new = listed::rewritten(text, &extent, items, expected, &got)?;
    Some((extent, new))
}

/// Replaces or removes one key of `expect`.
fn edit(text: &str, place: &Place, section: &Section) -> Option<(Range<usize>, String)> {
    let (_, spot) = place.parts.iter().find(|(key, _)| key == section.key)?;
    let extent = extent(text, spot.key.start);
    if section.got == YamlText::Absent && place.parts.len() > 1 {
        // Including the line break before it, unless it is the first key.
        let from = text[..extent.start].rfind('\n').filter(|_| *spot != first(place)).unwrap_or(extent.start);
        let until = if from == extent.start { next_line(text, extent.end) } else { extent.end };
        return Some((from..until, String::new()));
    }
    let indent = " ".repeat(column(text, spot.key.start));
    let mut lines = match &section.got {
        YamlText::Absent => vec![format!("{}: []", section.key)],
        got => got.compact(section.key),
    };
    if let Some(first) = lines.first_mut() {
        first.push_str(comment_behind(text, spot));
    }
    Some((extent, lines.join(&format!("\n{indent}"))))
}

fn first(place: &Place) -> Spot {
    place.parts.iter().map(|(_, spot)| spot).min_by_key(|spot| spot.key.start).cloned().unwrap_or_default()
}

/// The beginning of the key on the next line.
fn next_line(text: &str, from: usize) -> usize {
    let rest = &text[from..];
    from + rest.find(|c: char| !c.is_whitespace()).unwrap_or(rest.len())
}

/// `expect:` and its keys, each on lines of its own.
fn block(sections: &[Section], indent: usize) -> String {
    let present = sections.iter().filter(|section| section.got != YamlText::Absent);
    let lines = present.flat_map(|section| section.got.compact(section.key));
    let indent = " ".repeat(indent + 2);
    ["expect:".to_owned()]
        .into_iter()
        .chain(lines.map(|line| format!("{indent}{line}")))
        .collect::<Vec<_>>()
        .join("\n")
}

/// `expect:` and its keys on one line, if it fits.
fn in_braces(sections: &[Section]) -> Option<String> {
    let present = sections.iter().filter(|section| section.got != YamlText::Absent);
    let lines: Option<Vec<_>> = present
        .map(|section| match section.got.compact(section.key).as_slice() {
            [line] => Some(line.clone()),
            _ => None,
        })
        .collect();
    let line = format!("expect: {{ {} }}", lines?.join(", "));
    (line.chars().count() <= WIDE).then_some(line)
}

/// The comment after a key and its value on their line.
fn comment_behind<'a>(text: &'a str, spot: &Spot) -> &'a str {
    let rest = |from: usize| text.get(from..).and_then(|rest| rest.lines().next()).unwrap_or_default();
    let line_ends = spot.key.end + rest(spot.key.end).len();
    let is_same_line = (spot.key.end..line_ends).contains(&spot.value.start) && !spot.value.is_empty();
    let line = if is_same_line { rest(spot.value.end) } else { rest(spot.key.end).trim_start_matches(':') };
    if line.trim_start().starts_with('#') && line.starts_with(' ') { line } else { "" }
}

/// The column of a key.
fn column(text: &str, at: usize) -> usize {
    at - text[..at].rfind('\n').map_or(0, |end| end + 1)
}

/// From a key to the end of its value: the lines below with a deeper indent. Trailing comments and empty lines are excluded.
fn extent(text: &str, start: usize) -> Range<usize> {
    let column = column(text, start);
    let mut end = start;
    let mut at = start;
    for (nth, line) in text[start..].split_inclusive('\n').enumerate() {
        let content = line.trim_end();
        let trimmed = content.trim_start();
        let indent = content.len() - trimmed.len();
        // A list may have the same indent as its key, and so may the closing brace of a mapping.
        let hangs = indent == column
            && (trimmed.starts_with("- ") || trimmed == "-" || trimmed.starts_with(['}', ']']));
        let belongs = nth == 0 || indent > column || hangs;
        let is_blank = trimmed.is_empty() || (nth > 0 && trimmed.starts_with('#'));
        match belongs {
            _ if is_blank => {}
            true => end = at + content.len(),
            false => break,
        }
        at += line.len();
    }
    start..end
}
