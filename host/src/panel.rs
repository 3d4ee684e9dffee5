//! One configured server, ready for use: its provider's library, its way over the wire, its limits and secrets.

use crate::mask::SecretPath;
use crate::plugin::Loaded;
use crate::wire::{Auth, Wire};
use billhook_abi::PluginObject;
use billhook_plugin_api::{Action, Hook, Manifest, PowerAction};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use url::Url;
use zeroize::Zeroizing;

/// A loaded provider.
pub struct Provider {
    /// What the library says of itself.
    pub manifest: Manifest,
    /// Content hash of the library, in hex.
    pub sha256: String,
    /// Where it was loaded from.
    pub loaded: Loaded,
    /// [`Manifest::reply_secrets`], parsed.
    pub reply_secrets: Vec<SecretPath>,
    /// Checks a server's settings.
    pub server_schema: jsonschema::Validator,
    /// Checks a product's settings.
    pub product_schema: jsonschema::Validator,
}

impl Provider {
    /// Whether it has the hook; an action must be named.
    pub fn has(&self, hook: Hook, action: Option<&str>) -> bool {
        match (hook, action) {
            (Hook::Action, Some(name)) => self.manifest.action(name).is_some(),
            (Hook::Action, None) => false,
            (hook, _) => self.manifest.hooks.contains(&hook),
        }
    }

    /// Whether the hook may change something outside of steps. `action` says what a `power` does.
    pub fn converges(&self, hook: Hook, action: Option<&str>) -> bool {
        self.manifest.convergent.contains(&hook)
            && (hook != Hook::Power || action.and_then(PowerAction::parse).is_some_and(PowerAction::is_convergent))
    }

    /// Whether a claim of the hook counts as having changed something, until it is proven that nothing left.
    pub fn touches(&self, hook: Hook, action: Option<&str>) -> bool {
        hook == Hook::Action || self.converges(hook, action)
    }

    /// The manifest's action of that name.
    pub fn action(&self, name: &str) -> Option<&Action> {
        self.manifest.action(name)
    }
}

/// A server.
pub struct Panel {
    /// Its name in the configuration.
    pub name: String,
    /// Who drives it.
    pub provider: Arc<Provider>,
    /// What makes two servers the same panel.
    pub identity: String,
    /// Where its API is.
    pub base_url: Url,
    /// The way there.
    pub wire: Wire,
    /// How requests are signed.
    pub auth: Option<Auth>,
    /// The opened plugin.
    pub plugin: PluginObject,
    /// Values to be masked wherever they stand.
    pub secrets: Vec<Zeroizing<String>>,
    /// For a call.
    pub timeout: Duration,
    /// For a call that makes something.
    pub create_timeout: Duration,
    /// The longest that the panel may go on after a call was cut off: what the provider says, or more if the operator says so.
    pub longest_run: Duration,
    /// How many attempts at a time.
    pub permits: Arc<Semaphore>,
}

impl Panel {
    /// The longest that a call may take, plus the longest that the panel may go on after it was cut off.
    pub fn settle_ms(&self) -> u64 {
        let call = self.create_timeout.max(self.timeout);
        millis(call).saturating_add(self.longest_run_ms())
    }

    /// [`longest_run`](Self::longest_run) in milliseconds.
    pub fn longest_run_ms(&self) -> u64 {
        millis(self.longest_run)
    }
}

/// Whole milliseconds.
pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
