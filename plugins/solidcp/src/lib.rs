//! Billhook's provider for SolidCP 1.4.9 to 1.5.2: Hyper-V machines by the SOAP services of the Enterprise Server.
//!
//! Settings and names, then the panel's words (`codes`, `wire`, `api`), then the hooks.

#![forbid(unsafe_code)]

mod names;
mod secrets;
mod settings;

mod api; // the panel's words from here
mod codes;
mod wire;

mod panel; // hooks from here
mod place;

mod create;
mod end;
mod lifecycle;
mod package;
mod password;
mod power;
mod probe;
mod reinstall;
mod view;

#[cfg(test)]
mod samples;
#[cfg(test)]
mod stage;

use api::packages::{ACTIVE, SUSPENDED};
use billhook_plugin_api::{
    Account, Addon, Auth, Change, ChangePackage, ChangePassword, Console, ConsoleAccess, Create, Cx, Ended, Facts,
    Fault, Hook, Listing, Login, LoginLink, OptionValue, OrderAddons, PasswordTarget, Power, PowerAction, Provider,
    Reinstall, Renew, Secret, Service, Status, StatusReport, Suspend, Terminate, TestReport, Unsuspend, Usage,
    UsageReport, export_provider,
};
use names::Naming;
use panel::{Doing, Owned};
use settings::{Product, Server, Version};

/// The provider for one Enterprise Server.
pub struct SolidCp {
    login: String,
    version: Version,
    portal_url: Option<String>,
    naming: Naming,
}

impl Provider for SolidCp {
    const FACTS: Facts = Facts {
        convergent: &[Hook::Suspend, Hook::Unsuspend, Hook::Renew, Hook::Power],
        options: view::FIELDS,
        schemas: Some(settings::SCHEMAS),
        auth: Auth::Basic { user: "login", password: "password" },
        // The panel's own pages wait for a quarter of an hour.
        longest_run_s: 900,
        reply_secrets: api::REPLY_SECRETS,
        ..Facts::new("solidcp", "SolidCP", HOOKS)
    };
    type Server = Server;
    type Product = Product;

    fn open(server: Server) -> Result<Self, Fault> {
        server.check()?;
        let naming = Naming::of(&server);
        let Server { login, version, portal_url, .. } = server;
        let portal_url = portal_url.map(|url| url.trim_end_matches('/').to_owned());
        Ok(Self { login, version, portal_url, naming })
    }

    async fn create(&self, cx: &Cx, request: Create<Product>) -> Result<Account, Fault> {
        create::run(self, cx, request).await
    }

    async fn suspend(&self, cx: &Cx, request: Suspend<Product>) -> Result<Change, Fault> {
        self.change(cx, request.service, request.product, Ask::Switch(SUSPENDED)).await
    }

    async fn unsuspend(&self, cx: &Cx, request: Unsuspend<Product>) -> Result<Change, Fault> {
        self.change(cx, request.service, request.product, Ask::Switch(ACTIVE)).await
    }

    async fn terminate(&self, cx: &Cx, request: Terminate<Product>) -> Result<Ended, Fault> {
        end::terminate(self, cx, request).await
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
        let ask = Ask::Password { target: request.target, chosen: request.password };
        self.change(cx, request.service, request.product, ask).await
    }

    async fn power(&self, cx: &Cx, request: Power<Product>) -> Result<Change, Fault> {
        self.change(cx, request.service, request.product, Ask::Power(request.action)).await
    }

    async fn reinstall(&self, cx: &Cx, request: Reinstall<Product>) -> Result<Change, Fault> {
        let ask = Ask::Reinstall { chosen: request.password };
        self.change(cx, request.service, request.product, ask).await
    }

    async fn console(&self, cx: &Cx, request: Console<Product>) -> Result<ConsoleAccess, Fault> {
        view::console(cx, Owned::new(self, &request.service, &request.product)?).await
    }

    async fn login(&self, cx: &Cx, request: Login<Product>) -> Result<LoginLink, Fault> {
        view::login(cx, Owned::new(self, &request.service, &request.product)?).await
    }

    async fn status(&self, cx: &Cx, request: Status<Product>) -> Result<StatusReport, Fault> {
        view::status(cx, Owned::new(self, &request.service, &request.product)?).await
    }

    async fn usage(&self, cx: &Cx, request: Usage<Product>) -> Result<UsageReport, Fault> {
        view::usage(cx, Owned::new(self, &request.service, &request.product)?).await
    }

    async fn list(&self, cx: &Cx) -> Result<Listing, Fault> {
        view::list(cx, self).await
    }

    async fn options(&self, cx: &Cx, field: &str) -> Result<Vec<OptionValue>, Fault> {
        view::options(cx, self, field).await
    }

    async fn test(&self, cx: &Cx) -> Result<TestReport, Fault> {
        probe::test(cx, self).await
    }
}

/// All but the provider's own actions, of which it has none.
const HOOKS: &[Hook] = &[
    Hook::Create,
    Hook::Suspend,
    Hook::Unsuspend,
    Hook::Terminate,
    Hook::Renew,
    Hook::ChangePackage,
    Hook::ChangePassword,
    Hook::OrderAddons,
    Hook::Power,
    Hook::Reinstall,
    Hook::Console,
    Hook::Login,
    Hook::Status,
    Hook::Usage,
    Hook::List,
    Hook::Test,
    Hook::Options,
];

/// What a hook asks to be changed about a service's space.
enum Ask {
    Switch(i64),
    Renew,
    Package,
    Addons(Vec<Addon>),
    Password { target: Option<PasswordTarget>, chosen: Option<Secret<String>> },
    Power(PowerAction),
    Reinstall { chosen: Option<Secret<String>> },
}

impl SolidCp {
    /// The hooks that end in a [`Change`], in one place: whatever each of them held by itself would be there as often as
    /// there are hooks.
    fn change<'f>(&'f self, cx: &'f Cx, service: Service, product: Product, ask: Ask) -> Doing<'f, Change> {
        Box::pin(async move {
            let owned = Owned::new(self, &service, &product)?;
            match ask {
                Ask::Switch(to) => lifecycle::switch(cx, owned, to).await,
                Ask::Renew => lifecycle::renew(cx, owned).await,
                Ask::Package => package::run(cx, owned).await,
                Ask::Addons(addons) => package::order_addons(cx, owned, &addons).await,
                Ask::Password { target, chosen } => password::run(cx, owned, target, chosen.as_ref()).await,
                Ask::Power(action) => power::run(cx, owned, action).await,
                Ask::Reinstall { chosen } => reinstall::run(cx, owned, chosen.as_ref()).await,
            }
        })
    }
}

export_provider!(SolidCp);
