//! Whatever JSON an edge accepts, every reader inside can read, and reads it unchanged: the journal of each store, the API, the participants' commands, and a child saga.

use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};
use snorri_core::input::{Attempt, Intervention, Reply, ReplyResult, Resolution};
use snorri_core::journal::{EventSource, ReceivedEvent};
use snorri_core::json::{check, read};
use snorri_core::{
    Direction, Entry, Input, MAX_PAYLOAD_DEPTH, Message, PAYLOAD_LIMITS, SagaId, State, StepPath, Time,
    transition,
};
use snorri_definition::{Compiled, compile};
use snorri_ports::broker::{Delivery, HeaderValue, Properties};
use snorri_ports::store::{Appended, Batch, ChangedSaga, SagaRow, Store};
use snorri_store::Options;
use snorri_store::SqlStore;
use snorri_wire::envelope::{Key, Keyring, SECRET_BYTES, Wire, decode_signal, decode_start};
use snorri_wire::topology::Names;
use testkit::MemoryStore;
use uuid::Uuid;

/// What it sends and stores wraps what it is given: by nothing, and by some levels.
const DEFINITION: &str = r#"
saga: document
version: 1
defaults: { exchange: documents, timeout: 1m, retry: { attempts: 1, backoff: 1s } }
steps:
  - name: store
    command: store
    payload: "${ input.tree }"
    compensate: { command: drop, payload: { of: "${ store.output }" } }
  - name: wrapped
    command: store
    payload: { a: [{ b: "${ store.output }" }, "text ${ size(string(1)) }"] }
    compensate: none
  - name: part
    saga: part
    version: 1
    input: { tree: { again: "${ store.output }" } }
  - name: approval
    wait: { signal: approved }
    timeout: 1h
    on_timeout: fail
  - name: each
    for_each: "${ [approval.output, input.tree] }"
    steps:
      - name: one
        command: store
        payload: "${ item }"
        compensate: none
output: { approval: "${ approval.output }", each: "${ each.output }" }
"#;

/// Numbers as people write them: short and long, exact and not.
fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<i64>().prop_map(|number| number.to_string()),
        any::<u64>().prop_map(|number| number.to_string()),
        "-?(0|[1-9][0-9]{0,24})",
        "-?(0|[1-9][0-9]{0,18})\\.[0-9]{1,22}",
        "-?[1-9](\\.[0-9]{1,17})?[eE][+-]?[0-9]{1,3}",
        any::<f64>()
            .prop_filter("JSON has no other", |number| number.is_finite())
            .prop_map(|number| format!("{number:e}")),
    ]
}

/// A text with any characters, escaped or not.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>().prop_map(|text| Value::String(text).to_string()),
        Just(r#""\u0000\u0001\ud83e\udd80\u202e\ufeff""#.to_owned()),
        "[a-z0-9]{0,8}".prop_map(|text| Value::String(text).to_string()),
    ]
}

fn document() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![number(), text(), Just("null".to_owned()), Just("true".to_owned())];
    let tree = leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(", "))),
            vec(("[a-f/~]{1,2}", inner), 0..4).prop_map(|fields| {
                let fields = fields.iter().map(|(name, field)| format!("\"{name}\": {field}"));
                format!("{{{}}}", fields.collect::<Vec<_>>().join(", "))
            }),
        ]
    });
    // As deep as is accepted, and deeper.
    (tree, prop_oneof![3 => Just(0), 1 => 1..10_usize, 2 => MAX_PAYLOAD_DEPTH - 9..MAX_PAYLOAD_DEPTH + 3, 1 => 100..200_usize])
        .prop_map(|(tree, levels)| format!("{}{tree}{}", "{\"a\":[".repeat(levels / 2), "]}".repeat(levels / 2)))
}

fn delivery(kind: &str, body: &str) -> Delivery {
    let text = |text: &str| HeaderValue::Text(text.to_owned());
    let headers =
        [("snorri-definition".to_owned(), text("document")), ("snorri-key".to_owned(), text("d-1"))];
    Delivery {
        exchange: "documents".to_owned(),
        routing_key: "stored".to_owned(),
        properties: Properties {
            kind: Some(kind.to_owned()),
            headers: headers.into(),
            ..Properties::default()
        },
        body: body.as_bytes().to_vec(),
        ..Delivery::default()
    }
}

fn wire() -> Wire {
    Wire::new(Names::new("snorri"), Keyring::new(Key::new(&[7; SECRET_BYTES]).into()))
}

/// What the edges make of a body: all of them the same.
fn accepted(body: &str) -> Option<Value> {
    let value = read(body.as_bytes(), PAYLOAD_LIMITS).ok();
    assert_eq!(decode_start(&delivery("document", body)).ok().map(|start| start.input), value);
    // A signal or an event that carries nothing is an empty object.
    let carried = value.clone().map(|value| if value.is_null() { json!({}) } else { value });
    assert_eq!(decode_signal(&delivery("approved", body)).ok().map(|signal| signal.arrival.body), carried);
    assert_eq!(wire().decode_event(&delivery("stored", body)).ok().map(|arrival| arrival.body), carried);
    value
}

