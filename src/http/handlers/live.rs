//! Streams of journal entries as server-sent events, and waiting for the end of a saga.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::response::sse::{self, KeepAlive, Sse};
use futures_util::stream::{self, Stream, StreamExt};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, sleep_until, timeout};
use utoipa_axum::routes;
use uuid::Uuid;

use crate::http::Api;
use crate::http::dto::convert;
use crate::http::extract::{Path, Query, last_event_id};
use crate::http::openapi::NotFound;
use crate::http::problem::ErrorResponse;
use crate::http::roles::Viewer;
use crate::http::routes::{Group, needs};
use snorri_api::journal::{Change, Event};
use snorri_api::sagas::{Saga, WaitQuery};
use snorri_core::{SagaId, Status};
use snorri_engine::queries::feed::SagaWatch;
use snorri_engine::queries::view::Appended;

/// When a saga is read without news of it: the feed may miss an entry whose commit took long.
const LONGEST_SILENCE: Duration = Duration::from_secs(60);
const PAGE: u32 = 100;
const DEFAULT_WAIT: u32 = 30;
const LONGEST_WAIT: u32 = 60;

pub(super) fn routes() -> Group {
    Group::default()
        .route(needs::<Viewer>(routes!(watch_all)).untimed())
        .route(needs::<Viewer>(routes!(watch_saga)).untimed())
        .route(needs::<Viewer>(routes!(wait_for_saga)).untimed())
}

/// Watch all sagas
///
/// Streams the new journal entries of all sagas as server-sent events: `entry` with a journal entry as data, and `gap` with
/// the number of lost entries if the client is too slow.
#[utoipa::path(get, path = "/v1/sagas/events", tag = "sagas", responses(
    (status = 200, description = "A stream of events", body = Event, content_type = "text/event-stream")
))]
async fn watch_all(State(api): State<Api>) -> Sse<impl Stream<Item = Result<sse::Event, Infallible>>> {
    let entries = stream::unfold(api.engine.feed.subscribe(), next);
    Sse::new(entries.take_until(api.stopping.cancelled_owned())).keep_alive(KeepAlive::default())
}

/// Watch a saga
///
/// Streams the journal of a saga as server-sent events of type `entry`, with the number of the entry as id: from the first
/// entry, or after `Last-Event-ID`, and then new entries. The stream ends when the saga does.
#[utoipa::path(get, path = "/v1/sagas/{id}/events", tag = "sagas", params(
    ("id" = Uuid, Path, description = "The id of the saga"),
    ("last-event-id" = Option<String>, Header, description = "The last entry that the client received", pattern = "^[0-9]{1,9}$")
), responses(
    (status = 200, description = "A stream of events", body = Event, content_type = "text/event-stream"),
    NotFound
))]
async fn watch_saga(
    State(api): State<Api>,
    Path(id): Path<Uuid>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<sse::Event, Infallible>>>, ErrorResponse> {
    let seen = last_event_id(&headers)?;
    api.engine.queries.row(SagaId(id)).await?.ok_or_else(ErrorResponse::saga_not_found)?;
    let stopping = api.stopping.clone();
    let reading = Reading { news: api.engine.feed.watch(SagaId(id)), api, saga: SagaId(id) };
    let pages = stream::unfold((reading, Some(seen.unwrap_or(0))), async |(mut reading, after)| {
        let (events, next) = reading.page_after(after?).await?;
        Some((events, (reading, next)))
    });
    let events = pages.flat_map(stream::iter).take_until(stopping.cancelled_owned());
    Ok(Sse::new(events).keep_alive(KeepAlive::default()))
}

/// Wait for the end of a saga
///
/// Returns the saga when it has ended (with `stuck=true` also when it is stuck), or in its current state after the timeout.
#[utoipa::path(get, path = "/v1/sagas/{id}/wait", tag = "sagas",
    params(("id" = Uuid, Path, description = "The id of the saga"), WaitQuery), responses(
    (status = 200, description = "The saga", body = Saga,
        headers(("etag" = String, description = "The `seq` of the saga, for `If-Match`"))),
    NotFound
))]
async fn wait_for_saga(
    State(api): State<Api>,
    Path(id): Path<Uuid>,
    Query(query): Query<WaitQuery>,
) -> Result<Response, ErrorResponse> {
    let seconds = query.timeout.unwrap_or(DEFAULT_WAIT);
    if seconds > LONGEST_WAIT {
        let detail = format!("`timeout` must be a number from 0 to {LONGEST_WAIT}");
        return Err(ErrorResponse::invalid_query(detail));
    }
    let until = Instant::now() + Duration::from_secs(seconds.into());
    let answers_stuck = query.stuck.unwrap_or(false);
    // Subscribes before the first read, so that no change after it is missed.
    let mut news = api.engine.feed.watch(SagaId(id));
    loop {
        let row = api.engine.queries.row(SagaId(id)).await?.ok_or_else(ErrorResponse::saga_not_found)?;
        let is_over = row.status.is_final() || (answers_stuck && row.status == Status::Stuck);
        if is_over || Instant::now() >= until || api.stopping.is_cancelled() {
            return super::saga_of(&api, SagaId(id)).await.map(super::tagged);
        }
        tokio::select! {
            () = news.changed() => {}
            () = sleep_until(until) => {}
            () = api.stopping.cancelled() => {}
        }
    }
}

async fn next(
    mut entries: Receiver<Arc<Appended>>,
) -> Option<(Result<sse::Event, Infallible>, Receiver<Arc<Appended>>)> {
    let event = match entries.recv().await {
        // Without an id: the number of an entry identifies it only within its saga.
        Ok(appended) => event(&appended),
        Err(RecvError::Lagged(count)) => sse::Event::default().event("gap").data(count.to_string()),
        Err(RecvError::Closed) => return None,
    };
    Some((Ok(event), entries))
}

type Events = Vec<Result<sse::Event, Infallible>>;

/// Reads the journal of a saga as it grows.
struct Reading {
    api: Api,
    saga: SagaId,
    news: SagaWatch,
}

impl Reading {
    /// The events of the next page, and the entry after which the following page begins, unless the saga ends with this one.
    async fn page_after(&mut self, after: u32) -> Option<(Events, Option<u32>)> {
        let engine = Arc::clone(&self.api.engine);
        loop {
            // A stream cannot report an error: it ends, and the client reconnects.
            let ended = engine.queries.row(self.saga).await.ok()??.status.is_final();
            let entries = engine.queries.journal(self.saga, after, PAGE).await.ok()?;
            match entries.last() {
                Some(last) => {
                    let next = Some(last.seq).filter(|_| !ended || entries.len() >= PAGE as usize);
                    let numbered = |appended: &Appended| Ok(event(appended).id(appended.seq.to_string()));
                    return Some((entries.iter().map(numbered).collect(), next));
                }
                None if ended => return None,
                // After a timeout, the journal is read again.
                None => drop(timeout(LONGEST_SILENCE, self.news.changed()).await),
            }
        }
    }
}

fn event(appended: &Appended) -> sse::Event {
    let entry = convert::journal_entry(appended.seq, &appended.entry);
    let change = Change { saga: appended.saga.0, entry };
    let event = sse::Event::default().event("entry");
    // A value that was decoded from JSON can be encoded.
    event.json_data(change).unwrap_or_default()
}
