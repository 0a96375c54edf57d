//! What all the runs say: medians, as a table for people and as JSON for machines.

use std::path::Path;

use serde::Serialize;

use crate::measure::Cpu;
use crate::memory::{LIMIT_MIB, Memory};
use crate::versus::{Backend, Contender, Run, Setting};

#[derive(Debug, Serialize)]
pub struct Report {
    pub version: &'static str,
    pub cpus: usize,
    pub results: Vec<Summary>,
    pub memory: Option<Memory>,
    pub runs: Vec<Run>,
}

/// The medians of one contender and one setting.
#[derive(Debug, Serialize)]
pub struct Summary {
    contender: Contender,
    #[serde(flatten)]
    setting: Setting,
    sagas_per_second: f64,
    /// Of the rounds, the median of this one's rate as part of the floor's.
    ratio_to_floor: f64,
    p50_ms: f64,
    p99_ms: f64,
    cpu_ms_per_saga: Cpu,
    peak_mib: f64,
}

impl Report {
    pub fn new(runs: Vec<Run>, memory: Option<Memory>) -> Self {
        let mut settings: Vec<Setting> = Vec::new();
        for run in &runs {
            if !settings.contains(&run.setting) {
                settings.push(run.setting);
            }
        }
        let all = [Contender::Floor, Contender::Snorri, Contender::Before];
        let of_setting = |setting| all.map(|contender| (setting, contender));
        let results = settings.into_iter().flat_map(of_setting);
        let results =
            results.filter_map(|(setting, contender)| summarize(&runs, setting, contender)).collect();
        let cpus = std::thread::available_parallelism().map_or(0, usize::from);
        Self { version: env!("CARGO_PKG_VERSION"), cpus, results, memory, runs }
    }

    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory)?;
        }
        Ok(std::fs::write(path, serde_json::to_vec_pretty(self)?)?)
    }

    pub fn print(&self) {
        for backend in [Backend::Amqp, Backend::Embedded] {
            let of_backend = || self.results.iter().filter(|summary| summary.setting.backend == backend);
            if of_backend().next().is_some() {
                println!("\n{}\n\n{}", title(backend), header(backend));
                of_backend().for_each(|summary| println!("{}", summary.line()));
            }
        }
        if let Some(Memory { sagas, empty_mib, idle_mib, peak_mib, seconds }) = &self.memory {
            println!("\n{sagas} sagas waiting for a reply, taken in within {seconds:.1} s:");
            println!(
                "{idle_mib:.0} MiB resident when idle (limit {LIMIT_MIB:.0}), {peak_mib:.0} at most, {empty_mib:.0} before"
            );
        }
    }
}

fn title(backend: Backend) -> &'static str {
    match backend {
        Backend::Amqp => "RabbitMQ and PostgreSQL, a process for each role. CPU in ms for each saga",
        Backend::Embedded => {
            "Embedded: local broker and SQLite, all roles in one process. CPU in ms for each saga"
        }
    }
}

fn header(backend: Backend) -> String {
    let start = format!(
        "{:>9} {:>7}  {:<6} {:>8} {:>6} {:>8} {:>8} {:>8}",
        "in flight", "refused", "", "sagas/s", "ratio", "p50 ms", "p99 ms", "peak MiB"
    );
    match backend {
        Backend::Amqp => format!(
            "{start}   {:>6} {:>6} {:>6} {:>8} {:>8} {:>6}",
            "orch.", "part.", "load", "rabbitmq", "postgres", "others"
        ),
        Backend::Embedded => format!("{start}   {:>6} {:>6}", "all", "others"),
    }
}

impl Summary {
    fn line(&self) -> String {
        let Setting { backend, in_flight, refused_percent, .. } = self.setting;
        let contender = match self.contender {
            Contender::Floor => "floor",
            Contender::Snorri => "snorri",
            Contender::Before => "before",
        };
        let Cpu { orchestrator, participant, load, rabbitmq, postgresql, machine } = self.cpu_ms_per_saga;
        let start = format!(
            "{in_flight:>9} {refused_percent:>5} %  {contender:<6} {:>8.0} {:>6.2} {:>8.2} {:>8.2} {:>8.0}",
            self.sagas_per_second, self.ratio_to_floor, self.p50_ms, self.p99_ms, self.peak_mib
        );
        let parts = [participant, load, rabbitmq, postgresql];
        let others = (machine - orchestrator - parts.iter().flatten().sum::<f64>()).max(0.0);
        let [participant, load, rabbitmq, postgresql] =
            parts.map(|part| part.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.2}")));
        match backend {
            Backend::Amqp => format!(
                "{start}   {orchestrator:>6.2} {participant:>6} {load:>6} {rabbitmq:>8} {postgresql:>8} {others:>6.2}"
            ),
            Backend::Embedded => format!("{start}   {orchestrator:>6.2} {others:>6.2}"),
        }
    }
}

fn summarize(runs: &[Run], setting: Setting, contender: Contender) -> Option<Summary> {
    let of = |contender| runs.iter().filter(move |run| run.setting == setting && run.contender == contender);
    of(contender).next()?;
    let middle = |number: &dyn Fn(&Run) -> f64| median(of(contender).map(number).collect());
    let part = |number: &dyn Fn(&Cpu) -> Option<f64>| {
        let numbers: Vec<f64> = of(contender).filter_map(|run| number(&run.cpu_ms_per_saga)).collect();
        (!numbers.is_empty()).then(|| median(numbers))
    };
    let ratios = of(contender).filter_map(|run| {
        let floor = of(Contender::Floor).find(|floor| floor.round == run.round)?;
        Some(run.seen.sagas_per_second / floor.seen.sagas_per_second)
    });
    Some(Summary {
        contender,
        setting,
        sagas_per_second: middle(&|run| run.seen.sagas_per_second),
        ratio_to_floor: median(ratios.collect()),
        p50_ms: middle(&|run| run.seen.p50_ms),
        p99_ms: middle(&|run| run.seen.p99_ms),
        cpu_ms_per_saga: Cpu {
            orchestrator: middle(&|run| run.cpu_ms_per_saga.orchestrator),
            participant: part(&|cpu| cpu.participant),
            load: part(&|cpu| cpu.load),
            rabbitmq: part(&|cpu| cpu.rabbitmq),
            postgresql: part(&|cpu| cpu.postgresql),
            machine: middle(&|run| run.cpu_ms_per_saga.machine),
        },
        peak_mib: middle(&|run| run.peak_mib),
    })
}

/// Of an even number, the mean of the two in the middle.
fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_unstable_by(f64::total_cmp);
    let count = numbers.len();
    let at = |index: usize| numbers.get(index).copied().unwrap_or(f64::NAN);
    if count.is_multiple_of(2) {
        f64::midpoint(at((count / 2).wrapping_sub(1)), at(count / 2))
    } else {
        at(count / 2)
    }
}
