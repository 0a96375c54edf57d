//! The clients that start sagas, send signals and events, and resolve stuck sagas.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use snorri_core::SagaId;
use snorri_core::journal::AnswerTo;
use snorri_engine::{Engine, StartRequest};
use snorri_ports::broker::{Broker, HeaderValue, Properties, Publication};
use testkit::Process;
use tokio::time::sleep;

use crate::participants::publish_event;
use crate::replica::Replica;
use crate::world::{OUTCOMES, World};

/// A saga that a client starts.
#[derive(Debug, Clone)]
pub struct Wanted {
    pub definition: &'static str,
    pub key: String,
    pub id: SagaId,
}

impl Wanted {
    pub fn new(definition: &'static str, key: &str) -> Self {
        Self { definition, key: key.to_owned(), id: SagaId::of_key(definition, key) }
    }

    /// The name of the starter in the story, and in the answer to it.
    pub fn name(&self) -> String {
        format!("{} {}", self.definition, self.key)
    }

    fn input(&self, world: &World) -> Value {
        let legs = world.fate.rng(&format!("legs of {}", self.key)).usize(1..=3);
        let legs: Vec<String> = (0..legs).map(|leg| format!("leg {leg}")).collect();
        match self.definition {
            "trip" => json!({ "id": self.key, "legs": legs }),
            _ => json!({ "id": self.key }),
        }
    }
}

/// All clients, with the world and the replicas.
#[derive(Debug, Clone)]
pub struct Clients {
    pub world: Arc<World>,
    pub replicas: Vec<Arc<Replica>>,
}

impl Clients {
    /// Draws the wanted sagas, and begins to start them. Returns the sagas that must exist in the end.
    pub fn begin(&self) -> Vec<Wanted> {
        let mut rng = self.world.fate.rng("clients");
        let count = rng.usize(3..=7);
        let mut all = Vec::new();
        for number in 0..count {
            let definition = ["order", "trip", "deposit"][rng.usize(..3)];
            let wanted = Wanted::new(definition, &format!("k{number}"));
            self.world.story.name(wanted.id, &wanted.name());
            if definition == "trip" {
                let payment = Wanted::new("payment", &wanted.key);
                self.world.story.name(payment.id, &payment.name());
            }
            let (clients, starting) = (self.clone(), wanted.clone());
            let after = Duration::from_millis(rng.u64(..8_000));
            self.poison(&wanted, after);
            tokio::spawn(async move {
                sleep(after).await;
                clients.ask(starting).await;
            });
            all.push(wanted);
        }
        all
    }

    /// Makes a saga neither readable nor writable for a while, soon after its start was sent.
    fn poison(&self, wanted: &Wanted, starts_after: Duration) {
        let key = format!("poisoned: {}", wanted.name());
        let Some(mut rng) = self.world.fate.strikes(&key, self.world.fate.climate().poison) else { return };
        let (world, saga) = (Arc::clone(&self.world), wanted.id);
        world.watch.poisoned(saga);
        let (after, lasts) = (rng.u64(..600), rng.u64(500..4_000));
        tokio::spawn(async move {
            sleep(starts_after + Duration::from_millis(after)).await;
            world.story.record(|| format!("{} is poisoned", world.story.name_of(saga)));
            world.poisoned.insert(saga);
            sleep(Duration::from_millis(lasts)).await;
            world.poisoned.remove(saga);
        });
    }

    async fn ask(&self, wanted: Wanted) {
        let mut rng = self.world.fate.rng(&format!("asks for {}", wanted.name()));
        match wanted.definition {
            "deposit" => {
                let body = json!({ "id": wanted.key });
                let early = rng.bool();
                let after = Duration::from_millis(rng.u64(..3_000));
                let events = ["deposit.received", "deposit.cleared"];
                let (first, second) = if early { (events[1], events[0]) } else { (events[0], events[1]) };
                self.event(first, &body).await;
                sleep(after).await;
                self.event(second, &body).await;
            }
            "trip" => {
                let after = Duration::from_millis(rng.u64(..6_000));
                let early = rng.bool();
                if early {
                    self.approve(&wanted).await;
                }
                self.start(&wanted, rng.bool()).await;
                if !early {
                    sleep(after).await;
                    self.approve(&wanted).await;
                }
            }
            _ => self.start(&wanted, rng.bool()).await,
        }
    }

