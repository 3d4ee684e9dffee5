use super::text::is_plain;
use hashbrown::HashMap;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};

/// Which names of members, parameters, elements and headers hold secrets.
///
/// Names are compared without regard to case and separators: `API_Key`, `api-key` and `apiKey` are one. Compound names
/// are secret when a part is (`rootPassword`, `auth_token`), unless the last word says that the value only tells
/// something about the secret (`password_length`, `token_expires_at`).
#[derive(Debug)]
pub struct Rules {
    extra: BTreeSet<String>,
    /// What has fewer is no name of a secret: parts of dates and addresses, which are many.
    fewest_letters: usize,
    /// Tells these rules from others.
    number: u64,
}

/// Verdicts on names that were met: panels use the same few over and over. Every member of every body is looked up here, so
/// each thread has its own, without a lock, and the maps' hash is one for short texts.
#[derive(Default)]
struct Met {
    /// By which rules.
    number: u64,
    members: HashMap<Box<str>, Name>,
    headers: HashMap<Box<str>, bool>,
}

/// What a member's name tells.
#[derive(Debug, Clone, Copy)]
pub(super) struct Name {
    /// The value is a secret.
    pub(super) is_secret: bool,
    /// The value names what a sibling holds.
    pub(super) names: bool,
    /// The value is what a sibling names.
    pub(super) holds: bool,
    /// The name itself hides nothing.
    pub(super) is_plain: bool,
}

thread_local! {
    static MET: RefCell<Met> = RefCell::default();
}

/// As many names as a dozen panels use; one that invents names gets its verdicts afresh.
const MOST_MET: usize = 4_096;

/// Those of the shortest name that is known below.
const FEWEST_LETTERS: usize = 2;

/// The longest name that is one.
const MOST_NAME: usize = 256;

/// Members that name what a sibling holds, `{"name": "password", "value": "..."}`, and those siblings.
const NAMING: &[&str] = &["name", "key", "field", "option", "param", "parameter", "setting"];
const HOLDING: &[&str] = &["value", "val", "content"];

/// Secret wherever they occur in a name.
const INFIXES: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "secret",
    "token",
    "credential",
    "accesshash",
    "authinfo",
    "authhash",
    "apikey",
    "privatekey",
    "accesskey",
    "authkey",
    "encryptionkey",
    "signingkey",
    "sharedkey",
    "sessionkey",
    "sessionid",
    "licensekey",
    "licencekey",
    "cdkey",
    "newkey",
    "onetimekey",
    "loginkey",
    "masterkey",
    "consumerkey",
    "authcode",
    "recoverycode",
    "backupcode",
    "jsessionid",
    "phpsessid",
    "kennwort",
];

/// Secret at the end of a name, where a written-together name has no word to tell: `vncpass`, `dbpwd`.
const SUFFIXES: &[&str] = &["pass", "pwd"];

/// Names that end like a secret and are none.
const HARMLESS: &[&str] = &["bypass", "compass"];

/// Secret as a whole word of a name.
const WORDS: &[&str] =
    &["pass", "pwd", "pw", "psw", "pin", "otp", "totp", "cvv", "cvc", "jwt", "psk", "bearer", "cookie"];

/// Secret as a whole name; in compounds they are too common.
const NAMES: &[&str] = &["auth", "authorization", "sid", "eppcode", "session"];

/// A last word after which a name tells about a secret: when, how long, which kind.
const ABOUT: &[&str] =
    &["at", "length", "policy", "expiry", "expires", "expiration", "ttl", "type", "count", "strength"];

/// Names of headers that hold secrets, beside those that a member of the name would.
const HEADER_WORDS: &[&str] =
    &["key", "auth", "authorization", "session", "signature", "csrf", "xsrf", "cookie", "hash"];

/// Headers that look like they hold a secret, and tell what an admin wants to know.
const HARMLESS_HEADERS: &[&str] = &["wwwauthenticate", "proxyauthenticate", "idempotencykey", "secwebsocketkey"];

