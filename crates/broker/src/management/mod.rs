//! RabbitMQ's management API for a virtual host: AMQP itself has no request for bindings.
//!
//! Declarations are requested without statistics, and are exact. For consumers there are only statistics: their list drops one
//! that leaves at once, but has a new one only after the broker's `collect_statistics_interval`, 5 s by default; a queue's
//! consumer count lags both ways.

mod parked;
mod wire;

use std::collections::HashMap;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use reqwest::{RequestBuilder, StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde_json::Value;

pub use self::parked::ParkedMessage;
use self::wire::{BindingDto, ConsumerDto, ExchangeDto, Overview, Policies, QueueDto};
use snorri_ports::addresses::http_client;
use snorri_wire::observed::Observed;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_secs(60);

/// The address of the API, its user, and the virtual host.
#[derive(Debug, Clone)]
pub struct Access {
    url: Url,
    user: String,
    password: SecretString,
    vhost: String,
}

#[derive(Debug)]
pub struct Management {
    http: reqwest::Client,
    access: Access,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("`{0}` is not the address of a broker: amqp://user:password@host:port/vhost")]
    NotABroker(String),
    #[error("`{0}` is not the address of a management API: http://host:15672")]
    NotAnApi(String),
    #[error("no answer from RabbitMQ's management API at {url}: {why}")]
    Unreachable { url: String, why: String },
    #[error("RabbitMQ's management API at {url} refuses user `{user}`: {reason}")]
    Refused { url: String, user: String, reason: String },
    #[error("RabbitMQ at {url} has no virtual host `{vhost}`")]
    NoVhost { url: String, vhost: String },
    #[error("RabbitMQ at {url} has no queue `{queue}` on virtual host `{vhost}`")]
    NoQueue { url: String, vhost: String, queue: String },
    #[error("{url} answers, but not as RabbitMQ's management API does: {what}")]
    Unexpected { url: String, what: String },
}

impl Error {
    /// What to do about the error.
    pub fn help(&self) -> &'static str {
        match self {
            Self::NotABroker(_) => "it is `broker.url` of the configuration, or SNORRI__BROKER__URL",
            Self::NotAnApi(_) => "see --management-url",
            Self::Unexpected { .. } => {
                "set the API's address with --management-url; the API must have its statistics on (`management.disable_stats`)"
            }
            Self::Unreachable { .. } => {
                "is the plugin on (`rabbitmq-plugins enable rabbitmq_management`)? Set its address with --management-url"
            }
            Self::Refused { .. } => {
                "it needs the tag `management`, and permissions for the virtual host: `rabbitmqctl set_user_tags USER management`"
            }
            Self::NoQueue { .. } => {
                "Snorri declares it when it starts: is `broker.prefix` of the configuration the one that it runs with?"
            }
            Self::NoVhost { .. } => {
                "the virtual host is the path of the broker's URL: `%2f` is the default one"
            }
        }
    }
}

impl Access {
    /// The API that belongs to a broker: on its host, with its user. `management` is another address, with a user or without.
    pub fn new(broker: &str, management: Option<&str>) -> Result<Self, Error> {
        let not_a_broker = || Error::NotABroker(without_password(broker));
        let url = Url::parse(broker).map_err(|_| not_a_broker())?;
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(not_a_broker)?;
        let usual = match url.scheme() {
            "amqp" => format!("http://{host}:15672"),
            "amqps" => format!("https://{host}:15671"),
            _ => return Err(not_a_broker()),
        };
        let (user, password) = credentials(&url).unwrap_or_else(|| ("guest".to_owned(), "guest".to_owned()));
        let vhost = match url.path() {
            "" | "/" => "/".to_owned(),
            path => decoded(path.trim_start_matches('/')),
        };
        let there = management.unwrap_or(&usual);
        let mut api = Url::parse(there)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .ok_or_else(|| Error::NotAnApi(without_password(there)))?;
        let (user, password) = credentials(&api).unwrap_or((user, password));
        // Messages must not show them. A URL with a host can be without both.
        let _ = (api.set_username(""), api.set_password(None));
        Ok(Self { url: api, user, password: password.into(), vhost })
    }
}

