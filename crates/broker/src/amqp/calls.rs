//! Calls of lapin: each under a timeout, and with an error of the port.

use std::time::Duration;

use lapin::{Channel, Connection};

use crate::amqp::options::Options;
use snorri_ports::broker::Error;

/// Waits for lapin, with a timeout.
pub(super) async fn within<T>(
    timeout: Duration,
    what: &str,
    call: impl Future<Output = lapin::Result<T>>,
) -> Result<T, Error> {
    match tokio::time::timeout(timeout, call).await {
        Ok(result) => result.map_err(|error| connection_error(&error)),
        Err(_) => Err(Error::Unavailable(format!("{what} took longer than {timeout:?}"))),
    }
}

/// Opens a channel.
pub(super) async fn open_channel(connection: &Connection, options: &Options) -> Result<Channel, Error> {
    within(options.operation_timeout, "opening a channel", connection.create_channel()).await
}

/// Closes a channel. Everything sent on it before has then reached the broker. A failure has the same effect.
pub(super) async fn close_channel(channel: &Channel, options: &Options) {
    let closed = channel.close(200, "OK".into());
    if let Err(error) = within(options.operation_timeout, "closing a channel", closed).await {
        tracing::debug!(%error, "could not close a channel");
    }
}

/// The meaning of lapin's error: a refusal, or a temporary problem.
pub(super) fn connection_error(error: &lapin::Error) -> Error {
    // The broker's numbers for: access refused, not found, precondition failed, command invalid, not allowed.
    const REFUSALS: [u16; 5] = [403, 404, 406, 503, 530];
    match error.kind() {
        lapin::ErrorKind::ProtocolError(reply) if REFUSALS.contains(&reply.get_id()) => {
            Error::Refused(reply.to_string())
        }
        _ => Error::Unavailable(error.to_string()),
    }
}
