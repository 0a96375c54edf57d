//! The keys that correlation tokens are authenticated with.

use axum::extract::State;
use utoipa_axum::routes;

use crate::api::interventions::ReasonBody;
use crate::api::problem::Problem;
use crate::api::records::TokenKey;
use crate::http::extract::Json;
use crate::http::openapi::Conflict;
use crate::http::roles::Admin;
use crate::http::routes::{Group, needs};
use crate::http::{Api, Caller};

pub(super) fn routes() -> Group {
    Group::default().route(needs::<Admin>(routes!(rotate_token_keys)))
}

/// Replace the key of correlation tokens
///
/// The new key signs a minute later, when every process knows it; until then there cannot be another one. Replies to
/// commands of the key before it count until the next rotation.
#[utoipa::path(post, path = "/v1/token-keys", tag = "process", request_body = ReasonBody, responses(
    (status = 200, description = "The new key, without its secret", body = TokenKey),
    Conflict
))]
async fn rotate_token_keys(
    State(api): State<Api>,
    caller: Caller,
    Json(body): Json<ReasonBody>,
) -> Result<Json<TokenKey>, Problem> {
    let by = caller.by(&body.reason, body.actor.as_deref())?;
    let key = api.engine.rotate_token_keys(&by).await?;
    Ok(Json(TokenKey { number: key.number, signs_from: key.signs_from.to_rfc3339() }))
}
