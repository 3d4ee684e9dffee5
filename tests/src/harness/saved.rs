use super::provider::PanelOf;
use super::rig::Rig;
use crate::cluster::{Database, administer};
use crate::harness::Provider;
use billhook::clock::{Clock as _, ManualClock};
use std::fs;
use std::path::{Path, PathBuf};

/// A moment of a rig that no host is running on: its panel, its folder, its time.
pub struct Saved<P: Provider> {
    panel: PanelOf<P>,
    files: Vec<(PathBuf, Vec<u8>)>,
    database: Option<Database>,
    unix_ms: u64,
    panel_ms: u64,
}

impl<P: Provider> Rig<P> {
    /// Keeps this moment.
    pub fn save(&self) -> Saved<P> {
        let mut files = Vec::new();
        each_file(self.folder.path(), &mut |path| {
            files.push((path.to_owned(), fs::read(path).expect("a file of the rig is read")));
        });
        Saved {
            panel: self.panel().twin(),
            files,
            database: self.database.as_ref().map(Database::twin),
            unix_ms: self.clock.unix_ms(),
            panel_ms: self.panel_clock.now_ms(),
        }
    }

    /// Goes back to a moment of this rig. Whatever has happened since is unknown to all who come now; who still holds a
    /// connection to the panel speaks to the one that is left behind.
    pub fn rewind(&mut self, to: &Saved<P>) {
        each_file(self.folder.path(), &mut |path| {
            if !to.files.iter().any(|(kept, _)| kept == path) {
                fs::remove_file(path).expect("a file of the rig is removed");
            }
        });
        for (path, content) in &to.files {
            // Written over, so that it keeps its mode.
            fs::write(path, content).expect("a file of the rig is written");
        }
        if let (Some(own), Some(kept)) = (&self.database, &to.database) {
            // Whoever is still connected is thrown out.
            administer(&format!("DROP DATABASE {} WITH (FORCE)", own.name()));
            administer(&format!("CREATE DATABASE {} TEMPLATE {}", own.name(), kept.name()));
        }
        self.clock = ManualClock::new(to.unix_ms);
        self.panel_clock.set(to.panel_ms);
        self.running.put(to.panel.twin());
    }
}

fn each_file(folder: &Path, what: &mut dyn FnMut(&Path)) {
    for entry in fs::read_dir(folder).expect("a folder of the rig is listed") {
        let path = entry.expect("an entry of it").path();
        if path.is_dir() { each_file(&path, what) } else { what(&path) }
    }
}
