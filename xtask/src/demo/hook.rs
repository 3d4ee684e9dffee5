//! One hook, as a billing platform sends it: the request, and the same as a line for curl.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail};
use serde_json::{Value, json};

use crate::http::{self, Reply, Request};

/// Beyond what the caller asks to wait, for the answer itself.
const GRACE: Duration = Duration::from_secs(15);

/// A hook with everything that goes over the socket.
#[derive(Debug, Clone)]
pub(super) struct Hook {
    name: &'static str,
    key: String,
    wait_s: u64,
    body: Value,
}

impl Hook {
    /// `create` of the demo's only product, for a customer of the service's own.
    pub(super) fn create(service: u32) -> Self {
        let customer = service - 900;
        let body = json!({
            "service": { "id": service.to_string(), "client_id": customer.to_string(),
                "domain": format!("vm{service}.example.net") },
            "client": { "name": format!("Customer {customer}"), "email": format!("customer{customer}@example.net") },
            "product": { "id": "vps-small" },
        });
        Self { name: "create", key: format!("demo-{service}-create"), wait_s: 90, body }
    }

    /// A hook that says only which service it is about.
    pub(super) fn on(name: &'static str, service: u32) -> Self {
        let body = json!({ "service": { "id": service.to_string() } });
        Self { name, key: format!("demo-{service}-{name}"), wait_s: 90, body }
    }

    /// `renew` by a month.
    pub(super) fn renew(service: u32, from: &str, to: &str) -> Self {
        let mut hook = Self::on("renew", service);
        hook.body["paid_until"] = json!({ "from": from, "to": to });
        hook.key = format!("demo-{service}-renew-{to}");
        hook
    }

    /// The same hook from a caller with this much patience.
    pub(super) fn wait(mut self, seconds: u64) -> Self {
        self.wait_s = seconds;
        self
    }

    fn headers(&self) -> [(&'static str, String); 3] {
        [
            ("Content-Type", "application/json".to_owned()),
            ("Idempotency-Key", self.key.clone()),
            ("Prefer", format!("wait={}", self.wait_s)),
        ]
    }

    fn path(&self) -> String {
        format!("/v1/hooks/{}", self.name)
    }

    /// Sends it and takes what comes.
    pub(super) fn send(&self, socket: &Path) -> Result<Reply> {
        let request = Request {
            method: "POST",
            path: &self.path(),
            headers: &self.headers(),
            body: &self.body.to_string(),
            limit: Duration::from_secs(self.wait_s) + GRACE,
        };
        http::over_socket(socket, &request)
    }

    /// The line that sends the same from a shell.
    pub(super) fn curl(&self, socket: &Path) -> String {
        let socket = quoted(&socket.display().to_string());
        let mut line = format!("curl --unix-socket {socket} http://billhook{} \\\n", self.path());
        for (name, value) in self.headers() {
            line.push_str(&format!("    -H {} \\\n", quoted(&format!("{name}: {value}"))));
        }
        line.push_str(&format!("    -d {}", quoted(&self.body.to_string())));
        line
    }
}

/// The operation's state in an answer, or an error that says what was answered instead.
pub(super) fn state(reply: &Reply) -> Result<&str> {
    match reply.body["operation"]["state"].as_str() {
        Some(state) if matches!(reply.status, 200 | 202) => Ok(state),
        _ => bail!("the daemon answered {}: {:#}", reply.status, reply.body),
    }
}

/// One word for a shell.
fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '-' | '_' | '=' | ':');
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_for_a_shell_is_the_request() {
        let line = Hook::renew(1001, "2027-01-01", "2027-02-01").wait(5).curl(Path::new("/tmp/a b/hook.sock"));

        assert_eq!(
            line,
            "curl --unix-socket '/tmp/a b/hook.sock' http://billhook/v1/hooks/renew \\\n    \
             -H 'Content-Type: application/json' \\\n    \
             -H 'Idempotency-Key: demo-1001-renew-2027-02-01' \\\n    \
             -H 'Prefer: wait=5' \\\n    \
             -d '{\"paid_until\":{\"from\":\"2027-01-01\",\"to\":\"2027-02-01\"},\"service\":{\"id\":\"1001\"}}'"
        );
    }

    #[test]
    fn a_quote_stays_a_quote_in_a_shell() {
        for (text, expected) in [("/run/x", "/run/x"), ("a b", "'a b'"), ("it's", r"'it'\''s'"), ("", "''")] {
            assert_eq!(quoted(text), expected);
        }
    }

    #[test]
    fn an_answer_without_an_operation_is_an_error() {
        let ok = Reply { status: 202, body: json!({ "operation": { "state": "waiting" } }) };
        assert_eq!(state(&ok).unwrap(), "waiting");
        let refused = Reply { status: 403, body: json!({ "detail": "user 7 speaks for no platform" }) };
        assert!(state(&refused).unwrap_err().to_string().contains("speaks for no platform"));
    }
}
