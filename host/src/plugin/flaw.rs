//! What is wrong with a library that was opened: told by its own answers, in this process or in a probing one.

use serde::{Deserialize, Serialize};

/// One way for an opened library not to be a plugin of this ABI. Plain texts only: a flaw travels between processes, and
/// is kept with the verdicts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case", tag = "flaw")]
#[non_exhaustive]
pub enum Flaw {
    /// The dynamic linker refused it.
    #[error("the dynamic linker refuses it: {reason}")]
    Linking {
        /// All that the linker said.
        reason: String,
    },
    /// The descriptor was there and what it announces was not.
    #[error("it has a descriptor and no plugin behind it: {reason}")]
    NotAPlugin {
        /// What is missing or wrong.
        reason: String,
    },
    /// The header comes without the layout of its types, so they cannot be checked.
    #[error("it was exported without the layout of its types")]
    NoLayout,
    /// The types are not those of this ABI.
    #[error("its types are not those of this ABI: {reason}")]
    Layout {
        /// The first differences.
        reason: String,
    },
    /// Its own code panicked while it was being loaded.
    #[error("it panicked while {during}")]
    Panicked {
        /// What it was doing.
        during: String,
    },
    /// Its manifest is not JSON.
    #[error("its manifest is not JSON: {reason}")]
    Manifest {
        /// What the parser said.
        reason: String,
    },
}

impl Flaw {
    /// Whether the flaw is the content's own, so that the next look would find the same. What the linker says depends on
    /// the libraries that the system has.
    pub(super) const fn is_lasting(&self) -> bool {
        !matches!(self, Self::Linking { .. })
    }

    /// What an operator can do about it, one sentence without a full stop.
    pub(super) const fn remedy(&self) -> &'static str {
        match self {
            Self::Linking { .. } => {
                "install the libraries that it needs; build it on a system whose glibc is not newer than this one's"
            }
            Self::NotAPlugin { .. } | Self::NoLayout | Self::Layout { .. } => {
                "build the plugin again with an unchanged billhook-plugin-api"
            }
            Self::Panicked { .. } | Self::Manifest { .. } => "report it to the plugin's author",
        }
    }
}