    /// Starts a saga by message or by request.
    async fn start(&self, wanted: &Wanted, by_message: bool) {
        if by_message {
            self.start_by_message(wanted).await;
        } else {
            self.start_by_request(wanted).await;
        }
    }

    async fn start_by_message(&self, wanted: &Wanted) {
        let name = wanted.name();
        self.world.watch.expect_start(&name, wanted.id);
        let start = Publication {
            exchange: String::new(),
            routing_key: self.world.wire.names.starts.clone(),
            properties: Properties {
                kind: Some(wanted.definition.to_owned()),
                message_id: Some(name.clone()),
                correlation_id: Some(name.clone()),
                reply_to: Some(OUTCOMES.to_owned()),
                ..Properties::default()
            },
            body: wanted.input(&self.world).to_string().into_bytes(),
        };
        self.world.story.record(|| format!("{name} is asked for by message"));
        self.send(start, &format!("start of {name}")).await;
    }

    /// Asks one replica after the other until one has accepted.
    async fn start_by_request(&self, wanted: &Wanted) {
        for attempt in 0.. {
            let name = wanted.name();
            let mut rng = self.world.fate.rng(&format!("start {attempt} of {name}"));
            let answer = AnswerTo { queue: OUTCOMES.to_owned(), correlation_id: Some(name.clone()) };
            let request = StartRequest {
                definition: wanted.definition.to_owned(),
                input: wanted.input(&self.world),
                answer: Some(answer),
                ..StartRequest::default()
            };
            if let Some((engine, process)) = self.any(&mut rng) {
                let started = tokio::select! {
                    biased;
                    () = process.died() => None,
                    started = engine.starter.start(request) => started.ok(),
                };
                if started.is_some() {
                    self.world.story.record(|| format!("{} accepts {name}", process.name()));
                    return self.world.watch.accepted(wanted.id);
                }
            }
            sleep(Duration::from_millis(rng.u64(100..600))).await;
        }
    }

    async fn approve(&self, wanted: &Wanted) {
        let text = |text: &str| HeaderValue::Text(text.to_owned());
        let headers = [("snorri-definition", text(wanted.definition)), ("snorri-key", text(&wanted.key))];
        let signal = Publication {
            exchange: String::new(),
            routing_key: self.world.wire.names.signals.clone(),
            properties: Properties {
                kind: Some("approved".to_owned()),
                message_id: Some(format!("approval of {}", wanted.key)),
                headers: headers.map(|(name, value)| (name.to_owned(), value)).into(),
                ..Properties::default()
            },
            body: b"{\"by\": \"ann\"}".to_vec(),
        };
        self.send(signal, &format!("approval of {}", wanted.key)).await;
    }

    async fn event(&self, event: &str, body: &Value) {
        let key = format!("message twice: {event} {body}");
        publish_event(&self.world, event, body).await;
        if self.world.fate.strikes(&key, self.world.fate.climate().messages).is_some() {
            publish_event(&self.world, event, body).await;
        }
    }

    /// Sends a message, perhaps twice, perhaps behind one that cannot be decoded.
    async fn send(&self, publication: Publication, name: &str) {
        if let Some(mut rng) =
            self.world.fate.strikes(&format!("message: {name}"), self.world.fate.climate().messages)
        {
            let mut other = publication.clone();
            if rng.bool() {
                let id = format!("poison before {name}");
                self.world.poison.lock().expect("unpoisoned").insert(id.clone());
                other.properties.message_id = Some(id);
                other.properties.reply_to = None;
                other.body = b"\xff\x00 {".to_vec();
            }
            self.world.broker.publish(vec![other]).await;
        }
        self.world.broker.publish(vec![publication]).await;
    }

    /// A replica that is working.
    pub fn any(&self, rng: &mut fastrand::Rng) -> Option<(Arc<Engine>, Arc<Process>)> {
        self.replicas[rng.usize(..self.replicas.len())].current()
    }
}
