//! How a failure is told: what, where, and what helps.

use super::answer::{Exit, pretty};
use super::client::ClientError;
use super::operation;
use super::table::plain;
use crate::config::ConfigError;
use crate::engine::StartError;
use crate::plugin::LoadError;
use crate::problem::ProblemDocument;
use crate::store::{CopyError, RestoreError, StoreError};
use crate::views::FailureView;
use std::fmt::Write as _;

/// Arguments, or settings that they lead to, that cannot be followed.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub(super) struct WrongUse {
    what: String,
    remedy: String,
}

impl WrongUse {
    pub(super) fn new(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { what: what.into(), remedy: remedy.into() }
    }

    /// What helps.
    pub(super) fn remedy(&self) -> &str {
        &self.remedy
    }
}

/// Prints the failure: in words to stderr, or where programs listen and the API gave a document, that to stdout.
pub(super) fn print(error: &anyhow::Error, as_json: bool) -> Exit {
    match error.downcast_ref::<ClientError>() {
        Some(ClientError::Problem { json, .. }) if as_json => print!("{}", pretty(json)),
        _ => eprint!("{}", text(error)),
    }
    exit(error)
}

fn exit(error: &anyhow::Error) -> Exit {
    let is_wrong_use = error.is::<WrongUse>()
        || error.is::<ConfigError>()
        || matches!(error.downcast_ref(), Some(ClientError::NotSendable));
    if is_wrong_use { Exit::WrongUse } else { Exit::Failed }
}

/// The failure in words, with a line end.
fn text(error: &anyhow::Error) -> String {
    if let Some(refused) = error.downcast_ref::<ConfigError>() {
        return config_text(refused);
    }
    if let Some(ClientError::Problem { document, .. }) = error.downcast_ref::<ClientError>() {
        return problem_text(document);
    }
    // `:#` walks the chain of sources.
    let mut out = format!("error: {}\n", plain(&format!("{error:#}")));
    if let Some(remedy) = remedy(error) {
        line(&mut out, "help", remedy);
    }
    out
}

fn remedy(error: &anyhow::Error) -> Option<&str> {
    if let Some(wrong) = error.downcast_ref::<WrongUse>() {
        return Some(wrong.remedy());
    }
    if let Some(client) = error.downcast_ref::<ClientError>() {
        return client.remedy();
    }
    if let Some(refused) = error.downcast_ref::<LoadError>() {
        return Some(refused.refusal.remedy());
    }
    if let Some(error) = error.downcast_ref::<CopyError>() {
        return Some(error.remedy());
    }
    if let Some(error) = error.downcast_ref::<RestoreError>() {
        return Some(error.remedy());
    }
    error.downcast_ref::<StartError>().map(|error| match error {
        StartError::Store(
            error @ (StoreError::Locked { .. }
            | StoreError::Retired { .. }
            | StoreError::Copying { .. }
            | StoreError::Damaged(_)
            | StoreError::Full(_)
            | StoreError::ReadOnly(_)),
        ) => error.remedy(),
        StartError::Store(_) => {
            "`billhook check` looks at the store; the daemon's user needs its folder alone, on a disk with room"
        }
        StartError::Key { .. } => {
            "put the key back from its copy, closed to others (chmod 600); `billhook check` looks at it"
        }
        StartError::Runtime(_) => "let the daemon have more threads (ulimit -u, TasksMax)",
    })
}

/// Everything that was found, each with its remedy.
pub(super) fn config_text(refused: &ConfigError) -> String {
    let mut out = match refused.findings.len() {
        1 => "error: the configuration is refused\n".to_owned(),
        n => format!("error: the configuration is refused for {n} reasons\n"),
    };
    for finding in &refused.findings {
        line(&mut out, "at", &finding.place);
        let _ = writeln!(out, "      {}", plain(&finding.problem));
        line(&mut out, "help", &finding.remedy);
    }
    out
}

/// A problem document in words.
pub(super) fn problem_text(problem: &ProblemDocument) -> String {
    let mut out = format!("error: {}\n", plain(&problem.detail));
    if let Some(path) = problem.path.as_deref().filter(|path| !path.is_empty()) {
        line(&mut out, "at", path);
    }
    if let Some(remedy) = &problem.remedy {
        line(&mut out, "help", remedy);
    }
    out
}

/// A failed or cancelled hook in words.
pub(super) fn failure_text(failure: &FailureView) -> String {
    let mut out = match &failure.operation {
        Some(operation) => operation::text(operation),
        None => format!("{}  failed\n", plain(&failure.log_ref)),
    };
    match (&failure.fault, &failure.operation) {
        // It stands with the operation.
        (Some(_), Some(operation)) if operation.fault.is_some() => {}
        (Some(fault), _) => out.push_str(&operation::fault_text(fault)),
        (None, _) => line(&mut out, "why", &failure.problem.detail),
    }
    if let Some(remedy) = &failure.problem.remedy {
        line(&mut out, "help", remedy);
    }
    out
}

fn line(out: &mut String, label: &str, text: &str) {
    let _ = writeln!(out, "{label:>6}: {}", plain(text));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Finding;
    use crate::problem::{Problem, ProblemType};
    use serde_json::Value;

    #[test]
    fn every_finding_of_a_configuration_is_shown_with_its_remedy() {
        let finding =
            |n: u8| Finding { place: format!("b.toml:{n} a.b"), problem: "is bad".into(), remedy: "mend it".into() };
        let error = anyhow::Error::new(ConfigError { findings: vec![finding(1), finding(2)] });

        assert_eq!(exit(&error), Exit::WrongUse);
        assert_eq!(
            text(&error),
            "error: the configuration is refused for 2 reasons\n    at: b.toml:1 a.b\n      is bad\n  help: mend it\n    \
             at: b.toml:2 a.b\n      is bad\n  help: mend it\n"
        );
    }

    #[test]
    fn a_problem_is_told_as_what_where_and_remedy() {
        let problem = Problem::new(ProblemType::NotConfigured, "no product p is configured").remedy("add [products.p]");
        let document = Problem { path: Some("/product/id".into()), ..problem }.document();
        let error = anyhow::Error::new(ClientError::Problem { document: Box::new(document), json: Value::Null });

        assert_eq!(exit(&error), Exit::Failed);
        assert_eq!(text(&error), "error: no product p is configured\n    at: /product/id\n  help: add [products.p]\n");
    }

    #[test]
    fn wrong_use_ends_with_its_own_code_and_everything_else_as_a_failure() {
        assert_eq!(exit(&WrongUse::new("no", "do").into()), Exit::WrongUse);
        assert_eq!(exit(&anyhow::anyhow!("no")), Exit::Failed);
        assert_eq!(text(&WrongUse::new("no", "do").into()), "error: no\n  help: do\n");
    }
}
