//! The folders: whose they are, who may write to them, and whether there is room.

use super::{Finding, nearest_folder};
use crate::config::{Config, Database, SocketConfig};
use crate::server::group_exists;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// With less, a store has no room for a busy day.
const LITTLE_ROOM_BYTES: u64 = 512 << 20;

const GROUP_OR_OTHERS_WRITE: u32 = 0o022;
const OTHERS: u32 = 0o007;

/// Looks at the folders of sockets, plugins and store.
pub(super) fn look(config: &Config) -> Vec<Finding> {
    // On a server, plugins are still kept beside.
    let folder = config.store.database.folder();
    let mut findings = vec![sockets(&config.socket), plugins(config)];
    findings.extend(groups(&config.socket));
    findings.push(store(folder));
    if let Database::Sqlite { .. } = &config.store.database {
        findings.extend(nearest_folder(folder).and_then(room));
    }
    findings
}

/// Whose a folder is and what others may do there.
#[derive(Debug, Clone, Copy)]
struct Rights {
    mode: u32,
    owner: u32,
}

impl Rights {
    fn of(folder: &Path) -> Option<Self> {
        let about = std::fs::metadata(folder).ok().filter(std::fs::Metadata::is_dir)?;
        Some(Self { mode: about.mode() & 0o7777, owner: about.uid() })
    }

    /// Nobody but root and this user can put something there.
    fn is_ours(self) -> bool {
        let own = rustix::process::geteuid().as_raw();
        (self.owner == own || self.owner == 0) && self.mode & GROUP_OR_OTHERS_WRITE == 0
    }

    fn text(self) -> String {
        format!("owner {}, mode {:04o}", self.owner, self.mode)
    }
}

fn sockets(config: &SocketConfig) -> Finding {
    const PLACE: &str = "socket.folder";
    let folder = &config.folder;
    match Rights::of(folder) {
        Some(rights) if rights.is_ours() => Finding::ok(PLACE, format!("{}, {}", folder.display(), rights.text())),
        Some(rights) => Finding::error(
            PLACE,
            format!("others could put sockets of their own into {} ({})", folder.display(), rights.text()),
            "give it to root or to the daemon's user, with mode 0755",
        ),
        None if folder.exists() => {
            Finding::error(PLACE, format!("{} is not a folder", folder.display()), "name a folder")
        }
        None => match nearest_folder(folder) {
            Some(above) => {
                Finding::ok(PLACE, format!("{} is made in {} at the start", folder.display(), above.display()))
            }
            None => Finding::error(PLACE, format!("{} cannot be made", folder.display()), "name another folder"),
        },
    }
}

fn groups(config: &SocketConfig) -> Vec<Finding> {
    let groups = [("socket.group", &config.group), ("socket.admin_group", &config.admin_group)];
    let missing = groups.into_iter().filter_map(|(place, group)| {
        let group = group.as_ref().filter(|group| !group_exists(group))?;
        let remedy = "make it, or name another; a group of a directory service goes by its number";
        Some(Finding::error(place, format!("there is no group {group}"), remedy))
    });
    missing.collect()
}

fn plugins(config: &Config) -> Finding {
    const PLACE: &str = "plugins.folder";
    let folder = &config.plugins.folder;
    match Rights::of(folder) {
        Some(rights) if rights.is_ours() => Finding::ok(PLACE, format!("{}, {}", folder.display(), rights.text())),
        Some(rights) => Finding::error(
            PLACE,
            format!("others could put code into {} ({})", folder.display(), rights.text()),
            "give it to root or to the daemon's user, and take writing from group and others",
        ),
        None if config.servers.is_empty() => Finding::ok(PLACE, format!("{} is not there yet", folder.display())),
        // An error for each plugin follows.
        None => Finding::warn(
            PLACE,
            format!("{} is not there, and servers need plugins", folder.display()),
            "install the plugins, or name the folder where they are",
        ),
    }
}

fn store(folder: &Path) -> Finding {
    const PLACE: &str = "store folder";
    match Rights::of(folder) {
        None => Finding::ok(PLACE, format!("{} is made at the first start", folder.display())),
        Some(rights) if rights.mode & OTHERS != 0 => Finding::warn(
            PLACE,
            format!("{} is open to every user ({}); the files in it are not", folder.display(), rights.text()),
            "close it: chmod o-rwx",
        ),
        Some(rights) => Finding::ok(PLACE, format!("{}, {}", folder.display(), rights.text())),
    }
}

/// `None` where the system does not tell.
fn room(folder: &Path) -> Option<Finding> {
    let about = rustix::fs::statvfs(folder).ok()?;
    Some(enough(about.f_bavail.saturating_mul(about.f_frsize)))
}

fn enough(free_bytes: u64) -> Finding {
    const PLACE: &str = "store space";
    let text = format!("{} MiB are free", free_bytes >> 20);
    if free_bytes < LITTLE_ROOM_BYTES {
        return Finding::warn(PLACE, text, "make room: without it no hook is accepted");
    }
    Finding::ok(PLACE, text)
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    fn folder(mode: u32) -> (tempfile::TempDir, PathBuf) {
        let above = tempfile::tempdir().unwrap();
        let path = above.path().join("folder");
        std::fs::create_dir(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        (above, path)
    }

    fn config() -> Config {
        let env = [("HOME", "/nowhere"), ("XDG_RUNTIME_DIR", "/nowhere/run")];
        Config::load(None, env.map(|(name, value)| (name.to_owned(), value.to_owned()))).unwrap()
    }

    #[test]
    fn a_folder_that_others_may_write_to_is_an_error_where_code_and_sockets_are() {
        for (mode, level) in [(0o755, Level::Ok), (0o700, Level::Ok), (0o775, Level::Error), (0o777, Level::Error)] {
            let (_above, path) = folder(mode);
            let mut config = config();
            config.socket.folder.clone_from(&path);
            config.plugins.folder = path;

            assert_eq!(sockets(&config.socket).level, level, "{mode:o}");
            assert_eq!(plugins(&config).level, level, "{mode:o}");
        }
    }

    #[test]
    fn a_stores_folder_is_better_closed() {
        for (mode, level) in [(0o700, Level::Ok), (0o750, Level::Ok), (0o755, Level::Warn)] {
            let (_above, path) = folder(mode);
            assert_eq!(store(&path).level, level, "{mode:o}");
        }
    }

    #[test]
    fn a_group_that_is_not_there_is_an_error() {
        let mut config = config();
        assert_eq!(groups(&config.socket), []);
        config.socket.group = Some("no-such-group-here".into());
        config.socket.admin_group = Some("0".into());

        let found = groups(&config.socket);

        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((found[0].level, found[0].place.as_str()), (Level::Error, "socket.group"));
    }

    #[test]
    fn little_room_is_doubtful() {
        assert_eq!(enough(LITTLE_ROOM_BYTES - 1).level, Level::Warn);
        assert_eq!(enough(LITTLE_ROOM_BYTES).level, Level::Ok);
    }
}
