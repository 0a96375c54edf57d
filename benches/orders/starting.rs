//! The load that only starts sagas: by messages, by requests, or by many lines in a request.
//!
//! A start counts when the saga's first command arrives, whichever way it was started: that is common to all ways, and happens
//! only after the saga is committed. So this role is also the participant, one that never answers. It checks that every
//! accepted start has exactly one command.
//!
//! HTTP is hand-written, over persistent connections: the load shares the machine with the measured processes, and a general
//! client would cost more than the requests.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use serde::{Deserialize, Serialize};
use snorri_api::sagas::BulkStarted;
use snorri_ports::broker::Publication;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::amqp::{self, Pump};
use crate::load::{DRAIN_LIMIT, seen};
use crate::process::{self, Event};
use crate::wire::{CONTENT_TYPE, Incoming, Names, to_queue};

const PREFETCH: u16 = 2_000;
/// Bulk requests in flight, so that one is accepted while the other ends.
const BULKS: usize = 2;

/// The way of starting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// A message to the queue of starts.
    Amqp,
    /// `POST /v1/sagas`, each connection with one at a time.
    Rest,
    /// `POST /v1/sagas/bulk-start`, two at a time.
    Bulk,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Plan {
    pub amqp_url: String,
    /// Address and port of the admin API.
    pub address: String,
    pub way: Way,
    /// Starts that have no command yet, or no answer.
    pub under_way: usize,
    pub warm_up_seconds: f64,
    pub seconds: f64,
    pub prefix: String,
    /// The exchange of the commands.
    pub exchange: String,
}

pub async fn run(plan: Plan) -> anyhow::Result<()> {
    let names = Names::new(&plan.prefix);
    let connection = amqp::connect(&plan.amqp_url).await?;
    amqp::declare_queue(&connection, &names.answers, None).await?;
    amqp::bind(&connection, &names.answers, &plan.exchange, &["#"]).await?;
    let pump = Pump::open(&connection, &connection, &names.answers, PREFETCH).await?;
    let starts = Starts::new();
    let message = |book: &mut Book| Some(message(&names.starts, book.next()?));
    let by_messages = plan.way == Way::Amqp;
    let first = if by_messages {
        (0..plan.under_way).map_while(|_| message(&mut starts.lock())).collect()
    } else {
        Vec::new()
    };
    let counting = pump.run(first, |command| {
        let mut book = starts.lock();
        book.arrived(&command)?;
        Ok(if by_messages { message(&mut book) } else { None })
    });
    let starting = async {
        let (address, starts) = (&plan.address, &starts);
        match plan.way {
            Way::Amqp => {}
            Way::Rest => {
                side_by_side(plan.under_way, || one_by_one(address.clone(), starts.clone())).await?;
            }
            Way::Bulk => {
                let lines = plan.under_way / BULKS;
                side_by_side(BULKS, || many_at_once(address.clone(), lines, starts.clone())).await?;
            }
        }
        // The started sagas have still to be counted.
        std::future::pending().await
    };
    tokio::select! {
        result = starts.measure(&plan) => result,
        stopped = counting => stopped.context("the load stopped"),
        stopped = starting => stopped,
    }
}

fn message(queue: &str, (number, input): (u64, String)) -> Publication {
    to_queue(queue, "order", &number.to_string(), input.into_bytes())
}

/// The starts of a run.
#[derive(Debug, Clone)]
struct Starts(Arc<Mutex<Book>>);

#[derive(Debug)]
struct Book {
    /// Distinguishes the orders of this run from others.
    run: String,
    next: u64,
    /// Those whose command has not arrived yet.
    open: HashMap<u64, Instant>,
    /// Requests that have no answer yet.
    unanswered: usize,
    stopping: bool,
    /// While measuring.
    times: Option<Vec<Duration>>,
}

