//! The links of the OpenAPI document: the operations that can follow a response, and their parameters.

use serde_json::{Value, json};

/// The fields of a response that are parameters of following operations.
struct Link {
    from: &'static str,
    statuses: &'static [&'static str],
    to: &'static [&'static str],
    /// Parameters of the following operation, and their places in the response.
    parameters: &'static [(&'static str, &'static str)],
    /// Fields of the body of the following operation, and their places in the response.
    body: &'static [(&'static str, &'static str)],
}

const OF_A_SAGA: &[&str] = &[
    "get_saga",
    "get_journal",
    "wait_for_saga",
    "watch_saga",
    "cancel_saga",
    "pause_saga",
    "resume_saga",
    "retry_saga",
    "resolve_saga",
    "skip_saga",
    "rollback_saga",
    "raise_limits",
    "abandon_saga",
    "signal_saga",
    "restart_saga",
    "migrate_saga",
];
const OF_A_VERSION: &[&str] =
    &["get_version", "get_source", "get_input_schema", "activate_version", "deactivate_version"];
const OF_A_LETTER: &[&str] = &["get_dead_letter", "replay_dead_letter", "discard_dead_letter"];

const LINKS: &[Link] = &[
    Link {
        from: "start_saga",
        statuses: &["200", "201"],
        to: OF_A_SAGA,
        parameters: &[("id", "$response.body#/id")],
        body: &[],
    },
    Link {
        from: "restart_saga",
        statuses: &["200", "201"],
        to: OF_A_SAGA,
        parameters: &[("id", "$response.body#/id")],
        body: &[],
    },
    Link {
        from: "list_sagas",
        statuses: &["200"],
        to: OF_A_SAGA,
        parameters: &[("id", "$response.body#/sagas/0/id")],
        body: &[],
    },
    Link {
        from: "list_sagas",
        statuses: &["200"],
        to: &["list_sagas"],
        parameters: &[("after", "$response.body#/next")],
        body: &[],
    },
    Link {
        from: "get_saga",
        statuses: &["200"],
        to: &["cancel_saga", "pause_saga", "resume_saga", "rollback_saga", "abandon_saga", "migrate_saga"],
        parameters: &[("id", "$response.body#/id"), ("if-match", "$response.header.etag")],
        body: &[],
    },
    Link {
        from: "get_saga",
        statuses: &["200"],
        to: &["retry_saga", "resolve_saga", "skip_saga"],
        parameters: &[("id", "$response.body#/id"), ("if-match", "$response.header.etag")],
        body: &[("step", "$response.body#/incidents/0/step")],
    },
    Link {
        from: "get_saga",
        statuses: &["200"],
        to: &["restart_saga"],
        parameters: &[("id", "$response.body#/id")],
        body: &[("from", "$response.body#/steps/0/step")],
    },
    Link {
        from: "pause_saga",
        statuses: &["200"],
        to: &["resume_saga", "get_saga"],
        parameters: &[("id", "$response.body#/saga/id")],
        body: &[],
    },
    Link {
        from: "register_definition",
        statuses: &["200", "201"],
        to: OF_A_VERSION,
        parameters: &[("name", "$response.body#/name"), ("version", "$response.body#/version")],
        body: &[],
    },
    Link {
        from: "register_definition",
        statuses: &["200", "201"],
        to: &["get_definition"],
        parameters: &[("name", "$response.body#/name")],
        body: &[],
    },
    Link {
        from: "register_definition",
        statuses: &["200", "201"],
        to: &["start_saga"],
        parameters: &[],
        body: &[("definition", "$response.body#/name")],
    },
    Link {
        from: "list_definitions",
        statuses: &["200"],
        to: &["start_saga"],
        parameters: &[],
        body: &[("definition", "$response.body#/definitions/0/name")],
    },
    Link {
        from: "list_definitions",
        statuses: &["200"],
        to: OF_A_VERSION,
        parameters: &[
            ("name", "$response.body#/definitions/0/name"),
            ("version", "$response.body#/definitions/0/versions/0/version"),
        ],
        body: &[],
    },
    Link {
        from: "list_definitions",
        statuses: &["200"],
        to: &["get_definition", "get_diff"],
        parameters: &[("name", "$response.body#/definitions/0/name")],
        body: &[],
    },
    Link {
        from: "list_dead_letters",
        statuses: &["200"],
        to: OF_A_LETTER,
        parameters: &[("id", "$response.body#/dead_letters/0/id")],
        body: &[],
    },
    Link {
        from: "list_dead_letters",
        statuses: &["200"],
        to: &["list_dead_letters"],
        parameters: &[("after", "$response.body#/next")],
        body: &[],
    },
    Link {
        from: "list_audit",
        statuses: &["200"],
        to: &["list_audit"],
        parameters: &[("after", "$response.body#/next")],
        body: &[],
    },
];

/// Adds the links to the operations.
pub(in crate::http) fn add(document: &mut Value) {
    let paths = document["paths"].as_object_mut().into_iter().flat_map(|paths| paths.values_mut());
    let operations = paths.filter_map(Value::as_object_mut).flat_map(|methods| methods.values_mut());
    for operation in operations {
        let id = operation["operationId"].as_str().unwrap_or_default().to_owned();
        for link in LINKS.iter().filter(|link| link.from == id) {
            for status in link.statuses {
                let Some(answer) = operation["responses"].get_mut(status) else { continue };
                for to in link.to {
                    answer["links"][to] = link.to_json(to);
                }
            }
        }
    }
}

impl Link {
    fn to_json(&self, to: &str) -> Value {
        let object = |pairs: &[(&str, &str)]| -> Value {
            pairs.iter().map(|(name, place)| ((*name).to_owned(), Value::from(*place))).collect()
        };
        let mut link = json!({"operationId": to, "parameters": object(self.parameters)});
        if !self.body.is_empty() {
            link["requestBody"] = object(self.body);
        }
        link
    }
}
