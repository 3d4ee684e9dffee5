//! Encryption at rest: what the database holds of passwords and step secrets is sealed with the host's key.
//!
//! A sealed value is `version (1) | key id (4) | nonce (24) | ciphertext and tag`, XChaCha20-Poly1305. The place where the
//! value is stored is authenticated with it, so that a value copied to another row does not open there. Nonces are random;
//! with 24 bytes that is safe for more values than any database holds.

pub mod key;
pub mod private_file;
pub mod ring;

use std::fmt;

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

pub use self::key::{HostKey, KeyError, KeyId, KeyTextError};
pub use self::private_file::PrivateFileError;

const VERSION: u8 = 1;
const NONCE_LEN: usize = 24;
const TAG_LEN: usize = 16;
const HEAD_LEN: usize = 1 + 4 + NONCE_LEN;

/// By how many bytes a sealed value is longer than what it holds.
pub const OVERHEAD: usize = HEAD_LEN + TAG_LEN;

/// Where a sealed value is stored. A value opens only with the context it was sealed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context<'a> {
    /// The table.
    pub table: &'a str,
    /// The column.
    pub column: &'a str,
    /// The row's id; where the key has several columns, all of them in a form that cannot be read two ways.
    pub row: &'a str,
}

impl Context<'_> {
    /// What is authenticated: the head, then each part behind its length, so that no two places share one text.
    fn authenticated(&self, head: &[u8]) -> Vec<u8> {
        let parts = [self.table, self.column, self.row];
        let mut bytes = Vec::with_capacity(head.len() + parts.iter().map(|part| 8 + part.len()).sum::<usize>());
        bytes.extend_from_slice(head);
        for part in parts {
            bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
            bytes.extend_from_slice(part.as_bytes());
        }
        bytes
    }
}

impl fmt::Display for Context<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{} of row {}", self.table, self.column, self.row)
    }
}

/// Seals with the newest key and opens with any that it holds.
#[derive(Debug)]
pub struct Sealer {
    newest: HostKey,
    older: Vec<HostKey>,
}

impl Sealer {
    /// A sealer that seals with `newest`; `older` keys only open, until everything has been sealed anew.
    ///
    /// # Errors
    ///
    /// [`KeyError::Twice`] when one key is given twice, which is how a rotation that changed nothing looks.
    pub fn new(newest: HostKey, older: Vec<HostKey>) -> Result<Self, KeyError> {
        let mut ids: Vec<KeyId> = std::iter::once(&newest).chain(&older).map(HostKey::id).collect();
        ids.sort_unstable();
        if let Some(pair) = ids.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(KeyError::Twice { id: pair[0] });
        }
        Ok(Self { newest, older })
    }

    /// The key that seals now.
    pub fn key_id(&self) -> KeyId {
        self.newest.id
    }

    /// Seals `plain` for the place `context`. Sealing the same value twice gives different bytes.
    ///
    /// # Errors
    ///
    /// [`SealError::NoRandomness`] when the system has none; nothing is sealed with a guessable nonce.
    pub fn seal(&self, context: &Context<'_>, plain: &[u8]) -> Result<Vec<u8>, SealError> {
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce).map_err(|source| SealError::NoRandomness { source })?;
        let mut sealed = Vec::with_capacity(OVERHEAD + plain.len());
        sealed.push(VERSION);
        sealed.extend_from_slice(&self.newest.id.0);
        sealed.extend_from_slice(&nonce);
        let aad = context.authenticated(&sealed);
        let payload = Payload { msg: plain, aad: &aad };
        let cipher = XChaCha20Poly1305::new((&*self.newest.secret).into());
        let text =
            cipher.encrypt(&XNonce::from(nonce), payload).map_err(|_| SealError::TooLong { len: plain.len() })?;
        sealed.extend_from_slice(&text);
        Ok(sealed)
    }

    /// Opens what was sealed for the place `context`. The result is wiped when dropped.
    ///
    /// # Errors
    ///
    /// [`SealError`], which names the place and never what was in it.
    pub fn open(&self, context: &Context<'_>, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let place = || context.to_string();
        if sealed.len() < OVERHEAD {
            return Err(SealError::CutShort { place: place() });
        }
        let (head, text) = sealed.split_at(HEAD_LEN);
        let (&version, rest) = head.split_first().ok_or_else(|| SealError::CutShort { place: place() })?;
        if version != VERSION {
            return Err(SealError::UnknownVersion { place: place(), version });
        }
        let (id, nonce) = rest.split_at(4);
        let key = self.find_key(id).ok_or_else(|| SealError::UnknownKey {
            place: place(),
            id: id.try_into().map(KeyId).unwrap_or(KeyId([0; 4])),
            known: self.newest.id,
        })?;
        let nonce = XNonce::try_from(nonce).map_err(|_| SealError::CutShort { place: place() })?;
        let aad = context.authenticated(head);
        XChaCha20Poly1305::new((&*key.secret).into())
            .decrypt(&nonce, Payload { msg: text, aad: &aad })
            .map(Zeroizing::new)
            .map_err(|_| SealError::Refused { place: place() })
    }

    /// Whether there are older keys.
    pub fn has_older(&self) -> bool {
        !self.older.is_empty()
    }

    /// The key of the prints by which values are recognised without being known. It stays the same when the host key is rotated:
    /// a repeated hook is recognised by them.
    pub fn prints(&self) -> Zeroizing<[u8; 32]> {
        self.newest.prints()
    }

    /// Whether `sealed` was sealed with an older key and should be sealed anew.
    pub fn is_stale(&self, sealed: &[u8]) -> bool {
        sealed.get(1..5) != Some(self.newest.id.0.as_slice())
    }

    /// A key of its own for the purpose `label`, such as the fingerprints of masked values.
    ///
    /// The same for as long as the newest key is the same; it tells nothing of the host key or of other labels.
    pub fn derive(&self, label: &str) -> Zeroizing<[u8; 32]> {
        self.newest.derive(&format!("purpose: {label}"))
    }

    fn find_key(&self, id: &[u8]) -> Option<&HostKey> {
        std::iter::once(&self.newest).chain(&self.older).find(|key| key.id.0 == id)
    }
}