impl Starts {
    fn new() -> Self {
        let run = uuid::Uuid::now_v7().simple().to_string();
        Self(Arc::new(Mutex::new(Book {
            run: run[run.len() - 6..].to_owned(),
            next: 0,
            open: HashMap::new(),
            unanswered: 0,
            stopping: false,
            times: None,
        })))
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As in the load of orders.
    async fn measure(&self, plan: &Plan) -> anyhow::Result<()> {
        sleep(Duration::from_secs_f64(plan.warm_up_seconds)).await;
        self.lock().times = Some(Vec::new());
        let began = Instant::now();
        process::send(&Event::Warm);
        sleep(Duration::from_secs_f64(plan.seconds)).await;
        let (times, took) = (self.lock().stop(), began.elapsed());
        process::send(&Event::Measured);
        let drained = async {
            while self.lock().is_busy() {
                sleep(Duration::from_millis(5)).await;
            }
        };
        let is_drained = timeout(DRAIN_LIMIT, drained).await.is_ok();
        let Book { open, unanswered, .. } = &*self.lock();
        let open = open.len();
        ensure!(is_drained, "{open} starts without a command, {unanswered} requests without an answer");
        process::send(&Event::Seen(seen(times, took, (0, 0))));
        Ok(())
    }
}

impl Book {
    /// Number and input of the next order, unless it is time to stop.
    fn next(&mut self) -> Option<(u64, String)> {
        if self.stopping {
            return None;
        }
        let number = self.next;
        self.next += 1;
        self.open.insert(number, Instant::now());
        Some((number, format!(r#"{{"orderId":"s-{}-{number}","amount":{}}}"#, self.run, 100 + number % 900)))
    }

    /// The body of the next request.
    fn next_request(&mut self) -> Option<String> {
        let (_, input) = self.next()?;
        Some(format!(r#"{{"definition":"order","input":{input}}}"#))
    }

    fn arrived(&mut self, command: &Incoming<'_>) -> anyhow::Result<()> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Order<'a> {
            #[serde(borrow)]
            order_id: &'a str,
        }
        let Order { order_id } = serde_json::from_slice(command.body).context("a command with an orderId")?;
        let number = order_id.rsplit_once('-').and_then(|(_, number)| number.parse().ok());
        let began = number.and_then(|number: u64| self.open.remove(&number));
        let began = began.with_context(|| format!("a second command, or one without a start: {order_id}"))?;
        if let Some(times) = &mut self.times {
            times.push(began.elapsed());
        }
        Ok(())
    }

    fn stop(&mut self) -> Vec<Duration> {
        self.stopping = true;
        self.times.take().unwrap_or_default()
    }

    fn is_busy(&self) -> bool {
        !self.open.is_empty() || self.unanswered > 0
    }
}

async fn side_by_side<F>(count: usize, start: impl Fn() -> F) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    let mut tasks: JoinSet<_> = (0..count).map(|_| start()).collect();
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    Ok(())
}

/// Starts one saga after the other.
async fn one_by_one(address: String, starts: Starts) -> anyhow::Result<()> {
    let mut connection = Connection::open(&address).await?;
    loop {
        let Some(body) = starts.lock().next_request() else { return Ok(()) };
        starts.lock().unanswered += 1;
        connection.post("/v1/sagas", CONTENT_TYPE, &body).await?;
        starts.lock().unanswered -= 1;
    }
}

/// Starts so many sagas after the other. A request is worth a complete HTTP client.
async fn many_at_once(address: String, most: usize, starts: Starts) -> anyhow::Result<()> {
    let client = reqwest::Client::new();
    loop {
        let lines = {
            let mut book = starts.lock();
            book.unanswered += 1;
            (0..most).map_while(|_| Some(book.next_request()? + "\n")).collect::<Vec<_>>()
        };
        let count = lines.len();
        if count > 0 {
            let url = format!("http://{address}/v1/sagas/bulk-start");
            let request = client.post(url).header("content-type", "application/x-ndjson");
            let response = request.body(lines.concat()).send().await?.error_for_status()?;
            let answers = response.text().await?;
            let started = answers.lines().map(serde_json::from_str::<BulkStarted>).filter(|answer| {
                answer.as_ref().is_ok_and(|line| line.started.as_ref().is_some_and(|saga| saga.created))
            });
            ensure!(started.count() == count, "not all of {count} are started: {answers:.500}");
        }
        starts.lock().unanswered -= 1;
        if count < most {
            return Ok(());
        }
    }
}

/// A minimal client of HTTP/1.1: one request at a time, and answers with their length.
#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    address: String,
    buffer: Vec<u8>,
}

impl Connection {
    async fn open(address: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await.context("the admin API does not let us in")?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, address: address.to_owned(), buffer: Vec::with_capacity(1_024) })
    }

    /// Sends a request that creates something.
    async fn post(&mut self, path: &str, kind: &str, body: &str) -> anyhow::Result<()> {
        let (address, length) = (&self.address, body.len());
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        self.stream.write_all(request.as_bytes()).await?;
        self.buffer.clear();
        loop {
            let read = self.stream.read_buf(&mut self.buffer).await?;
            ensure!(read > 0, "the admin API hung up");
            if is_whole(&self.buffer)? {
                break;
            }
        }
        if !self.buffer.starts_with(b"HTTP/1.1 201 ") {
            bail!("not started: {}", String::from_utf8_lossy(&self.buffer));
        }
        Ok(())
    }
}

/// Whether this is a whole response.
fn is_whole(response: &[u8]) -> anyhow::Result<bool> {
    const END: &[u8] = b"\r\n\r\n";
    let Some(end) = response.windows(END.len()).position(|window| window == END) else { return Ok(false) };
    let head = std::str::from_utf8(&response[..end])?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then_some(value.trim())
    });
    let length: usize = length.context("an answer without a length")?.parse()?;
    Ok(response.len() >= end + END.len() + length)
}
