//! `snorri demo`: runs an order that succeeds, one whose payment is refused, and a burst.

mod burst;
mod participants;
mod stay;

use std::time::Duration;

use anstyle::Style;
use anyhow::Context;
use clap::Args as ClapArgs;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::app::Orchestrator;
use crate::cli::saga::render::JournalRenderer;
use crate::config;
use crate::http::Readiness;
use crate::startup::Startup;
use participants::Pace;
use snorri_definition::Compiled;
use snorri_engine::{Engine, StartRequest};

const ORDER: &str = include_str!("../../../../sagas/order.yaml");
/// How long a demo participant works on a command while the journal is shown.
const WATCHED_PACE: Duration = Duration::from_millis(40);
/// How often the journal is read while it is shown.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  snorri demo
  snorri demo --serve          two orders wait for an operator: docs/walkthrough.md
  snorri demo --amqp-url amqp://localhost --database-url postgres://localhost/snorri")]
pub struct Args {
    /// The URL of RabbitMQ, instead of the broker within this process
    #[arg(long, value_name = "URL")]
    amqp_url: Option<String>,
    /// The URL of a database, instead of a temporary SQLite file
    #[arg(long, value_name = "URL")]
    database_url: Option<String>,
    /// Number of sagas in the burst
    #[arg(long, value_name = "COUNT", default_value_t = 2_000)]
    burst: usize,
    /// Number of concurrent sagas in the burst
    #[arg(long, value_name = "COUNT", default_value_t = 100)]
    in_flight: usize,
    /// Serve the admin API until Ctrl-C, with orders that wait for an operator
    #[arg(long, conflicts_with_all = ["burst", "in_flight"])]
    serve: bool,
    /// The address of the admin API
    #[arg(long, value_name = "ADDRESS", requires = "serve", default_value = "127.0.0.1:7070")]
    listen: String,
}

pub async fn run(args: Args) -> anyhow::Result<()> {
    let home = tempfile::Builder::new().prefix("snorri-demo-").tempdir();
    let home = home.context("cannot create a temporary directory")?;
    let sagas = home.path().join("sagas");
    std::fs::create_dir(&sagas)?;
    std::fs::write(sagas.join("order.yaml"), ORDER)?;
    let file = format!("sqlite://{}?mode=rwc", home.path().join("snorri.db").display());
    let broker = args.amqp_url.clone().unwrap_or_else(|| "local".to_owned());
    let database = args.database_url.clone().unwrap_or(file);
    let config = config::load(
        None,
        vec![
            ("definitions.directory", sagas.display().to_string()),
            ("startup.wait_for", "0".to_owned()),
            ("broker.url", broker),
            ("broker.prefix", "snorri-demo".to_owned()),
            ("database.url", database),
            ("http.listen", args.listen.clone()),
        ],
    )?;
    introduce(&args);
    if args.serve {
        return stay::run(&config).await;
    }

    let startup = Startup::begin(config.startup.wait_for, Readiness::default());
    let orchestrator = Orchestrator::start(&config, &startup).await?;
    let engine = orchestrator.engine().clone();
    let participants =
        participants::start(orchestrator.broker(), &config.broker.prefix, WATCHED_PACE).await?;
    let order = engine.definitions.find("order", None).await?;
    let run = Uuid::now_v7().simple().to_string();

    heading("1  A successful order", "every step succeeds");
    follow_order(&engine, &order, &order_of(&run, "happy", 129)).await?;
    heading("2  An order whose payment is refused", "the completed steps are compensated automatically");
    follow_order(&engine, &order, &order_of(&run, "refused", participants::LIMIT + 1)).await?;
    heading("3  A burst", &format!("{} orders, {} at once, every tenth refused", args.burst, args.in_flight));
    participants.set_pace(Pace::AtOnce);
    burst::run(&orchestrator, &config.broker.prefix, &run, args.burst, args.in_flight).await?;

    participants.stop().await;
    orchestrator.shut_down().await;
    anstream::println!("\nNext: write a definition of your own, and run it with `snorri serve`.");
    Ok(())
}

fn introduce(args: &Args) {
    let bold = Style::new().bold();
    let broker = if args.amqp_url.is_some() { "RabbitMQ" } else { "a broker within this process" };
    let database = if args.database_url.is_some() { "your database" } else { "an SQLite file" };
    anstream::println!("{bold}Snorri{bold:#} runs the order saga on {broker} and {database}.");
    anstream::println!("The participants inventory, payment and shipping are part of this demo.");
}

fn heading(title: &str, subtitle: &str) {
    let (bold, dim) = (Style::new().bold(), Style::new().dimmed());
    anstream::println!("\n{bold}{title}{bold:#}  {dim}{subtitle}{dim:#}");
}

fn order_of(run: &str, name: &str, amount: u64) -> Value {
    let short = &run[run.len() - 6..];
    json!({"orderId": format!("{name}-{short}"), "amount": amount})
}

/// Starts one saga and prints its journal until it ends.
async fn follow_order(engine: &Engine, order: &Compiled, input: &Value) -> anyhow::Result<()> {
    let request = StartRequest {
        definition: order.definition.name.to_string(),
        input: input.clone(),
        ..StartRequest::default()
    };
    let started = engine.starter.start(request).await?;
    let mut renderer = JournalRenderer::new(&order.definition);
    let mut shown = 0;
    loop {
        let view = engine.queries.view(started.id).await?.context("the saga does not exist")?;
        for line in view.journal[shown..].iter().flat_map(|entry| renderer.render_entry(entry)) {
            anstream::println!("{line}");
        }
        shown = view.journal.len();
        if view.status().is_final() {
            return Ok(());
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}
