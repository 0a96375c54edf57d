//! `snorri demo --serve`: serves the admin API, with orders in different states.

use std::time::Duration;

use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::WATCHED_PACE;
use super::participants::{self, LIMIT, NO_CARRIER, PACKED};
use crate::app::{self, Orchestrator};
use crate::cli::server::serve::cancel_on_signal;
use crate::config::Config;
use snorri_engine::StartRequest;

/// Pause between two orders, so that lists show them in this order.
const APART: Duration = Duration::from_millis(20);

pub async fn run(config: &Config) -> anyhow::Result<()> {
    let stop = CancellationToken::new();
    tokio::spawn(cancel_on_signal(stop.clone())?);
    app::serve_with(config, stop, async |orchestrator| begin(orchestrator, config).await).await
}

async fn begin(orchestrator: &Orchestrator, config: &Config) -> anyhow::Result<()> {
    // The participants run until the broker is closed.
    participants::start(orchestrator.broker(), &config.broker.prefix, WATCHED_PACE).await?;
    let orders = [("o-1001", 129), ("o-1002", LIMIT + 1), (NO_CARRIER, 40), (PACKED, LIMIT + 1)];
    for (order, amount) in orders {
        let request = StartRequest {
            definition: "order".to_owned(),
            input: json!({"orderId": order, "amount": amount}),
            ..StartRequest::default()
        };
        orchestrator.engine().starter.start(request).await?;
        tokio::time::sleep(APART).await;
    }
    anstream::println!("Serving http://{} until you press Ctrl-C.", config.http.listen);
    anstream::println!(
        "Two orders will wait for an operator. In another terminal: snorri list --status stuck"
    );
    Ok(())
}
