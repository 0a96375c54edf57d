//! Registering, reading and comparing definitions.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use utoipa_axum::routes;

use crate::http::Api;
use crate::http::Caller;
use crate::http::dto::convert_records;
use crate::http::extract::{Json, Path, Query};
use crate::http::openapi::{Conflict, NotFound};
use crate::http::problem::ErrorResponse;
use crate::http::roles::{Deployer, Viewer};
use crate::http::routes::{Group, needs};
use snorri_api::definitions::{
    DefinitionSummary, Definitions, Diff, DiffQuery, InputSchema, RegisterRequest, Version,
};
use snorri_api::interventions::ReasonBody;
use snorri_definition::diff;
use snorri_engine::definitions::registration::Registration;
use snorri_engine::queries::view::{Count, StoredDefinition};

/// Maximum size of the body of a registration: the source and the files that it refers to.
const MAX_BYTES: usize = 4 * 1024 * 1024;

pub(super) fn routes() -> Group {
    Group::default()
        .route(needs::<Deployer>(routes!(register_definition)).body(MAX_BYTES))
        .route(needs::<Viewer>(routes!(list_definitions)))
        .route(needs::<Viewer>(routes!(get_definition)))
        .route(needs::<Viewer>(routes!(get_version)))
        .route(needs::<Viewer>(routes!(get_source)))
        .route(needs::<Viewer>(routes!(get_input_schema)))
        .route(needs::<Viewer>(routes!(get_diff)))
        .route(needs::<Deployer>(routes!(activate_version)))
        .route(needs::<Deployer>(routes!(deactivate_version)))
}

/// Register a definition
///
/// Checks and registers a definition. A definition with errors is rejected, with all errors in `diagnostics`. A registered
/// version is immutable.
#[utoipa::path(post, path = "/v1/definitions", tag = "definitions", request_body = RegisterRequest, responses(
    (status = 201, description = "Registered", body = Version,
        headers(("location" = String, description = "The path of the version"))),
    (status = 200, description = "Already registered with the same content, or only checked", body = Version),
    Conflict
))]
async fn register_definition(
    State(api): State<Api>,
    caller: Caller,
    Json(body): Json<RegisterRequest>,
) -> Result<Response, ErrorResponse> {
    let by = caller.by(body.reason.as_deref().unwrap_or("registered"), body.actor.as_deref())?;
    let file = body.file.as_deref().unwrap_or("definition.yaml");
    if body.check_only {
        let (compiled, findings) = api.engine.admission.check(file, &body.source, &body.files).await?;
        let version = convert_records::version(&compiled, None);
        return Ok(Json(convert_records::with_findings(version, &findings)).into_response());
    }
    let Registration { compiled, is_new, findings } =
        api.engine.admission.register(file, &body.source, &body.files, &by).await?;
    let (name, version) = (&compiled.definition.name, compiled.definition.version);
    let registered = version_of(&api, name, version).await?;
    let answer = Json(convert_records::with_findings(registered, &findings));
    if !is_new {
        return Ok(answer.into_response());
    }
    let location = [(header::LOCATION, format!("/v1/definitions/{name}/versions/{version}"))];
    Ok((StatusCode::CREATED, location, answer).into_response())
}

/// List definitions
#[utoipa::path(get, path = "/v1/definitions", tag = "definitions", responses(
    (status = 200, description = "All definitions, with their versions and numbers of sagas", body = Definitions)
))]
async fn list_definitions(State(api): State<Api>) -> Result<Json<Definitions>, ErrorResponse> {
    let load_errors = api.engine.definitions.load_errors();
    let load_errors = load_errors.into_iter().map(convert_records::load_error).collect();
    Ok(Json(Definitions { definitions: summaries(&api).await?, load_errors }))
}

/// Get a definition
#[utoipa::path(get, path = "/v1/definitions/{name}", tag = "definitions",
    params(("name" = String, Path, description = "The name of the definition")), responses(
    (status = 200, description = "The definition, with its versions and numbers of sagas", body = DefinitionSummary),
    NotFound
))]
async fn get_definition(
    State(api): State<Api>,
    Path(name): Path<String>,
) -> Result<Json<DefinitionSummary>, ErrorResponse> {
    let found = summaries(&api).await?.into_iter().find(|summary| summary.name == name);
    found.map(Json).ok_or_else(|| not_found(&name, None))
}

/// Get a version of a definition
#[utoipa::path(get, path = "/v1/definitions/{name}/versions/{version}", tag = "definitions", params(
    ("name" = String, Path, description = "The name of the definition"),
    ("version" = u32, Path, description = "The version of the definition")
), responses(
    (status = 200, description = "The version", body = Version),
    NotFound
))]
async fn get_version(
    State(api): State<Api>,
    Path((name, version)): Path<(String, u32)>,
) -> Result<Json<Version>, ErrorResponse> {
    version_of(&api, &name, version).await.map(Json)
}

/// Get the source of a version
#[utoipa::path(get, path = "/v1/definitions/{name}/versions/{version}/source", tag = "definitions", params(
    ("name" = String, Path, description = "The name of the definition"),
    ("version" = u32, Path, description = "The version of the definition")
), responses(
    (status = 200, description = "The YAML as it was registered", body = Object, content_type = "application/yaml"),
    NotFound
))]
async fn get_source(
    State(api): State<Api>,
    Path((name, version)): Path<(String, u32)>,
) -> Result<Response, ErrorResponse> {
    let stored = stored(&api, &name, version).await?;
    Ok(([(header::CONTENT_TYPE, "application/yaml")], stored.source).into_response())
}

