//! The mark in a machine's notes: whose it is, kept on the panel itself.
//!
//! It survives the loss of our own record, tells two hosts apart that take the same machine, and proves which account is a
//! customer's. It looks like `[svc:whmcs/1007 op:k3j9x acc:77 client:whmcs/42]`; whatever else stands in the notes is left.

use billhook_plugin_api::{Service, segment};

const START: &str = "[svc:";

/// What a mark says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// Platform and service.
    pub service: String,
    /// One life of the service.
    pub nonce: String,
    /// Id of the account that the machine is meant for.
    pub account: String,
    /// Platform and customer.
    pub client: String,
}

/// Platform and service, as a mark has them.
pub fn service_key(service: &Service) -> String {
    format!("{}/{}", segment(&service.platform), segment(&service.id))
}

/// Platform and customer, as a mark has them; empty if the platform told no customer.
pub fn client_key(service: &Service) -> String {
    let client = service.client_id.as_deref().unwrap_or_default();
    if client.is_empty() { String::new() } else { format!("{}/{}", segment(&service.platform), segment(client)) }
}

impl Mark {
    /// The first mark in a machine's notes.
    pub fn find(notes: &str) -> Option<Self> {
        let (at, end) = place(notes)?;
        let inner = &notes[at + 1..end - 1];
        let part = |name: &str| {
            let found = inner.split(' ').find_map(|part| part.strip_prefix(name)?.strip_prefix(':'));
            found.unwrap_or_default().to_owned()
        };
        Some(Self { service: part("svc"), nonce: part("op"), account: part("acc"), client: part("client") })
    }

    /// The notes with this mark and no other.
    pub fn put(&self, notes: &str) -> String {
        let mut notes = cleared(notes);
        if !notes.is_empty() {
            notes.push(' ');
        }
        let Self { service, nonce, account, client } = self;
        notes.push_str(&format!("{START}{service} op:{nonce} acc:{account} client:{client}]"));
        notes
    }
}

/// The notes without marks.
pub fn cleared(notes: &str) -> String {
    let mut notes = notes.to_owned();
    while let Some((at, end)) = place(&notes) {
        notes.replace_range(at..end, "");
    }
    notes.trim().to_owned()
}

/// Where `part` begins in `text`; the standard library's search would be kilobytes of code for two places.
pub fn position(text: &str, part: &str) -> Option<usize> {
    (0..text.len()).find(|at| text.as_bytes()[*at..].starts_with(part.as_bytes()))
}

fn place(notes: &str) -> Option<(usize, usize)> {
    let at = position(notes, START)?;
    let end = notes[at..].find(']')? + at + 1;
    Some((at, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark() -> Mark {
        let service = Service {
            platform: "whmcs".into(),
            id: "10 07]".into(),
            client_id: Some("42".into()),
            ..Service::default()
        };
        Mark { service: service_key(&service), nonce: "k3".into(), account: "77".into(), client: client_key(&service) }
    }

    #[test]
    fn a_mark_is_found_again_and_leaves_other_notes_alone() {
        for (notes, expected) in [
            ("", "[svc:whmcs/10%2007%5D op:k3 acc:77 client:whmcs/42]"),
            ("bay 4", "bay 4 [svc:whmcs/10%2007%5D op:k3 acc:77 client:whmcs/42]"),
            ("[svc:x/1 op:a] bay 4 [svc:y/2]", "bay 4 [svc:whmcs/10%2007%5D op:k3 acc:77 client:whmcs/42]"),
        ] {
            let marked = mark().put(notes);
            assert_eq!(marked, expected);
            assert_eq!(Mark::find(&marked), Some(mark()));
            assert_eq!(mark().put(&marked), marked);
            assert!(["", "bay 4"].contains(&cleared(&marked).as_str()));
        }
    }

    #[test]
    fn what_is_no_mark_is_none() {
        for notes in ["", "bay 4", "[svc:", "svc:1]", "[sv:1]"] {
            assert_eq!(Mark::find(notes), None, "{notes}");
        }
        assert_eq!(Mark::find("[svc:1007 op:9f3c]").unwrap().service, "1007");
    }
}
