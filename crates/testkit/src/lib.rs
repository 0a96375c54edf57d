//! The tools of Snorri's tests: a store in memory, ports that fail on demand, and clocks that are set by hand.
//!
//! [`MemoryStore`] is a store that passes the same conformance suite as those on databases.
//! [`FaultyStore`] and [`FaultyBroker`] wrap any implementation of the two ports of the engine. All ports of one [`Process`]
//! die with it, and each of their calls asks the process's [`Faults`] for a fault: [`Script`] names the n-th call of a method,
//! [`Seeded`] draws from a seed, and a test may have its own. An [`Observer`] sees what really happened on the other side of
//! the fault. [`ManualClock`] is a replica's clock: it runs with tokio's time, and can be set apart from it or moved.
//!
//! The faults are those of real services: a call fails, is done and reported as failed, hangs, is slow, loses the connection,
//! or is refused for one poisoned saga. Nothing here is random: the same faults give the same run.

mod broker;
mod chance;
mod clock;
mod faults;
mod memory;
mod process;
mod store;

pub use broker::FaultyBroker;
pub use chance::Chance;
pub use clock::ManualClock;
pub use faults::{Call, Delays, Fault, Faults, NoFaults, Odds, Planned, Port, Script, Seeded};
pub use memory::MemoryStore;
pub use process::{Observer, Process, Unobserved};
pub use store::{FaultyStore, Poisoned};
