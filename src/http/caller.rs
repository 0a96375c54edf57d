//! Who is asking, as the credentials say.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::problem::unauthenticated;
use super::roles::Role;
use crate::api::problem::Problem;
use crate::saga::journal::By;
use crate::text;

const LONGEST_REASON: usize = 1000;
const LONGEST_ACTOR: usize = 200;

/// Who is asking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    pub name: String,
    pub role: Role,
    /// `false`: nobody is asked who they are.
    pub authenticated: bool,
}

impl Caller {
    /// Everybody, where nobody is asked.
    pub fn anonymous() -> Self {
        Self { name: "anonymous".to_owned(), role: Role::Admin, authenticated: false }
    }

    pub fn known(name: impl Into<String>, role: Role) -> Self {
        Self { name: name.into(), role, authenticated: true }
    }

    /// Who and why, for the journal and the audit. A name in the body never hides the one of the credentials.
    pub fn by(&self, reason: &str, actor: Option<&str>) -> Result<By, Problem> {
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

fn check(pointer: &str, text: &str, longest: usize) -> Result<(), Problem> {
    let length = text.chars().count();
    let problem = match (1..=longest).contains(&length) {
        false => format!("it has {length} characters"),
        true => match text::find_invisible(text) {
            Some(found) => format!("it has the control or format character U+{:04X}", u32::from(found)),
            None => return Ok(()),
        },
    };
    let detail = format!(
        "`{}` is a text of 1 to {longest} characters, without control and format characters",
        &pointer[1..]
    );
    Err(Problem::invalid_body(detail).at(pointer, problem))
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| unauthenticated("no credentials were given"))
    }
}
