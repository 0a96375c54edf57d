//! Gives a delivery to the handler, for every broker.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use snorri_ports::broker::{Delivery, Handler, Verdict};

/// The pause before a delivery is tried again; it doubles each time.
const RETRY_DELAY_MIN: Duration = Duration::from_millis(100);
/// How long a delivery that is not taken is held. After that another consumer may try, which counts as a delivery for the
/// broker.
const HOLD: Duration = Duration::from_secs(300);

/// Returns the handler's verdict, once it is not [`Verdict::Requeue`]. Until then the handler gets the delivery again, with
/// pauses of up to `max_delay`. [`Verdict::Requeue`] remains if `stop` is cancelled, after [`HOLD`], and if the handler panics:
/// a message that makes it panic must count as delivered. An error counts as [`Verdict::Requeue`].
pub(super) async fn settle(
    handler: &Handler,
    delivery: impl Fn() -> Delivery,
    queue: &str,
    max_delay: Duration,
    stop: &CancellationToken,
) -> Verdict {
    let (began, mut delay) = (Instant::now(), RETRY_DELAY_MIN.min(max_delay));
    let mut is_repeated = false;
    loop {
        let mut given = delivery();
        given.redelivered |= is_repeated;
        match AssertUnwindSafe(handler.clone().oneshot(given)).catch_unwind().await {
            Ok(Ok(Verdict::Requeue)) => {}
            Ok(Ok(verdict)) => return verdict,
            Ok(Err(error)) => {
                tracing::warn!(queue, error, "the handler failed; the message will be tried again");
            }
            Err(_) => {
                tracing::error!(queue, "the handler panicked; the message will be delivered again");
                pause(max_delay, stop).await;
                return Verdict::Requeue;
            }
        }
        pause(delay, stop).await;
        if stop.is_cancelled() || began.elapsed() >= HOLD {
            return Verdict::Requeue;
        }
        delay = (delay * 2).min(max_delay);
        is_repeated = true;
    }
}

/// Waits, but not when stopping, so that others can take over at once.
async fn pause(delay: Duration, stop: &CancellationToken) {
    tokio::select! {
        biased;
        () = tokio::time::sleep(delay) => {}
        () = stop.cancelled() => {}
    }
}
