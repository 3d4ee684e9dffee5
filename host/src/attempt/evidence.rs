//! What an attempt leaves in the module log: masked here, with every secret that the attempt came to know.

use super::exchange::RawExchange;
use super::session::{Inner, Session};
use crate::mask::{Masker, SecretPath};
use crate::store::{Attempt, Evidence, Exchange};
use billhook_plugin_api::protocol::Purpose;

impl Session {
    /// Hands over the exchanges whose readers have returned, to ride along with the next commit.
    pub(super) fn flush(&self, inner: &mut Inner) {
        let evidence = self.evidence(inner, None);
        if evidence != Evidence::default() {
            self.env.store.record(evidence);
        }
    }

    /// Everything that was not handed over yet, masked.
    pub(super) fn evidence(&self, inner: &mut Inner, attempt: Option<Attempt>) -> Evidence {
        let (owner, run) = self.owner();
        let masker = self.env.masker(&inner.secrets);
        let from = inner.flushed;
        let exchanges = inner.exchanges[from..]
            .iter()
            .zip(from..)
            .map(|(raw, index)| {
                let seq = u32::try_from(index + 1).unwrap_or(u32::MAX);
                self.masked(raw, &masker, owner, run, seq)
            })
            .collect();
        let attempts = attempt.into_iter().collect();
        let notes = self.take_notes(&inner.secrets);
        inner.flushed = inner.exchanges.len();
        // The bodies are stored or on their way; an attempt of many looks need not keep them.
        for raw in &mut inner.exchanges[from..] {
            raw.request.body = Vec::new();
            if let Some(end) = &mut raw.end {
                end.body = None;
            }
        }
        Evidence { attempts, exchanges, notes }
    }

    fn masked(&self, raw: &RawExchange, masker: &Masker<'_>, owner: &str, run: u64, seq: u32) -> Exchange {
        let paths =
            |declared: &[String]| declared.iter().filter_map(|path| path.parse().ok()).collect::<Vec<SecretPath>>();
        let mut reply_paths = paths(&raw.request.reply_secrets);
        reply_paths.extend(self.panel.provider.reply_secrets.iter().cloned());
        let headers = |list: &[(String, String)]| masker.headers(list.iter().map(|(n, v)| (n.as_str(), v.as_str())));
        let kind = |list: &[(String, String)]| {
            list.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-type")).map(|(_, value)| value.clone())
        };
        let request_body = (!raw.request.body.is_empty()).then(|| {
            let kind = kind(&raw.request.headers);
            masker.body(kind.as_deref(), &raw.request.body, &paths(&raw.request.request_secrets)).text
        });
        let end = raw.end.as_ref();
        let reply_body = end
            .and_then(|end| end.body.as_ref().map(|body| (end, body)))
            .filter(|(_, body)| !body.is_empty())
            .map(|(end, body)| {
                let kind = kind(&end.headers);
                masker.body(kind.as_deref(), body, &reply_paths).text
            });
        Exchange {
            owner: owner.to_owned(),
            run,
            seq,
            step: raw.step.clone(),
            purpose: match raw.purpose {
                Purpose::Read => "read",
                Purpose::SignIn => "sign_in",
                Purpose::Change { .. } => "change",
            }
            .to_owned(),
            method: raw.request.method.clone(),
            url: masker.text(&raw.url),
            // One that was still out when the attempt ended may have left.
            left: end.is_none_or(|end| end.left),
            status: end.and_then(|end| end.status),
            failure: match end {
                Some(end) => end.failure.as_deref().map(|text| masker.text(text)),
                None => Some("cut off when the attempt ended".to_owned()),
            },
            started_at: raw.started_at,
            duration_us: end.map_or(0, |end| end.duration_us),
            request_headers: {
                let cookies = raw.request.cookies.iter().map(|(_, value)| ("Cookie".to_owned(), value.clone()));
                headers(&raw.request.headers.iter().cloned().chain(cookies).collect::<Vec<_>>())
            },
            reply_headers: end.map(|end| headers(&end.headers)).unwrap_or_default(),
            request_body,
            reply_body,
        }
    }
}
