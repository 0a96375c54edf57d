//! The OpenAPI document: what follows for every route from its role and its limits, so that no handler says it itself.

use std::collections::BTreeMap;

use utoipa::openapi::extensions::ExtensionsBuilder;
use utoipa::openapi::path::{Operation, PathItem, Paths};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{
    ComponentsBuilder, ContentBuilder, HeaderBuilder, InfoBuilder, LicenseBuilder, Object, ObjectBuilder,
    OneOfBuilder, OpenApi, OpenApiBuilder, Ref, RefOr, Response, ResponseBuilder, Schema, Type,
};
use utoipa::{IntoResponses, PartialSchema, ToSchema};

use super::problem::PROBLEM_JSON;
use super::roles::Role;
use super::routes::Limits;
use crate::api::journal::Change;
use crate::api::problem::{At, Problem};

const SECURITY: &str = "bearer";

const TAGS: [(&str, &str); 7] = [
    ("sagas", "Start sagas, list them, and look at them"),
    ("interventions", "Steer and repair one saga"),
    ("bulk", "Do the same to many sagas"),
    ("definitions", "Register definitions, and look at them"),
    ("dead letters", "Messages that nothing could be made of"),
    ("audit", "What was changed by hand"),
    ("process", "About this process and whoever asks"),
];

/// What the document says before any route.
pub(super) fn information() -> OpenApi {
    let info = InfoBuilder::new()
        .title("Snorri")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "The admin API of a saga orchestrator: see, steer and repair every saga. Times are RFC 3339 in UTC. What \
             goes wrong is answered as problem details (RFC 9457) with a stable `code`. Fields and query parameters \
             that are not known are refused; answers may gain fields.",
        ))
        .license(Some(LicenseBuilder::new().name("Apache-2.0").identifier(Some("Apache-2.0")).build()));
    let scheme = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("A static token or a JWT, as the configuration says."))
        .build();
    let components = ComponentsBuilder::new()
        .security_scheme(SECURITY, SecurityScheme::Http(scheme))
        .schema(Problem::name(), Problem::schema())
        .schema(At::name(), At::schema())
        .schema(Change::name(), Change::schema())
        .build();
    let tags =
        TAGS.map(|(name, description)| TagBuilder::new().name(name).description(Some(description)).build());
    OpenApiBuilder::new().info(info.build()).components(Some(components)).tags(Some(tags)).build()
}

/// Adds what a route's role and limits mean for whoever calls it.
pub(super) fn complete(paths: &mut Paths, role: Option<Role>, limits: Limits) {
    for operation in paths.paths.values_mut().flat_map(operations) {
        // A query that the route does not know is refused everywhere.
        let mut statuses = vec![400, 429, 500, 503];
        if limits.timed {
            statuses.push(504);
        }
        if operation.request_body.is_some() {
            statuses.extend([415, 422]);
        }
        if operation.request_body.is_some() && limits.body.is_some() {
            statuses.push(413);
        }
        if role.is_some() {
            statuses.extend([401, 403]);
            operation.security = Some(vec![SecurityRequirement::new(SECURITY, Vec::<String>::new())]);
        } else {
            operation.security = Some(Vec::new());
        }
        let name = role.map_or("open", Role::name);
        let extension = ExtensionsBuilder::new().add("x-role", name).build();
        operation.extensions.get_or_insert_default().merge(extension);
        for status in statuses {
            let responses = &mut operation.responses.responses;
            responses.entry(status.to_string()).or_insert_with(|| RefOr::T(problem(status)));
        }
    }
}

/// What `If-Match` may be: any state, or one.
pub fn if_match() -> Schema {
    let any = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(["*"]));
    let one = ObjectBuilder::new().schema_type(Type::String).pattern(Some(r#"^"[0-9]{1,9}"$"#));
    Schema::OneOf(OneOfBuilder::new().item(any).item(one).build())
}

pub(super) fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.put, &mut item.post, &mut item.delete, &mut item.patch].into_iter().flatten()
}

fn problem(status: u16) -> Response {
    let description = match status {
        400 => "The path, the query or the JSON is not understood",
        401 => "No credentials, or none that count",
        403 => "The role does not suffice",
        404 => "There is no such thing",
        409 => "Not in this state",
        412 => "The saga is not at the sequence of `If-Match` any more",
        413 => "Too large",
        415 => "The body is of another media type",
        422 => "The body says something that cannot be",
        429 => "Too many requests; `Retry-After` says when to come again",
        500 => "Something went wrong here",
        503 => "The database or the engine is not available; try again later",
        504 => "It took too long; what was asked for may happen all the same",
        _ => "A problem",
    };
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(Problem::name()))).build();
    let response = ResponseBuilder::new().description(description).content(PROBLEM_JSON, content);
    let header = |text: &str| {
        HeaderBuilder::new().schema(Some(Object::with_type(Type::String))).description(Some(text)).build()
    };
    match status {
        401 => response.header("www-authenticate", header("`Bearer`")),
        429 => response.header("retry-after", header("Seconds to wait")),
        _ => response,
    }
    .build()
}

macro_rules! problems {
    ($($(#[$doc:meta])* $name:ident = $status:literal),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name;

        impl IntoResponses for $name {
            fn responses() -> BTreeMap<String, RefOr<Response>> {
                BTreeMap::from([($status.to_string(), RefOr::T(problem($status)))])
            }
        }
    )*};
}

// What a handler answers besides what follows from its role, its body and its parameters.
problems! {
    /// 404.
    NotFound = 404,
    /// 409.
    Conflict = 409,
    /// 412.
    Changed = 412,
    /// 413, where there is no limit for the body as such.
    TooLarge = 413,
}
