//! The report of all runs: medians, as a table for people and as JSON for programs.

use std::path::Path;

use serde::Serialize;

use crate::listing::{self, Listing, Operator};
use crate::measure::{Cpu, median};
use crate::memory::{LIMIT_MIB, Memory};
use crate::starting::Way;
use crate::starts;
use crate::versus::{Backend, Contender, Run, Setting};

/// The measurements so far.
#[derive(Debug, Default)]
pub struct Measured {
    pub runs: Vec<Run>,
    pub starts: Vec<starts::Run>,
    pub listing: Option<Listing>,
    pub memory: Option<Memory>,
}

#[derive(Debug, Serialize)]
pub struct Report {
    pub version: &'static str,
    pub cpus: usize,
    pub results: Vec<Summary>,
    pub starts: Vec<starts::Summary>,
    pub listing: Option<Listing>,
    pub memory: Option<Memory>,
    pub runs: Vec<Run>,
    pub start_runs: Vec<starts::Run>,
}

/// The medians of one contender and one setting.
#[derive(Debug, Serialize)]
pub struct Summary {
    contender: Contender,
    #[serde(flatten)]
    setting: Setting,
    sagas_per_second: f64,
    /// Of the rounds, the median of this one's rate as part of the floor's; with repeated starts or several processes, as part of its own without.
    ratio: f64,
    /// The median over the rounds of the rate relative to that of the build before, if this is Snorri and there is one.
    ratio_to_before: Option<f64>,
    p50_ms: f64,
    p99_ms: f64,
    cpu_ms_per_saga: Cpu,
    peak_mib: f64,
}

impl Report {
    pub fn new(measured: Measured) -> Self {
        let Measured { runs, starts: start_runs, listing, memory } = measured;
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
        let starts = starts::summarize(&start_runs);
        let version = env!("CARGO_PKG_VERSION");
        Self { version, cpus, results, starts, listing, memory, runs, start_runs }
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
        self.print_starts();
        self.print_listing();
        if let Some(Memory { sagas, empty_mib, idle_mib, peak_mib, seconds }) = &self.memory {
            println!("\n{sagas} sagas waiting for a reply, taken in within {seconds:.1} s:");
            println!(
                "{idle_mib:.0} MiB resident when idle (limit {LIMIT_MIB:.0}), {peak_mib:.0} at most, {empty_mib:.0} before"
            );
        }
    }

    fn print_starts(&self) {
        if self.starts.is_empty() {
            return;
        }
        println!("\nSagas started, and nothing more, on RabbitMQ and PostgreSQL. CPU in ms for each start\n");
        println!(
            "{:>9}  {:<6} {:>8} {:>6} {:>7} {:>8} {:>8} {:>8}   {CPU_HEADER}",
            "under way", "", "starts/s", "ratio", "of most", "p50 ms", "p99 ms", "peak MiB"
        );
        for summary in &self.starts {
            let name = match summary.way {
                Way::Amqp => "amqp",
                Way::Rest => "rest",
                Way::Bulk => "bulk",
            };
            println!(
                "{:>9}  {name:<6} {:>8.0} {:>6.2} {:>7.2} {:>8.2} {:>8.2} {:>8.0}   {}",
                summary.under_way,
                summary.starts_per_second,
                summary.ratio_to_amqp,
                summary.ratio_to_most,
                summary.p50_ms,
                summary.p99_ms,
                summary.peak_mib,
                cpu_columns(&summary.cpu_ms_per_start)
            );
        }
        println!("at least {:.2} over REST", starts::LEAST_RATIO);
    }

    fn print_listing(&self) {
        let Some(Listing { sagas, in_flight, results, .. }) = &self.listing else { return };
        println!(
            "\nWhile an operator looks: {in_flight} in flight, {sagas} more in the database. CPU in ms for each saga\n"
        );
        println!(
            "{:<6} {:>8} {:>6} {:>8} {:>8}   {CPU_HEADER}   answers: p50 ms   p99 ms",
            "", "sagas/s", "ratio", "p50 ms", "p99 ms"
        );
        for summary in results {
            let name = match summary.operator {
                Operator::None => "no operator",
                Operator::List => "list",
                Operator::Top => "top",
            };
            println!(
                "{name:<6} {:>8.0} {:>6.3} {:>8.2} {:>8.2}   {}   {:>7} {:>8.2} {:>8.2}",
                summary.sagas_per_second,
                summary.ratio_to_none,
                summary.p50_ms,
                summary.p99_ms,
                cpu_columns(&summary.cpu_ms_per_saga),
                summary.answers,
                summary.answer_p50_ms,
                summary.answer_p99_ms
            );
        }
        println!("at least {:.2} while an operator lists", listing::LEAST_RATIO);
    }

