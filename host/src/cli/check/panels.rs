//! Tries the panels, through the daemon: it has their credentials, and its module log shows what was asked.

use super::{Finding, Level};
use crate::cli::client::{Call, Client, PANEL, Reply};
use crate::config::Config;
use crate::views::HookAnswer;

/// Runs `test` on every server.
pub(super) async fn look(client: &Client, config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    for name in config.servers.keys() {
        let call = Call::post(&["v1", "servers", name, "test"], Vec::new()).within(PANEL);
        let place = format!("panel {name}");
        match client.send(call).await {
            Ok(reply) => findings.extend(said(&place, &reply)),
            Err(error) => {
                let remedy = error.remedy().unwrap_or("see the daemon's log").to_owned();
                findings.push(Finding::error(place, format!("{:#}", anyhow::Error::new(error)), remedy));
            }
        }
    }
    findings
}

/// What a test found.
fn said(place: &str, reply: &Reply) -> Vec<Finding> {
    if let Some(failure) = &reply.failure {
        let text = failure
            .fault
            .as_ref()
            .map_or_else(|| failure.problem.detail.clone(), |fault| format!("{}: {}", fault.class, fault.staff));
        return vec![Finding::error(place, text, format!("see `billhook log show {}`", failure.log_ref))];
    }
    let answer: HookAnswer = match reply.view() {
        Ok(answer) => answer,
        Err(error) => return vec![Finding::error(place, error.to_string(), error.remedy().unwrap_or_default())],
    };
    let found = answer.result.map(|result| result.findings).unwrap_or_default();
    let mut findings: Vec<Finding> = found
        .into_iter()
        .map(|one| Finding {
            level: if one.ok { Level::Ok } else { Level::Error },
            place: format!("{place}: {}", one.name),
            text: one.text,
            remedy: (!one.ok).then(|| format!("see `billhook log show {}`", answer.log_ref)),
        })
        .collect();
    if findings.is_empty() {
        findings.push(Finding::ok(place, "answers"));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_thing_that_a_test_looked_at_is_a_finding() {
        let json = json!({ "result": { "findings": [
            { "name": "credentials", "ok": true, "text": "accepted" },
            { "name": "rights", "ok": false, "text": "may not delete" },
        ] }, "log_ref": "rd_1" });

        let findings = said("panel a", &Reply { json, failure: None });

        let levels: Vec<_> = findings.iter().map(|one| (one.level, one.place.as_str())).collect();
        assert_eq!(levels, [(Level::Ok, "panel a: credentials"), (Level::Error, "panel a: rights")]);
        assert_eq!(findings[1].remedy.as_deref(), Some("see `billhook log show rd_1`"));
    }
}
