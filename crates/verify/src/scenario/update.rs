//! Writes observed values into a scenario file. Only differing values are replaced; comments and everything else stay.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde_json::Value as Json;
use similar::{Algorithm, DiffOp, capture_diff_slices};
use yaml_edit::{Document, Mapping, Sequence, YamlFile, YamlNode};

use super::decode::{plain, times};
use super::expect::{self, Section, YamlText};
use super::script::{Line, Scenario, Suite};
use super::world::Observed;
use snorri_definition::diagnostic::Problems;
use snorri_definition::source;

/// The updated text of a file.
#[derive(Debug)]
pub struct Updated {
    pub text: String,
    /// The scenarios that were changed.
    pub changed: Vec<String>,
    /// The scenarios that differ and were left, because they have no lines of their own: they are in braces, or aliases.
    pub left: Vec<String>,
}

/// Updates the text of a file with the observations of `runs`. Returns the same text if there are no differences.
pub fn updated(source: &str, runs: &[(&Scenario, &Observed)]) -> Updated {
    let text = plain(source);
    let file = YamlFile::from_str(text).ok();
    let editable = file.as_ref().and_then(editable).unwrap_or_default();
    let (mut changed, mut left) = (Vec::new(), Vec::new());
    for (scenario, observed) in runs {
        let differing = expect::differing(scenario, observed);
        if scenario.expected.is_some() && differing.is_empty() {
            continue;
        }
        match editable.get(&scenario.name) {
            Some(own) => {
                edit(own, scenario, observed, &differing);
                changed.push(scenario.name.clone());
            }
            None => left.push(scenario.name.clone()),
        }
    }
    let text = match file.filter(|_| !changed.is_empty()) {
        Some(file) => format!("{}{file}", &source[..source.len() - text.len()]),
        None => source.to_owned(),
    };
    Updated { text, changed, left }
}

impl Updated {
    /// Whether `suite`, decoded from the updated text, has the observed values, and the rest of the file is that of `source`.
    pub fn is_intended(&self, source: &str, suite: &Suite, runs: &[(&Scenario, &Observed)]) -> bool {
        let is_updated = |scenario: &Scenario| {
            let run = runs.iter().find(|(run, _)| run.name == scenario.name);
            scenario.expects_something()
                && run.is_some_and(|(_, observed)| expect::differing(scenario, observed).is_empty())
        };
        let mut changed = suite.scenarios.iter().filter(|scenario| self.changed.contains(&scenario.name));
        changed.all(is_updated) && self.rest(&self.text) == self.rest(source)
    }

    /// The content of a file without the expectations of the changed scenarios.
    fn rest(&self, source: &str) -> Option<Json> {
        let mut file = source::parse(plain(source), &mut Problems::default())?.to_json();
        for scenario in file.get_mut("scenarios")?.as_array_mut()? {
            if self.changed.iter().any(|name| scenario["name"] == **name) {
                scenario.as_object_mut()?.remove("expect");
            }
        }
        Some(file)
    }
}

/// The scenarios with lines of their own, by name.
fn editable(file: &YamlFile) -> Option<BTreeMap<String, Mapping>> {
    let scenarios = file.document()?.get_sequence("scenarios")?;
    let named = |node: YamlNode| {
        let own = node.as_mapping().filter(|own| !own.is_flow_style())?;
        Some((text_of(&own.get("name")?)?, own.clone()))
    };
    Some(scenarios.values().filter_map(named).collect())
}

