//! Who calls: decided by the socket and the uid of the peer, never by what the request says.

use super::{accounts, headers};
use crate::config::Config;
use crate::metrics::Line;
use crate::problem::{Problem, ProblemType};
use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use billhook_plugin_api::Hook;
use std::sync::Arc;

use super::refusal::Refusal;

/// Under which word an admin's own look at a server stands in the log.
pub(super) const ADMIN: &str = "admin";

/// Which socket a connection came in on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Socket {
    /// For billing platforms.
    Hook,
    /// For admins.
    Admin,
}

impl Socket {
    /// Its name in the metrics.
    pub(super) const fn line(self) -> Line {
        match self {
            Self::Hook => Line::Hook,
            Self::Admin => Line::Admin,
        }
    }
}

/// The peer of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Caller {
    /// A billing platform, on `hook.sock`.
    Platform(String),
    /// On `hook.sock`, a user that speaks for no platform.
    Stranger(u32),
    /// Whoever may open `admin.sock`; the text names the user in the log.
    Admin(String),
}

impl Caller {
    /// The caller behind a peer's credentials.
    pub(super) fn of(socket: Socket, uid: u32, config: &Config) -> Self {
        if socket == Socket::Admin {
            return Self::Admin(match accounts::user_name(uid) {
                Some(name) => format!("uid {uid} ({name})"),
                None => format!("uid {uid}"),
            });
        }
        let platform = config.platforms.iter().find(|(_, platform)| platform.uids.contains(&uid));
        platform.map_or(Self::Stranger(uid), |(name, _)| Self::Platform(name.clone()))
    }

    /// The platform that a hook is for.
    pub(super) fn platform(&self, headers: &HeaderMap, hook: Hook, config: &Config) -> Result<String, Problem> {
        let named = headers::platform(headers)?;
        match self {
            Self::Platform(own) => match named {
                Some(other) if other != *own => Err(Problem::new(
                    ProblemType::NotAllowed,
                    format!("this caller speaks for {own}, and the request names {other}"),
                )
                .remedy("leave Billhook-Platform out on hook.sock")),
                _ => Ok(own.clone()),
            },
            Self::Stranger(uid) => Err(stranger(*uid)),
            Self::Admin(_) => match named {
                Some(name) if config.platforms.contains_key(&name) => Ok(name),
                Some(name) => Err(Problem {
                    path: Some("Billhook-Platform".to_owned()),
                    ..Problem::new(ProblemType::NotConfigured, format!("no platform {name} is configured"))
                        .remedy(format!("add [platforms.{name}] to the configuration"))
                }),
                None => only_platform(hook, config),
            },
        }
    }
}

/// The platform that is meant when an admin names none.
fn only_platform(hook: Hook, config: &Config) -> Result<String, Problem> {
    let mut names = config.platforms.keys();
    match (names.next(), names.next()) {
        (Some(name), None) => Ok(name.clone()),
        // A server is nobody's: the admin's own test stands in the log under this word.
        _ if hook.is_on_server() => Ok(ADMIN.to_owned()),
        (None, _) => Err(Problem::new(ProblemType::NotConfigured, "no platform is configured")
            .remedy("add [platforms.NAME] to the configuration")),
        (Some(_), Some(_)) => {
            Err(Problem::at("Billhook-Platform", "which platform is not clear: several are configured")
                .remedy("name one in the header Billhook-Platform"))
        }
    }
}

/// Whether the caller may send the hook. An action is allowed as `action`, or by its own name.
pub(super) fn may_send(caller: &Caller, hook: Hook, action: Option<&str>, config: &Config) -> Result<(), Problem> {
    let Caller::Platform(name) = caller else { return Ok(()) };
    let Some(platform) = config.platforms.get(name) else { return Ok(()) };
    // A name that is also a hook's word means the hook.
    let own = action.filter(|action| hook == Hook::Action && Hook::parse(action).is_none());
    if platform.hooks.allows(hook.as_str()) || own.is_some_and(|action| platform.hooks.allows(action)) {
        return Ok(());
    }
    let what = own.map_or_else(|| hook.to_string(), |action| format!("the action {action}"));
    Err(Problem::new(ProblemType::HookNotAllowed, format!("{name} may not send {what}"))
        .remedy(format!("add it to `hooks` of [platforms.{name}]")))
}

fn stranger(uid: u32) -> Problem {
    Problem::new(ProblemType::NotAllowed, format!("uid {uid} speaks for no platform"))
        .remedy(format!("add {uid} to `uids` of the [platforms.NAME] that it belongs to"))
}

