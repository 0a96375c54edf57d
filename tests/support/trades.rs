//! The participants of the shipped definitions, each with a state that tests can read.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, DbBackend, Statement};
use serde_json::{Value, json};

use super::demo::{Answer, Call, Service};

/// Executes every command, except those that it is set to refuse or to ignore. Its output names the step.
#[derive(Debug, Default)]
pub struct Obliging {
    pub refuses: &'static [&'static str],
    pub ignores: &'static [&'static str],
}

#[async_trait]
impl Service for Obliging {
    async fn take(&self, call: &Call) -> Answer {
        let command = call.command.as_str();
        if self.refuses.contains(&command) {
            return Answer::Refused("no");
        }
        if self.ignores.contains(&command) {
            return Answer::Silence;
        }
        let id = |what: &str| format!("{what} of {}", call.step);
        Answer::Done(match command {
            "inventory.reserve" => json!({"reservationId": id("reservation")}),
            "payment.charge" => json!({"paymentId": id("payment")}),
            "shipping.book" => json!({"trackingId": id("tracking")}),
            "mail.receipt" => json!({"receiptId": id("receipt")}),
            "card.authorize" => json!({"authorizationId": id("authorization")}),
            "card.capture" => json!({"captureId": id("capture")}),
            // A larger amount is a larger risk.
            "fraud.score" => json!({"risk": call.body["amount"].as_i64().expect("an amount") / 100}),
            _ => Value::Null,
        })
    }
}

/// Keeps accounts. What was booked for a transfer can be reversed.
#[derive(Debug, Clone, Default)]
pub struct Bank(Arc<Mutex<Accounts>>);

#[derive(Debug, Default)]
struct Accounts {
    balances: BTreeMap<String, i64>,
    /// By transfer and account.
    booked: HashMap<(String, String), i64>,
    /// Whether transfers are settled.
    settles: bool,
}

impl Bank {
    pub fn new(balances: &[(&str, i64)], settles: bool) -> Self {
        let balances = balances.iter().map(|(account, balance)| ((*account).to_owned(), *balance)).collect();
        Self(Arc::new(Mutex::new(Accounts { balances, settles, ..Accounts::default() })))
    }

    pub fn balances(&self) -> Vec<i64> {
        self.0.lock().expect("unpoisoned").balances.values().copied().collect()
    }
}

impl Accounts {
    fn book(&mut self, entry: (String, String), amount: i64) -> Answer {
        let Some(balance) = self.balances.get_mut(&entry.1) else { return Answer::Refused("no_account") };
        if *balance + amount < 0 {
            return Answer::Refused("no_funds");
        }
        *balance += amount;
        self.booked.insert(entry, amount);
        Answer::Done(json!({"balance": *balance}))
    }

    fn reverse(&mut self, entry: &(String, String)) -> Answer {
        if let Some(amount) = self.booked.remove(entry) {
            *self.balances.get_mut(&entry.1).expect("an account") -= amount;
        }
        Answer::Done(Value::Null)
    }
}

#[async_trait]
impl Service for Bank {
    async fn take(&self, call: &Call) -> Answer {
        let mut accounts = self.0.lock().expect("unpoisoned");
        let text = |field: &str| call.body[field].as_str().unwrap_or_default().to_owned();
        let entry = (text("transferId"), text("account"));
        let amount = call.body["amount"].as_i64().unwrap_or_default();
        match call.command.as_str() {
            "account.debit" => accounts.book(entry, -amount),
            "account.credit" => accounts.book(entry, amount),
            "account.reverse-debit" | "account.reverse-credit" => accounts.reverse(&entry),
            "transfer.settle" if accounts.settles => Answer::Done(json!({"settlementId": "s-1"})),
            _ => Answer::Refused("not_today"),
        }
    }
}

/// Two services with a table each in one database: accounts, and a ledger that posts at most 10,000 at once.
#[derive(Debug, Clone)]
pub struct Deposits(DatabaseConnection);

/// The entries of a service record its effects; its balances are kept with them.
const TABLES: &str = "
    CREATE TABLE account (name text PRIMARY KEY, balance bigint NOT NULL);
    CREATE TABLE account_entry (deposit text PRIMARY KEY, name text NOT NULL, amount bigint NOT NULL);
    CREATE TABLE ledger (name text PRIMARY KEY, balance bigint NOT NULL);
    CREATE TABLE ledger_entry (deposit text PRIMARY KEY, name text NOT NULL, amount bigint NOT NULL);
    INSERT INTO account VALUES ('ann', 0);
    INSERT INTO ledger VALUES ('ann', 0);";

impl Deposits {
    pub async fn new(database_url: &str) -> Self {
        let database = Database::connect(database_url).await.expect("PostgreSQL answers");
        database.execute_unprepared(TABLES).await.expect("tables");
        Self(database)
    }

    /// The balances of an account at each of the two services.
    pub async fn balances(&self, account: &str) -> [i64; 2] {
        let sql = "SELECT a.balance AS account, l.balance AS ledger FROM account a JOIN ledger l USING (name) \
                   WHERE name = $1";
        let row = self.0.query_one_raw(statement(sql, [account.into()])).await.expect("an answer");
        let row = row.expect("an account");
        ["account", "ledger"].map(|column| row.try_get("", column).expect("a balance"))
    }

