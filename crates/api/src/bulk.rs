//! Bulk interventions: a dry run first, then the same request with the number that the dry run reported.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use utoipa::openapi::schema::{AllOfBuilder, ObjectBuilder, OneOfBuilder, Schema, Type};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};
use uuid::Uuid;

use super::sagas::{DependentQuery, SagaQuery};
use super::whole;
use crate::schema;
use snorri_core::Status;
use snorri_core::input::BulkAction;

/// An action and the query of the sagas to apply it to.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BulkRequest {
    #[schema(value_type = schema::BulkAction)]
    pub action: BulkAction,
    #[schema(value_type = DependentQuery)]
    pub query: SagaQuery,
    /// The version to migrate to. Only for `migrate`, which requires it.
    #[serde(deserialize_with = "whole::read", default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// The maximum number of sagas, from 1 to 10,000. Default: 1,000.
    #[serde(deserialize_with = "whole::read", default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 10000)]
    pub limit: Option<u32>,
    /// The `affected` of a previous dry run. Without it, the request is a dry run and changes nothing. If the number of affected
    /// sagas differs from it by now, the request is rejected and changes nothing.
    #[serde(deserialize_with = "whole::read", default, skip_serializing_if = "Option::is_none")]
    pub confirm: Option<u64>,
    #[schema(schema_with = schema::reason)]
    pub reason: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = schema::actor)]
    pub actor: Option<String>,
}

/// One line of the response (NDJSON): `summary` first, then one `item` for each saga, and `complete` at the end.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BulkLine {
    Summary {
        /// The number of sagas that match the query, up to the limit.
        matching: u64,
        /// The number of matching sagas that the action would change now.
        affected: u64,
        /// `true`: this request changes nothing.
        dry_run: bool,
    },
    Item {
        id: Uuid,
        /// Whether the saga was changed, or would be.
        accepted: bool,
        /// The status after the action. Absent if the saga no longer exists.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(value_type = Option<schema::Status>)]
        status: Option<Status>,
        /// Stable code of the reason why the saga was not changed. `detail` describes it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        detail: Option<String>,
    },
    Complete {
        accepted: u64,
        refused: u64,
    },
}

/// A bulk request: only `migrate` has a version, and requires it and a definition.
#[derive(Debug)]
pub struct DependentBulkRequest;

impl PartialSchema for DependentBulkRequest {
    fn schema() -> RefOr<Schema> {
        let RefOr::T(Schema::Object(mut request)) = BulkRequest::schema() else {
            return BulkRequest::schema();
        };
        let description = request.description.take();
        let (mut migrate, mut other) = (request.clone(), request);
        let [is_migrate, is_other] = [true, false].map(|wanted| {
            let actions = BulkAction::ALL.into_iter();
            let actions = actions.filter(|action| (*action == BulkAction::Migrate) == wanted);
            schema::one_of(actions.map(BulkAction::as_str))
        });
        migrate.title = Some("Migrate".to_owned());
        migrate.properties.insert("action".to_owned(), is_migrate.into());
        migrate.required.push("version".to_owned());
        if let Some(RefOr::T(Schema::Object(version))) = migrate.properties.get_mut("version") {
            version.schema_type = Type::Integer.into();
        }
        let query = AllOfBuilder::new()
            .item(Ref::from_schema_name(DependentQuery::name()))
            .item(schema::has_definition());
        migrate.properties.insert("query".to_owned(), query.into());
        other.title = Some("Everything else".to_owned());
        other.properties.insert("action".to_owned(), is_other.into());
        other.properties.insert("version".to_owned(), ObjectBuilder::new().schema_type(Type::Null).into());
        OneOfBuilder::new().item(migrate).item(other).description(description).into()
    }
}

impl ToSchema for DependentBulkRequest {
    fn name() -> Cow<'static, str> {
        BulkRequest::name()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        BulkRequest::schemas(schemas);
    }
}
