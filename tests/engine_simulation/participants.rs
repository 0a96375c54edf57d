//! The participants: idempotent, tolerant of a compensation that arrives first, and not always available.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use snorri_core::SagaId;
use snorri_ports::broker::{Broker, Delivery, HeaderValue, Properties, Publication, Verdict};
use tokio_util::sync::CancellationToken;
use tower::util::BoxCloneSyncService;

use crate::world::{OUTCOMES, PARTICIPANTS, World};

/// The effects and compensations, by saga and step.
#[derive(Debug, Default)]
pub struct Ledger(Mutex<BTreeMap<(SagaId, String), Effect>>);

/// The effect of one step of one saga.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Effect {
    pub done: bool,
    /// Compensated, whether or not it was done before.
    pub compensated: bool,
    deliveries: [u32; 2],
}

impl Ledger {
    pub fn effect(&self, saga: SagaId, step: &str) -> Effect {
        let effects = self.0.lock().expect("unpoisoned");
        effects.get(&(saga, step.to_owned())).copied().unwrap_or_default()
    }

    fn change<T>(&self, command: &Received, change: impl FnOnce(&mut Effect) -> T) -> T {
        let mut effects = self.0.lock().expect("unpoisoned");
        change(effects.entry((command.saga, command.step.clone())).or_default())
    }
}

/// A command as a participant decodes it.
#[derive(Debug, Clone)]
struct Received {
    saga: SagaId,
    step: String,
    is_compensation: bool,
    delivery: Delivery,
}

/// Runs the participants and the consumer of outcomes until the run ends.
pub async fn serve(world: &Arc<World>) {
    for (queue, is_service) in [(PARTICIPANTS, true), (OUTCOMES, false)] {
        let world = Arc::clone(world);
        tokio::spawn(async move {
            let handling = Arc::clone(&world);
            let handler = tower::service_fn(move |delivery: Delivery| {
                let world = Arc::clone(&handling);
                async move {
                    if is_service {
                        carry_out(&world, delivery).await;
                    } else {
                        let answered = delivery.properties.correlation_id.unwrap_or_default();
                        world.story.record(|| format!("the starter {answered} hears the outcome"));
                        world.outcomes.lock().expect("unpoisoned").insert(answered);
                    }
                    Ok::<_, tower::BoxError>(Verdict::Ack)
                }
            });
            let handler = BoxCloneSyncService::new(handler);
            world.broker.consume(queue, 1_000, handler, CancellationToken::new()).await;
        });
    }
}

/// Steps of which the first may be compensated only after the second.
const ORDER: [(&str, &str); 2] = [("reserve", "charge"), ("authorize", "collect")];

/// The last step is compensated first.
fn check_order(world: &World, command: &Received) {
    let later = ORDER.iter().filter(|(first, _)| command.is_compensation && *first == command.step);
    for (_, later) in later {
        let Effect { done, compensated, .. } = world.ledger.effect(command.saga, later);
        let state = world.watch.state(command.saga);
        let was_helped = state.steps.values().any(|step| step.skipped_by_operator);
        if done && !compensated && !was_helped {
            let name = world.story.name_of(command.saga);
            world.watch.violation(|| format!("{} of {name} is compensated before {later}", command.step));
        }
    }
}

/// How a participant handles one delivery.
enum Manner {
    Answer,
    /// The command is lost.
    Forget,
    /// It is executed, and the reply is lost.
    Silent,
    Late(Duration),
    Twice,
    Error,
    /// The reply cannot be decoded.
    Garbled,
    /// The reply has an invented correlation id.
    Forged,
}

async fn carry_out(world: &World, delivery: Delivery) {
    let command = Received::new(delivery);
    let number = world.ledger.change(&command, |effect| {
        effect.deliveries[usize::from(command.is_compensation)] += 1;
        effect.deliveries[usize::from(command.is_compensation)]
    });
    let name = format!(
        "{} of {}{}",
        world.story.name_of(command.saga),
        if command.is_compensation { "compensate " } else { "" },
        command.step
    );
    let manner = manner(world, &format!("participant: {name}, delivery {number}"));
    let takes = world.fate.rng(&format!("{name} takes {number}")).u64(1..=20);
    tokio::time::sleep(Duration::from_millis(takes)).await;
    if matches!(manner, Manner::Forget) {
        return world.story.record(|| format!("participant loses {name}"));
    }
    if let Manner::Error = manner {
        return reply(world, &command, "error", &json!({ "code": "busy" })).await;
    }
    if is_refused(world, &command, &name, number) {
        world.story.record(|| format!("participant refuses {name}"));
        return reply(world, &command, "failure", &json!({ "code": "refused", "message": "no" })).await;
    }
    check_order(world, &command);
    world.ledger.change(&command, |effect| match command.is_compensation {
        true => effect.compensated = true,
        false => effect.done = true,
    });
    world.story.record(|| format!("participant does {name}, delivery {number}"));
    let output = if command.is_compensation { Value::Null } else { json!({ "step": command.step }) };
    match manner {
        Manner::Silent => return,
        Manner::Late(by) => tokio::time::sleep(by).await,
        Manner::Twice => succeed(world, &command, &output).await,
        Manner::Garbled => return garbled(world, &command).await,
        Manner::Forged => forged(world, &command, &output, &format!("poison: {name} {number}")).await,
        _ => {}
    }
    succeed(world, &command, &output).await;
}

