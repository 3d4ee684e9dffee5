use crate::hook::Hook;
use crate::provider::Provider;
use schemars::Schema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a provider says of itself at compile time; the host sees it as part of the [`Manifest`].
#[derive(Debug, Clone, Copy)]
pub struct Facts {
    /// The provider's name in configuration, tables and logs: lower-case letters, digits, `_`.
    pub name: &'static str,
    /// For people.
    pub title: &'static str,
    /// Raise it when step names, their order or their results change.
    pub journal_version: u32,
    /// Older journal versions that this code can continue.
    pub continues: &'static [u32],
    /// The hooks that the provider has.
    pub hooks: &'static [Hook],
    /// Those of them that set the same state when repeated, and may use [`Cx::converge`](crate::Cx::converge).
    pub convergent: &'static [Hook],
    /// The provider's own hooks.
    pub actions: &'static [ActionFacts],
    /// Product settings whose possible values the panel can be asked for.
    pub options: &'static [&'static str],
    /// How the host signs requests.
    pub auth: Auth,
    /// The server setting that holds the login, where goods on the panel belong to the login and not to the panel.
    pub login_setting: Option<&'static str>,
    /// The longest that the panel may work on after a call was cut off, in seconds.
    pub longest_run_s: u32,
    /// Paths that are secret in every reply: `data.token`, `**.password`.
    pub reply_secrets: &'static [&'static str],
}

impl Facts {
    /// Facts with the usual values: no actions, no own login, 60 s longest run, journal version 1.
    pub const fn new(name: &'static str, title: &'static str, hooks: &'static [Hook]) -> Self {
        Self {
            name,
            title,
            journal_version: 1,
            continues: &[],
            hooks,
            convergent: &[],
            actions: &[],
            options: &[],
            auth: Auth::None,
            login_setting: None,
            longest_run_s: 60,
            reply_secrets: &[],
        }
    }
}

/// A provider's own hook.
#[derive(Debug, Clone, Copy)]
pub struct ActionFacts {
    /// Name in `POST /v1/hooks/action`.
    pub name: &'static str,
    /// For people.
    pub title: &'static str,
    /// Whether it changes anything; a reading action has no journal and may use no step.
    pub changes: bool,
    /// JSON Schema of its parameters, for instance `|| schemars::schema_for!(Params)`.
    pub params: fn() -> Schema,
}

/// How the host signs each request; the plugin never handles these credentials itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "scheme")]
pub enum Auth {
    /// The host adds nothing.
    None,
    /// `Authorization: Bearer`, from that server setting.
    Bearer {
        /// Name of the setting.
        setting: &'static str,
    },
    /// `Authorization: Basic`, from those server settings.
    Basic {
        /// Name of the setting that holds the login.
        user: &'static str,
        /// Name of the setting that holds the password.
        password: &'static str,
    },
}

/// [`Auth`] as the host reads it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "scheme")]
pub enum AuthScheme {
    /// Nothing is added.
    #[default]
    None,
    /// Bearer token.
    Bearer {
        /// Name of the server setting.
        setting: String,
    },
    /// Login and password.
    Basic {
        /// Setting of the login.
        user: String,
        /// Setting of the password.
        password: String,
    },
}

/// What a plugin says of itself, as the host reads it when it loads the library. Unknown members are ignored, so
/// that a newer plugin can be read by an older host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The provider's name.
    pub name: String,
    /// For people.
    pub title: String,
    /// Version of the plugin's crate; the host takes it from the descriptor in the file.
    #[serde(default)]
    pub version: String,
    /// The journal version that this code writes.
    pub journal_version: u32,
    /// Older ones that it can continue.
    #[serde(default)]
    pub continues: Vec<u32>,
    /// Hooks that it has. Words that this version does not know are left out.
    #[serde(deserialize_with = "known")]
    pub hooks: Vec<Hook>,
    /// Those that converge.
    #[serde(default, deserialize_with = "known")]
    pub convergent: Vec<Hook>,
    /// Its own hooks.
    #[serde(default)]
    pub actions: Vec<Action>,
    /// See [`Facts::options`].
    #[serde(default)]
    pub options: Vec<String>,
    /// How requests are signed.
    #[serde(default)]
    pub auth: AuthScheme,
    /// The login that is part of the panel's identity.
    #[serde(default)]
    pub login_setting: Option<String>,
    /// See [`Facts::longest_run_s`].
    pub longest_run_s: u32,
    /// See [`Facts::reply_secrets`].
    #[serde(default)]
    pub reply_secrets: Vec<String>,
    /// JSON Schema of a server's settings.
    pub server_schema: Value,
    /// JSON Schema of a product's settings.
    pub product_schema: Value,
}

/// A newer plugin may have hooks that this version has never heard of.
fn known<'de, D: serde::Deserializer<'de>>(reader: D) -> Result<Vec<Hook>, D::Error> {
    let words = Vec::<String>::deserialize(reader)?;
    Ok(words.iter().filter_map(|word| Hook::parse(word)).collect())
}

/// One of a provider's own hooks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Action {
    /// Its name.
    pub name: String,
    /// For people.
    pub title: String,
    /// Whether it changes anything.
    pub changes: bool,
    /// JSON Schema of its parameters.
    pub params: Value,
}

impl Manifest {
    /// The manifest of a provider, without its version.
    pub fn of<P: Provider>() -> Self {
        let facts = P::FACTS;
        Self {
            name: facts.name.to_owned(),
            title: facts.title.to_owned(),
            version: String::new(),
            journal_version: facts.journal_version,
            continues: facts.continues.to_vec(),
            hooks: facts.hooks.to_vec(),
            convergent: facts.convergent.to_vec(),
            actions: facts
                .actions
                .iter()
                .map(|action| Action {
                    name: action.name.to_owned(),
                    title: action.title.to_owned(),
                    changes: action.changes,
                    params: (action.params)().to_value(),
                })
                .collect(),
            options: facts.options.iter().map(|&field| field.to_owned()).collect(),
            auth: match facts.auth {
                Auth::None => AuthScheme::None,
                Auth::Bearer { setting } => AuthScheme::Bearer { setting: setting.to_owned() },
                Auth::Basic { user, password } => {
                    AuthScheme::Basic { user: user.to_owned(), password: password.to_owned() }
                }
            },
            login_setting: facts.login_setting.map(str::to_owned),
            longest_run_s: facts.longest_run_s,
            reply_secrets: facts.reply_secrets.iter().map(|&path| path.to_owned()).collect(),
            server_schema: schemars::schema_for!(P::Server).to_value(),
            product_schema: schemars::schema_for!(P::Product).to_value(),
        }
    }

    /// The action of that name.
    pub fn action(&self, name: &str) -> Option<&Action> {
        self.actions.iter().find(|action| action.name == name)
    }

    /// Whether this code can continue a journal of that version.
    pub fn can_continue(&self, journal_version: u32) -> bool {
        self.journal_version == journal_version || self.continues.contains(&journal_version)
    }
}
