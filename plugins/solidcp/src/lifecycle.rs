//! `suspend`, `unsuspend` and `renew`: the space's status, which the machine follows in the background.

use crate::api::packages::{self, ACTIVE, CANCELLED, SUSPENDED};
use crate::panel::Owned;
use billhook_plugin_api::{Change, Cx, Fault, FaultClass, Texts};

/// Sets the space's status, if a read says that it is not so already.
///
/// The same status again would do nothing for the machine either, and is not sent.
pub async fn switch(cx: &Cx, owned: Owned<'_>, to: i64) -> Result<Change, Fault> {
    let is_already = cx
        .converge(|send| async move {
            let package = owned.read(cx).await?;
            if package.status == to {
                return Ok(true);
            }
            if package.status == CANCELLED {
                return Err(Fault::invalid_input(format!(
                    "the hosting space {} is cancelled on the panel: a person there must decide what becomes of it",
                    owned.id
                )));
            }
            packages::set_status_reply(&send.call(packages::set_status(owned.id, to)?).await?)?;
            // The panel answers 0 also where it refused inside.
            if owned.read(cx).await?.status == to {
                return Ok(false);
            }
            Err(Fault::new(
                FaultClass::Permission,
                format!(
                    "the panel accepted the new status of the hosting space {} and did not set it: look at the rights of \
                     the API login",
                    owned.id
                ),
            ))
        })
        .await?;
    Ok(if is_already { Change::noop() } else { Change::done() })
}

/// The panel knows no paid period, so that there is nothing to carry to it; but the space must still be there, and ours.
pub async fn renew(cx: &Cx, owned: Owned<'_>) -> Result<Change, Fault> {
    if owned.product.unsuspend_on_renew {
        return switch(cx, owned, ACTIVE).await;
    }
    let package = owned.read(cx).await?;
    let staff = (package.status == SUSPENDED).then(|| "the hosting space is suspended on the panel".to_owned());
    Ok(Change { message: Texts { staff, customer: None }, ..Change::noop() })
}