/// A saga whose inputs all carry the value, and all that was stored and sent of it.
struct Played {
    id: SagaId,
    entries: Vec<Entry>,
    messages: Vec<Message>,
    state: State,
}

fn play(compiled: &Compiled, value: &Value) -> Played {
    let id = SagaId(Uuid::now_v7());
    let mut played = Played { id, entries: Vec::new(), messages: Vec::new(), state: State::new(id) };
    let value = Arc::new(value.clone());
    let reply = |step: StepPath| {
        let attempt = Attempt { step, direction: Direction::Forward, number: 1 };
        Input::Reply(Reply { attempt, result: ReplyResult::Success(Arc::clone(&value)) })
    };
    let step = |name: &str| StepPath::at(name.to_owned(), &[]);
    let source = EventSource::Signal("approved".into());
    let inputs = [
        Input::Start(Box::new(compiled.definition.start(Arc::new(json!({ "tree": *value }))))),
        reply(step("store")),
        reply(step("wrapped")),
        reply(step("part")),
        Input::Event(Arc::new(ReceivedEvent { source, id: None, body: Value::clone(&value) })),
        reply(StepPath::at("one".to_owned(), &[0])),
        reply(StepPath::at("one".to_owned(), &[1])),
        Input::Intervene {
            action: Intervention::Resolve {
                step: step("store"),
                outcome: Resolution::Succeeded(Arc::clone(&value)),
            },
            by: crate::saga::by(),
        },
    ];
    for input in inputs {
        // What a wrapping makes too deep ends the saga early.
        let Ok(decision) = transition(&compiled.definition, &played.state, &input, Time(0)) else { continue };
        played.entries.push(decision.entry);
        played.messages.extend(decision.messages);
        played.state = decision.state;
    }
    played
}

async fn check_store(store: &dyn Store, played: &Played) {
    let numbered = (1..).zip(&played.entries);
    let entries = numbered
        .map(|(seq, entry)| Appended { saga: played.id, started_at: Time(0), seq, entry: entry.clone() })
        .collect();
    let row = SagaRow {
        id: played.id,
        definition: "document".into(),
        version: 1,
        key: None,
        status: played.state.status(),
        started_at: Time(0),
        changed_at: Time(0),
        paused: false,
    };
    let sagas = vec![ChangedSaga { row, is_new: true, timer: None }];
    store.commit(Batch { entries, sagas, ..Batch::default() }).await.expect("it can be stored");
    let journals = store.load(&[played.id]).await.expect("it can be read").journals;
    assert_eq!(journals[&played.id], played.entries);
    assert_eq!(State::replay(played.id, &journals[&played.id]), played.state);
}

/// What leaves: to participants, to a child, to the API.
fn check_readers(played: &Played, value: &Value) {
    for message in &played.messages {
        let sent = match message {
            Message::Command(command) => &command.payload,
            Message::ChildCommand(order) => &order.input,
            _ => continue,
        };
        let received = read(sent.get().as_bytes(), PAYLOAD_LIMITS).expect("every reader reads it");
        assert_eq!(check(&received, PAYLOAD_LIMITS), Ok(()), "a child takes it");
    }
    let Some(Message::Command(first)) = played.messages.first() else {
        panic!("the value itself is always sent")
    };
    assert_eq!(&read(first.payload.get().as_bytes(), PAYLOAD_LIMITS).expect("JSON"), value);
    let entries = serde_json::to_value(&played.entries).expect("JSON");
    let shown = json!({ "page": { "entries": entries } }).to_string();
    let read: Value = serde_json::from_str(&shown).expect("what is shown can be read");
    assert_eq!(read["page"]["entries"], entries);
}

#[test]
fn what_an_edge_accepts_every_reader_reads() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let directory = tempfile::tempdir().expect("a directory");
    let url = format!("sqlite://{}?mode=rwc", directory.path().join("snorri.db").display());
    let sqlite = runtime.block_on(SqlStore::connect(&Options::new(url.as_str()))).expect("a store");
    let compiled = compile("document.yaml", DEFINITION).expect("a definition");
    let config = ProptestConfig { cases: crate::config().cases.min(300), ..crate::config() };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let ran = runner.run(&document(), |body| {
        let Some(value) = accepted(&body) else { return Ok(()) };
        // The input has it one level deeper.
        let value =
            if check(&json!({ "tree": value }), PAYLOAD_LIMITS).is_ok() { value } else { return Ok(()) };
        let played = play(&compiled, &value);
        check_readers(&played, &value);
        runtime.block_on(check_store(&MemoryStore::new(), &played));
        runtime.block_on(check_store(&sqlite, &played));
        Ok(())
    });
    ran.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn the_deepest_document_is_accepted_and_one_deeper_is_not() {
    let nested = |levels: usize| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
    assert!(accepted(&nested(MAX_PAYLOAD_DEPTH)).is_some());
    assert!(accepted(&nested(MAX_PAYLOAD_DEPTH + 1)).is_none());
}