fn credentials(url: &Url) -> Option<(String, String)> {
    let password = url.password().unwrap_or_default();
    (!url.username().is_empty()).then(|| (decoded(url.username()), decoded(password)))
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// The text before an `@` may be a password.
fn without_password(url: &str) -> String {
    url.rsplit_once('@').map_or_else(|| url.to_owned(), |(_, rest)| format!("...@{rest}"))
}

impl Management {
    pub fn new(access: Access) -> Result<Self, Error> {
        // A redirect might send the password elsewhere.
        let builder = http_client(&access.url).redirect(reqwest::redirect::Policy::none());
        let http = builder.connect_timeout(CONNECT_TIMEOUT).timeout(TIMEOUT).build();
        let http =
            http.map_err(|error| Error::Unreachable { url: access.url.to_string(), why: causes(&error) })?;
        Ok(Self { http, access })
    }

    /// Reads the current state.
    pub async fn observe(&self) -> Result<Observed, Error> {
        let overview: Overview = self.get(&["overview"]).await?;
        let exchanges: Vec<ExchangeDto> = self.list("exchanges").await?;
        let bindings: Vec<BindingDto> = self.list("bindings").await?;
        let queues: Vec<QueueDto> = self.list("queues").await?;
        let consumers: Vec<ConsumerDto> = self.list("consumers").await?;
        let named = queues.iter().map(|queue| &queue.policy).chain(exchanges.iter().map(|e| &e.policy));
        let policies = Policies::new(
            if named.flatten().next().is_some() { self.list("policies").await? } else { Vec::new() },
            // A user who may not see them may still see the rest.
            self.list("operator-policies").await.unwrap_or_default(),
        );
        let mut counts: HashMap<String, usize> = HashMap::new();
        for consumer in consumers {
            *counts.entry(consumer.queue.name).or_default() += 1;
        }
        let queues = queues.into_iter().map(|queue| {
            let consumers = counts.get(&queue.name).copied().unwrap_or_default();
            (queue.name.clone(), queue.seen(consumers, &policies))
        });
        let major = overview.rabbitmq_version.split('.').next().and_then(|major| major.parse::<u32>().ok());
        Ok(Observed {
            queues: queues.collect(),
            exchanges: exchanges.into_iter().map(|exchange| exchange.seen(&policies)).collect(),
            // The bindings of the default exchange, one for each queue, are left out: its rule is simpler.
            bindings: bindings
                .into_iter()
                .filter(|binding| !binding.source.is_empty())
                .map(BindingDto::seen)
                .collect(),
            limits_deliveries: major.is_some_and(|major| major >= 4),
        })
    }

    async fn list<T: DeserializeOwned>(&self, kind: &str) -> Result<Vec<T>, Error> {
        self.get(&[kind, &self.access.vhost]).await
    }

    async fn get<T: DeserializeOwned>(&self, path: &[&str]) -> Result<T, Error> {
        let mut url = self.url(path);
        // Without statistics a queue is only its declaration, which is exact, and cheap for the broker.
        if path.first() == Some(&"queues") {
            url.query_pairs_mut().append_pair("disable_stats", "true");
        }
        self.answer(self.http.get(url), path).await
    }

    fn url(&self, path: &[&str]) -> Url {
        let mut url = self.access.url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("api").extend(path);
        }
        url
    }

    /// Sends a request to the API, and reads its answer.
    async fn answer<T: DeserializeOwned>(&self, request: RequestBuilder, path: &[&str]) -> Result<T, Error> {
        let request = request.basic_auth(&self.access.user, Some(self.access.password.expose_secret()));
        let at = || self.access.url.to_string();
        let unreachable = |error: reqwest::Error| Error::Unreachable { url: at(), why: causes(&error) };
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        let body = response.text().await.map_err(unreachable)?;
        let reason = || {
            let answer: Option<Value> = serde_json::from_str(&body).ok();
            answer
                .and_then(|answer| Some(answer["reason"].as_str()?.to_owned()))
                .unwrap_or_else(|| status.to_string())
        };
        match status {
            StatusCode::OK => serde_json::from_str(&body)
                .map_err(|error| Error::Unexpected { url: at(), what: error.to_string() }),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Err(Error::Refused { url: at(), user: self.access.user.clone(), reason: reason() })
            }
            StatusCode::NOT_FOUND => match path {
                [_] => Err(Error::Unexpected { url: at(), what: reason() }),
                ["queues", _, queue, ..] => Err(Error::NoQueue {
                    url: at(),
                    vhost: self.access.vhost.clone(),
                    queue: (*queue).to_owned(),
                }),
                _ => Err(Error::NoVhost { url: at(), vhost: self.access.vhost.clone() }),
            },
            _ => Err(Error::Unexpected { url: at(), what: reason() }),
        }
    }
}

fn causes(error: &dyn std::error::Error) -> String {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(broker: &str, management: Option<&str>) -> (String, String, String, String) {
        let access = Access::new(broker, management).expect("an address");
        let password = access.password.expose_secret().to_owned();
        (access.url.to_string(), access.user, password, access.vhost)
    }

    #[test]
    fn the_api_is_at_the_broker_unless_configured() {
        let expected = |url: &str, user: &str, password: &str, vhost: &str| {
            (url.to_owned(), user.to_owned(), password.to_owned(), vhost.to_owned())
        };
        assert_eq!(
            access("amqp://mq.example", None),
            expected("http://mq.example:15672/", "guest", "guest", "/")
        );
        assert_eq!(
            access("amqps://shop:p%40ss@mq.example:5671/or%2fders", None),
            expected("https://mq.example:15671/", "shop", "p@ss", "or/ders")
        );
        assert_eq!(
            access("amqp://shop:secret@[::1]:5672/%2f", Some("http://looker:other@127.0.0.1:1/mq")),
            expected("http://127.0.0.1:1/mq", "looker", "other", "/")
        );
    }

    #[test]
    fn an_invalid_address_is_reported_without_its_password() {
        for (broker, management) in
            [("local", None), ("http://u:secret@h", None), ("amqp://h", Some("ftp://u:secret@h"))]
        {
            let error = Access::new(broker, management).expect_err("no address").to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
