//! The faults of calls.

use std::fmt::Debug;
use std::time::Duration;

use crate::Chance;

/// The port of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Port {
    Store,
    Broker,
}

/// One call of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call<'a> {
    /// The name of the calling process.
    pub process: &'a str,
    pub port: Port,
    /// The name of the method; `handle` for a delivery that is given to its handler.
    pub method: &'static str,
    /// How many calls of this method the process has made, this one included: from 1.
    pub number: u64,
}

/// The fault of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fault {
    /// The call is done and answered.
    #[default]
    None,
    /// The call is not done, and reported as failed.
    Fail,
    /// The call is done, and reported as failed.
    FailAfter,
    /// The call is answered only after this time, as failed, and not done.
    Hang(Duration),
    /// The call fails, and so do all calls of the port for this time. Unsettled deliveries go back to their queues.
    LoseConnection(Duration),
    /// The broker does not take the messages. A store fails.
    Refuse,
    /// The process dies before the call is done.
    Die,
    /// The process dies after the call was done, before the answer.
    DieAfter,
    /// The call panics.
    Panic,
}

/// The duration of a call, faults aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Delays {
    /// Until it is done.
    pub before: Duration,
    /// From then until it is answered.
    pub after: Duration,
}

/// Decides the faults of calls.
pub trait Faults: Debug + Send + Sync + 'static {
    /// The fault of this call. Asked once for each call.
    fn fault(&self, call: &Call<'_>) -> Fault;

    /// How long this call takes.
    fn delays(&self, _call: &Call<'_>) -> Delays {
        Delays::default()
    }
}

/// No faults.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoFaults;

impl Faults for NoFaults {
    fn fault(&self, _call: &Call<'_>) -> Fault {
        Fault::None
    }
}

/// A fault of the n-th call of a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Planned {
    pub method: &'static str,
    /// From 1.
    pub number: u64,
    pub fault: Fault,
}

/// A list of faults, for all processes alike. A call that is listed twice has the first of its faults.
#[derive(Debug, Clone, Default)]
pub struct Script(pub Vec<Planned>);

impl Faults for Script {
    fn fault(&self, call: &Call<'_>) -> Fault {
        let is_it = |planned: &&Planned| planned.method == call.method && planned.number == call.number;
        self.0.iter().find(is_it).map_or(Fault::None, |planned| planned.fault)
    }
}

/// How many of 10,000 calls have each fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Odds {
    pub fail: u32,
    pub fail_after: u32,
    pub hang: u32,
    pub lose_connection: u32,
    pub refuse: u32,
    pub die: u32,
    pub die_after: u32,
    pub panic: u32,
    /// The longest a hanging call or a lost connection lasts.
    pub longest: Duration,
    /// The longest a call takes until it is done, and then again until it is answered.
    pub slowest: Duration,
}

/// Faults drawn from a seed: the same for the same call of the same process.
#[derive(Debug, Clone, Copy)]
pub struct Seeded {
    pub chance: Chance,
    pub odds: Odds,
}

impl Seeded {
    fn key(call: &Call<'_>) -> String {
        format!("{} {} {}", call.process, call.method, call.number)
    }
}

impl Faults for Seeded {
    fn fault(&self, call: &Call<'_>) -> Fault {
        let mut rng = self.chance.of(&Self::key(call));
        let drawn = rng.u32(..10_000);
        let lasts = Duration::from_millis(rng.u64(..=millis(self.odds.longest)));
        let Odds { fail, fail_after, hang, lose_connection, refuse, die, die_after, panic, .. } = self.odds;
        let all = [
            (fail, Fault::Fail),
            (fail_after, Fault::FailAfter),
            (hang, Fault::Hang(lasts)),
            (lose_connection, Fault::LoseConnection(lasts)),
            (refuse, Fault::Refuse),
            (die, Fault::Die),
            (die_after, Fault::DieAfter),
            (panic, Fault::Panic),
        ];
        let mut reached = 0;
        for (odds, fault) in all {
            reached += odds;
            if drawn < reached {
                return fault;
            }
        }
        Fault::None
    }

    fn delays(&self, call: &Call<'_>) -> Delays {
        let mut rng = self.chance.of(&format!("{} takes", Self::key(call)));
        let mut delay = || Duration::from_millis(rng.u64(..=millis(self.odds.slowest)));
        Delays { before: delay(), after: delay() }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
