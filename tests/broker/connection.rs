//! The connection: whether it is there, and why not.

use super::*;

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_can_be_asked_how_it_is(#[values(Kind::Local, Kind::Amqp)] kind: Kind) {
    let bed = Bed::new(kind).await;
    let queue = bed.queue("in", &[]).await;
    bed.broker.check().await.expect("it works");
    bed.broker.check().await.expect("it works again");
    let availability = bed.broker.availability();
    assert!(*availability.borrow());
    bed.publish_all(vec![message(&queue, 1), message(&queue, 2)]).await;
    bed.await_depth(&queue, 2).await;
    assert!(matches!(bed.broker.depth(&bed.name("nowhere")).await, Err(Error::Refused(_))));
    let broker = bed.broker.clone();
    bed.finish().await;
    assert!(matches!(broker.check().await, Err(Error::Unavailable(_))), "it is closed");
    assert!(!*availability.borrow());
    assert_eq!(broker.publish(vec![message(&queue, 3)]).await, [Published::Unknown]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn amqp_is_available_while_it_is_connected() {
    let proxy = Proxy::to(&bed::url()).await;
    let options = snorri_broker::amqp::Options {
        url: proxy.url.clone().into(),
        ..bed::options(&format!("test-{}", uuid::Uuid::now_v7().simple()))
    };
    let broker = AmqpBroker::connect(&options).await.expect("a connection");
    let mut availability = broker.availability();
    assert!(*availability.borrow_and_update());
    proxy.cut();
    let change = tokio::time::timeout(bed::PATIENCE, availability.wait_for(|available| !available));
    change.await.expect("in time").expect("a change");
    proxy.mend();
    let change = tokio::time::timeout(bed::PATIENCE, availability.wait_for(|available| *available));
    change.await.expect("in time").expect("a change");
    broker.close().await;
    assert!(!*availability.borrow_and_update());
    let probe = options.probe_queue.into();
    bed::admin().await.queue_delete(probe, QueueDeleteOptions::default()).await.expect("deleted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn amqp_reports_why_it_cannot_connect() {
    let with_url = |url: &str| {
        let options = bed::options("test-unused");
        snorri_broker::amqp::Options { url: url.into(), connect_timeout: Duration::from_secs(2), ..options }
    };
    let refused = AmqpBroker::connect(&with_url("http://localhost")).await;
    assert!(matches!(refused, Err(Error::Refused(_))), "{refused:?}");
    let mut stranger: lapin::uri::AMQPUri = bed::url().parse().expect("a URL");
    stranger.authority.userinfo.password = "wrong".to_owned();
    let url = format!(
        "amqp://{}:wrong@{}:{}/%2f",
        stranger.authority.userinfo.username, stranger.authority.host, stranger.authority.port
    );
    let refused = AmqpBroker::connect(&with_url(&url)).await;
    assert!(matches!(refused, Err(Error::Refused(_))), "{refused:?}");
}

/// A pause that doubles up to 5 s would have been 3.2 s long at the return of the broker.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn amqp_reaches_a_broker_soon_after_its_return() {
    let proxy = Proxy::to(&bed::url()).await;
    let options = snorri_broker::amqp::Options {
        url: proxy.url.clone().into(),
        reconnect_delay_max: Duration::from_secs(5),
        ..bed::options(&format!("test-{}", uuid::Uuid::now_v7().simple()))
    };
    let broker = AmqpBroker::connect(&options).await.expect("a connection");
    let mut availability = broker.availability();
    proxy.cut();
    availability.wait_for(|is_available| !is_available).await.expect("a broker");
    tokio::time::sleep(Duration::from_millis(3_500)).await;
    proxy.mend();
    let within = Duration::from_millis(2_000);
    let again = tokio::time::timeout(within, availability.wait_for(|is_available| *is_available)).await;
    again.expect("reached within 2 s").expect("a broker");
    broker.close().await;
    let probe = options.probe_queue.into();
    bed::admin().await.queue_delete(probe, QueueDeleteOptions::default()).await.expect("deleted");
}