    /// Books an entry once, with its balance. `None`: no such account.
    async fn add(&self, table: &str, body: &Value) -> Option<i64> {
        let sql = format!(
            "WITH entry AS (INSERT INTO {table}_entry SELECT $1, name, $3 FROM {table} WHERE name = $2 \
             ON CONFLICT DO NOTHING RETURNING name, amount) \
             UPDATE {table} SET balance = balance + amount FROM entry WHERE {table}.name = entry.name RETURNING balance"
        );
        let text = |field: &str| body[field].as_str().expect("a text").to_owned();
        let values = [text("depositId").into(), text("account").into(), body["amount"].as_i64().into()];
        let row = self.0.query_one_raw(statement(&sql, values)).await.expect("an answer")?;
        Some(row.try_get("", "balance").expect("a balance"))
    }

    /// Reverses an entry, if it exists.
    async fn take_back(&self, table: &str, body: &Value) {
        let sql = format!(
            "WITH entry AS (DELETE FROM {table}_entry WHERE deposit = $1 RETURNING name, amount) \
             UPDATE {table} SET balance = balance - amount FROM entry WHERE {table}.name = entry.name"
        );
        let deposit = body["depositId"].as_str().expect("a deposit").to_owned();
        self.0.execute_raw(statement(&sql, [deposit.into()])).await.expect("taken back");
    }
}

fn statement<const N: usize>(sql: &str, values: [sea_orm::Value; N]) -> Statement {
    Statement::from_sql_and_values(DbBackend::Postgres, sql, values)
}

#[async_trait]
impl Service for Deposits {
    async fn take(&self, call: &Call) -> Answer {
        let deposit = &call.body["depositId"];
        match call.command.as_str() {
            "account.credit" => match self.add("account", &call.body).await {
                Some(balance) => {
                    Answer::DoneEvent("account.credited", json!({"depositId": deposit, "balance": balance}))
                }
                None => Answer::RefusedEvent("account.closed", json!({"depositId": deposit})),
            },
            "account.take-back" => {
                self.take_back("account", &call.body).await;
                Answer::DoneEvent("account.taken-back", json!({"depositId": deposit}))
            }
            "ledger.post" if call.body["amount"].as_i64() <= Some(10_000) => {
                self.add("ledger", &call.body).await;
                Answer::DoneEvent("ledger.posted", json!({"depositId": deposit}))
            }
            _ => Answer::RefusedEvent("ledger.refused", json!({"depositId": deposit})),
        }
    }
}

/// Airlines and hotels. There are no flights to Atlantis, and the first request is answered last.
#[derive(Debug)]
pub struct Travel;

#[async_trait]
impl Service for Travel {
    async fn take(&self, call: &Call) -> Answer {
        let text = |field: &str| call.body[field].as_str().unwrap_or_default();
        match call.command.as_str() {
            "flight.hold" if text("to") == "Atlantis" => {
                tokio::time::sleep(Duration::from_millis(300)).await;
                Answer::Refused("no_such_place")
            }
            "flight.hold" => {
                let wait = if call.step == "seat[0]" { 150 } else { 20 };
                tokio::time::sleep(Duration::from_millis(wait)).await;
                Answer::Done(json!({"seat": format!("{}-{}", text("from"), text("to"))}))
            }
            "hotel.hold" => Answer::Done(json!({"room": format!("a room in {}", text("city"))})),
            _ => Answer::Done(Value::Null),
        }
    }
}

/// Devices that take a while, and a count of those in flight at once.
#[derive(Debug, Clone, Default)]
pub struct Fleet {
    watch: Arc<Mutex<Watch>>,
    refuses: Option<&'static str>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Watch {
    pub now: u32,
    pub most: u32,
}

impl Fleet {
    /// With a device that refuses, or without one.
    pub fn new(refuses: Option<&'static str>) -> Self {
        Self { refuses, ..Self::default() }
    }

    pub fn watch(&self) -> Watch {
        *self.watch.lock().expect("unpoisoned")
    }

    async fn work(&self) {
        {
            let mut watch = self.watch.lock().expect("unpoisoned");
            watch.now += 1;
            watch.most = watch.most.max(watch.now);
        }
        tokio::time::sleep(Duration::from_millis(60)).await;
        self.watch.lock().expect("unpoisoned").now -= 1;
    }
}

#[async_trait]
impl Service for Fleet {
    async fn take(&self, call: &Call) -> Answer {
        let about = json!({"rolloutId": call.body["rolloutId"], "device": call.body["device"], "was": "1.0"});
        match call.command.as_str() {
            "device.install" => {
                self.work().await;
                match self.refuses.is_some_and(|device| call.body["device"] == device) {
                    true => Answer::RefusedEvent("device.refused", about),
                    false => Answer::DoneEvent("device.updated", about),
                }
            }
            "device.restore" => {
                self.work().await;
                Answer::DoneEvent("device.restored", about)
            }
            _ => Answer::Done(Value::Null),
        }
    }
}
