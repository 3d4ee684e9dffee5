//! What an attempt leaves in the module log: masked here, with every secret that the attempt came to know.

use super::exchange::{Prepared, RawExchange};
use super::session::{Inner, Session};
use crate::body::Packed;
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
            (raw.request_body, raw.reply_body) = (None, None);
            if let Some(end) = &mut raw.end {
                end.body = None;
            }
        }
        Evidence { attempts, exchanges, notes }
    }

    /// Masks and packs the body of a request while the panel has it.
    pub(super) async fn prepare_request(&self, index: usize) {
        // First it has to leave.
        tokio::task::yield_now().await;
        let mut inner = self.inner.lock().await;
        let Inner { exchanges, secrets, flushed, .. } = &mut *inner;
        if index >= *flushed
            && let Some(raw) = exchanges.get_mut(index)
        {
            let body = self.request_body(raw, &self.env.masker(secrets));
            raw.request_body = Some(Prepared { body, known: secrets.learnt() });
        }
    }

    /// Masks and packs the body of a reply while the plugin reads it.
    pub(super) async fn prepare_reply(&self, index: usize) {
        let mut inner = self.inner.lock().await;
        let Inner { exchanges, secrets, flushed, .. } = &mut *inner;
        if index >= *flushed
            && let Some(raw) = exchanges.get_mut(index)
        {
            let body = self.reply_body(raw, &self.env.masker(secrets));
            raw.reply_body = Some(Prepared { body, known: secrets.learnt() });
        }
    }

    fn request_body(&self, raw: &RawExchange, masker: &Masker<'_>) -> Option<Packed> {
        let request = &raw.request;
        let body = || masker.body(content_type(&request.headers), &request.body, &paths(&request.request_secrets));
        (!request.body.is_empty()).then(|| self.env.store.pack(&body().text))
    }

    fn reply_body(&self, raw: &RawExchange, masker: &Masker<'_>) -> Option<Packed> {
        let end = raw.end.as_ref()?;
        let body = end.body.as_ref().filter(|body| !body.is_empty())?;
        let mut paths = paths(&raw.request.reply_secrets);
        paths.extend(self.panel.provider.reply_secrets.iter().cloned());
        Some(self.env.store.pack(&masker.body(content_type(&end.headers), body, &paths).text))
    }

    fn masked(&self, raw: &RawExchange, masker: &Masker<'_>, owner: &str, run: u64, seq: u32) -> Exchange<Packed> {
        // What was prepared before the last secret was learnt may show it.
        let prepared = |body: &Option<Prepared>| body.clone().filter(|body| body.known == masker.secrets.learnt());
        let headers = |list: &[(String, String)]| masker.headers(list.iter().map(|(n, v)| (n.as_str(), v.as_str())));
        let end = raw.end.as_ref();
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
            request_body: match prepared(&raw.request_body) {
                Some(prepared) => prepared.body,
                None => self.request_body(raw, masker),
            },
            reply_body: match prepared(&raw.reply_body) {
                Some(prepared) => prepared.body,
                None => self.reply_body(raw, masker),
            },
        }
    }
}

fn paths(declared: &[String]) -> Vec<SecretPath> {
    declared.iter().filter_map(|path| path.parse().ok()).collect()
}

fn content_type(headers: &[(String, String)]) -> Option<&str> {
    headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-type")).map(|(_, value)| value.as_str())
}
