//! A store of each kind for one test: created under a name of its own, removed at the end.

use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::Arc;

use futures_util::FutureExt;
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection};
use snorri_ports::store::Store;
use snorri_store::Options;
use snorri_store::SqlStore;
use tempfile::TempDir;
use testkit::MemoryStore;
use uuid::Uuid;

/// The store of a test.
#[derive(Debug, Clone, Copy)]
pub(crate) enum On {
    Memory,
    Sqlite,
    Postgres,
}

/// An empty store, and where it can be opened again.
pub(crate) struct TestStore {
    pub(crate) store: Arc<dyn Store>,
    home: Home,
}

enum Home {
    Memory,
    Sqlite { file: String, open: SqlStore, _directory: TempDir },
    Postgres { server: String, name: String, open: SqlStore },
}

/// Runs a test on an empty store, and removes the store whatever the result.
pub(crate) async fn run(on: On, test: impl AsyncFnOnce(&mut TestStore)) {
    let mut subject = TestStore::create(on).await;
    let outcome = AssertUnwindSafe(test(&mut subject)).catch_unwind().await;
    subject.remove().await;
    if let Err(panic) = outcome {
        resume_unwind(panic);
    }
}

impl TestStore {
    async fn create(on: On) -> Self {
        match on {
            On::Memory => Self { store: Arc::new(MemoryStore::new()), home: Home::Memory },
            On::Sqlite => {
                let directory = TempDir::new().expect("a directory");
                let file = format!("sqlite://{}?mode=rwc", directory.path().join("snorri.db").display());
                let open = connect(&file).await;
                let store = Arc::new(open.clone());
                Self { store, home: Home::Sqlite { file, open, _directory: directory } }
            }
            On::Postgres => {
                let server = std::env::var("SNORRI_TEST_DATABASE_URL").expect(
                    "SNORRI_TEST_DATABASE_URL is not set: run `make test`, which starts the services and sets it",
                );
                let name = format!("store_{}", Uuid::now_v7().simple());
                administer(&server, &format!("CREATE DATABASE {name}")).await;
                let open = connect(&database(&server, &name)).await;
                Self { store: Arc::new(open.clone()), home: Home::Postgres { server, name, open } }
            }
        }
    }

    /// Closes the store, once all its work is done, and opens it again. Memory just stays.
    pub(crate) async fn reopen(&mut self) {
        let Some(url) = self.url() else { return };
        let (Home::Sqlite { open, .. } | Home::Postgres { open, .. }) = &mut self.home else { return };
        open.close().await;
        *open = connect(&url).await;
        self.store = Arc::new(open.clone());
    }

    /// The URL of the database under the store. Memory has none.
    pub(crate) fn url(&self) -> Option<String> {
        match &self.home {
            Home::Memory => None,
            Home::Sqlite { file, .. } => Some(file.clone()),
            Home::Postgres { server, name, .. } => Some(database(server, name)),
        }
    }

    /// The database under the store, for a test that breaks it.
    pub(crate) async fn database(&self) -> Option<DatabaseConnection> {
        Some(Database::connect(options(self.url()?)).await.expect("the database"))
    }

    async fn remove(self) {
        match self.home {
            Home::Memory => {}
            Home::Sqlite { open, .. } => open.close().await,
            Home::Postgres { server, name, open } => {
                open.close().await;
                administer(&server, &format!("DROP DATABASE {name} WITH (FORCE)")).await;
            }
        }
    }
}

async fn connect(url: &str) -> SqlStore {
    SqlStore::connect(&Options::new(url)).await.expect("a store")
}

async fn administer(server: &str, statement: &str) {
    let connection = Database::connect(options(server.to_owned())).await.expect("the database server");
    connection.execute_unprepared(statement).await.expect(statement);
    connection.close().await.expect("an end");
}

fn options(url: String) -> ConnectOptions {
    let mut options = ConnectOptions::new(url);
    options.max_connections(1).sqlx_logging(false);
    options
}

/// The URL of another database of the same server.
fn database(server: &str, name: &str) -> String {
    let (address, query) = server.split_once('?').map_or((server, ""), |(address, query)| (address, query));
    let end = address.rfind('/').expect("a URL with a database");
    format!("{}/{name}?{query}", &address[..end])
}
