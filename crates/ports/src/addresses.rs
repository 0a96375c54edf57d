//! The addresses of a service: one URL or several, which are tried in turn.

use std::fmt;
use std::net::IpAddr;

use reqwest::{ClientBuilder, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer};

/// URLs with their passwords, in the order in which they are tried. In a configuration they are a text with commas between
/// them, or a list. A URL may have several hosts: `postgres://user@one:5432,two:5432/shop`.
#[derive(Debug, Clone)]
pub struct Addresses(Vec<SecretString>);

impl Addresses {
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(ExposeSecret::expose_secret)
    }

    /// The address that is tried first.
    pub fn first(&self) -> &str {
        self.iter().next().unwrap_or_default()
    }

    pub fn are_several(&self) -> bool {
        self.0.len() > 1
    }
}

impl From<&str> for Addresses {
    fn from(text: &str) -> Self {
        Self(split_urls(text).iter().flat_map(|url| split_hosts(url)).map(SecretString::from).collect())
    }
}

impl From<String> for Addresses {
    fn from(text: String) -> Self {
        Self::from(text.as_str())
    }
}

impl From<SecretString> for Addresses {
    fn from(text: SecretString) -> Self {
        Self::from(text.expose_secret())
    }
}

impl<'de> Deserialize<'de> for Addresses {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Text(String),
            List(Vec<String>),
        }
        Ok(match Written::deserialize(deserializer)? {
            Written::Text(text) => Self::from(text),
            Written::List(texts) => Self(texts.iter().flat_map(|text| Self::from(text.as_str()).0).collect()),
        })
    }
}

/// The printable part of a URL: never its password.
pub struct Shown<'a>(pub &'a str);

impl fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = match Url::parse(self.0) {
            Ok(url) if url.has_host() => url,
            // The path of a file. Nothing else is shown: a password may be anywhere in it.
            _ if self.0.starts_with("sqlite:") => {
                return f.write_str(self.0.split('?').next().unwrap_or_default());
            }
            _ => return f.write_str("an address that is not a URL"),
        };
        write!(f, "{}://{}", url.scheme(), url.host_str().unwrap_or_default())?;
        if let Some(port) = url.port() {
            write!(f, ":{port}")?;
        }
        f.write_str(url.path())?;
        match url.username() {
            "" => Ok(()),
            user => write!(f, " as user `{user}`"),
        }
    }
}

/// Whether a URL refers to this machine.
pub fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let is_address = |text: &str| text.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
    host == "localhost" || is_address(host.trim_matches(['[', ']']))
}

/// An HTTP client for `url`. This machine is reached without a proxy; for anything else, the proxies of the environment
/// (`https_proxy`, `no_proxy`, ...) apply.
pub fn http_client(url: &Url) -> ClientBuilder {
    let builder = reqwest::Client::builder();
    if is_loopback(url) { builder.no_proxy() } else { builder }
}

/// A comma separates two URLs if the text after it begins like one.
fn split_urls(text: &str) -> Vec<String> {
    let mut urls: Vec<String> = Vec::new();
    for part in text.split(',') {
        match urls.last_mut() {
            Some(last) if !begins_url(part.trim_start()) => {
                last.push(',');
                last.push_str(part);
            }
            _ => urls.push(part.to_owned()),
        }
    }
    urls.iter().map(|url| url.trim().to_owned()).collect()
}

fn begins_url(text: &str) -> bool {
    let is_scheme = |scheme: &str| !scheme.is_empty() && scheme.chars().all(|c| c.is_ascii_alphanumeric());
    text.split_once("://").is_some_and(|(scheme, _)| is_scheme(scheme)) || text.starts_with("sqlite:")
}

/// One URL for each host of a URL.
fn split_hosts(url: &str) -> Vec<String> {
    let whole = || vec![url.to_owned()];
    let Some((scheme, rest)) = url.split_once("://").filter(|(scheme, _)| *scheme != "sqlite") else {
        return whole();
    };
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let (user, hosts) = match authority.rsplit_once('@') {
        Some((user, hosts)) => (format!("{user}@"), hosts),
        None => (String::new(), authority),
    };
    hosts.split(',').map(|host| format!("{scheme}://{user}{}{path}", host.trim())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Vec<String> {
        Addresses::from(text).iter().map(str::to_owned).collect()
    }

    #[test]
    fn urls_and_hosts_are_separated_by_commas() {
        assert_eq!(parsed("amqp://a/x"), ["amqp://a/x"]);
        assert_eq!(parsed("amqp://u:p@a:1/x, amqps://b/y"), ["amqp://u:p@a:1/x", "amqps://b/y"]);
        let hosts = ["postgres://u:a,b@one:1/shop?x=1,2", "postgres://u:a,b@two:2/shop?x=1,2"];
        assert_eq!(parsed("postgres://u:a,b@one:1,two:2/shop?x=1,2"), hosts);
        assert_eq!(parsed("sqlite://a,b.db?mode=rwc"), ["sqlite://a,b.db?mode=rwc"]);
        assert_eq!(parsed("local"), ["local"]);
    }

    #[test]
    fn a_configuration_has_a_text_or_a_list() {
        for json in [r#""amqp://a,amqp://b""#, r#"["amqp://a", "amqp://b"]"#, r#"["amqp://a,b"]"#] {
            let addresses: Addresses = serde_json::from_str(json).expect("addresses");
            assert_eq!(addresses.iter().collect::<Vec<_>>(), ["amqp://a", "amqp://b"], "{json}");
        }
    }

    #[test]
    fn a_password_is_not_shown() {
        for (url, shown) in [
            ("amqp://ann:secret@mq:5671/shop", "amqp://mq:5671/shop as user `ann`"),
            ("postgres://db/shop?password=secret", "postgres://db/shop"),
            ("sqlite://data/snorri.db?mode=rwc", "sqlite://data/snorri.db"),
            ("postgres:/secret@db", "an address that is not a URL"),
            ("ann:secret", "an address that is not a URL"),
        ] {
            assert_eq!(Shown(url).to_string(), shown);
        }
    }
}
