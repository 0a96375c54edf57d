//! The common parts of the OpenAPI document: the responses that follow from the role and the limits of a route.

pub(in crate::http) mod docs;
pub(in crate::http) mod document;
pub(in crate::http) mod links;

use std::collections::BTreeMap;

use utoipa::openapi::extensions::ExtensionsBuilder;
use utoipa::openapi::path::{Operation, Parameter, ParameterIn, PathItem, Paths};
use utoipa::openapi::schema::SchemaType;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{
    ComponentsBuilder, ContentBuilder, HeaderBuilder, InfoBuilder, LicenseBuilder, Object, ObjectBuilder,
    OneOfBuilder, OpenApi, OpenApiBuilder, Ref, RefOr, Response, ResponseBuilder, Schema, Type,
};
use utoipa::{IntoResponses, PartialSchema, ToSchema};

use crate::http::problem::PROBLEM_JSON;
use crate::http::roles::Role;
use crate::http::route_limits::Limits;
use snorri_api::journal::Change;
use snorri_api::problem::{At, Problem};
use snorri_api::schema::VISIBLE;

const SECURITY: &str = "bearer";

const TAGS: [(&str, &str); 7] = [
    ("sagas", "Start, find, read and watch sagas"),
    ("interventions", "Control and repair one saga"),
    ("bulk", "Start or change many sagas"),
    ("definitions", "Register, read and compare definitions"),
    ("dead letters", "Messages that Snorri could not handle"),
    ("audit", "The log of changes by operators"),
    ("process", "Health, metrics and credentials"),
];

/// The document without routes.
pub(super) fn information() -> OpenApi {
    let info = InfoBuilder::new()
        .title("Snorri")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "The admin API of a saga orchestrator: observe, control and repair sagas. Times are RFC 3339 \
             in UTC. Errors are problem details (RFC 9457) with a stable `code`. Requests with unknown \
             fields or query parameters are rejected. Responses may gain fields in later versions.",
        ))
        .license(Some(LicenseBuilder::new().name("Apache-2.0").identifier(Some("Apache-2.0")).build()));
    let scheme = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("A static token or a JWT, depending on the configuration."))
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

/// Adds the security and the responses that follow from the role and the limits of a route.
pub(super) fn complete(paths: &mut Paths, role: Option<Role>, limits: Limits) {
    for operation in paths.paths.values_mut().flat_map(operations) {
        // Every route rejects unknown query parameters.
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
        operation.parameters.iter_mut().flatten().for_each(parameter);
        for status in statuses {
            let responses = &mut operation.responses.responses;
            responses.entry(status.to_string()).or_insert_with(|| RefOr::T(problem(status)));
        }
    }
}

/// Completes the schema of a parameter: an optional one is absent, not null, and a text has no control characters.
fn parameter(parameter: &mut RefOr<Parameter>) {
    let RefOr::T(Parameter { parameter_in, schema: Some(RefOr::T(Schema::Object(schema))), .. }) = parameter
    else {
        return;
    };
    if let SchemaType::Array(types) = &schema.schema_type
        && let Some(kind) = types.iter().find(|kind| **kind != Type::Null)
    {
        schema.schema_type = SchemaType::Type(kind.clone());
    }
    let is_text =
        *parameter_in != ParameterIn::Header && schema.schema_type == SchemaType::Type(Type::String);
    let is_free = schema.format.is_none() && schema.pattern.is_none() && schema.enum_values.is_none();
    if is_text && is_free {
        schema.pattern = Some(VISIBLE.to_owned());
    }
}

/// The schema of `If-Match`: any state, or one.
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
        400 => "The path, the query, a header or the JSON is not valid",
        401 => "The credentials are missing or not valid",
        403 => "The role of the caller is not sufficient",
        404 => "The resource does not exist",
        409 => "The request conflicts with the current state",
        412 => "The `seq` of the saga is no longer that of `If-Match`",
        413 => "The body is too large",
        415 => "The content type of the body is not supported",
        422 => "The body is not valid",
        429 => "Too many requests: retry after `Retry-After`",
        500 => "Internal error",
        503 => "The database or the engine is not available: retry later",
        504 => "The request timed out; it may still take effect",
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

// Responses of a handler in addition to those that follow from its role, its body and its parameters.
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
