//! `cargo bench -p snorri-engine --bench hot_path`: time and allocations of the work that each saga needs, without IO.
//! `make instructions` counts the instructions, which do not depend on how busy the machine is.
//!
//! Each figure is for one whole order saga of three steps, or for one fan-out.

use std::hint::black_box;
use std::sync::{Arc, LazyLock};

use divan::{AllocProfiler, Bencher};
use serde_json::{Value, json};
use snorri_core::input::{Reply, ReplyResult};
use snorri_core::transition::Decision;
use snorri_core::{Entry, Input, Message, SagaId, State, Time, advance_state, transition};
use snorri_definition::{Compiled, compile};
use snorri_engine::lane::batch::{BatchBuilder, Before};
use snorri_wire::envelope::{Key, Keyring, SECRET_BYTES, Wire};
use snorri_wire::message::{Delivery, Properties};
use snorri_wire::topology::Names;
use uuid::Uuid;

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

const NOW: Time = Time(1_700_000_000_000);

const FAN_OUT: &str = "
saga: fan-out
version: 1
defaults: { exchange: shop.commands }
steps:
  - name: each
    for_each: ${ input.items }
    as: item
    steps:
      - name: pack
        command: warehouse.pack
        compensate: none
";

fn main() {
    divan::main();
}

/// A saga with all that came in and went out.
struct Played {
    definition: Arc<Compiled>,
    wire: Wire,
    inputs: Vec<Input>,
    journal: Vec<Entry>,
    messages: Vec<Message>,
    replies: Vec<Delivery>,
}

static ORDER: LazyLock<Played> = LazyLock::new(|| {
    let order = json!({"orderId": "order-4711", "amount": 1_999, "items": ["book", "pen"]});
    Played::new(include_str!("../../../sagas/order.yaml"), order)
});

fn fan_out(items: u32) -> Played {
    Played::new(FAN_OUT, json!({"items": (0..items).collect::<Vec<_>>()}))
}

fn saga() -> SagaId {
    SagaId(Uuid::from_u128(0x018f_3c9e_1111_7222_8333_4444_5555_6666))
}

impl Played {
    /// Every command succeeds at once.
    fn new(source: &str, input: Value) -> Self {
        let definition = Arc::new(compile("saga.yaml", source).expect("a definition"));
        let wire = Wire::new(Names::new("snorri"), Keyring::new(Key::new(&[7; SECRET_BYTES]).into()));
        let start = Input::Start(Box::new(definition.definition.start(Arc::new(input))));
        let (inputs, journal, messages, replies) = Default::default();
        let mut played = Self { definition, wire, inputs, journal, messages, replies };
        let mut state = State::new(saga());
        let mut open = vec![start];
        while !open.is_empty() {
            let mut next = Vec::new();
            for input in open {
                let decision = transition(&played.definition.definition, &state, &input, NOW)
                    .expect("an accepted input");
                played.inputs.push(input);
                next.extend(played.answer(&decision));
                state = decision.state;
                played.journal.push(decision.entry);
                played.messages.extend(decision.messages);
            }
            open = next;
        }
        assert!(state.ended.is_some(), "the saga has not ended");
        played
    }

    fn answer(&mut self, decision: &Decision) -> Vec<Input> {
        let output = Arc::new(json!({"reservationId": "r-1", "paymentId": "p-1", "trackingId": "t-1"}));
        let mut inputs = Vec::new();
        for message in &decision.messages {
            let Message::Command(command) = message else { continue };
            let attempt = command.attempt();
            self.replies.push(Delivery {
                properties: Properties {
                    kind: Some("success".to_owned()),
                    correlation_id: Some(self.wire.correlation_id(saga(), &attempt)),
                    ..Properties::default()
                },
                body: output.to_string().into_bytes(),
                ..Delivery::default()
            });
            let result = ReplyResult::Success(Arc::clone(&output));
            inputs.push(Input::Reply(Reply { attempt, result }));
        }
        inputs
    }
}

#[divan::bench]
fn transition_of_an_order(bencher: Bencher<'_, '_>) {
    let order = &*ORDER;
    bencher.bench(|| counted(|| decide(order)));
}

#[divan::bench(args = [10, 100])]
fn transition_of_a_fan_out(bencher: Bencher<'_, '_>, items: u32) {
    let played = fan_out(items);
    bencher.bench(|| counted(|| decide(&played)));
}

#[divan::bench]
fn replay(bencher: Bencher<'_, '_>) {
    let order = &*ORDER;
    bencher.bench(|| counted(|| State::replay(saga(), black_box(&order.journal))));
}

#[divan::bench]
fn encode_messages(bencher: Bencher<'_, '_>) {
    let order = &*ORDER;
    bencher.bench(|| {
        counted(|| {
            for message in &order.messages {
                black_box(order.wire.publication(black_box(message)));
            }
        });
    });
}

#[divan::bench]
fn decode_replies(bencher: Bencher<'_, '_>) {
    let order = &*ORDER;
    bencher.bench(|| {
        counted(|| {
            for reply in &order.replies {
                black_box(order.wire.decode_reply(black_box(reply)).expect("a reply"));
            }
        });
    });
}

#[divan::bench]
fn encode_journal(bencher: Bencher<'_, '_>) {
    let order = &*ORDER;
    bencher.bench(|| {
        counted(|| {
            for entry in &order.journal {
                black_box(serde_json::to_string(black_box(entry)).expect("JSON"));
            }
        });
    });
}

/// The decisions are part of it, because a batch takes their consequences.
#[divan::bench]
fn decide_into_a_batch(bencher: Bencher<'_, '_>) {
    let order = &*ORDER;
    bencher.bench(|| {
        counted(|| {
            let mut batch = BatchBuilder::default();
            let mut state = State::new(saga());
            for input in &order.inputs {
                let before = Before::of(&state, None);
                let consequences =
                    advance_state(&order.definition.definition, &mut state, input, NOW).expect("accepted");
                batch.add(before, &state, None, consequences);
            }
            black_box(batch.take_messages());
            batch.into_batch()
        })
    });
}

/// The instructions within are those that `make instructions` counts.
#[inline(never)]
fn counted<T>(work: impl FnOnce() -> T) -> T {
    work()
}

fn decide(played: &Played) -> State {
    let mut state = State::new(saga());
    for input in &played.inputs {
        let input = black_box(input);
        black_box(
            advance_state(&played.definition.definition, &mut state, input, NOW).expect("an accepted input"),
        );
    }
    state
}
