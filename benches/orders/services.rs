//! The RabbitMQ and the PostgreSQL of a benchmark, which leaves nothing in them.

use anyhow::Context;
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, Statement};
use uuid::Uuid;

use crate::amqp;

#[derive(Debug)]
pub struct Services {
    pub amqp_url: String,
    server_url: String,
    /// Distinguishes this benchmark's names from another's.
    run: String,
}

impl Services {
    pub fn from_env() -> anyhow::Result<Self> {
        let url = |name: &str| std::env::var(name).with_context(|| format!("{name}: use `make bench`"));
        let run = uuid::Uuid::now_v7().simple().to_string();
        Ok(Self { amqp_url: url("SNORRI_TEST_AMQP_URL")?, server_url: url("SNORRI_TEST_DATABASE_URL")?, run })
    }

    pub fn participant_queue(&self) -> String {
        format!("snorri-bench-{}.participant", self.run)
    }

    /// The destination of commands without a participant: a queue, and an exchange of the same name.
    pub fn idle_queue(&self) -> String {
        format!("snorri-bench-{}.idle", self.run)
    }

    /// A new, empty database.
    pub async fn create_database(&self, number: u32) -> anyhow::Result<String> {
        let name = self.database(number);
        self.execute(&format!("CREATE DATABASE {name}")).await?;
        let (server, _) = self.server_url.rsplit_once('/').context("a URL with a database")?;
        Ok(format!("{server}/{name}"))
    }

    pub async fn drop_database(&self, number: u32) -> anyhow::Result<()> {
        self.execute(&format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.database(number))).await
    }

    /// Removes everything that may exist.
    pub async fn clean_up(&self, databases: u32) -> anyhow::Result<()> {
        for number in 0..=databases {
            self.drop_database(number).await?;
        }
        let connection = amqp::connect(&self.amqp_url).await?;
        let queues = [self.participant_queue(), self.idle_queue()];
        amqp::delete_queues(&connection, &queues.each_ref().map(String::as_str)).await?;
        amqp::delete_exchange(&connection, &self.idle_queue()).await?;
        Ok(connection.close(200, "OK".into()).await?)
    }

    /// Removes the processes that worked on a database and have ended, and returns their ids. The floor's has no tables.
    pub async fn forget_processes(&self, database_url: &str) -> anyhow::Result<Vec<Uuid>> {
        let database = Database::connect(database_url).await?;
        let query = |sql| Statement::from_string(database.get_database_backend(), sql);
        let tables =
            database.query_all_raw(query("SELECT 1 FROM pg_tables WHERE tablename = 'process'")).await?;
        let rows = match tables[..] {
            [] => Vec::new(),
            _ => database.query_all_raw(query("DELETE FROM process RETURNING id")).await?,
        };
        database.close().await?;
        rows.iter().map(|row| Ok(row.try_get("", "id")?)).collect()
    }

    fn database(&self, number: u32) -> String {
        format!("snorri_bench_{}_{number}", self.run)
    }

    async fn execute(&self, sql: &str) -> anyhow::Result<()> {
        let server = Database::connect(&self.server_url).await.context("PostgreSQL does not let us in")?;
        server.execute_unprepared(sql).await?;
        Ok(server.close().await?)
    }
}

/// How many rows a table has.
pub async fn count(database: &DatabaseConnection, table: &str) -> anyhow::Result<u64> {
    let sql = format!("SELECT count(*) AS count FROM {table}");
    let row = database.query_one_raw(Statement::from_string(database.get_database_backend(), sql)).await?;
    let count: i64 = row.context("a row")?.try_get("", "count")?;
    Ok(count.try_into()?)
}
