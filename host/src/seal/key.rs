//! The host's key and its file.

use std::fmt;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::private_file::{self, PrivateFileError};

const KEY_LEN: usize = 32;

/// A key file is three short lines; more than this is another kind of file.
const KEY_FILE_MAX_BYTES: usize = 4096;

/// Names a key without telling anything of it: four bytes derived from it, written as eight hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub(super) [u8; 4]);

impl KeyId {
    /// The id in the head of a sealed value.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", u32::from_be_bytes(self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

/// One host key. Wiped from memory when dropped; never printed.
pub struct HostKey {
    pub(super) id: KeyId,
    pub(super) secret: Zeroizing<[u8; KEY_LEN]>,
    /// The key of prints that a former host key handed on; see [`Sealer::prints`](super::Sealer::prints).
    prints: Option<Zeroizing<[u8; KEY_LEN]>>,
}

impl HostKey {
    /// Makes a new random key and stores it at `path`, mode 0600. An existing file is never touched.
    ///
    /// # Errors
    ///
    /// [`KeyError::File`] when a file stands there or none can be made; [`KeyError::NoRandomness`].
    pub fn create(path: &Path) -> Result<Self, KeyError> {
        let key = Self::random()?;
        private_file::create(path, key.to_text().as_bytes())?;
        Ok(key)
    }

    /// Reads the key at `path`; the file must be closed to everybody but its owner.
    ///
    /// # Errors
    ///
    /// [`KeyError::File`] with the remedy when the file is missing, too open or another user's; the other variants when
    /// its text is no key or a damaged one.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        let text = private_file::read(path, KEY_FILE_MAX_BYTES)?;
        Self::from_text(&text).map_err(|problem| KeyError::Text { path: path.display().to_string(), problem })
    }

    /// A key that lives only in this process.
    ///
    /// # Errors
    ///
    /// [`KeyError::NoRandomness`].
    pub fn random() -> Result<Self, KeyError> {
        let mut secret = Zeroizing::new([0; KEY_LEN]);
        getrandom::fill(&mut *secret).map_err(|source| KeyError::NoRandomness { source })?;
        Ok(Self::new(secret))
    }

    /// What names this key in sealed values and in messages.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// A key of its own for one purpose: HMAC-SHA256 of a label, one block of HKDF's second half, which is all that a
    /// random key needs.
    pub(super) fn derive(&self, label: &str) -> Zeroizing<[u8; 32]> {
        derive(&self.secret, label)
    }

    /// A new random key that hands on this one's key of prints.
    pub(super) fn successor(&self) -> Result<Self, KeyError> {
        Ok(Self { prints: Some(self.prints()), ..Self::random()? })
    }

    pub(super) fn prints(&self) -> Zeroizing<[u8; 32]> {
        self.prints.clone().unwrap_or_else(|| self.derive("purpose: fingerprint"))
    }

    fn new(secret: Zeroizing<[u8; KEY_LEN]>) -> Self {
        let [a, b, c, d, ..] = *derive(&secret, "key id");
        Self { id: KeyId([a, b, c, d]), secret, prints: None }
    }

    pub(crate) fn to_text(&self) -> Zeroizing<String> {
        let encoded = Zeroizing::new(BASE64.encode(*self.secret));
        let prints = Zeroizing::new(
            self.prints
                .as_ref()
                .map_or_else(String::new, |prints| format!("prints: {}\n", *Zeroizing::new(BASE64.encode(**prints)))),
        );
        Zeroizing::new(format!(
            "# Billhook host key. Keep it secret and keep a copy: sealed values are lost without it.\n\
             id: {}\nkey: {}\n{}",
            self.id, *encoded, *prints
        ))
    }

    pub(crate) fn from_text(text: &[u8]) -> Result<Self, KeyTextError> {
        let text = std::str::from_utf8(text).map_err(|_| KeyTextError::NotText)?;
        let (mut id, mut key, mut prints) = (None, None, None);
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            // The line itself is not quoted in the error: it may hold the key.
            let slot = match line.split_once(':').map(|(name, value)| (name.trim(), value.trim())) {
                Some(("id", value)) => (&mut id, value),
                Some(("key", value)) => (&mut key, value),
                Some(("prints", value)) => (&mut prints, value),
                _ => return Err(KeyTextError::UnknownLine { number }),
            };
            if slot.0.replace(slot.1).is_some() {
                return Err(KeyTextError::UnknownLine { number });
            }
        }
        let id = id.ok_or(KeyTextError::Missing { line: "id" })?;
        let key = key.ok_or(KeyTextError::Missing { line: "key" })?;
        let prints = prints.map(decoded).transpose()?;
        let found = Self { prints, ..Self::new(decoded(key)?) };
        // The id is derived from the key, so it also tells a key that was cut or mistyped.
        if !id.eq_ignore_ascii_case(&found.id.to_string()) {
            return Err(KeyTextError::Damaged);
        }
        Ok(found)
    }
}

