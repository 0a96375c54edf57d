//! Clients that start sagas and list the accepted ones.
//!
//! A client repeats a start, with the same key, until it is accepted.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use snorri_ports::broker::{Broker, Properties, Publication, Published};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::site::Site;
use crate::support::orchestrator::Api;

/// How long a client waits for an answer, and before it repeats a start.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(500);

/// Starts, evenly over this time.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    pub http: usize,
    pub amqp: usize,
    pub over: Duration,
}

/// All clients of a condition.
#[derive(Default)]
pub struct Clients {
    starts: JoinSet<Start>,
    count: usize,
}

/// The result of a start.
#[derive(Debug)]
struct Start {
    order: String,
    is_accepted: bool,
    refusals: Vec<String>,
}

/// The results of all starts.
#[derive(Debug, Default)]
pub struct Accepted {
    pub orders: Vec<String>,
    /// Starts that were not accepted within their bound.
    pub given_up: usize,
    /// How often starts were refused, by reason.
    pub refusals: BTreeMap<String, usize>,
}

impl Clients {
    /// Begins to start sagas. HTTP starts go to these processes in turn.
    pub fn start(&mut self, site: &Site, apis: &[Api], load: Load, bound: Duration) {
        let total = load.http + load.amqp;
        let began = Instant::now();
        for number in 0..total {
            let at =
                began + load.over * u32::try_from(number).expect("few") / u32::try_from(total).expect("few");
            let order = format!("o-{}", self.count);
            self.count += 1;
            let by_message = number * load.amqp / total != (number + 1) * load.amqp / total;
            let (apis, broker, queue) = (apis.to_vec(), Arc::clone(&site.broker), site.queue("starts"));
            self.starts.spawn(async move {
                sleep_until(at).await;
                let mut start = Start { order, is_accepted: false, refusals: Vec::new() };
                let until = at + bound;
                for attempt in number.. {
                    let outcome = if by_message {
                        publish(&broker, &queue, &start.order).await
                    } else {
                        post(&apis[attempt % apis.len()], &start.order).await
                    };
                    let Err(reason) = outcome else {
                        start.is_accepted = true;
                        break;
                    };
                    start.refusals.push(reason);
                    if Instant::now() > until {
                        break;
                    }
                    sleep(PAUSE).await;
                }
                start
            });
        }
    }

    /// Waits until every start is accepted or given up.
    pub async fn join(self) -> Accepted {
        let mut accepted = Accepted::default();
        for start in self.starts.join_all().await {
            for reason in start.refusals {
                *accepted.refusals.entry(reason).or_default() += 1;
            }
            if start.is_accepted { accepted.orders.push(start.order) } else { accepted.given_up += 1 }
        }
        accepted
    }
}

/// Starts an order over HTTP, or returns why it was not accepted.
async fn post(api: &Api, order: &str) -> Result<(), String> {
    let body = json!({"definition": "order", "input": {"orderId": order}});
    match timeout(PATIENCE, api.try_post("/v1/sagas", &body)).await {
        Ok(Some((200 | 201, _))) => Ok(()),
        Ok(Some((status, problem))) => Err(format!("{status} {}", problem["code"].as_str().unwrap_or("?"))),
        Ok(None) | Err(_) => Err("no answer".to_owned()),
    }
}

/// Starts an order over AMQP, or returns why it was not accepted.
async fn publish(broker: &Arc<dyn Broker>, queue: &str, order: &str) -> Result<(), String> {
    match broker.publish(vec![start(queue, "order", order, &json!({"orderId": order}).to_string())]).await[..]
    {
        [Published::Confirmed] => Ok(()),
        [_] => Err("not confirmed by the broker".to_owned()),
        _ => unreachable!("one message, one result"),
    }
}

/// A message that starts a saga.
pub fn start(queue: &str, definition: &str, message_id: &str, input: &str) -> Publication {
    Publication {
        routing_key: queue.to_owned(),
        properties: Properties {
            kind: Some(definition.to_owned()),
            message_id: Some(message_id.to_owned()),
            ..Properties::default()
        },
        body: input.as_bytes().to_vec(),
        ..Publication::default()
    }
}
