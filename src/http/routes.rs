//! Routes with the required role as part of their type, so that the check, its responses and the documentation agree, and no
//! route is without a role.

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, Request};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::IntoResponse;
use percent_encoding::percent_decode_str;
use tower::limit::GlobalConcurrencyLimitLayer;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::timeout::TimeoutLayer;
use utoipa::openapi::path::{ParameterIn, Paths};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter, UtoipaMethodRouterExt};

use crate::http::connection::body;
use crate::http::openapi;
use crate::http::problem::ErrorResponse;
use crate::http::problem::unauthenticated;
use crate::http::roles::{Access, Open, Role};
use crate::http::route_limits::Limits;
use crate::http::state::MAX_BODY_BYTES;
use crate::http::{Api, Caller};
use snorri_core::text;

/// Methods of one path with the same required role and limits.
pub struct Route<A> {
    methods: UtoipaMethodRouter<Api>,
    limits: Limits,
    access: PhantomData<A>,
}

/// Routes that require a role.
pub fn needs<A: Access>(methods: UtoipaMethodRouter<Api>) -> Route<A> {
    let limits = Limits { timed: true, body: Some(MAX_BODY_BYTES) };
    Route { methods, limits, access: PhantomData }
}

/// Routes without authentication.
pub fn open(methods: UtoipaMethodRouter<Api>) -> Route<Open> {
    needs(methods)
}

impl<A: Access> Route<A> {
    /// Removes the time limit, for routes that wait or stream.
    #[must_use]
    pub fn untimed(mut self) -> Self {
        self.limits.timed = false;
        self
    }

    /// Removes the limits of time and body, for handlers that stream line by line and limit each line.
    #[must_use]
    pub fn bulk(mut self) -> Self {
        self.limits = Limits { timed: false, body: None };
        self
    }

    /// Sets the maximum size of the body.
    #[must_use]
    pub fn body(mut self, bytes: usize) -> Self {
        self.limits.body = Some(bytes);
        self
    }
}

/// A group of routes.
#[derive(Default)]
pub struct Group(Vec<Guarded>);

struct Guarded {
    methods: UtoipaMethodRouter<Api>,
    limits: Limits,
    role: Option<Role>,
}

impl Group {
    #[must_use]
    pub fn route<A: Access>(mut self, route: Route<A>) -> Self {
        self.0.push(Guarded { methods: route.methods, limits: route.limits, role: A::ROLE });
        self
    }

    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// The router of all routes, documented and guarded. At most `at_once` requests run concurrently. Requests without a time
    /// limit do not count, because streams would otherwise block other requests.
    pub(super) fn build(self, time: Duration, body_time: Duration, at_once: usize) -> OpenApiRouter<Api> {
        let router = OpenApiRouter::with_openapi(openapi::information());
        let at_once = GlobalConcurrencyLimitLayer::new(at_once);
        self.0
            .into_iter()
            .fold(router, |router, route| router.routes(route.guarded(time, body_time, &at_once)))
    }
}

impl Guarded {
    fn guarded(
        self,
        time: Duration,
        body_time: Duration,
        at_once: &GlobalConcurrencyLimitLayer,
    ) -> UtoipaMethodRouter<Api> {
        let Self { mut methods, limits, role } = self;
        openapi::complete(&mut methods.1, role, limits);
        let known: Arc<[String]> = query_parameters(&methods.1).into();
        let guard = middleware::from_fn(move |request: Request, next: Next| {
            let known = Arc::clone(&known);
            async move {
                match may_enter(&request, role, &known) {
                    Ok(()) => next.run(request).await,
                    Err(problem) => problem.into_response(),
                }
            }
        });
        methods.map(|mut methods| {
            if limits.timed {
                methods = methods.route_layer(at_once.clone());
            }
            methods = match limits.body {
                Some(_) => methods.route_layer(middleware::from_fn(move |request: Request, next: Next| {
                    body::receive(body_time, request, next)
                })),
                None => methods.route_layer(middleware::from_fn(body::work)),
            };
            methods = match limits.body {
                Some(bytes) => methods
                    .route_layer(RequestBodyLimitLayer::new(bytes))
                    .route_layer(DefaultBodyLimit::max(bytes)),
                None => methods.route_layer(DefaultBodyLimit::disable()),
            };
            if limits.timed {
                // Includes the body and the wait for a slot.
                let status = StatusCode::GATEWAY_TIMEOUT;
                methods = methods.route_layer(TimeoutLayer::with_status_code(status, time));
            }
            methods.route_layer(guard)
        })
    }
}

/// Checks the role of the caller and the query parameters of the request.
fn may_enter(request: &Request, role: Option<Role>, known: &[String]) -> Result<(), ErrorResponse> {
    if let Some(needed) = role {
        let authentication = request.extensions().get::<AuthenticationResult>();
        let caller = match authentication.map(|AuthenticationResult(caller)| caller) {
            Some(Ok(caller)) => caller,
            Some(Err(problem)) => return Err(ErrorResponse::clone(problem)),
            None => return Err(unauthenticated("no credentials were given")),
        };
        if !caller.role.covers(needed) {
            let detail =
                format!("this requires the role `{}`; you have `{}`", needed.name(), caller.role.name());
            return Err(ErrorResponse::new(StatusCode::FORBIDDEN, "forbidden", detail));
        }
    }
    let query = request.uri().query().unwrap_or_default();
    for text in [request.uri().path(), query] {
        check_visible(text)?;
    }
    let names = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split('=').next());
    match names.flatten().find(|name| !known.iter().any(|known| known == name)) {
        Some(name) => {
            Err(ErrorResponse::invalid_query(format!("this route has no query parameter `{name}`")))
        }
        None => Ok(()),
    }
}

/// Rejects a path or a query with a control or format character: no stored name has one, and PostgreSQL cannot search for a
/// NUL.
fn check_visible(encoded: &str) -> Result<(), ErrorResponse> {
    let text = percent_decode_str(encoded).decode_utf8_lossy();
    match text::find_invisible(&text) {
        None => Ok(()),
        Some(found) => {
            let code = u32::from(found);
            Err(ErrorResponse::invalid_query(format!(
                "the path or query contains the control or format character U+{code:04X}"
            )))
        }
    }
}

/// The result of the authentication: an extension of every request.
#[derive(Debug, Clone)]
pub(super) struct AuthenticationResult(pub Result<Caller, ErrorResponse>);

/// The documented query parameters of all methods of a path: Axum applies the guard to the path.
fn query_parameters(paths: &Paths) -> Vec<String> {
    let mut paths = paths.clone();
    let operations = paths.paths.values_mut().flat_map(openapi::operations);
    let parameters = operations.flat_map(|operation| operation.parameters.take().unwrap_or_default());
    let names = parameters.filter_map(|parameter| match parameter {
        utoipa::openapi::RefOr::T(parameter) if parameter.parameter_in == ParameterIn::Query => {
            Some(parameter.name)
        }
        _ => None,
    });
    names.collect()
}
