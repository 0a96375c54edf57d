//! The cost of processes, from /proc: CPU time and memory.

use std::collections::HashMap;
use std::path::PathBuf;

use anyhow::Context;
use serde::{Deserialize, Serialize};

/// The unit of CPU times in /proc, on every Linux that Rust runs on.
const TICKS_PER_SECOND: f64 = 100.0;

/// CPU seconds since each process began, or between two such moments.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Cpu {
    pub orchestrator: f64,
    /// `None` where the participant is part of the orchestrator's process.
    pub participant: Option<f64>,
    pub load: Option<f64>,
    /// `None` where the services are not on this machine, or not started by `tests/services.sh`.
    pub rabbitmq: Option<f64>,
    pub postgresql: Option<f64>,
    /// The whole machine, other processes included.
    pub machine: f64,
}

/// The processes of a run, by id.
#[derive(Debug, Clone)]
pub struct Processes {
    pub orchestrator: Vec<u32>,
    pub participant: Option<u32>,
    pub load: Option<u32>,
    pub rabbitmq: Option<u32>,
    pub postgresql: Option<u32>,
}

impl Processes {
    pub fn cpu(&self) -> anyhow::Result<Cpu> {
        let all = Table::read();
        let of = |id: Option<u32>| id.map(|id| all.tree_seconds(id));
        Ok(Cpu {
            orchestrator: self.orchestrator.iter().map(|id| all.tree_seconds(*id)).sum(),
            participant: of(self.participant),
            load: of(self.load),
            rabbitmq: of(self.rabbitmq),
            postgresql: of(self.postgresql),
            machine: machine_seconds()?,
        })
    }
}

impl Cpu {
    /// The use between `earlier` and this moment, in milliseconds for each of `sagas`. This equals seconds for each 1,000.
    pub fn since(&self, earlier: &Self, sagas: u64) -> Self {
        let each = |now: f64, then: f64| (now - then).max(0.0) * 1_000.0 / sagas.max(1) as f64;
        let both = |now: Option<f64>, then: Option<f64>| Some(each(now?, then?));
        Self {
            orchestrator: each(self.orchestrator, earlier.orchestrator),
            participant: both(self.participant, earlier.participant),
            load: both(self.load, earlier.load),
            rabbitmq: both(self.rabbitmq, earlier.rabbitmq),
            postgresql: both(self.postgresql, earlier.postgresql),
            machine: each(self.machine, earlier.machine),
        }
    }
}

impl Cpu {
    /// The median of each part.
    pub fn median(all: impl Iterator<Item = Self>) -> Self {
        let all: Vec<Self> = all.collect();
        let part = |number: fn(&Self) -> Option<f64>| {
            let numbers: Vec<f64> = all.iter().filter_map(number).collect();
            (!numbers.is_empty()).then(|| median(numbers))
        };
        Self {
            orchestrator: median(all.iter().map(|cpu| cpu.orchestrator).collect()),
            participant: part(|cpu| cpu.participant),
            load: part(|cpu| cpu.load),
            rabbitmq: part(|cpu| cpu.rabbitmq),
            postgresql: part(|cpu| cpu.postgresql),
            machine: median(all.iter().map(|cpu| cpu.machine).collect()),
        }
    }
}

/// Of an even number, the mean of the two in the middle.
pub fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_unstable_by(f64::total_cmp);
    let count = numbers.len();
    let at = |index: usize| numbers.get(index).copied().unwrap_or(f64::NAN);
    if count.is_multiple_of(2) {
        f64::midpoint(at((count / 2).wrapping_sub(1)), at(count / 2))
    } else {
        at(count / 2)
    }
}

/// Of numbers in order.
pub fn percentile(sorted: &[f64], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or_default()
}

/// The server that `tests/services.sh` started as `service`, if it did.
pub fn service_id(service: &str) -> Option<u32> {
    let directory = PathBuf::from(std::env::var_os("SNORRI_TEST_SERVICES_DIR")?);
    std::fs::read_to_string(directory.join(format!("{service}.pid"))).ok()?.trim().parse().ok()
}

/// `VmRSS` or `VmHWM` of a process, in MiB.
pub fn memory_mib(id: u32, field: &str) -> anyhow::Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
    let line = status.lines().find(|line| line.starts_with(field)).context("a field of /proc/*/status")?;
    let kib: f64 = line.split_whitespace().nth(1).context("a number")?.parse()?;
    Ok(kib / 1_024.0)
}

/// Every process: its parent, and its CPU ticks with those of its children that ended.
struct Table(HashMap<u32, (u32, u64)>);

impl Table {
    fn read() -> Self {
        let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        // A process that ends meanwhile is counted in its parent.
        Self(ids.filter_map(|id| Some((id, stat(id)?))).collect())
    }

    /// A process and all its descendants. Ended ones are in their parent's ticks, so this never decreases.
    fn tree_seconds(&self, root: u32) -> f64 {
        self.tree_ticks(root) as f64 / TICKS_PER_SECOND
    }

    fn tree_ticks(&self, root: u32) -> u64 {
        let own = self.0.get(&root).map_or(0, |(_, ticks)| *ticks);
        let children = self.0.iter().filter(|(_, (parent, _))| *parent == root);
        own + children.map(|(id, _)| self.tree_ticks(*id)).sum::<u64>()
    }
}

fn stat(id: u32) -> Option<(u32, u64)> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name, in parentheses, may contain anything. After it: state, parent, ... utime, stime, cutime, cstime.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    let ticks = number(11)? + number(12)? + number(13)? + number(14)?;
    Some((fields.get(1)?.parse().ok()?, ticks))
}

/// All CPUs: user, nice, system, irq, softirq and steal, but not idle and waiting.
fn machine_seconds() -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string("/proc/stat")?;
    let line = stat.lines().next().context("/proc/stat")?;
    let numbers: Vec<u64> = line.split_whitespace().skip(1).filter_map(|text| text.parse().ok()).collect();
    let busy = [0, 1, 2, 5, 6].iter().filter_map(|index| numbers.get(*index)).sum::<u64>();
    Ok(busy as f64 / TICKS_PER_SECOND)
}
