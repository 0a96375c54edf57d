//! Steering one saga.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::sagas::Saga;
use super::whole;
use crate::saga::{Direction, Status};

/// Why, for whatever needs no more to be said: cancel, pause, resume, roll back, abandon.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReasonBody {
    /// For the journal and the audit. From 1 to 1,000 characters.
    #[schema(
        min_length = 1,
        max_length = 1000,
        pattern = r"^[^\x00-\x1f\x7f-\x9f\xad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb]*$"
    )]
    pub reason: String,
    /// Who wants it, if that is not who the credentials say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(
        min_length = 1,
        max_length = 200,
        pattern = r"^[^\x00-\x1f\x7f-\x9f\xad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb]*$"
    )]
    pub actor: Option<String>,
}

/// What says who wants it and why.
pub trait Reasoned {
    fn reason(&self) -> &str;
    fn actor(&self) -> Option<&str>;
}

macro_rules! reasoned {
    ($($body:ty),*) => {$(
        impl Reasoned for $body {
            fn reason(&self) -> &str {
                &self.reason
            }

            fn actor(&self) -> Option<&str> {
                self.actor.as_deref()
            }
        }
    )*};
}

reasoned!(ReasonBody, StepBody, ResolveBody, RestartBody, MigrateBody);

/// What is to be tried again or passed over.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StepBody {
    /// The step; for a retry everything that is held, for a skip the incident that belongs to no step, if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = r"^[^\[]+(\[[0-9]{1,9}\])*$")]
    pub step: Option<String>,
    #[schema(
        min_length = 1,
        max_length = 1000,
        pattern = r"^[^\x00-\x1f\x7f-\x9f\xad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb]*$"
    )]
    pub reason: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(
        min_length = 1,
        max_length = 200,
        pattern = r"^[^\x00-\x1f\x7f-\x9f\xad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb]*$"
    )]
    pub actor: Option<String>,
}

/// What became of a held command, said by hand.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResolveBody {
    #[schema(pattern = r"^[^\[]+(\[[0-9]{1,9}\])*$")]
    pub step: String,
    /// `done`: it happened, with `output`. `not_done`: it did not; only for what goes forward.
    pub outcome: ResolvedAs,
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub output: Value,
    #[schema(
        min_length = 1,
        max_length = 1000,
        pattern = r"^[^\x00-\x1f\x7f-\x9f\xad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb]*$"
    )]
    pub reason: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(
        min_length = 1,
        max_length = 200,
        pattern = r"^[^\x00-\x1f\x7f-\x9f\xad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb]*$"
    )]
    pub actor: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ResolvedAs {
    Done,
    NotDone,
}

/// Where a new saga goes on with the outputs of one that has ended.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RestartBody {
    /// The name of the first step that is to run again, outside of any block.
    pub from: String,
    /// `true`: do steps again that completed and were not undone. Without it such a restart is refused
    /// (`would_repeat_completed`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub repeat_completed: bool,
    #[schema(
        min_length = 1,
        max_length = 1000,
        pattern = r"^[^\x00-\x1f\x7f-\x9f\xad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb]*$"
    )]
    pub reason: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(
        min_length = 1,
        max_length = 200,
        pattern = r"^[^\x00-\x1f\x7f-\x9f\xad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb]*$"
    )]
    pub actor: Option<String>,
}

/// Which version a saga is to go on with.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MigrateBody {
    #[serde(deserialize_with = "whole::read")]
    pub version: u32,
    #[schema(
        min_length = 1,
        max_length = 1000,
        pattern = r"^[^\x00-\x1f\x7f-\x9f\xad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb]*$"
    )]
    pub reason: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(
        min_length = 1,
        max_length = 200,
        pattern = r"^[^\x00-\x1f\x7f-\x9f\xad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb]*$"
    )]
    pub actor: Option<String>,
}

/// Whether something is only to be tried out.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct PreviewQuery {
    /// `true`: tell what would follow, and change nothing.
    pub preview: bool,
}

/// What an intervention led to, or would lead to.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Intervened {
    /// `true`: nothing was changed.
    pub preview: bool,
    /// The saga's journal entries then.
    pub seq: u32,
    pub status: Status,
    /// What is sent.
    pub sends: Vec<Sends>,
    /// The saga as it is then.
    pub saga: Saga,
}

/// A saga that goes on from another one, or would.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Restarted {
    pub id: Uuid,
    /// `false`: the same was asked for before.
    pub created: bool,
    /// The steps that completed before and are done again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repeats: Vec<String>,
    /// What it begins with.
    #[serde(flatten)]
    pub begun: Intervened,
}

/// A message that a decision sends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Sends {
    /// `command`, `event`, `saga` (to a child), `report` (to the parent), `outcome` (to the starter).
    pub kind: String,
    pub step: Option<String>,
    pub direction: Option<Direction>,
    pub attempt: Option<u32>,
    /// Where to: the exchange or queue.
    pub to: Option<String>,
    /// The command or event.
    pub name: Option<String>,
    pub payload: Value,
}

/// Who tells a signal and why, which its body has no place for.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct SignalQuery {
    /// `true`: tell what would follow, and change nothing.
    pub preview: bool,
    /// From 1 to 1,000 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(min_length = 1, max_length = 1000)]
    pub reason: Option<String>,
    /// Who wants it, if that is not who the credentials say.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(min_length = 1, max_length = 200)]
    pub actor: Option<String>,
}

/// Whether a saga can go on with another version of its definition.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Migration {
    /// `true`: nothing was changed.
    pub preview: bool,
    pub from: u32,
    pub to: u32,
    pub safe: bool,
    /// Why it is blocked, if it is not safe.
    pub blocked: Vec<Blocked>,
    /// The saga's journal entries then.
    pub seq: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Blocked {
    /// Stable.
    pub code: String,
    pub step: Option<String>,
    pub message: String,
}