/// An admin, by the name that stands in the log. Refuses everybody else.
pub(super) struct Admin(pub(super) String);

impl<S: Sync> FromRequestParts<S> for Admin {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        match &**caller(parts)? {
            Caller::Admin(actor) => Ok(Self(actor.clone())),
            Caller::Platform(_) | Caller::Stranger(_) => {
                Err(Problem::new(ProblemType::NotAllowed, "this call is not for platforms")
                    .remedy("use admin.sock")
                    .into())
            }
        }
    }
}

/// Whose operations and services the caller may see. Refuses strangers.
pub(super) struct View {
    /// Only this platform's; an admin sees all.
    pub(super) only: Option<String>,
}

impl View {
    pub(super) fn shows(&self, platform: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only == platform)
    }

    pub(super) fn is_admin(&self) -> bool {
        self.only.is_none()
    }
}

impl<S: Sync> FromRequestParts<S> for View {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        match &**caller(parts)? {
            Caller::Admin(_) => Ok(Self { only: None }),
            Caller::Platform(name) => Ok(Self { only: Some(name.clone()) }),
            Caller::Stranger(uid) => Err(stranger(*uid).into()),
        }
    }
}

/// The caller, which the connection put beside the request.
pub(super) fn caller(parts: &Parts) -> Result<&Arc<Caller>, Problem> {
    parts.extensions.get().ok_or_else(|| Problem::new(ProblemType::Internal, "a request came without its caller"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{PlatformConfig, PlatformHooks};
    use axum::http::HeaderValue;

    fn config() -> Config {
        let mut config = Config::load(None, [("HOME".to_owned(), "/nowhere".to_owned())]).unwrap();
        let these = PlatformHooks::These(["suspend", "reboot"].map(str::to_owned).into());
        for (name, uid, hooks) in [("whmcs", 33, PlatformHooks::All), ("shop", 34, these)] {
            config.platforms.insert(name.to_owned(), PlatformConfig { uids: [uid].into(), hooks });
        }
        config
    }

    #[test]
    fn the_uid_decides_for_whom_a_peer_speaks() {
        let config = config();
        for (socket, uid, expected) in [
            (Socket::Hook, 33, Caller::Platform("whmcs".into())),
            (Socket::Hook, 34, Caller::Platform("shop".into())),
            (Socket::Hook, 0, Caller::Stranger(0)),
            (Socket::Hook, 35, Caller::Stranger(35)),
            (Socket::Admin, 0, Caller::Admin("uid 0 (root)".into())),
            (Socket::Admin, 4_000_000, Caller::Admin("uid 4000000".into())),
        ] {
            assert_eq!(Caller::of(socket, uid, &config), expected);
        }
    }

    #[test]
    fn a_request_cannot_choose_its_platform_on_the_hook_socket() {
        let config = config();
        let admin = Caller::Admin("uid 0".into());
        let whmcs = Caller::Platform("whmcs".into());
        for (caller, named, hook, expected) in [
            (&whmcs, None, Hook::Create, Ok("whmcs")),
            (&whmcs, Some("whmcs"), Hook::Create, Ok("whmcs")),
            (&whmcs, Some("shop"), Hook::Create, Err(ProblemType::NotAllowed)),
            (&Caller::Stranger(9), Some("shop"), Hook::Create, Err(ProblemType::NotAllowed)),
            (&admin, Some("shop"), Hook::Create, Ok("shop")),
            (&admin, Some("none"), Hook::Create, Err(ProblemType::NotConfigured)),
            (&admin, None, Hook::Create, Err(ProblemType::InvalidRequest)),
            (&admin, None, Hook::Test, Ok("admin")),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(named) = named {
                headers.insert(headers::PLATFORM, HeaderValue::from_static(named));
            }
            let platform = caller.platform(&headers, hook, &config);
            assert_eq!(platform.as_deref().map_err(|problem| problem.kind), expected, "{caller:?} {named:?}");
        }
    }

    #[test]
    fn a_platform_sends_what_its_list_names() {
        let config = config();
        let shop = Caller::Platform("shop".into());
        for (hook, action, allowed) in [
            (Hook::Suspend, None, true),
            (Hook::Create, None, false),
            (Hook::Action, Some("reboot"), true),
            (Hook::Action, Some("wipe"), false),
            (Hook::Action, Some("suspend"), false),
            (Hook::Action, None, false),
        ] {
            assert_eq!(may_send(&shop, hook, action, &config).is_ok(), allowed, "{hook} {action:?}");
        }
        assert!(may_send(&Caller::Admin("uid 0".into()), Hook::Create, None, &config).is_ok());
    }
}
