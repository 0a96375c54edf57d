//! The client of the admin API: one method for each kind of call. Every error is a [`Failure`].

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use reqwest::redirect::Policy;
use reqwest::{Certificate, Method, RequestBuilder, Response, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::cli::failure::Failure;
use snorri_api::problem::Problem;
use snorri_api::records::WhoAmI;
use snorri_api::sagas::PageQuery;
use snorri_ports::addresses::{http_client, is_loopback};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Time limit of a request without streaming. Longer than the time limit of the server.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(90);
/// Maximum length of a line of a stream: more than the largest entry of a saga.
const MAX_LINE_BYTES: usize = 64 << 20;

/// The server and the credentials.
#[derive(Debug, Default)]
pub struct Options<'a> {
    pub server: &'a str,
    pub token: Option<SecretString>,
    /// Certificates (PEM) to trust in addition to those of the system.
    pub ca: Option<&'a Path>,
}

#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    server: Url,
    token: Option<SecretString>,
}

/// The body of a response.
#[derive(Debug, Clone)]
pub struct Answer {
    pub text: String,
    pub status: u16,
    call: String,
}

/// The body of a response, line by line.
#[derive(Debug)]
pub struct Lines {
    response: Response,
    buffer: Vec<u8>,
    server: String,
}

/// One server-sent event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Event {
    pub id: Option<String>,
    pub data: String,
}

impl Client {
    pub fn new(options: Options<'_>) -> Result<Self, Failure> {
        let server = options.server.trim_end_matches('/');
        let server = Url::parse(server)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .ok_or_else(|| {
                Failure::usage(format!("`{server}` is not the address of a server, such as http://host:port"))
            })?;
        // Snorri never redirects, and a redirect could leak the token.
        let mut builder = http_client(&server)
            .redirect(Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .user_agent(concat!("snorri/", env!("CARGO_PKG_VERSION")));
        if let Some(path) = options.ca {
            let pem = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
            let certificates = Certificate::from_pem_bundle(&pem)
                .with_context(|| format!("{} has no certificates (PEM)", path.display()))?;
            builder = builder.tls_certs_merge(certificates);
        }
        let http = builder.build().context("cannot create an HTTP client")?;
        Ok(Self { http, server, token: options.token })
    }

    /// Whether others on the network, including a proxy, could read the token.
    pub fn exposes_token(&self) -> bool {
        self.token.is_some() && self.server.scheme() == "http" && !is_loopback(&self.server)
    }

    /// Builds a request to `/v1/...`. The segments of `path` are escaped.
    pub fn request(&self, method: Method, path: &[&str]) -> RequestBuilder {
        let mut url = self.server.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("v1").extend(path);
        }
        let request = self.http.request(method, url);
        match &self.token {
            Some(token) => request.bearer_auth(token.expose_secret()),
            None => request,
        }
    }

    pub async fn get(&self, path: &[&str]) -> Result<Answer, Failure> {
        self.answer(self.request(Method::GET, path)).await
    }

    pub async fn find(&self, path: &[&str], query: &impl Serialize) -> Result<Answer, Failure> {
        self.answer(self.request(Method::GET, path).query(query)).await
    }

    /// Gets one page of a query.
    pub async fn page(
        &self,
        path: &[&str],
        query: &impl Serialize,
        page: &PageQuery,
    ) -> Result<Answer, Failure> {
        self.answer(self.request(Method::GET, path).query(query).query(page)).await
    }

    pub async fn post(&self, path: &[&str], body: &impl Serialize) -> Result<Answer, Failure> {
        self.answer(self.request(Method::POST, path).json(body)).await
    }

    /// Sends a request and receives the whole response.
    pub async fn answer(&self, request: RequestBuilder) -> Result<Answer, Failure> {
        let (response, call) = self.send(request.timeout(ANSWER_TIMEOUT)).await?;
        let status = response.status().as_u16();
        let text = response.text().await.map_err(|error| self.unreachable(&error))?;
        Ok(Answer { text, status, call })
    }

    /// Sends a request and streams the response line by line, without a time limit.
    pub async fn lines(&self, request: RequestBuilder) -> Result<Lines, Failure> {
        let (response, _) = self.send(request).await?;
        Ok(Lines { response, buffer: Vec::new(), server: self.server.to_string() })
    }

    /// Gets the owner of the credentials.
    pub async fn whoami(&self) -> Result<WhoAmI, Failure> {
        self.get(&["whoami"]).await?.read()
    }

    async fn send(&self, request: RequestBuilder) -> Result<(Response, String), Failure> {
        let request = request.build().context("cannot build the request")?;
        let call = format!("{} {}", request.method(), request.url());
        let response = self.http.execute(request).await.map_err(|error| self.unreachable(&error))?;
        if response.status().is_success() {
            return Ok((response, call));
        }
        let status = response.status().as_u16();
        let text = response.text().await.map_err(|error| self.unreachable(&error))?;
        Err(match serde_json::from_str::<Problem>(&text) {
            Ok(problem) => Failure::Refused { problem: Box::new(problem), call },
            Err(_) => Failure::Unexpected { status, call, text },
        })
    }

    fn unreachable(&self, error: &reqwest::Error) -> Failure {
        unreachable(self.server.as_str(), error)
    }
}

impl Answer {
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_str(&self.text).map_err(|_| Failure::Unexpected {
            status: self.status,
            call: self.call.clone(),
            text: self.text.clone(),
        })
    }
}

impl Lines {
    /// The next line without its line ending, `None` at the end of the body.
    pub async fn next(&mut self) -> Result<Option<String>, Failure> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<_> = self.buffer.drain(..=end).collect();
                return Ok(Some(text_of(&line)));
            }
            if self.buffer.len() > MAX_LINE_BYTES {
                return Err(anyhow::anyhow!("the server sent a line without a line ending").into());
            }
            let chunk = self.response.chunk().await.map_err(|error| unreachable(&self.server, &error))?;
            match chunk {
                Some(chunk) => self.buffer.extend_from_slice(&chunk),
                None if self.buffer.is_empty() => return Ok(None),
                None => return Ok(Some(text_of(&std::mem::take(&mut self.buffer)))),
            }
        }
    }

    /// The next value of an NDJSON body.
    pub async fn next_value<T: DeserializeOwned>(&mut self) -> Result<Option<(String, T)>, Failure> {
        while let Some(line) = self.next().await? {
            if line.trim().is_empty() {
                continue;
            }
            let value =
                serde_json::from_str(&line).with_context(|| format!("not a line of Snorri: {line}"))?;
            return Ok(Some((line, value)));
        }
        Ok(None)
    }

    /// The next event of a stream of server-sent events.
    pub async fn next_event(&mut self) -> Result<Option<Event>, Failure> {
        let mut event = Event::default();
        let mut data: Vec<String> = Vec::new();
        while let Some(line) = self.next().await? {
            if line.is_empty() {
                if data.is_empty() {
                    continue;
                }
                event.data = data.join("\n");
                return Ok(Some(event));
            }
            let (field, value) = line.split_once(':').unwrap_or((&line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "data" => data.push(value.to_owned()),
                "id" => event.id = Some(value.to_owned()),
                // Ignores comments, which keep the connection alive, and the type of the event.
                _ => {}
            }
        }
        Ok(None)
    }
}

fn text_of(line: &[u8]) -> String {
    String::from_utf8_lossy(line).trim_end_matches(['\n', '\r']).to_owned()
}

/// Reports the innermost cause; the outer ones are those of the HTTP library.
fn unreachable(server: &str, error: &reqwest::Error) -> Failure {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    Failure::Unreachable { server: server.to_owned(), why: cause.to_string() }
}
