//! What the daemon writes about itself, to stderr.

use super::complaint::WrongUse;
use crate::config::{LogConfig, LogFormat};
use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// Begins to write, as `[log]` says.
pub(super) fn start(config: &LogConfig) -> Result<(), WrongUse> {
    let filter = filter(&config.level)?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match config.format {
        LogFormat::Text => builder.with_ansi(colours()).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| WrongUse::new(format!("cannot begin to log: {error}"), "start the daemon once per process"))
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