    /// The missed goals. A goal that was not measured is not missed.
    pub fn shortcomings(&self) -> Vec<String> {
        let too_large = self.memory.as_ref().filter(|memory| !memory.is_within_limit());
        let rest = self.starts.iter().find(|summary| summary.way == Way::Rest);
        let too_few = rest.filter(|summary| summary.ratio_to_amqp < starts::LEAST_RATIO);
        let results = self.listing.iter().flat_map(|listing| &listing.results);
        let mut lists = results.filter(|summary| summary.operator == Operator::List);
        let too_slow = lists.find(|summary| summary.ratio_to_none < listing::LEAST_RATIO);
        let all = [
            too_large.map(|memory| format!("too much memory: {:.0} MiB", memory.idle_mib)),
            too_few.map(|summary| format!("too few starts over REST: {:.2}", summary.ratio_to_amqp)),
            too_slow.map(|summary| format!("too slow while an operator lists: {:.3}", summary.ratio_to_none)),
        ];
        all.into_iter().flatten().collect()
    }
}

/// The columns of [`cpu_columns`].
const CPU_HEADER: &str = " orch.  part.   load rabbitmq postgres others";

fn cpu_columns(cpu: &Cpu) -> String {
    let Cpu { orchestrator, participant, load, rabbitmq, postgresql, .. } = *cpu;
    let [participant, load, rabbitmq, postgresql] = [participant, load, rabbitmq, postgresql]
        .map(|part| part.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.2}")));
    let others = others(cpu);
    format!("{orchestrator:>6.2} {participant:>6} {load:>6} {rabbitmq:>8} {postgresql:>8} {others:>6.2}")
}

/// The machine's work that is not part of the benchmark.
fn others(cpu: &Cpu) -> f64 {
    let parts = [cpu.participant, cpu.load, cpu.rabbitmq, cpu.postgresql];
    (cpu.machine - cpu.orchestrator - parts.iter().flatten().sum::<f64>()).max(0.0)
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
        "{:>9} {:>7} {:>8} {:>8}  {:<6} {:>8} {:>6} {:>9} {:>8} {:>8} {:>8}",
        "in flight",
        "refused",
        "repeated",
        "replicas",
        "",
        "sagas/s",
        "ratio",
        "to before",
        "p50 ms",
        "p99 ms",
        "peak MiB"
    );
    match backend {
        Backend::Amqp => format!("{start}   {CPU_HEADER}"),
        Backend::Embedded => format!("{start}   {:>6} {:>6}", "all", "others"),
    }
}

impl Summary {
    fn line(&self) -> String {
        let Setting { backend, in_flight, refused_percent, repeated_percent, replicas, .. } = self.setting;
        let contender = match self.contender {
            Contender::Floor => "floor",
            Contender::Snorri => "snorri",
            Contender::Before => "before",
        };
        let to_before = self.ratio_to_before.map_or_else(String::new, |ratio| format!("{ratio:.2}"));
        let start = format!(
            "{in_flight:>9} {refused_percent:>5} % {repeated_percent:>6} % {replicas:>8}  {contender:<6} {:>8.0} {:>6.2} {:>9} {:>8.2} {:>8.2} {:>8.0}",
            self.sagas_per_second, self.ratio, to_before, self.p50_ms, self.p99_ms, self.peak_mib
        );
        let cpu = &self.cpu_ms_per_saga;
        match backend {
            Backend::Amqp => format!("{start}   {}", cpu_columns(cpu)),
            Backend::Embedded => format!("{start}   {:>6.2} {:>6.2}", cpu.orchestrator, others(cpu)),
        }
    }
}

fn summarize(runs: &[Run], setting: Setting, contender: Contender) -> Option<Summary> {
    let of = |contender| runs.iter().filter(move |run| run.setting == setting && run.contender == contender);
    of(contender).next()?;
    let middle = |number: &dyn Fn(&Run) -> f64| median(of(contender).map(number).collect());
    let baseline = match (setting.repeated_percent, setting.replicas) {
        (0, 1) => (setting, Contender::Floor),
        _ => (Setting { repeated_percent: 0, replicas: 1, ..setting }, contender),
    };
    let ratios = |(setting, baseline): (Setting, Contender)| -> Vec<f64> {
        let ratio = |run: &Run| {
            let mut others = runs.iter().filter(|other| other.setting == setting && other.round == run.round);
            let other = others.find(|other| other.contender == baseline)?;
            Some(run.seen.sagas_per_second / other.seen.sagas_per_second)
        };
        of(contender).filter_map(ratio).collect()
    };
    let to_before = ratios((setting, Contender::Before));
    let is_compared = contender == Contender::Snorri && !to_before.is_empty();
    Some(Summary {
        contender,
        setting,
        sagas_per_second: middle(&|run| run.seen.sagas_per_second),
        ratio: median(ratios(baseline)),
        ratio_to_before: is_compared.then(|| median(to_before)),
        p50_ms: middle(&|run| run.seen.p50_ms),
        p99_ms: middle(&|run| run.seen.p99_ms),
        cpu_ms_per_saga: Cpu::median(of(contender).map(|run| run.cpu_ms_per_saga)),
        peak_mib: middle(&|run| run.peak_mib),
    })
}
