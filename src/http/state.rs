//! The state of the handlers, and the limit of their requests.

use std::sync::Arc;

use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;

use crate::http::readiness::Readiness;
use snorri_core::MAX_PAYLOAD_BYTES;
use snorri_engine::Engine;

/// Maximum size of the body of a request: the input of a saga and the fields around it.
pub(super) const MAX_BODY_BYTES: usize = MAX_PAYLOAD_BYTES + 16 * 1024;

/// The state of the handlers.
#[derive(Debug, Clone)]
pub struct Api {
    pub engine: Arc<Engine>,
    pub readiness: Readiness,
    pub metrics: Arc<Registry>,
    /// Cancelled when the process stops. Ends unbounded streams.
    pub stopping: CancellationToken,
}
