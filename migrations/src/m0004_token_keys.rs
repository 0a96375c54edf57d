//! The keys that correlation tokens are authenticated with. Only the newest few are kept.

use sea_orm_migration::prelude::{ColumnDef, DeriveIden, Table};
use sea_orm_migration::schema::big_integer;
use sea_orm_migration::sea_orm::{self, DbErr};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager, async_trait};

#[derive(Debug)]
pub(crate) struct TokenKeys;

impl MigrationName for TokenKeys {
    fn name(&self) -> &str {
        "m0004_token_keys"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for TokenKeys {
    #[expect(elided_lifetimes_in_paths, reason = "async_trait wants it as the trait has it")]
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table(TokenKey::Table)
            .col(big_integer(TokenKey::Number).primary_key().take())
            .col(ColumnDef::new(TokenKey::Secret).blob().not_null().take())
            .col(big_integer(TokenKey::CreatedAt))
            .col(big_integer(TokenKey::SignsFrom))
            .take();
        manager.create_table(table).await
    }
}

#[derive(DeriveIden)]
enum TokenKey {
    Table,
    Number,
    Secret,
    CreatedAt,
    SignsFrom,
}