impl Default for Rules {
    fn default() -> Self {
        Self::new()
    }
}

impl Rules {
    /// The built-in rules.
    pub fn new() -> Self {
        Self::with_names([])
    }

    /// The built-in rules, and `names` that are secret as whole names.
    pub fn with_names<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        let extra: BTreeSet<String> = names.into_iter().map(normalised).collect();
        let fewest_letters = extra.iter().map(|name| letters(name)).fold(FEWEST_LETTERS, usize::min);
        Self { extra, fewest_letters, number: NUMBER.fetch_add(1, Ordering::Relaxed) }
    }

    /// Whether the member, element or parameter `name` holds a secret; of `user[password]` and `auth.pass`, each part
    /// is looked at.
    pub(super) fn is_secret(&self, name: &str) -> bool {
        self.name(name).is_secret
    }

    /// What the name of a member tells.
    pub(super) fn name(&self, name: &str) -> Name {
        // Nobody names a member in more than this; a text that is no name shall not cost time.
        if name.len() > MOST_NAME {
            return Name { is_secret: false, names: false, holds: false, is_plain: false };
        }
        if letters(name) < self.fewest_letters {
            return Name { is_secret: false, names: false, holds: false, is_plain: is_plain(name) };
        }
        let judge = || Name {
            is_secret: name.split(['[', ']', '.', ':', '/']).any(|part| self.is_secret_part(part)),
            names: NAMING.iter().any(|known| name.eq_ignore_ascii_case(known)),
            holds: HOLDING.iter().any(|known| name.eq_ignore_ascii_case(known)),
            is_plain: is_plain(name),
        };
        self.met(name, |met| &mut met.members, judge)
    }

    /// The verdict on `name`, which is judged only when this thread meets it first.
    fn met<T: Copy>(
        &self,
        name: &str,
        of: impl Fn(&mut Met) -> &mut HashMap<Box<str>, T>,
        judge: impl FnOnce() -> T,
    ) -> T {
        let known = MET.with_borrow_mut(|met| {
            if met.number != self.number {
                *met = Met { number: self.number, ..Met::default() };
            }
            of(met).get(name).copied()
        });
        known.unwrap_or_else(|| {
            let verdict = judge();
            MET.with_borrow_mut(|met| {
                let names = of(met);
                if names.len() < MOST_MET && name.len() <= MOST_NAME {
                    names.insert(name.into(), verdict);
                }
            });
            verdict
        })
    }

    /// Whether the parameter `name` of a form or URL holds a secret; there, a bare `key` does.
    pub(super) fn is_secret_parameter(&self, name: &str) -> bool {
        name.eq_ignore_ascii_case("key") || self.is_secret(name)
    }

    /// Whether the value of header `name` is a secret.
    pub(super) fn is_secret_header(&self, name: &str) -> bool {
        self.met(
            name,
            |met| &mut met.headers,
            || {
                !HARMLESS_HEADERS.contains(&normalised(name).as_str())
                    && (self.is_secret(name) || words(name).iter().any(|word| HEADER_WORDS.contains(&word.as_str())))
            },
        )
    }

    fn is_secret_part(&self, part: &str) -> bool {
        let whole = normalised(part);
        if whole.is_empty() {
            return false;
        }
        if self.extra.contains(&whole) || NAMES.contains(&whole.as_str()) {
            return true;
        }
        let words = words(part);
        if words.len() > 1 && words.last().is_some_and(|last| ABOUT.contains(&last.as_str())) {
            return false;
        }
        INFIXES.iter().any(|infix| whole.contains(infix))
            || SUFFIXES.iter().any(|suffix| whole.ends_with(suffix)) && !HARMLESS.contains(&whole.as_str())
            || words.iter().any(|word| WORDS.contains(&word.as_str()))
    }
}

/// How many letters a name has; what is not ASCII may be one.
fn letters(name: &str) -> usize {
    name.bytes().filter(|byte| byte.is_ascii_alphabetic() || !byte.is_ascii()).count()
}

