//! Logs and spans. Payloads are never logged.
//!
//! Names and reasons from outside are logged. Invisible characters in them are escaped, and the further lines of a message are
//! indented, so that they cannot forge an entry or control a terminal.

use std::fmt;
use std::io::{self, IsTerminal, Write};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::{DefaultFields, Writer};
use tracing_subscriber::fmt::{FormatFields, MakeWriter};

use crate::config::{LogConfig, LogFormat};
use snorri_core::text;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("`log.filter` is not a valid filter: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    #[error("logging is set up already")]
    AlreadySet,
}

/// Sends logs to standard error, for the lifetime of the process. The `silenced` targets are off, whatever the filter.
pub fn init(options: &LogConfig, silenced: &[&str]) -> Result<(), Error> {
    let builder = tracing_subscriber::fmt().with_env_filter(filter(options, silenced)?);
    let set = match options.format {
        LogFormat::Pretty => builder
            .fmt_fields(EscapedFields)
            .with_ansi(io::stderr().is_terminal())
            .with_writer(io::stderr)
            .try_init(),
        LogFormat::Json => builder.json().with_writer(EscapedJson(io::stderr)).try_init(),
    };
    set.map_err(|_| Error::AlreadySet)
}

/// Formats fields as `tracing-subscriber` does, and escapes invisible characters.
#[derive(Debug)]
struct EscapedFields;

impl<'w> FormatFields<'w> for EscapedFields {
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut text = String::new();
        DefaultFields::new().format_fields(Writer::new(&mut text), fields)?;
        writer.write_str(&text::escape_in_lines(&text).replace('\n', "\n    "))
    }
}

/// Writers of JSON in which invisible characters are escaped.
#[derive(Debug)]
struct EscapedJson<M>(M);

impl<'w, M: MakeWriter<'w>> MakeWriter<'w> for EscapedJson<M> {
    type Writer = EscapedJson<M::Writer>;

    fn make_writer(&'w self) -> Self::Writer {
        EscapedJson(self.0.make_writer())
    }
}

impl<W: Write> Write for EscapedJson<W> {
    /// Writes whole entries: no character is split.
    fn write(&mut self, entry: &[u8]) -> io::Result<usize> {
        let entry_text = String::from_utf8_lossy(entry);
        self.0.write_all(text::escape_json(&entry_text).as_bytes())?;
        Ok(entry.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// The filter of `options`, without the `silenced` targets.
pub fn filter(options: &LogConfig, silenced: &[&str]) -> Result<EnvFilter, Error> {
    let mut filter = EnvFilter::builder().parse(&options.filter)?;
    for target in silenced {
        filter = filter.add_directive(format!("{target}=off").parse()?);
    }
    Ok(filter)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Debug, Clone, Default)]
    struct CapturedLog(Arc<Mutex<Vec<u8>>>);

    impl Write for CapturedLog {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("unpoisoned").write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl CapturedLog {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().expect("unpoisoned").clone()).expect("text")
        }
    }

    const HOSTILE: &str = "a\u{1b}[2Jb\u{202e}\nforged";

    #[test]
    fn nothing_invisible_is_logged_as_text() {
        let kept = CapturedLog::default();
        let writer = kept.clone();
        let subscriber = tracing_subscriber::fmt()
            .fmt_fields(EscapedFields)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            tracing::info_span!("start", definition = %HOSTILE).in_scope(|| {
                tracing::warn!(name = HOSTILE, error = %HOSTILE, "cannot start {HOSTILE}");
            });
        });
        let text = kept.text();
        assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text}");
        assert!(text.contains("\\u{202e}") && !text.contains("\nforged"), "{text}");
    }

    #[test]
    fn nothing_invisible_is_logged_as_json() {
        let kept = CapturedLog::default();
        let writer = kept.clone();
        let subscriber =
            tracing_subscriber::fmt().json().with_writer(EscapedJson(move || writer.clone())).finish();
        tracing::subscriber::with_default(subscriber, || tracing::warn!(name = HOSTILE, "cannot start"));
        let text = kept.text();
        assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text}");
        let entry: serde_json::Value = serde_json::from_str(&text).expect("one line of JSON");
        assert_eq!(entry["fields"]["name"], HOSTILE);
    }
}