fn manner(world: &World, key: &str) -> Manner {
    let Some(mut rng) = world.fate.strikes(key, world.fate.climate().participants) else {
        return Manner::Answer;
    };
    match rng.u32(..10) {
        0 => Manner::Forget,
        1 | 2 => Manner::Silent,
        3 | 4 => Manner::Late(Duration::from_millis(rng.u64(100..5_000))),
        5 | 6 => Manner::Twice,
        7 => Manner::Error,
        8 => Manner::Garbled,
        _ => Manner::Forged,
    }
}

/// A participant refuses a step permanently, or a compensation for once; never one that it has done, and always one that was
/// compensated before.
fn is_refused(world: &World, command: &Received, name: &str, number: u32) -> bool {
    let odds = world.fate.climate().refusals;
    let Effect { done, compensated, .. } = world.ledger.change(command, |effect| *effect);
    if command.is_compensation {
        return !compensated
            && world.fate.strikes(&format!("refuses: {name}, delivery {number}"), odds / 10).is_some();
    }
    let was_refused = || world.fate.was_drawn(&format!("refuses: {name}"), odds);
    compensated || (!done && was_refused())
}

async fn succeed(world: &World, command: &Received, output: &Value) {
    if command.step == "credit" && !command.is_compensation {
        // This participant does not reply: it publishes an event.
        let body: Value = serde_json::from_slice(&command.delivery.body).expect("a payload");
        return publish_event(world, "account.credited", &body).await;
    }
    reply(world, command, "success", output).await;
}

/// Publishes an event of the bank.
pub async fn publish_event(world: &World, event: &str, body: &Value) {
    let id = body["id"].as_str().unwrap_or_default();
    let properties = Properties {
        kind: Some(event.to_owned()),
        message_id: Some(format!("{event} {id}")),
        ..Properties::default()
    };
    let publication = Publication {
        exchange: "bank.events".to_owned(),
        routing_key: event.to_owned(),
        properties,
        body: body.to_string().into_bytes(),
    };
    world.broker.publish(vec![publication]).await;
}

async fn garbled(world: &World, command: &Received) {
    let mut publication = answer(command, "success", &Value::Null);
    publication.body = b"{ this is not JSON".to_vec();
    world.broker.publish(vec![publication]).await;
}

async fn forged(world: &World, command: &Received, output: &Value, id: &str) {
    let mut publication = answer(command, "success", output);
    publication.properties.correlation_id = Some("who-are-you".to_owned());
    publication.properties.message_id = Some(id.to_owned());
    world.poison.lock().expect("unpoisoned").insert(id.to_owned());
    world.broker.publish(vec![publication]).await;
}

async fn reply(world: &World, command: &Received, kind: &str, body: &Value) {
    world.broker.publish(vec![answer(command, kind, body)]).await;
}

fn answer(command: &Received, kind: &str, body: &Value) -> Publication {
    let properties = &command.delivery.properties;
    Publication {
        exchange: String::new(),
        routing_key: properties.reply_to.clone().expect("a reply queue"),
        properties: Properties {
            kind: Some(kind.to_owned()),
            correlation_id: properties.correlation_id.clone(),
            ..Properties::default()
        },
        body: body.to_string().into_bytes(),
    }
}

impl Received {
    fn new(delivery: Delivery) -> Self {
        let text = |name: &str| match delivery.properties.headers.get(name) {
            Some(HeaderValue::Text(text)) => text.clone(),
            other => panic!("no header {name}: {other:?}"),
        };
        let (saga, step) = (text("snorri-saga").parse().expect("a saga"), text("snorri-step"));
        let is_compensation = text("snorri-direction") == "compensate";
        Self { saga, step, is_compensation, delivery }
    }
}
