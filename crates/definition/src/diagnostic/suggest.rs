//! Suggests valid names for a wrong one.

/// The valid name nearest to `wrong`, if it is near enough.
pub fn nearest<'a>(wrong: &str, right: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // A longer name is not a misspelling, and comparing costs the product of the lengths.
    const LONGEST: usize = 100;
    if wrong.len() > LONGEST {
        return None;
    }
    let plain = |name: &str| name.to_lowercase().replace(['-', '.'], "_");
    let wrong_plain = plain(wrong);
    right
        .into_iter()
        .filter(|name| name.len() <= LONGEST)
        .map(|name| (strsim::damerau_levenshtein(&wrong_plain, &plain(name)), name))
        .filter(|&(distance, name)| distance <= (wrong.len().min(name.len()) / 3).max(1))
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, name)| name)
}

/// "did you mean ...?", or the list of valid names.
pub fn did_you_mean<'a>(wrong: &str, right: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let right: Vec<_> = right.into_iter().collect();
    match nearest(wrong, right.iter().copied()) {
        Some(name) => Some(format!("did you mean `{name}`?")),
        None => (!right.is_empty()).then(|| format!("write {}", one_of(right))),
    }
}

/// `a`, `b` or `c`.
pub fn one_of<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    list(names, "or")
}

/// `a`, `b` and `c`.
pub fn all_of<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    list(names, "and")
}

fn list<'a>(names: impl IntoIterator<Item = &'a str>, last_joined_by: &str) -> String {
    const MOST: usize = 12;
    let names: Vec<_> = names.into_iter().collect();
    let quoted: Vec<_> = names.iter().take(MOST).map(|name| format!("`{name}`")).collect();
    match quoted.as_slice() {
        _ if names.len() > MOST => format!("{}, ...", quoted.join(", ")),
        [] => String::new(),
        [name] => name.clone(),
        [names @ .., last] => format!("{} {last_joined_by} {last}", names.join(", ")),
    }
}
