//! The keys that authenticate correlation tokens.

use axum::extract::State;
use utoipa_axum::routes;

use crate::http::extract::Json;
use crate::http::openapi::Conflict;
use crate::http::problem::ErrorResponse;
use crate::http::roles::Admin;
use crate::http::routes::{Group, needs};
use crate::http::{Api, Caller};
use snorri_api::interventions::ReasonBody;
use snorri_api::records::TokenKey;

pub(super) fn routes() -> Group {
    Group::default().route(needs::<Admin>(routes!(rotate_token_keys)))
}

/// Rotate the key of correlation tokens
///
/// The new key is used after a minute, when every process has loaded it; until then, another rotation is rejected. Replies to
/// commands of the previous key are accepted until the next rotation.
#[utoipa::path(post, path = "/v1/token-keys", tag = "process", request_body = ReasonBody, responses(
    (status = 200, description = "The new key, without its secret", body = TokenKey),
    Conflict
))]
async fn rotate_token_keys(
    State(api): State<Api>,
    caller: Caller,
    Json(body): Json<ReasonBody>,
) -> Result<Json<TokenKey>, ErrorResponse> {
    let by = caller.by(&body.reason, body.actor.as_deref())?;
    let key = api.engine.token_keys.rotate(&by).await?;
    Ok(Json(TokenKey { number: key.number, signs_from: key.signs_from.to_rfc3339() }))
}
