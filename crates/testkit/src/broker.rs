//! A broker that fails on demand.

use std::sync::Arc;

use async_trait::async_trait;
use snorri_ports::broker::{Broker, Delivery, Error, Handler, Publication, Published, Topology};
use snorri_wire::observed::ExchangeState;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use tower::util::BoxCloneSyncService;

use crate::{Fault, Port, Process};

/// The broker of one process.
#[derive(Debug)]
pub struct FaultyBroker {
    inner: Arc<dyn Broker>,
    process: Arc<Process>,
}

impl FaultyBroker {
    pub fn new(inner: Arc<dyn Broker>, process: Arc<Process>) -> Self {
        Self { inner, process }
    }

    async fn call<T>(
        &self,
        method: &'static str,
        act: impl Future<Output = Result<T, Error>> + Send,
    ) -> Result<T, Error> {
        let failed = |fault| Error::Unavailable(format!("planned: {fault:?} of {method}"));
        self.process.call(Port::Broker, method, act, failed).await
    }

    /// Gives deliveries to `handler`, each as a call that can fail. A delivery whose verdict does not reach the broker is
    /// repeated.
    fn handler(&self, queue: &str, handler: Handler) -> Handler {
        let (process, queue) = (Arc::clone(&self.process), queue.to_owned());
        BoxCloneSyncService::new(tower::service_fn(move |delivery: Delivery| {
            let (process, queue, handler) = (Arc::clone(&process), queue.clone(), handler.clone());
            async move {
                let act = async {
                    let verdict = handler.oneshot(delivery.clone()).await?;
                    process.observer().handled(process.name(), &queue, &delivery, &verdict);
                    Ok(verdict)
                };
                let failed = |fault: Fault| format!("planned: {fault:?} of a delivery").into();
                process.call(Port::Broker, "handle", act, failed).await
            }
        }))
    }
}

#[async_trait]
impl Broker for FaultyBroker {
    async fn declare(&self, topology: &Topology) -> Result<(), Error> {
        self.call("declare", self.inner.declare(topology)).await
    }

    async fn inspect_exchange(&self, exchange: &str) -> ExchangeState {
        let act = async { Ok(self.inner.inspect_exchange(exchange).await) };
        self.call("inspect_exchange", act)
            .await
            .unwrap_or_else(|error| ExchangeState::Unknown(error.to_string()))
    }

    fn connections(&self) -> u64 {
        self.process.connections()
    }

    fn availability(&self) -> watch::Receiver<bool> {
        self.process.availability()
    }

    async fn publish(&self, batch: Vec<Publication>) -> Vec<Published> {
        let count = batch.len();
        if !self.process.is_dead() {
            self.process.observer().publishing(self.process.name(), &batch);
        }
        let act = async {
            let results = self.inner.publish(batch.clone()).await;
            self.process.observer().published(self.process.name(), &batch, &results);
            Ok(results)
        };
        let failed = |fault| match fault {
            Fault::Refuse => Published::Refused,
            _ => Published::Unknown,
        };
        let published = self.process.call(Port::Broker, "publish", act, failed).await;
        published.unwrap_or_else(|result| vec![result; count])
    }

    async fn consume(&self, queue: &str, prefetch: u16, handler: Handler, stop: CancellationToken) {
        let handler = self.handler(queue, handler);
        loop {
            // A lost connection drops the consumer, so that unsettled deliveries go back to their queue.
            tokio::select! {
                biased;
                () = self.process.died() => return std::future::pending().await,
                () = self.process.closed() => return,
                () = self.process.lost() => {}
                () = self.inner.consume(queue, prefetch, handler.clone(), stop.clone()) => return,
            }
            tokio::select! {
                biased;
                () = self.process.died() => return std::future::pending().await,
                () = stop.cancelled() => return,
                () = self.process.reconnected() => {}
            }
        }
    }

    async fn drain_probation(&self, handler: Handler, stop: CancellationToken) {
        tokio::select! {
            biased;
            () = self.process.died() => std::future::pending().await,
            () = self.process.closed() => {}
            () = self.inner.drain_probation(handler, stop) => {}
        }
    }

    async fn check(&self) -> Result<(), Error> {
        self.call("check_broker", self.inner.check()).await
    }

    async fn depth(&self, queue: &str) -> Result<u64, Error> {
        self.call("depth", self.inner.depth(queue)).await
    }

    async fn delete_queue(&self, queue: &str) -> Result<(), Error> {
        self.call("delete_queue", self.inner.delete_queue(queue)).await
    }

    /// Closes the connections of this process only: others use the same broker.
    async fn close(&self) {
        self.process.close();
    }
}