/// Get the input schema of a version
///
/// The schema is self-contained. An empty schema accepts any input.
#[utoipa::path(get, path = "/v1/definitions/{name}/versions/{version}/input-schema", tag = "definitions", params(
    ("name" = String, Path, description = "The name of the definition"),
    ("version" = u32, Path, description = "The version of the definition")
), responses(
    (status = 200, description = "A JSON Schema", body = InputSchema),
    NotFound
))]
async fn get_input_schema(
    State(api): State<Api>,
    Path((name, version)): Path<(String, u32)>,
) -> Result<Json<InputSchema>, ErrorResponse> {
    let compiled = api.engine.definitions.find(&name, Some(version)).await?;
    Ok(Json(InputSchema(compiled.input_schema.clone().unwrap_or_else(|| serde_json::json!({})))))
}

/// Compare two versions of a definition
#[utoipa::path(get, path = "/v1/definitions/{name}/diff", tag = "definitions",
    params(("name" = String, Path, description = "The name of the definition"), DiffQuery), responses(
    (status = 200, description = "The changes, and which of them are breaking", body = Diff),
    NotFound
))]
async fn get_diff(
    State(api): State<Api>,
    Path(name): Path<String>,
    Query(DiffQuery { from, to }): Query<DiffQuery>,
) -> Result<Json<Diff>, ErrorResponse> {
    let definitions = &api.engine.definitions;
    let old = definitions.find(&name, Some(from)).await?;
    let new = definitions.find(&name, Some(to)).await?;
    let compared = diff::diff(&old, &new).map_err(|error| ErrorResponse::invalid_query(error.to_string()))?;
    Ok(Json(convert_records::diff(compared)))
}

/// Activate a version
///
/// New sagas can start in an active version.
#[utoipa::path(post, path = "/v1/definitions/{name}/versions/{version}/activate", tag = "definitions", params(
    ("name" = String, Path, description = "The name of the definition"),
    ("version" = u32, Path, description = "The version of the definition")
), request_body = ReasonBody, responses(
    (status = 200, description = "The version after the change", body = Version),
    NotFound
))]
async fn activate_version(
    State(api): State<Api>,
    caller: Caller,
    Path((name, version)): Path<(String, u32)>,
    Json(body): Json<ReasonBody>,
) -> Result<Json<Version>, ErrorResponse> {
    set_active(&api, &caller, (&name, version), &body, true).await
}

/// Deactivate a version
///
/// No new sagas start in the version. Running sagas continue. Other processes apply the change after a few seconds.
#[utoipa::path(post, path = "/v1/definitions/{name}/versions/{version}/deactivate", tag = "definitions", params(
    ("name" = String, Path, description = "The name of the definition"),
    ("version" = u32, Path, description = "The version of the definition")
), request_body = ReasonBody, responses(
    (status = 200, description = "The version after the change", body = Version),
    NotFound
))]
async fn deactivate_version(
    State(api): State<Api>,
    caller: Caller,
    Path((name, version)): Path<(String, u32)>,
    Json(body): Json<ReasonBody>,
) -> Result<Json<Version>, ErrorResponse> {
    set_active(&api, &caller, (&name, version), &body, false).await
}

async fn set_active(
    api: &Api,
    caller: &Caller,
    (name, version): (&str, u32),
    body: &ReasonBody,
    active: bool,
) -> Result<Json<Version>, ErrorResponse> {
    let by = caller.by(&body.reason, body.actor.as_deref())?;
    let now = api.engine.parts.clock.now();
    api.engine.definitions.set_active(name, version, active, &by, now).await?;
    version_of(api, name, version).await.map(Json)
}

async fn version_of(api: &Api, name: &str, version: u32) -> Result<Version, ErrorResponse> {
    let compiled = api.engine.definitions.find(name, Some(version)).await?;
    let unusable = convert_records::unusable(&api.engine.definitions, name, version);
    Ok(convert_records::registered(&compiled, &stored(api, name, version).await?, unusable))
}

async fn stored(api: &Api, name: &str, version: u32) -> Result<StoredDefinition, ErrorResponse> {
    let stored = api.engine.queries.stored_definition(name, version).await?;
    stored.ok_or_else(|| not_found(name, Some(version)))
}

fn not_found(name: &str, version: Option<u32>) -> ErrorResponse {
    snorri_engine::definitions::Error::NotFound { name: name.to_owned(), version }.into()
}

async fn summaries(api: &Api) -> Result<Vec<DefinitionSummary>, ErrorResponse> {
    let mut counts: BTreeMap<(String, u32), Vec<Count>> = BTreeMap::new();
    for count in api.engine.queries.counts().await?.iter() {
        counts.entry((count.definition.clone(), count.version)).or_default().push(count.clone());
    }
    let mut summaries: Vec<DefinitionSummary> = Vec::new();
    for stored in api.engine.queries.stored_definitions().await? {
        let counts = counts.remove(&(stored.name.clone(), stored.version)).unwrap_or_default();
        let unusable = convert_records::unusable(&api.engine.definitions, &stored.name, stored.version);
        let version = convert_records::version_summary(&stored, &counts, unusable);
        match summaries.last_mut() {
            Some(last) if last.name == stored.name => last.versions.push(version),
            _ => summaries.push(DefinitionSummary {
                name: stored.name.clone(),
                description: None,
                latest: None,
                versions: vec![version],
            }),
        }
    }
    for summary in &mut summaries {
        summary.latest =
            summary.versions.iter().filter(|version| version.active).map(|version| version.version).max();
        let known = api.engine.definitions.known(&summary.name, summary.latest);
        summary.description =
            known.and_then(|compiled| compiled.definition.description.as_deref().map(str::to_owned));
    }
    Ok(summaries)
}
