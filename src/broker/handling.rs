//! Giving a delivery to the handler, as every broker does it.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::{Delivery, Handler, Verdict};

/// What the handler says of a delivery. It does not take its consumer down: an error or a panic means
/// [`Verdict::Requeue`].
pub(super) async fn verdict(handler: Handler, delivery: Delivery, queue: &str) -> Verdict {
    match AssertUnwindSafe(handler.oneshot(delivery)).catch_unwind().await {
        Ok(Ok(verdict)) => verdict,
        Ok(Err(error)) => {
            tracing::warn!(queue, error, "the handler failed; the message will be delivered again");
            Verdict::Requeue
        }
        Err(_) => {
            tracing::error!(queue, "the handler panicked; the message will be delivered again");
            Verdict::Requeue
        }
    }
}

/// Waits before a message is put back: without a pause, a short outage would use up the deliveries that a message
/// has before it becomes a dead letter. Not when stopping, so that others can take over at once.
pub(super) async fn pause(delay: Duration, stop: &CancellationToken) {
    tokio::select! {
        () = tokio::time::sleep(delay) => {}
        () = stop.cancelled() => {}
    }
}
