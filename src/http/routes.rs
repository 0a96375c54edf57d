//! Routes with the role they need as part of their type, so that the check, its answers, and what the documentation says of
//! it cannot differ, and so that no route comes in without any.

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

use super::body;
use super::openapi;
use super::problem::unauthenticated;
use super::roles::{Access, Open, Role};
use super::{Api, Caller, MAX_BODY_BYTES};
use crate::api::problem::Problem;
use crate::text;

/// Routes of one path that ask for the same of who calls them.
pub struct Route<A> {
    methods: UtoipaMethodRouter<Api>,
    limits: Limits,
    access: PhantomData<A>,
}

/// What a request may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Whether the answer must begin in time.
    pub timed: bool,
    /// `None`: the body is read while it comes, and may be of any length.
    pub body: Option<usize>,
}

/// Routes that need a role.
pub fn needs<A: Access>(methods: UtoipaMethodRouter<Api>) -> Route<A> {
    let limits = Limits { timed: true, body: Some(MAX_BODY_BYTES) };
    Route { methods, limits, access: PhantomData }
}

/// Routes for everybody.
pub fn open(methods: UtoipaMethodRouter<Api>) -> Route<Open> {
    needs(methods)
}

impl<A: Access> Route<A> {
    /// Without the limit of time: it answers when there is something to tell.
    #[must_use]
    pub fn untimed(mut self) -> Self {
        self.limits.timed = false;
        self
    }

    /// Without limits of time and body: it reads and answers line by line, and holds each line to a limit itself.
    #[must_use]
    pub fn bulk(mut self) -> Self {
        self.limits = Limits { timed: false, body: None };
        self
    }

    /// With bodies up to this size.
    #[must_use]
    pub fn body(mut self, bytes: usize) -> Self {
        self.limits.body = Some(bytes);
        self
    }
}

/// Routes that belong together.
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

    /// The router of all routes, documented and guarded. At most `at_once` requests are dealt with side by side; those that have
    /// no limit of time do not count, or whoever watches would keep the others waiting.
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
                // With the body, and with the wait for its turn.
                let status = StatusCode::GATEWAY_TIMEOUT;
                methods = methods.route_layer(TimeoutLayer::with_status_code(status, time));
            }
            methods.route_layer(guard)
        })
    }
}

/// Whether who asks may ask this, and asks for nothing that this route does not know.
fn may_enter(request: &Request, role: Option<Role>, known: &[String]) -> Result<(), Problem> {
    if let Some(needed) = role {
        let entrance = request.extensions().get::<Entrance>();
        let caller = match entrance.map(|Entrance(caller)| caller) {
            Some(Ok(caller)) => caller,
            Some(Err(problem)) => return Err(Problem::clone(problem)),
            None => return Err(unauthenticated("no credentials were given")),
        };
        if !caller.role.covers(needed) {
            let detail =
                format!("this needs the role `{}`; you have `{}`", needed.name(), caller.role.name());
            return Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", detail));
        }
    }
    let query = request.uri().query().unwrap_or_default();
    for text in [request.uri().path(), query] {
        check_visible(text)?;
    }
    let names = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split('=').next());
    match names.flatten().find(|name| !known.iter().any(|known| known == name)) {
        Some(name) => Err(Problem::invalid_query(format!("this route has no query parameter `{name}`"))),
        None => Ok(()),
    }
}

/// Refuses a path or a query with a control or format character: no name that is kept has one, and PostgreSQL cannot even look
/// for a NUL.
fn check_visible(encoded: &str) -> Result<(), Problem> {
    let text = percent_decode_str(encoded).decode_utf8_lossy();
    match text::find_invisible(&text) {
        None => Ok(()),
        Some(found) => {
            let code = u32::from(found);
            Err(Problem::invalid_query(format!(
                "there is the control or format character U+{code:04X} in it"
            )))
        }
    }
}

/// What the credentials of a request amount to: an extension of every request.
#[derive(Debug, Clone)]
pub(super) struct Entrance(pub Result<Caller, Problem>);

/// Axum runs handlers by path, so that what one of its methods documents counts for all of them.
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
