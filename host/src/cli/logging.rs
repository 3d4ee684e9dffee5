//! What the daemon writes about itself, to stderr.

use super::complaint::WrongUse;
use crate::config::{LogConfig, LogFormat};
use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::format::{DefaultFields, Format, Json, JsonFields};
use tracing_subscriber::fmt::{MakeWriter, SubscriberBuilder};

/// Begins to write, as `[log]` says.
pub(super) fn start(config: &LogConfig) -> Result<(), WrongUse> {
    let filter = filter(&config.level)?;
    let started = match config.format {
        LogFormat::Text => builder(filter, std::io::stderr).with_ansi(colours()).try_init(),
        LogFormat::Json => json(filter, std::io::stderr).try_init(),
    };
    started.map_err(|error| WrongUse::new(format!("cannot begin to log: {error}"), "start the daemon once per process"))
}

fn builder<W>(filter: EnvFilter, writer: W) -> SubscriberBuilder<DefaultFields, Format, EnvFilter, W>
where
    W: for<'w> MakeWriter<'w> + 'static,
{
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer)
}

/// One object a line, with the fields of the event beside its own.
fn json<W>(filter: EnvFilter, writer: W) -> SubscriberBuilder<JsonFields, Format<Json>, EnvFilter, W>
where
    W: for<'w> MakeWriter<'w> + 'static,
{
    builder(filter, writer).json().flatten_event(true).with_current_span(false).with_span_list(false)
}

fn colours() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// The filter of `log.level`.
pub(super) fn filter(level: &str) -> Result<EnvFilter, WrongUse> {
    let refused = |why: String| {
        let remedy = "write a level (error, warn, info, debug, trace) or a filter such as info,billhook::wire=debug";
        WrongUse::new(format!("log.level {level:?} is not usable: {why}"), remedy)
    };
    // A filter may be a bare target, which makes a mistyped level a target that nothing has: a log that stays empty.
    let is_level =
        |part: &str| !part.is_empty() && (part.contains(['=', '[', ':']) || part.parse::<LevelFilter>().is_ok());
    let parts: Vec<&str> = level.split(',').map(str::trim).collect();
    if let Some(part) = parts.iter().find(|part| !is_level(part)) {
        return Err(refused(format!("{part:?} is no level")));
    }
    EnvFilter::try_new(parts.join(",")).map_err(|error| refused(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::sync::{Arc, Mutex};

    #[test]
    fn a_line_for_programs_has_the_documented_members_and_the_events_own() {
        let written = Arc::new(Mutex::new(Vec::new()));
        let writer = {
            let written = Arc::clone(&written);
            move || Lines(Arc::clone(&written))
        };
        let subscriber = json(filter("info").unwrap(), writer).finish();
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(operation.id = %"op_1", server = "panel", count = 3, "a server is \"slow\"\n");
            tracing::debug!("not said");
        });

        let text = String::from_utf8(written.lock().unwrap().clone()).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 1, "{text}");
        let mut line: serde_json::Value = serde_json::from_str(lines[0]).unwrap();
        let at = line["timestamp"].take();
        assert!(at.as_str().unwrap().parse::<jiff::Timestamp>().is_ok(), "{at}");
        let expected = serde_json::json!({
            "timestamp": null, "level": "WARN", "target": module_path!(), "message": "a server is \"slow\"\n",
            "operation.id": "op_1", "server": "panel", "count": 3,
        });
        assert_eq!(line, expected);
        let page = include_str!("../../../docs/operations.md");
        for member in ["timestamp", "level", "target", "message"] {
            assert!(page.contains(&format!("| `{member}` |")), "docs/operations.md does not tell of {member}");
        }
    }

    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_mistyped_level_is_refused_and_not_taken_for_a_target() {
        for (level, is_usable) in [
            ("info", true),
            ("WARN", true),
            ("off", true),
            ("info,billhook::wire=debug", true),
            ("warn, sqlx=error", true),
            ("wran", false),
            ("", false),
            ("info,bilhook", false),
            ("info,a=b=c", false),
        ] {
            assert_eq!(filter(level).is_ok(), is_usable, "{level:?}");
        }
    }
}