/// Why a value was not sealed or not opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The system gives no random bytes.
    #[error("the system gives no random bytes to seal with")]
    NoRandomness {
        /// What the system said.
        #[source]
        source: getrandom::Error,
    },
    /// Beyond what the cipher takes in one piece, which is 256 GiB.
    #[error("a value of {len} bytes is too long to be sealed")]
    TooLong {
        /// Its length.
        len: usize,
    },
    /// The stored bytes are no sealed value.
    #[error("the sealed value in {place} is cut short")]
    CutShort {
        /// Table, column and row.
        place: String,
    },
    /// A newer host wrote it.
    #[error("the sealed value in {place} has version {version}, which this host does not know")]
    UnknownVersion {
        /// Table, column and row.
        place: String,
        /// The version byte.
        version: u8,
    },
    /// Sealed with a key that this host does not hold.
    #[error("the sealed value in {place} needs the host key {id}; this host has {known}: restore the former key file")]
    UnknownKey {
        /// Table, column and row.
        place: String,
        /// The key that is needed.
        id: KeyId,
        /// The newest key at hand.
        known: KeyId,
    },
    /// The key is right and the bytes are not: changed, or sealed for another place.
    #[error("the sealed value in {place} was changed or belongs to another row")]
    Refused {
        /// Table, column and row.
        place: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Context<'_> = Context { table: "step", column: "result", row: "op_1/server" };

    fn key() -> HostKey {
        HostKey::random().expect("random")
    }

    fn sealer() -> Sealer {
        Sealer::new(key(), Vec::new()).expect("one key")
    }

    #[test]
    fn what_was_sealed_opens_in_its_place() {
        let sealer = sealer();
        for plain in [&b""[..], b"x", b"correct horse battery staple", &[0; 70_000]] {
            let sealed = sealer.seal(&PLACE, plain).expect("sealed");
            assert_eq!(sealed.len(), plain.len() + OVERHEAD);
            assert_eq!(sealer.open(&PLACE, &sealed).expect("opened").as_slice(), plain);
            assert!(!sealer.is_stale(&sealed));
        }
    }

    #[test]
    fn the_same_value_is_never_sealed_to_the_same_bytes() {
        let sealer = sealer();
        assert_ne!(sealer.seal(&PLACE, b"same").expect("sealed"), sealer.seal(&PLACE, b"same").expect("sealed"));
    }

    #[test]
    fn a_value_moved_to_another_place_is_refused() {
        let sealer = sealer();
        let sealed = sealer.seal(&PLACE, b"secret").expect("sealed");
        for elsewhere in [
            Context { table: "service", ..PLACE },
            Context { column: "given", ..PLACE },
            Context { row: "op_2/server", ..PLACE },
            // The same letters, cut elsewhere.
            Context { table: "stepr", column: "esult", ..PLACE },
            Context { column: "resul", row: "top_1/server", ..PLACE },
        ] {
            let error = sealer.open(&elsewhere, &sealed).expect_err("moved");
            assert!(matches!(error, SealError::Refused { .. }), "{error:?}");
        }
    }

    #[test]
    fn a_flipped_bit_anywhere_is_refused() {
        let sealer = sealer();
        let sealed = sealer.seal(&PLACE, b"secret").expect("sealed");
        for bit in 0..sealed.len() * 8 {
            let mut changed = sealed.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(sealer.open(&PLACE, &changed).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_value_cut_anywhere_is_refused() {
        let sealer = sealer();
        let sealed = sealer.seal(&PLACE, b"secret").expect("sealed");
        for len in 0..sealed.len() {
            assert!(sealer.open(&PLACE, &sealed[..len]).is_err(), "{len} bytes");
        }
    }

    #[test]
    fn the_missing_key_is_named() {
        let (former, now) = (sealer(), sealer());
        let sealed = former.seal(&PLACE, b"secret").expect("sealed");

        let error = now.open(&PLACE, &sealed).expect_err("another key").to_string();

        assert!(error.contains(&former.key_id().to_string()), "{error}");
        assert!(error.contains("step.result of row op_1/server"), "{error}");
    }

    #[test]
    fn a_newer_version_is_told_from_damage() {
        let sealer = sealer();
        let mut sealed = sealer.seal(&PLACE, b"secret").expect("sealed");
        sealed[0] = 2;
        assert!(matches!(sealer.open(&PLACE, &sealed), Err(SealError::UnknownVersion { version: 2, .. })));
    }

    #[test]
    fn after_a_rotation_old_values_open_and_new_ones_use_the_new_key() {
        let old = key();
        let text = old.to_text();
        let copy = HostKey::from_text(text.as_bytes()).expect("a copy");
        let sealed = Sealer::new(old, Vec::new()).expect("one key").seal(&PLACE, b"secret").expect("sealed");

        let rotated = Sealer::new(key(), vec![copy]).expect("two keys");

        assert_eq!(rotated.open(&PLACE, &sealed).expect("opened").as_slice(), b"secret");
        assert!(rotated.is_stale(&sealed));
        assert!(!rotated.is_stale(&rotated.seal(&PLACE, b"secret").expect("sealed")));
    }

    #[test]
    fn one_key_given_twice_is_refused() {
        let first = key();
        let copy = HostKey::from_text(first.to_text().as_bytes()).expect("a copy");
        assert!(matches!(Sealer::new(first, vec![copy]), Err(KeyError::Twice { .. })));
    }

    #[test]
    fn derived_keys_depend_on_the_label_and_the_key_alone() {
        let first = key();
        let copy = HostKey::from_text(first.to_text().as_bytes()).expect("a copy");
        let (sealer, same, other) = (
            Sealer::new(first, Vec::new()).expect("one key"),
            Sealer::new(copy, Vec::new()).expect("one key"),
            sealer(),
        );
        assert_eq!(sealer.derive("prints"), same.derive("prints"));
        assert_ne!(sealer.derive("prints"), sealer.derive("tokens"));
        assert_ne!(sealer.derive("prints"), other.derive("prints"));
    }

    #[test]
    fn a_key_is_never_printed() {
        let key = key();
        let text = key.to_text();
        let encoded = text.rsplit(' ').next().expect("the key").trim();
        let shown = format!("{key:?} {:?}", Sealer::new(HostKey::random().expect("random"), vec![]));
        assert!(shown.contains(&key.id().to_string()));
        assert!(!shown.contains(encoded) && !shown.contains("secret"), "{shown}");
    }
}
