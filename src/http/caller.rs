//! The caller of a request, as its credentials identify it.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use crate::http::problem::ErrorResponse;
use crate::http::problem::unauthenticated;
use crate::http::roles::Role;
use snorri_core::journal::By;
use snorri_core::text;

const LONGEST_REASON: usize = 1000;
const LONGEST_ACTOR: usize = 200;

/// The caller of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    pub name: String,
    pub role: Role,
    /// `false`: there is no authentication.
    pub authenticated: bool,
}

impl Caller {
    /// The caller without authentication.
    pub fn anonymous() -> Self {
        Self { name: "anonymous".to_owned(), role: Role::Admin, authenticated: false }
    }

    pub fn known(name: impl Into<String>, role: Role) -> Self {
        Self { name: name.into(), role, authenticated: true }
    }

    /// The actor and the reason, for the journal and the audit log. The actor always includes the name of the credentials.
    pub fn by(&self, reason: &str, actor: Option<&str>) -> Result<By, ErrorResponse> {
        check("/reason", reason, LONGEST_REASON)?;
        if let Some(actor) = actor {
            check("/actor", actor, LONGEST_ACTOR)?;
        }
        let actor = match (actor, self.authenticated) {
            (None, _) => self.name.clone(),
            (Some(actor), false) => actor.to_owned(),
            (Some(actor), true) => format!("{} for {actor}", self.name),
        };
        Ok(By { actor, reason: reason.to_owned() })
    }
}

fn check(pointer: &str, text: &str, longest: usize) -> Result<(), ErrorResponse> {
    let length = text.chars().count();
    let problem = match (1..=longest).contains(&length) {
        false => format!("it has {length} characters"),
        true => match text::find_invisible(text) {
            Some(found) => format!("it has the control or format character U+{:04X}", u32::from(found)),
            None => return Ok(()),
        },
    };
    let detail = format!(
        "`{}` must have 1 to {longest} characters, without control and format characters",
        &pointer[1..]
    );
    Err(ErrorResponse::invalid_body(detail).at(pointer, problem))
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = ErrorResponse;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ErrorResponse> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| unauthenticated("no credentials were given"))
    }
}
