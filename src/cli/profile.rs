//! Profiles: named servers in `cli.toml`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use config::{File, FileFormat};
use serde::Deserialize;

use crate::cli::failure::Failure;

/// The default profile.
const DEFAULT: &str = "default";

/// A named server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    pub server: Option<String>,
    /// The file of the token. Relative paths are relative to the directory of `cli.toml`.
    pub token_file: Option<PathBuf>,
    /// Certificates (PEM) to trust in addition to those of the system.
    pub ca: Option<PathBuf>,
}

/// Finds the profile with this name, or the default one, which may be absent.
pub fn find(name: Option<&str>) -> Result<Profile, Failure> {
    let file = path();
    let profiles = match &file {
        Some(file) if file.is_file() => read(file)?,
        _ => BTreeMap::new(),
    };
    let found = profiles.get(name.unwrap_or(DEFAULT)).cloned();
    match (found, name) {
        (Some(profile), _) => Ok(profile),
        (None, None) => Ok(Profile::default()),
        (None, Some(name)) => {
            let there: Vec<_> = profiles.keys().map(String::as_str).collect();
            let place = file.map_or_else(|| "cli.toml".to_owned(), |file| file.display().to_string());
            let there = if there.is_empty() { "none".to_owned() } else { there.join(", ") };
            Err(Failure::usage(format!("there is no profile `{name}` in {place}; profiles: {there}")))
        }
    }
}

/// `$XDG_CONFIG_HOME/snorri/cli.toml`, or the same below `~/.config`.
fn path() -> Option<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let home = absolute("XDG_CONFIG_HOME").or_else(|| Some(absolute("HOME")?.join(".config")))?;
    Some(home.join("snorri").join("cli.toml"))
}

fn read(file: &Path) -> Result<BTreeMap<String, Profile>, Failure> {
    let wrong =
        |error: config::ConfigError| Failure::usage(format!("{} is not valid: {error}", file.display()));
    let source = File::from(file).format(FileFormat::Toml);
    let layers = config::Config::builder().add_source(source).build().map_err(wrong)?;
    let mut profiles: BTreeMap<String, Profile> = layers.try_deserialize().map_err(wrong)?;
    let directory = file.parent().unwrap_or(Path::new("."));
    for profile in profiles.values_mut() {
        for path in [&mut profile.token_file, &mut profile.ca].into_iter().flatten() {
            *path = directory.join(&*path);
        }
    }
    Ok(profiles)
}