impl fmt::Debug for HostKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostKey").field("id", &self.id).finish_non_exhaustive()
    }
}

fn decoded(text: &str) -> Result<Zeroizing<[u8; KEY_LEN]>, KeyTextError> {
    let bytes = Zeroizing::new(BASE64.decode(text).map_err(|_| KeyTextError::NotAKey)?);
    bytes.as_slice().try_into().map(Zeroizing::new).map_err(|_| KeyTextError::NotAKey)
}

fn derive(secret: &[u8; KEY_LEN], label: &str) -> Zeroizing<[u8; 32]> {
    // HMAC pads a short key with zeros to its block; doing so here leaves no length to check.
    let mut block = Zeroizing::new([0; 64]);
    block[..KEY_LEN].copy_from_slice(secret);
    let mut mac = Hmac::<Sha256>::new((&*block).into());
    mac.update(b"billhook host key\0");
    mac.update(label.as_bytes());
    Zeroizing::new(mac.finalize().into_bytes().into())
}

/// Why there is no host key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The file is missing, too open, another user's, or stands already.
    #[error(transparent)]
    File(#[from] PrivateFileError),
    /// The file could be read and holds no key.
    #[error("{path} holds no usable host key; restore the file from a copy")]
    Text {
        /// The file.
        path: String,
        /// What is wrong in it.
        #[source]
        problem: KeyTextError,
    },
    /// One key was given twice.
    #[error("the host key {id} is given twice")]
    Twice {
        /// The key.
        id: KeyId,
    },
    /// The system gives no random bytes.
    #[error("the system gives no random bytes for a host key")]
    NoRandomness {
        /// What the system said.
        #[source]
        source: getrandom::Error,
    },
}

/// What is wrong with the text of a key file. Nothing of the text is quoted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyTextError {
    /// Not UTF-8.
    #[error("it is not text")]
    NotText,
    /// Neither comment, id, key nor prints, or one of them for the second time.
    #[error("line {number} is neither a comment nor the only \"id:\", \"key:\" or \"prints:\" line")]
    UnknownLine {
        /// Counted from one.
        number: usize,
    },
    /// A line is not there.
    #[error("the \"{line}:\" line is missing")]
    Missing {
        /// Which.
        line: &'static str,
    },
    /// Not 32 bytes in base64.
    #[error("the key is not 32 bytes in base64")]
    NotAKey,
    /// The id does not belong to the key.
    #[error("the id does not belong to the key: one of the two was damaged")]
    Damaged,
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn key() -> HostKey {
        HostKey::random().expect("random")
    }

    #[test]
    fn a_created_key_file_is_read_back_and_never_overwritten() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("host.key");

        let made = HostKey::create(&path).expect("created");
        let read = HostKey::load(&path).expect("loaded");

        assert_eq!((made.id(), &*made.secret), (read.id(), &*read.secret));
        assert!(matches!(HostKey::create(&path), Err(KeyError::File(PrivateFileError::Exists { .. }))));
        assert_eq!(HostKey::load(&path).expect("untouched").id(), made.id());
    }

    #[test]
    fn a_key_file_open_to_others_is_refused_with_the_remedy() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("host.key");
        HostKey::create(&path).expect("created");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("chmod");

        let error = HostKey::load(&path).expect_err("open").to_string();

        assert!(error.contains("0640") && error.contains("chmod 600"), "{error}");
    }

    #[test]
    fn a_damaged_key_file_is_told_without_showing_the_key() {
        let good = key().to_text().to_string();
        let key_line = good.lines().last().expect("three lines").to_owned();
        let id_line = good.lines().nth(1).expect("three lines").to_owned();
        for (text, expected) in [
            (String::new(), KeyTextError::Missing { line: "id" }),
            (key_line.clone(), KeyTextError::Missing { line: "id" }),
            (id_line.clone(), KeyTextError::Missing { line: "key" }),
            (format!("{good}more\n"), KeyTextError::UnknownLine { number: 4 }),
            (format!("{good}{key_line}\n"), KeyTextError::UnknownLine { number: 4 }),
            (format!("id: 00000000\n{key_line}"), KeyTextError::Damaged),
            (format!("{id_line}\nkey: c2hvcnQ="), KeyTextError::NotAKey),
            (format!("{id_line}\nkey: !"), KeyTextError::NotAKey),
        ] {
            assert_eq!(HostKey::from_text(text.as_bytes()).expect_err("damaged"), expected, "{text}");
        }
        assert_eq!(HostKey::from_text(b"\xff").expect_err("not text"), KeyTextError::NotText);
    }
}
