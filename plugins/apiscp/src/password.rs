//! `change_password`, and the passwords of new sites.

use crate::panel::Owned;
use crate::settings::PasswordBy;
use crate::site::Site;
use crate::{ApisCp, api, call, fault};
use billhook_plugin_api::{Change, Cx, Fault, FaultClass, PasswordTarget, Request, Secret};
use billhook_soap::Param;

/// Length of a password that is made here; more than any panel asks for.
const LENGTH: usize = 20;

/// Of 64 characters, so that each byte gives one without bias; none of them means anything to a shell.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.";

/// The customer's password, or one that is made now and stays the same in later runs.
pub async fn chosen_or_made(cx: &Cx, chosen: Option<Secret<String>>) -> Result<Secret<String>, Fault> {
    match chosen {
        Some(password) if password.expose().trim().is_empty() => Err(Fault::invalid_input("the password is empty")),
        Some(password) => Ok(password),
        None => {
            let password: Secret<String> = cx.step("password").sealed().record(|| async { made() }).await?;
            cx.secret(password.expose()).await?;
            Ok(password)
        }
    }
}

/// A password with letters of both cases and a digit, which begins with a letter.
fn made() -> Result<Secret<String>, Fault> {
    for _ in 0..64 {
        let mut bytes = [0_u8; LENGTH];
        getrandom::fill(&mut bytes).map_err(|_| Fault::plugin_bug("the system gives no random numbers"))?;
        let text: String = bytes.iter().map(|byte| char::from(ALPHABET[usize::from(byte & 63)])).collect();
        let has = |is: fn(&u8) -> bool| text.as_bytes().iter().any(is);
        let is_good = text.starts_with(|char: char| char.is_ascii_alphabetic())
            && has(u8::is_ascii_lowercase)
            && has(u8::is_ascii_uppercase)
            && has(u8::is_ascii_digit);
        if is_good {
            return Ok(Secret::new(text));
        }
    }
    Err(Fault::plugin_bug("the system's random numbers are not random"))
}

/// The call that sets the password of a site's first user, never that of anybody else.
pub fn request(panel: &ApisCp, site: &Site, password: &Secret<String>) -> Result<(&'static str, Request), Fault> {
    Ok(match panel.password_by {
        PasswordBy::ChangePassword => {
            let user = site.admin_user.as_deref().unwrap_or_default();
            if user.is_empty() || site.domain.is_empty() {
                return Err(Fault::panel_bug(format!("the panel does not say who administers {}", site.label())));
            }
            (api::PASSWORD, panel.caller.password(password, user, &site.domain)?)
        }
        PasswordBy::EditSite => {
            let options = vec![("auth.tpasswd".to_owned(), Param::text(password.expose()))];
            (api::EDIT, panel.caller.edit(&site.key, options, Vec::new())?)
        }
    })
}

/// Sets a new password. A repeat sets the same again.
pub async fn run(
    cx: &Cx,
    owned: Owned<'_>,
    chosen: Option<Secret<String>>,
    target: Option<PasswordTarget>,
) -> Result<Change, Fault> {
    if target == Some(PasswordTarget::Root) {
        return Err(Fault::unsupported("the password of a machine's administrator: a site has none"));
    }
    let password = &chosen_or_made(cx, chosen).await?;
    cx.converge(|send| async move {
        let site = owned.read(cx).await?;
        let (operation, request) = request(owned.panel, &site, password)?;
        call::accepted(&send.call(request).await?, operation).map_err(|fault| match fault.code.as_deref() {
            Some(fault::NO_SUCH_USER) => Fault::new(
                FaultClass::Unsupported,
                "the panel looked for its own administrators only, as those from before mid-2019 do: set password_by to \
                 edit_site at the server",
            )
            .with_code(fault::NO_SUCH_USER)
            .refused(),
            _ => fault,
        })
    })
    .await?;
    let mut change = Change::done();
    change.secrets.insert("password".into(), password.clone());
    Ok(change)
}
#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::{self, BREAKS, Break, Stage, changes, fault, ok, to_end};
    use billhook_plugin_api::testing::{Ended, ScriptedHost};
    use billhook_plugin_api::{ChangePassword, Provider};
    use serde_json::{Value, json};

    const NEW: &str = "N3w-p&ssword";

    fn set(host: &ScriptedHost, more: Value, password: Option<&str>) -> Ended<Change> {
        let mut settings = json!({ "api_key": "k" });
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let request = ChangePassword {
            service: stage::service(),
            product: stage::product(json!({})),
            password: password.map(|text| Secret::new(text.to_owned())),
            target: None,
        };
        host.run(async |cx| stage::provider_with(settings).change_password(cx, request).await)
    }

    #[test]
    fn the_password_of_the_site_is_set_and_never_the_administrators() {
        for (more, call) in
            [(json!({}), "auth_change_password"), (json!({ "password_by": "edit_site" }), "admin_edit_site")]
        {
            let stage = Stage::with_site();
            let host = stage.host();

            let change = ok(set(&host, more, Some(NEW)));

            assert_eq!(change.secrets["password"].expose(), NEW);
            assert_eq!((stage.site().password.as_str(), changes(&host)), (NEW, vec![call.to_owned()]));
            assert_eq!(stage.world().admin_password, "root");
            assert_eq!(stage.world().sites[&11].password, "first");
        }
    }

    #[test]
    fn a_site_whose_administrator_is_not_known_gets_no_password() {
        let stage = Stage::with_site();
        stage.world().sites.get_mut(&12).unwrap().options.remove("siteinfo.admin_user");
        let host = stage.host();

        assert_eq!(fault(set(&host, json!({}), Some(NEW))).class, FaultClass::PanelBug);
        assert!(changes(&host).is_empty());
        assert_eq!(stage.world().admin_password, "root");
    }

    #[test]
    fn a_change_that_breaks_anywhere_sets_the_password_that_is_told() {
        for how in BREAKS {
            for chosen in [Some(NEW), None] {
                let stage = Stage::with_site();
                stage.breaks("auth_change_password", how);
                let host = stage.host();

                let change = ok(to_end(|| set(&host, json!({}), chosen)));

                assert_eq!(&stage.site().password, change.secrets["password"].expose(), "{how:?}");
            }
        }
    }

    #[test]
    fn an_old_panel_says_which_setting_helps() {
        let stage = Stage::with_site();
        stage.breaks("auth_change_password", Break::Fault { done: false, text: "user `auser' does not exist" });

        let refused = fault(set(&stage.host(), json!({}), Some(NEW)));

        assert_eq!((refused.class, refused.refused), (FaultClass::Unsupported, true));
        assert!(refused.staff.contains("password_by"), "{refused}");
    }

    #[test]
    fn a_machines_password_is_not_the_panels_to_set() {
        let host = Stage::with_site().host();
        let request = ChangePassword {
            service: stage::service(),
            product: stage::product(json!({})),
            password: None,
            target: Some(PasswordTarget::Root),
        };
        let refused = fault(host.run(async |cx| stage::provider().change_password(cx, request).await));
        assert_eq!(refused.class, FaultClass::Unsupported);
    }

    #[test]
    fn a_made_password_has_what_panels_ask_for() {
        for _ in 0..200 {
            let made = made().unwrap();
            let text = made.expose();
            assert_eq!(text.len(), LENGTH);
            assert!(text.starts_with(|char: char| char.is_ascii_alphabetic()), "{text}");
            assert!(text.bytes().any(|byte| byte.is_ascii_digit()), "{text}");
        }
        assert_ne!(made().unwrap(), made().unwrap());
    }
}
