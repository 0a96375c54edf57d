//! The bodies of requests are received completely before a handler runs, so that a slow client takes no slot of the concurrent
//! requests.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::http::connection::connections::{Slot, Working};
use crate::http::problem::ErrorResponse;

/// Receives the body in time, then calls the handler.
pub(in crate::http) async fn receive(timeout: Duration, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let received = if body.is_end_stream() {
        Bytes::new()
    } else {
        let request = Request::from_parts(parts.clone(), body);
        match tokio::time::timeout(timeout, Bytes::from_request(request, &())).await {
            Ok(Ok(bytes)) => bytes,
            Ok(Err(rejection)) => return rejection.into_response(),
            Err(_) => {
                let detail = format!("the body was not received within {timeout:?}");
                return ErrorResponse::new(StatusCode::REQUEST_TIMEOUT, "body_timeout", detail)
                    .into_response();
            }
        }
    };
    work(Request::from_parts(parts, Body::from(received)), next).await
}

/// Marks the connection as busy until the response is sent.
pub(in crate::http) async fn work(request: Request, next: Next) -> Response {
    let working = request.extensions().get::<Slot>().map(Slot::work);
    let response = next.run(request).await;
    response.map(|body| Body::new(BusyBody { body, _working: working }))
}

/// The body of a response. Its connection is busy until it is dropped.
struct BusyBody {
    body: Body,
    _working: Option<Working>,
}

impl HttpBody for BusyBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}
