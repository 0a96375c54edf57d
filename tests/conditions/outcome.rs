//! The final content of the store, read without Snorri.

use std::collections::HashMap;

use sea_orm::{ConnectionTrait, Database, DatabaseConnection, DbErr, QueryResult, Statement};

/// Sagas that have not ended and have no incident.
const OPEN: &str = "SELECT count(*) FROM saga s
    WHERE s.status NOT IN ('completed', 'compensated', 'abandoned')
    AND NOT EXISTS (SELECT 1 FROM incident i WHERE i.saga = s.id)";
const SAGAS: &str = "SELECT s.key, s.status,
    CASE WHEN EXISTS (SELECT 1 FROM incident i WHERE i.saga = s.id) THEN 1 ELSE 0 END FROM saga s";

/// A connection to the database that is not Snorri's.
pub struct Reader {
    url: String,
    connection: Option<DatabaseConnection>,
}

/// All sagas.
#[derive(Debug, Default)]
pub struct Sagas {
    /// How many sagas have this business key.
    pub keys: HashMap<String, usize>,
    pub by_status: HashMap<String, usize>,
    /// Sagas with an incident that have not ended.
    pub with_incident: usize,
}

impl Reader {
    pub fn new(url: &str) -> Self {
        Self { url: url.replace("?mode=rwc", "?mode=ro"), connection: None }
    }

    /// The number of sagas, and the number of open ones without an incident. `None`: the database does not answer.
    pub async fn counts(&mut self) -> Option<(usize, usize)> {
        let open = self.count(OPEN).await?;
        Some((self.count("SELECT count(*) FROM saga").await?, open))
    }

    /// The first column of the only row.
    pub async fn count(&mut self, sql: &str) -> Option<usize> {
        let rows = self.rows(sql).await?;
        let count: i64 = rows.first()?.try_get_by_index(0).expect("a number");
        Some(usize::try_from(count).expect("not negative"))
    }

    pub async fn sagas(&mut self) -> Option<Sagas> {
        let mut sagas = Sagas::default();
        for row in self.rows(SAGAS).await? {
            let key: Option<String> = row.try_get_by_index(0).expect("a text");
            let status: String = row.try_get_by_index(1).expect("a text");
            let has_incident: i32 = row.try_get_by_index(2).expect("a number");
            let is_final = ["completed", "compensated", "abandoned"].contains(&&*status);
            *sagas.keys.entry(key.unwrap_or_default()).or_default() += 1;
            *sagas.by_status.entry(status).or_default() += 1;
            sagas.with_incident += usize::from(has_incident == 1 && !is_final);
        }
        Some(sagas)
    }

    async fn rows(&mut self, sql: &str) -> Option<Vec<QueryResult>> {
        let rows = self.query(sql).await;
        if rows.is_err() {
            self.connection = None;
        }
        rows.ok()
    }

    async fn query(&mut self, sql: &str) -> Result<Vec<QueryResult>, DbErr> {
        if self.connection.is_none() {
            self.connection = Some(Database::connect(&self.url).await?);
        }
        let connection = self.connection.as_ref().expect("connected");
        let statement = Statement::from_string(connection.get_database_backend(), sql);
        connection.query_all_raw(statement).await
    }
}
