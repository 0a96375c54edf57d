//! The shared parts of one run.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use snorri_broker::local::{self, LocalBroker};
use snorri_core::Time;
use snorri_definition::Compiled;
use snorri_ports::broker::Broker;
use snorri_ports::broker::{QueueDeclaration, Topology};
use snorri_wire::envelope::{Key, Keyring, SECRET_BYTES, Wire};
use snorri_wire::topology::{Names, own_topology, topology_of};
use testkit::MemoryStore;
use testkit::{ManualClock, Poisoned};

use crate::fate::{Fate, NO_WINDOW};
use crate::participants::Ledger;
use crate::story::Story;
use crate::watch::Watch;

/// When every run begins: some seconds before the schedule is due.
pub const BEGINNING: &str = "2026-03-01T11:59:53Z";

/// The queue of all participants.
pub const PARTICIPANTS: &str = "participants";
/// The queue that outcomes are sent to.
pub const OUTCOMES: &str = "outcomes";

/// The services, their faults, and the observers.
#[derive(Debug)]
pub struct World {
    pub fate: Arc<Fate>,
    pub story: Arc<Story>,
    pub store: Arc<MemoryStore>,
    pub broker: Arc<LocalBroker>,
    pub poisoned: Arc<Poisoned>,
    pub watch: Arc<Watch>,
    /// The clock of the database.
    pub clock: Arc<ManualClock>,
    pub ledger: Ledger,
    pub wire: Wire,
    pub compiled: Vec<Arc<Compiled>>,
    /// The ids of messages that cannot be decoded.
    pub poison: Mutex<BTreeSet<String>>,
    /// The correlation ids of the outcomes that starters have received.
    pub outcomes: Mutex<BTreeSet<String>>,
}

impl World {
    pub async fn new(fate: Arc<Fate>, story: Arc<Story>, compiled: Vec<Arc<Compiled>>) -> Arc<Self> {
        let wire = Wire::new(Names::new("snorri"), Keyring::new(Key::new(&[7; SECRET_BYTES]).into()));
        let store = Arc::new(MemoryStore::new());
        let broker = Arc::new(LocalBroker::new(local::Options::default()).with_keys(wire.keys.clone()));
        broker.declare(&own_topology("snorri")).await.expect("declared");
        broker.declare(&participants()).await.expect("declared");
        let all = compiled.iter().map(|compiled| &*compiled.definition);
        broker.declare(&topology_of(&wire.names, all)).await.expect("declared");
        let clock = Arc::new(ManualClock::at(Self::beginning()));
        let watch = Watch::new(
            Arc::clone(&story),
            Arc::clone(&store),
            wire.clone(),
            compiled.clone(),
            clock.clone(),
            fate.climate().window != NO_WINDOW,
        );
        Arc::new(Self {
            fate,
            story,
            store,
            broker,
            poisoned: Arc::default(),
            watch: Arc::new(watch),
            clock: Arc::clone(&clock),
            ledger: Ledger::default(),
            wire,
            compiled,
            poison: Mutex::default(),
            outcomes: Mutex::default(),
        })
    }

    pub fn beginning() -> Time {
        Time::from_rfc3339(BEGINNING).expect("a time")
    }
}

fn participants() -> Topology {
    let exchanges = ["shop", "travel", "payments", "bank"].map(|name| format!("{name}.commands"));
    let bindings = exchanges.iter().map(|exchange| (exchange.clone(), "#".to_owned())).collect();
    let queue =
        |name: &str, bindings| QueueDeclaration { name: name.to_owned(), bindings, dead_letters: None };
    Topology {
        exchanges: exchanges.to_vec(),
        queues: vec![queue(PARTICIPANTS, bindings), queue(OUTCOMES, Vec::new())],
    }
}
