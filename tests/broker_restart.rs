//! What RabbitMQ may do to us, really done: killed and started again in the midst of traffic.
//!
//! Alone in this binary, because a broker that is killed disturbs every other test.

#[allow(dead_code, reason = "the other test binary uses the rest")]
#[path = "broker/bed.rs"]
mod bed;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bed::{Bed, Kind, eventually, id, keeper, message};
use snorri_ports::broker::Published;
use tokio_util::sync::CancellationToken;

/// How often the broker is killed.
const KILLS: usize = 2;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn traffic_continues_and_nothing_confirmed_is_lost_when_the_broker_is_killed() {
    if !bed::is_ours() {
        return;
    }
    let bed = Arc::new(Bed::new(Kind::Amqp).await);
    let queue = bed.queue("in", &["key"]).await;
    // A quorum queue that was declared an instant before the broker was killed may stay without a leader.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let (kept, handler) = keeper();
    let consuming = bed.consume(&queue, 100, handler);

    let stop = CancellationToken::new();
    let publishing = tokio::spawn(publish_until(stop.clone(), bed.clone()));
    for _ in 0..KILLS {
        let seen = kept.lock().expect("a lock").len();
        eventually("traffic", async || kept.lock().expect("a lock").len() > seen + 200).await;
        bed::service("restart").await;
        eventually("a broker that confirms", async || bed.broker.check().await.is_ok()).await;
    }
    let seen = kept.lock().expect("a lock").len();
    eventually("traffic after the last start", async || kept.lock().expect("a lock").len() > seen + 200)
        .await;
    stop.cancel();
    let (confirmed, unknown) = publishing.await.expect("no panic");
    assert!(unknown > 0, "the broker was not killed");

    eventually("all that was confirmed", async || {
        let kept: HashSet<String> = kept.lock().expect("a lock").iter().map(id).collect();
        confirmed.is_subset(&kept)
    })
    .await;
    bed.publish_all(vec![message(&queue, "last")]).await;
    eventually("the last", async || kept.lock().expect("a lock").iter().any(|d| id(d) == "last")).await;
    bed.await_depth(&queue, 0).await;
    consuming.stop().await;
    Arc::into_inner(bed).expect("the only one").finish().await;
}

/// Publishes batch after batch, half of it through the exchange. The ids of all messages that were confirmed, and the
/// number of those that were not.
async fn publish_until(stop: CancellationToken, bed: Arc<Bed>) -> (HashSet<String>, usize) {
    let queue = bed.name("in");
    let (mut confirmed, mut unknown) = (HashSet::new(), 0);
    for batch in 0.. {
        if stop.is_cancelled() {
            break;
        }
        let ids: Vec<String> = (0..50).map(|index| format!("{batch}-{index}")).collect();
        let messages = ids.iter().enumerate().map(|(index, id)| match index % 2 {
            0 => message(&queue, id),
            _ => bed.to_exchange("key", id),
        });
        let published = bed.broker.publish(messages.collect()).await;
        assert!(!published.contains(&Published::Unroutable), "queue and binding outlive the broker");
        unknown += published.iter().filter(|published| **published == Published::Unknown).count();
        let done = ids.into_iter().zip(published).filter(|(_, published)| *published == Published::Confirmed);
        confirmed.extend(done.map(|(id, _)| id));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    (confirmed, unknown)
}
