//! `change_password`: of the machine's administrator, or of the panel user.

use crate::api::{machines, users};
use crate::panel::{Owned, USER_ID};
use crate::secrets;
use billhook_plugin_api::{Change, Cx, Fault, FaultClass, PasswordTarget, Secret, Texts};

/// Sets the chosen password, or one that is made here. Setting the same again does no harm.
pub async fn run(
    cx: &Cx,
    owned: Owned<'_>,
    target: Option<PasswordTarget>,
    chosen: Option<&Secret<String>>,
) -> Result<Change, Fault> {
    if let Some(chosen) = chosen {
        secrets::check(chosen)?;
    }
    let new: Secret<String> = cx
        .step("password")
        .sealed()
        .record(|| async move { chosen.cloned().map_or_else(secrets::password, Ok) })
        .await?;
    cx.secret(new.expose()).await?;
    let password = new.expose().as_str();
    let mut change = Change::done();
    let name = match target.unwrap_or(PasswordTarget::Root) {
        PasswordTarget::Root => {
            change.message = Texts {
                staff: Some("handed to the system on the machine, which sets it if its guest tools run".to_owned()),
                customer: None,
            };
            cx.step("set")
                .ensure(move |send| async move {
                    owned.active(cx).await?;
                    let item = owned.item_id(cx).await?;
                    machines::set_password_reply(&send.call(machines::set_password(item, password)?).await?)
                })
                .await?;
            "root_password"
        }
        PasswordTarget::Account => {
            cx.step("set")
                .ensure(move |send| async move {
                    let user = owned.read(cx).await?.user;
                    users::set_password_reply(&send.call(users::set_password(user, password)?).await?).map(|_| ())
                })
                .await?;
            verify(cx, owned, password).await?;
            "panel_password"
        }
    };
    change.secrets.insert(name.to_owned(), new);
    Ok(change)
}

/// The panel says 0 also where it did nothing for want of rights: so the password is tried, once.
async fn verify(cx: &Cx, owned: Owned<'_>, password: &str) -> Result<(), Fault> {
    let id = owned.noted(USER_ID).unwrap_or(owned.read(cx).await?.user);
    let Some(user) = users::by_id_reply(&cx.http(users::by_id(id)?).await?)? else {
        return Err(Fault::not_found(format!("the panel does not show user {id}")));
    };
    if users::authenticate_reply(&cx.http(users::authenticate(&user.username, password)?).await?)? {
        return Ok(());
    }
    Err(Fault::new(
        FaultClass::Permission,
        format!(
            "the panel said that it set the password of {}, and does not accept it: look at the rights of the API login",
            user.username
        ),
    ))
}
