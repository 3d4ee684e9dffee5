use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::{Deref, DerefMut};

/// Why a hook failed, in the contract's words. The list is closed.
///
/// What follows from a class (try again, give up, show a person) is the host's decision alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultClass {
    /// The order or a setting cannot be carried out as given.
    InvalidInput,
    /// The panel does not know what the hook speaks of.
    NotFound,
    /// What should be made exists and is not ours, or is ours in another shape.
    AlreadyExists,
    /// The panel is busy with the same thing; later is better.
    ConflictBusy,
    /// A limit of the customer or reseller is reached.
    Quota,
    /// The panel has no room.
    Capacity,
    /// The account at the panel has too little money.
    InsufficientFunds,
    /// The panel does not accept the credentials.
    Auth,
    /// The credentials are good and may not do this.
    Permission,
    /// The panel asks for a slower pace.
    RateLimited,
    /// Certainly not executed: nothing reached the panel.
    Unreachable,
    /// It may have been executed: a request left and no trustworthy answer came.
    InDoubt,
    /// The panel broke its own contract, or failed inside.
    PanelBug,
    /// The plugin broke its contract with the host.
    PluginBug,
    /// This provider or panel cannot do that.
    Unsupported,
    /// A person or the order of the service ended it before anything was done.
    Cancelled,
    /// A deadline passed.
    Timeout,
}

impl FaultClass {
    /// Every class, in the order of the contract.
    pub const ALL: [Self; 17] = [
        Self::InvalidInput,
        Self::NotFound,
        Self::AlreadyExists,
        Self::ConflictBusy,
        Self::Quota,
        Self::Capacity,
        Self::InsufficientFunds,
        Self::Auth,
        Self::Permission,
        Self::RateLimited,
        Self::Unreachable,
        Self::InDoubt,
        Self::PanelBug,
        Self::PluginBug,
        Self::Unsupported,
        Self::Cancelled,
        Self::Timeout,
    ];

    /// Whether the cause passes by itself, so that a look at the panel that ended so is simply repeated.
    pub const fn passes_by_itself(self) -> bool {
        matches!(self, Self::Unreachable | Self::InDoubt | Self::RateLimited | Self::ConflictBusy | Self::Timeout)
    }

    /// The word used in JSON, SQL and the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidInput => "invalid_input",
            Self::NotFound => "not_found",
            Self::AlreadyExists => "already_exists",
            Self::ConflictBusy => "conflict_busy",
            Self::Quota => "quota",
            Self::Capacity => "capacity",
            Self::InsufficientFunds => "insufficient_funds",
            Self::Auth => "auth",
            Self::Permission => "permission",
            Self::RateLimited => "rate_limited",
            Self::Unreachable => "unreachable",
            Self::InDoubt => "in_doubt",
            Self::PanelBug => "panel_bug",
            Self::PluginBug => "plugin_bug",
            Self::Unsupported => "unsupported",
            Self::Cancelled => "cancelled",
            Self::Timeout => "timeout",
        }
    }
}

impl fmt::Display for FaultClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A failure with one text for the log and, if there is something to tell, one for the customer.
///
/// Neither text may hold a secret; the host masks both all the same.
///
/// Its members are those of [`FaultParts`]. It is one pointer wide, since it is in the result of nearly every function of
/// a plugin: with its members in place, moving them about was a good part of a plugin's code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(transparent)]
#[error("{}: {}", .0.class, .0.staff)]
pub struct Fault(Box<FaultParts>);

/// What a [`Fault`] says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultParts {
    /// What kind of failure it is.
    pub class: FaultClass,
    /// For the log: what happened, and the remedy where there is one.
    pub staff: String,
    /// For the customer's page. Absent: the platform says something general.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<String>,
    /// The panel's own code or status, as it gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// How long the panel asked to wait, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// See [`Fault::refused`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub refused: bool,
}

impl Deref for Fault {
    type Target = FaultParts;

    fn deref(&self) -> &FaultParts {
        &self.0
    }
}

impl DerefMut for Fault {
    fn deref_mut(&mut self) -> &mut FaultParts {
        &mut self.0
    }
}

impl Fault {
    /// A fault of `class` with its text for the log.
    pub fn new(class: FaultClass, staff: impl Into<String>) -> Self {
        let staff = staff.into();
        Self(Box::new(FaultParts { class, staff, customer: None, code: None, retry_after_ms: None, refused: false }))
    }

    /// The same in another class.
    #[must_use]
    pub fn in_class(mut self, class: FaultClass) -> Self {
        self.class = class;
        self
    }

    /// The provider has no such hook.
    pub fn unsupported(what: &str) -> Self {
        Self::new(FaultClass::Unsupported, format!("this provider does not support {what}"))
    }

    /// The order or a setting is not usable.
    pub fn invalid_input(staff: impl Into<String>) -> Self {
        Self::new(FaultClass::InvalidInput, staff)
    }

    /// The panel does not know it.
    pub fn not_found(staff: impl Into<String>) -> Self {
        Self::new(FaultClass::NotFound, staff)
    }

    /// The panel's answer is not what its contract says.
    pub fn panel_bug(staff: impl Into<String>) -> Self {
        Self::new(FaultClass::PanelBug, staff)
    }

    /// The plugin met a state that its own code excludes.
    pub fn plugin_bug(staff: impl Into<String>) -> Self {
        Self::new(FaultClass::PluginBug, staff)
    }

    /// Adds the text that a customer may read.
    #[must_use]
    pub fn for_customer(mut self, text: impl Into<String>) -> Self {
        self.customer = Some(text.into());
        self
    }

    /// Adds the panel's own code.
    #[must_use]
    pub fn with_code(mut self, code: impl Into<String>) -> Self {
        self.code = Some(code.into());
        self
    }

    /// Adds the wait that the panel asked for.
    #[must_use]
    pub fn retry_after_ms(mut self, ms: Option<u64>) -> Self {
        self.retry_after_ms = ms;
        self
    }

    /// Takes the mark of [`Fault::refused`] away.
    #[must_use]
    pub fn unproven(mut self) -> Self {
        self.refused = false;
        self
    }

    /// Marks the panel's answer as one of those that prove that nothing was executed.
    ///
    /// Only a code from the plugin's table of proven refusals may carry this: the host then clears the step, and a
    /// later run starts afresh. Without the mark an answered change that failed stays in doubt.
    #[must_use]
    pub fn refused(mut self) -> Self {
        self.refused = true;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_in_json_is_the_word_in_text() {
        for class in FaultClass::ALL {
            assert_eq!(serde_json::to_string(&class).unwrap(), format!("\"{class}\""));
        }
    }

    #[test]
    fn a_fault_without_extras_is_two_members() {
        let text = serde_json::to_string(&Fault::not_found("no server 7")).unwrap();
        assert_eq!(text, r#"{"class":"not_found","staff":"no server 7"}"#);
    }
}
