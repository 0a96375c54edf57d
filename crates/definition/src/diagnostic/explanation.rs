//! The explanation of each code: what is wrong, what it leads to, and what to do.
//!
//! Each explanation is a file of `explanations/`: its first line is the title, and definitions in it are fenced as `yaml wrong`
//! and `yaml right`.

use serde::Serialize;

use crate::diagnostic::suggest;

/// The explanation of one code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Explanation {
    pub code: &'static str,
    pub title: &'static str,
    /// Whether it is an error or a warning, for people.
    pub severity: &'static str,
    /// Markdown, without the title.
    pub text: &'static str,
}

/// A part of an explanation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExplanationPart<'a> {
    Prose(&'a str),
    /// A definition that has the mistake.
    Wrong(&'a str),
    /// The corrected definition.
    Right(&'a str),
}

/// Lists the files in order, a line for each.
macro_rules! files {
    ($($code:literal)*) => {
        const FILES: &[(&str, &str)] = &[$(($code, include_str!(concat!("explanations/", $code, ".md")))),*];
    };
}

files! {
    "E0100"
    "E0101"
    "E0102"
    "E0103"
    "E0104"
    "E0105"

    "E0201"
    "E0202"
    "E0203"
    "E0205"
    "E0206"
    "E0207"
    "E0208"

    "E0301"
    "E0302"
    "E0303"
    "E0304"
    "E0305"
    "E0306"
    "E0307"
    "E0308"
    "E0309"
    "E0310"
    "E0311"
    "E0312"
    "E0313"
    "E0314"
    "E0315"
    "E0316"
    "E0317"
    "E0318"
    "E0319"
    "E0320"
    "E0321"
    "E0322"
    "E0323"
    "E0324"
    "E0325"
    "E0326"
    "E0340"
    "E0341"
    "E0342"
    "E0343"
    "E0344"
    "E0345"
    "E0346"

    "E0401"
    "E0402"
    "E0403"
    "E0404"
    "E0405"
    "E0406"
    "E0407"
    "E0408"
    "E0409"
    "E0410"
    "E0411"
    "E0412"
    "E0413"
    "E0414"
    "E0415"
    "E0416"
    "E0417"
    "E0418"

    "E0501"
    "E0502"
    "E0503"
    "E0504"

    "E0601"
    "E0602"
    "E0603"
    "E0604"
    "E0605"
    "E0606"
    "E0607"
    "E0608"
    "E0609"
    "E0610"
    "E0611"
    "E0612"
    "E0613"
    "E0614"
    "E0615"
    "E0616"

    "E0701"
    "E0702"
    "E0703"
    "E0704"
    "E0705"
    "E0706"
    "E0707"

    "E0801"
    "E0802"
    "E0803"
    "E0804"
    "E0805"
    "E0806"
    "E0807"
    "E0808"
}

/// Codes that are always warnings.
const WARNINGS: [&str; 18] = [
    "E0104", "E0314", "E0316", "E0317", "E0320", "E0322", "E0326", "E0342", "E0344", "E0345", "E0411",
    "E0414", "E0417", "E0418", "E0504", "E0612", "E0807", "E0808",
];
/// Codes that are errors in some places and warnings in others.
const EITHER: [&str; 7] = ["E0315", "E0323", "E0408", "E0413", "E0415", "E0416", "E0802"];

/// All explanations, by code.
pub fn explanations() -> impl Iterator<Item = Explanation> {
    FILES.iter().map(|(code, file)| {
        let (title, text) = file.split_once('\n').unwrap_or((file, ""));
        Explanation {
            code,
            title: title.trim_start_matches('#').trim(),
            severity: severity(code),
            text: text.trim(),
        }
    })
}

fn severity(code: &str) -> &'static str {
    match code {
        _ if WARNINGS.contains(&code) => "warning",
        _ if EITHER.contains(&code) => "error or warning",
        _ => "error",
    }
}

/// Finds the explanation of a code, or else a similar code. Also accepts `e303` and `303`.
pub fn explain(code: &str) -> Result<Explanation, Option<&'static str>> {
    let digits = code.trim().trim_start_matches(['e', 'E']);
    let code = format!("E{digits:0>4}");
    let found = explanations().find(|explanation| explanation.code == code);
    found.ok_or_else(|| suggest::nearest(&code, FILES.iter().map(|(code, _)| *code)))
}

impl Explanation {
    /// Its parts in order.
    pub fn parts(&self) -> Vec<ExplanationPart<'static>> {
        let mut parts = Vec::new();
        for (index, piece) in self.text.split("```").enumerate() {
            // Every second piece is within a fence.
            let part = match piece.split_once('\n') {
                Some(("yaml wrong", yaml)) if index % 2 == 1 => ExplanationPart::Wrong(yaml),
                Some(("yaml right", yaml)) if index % 2 == 1 => ExplanationPart::Right(yaml),
                _ => ExplanationPart::Prose(piece.trim()),
            };
            if part != ExplanationPart::Prose("") {
                parts.push(part);
            }
        }
        parts
    }
}
