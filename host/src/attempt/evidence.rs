//! What an attempt leaves in the module log: masked here, with every secret that the attempt came to know.

use super::exchange::{Prepared, RawExchange};
use super::session::{Inner, Session};
use crate::body::Packed;
use crate::mask::{Masker, SecretPath, SecretSet};
use crate::store::{Attempt, Evidence, Exchange};
use billhook_plugin_api::protocol::Purpose;
use bytes::Bytes;

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
            .iter_mut()
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
            raw.sent = Bytes::new();
            if let Some(end) = &mut raw.end {
                end.body = None;
            }
        }
        Evidence { attempts, exchanges, notes }
    }

    /// Masks and packs the bodies that an exchange has by now: the request's while the panel has it, the reply's while the plugin
    /// reads it.
    pub(super) async fn prepare(&self, index: usize) {
        let mut inner = self.inner.lock().await;
        let Inner { exchanges, secrets, flushed, .. } = &mut *inner;
        if index >= *flushed
            && let Some(raw) = exchanges.get_mut(index)
        {
            self.prepare_one(raw, secrets);
        }
    }

    /// The same for all exchanges, on the thread where the plugin has ended: with much to do the runtime's own has enough.
    pub(super) async fn prepare_all(&self) {
        if self.env.is_quiet() {
            return;
        }
        let mut inner = self.inner.lock().await;
        let Inner { exchanges, secrets, flushed, .. } = &mut *inner;
        for raw in exchanges.iter_mut().skip(*flushed) {
            self.prepare_one(raw, secrets);
        }
    }

    fn prepare_one(&self, raw: &mut RawExchange, secrets: &SecretSet) {
        let (masker, known) = (self.env.masker(secrets), secrets.learnt());
        if raw.request_body.is_none() {
            raw.request_body = Some(Prepared { body: self.request_body(raw, &masker), known });
        }
        if raw.end.is_some() && raw.reply_body.is_none() {
            raw.reply_body = Some(Prepared { body: self.reply_body(raw, &masker), known });
        }
    }

    fn request_body(&self, raw: &RawExchange, masker: &Masker<'_>) -> Option<Packed> {
        let RawExchange { request, sent, .. } = raw;
        let body = || masker.body(content_type(&request.headers), sent, &paths(&request.request_secrets));
        (!sent.is_empty()).then(|| self.env.store.pack(&body().text))
    }

    fn reply_body(&self, raw: &RawExchange, masker: &Masker<'_>) -> Option<Packed> {
        let end = raw.end.as_ref()?;
        let body = end.body.as_ref().filter(|body| !body.is_empty())?;
        let mut paths = paths(&raw.request.reply_secrets);
        paths.extend(self.panel.provider.reply_secrets.iter().cloned());
        Some(self.env.store.pack(&masker.body(content_type(&end.headers), body, &paths).text))
    }

    fn masked(&self, raw: &mut RawExchange, masker: &Masker<'_>, owner: &str, run: u64, seq: u32) -> Exchange<Packed> {
        // What was prepared before the last secret was learnt may show it.
        let fresh = |prepared: &Prepared| prepared.known == masker.secrets.learnt();
        let (request_body, reply_body) = (raw.request_body.take().filter(fresh), raw.reply_body.take().filter(fresh));
        let raw = &*raw;
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
                let cookies = pairs(&raw.request.cookies).map(|(_, value)| ("Cookie", value));
                masker.headers(pairs(&raw.request.headers).chain(cookies))
            },
            reply_headers: end.map(|end| masker.headers(pairs(&end.headers))).unwrap_or_default(),
            request_body: request_body.map_or_else(|| self.request_body(raw, masker), |prepared| prepared.body),
            reply_body: reply_body.map_or_else(|| self.reply_body(raw, masker), |prepared| prepared.body),
        }
    }
}

fn pairs(list: &[(String, String)]) -> impl Iterator<Item = (&str, &str)> {
    list.iter().map(|(name, value)| (name.as_str(), value.as_str()))
}

fn paths(declared: &[String]) -> Vec<SecretPath> {
    declared.iter().filter_map(|path| path.parse().ok()).collect()
}

fn content_type(headers: &[(String, String)]) -> Option<&str> {
    headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-type")).map(|(_, value)| value.as_str())
}
