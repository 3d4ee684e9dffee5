//! Where the configuration and the daemon's socket are.

use super::complaint::WrongUse;
use crate::config::{Config, ConfigError};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const FOLDER_VARIABLE: &str = "BILLHOOK__SOCKET__FOLDER";

/// What the arguments and the environment say of places.
pub(super) struct Place {
    config: Option<PathBuf>,
    /// The socket that was named.
    pub(super) socket: Option<PathBuf>,
    env: BTreeMap<String, String>,
}

impl Place {
    pub(super) fn new(config: Option<PathBuf>, socket: Option<PathBuf>) -> Self {
        // What is not text can be no setting.
        let env = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Self { config, socket, env }
    }

    /// The file that is read: the one that was named, else the one in the usual place if it is there.
    pub(super) fn file(&self) -> Option<PathBuf> {
        let usual = || Config::default_file(self.env.clone()).filter(|path| path.exists());
        self.config.clone().or_else(usual)
    }

    /// The whole configuration, secrets included.
    pub(super) fn config(&self) -> Result<Config, ConfigError> {
        Config::load(self.file().as_deref(), self.env.clone())
    }

    /// The socket to talk to.
    ///
    /// Only the one setting that is needed is read: whoever may talk to the daemon need not be able to read its secrets.
    pub(super) fn socket(&self) -> Result<PathBuf, WrongUse> {
        if let Some(socket) = &self.socket {
            return Ok(socket.clone());
        }
        let folder = match (self.env.get(FOLDER_VARIABLE), self.file()) {
            (Some(folder), _) => Some(PathBuf::from(folder)),
            (None, Some(file)) => self.folder_in(&file)?,
            (None, None) => None,
        };
        let folder = match folder {
            Some(folder) => folder,
            None => self.usual_folder()?,
        };
        Ok(folder.join("admin.sock"))
    }

    fn folder_in(&self, file: &Path) -> Result<Option<PathBuf>, WrongUse> {
        let text = match std::fs::read_to_string(file) {
            Ok(text) => text,
            // The usual file may be closed to this user; the usual socket may be open all the same.
            Err(_) if self.config.is_none() => return Ok(None),
            Err(error) => return Err(WrongUse::new(format!("cannot read {}: {error}", file.display()), SOCKET_REMEDY)),
        };
        // Not the parser's text: it may quote a line with a secret.
        let table: toml::Table = text
            .parse()
            .map_err(|_| WrongUse::new(format!("{} is not valid TOML", file.display()), "see `billhook check`"))?;
        let folder = table.get("socket").and_then(|socket| socket.get("folder")).and_then(toml::Value::as_str);
        Ok(folder.map(PathBuf::from))
    }

    fn usual_folder(&self) -> Result<PathBuf, WrongUse> {
        let env = self.env.iter().filter(|(name, _)| !name.starts_with("BILLHOOK__"));
        let shipped = Config::load(None, env.map(|(name, value)| (name.clone(), value.clone())));
        shipped
            .map(|config| config.socket.folder)
            .map_err(|_| WrongUse::new("the environment does not tell where the daemon's socket is", SOCKET_REMEDY))
    }
}

const SOCKET_REMEDY: &str = "name it with --socket, or the daemon's configuration with --config";

#[cfg(test)]
mod tests {
    use super::*;

    fn place(config: Option<&Path>, env: &[(&str, &str)]) -> Place {
        let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Place { config: config.map(Path::to_owned), socket: None, env }
    }

    #[test]
    fn the_socket_is_found_without_reading_any_secret() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("billhook.toml");
        let text =
            "[socket]\nfolder = \"/run/elsewhere\"\n[servers.a.settings]\ntoken = { file = \"/nowhere/token\" }\n";
        std::fs::write(&file, text).unwrap();

        assert!(place(Some(&file), &[]).config().is_err());
        assert_eq!(place(Some(&file), &[]).socket().unwrap(), Path::new("/run/elsewhere/admin.sock"));
        let env = [(FOLDER_VARIABLE, "/run/of-env")];
        assert_eq!(place(Some(&file), &env).socket().unwrap(), Path::new("/run/of-env/admin.sock"));
    }

    #[test]
    fn a_named_socket_needs_no_configuration() {
        let mut place = place(Some(Path::new("/nowhere.toml")), &[]);
        assert!(place.socket().is_err());

        place.socket = Some("/run/own.sock".into());

        assert_eq!(place.socket().unwrap(), Path::new("/run/own.sock"));
    }
}
