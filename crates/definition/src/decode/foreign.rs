//! Keywords of other workflow languages, each with its counterpart here, if there is one.

/// Keys of other languages, and what to do instead.
struct Foreign {
    keys: &'static [&'static str],
    /// What a saga cannot do, as in "a saga cannot ...". `None`: it can, with another keyword.
    cannot: Option<&'static str>,
    help: &'static str,
}

const GOTO: Foreign = Foreign {
    keys: &["goto", "go_to", "next", "jump", "transition", "Next"],
    cannot: Some("continue at another step than the next one"),
    help: "steps run once each, in the order written: decide with `choice`, and to begin again start a new saga, by an event or a \
           schedule under `start`",
};
const LOOP: Foreign = Foreign {
    keys: &["while", "until", "loop", "repeat", "do_while", "times", "range", "for", "count"],
    cannot: Some("repeat steps a number of times, or until something is true"),
    help: "write `for_each` over a list of the input or of an output; a participant that polls does so on its own, and replies in the \
           end",
};
const FIRST_OF: Foreign = Foreign {
    keys: &["any", "any_of", "anyOf", "first", "first_of", "race", "one_of", "oneOf", "select"],
    cannot: Some("wait for the first of several signals or events"),
    help: "a `wait` is for one signal or one event: let one event carry in its body which of them it is, and decide with `choice` after it",
};
const CATCH: Foreign = Foreign {
    keys: &["try", "catch", "rescue", "finally", "on_error", "on_failure", "onErrors", "fallback", "Catch"],
    cannot: Some("catch the failure of a step"),
    help: "the failure of a step rolls the saga back automatically; a step that the saga can do without is `optional: true`, and a \
           `choice` after it can test `name.output == null`",
};
const WORDS: [Foreign; 7] = [
    Foreign {
        keys: &["if", "switch", "case", "condition"],
        cannot: None,
        help: "write `choice: [{ when: ..., steps: [...] }]`",
    },
    Foreign {
        keys: &["fork", "concurrent", "branches", "all"],
        cannot: None,
        help: "write `parallel: [[...], [...]]`",
    },
    Foreign {
        keys: &["foreach", "forEach", "map", "each"],
        cannot: None,
        help: "write `for_each: ${ input.items }`",
    },
    Foreign { keys: &["delay", "pause", "timer"], cannot: None, help: "write `sleep: 10m`" },
    Foreign { keys: &["emit", "raise", "notify"], cannot: None, help: "write `publish: order.placed`" },
    Foreign {
        keys: &["subflow", "workflow", "sub_workflow", "child"],
        cannot: None,
        help: "write `saga: fraud-check` and its `version`",
    },
    Foreign {
        keys: &["call", "task", "action", "activity", "invoke", "function"],
        cannot: None,
        help: "write `command: inventory.reserve`, which a participant carries out",
    },
];

/// The message and the help for a step that has a keyword of another language.
pub(super) fn step(key: &str) -> Option<(String, &'static str)> {
    let foreign = all().find(|foreign| foreign.keys.contains(&key))?;
    let message = match foreign.cannot {
        Some(cannot) => format!("a saga cannot {cannot}"),
        None => format!("a step has no `{key}`"),
    };
    Some((message, foreign.help))
}

/// The help for a key that is unknown in a mapping that `takes` others: a step, or `wait`.
pub(super) fn help(key: &str, takes: impl Fn(&str) -> bool) -> Option<String> {
    let applicable: &[&Foreign] = match () {
        () if takes("signal") => &[&FIRST_OF],
        () if takes("name") => &[&GOTO, &LOOP, &CATCH],
        () => &[],
    };
    let foreign = applicable.iter().find(|foreign| foreign.keys.contains(&key))?;
    let cannot = foreign.cannot.unwrap_or_default();
    Some(format!("a saga cannot {cannot}; {}", foreign.help))
}

/// Whether a key under `wait` names several things.
pub(super) fn is_several(key: &str) -> bool {
    FIRST_OF.keys.contains(&key)
}

fn all() -> impl Iterator<Item = &'static Foreign> {
    [&GOTO, &LOOP, &FIRST_OF, &CATCH].into_iter().chain(&WORDS)
}
