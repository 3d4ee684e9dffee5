//! Where things are when the configuration does not say: the system's folders, or an ordinary user's.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Users from here on are people; root and the accounts of services are below.
const FIRST_ORDINARY_UID: u32 = 1000;

/// The default folders of one user. `None` where the environment does not tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Folders {
    pub(super) sockets: Option<PathBuf>,
    pub(super) data: Option<PathBuf>,
    pub(super) configuration: Option<PathBuf>,
    pub(super) plugins: Option<PathBuf>,
}

impl Folders {
    /// The folders of user `uid`, whose environment is `env`.
    pub(super) fn of(uid: u32, env: &BTreeMap<String, String>) -> Self {
        if uid < FIRST_ORDINARY_UID {
            return Self {
                sockets: Some("/run/billhook".into()),
                data: Some("/var/lib/billhook".into()),
                configuration: Some("/etc/billhook".into()),
                plugins: Some("/usr/lib/billhook/plugins".into()),
            };
        }
        // A relative path in these variables is to be ignored, says the XDG specification.
        let absolute = |name: &str| env.get(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let home = |below: &str| absolute("HOME").map(|home| home.join(below));
        let below = |folder: Option<PathBuf>| folder.map(|folder| folder.join("billhook"));
        let data = below(absolute("XDG_DATA_HOME").or_else(|| home(".local/share")));
        Self {
            sockets: below(absolute("XDG_RUNTIME_DIR")),
            plugins: data.as_deref().map(|data: &Path| data.join("plugins")),
            data,
            configuration: below(absolute("XDG_CONFIG_HOME").or_else(|| home(".config"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folders(uid: u32, env: &[(&str, &str)]) -> [Option<String>; 4] {
        let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let found = Folders::of(uid, &env);
        [found.sockets, found.data, found.configuration, found.plugins]
            .map(|path| path.map(|path| path.display().to_string()))
    }

    fn some(paths: [&str; 4]) -> [Option<String>; 4] {
        paths.map(|path| Some(path.to_owned()))
    }

    #[test]
    fn services_use_the_systems_folders_and_people_their_own() {
        let system = some(["/run/billhook", "/var/lib/billhook", "/etc/billhook", "/usr/lib/billhook/plugins"]);
        assert_eq!(folders(0, &[("HOME", "/root")]), system);
        assert_eq!(folders(998, &[]), system);
        assert_eq!(
            folders(1000, &[("HOME", "/home/ada"), ("XDG_RUNTIME_DIR", "/run/user/1000")]),
            some([
                "/run/user/1000/billhook",
                "/home/ada/.local/share/billhook",
                "/home/ada/.config/billhook",
                "/home/ada/.local/share/billhook/plugins"
            ])
        );
        assert_eq!(
            folders(
                1000,
                &[("XDG_RUNTIME_DIR", "/r"), ("XDG_DATA_HOME", "/d"), ("XDG_CONFIG_HOME", "/c"), ("HOME", "/h")]
            ),
            some(["/r/billhook", "/d/billhook", "/c/billhook", "/d/billhook/plugins"])
        );
        assert_eq!(folders(1000, &[("XDG_DATA_HOME", "here")]), [None, None, None, None]);
    }
}
