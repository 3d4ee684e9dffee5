//! What the configuration in force made of this host.

use crate::config::Config;
use crate::panel::{Panel, Provider};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The configuration with what it made. Never changed: a reload makes another one, and who has this one keeps it.
pub struct InForce {
    /// As it was read.
    pub config: Arc<Config>,
    /// Loaded providers by name.
    pub providers: BTreeMap<String, Arc<Provider>>,
    /// Servers that are ready, by name.
    pub panels: BTreeMap<String, Arc<Panel>>,
    /// Servers that are not, with the reason.
    pub unready: BTreeMap<String, String>,
}