/// Writes the values that differ into a scenario.
fn edit(own: &Mapping, scenario: &Scenario, observed: &Observed, differing: &[Section]) {
    let mut present = expect::sections(scenario, observed);
    present.retain(|section| section.got != YamlText::Absent);
    let has_lines = |section: &Section| section.got.compact(section.key).len() > 1;
    let fits = |expect: &Mapping| !expect.is_flow_style() || !differing.iter().any(has_lines);
    let expect = own.get_mapping("expect").filter(|expect| fits(expect) && !present.is_empty());
    let Some(expect) = expect else {
        // It is absent or an alias, or its values do not fit between braces.
        if present.is_empty() {
            present = expect::worth_expecting(observed);
        }
        let lines = present.iter().flat_map(|section| section.got.compact(section.key));
        set(own, "expect", &lines.map(|line| format!("\n  {line}")).collect::<String>());
        return;
    };
    for section in differing {
        let list = expect.get_sequence(section.key).filter(|list| !list.is_flow_style());
        let lines = scenario.expected.as_ref().and_then(|all| expect::lines(section.key, all, observed));
        if let (Some(list), Some((expected, got))) = (list, lines)
            && edit_list(&list, expected, &got).is_some()
        {
            continue;
        }
        match section.got {
            YamlText::Absent => drop(expect.remove(section.key)),
            _ => {
                let text = section.got.compact(section.key).join("\n");
                set(&expect, section.key, &text[section.key.len() + 1..]);
            }
        }
    }
}

/// Sets a key to a value that is given as text, on the line of the key or below it.
fn set(mapping: &Mapping, key: &str, text: &str) {
    if let Some(value) = Document::from_str(&format!("x:{text}")).ok().and_then(|document| document.get("x"))
    {
        mapping.set(key, value);
    }
}

/// Replaces the differing items of a list that has lines. `None`: there are no items that could stay.
fn edit_list(list: &Sequence, expected: &[Line], got: &[Line]) -> Option<()> {
    let names: Option<Vec<_>> = list.values().map(|item| name_of(&item)).collect();
    let times: Vec<_> = names?.iter().map(|name| times(name).1).collect();
    // For each expected line its item.
    let of: Vec<usize> = times.iter().enumerate().flat_map(|(nth, times)| vec![nth; *times]).collect();
    if got.is_empty() || of.len() != expected.len() {
        return None;
    }
    let stays = staying(expected, got, &of);
    // The items before `next` are done, and `at` is its position in the new list.
    let (mut next, mut at, mut from) = (0, 0, 0);
    while let Some(item) = stays.get(from) {
        let until = from + stays[from..].iter().take_while(|other| *other == item).count();
        let mut fresh = expect::items(&got[from..until]).into_iter();
        if let Some(nth) = item.filter(|nth| *nth >= next) {
            (next..nth).for_each(|_| drop(list.remove(at)));
            next = nth + 1;
            let begins = of.iter().position(|of| *of == nth)?;
            if expected[begins..begins + times[nth]] == got[from..until] {
                fresh = Vec::new().into_iter();
            } else if let Some(new) = fresh.next() {
                replace(list, at, parsed(&new)?);
            }
            at += 1;
        }
        for new in fresh {
            list.insert(at, parsed(&new)?);
            at += 1;
        }
        from = until;
    }
    (next..times.len()).for_each(|_| drop(list.remove(at)));
    Some(())
}

/// Replaces an item. A name and its payload are replaced one by one, so that comments stay.
fn replace(list: &Sequence, at: usize, new: YamlNode) {
    let fields =
        |node: &YamlNode| node.as_mapping().and_then(|fields| Some((fields.clone(), fields.iter().next()?)));
    match (list.get(at).as_ref().and_then(fields), fields(&new)) {
        (Some((old, (from, _))), Some((_, (to, value)))) => {
            if from != to {
                old.rename_key(from, &to);
            }
            old.set(to, value);
        }
        _ => drop(list.set(at, new)),
    }
}

/// An item of a list from its text.
fn parsed(item: &str) -> Option<YamlNode> {
    Document::from_str(&format!("- {item}")).ok()?.as_sequence()?.first()
}

/// The name of a command or an event in an item, with its number of repetitions.
fn name_of(item: &YamlNode) -> Option<String> {
    let fields = item.as_mapping();
    text_of(&fields.map_or(Some(item.clone()), |fields| fields.keys().next())?)
}

fn text_of(node: &YamlNode) -> Option<String> {
    Some(node.as_scalar()?.as_string())
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
