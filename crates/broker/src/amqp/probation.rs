//! The last defence against a message that breaks the connection or ends the process whenever it is delivered.
//!
//! The broker counts how often a message is returned to its queue because its consumer was lost. After a few times it moves the
//! message into probation, together with those that were prefetched with it: no client has to be able to read it for that. From
//! there each is consumed alone, so that only the bad one is returned, and the broker parks it. All other messages continue at
//! full speed meanwhile.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::amqp::AmqpBroker;
use crate::amqp::connection::{Link, Purpose};
use crate::amqp::consumer::{Consumer, Interrupted};
use snorri_ports::broker::{Broker, Handler};
use snorri_wire::topology::Names;

/// The interval of checking whether messages are left.
const INTERVAL: Duration = Duration::from_millis(500);

/// Consumes one message at a time, on a connection of its own, until none is left.
pub(super) async fn drain(broker: &AmqpBroker, handler: Handler, stop: &CancellationToken) {
    let queue = Names::new(&broker.options.prefix).probation;
    let closing = broker.closing.child_token();
    let _closing = closing.clone().drop_guard();
    let link = Link::open(Purpose::Probation, broker.options.clone(), None, closing);
    let done = stop.child_token();
    let consumer = Consumer {
        link: &link,
        // Whether it delivers is no indication for the other queues.
        interrupted: &Interrupted::default(),
        publisher: &broker.publisher,
        known: &broker.known,
        options: &broker.options,
        queue: &queue,
        probation: &queue,
        prefetch: 1,
        handler,
        stop: &done,
    };
    let until_empty = async {
        loop {
            tokio::time::sleep(INTERVAL).await;
            if matches!(broker.depth(&queue).await, Ok(0)) {
                done.cancel();
                return std::future::pending().await;
            }
        }
    };
    tokio::select! {
        () = consumer.run() => {}
        () = until_empty => {}
    }
}
