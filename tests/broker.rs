//! The conformance suite of brokers, run on each of them.

#[path = "broker/bed.rs"]
mod bed;
#[path = "broker/connection.rs"]
mod connection;
#[path = "broker/consumers.rs"]
mod consumers;
#[path = "broker/exchanges.rs"]
mod exchanges;
#[path = "broker/limits.rs"]
mod limits;
#[path = "broker/messages.rs"]
mod messages;
#[path = "support/proxy.rs"]
#[allow(dead_code, reason = "other tests use more of it")]
mod proxy;
#[path = "broker/topology.rs"]
mod topology;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bed::{Bed, Kind, eventually, handler, id, keeper, message};
use lapin::ExchangeKind;
use lapin::options::{
    ExchangeDeclareOptions, ExchangeDeleteOptions, QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use proxy::Proxy;
use rstest::rstest;
use sha2::{Digest, Sha256};
use snorri_broker::amqp::AmqpBroker;
use snorri_ports::broker::{
    Broker, Cut, Delivery, Error, HeaderValue, Properties, Publication, Published, QueueDeclaration,
    Topology, Verdict,
};
use snorri_wire::observed::{self, Exchange, ExchangeState};
use tokio::sync::Semaphore;
