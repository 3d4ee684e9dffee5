//! Billhook's provider for VirtFusion panels, by their Global API (V6 and V7).
//!
//! Settings, then the panel's words (`api`, `fault`, `server`, `owner`), then the hooks.

#![forbid(unsafe_code)]

mod settings;

mod api; // the panel's words from here
mod fault;
mod owner;
mod server;

mod panel; // hooks from here

mod access;
mod actions;
mod addons;
mod catalog;
mod create;
mod lifecycle;
mod member;
mod package;
mod password;
mod power;
mod reinstall;
mod room;
mod status;
mod usage;

#[cfg(test)]
mod stage;

use billhook_plugin_api::{
    Account, ActionCall, ActionResult, Addon, Auth, Capacity, Change, ChangePackage, ChangePassword, Console,
    ConsoleAccess, Create, Cx, Ended, Facts, Fault, Hook, Listing, Login, LoginLink, OptionValue, OrderAddons,
    PasswordTarget, Power, PowerAction, Provider, Reinstall, Renew, Service, Status, StatusReport, Suspend, Terminate,
    TestReport, Unsuspend, Usage, UsageReport, export_provider,
};
use lifecycle::Switch;
use panel::{Doing, Owned};
use settings::{Product, Server, UserRelation};

/// The provider for one panel.
pub struct VirtFusion {
    user_relation: UserRelation,
    relation_prefix: Option<String>,
    panel_url: Option<String>,
}

impl Provider for VirtFusion {
    const FACTS: Facts = Facts {
        convergent: &[Hook::Suspend, Hook::Unsuspend, Hook::Renew, Hook::Power],
        actions: actions::ACTIONS,
        options: catalog::FIELDS,
        schemas: Some(settings::SCHEMAS),
        auth: Auth::Bearer { setting: "token" },
        reply_secrets: api::REPLY_SECRETS,
        ..Facts::new(
            "virtfusion",
            "VirtFusion",
            // The panel can do something for every hook that there is.
            &Hook::ALL,
        )
    };
    type Server = Server;
    type Product = Product;

    fn open(server: Server) -> Result<Self, Fault> {
        server.check()?;
        let Server { user_relation, relation_prefix, panel_url, .. } = server;
        Ok(Self { user_relation, relation_prefix, panel_url })
    }

    async fn create(&self, cx: &Cx, request: Create<Product>) -> Result<Account, Fault> {
        create::run(self, cx, request).await
    }

    async fn suspend(&self, cx: &Cx, request: Suspend<Product>) -> Result<Change, Fault> {
        self.change(cx, request.service, request.product, Ask::Switch(Switch::Off)).await
    }

    async fn unsuspend(&self, cx: &Cx, request: Unsuspend<Product>) -> Result<Change, Fault> {
        self.change(cx, request.service, request.product, Ask::Switch(Switch::On)).await
    }

    async fn terminate(&self, cx: &Cx, request: Terminate<Product>) -> Result<Ended, Fault> {
        lifecycle::terminate(self, cx, request).await
    }

    async fn renew(&self, cx: &Cx, request: Renew<Product>) -> Result<Change, Fault> {
        self.change(cx, request.service, request.product, Ask::Renew).await
    }

    async fn change_package(&self, cx: &Cx, request: ChangePackage<Product>) -> Result<Change, Fault> {
        self.change(cx, request.service, request.product, Ask::Package).await
    }

    async fn order_addons(&self, cx: &Cx, request: OrderAddons<Product>) -> Result<Change, Fault> {
        self.change(cx, request.service, request.product, Ask::Addons(request.addons)).await
    }

    async fn change_password(&self, cx: &Cx, request: ChangePassword<Product>) -> Result<Change, Fault> {
        let ask = Ask::Password { target: request.target, is_chosen: request.password.is_some() };
        self.change(cx, request.service, request.product, ask).await
    }

    async fn power(&self, cx: &Cx, request: Power<Product>) -> Result<Change, Fault> {
        self.change(cx, request.service, request.product, Ask::Power(request.action)).await
    }

    async fn reinstall(&self, cx: &Cx, request: Reinstall<Product>) -> Result<Change, Fault> {
        let ask = Ask::Reinstall { is_chosen: request.password.is_some() };
        self.change(cx, request.service, request.product, ask).await
    }

    async fn console(&self, cx: &Cx, request: Console<Product>) -> Result<ConsoleAccess, Fault> {
        access::console(cx, Owned::new(self, &request.service, &request.product)?).await
    }

    async fn login(&self, cx: &Cx, request: Login<Product>) -> Result<LoginLink, Fault> {
        access::login(cx, Owned::new(self, &request.service, &request.product)?).await
    }

    async fn status(&self, cx: &Cx, request: Status<Product>) -> Result<StatusReport, Fault> {
        status::status(cx, Owned::new(self, &request.service, &request.product)?).await
    }

    async fn usage(&self, cx: &Cx, request: Usage<Product>) -> Result<UsageReport, Fault> {
        usage::run(cx, Owned::new(self, &request.service, &request.product)?).await
    }

    async fn list(&self, cx: &Cx) -> Result<Listing, Fault> {
        catalog::list(cx).await
    }

    async fn options(&self, cx: &Cx, field: &str) -> Result<Vec<OptionValue>, Fault> {
        catalog::options(cx, field).await
    }

    async fn capacity(&self, cx: &Cx, product: Product) -> Result<Capacity, Fault> {
        room::run(cx, &product).await
    }

    async fn test(&self, cx: &Cx) -> Result<TestReport, Fault> {
        status::test(self, cx).await
    }

    async fn action(&self, cx: &Cx, request: ActionCall<Product>) -> Result<ActionResult, Fault> {
        match (&request.service, &request.product) {
            (Some(service), Some(product)) => {
                actions::run(cx, Owned::new(self, service, product)?, &request.name, &request.params).await
            }
            _ => Err(Fault::invalid_input(format!("{} needs a service", request.name))),
        }
    }
}

/// What a hook asks to be changed about a service's server.
enum Ask {
    Switch(Switch),
    Renew,
    Package,
    Addons(Vec<Addon>),
    Password { target: Option<PasswordTarget>, is_chosen: bool },
    Power(PowerAction),
    Reinstall { is_chosen: bool },
}

impl VirtFusion {
    /// The hooks that end in a [`Change`], in one place: whatever each of them held by itself would be there as often as
    /// there are hooks.
    fn change<'f>(&'f self, cx: &'f Cx, service: Service, product: Product, ask: Ask) -> Doing<'f, Change> {
        Box::pin(async move {
            let owned = Owned::new(self, &service, &product)?;
            match ask {
                Ask::Switch(to) => lifecycle::switch(cx, owned, to).await,
                Ask::Renew => lifecycle::renew(cx, owned).await,
                Ask::Package => package::run(cx, owned).await,
                Ask::Addons(addons) => addons::run(cx, owned, &addons).await,
                Ask::Password { target, is_chosen } => password::run(cx, owned, target, is_chosen).await,
                Ask::Power(action) => power::run(cx, owned, action).await,
                Ask::Reinstall { is_chosen } => reinstall::run(cx, owned, is_chosen).await,
            }
        })
    }
}

export_provider!(VirtFusion);
