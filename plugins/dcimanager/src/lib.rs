//! Billhook's provider for DCImanager 5, which sells physical machines that are there already.
//!
//! Settings, then the panel's words (`xml` to `user`), then the hooks.

#![forbid(unsafe_code)]

mod random;
mod settings;

mod answer; // the panel's words from here
mod form;
mod machine;
mod mark;
mod user;
mod xml;

mod panel; // hooks from here
mod standing;

mod access;
mod account;
mod actions;
mod address;
mod create;
mod install;
mod power;
mod readings;
mod reinstall;
mod release;
mod stock;
mod switch;

#[cfg(test)]
mod stage;

use billhook_plugin_api::{
    Account, ActionCall, ActionResult, Capacity, Change, ChangePackage, ChangePassword, Console, ConsoleAccess, Create,
    Cx, Ended, Facts, Fault, Hook, Listing, Login, LoginLink, OptionValue, PasswordTarget, Power, PowerAction,
    Provider, Reinstall, Renew, Secret, Service, Status, StatusReport, Suspend, Terminate, TestReport, Unsuspend,
    Usage, UsageReport, export_provider,
};
use panel::{Doing, Owned, Panel};
use settings::{Product, Server};
use switch::Switch;

/// The provider for one panel.
pub struct DciManager {
    panel: Panel,
}

impl Provider for DciManager {
    const FACTS: Facts = Facts {
        convergent: &[Hook::Suspend, Hook::Unsuspend, Hook::Power],
        actions: actions::ACTIONS,
        options: readings::OPTIONS,
        schemas: Some(settings::SCHEMAS),
        reply_secrets: form::REPLY_SECRETS,
        ..Facts::new(
            "dcimanager",
            "DCImanager 5",
            &[
                Hook::Create,
                Hook::Suspend,
                Hook::Unsuspend,
                Hook::Terminate,
                Hook::Renew,
                Hook::ChangePackage,
                Hook::ChangePassword,
                Hook::Power,
                Hook::Reinstall,
                Hook::Console,
                Hook::Login,
                Hook::Status,
                Hook::Usage,
                Hook::List,
                Hook::Test,
                Hook::Options,
                Hook::Capacity,
                Hook::Action,
            ],
        )
    };
    type Server = Server;
    type Product = Product;

    fn open(server: Server) -> Result<Self, Fault> {
        server.check()?;
        Ok(Self { panel: Panel::new(server) })
    }

    async fn create(&self, cx: &Cx, request: Create<Product>) -> Result<Account, Fault> {
        create::run(&self.panel, cx, request).await
    }

    async fn suspend(&self, cx: &Cx, request: Suspend<Product>) -> Result<Change, Fault> {
        self.change(cx, request.service, request.product, Ask::Switch(Switch::Off)).await
    }

    async fn unsuspend(&self, cx: &Cx, request: Unsuspend<Product>) -> Result<Change, Fault> {
        self.change(cx, request.service, request.product, Ask::Switch(Switch::On)).await
    }

    async fn terminate(&self, cx: &Cx, request: Terminate<Product>) -> Result<Ended, Fault> {
        release::run(&self.panel, cx, request).await
    }

    async fn renew(&self, cx: &Cx, request: Renew<Product>) -> Result<Change, Fault> {
        self.change(cx, request.service, request.product, Ask::Renew).await
    }

    async fn change_package(&self, cx: &Cx, request: ChangePackage<Product>) -> Result<Change, Fault> {
        self.change(cx, request.service, request.product, Ask::Package).await
    }

    async fn change_password(&self, cx: &Cx, request: ChangePassword<Product>) -> Result<Change, Fault> {
        let ask = Ask::Password(request.target, request.password);
        self.change(cx, request.service, request.product, ask).await
    }

    async fn power(&self, cx: &Cx, request: Power<Product>) -> Result<Change, Fault> {
        self.change(cx, request.service, request.product, Ask::Power(request.action)).await
    }

    async fn reinstall(&self, cx: &Cx, request: Reinstall<Product>) -> Result<Change, Fault> {
        self.change(cx, request.service, request.product, Ask::Reinstall(request.password)).await
    }

    async fn console(&self, cx: &Cx, request: Console<Product>) -> Result<ConsoleAccess, Fault> {
        access::console(cx, self.owned(&request.service, &request.product)).await
    }

    async fn login(&self, cx: &Cx, request: Login<Product>) -> Result<LoginLink, Fault> {
        access::login(cx, self.owned(&request.service, &request.product)).await
    }

    async fn status(&self, cx: &Cx, request: Status<Product>) -> Result<StatusReport, Fault> {
        readings::status(cx, self.owned(&request.service, &request.product)).await
    }

    async fn usage(&self, cx: &Cx, request: Usage<Product>) -> Result<UsageReport, Fault> {
        readings::usage(cx, self.owned(&request.service, &request.product)).await
    }

    async fn list(&self, cx: &Cx) -> Result<Listing, Fault> {
        readings::list(&self.panel, cx).await
    }

    async fn options(&self, cx: &Cx, field: &str) -> Result<Vec<OptionValue>, Fault> {
        readings::options(&self.panel, cx, field).await
    }

    async fn capacity(&self, cx: &Cx, product: Product) -> Result<Capacity, Fault> {
        stock::capacity(&self.panel, cx, &product).await
    }

    async fn test(&self, cx: &Cx) -> Result<TestReport, Fault> {
        readings::test(&self.panel, cx).await
    }

    async fn action(&self, cx: &Cx, request: ActionCall<Product>) -> Result<ActionResult, Fault> {
        if request.name == "admin_login" {
            return actions::admin_login(&self.panel, cx).await;
        }
        match (&request.service, &request.product) {
            (Some(service), Some(product)) => actions::run(cx, self.owned(service, product), &request.name).await,
            _ => Err(Fault::invalid_input(format!("{} needs a service", request.name))),
        }
    }
}

/// What a hook asks to be changed about a service's machine.
enum Ask {
    Switch(Switch),
    Renew,
    Package,
    Password(Option<PasswordTarget>, Option<Secret<String>>),
    Power(PowerAction),
    Reinstall(Option<Secret<String>>),
}

impl DciManager {
    fn owned<'a>(&'a self, service: &'a Service, product: &'a Product) -> Owned<'a> {
        Owned { panel: &self.panel, service, product }
    }

    /// The hooks that end in a [`Change`], in one place: whatever each of them held by itself would be there as often as
    /// there are hooks.
    fn change<'f>(&'f self, cx: &'f Cx, service: Service, product: Product, ask: Ask) -> Doing<'f, Change> {
        Box::pin(async move {
            let owned = self.owned(&service, &product);
            match ask {
                Ask::Switch(to) => switch::run(cx, owned, to).await,
                Ask::Renew => account::renew(cx, owned).await,
                Ask::Package => account::package(cx, owned).await,
                Ask::Password(target, password) => account::password(cx, owned, target, password).await,
                Ask::Power(action) => power::run(cx, owned, action).await,
                Ask::Reinstall(password) => reinstall::run(cx, owned, password).await,
            }
        })
    }
}

export_provider!(DciManager);