fn normalised(name: &str) -> String {
    name.chars().filter(|char| char.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// The words of a name in lower case: `APIKeyType`, `api-key_type` and `api key type` are `api`, `key`, `type`.
fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = vec![String::new()];
    let chars: Vec<char> = name.chars().collect();
    for (index, char) in chars.iter().enumerate() {
        let after_lower = index > 0 && !chars[index - 1].is_uppercase();
        let before_lower = chars.get(index + 1).is_some_and(|next| next.is_lowercase());
        let begins_word = !char.is_alphanumeric() || char.is_uppercase() && (after_lower || before_lower);
        if begins_word && words.last().is_some_and(|word| !word.is_empty()) {
            words.push(String::new());
        }
        if let (true, Some(word)) = (char.is_alphanumeric(), words.last_mut()) {
            word.extend(char.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_secrets_are_known_in_any_spelling() {
        for name in [
            "password",
            "Password",
            "passwd",
            "pwd",
            "pass",
            "rootPass",
            "vncpass",
            "USER_PWD",
            "secret",
            "client-secret",
            "token",
            "tokens",
            "encryptedToken",
            "token_authenticate",
            "apikey",
            "api_key",
            "API-Key",
            "apiKey",
            "access_hash",
            "privateKey",
            "credentials",
            "otp",
            "userOTP",
            "pin",
            "auth_info",
            "authinfo",
            "decryptedPassword",
            "expectedPassword",
            "AdministratorPassword",
            "auth.tpasswd",
            "cpasswd",
            "1:password",
            "user[password]",
            "newkey",
            "session_id",
            "PHPSESSID",
            "auth",
            "passwordHash",
        ] {
            assert!(Rules::new().is_secret(name), "{name}");
        }
    }

    #[test]
    fn names_that_only_remind_of_secrets_are_let_through() {
        for name in [
            "",
            "name",
            "key",
            "keys",
            "sshKeys",
            "public_key",
            "bypass",
            "compass",
            "pinned",
            "mapping",
            "spinlocks",
            "author",
            "authentic",
            "password_length",
            "passwordChangedAt",
            "token_type",
            "tokenExpiresAt",
            "password-policy",
            "hotpink",
            "username",
            "passthrough",
        ] {
            assert!(!Rules::new().is_secret(name), "{name}");
        }
    }

    #[test]
    fn a_key_is_secret_in_a_url_and_in_a_header_only() {
        let rules = Rules::new();

        assert!(rules.is_secret_parameter("key") && rules.is_secret_header("X-Key") && !rules.is_secret("key"));
    }

    #[test]
    fn headers_are_told_apart() {
        let rules = Rules::new();
        for name in [
            "Authorization",
            "proxy-authorization",
            "Cookie",
            "Set-Cookie",
            "X-Api-Key",
            "X-Auth",
            "X-CSRF-Token",
            "X-Amz-Signature",
            "X-Session",
        ] {
            assert!(rules.is_secret_header(name), "{name}");
        }
        for name in [
            "Content-Type",
            "WWW-Authenticate",
            "Idempotency-Key",
            "X-Request-Id",
            "X-RateLimit-Remaining",
            "Location",
            "Server",
            "Via",
        ] {
            assert!(!rules.is_secret_header(name), "{name}");
        }
    }

    #[test]
    fn no_known_name_has_fewer_letters_than_are_asked_for() {
        let lists = [NAMING, HOLDING, INFIXES, SUFFIXES, WORDS, NAMES];
        let fewest = lists.into_iter().flatten().map(|name| letters(name)).min();
        assert_eq!(fewest, Some(FEWEST_LETTERS));
    }

    #[test]
    fn names_can_be_added() {
        let rules = Rules::with_names(["Licence-Nr"]);

        assert!(rules.is_secret("licenceNr") && !rules.is_secret("licenceNrs"));
        assert!(Rules::with_names(["4-2"]).is_secret("42") && !Rules::new().is_secret("42"));
    }
}
