//! Billhook's provider for panels of ROOTPANEL.NET, as Friendhosting's.
//!
//! Settings and values, then the panel's words (`tree` to `plan`), then the hooks.

#![forbid(unsafe_code)]

mod amount;
mod date;
mod settings;

mod codes; // the panel's words from here
mod command;
mod envelope;
mod order;
mod plan;
mod tree;

mod create; // hooks from here
mod lifecycle;
mod machine;
mod paid;
mod panel;
mod readings;
mod renew;

#[cfg(test)]
mod samples;
#[cfg(test)]
mod stage;

use billhook_plugin_api::{
    Account, Change, Console, ConsoleAccess, Create, Cx, Ended, Facts, Fault, Hook, Listing, OptionValue, OrderAddons,
    Power, Provider, Reinstall, Renew, Status, StatusReport, Suspend, Terminate, TestReport, Unsuspend,
    export_provider,
};
use command::Caller;
use settings::{Product, Server, TEST_LOGIN};

/// The provider for one login.
pub struct RootPanel {
    caller: Caller,
}

impl RootPanel {
    /// Whether this is the panel's account for trying, which keeps nothing.
    fn is_test(&self) -> bool {
        self.caller.login == TEST_LOGIN
    }
}

impl Provider for RootPanel {
    const FACTS: Facts = Facts {
        convergent: &[Hook::Suspend, Hook::Unsuspend, Hook::Terminate, Hook::Power],
        options: readings::OPTIONS,
        login_setting: Some("login"),
        reply_secrets: command::REPLY_SECRETS,
        ..Facts::new(
            "rootpanel",
            "ROOTPANEL.NET (Friendhosting)",
            &[
                Hook::Create,
                Hook::Suspend,
                Hook::Unsuspend,
                Hook::Terminate,
                Hook::Renew,
                Hook::OrderAddons,
                Hook::Power,
                Hook::Reinstall,
                Hook::Console,
                Hook::Status,
                Hook::List,
                Hook::Test,
                Hook::Options,
            ],
        )
    };
    type Server = Server;
    type Product = Product;

    fn open(server: Server) -> Result<Self, Fault> {
        let credential = server.credential()?;
        Ok(Self { caller: Caller { login: server.login, credential, format: server.format } })
    }

    async fn create(&self, cx: &Cx, request: Create<Product>) -> Result<Account, Fault> {
        create::run(self, cx, request).await
    }

    async fn suspend(&self, cx: &Cx, request: Suspend<Product>) -> Result<Change, Fault> {
        lifecycle::suspend(self, cx, request).await
    }

    async fn unsuspend(&self, cx: &Cx, request: Unsuspend<Product>) -> Result<Change, Fault> {
        lifecycle::unsuspend(self, cx, request).await
    }

    async fn terminate(&self, cx: &Cx, request: Terminate<Product>) -> Result<Ended, Fault> {
        lifecycle::terminate(self, cx, request).await
    }

    async fn renew(&self, cx: &Cx, request: Renew<Product>) -> Result<Change, Fault> {
        renew::renew(self, cx, request).await
    }

    async fn order_addons(&self, cx: &Cx, request: OrderAddons<Product>) -> Result<Change, Fault> {
        renew::order_addons(self, cx, request).await
    }

    async fn power(&self, cx: &Cx, request: Power<Product>) -> Result<Change, Fault> {
        machine::power(self, cx, request).await
    }

    async fn reinstall(&self, cx: &Cx, request: Reinstall<Product>) -> Result<Change, Fault> {
        machine::reinstall(self, cx, request).await
    }

    async fn console(&self, cx: &Cx, request: Console<Product>) -> Result<ConsoleAccess, Fault> {
        machine::console(self, cx, request).await
    }

    async fn status(&self, cx: &Cx, request: Status<Product>) -> Result<StatusReport, Fault> {
        readings::status(self, cx, request).await
    }

    async fn list(&self, cx: &Cx) -> Result<Listing, Fault> {
        readings::list(self, cx).await
    }

    async fn options(&self, cx: &Cx, field: &str) -> Result<Vec<OptionValue>, Fault> {
        readings::options(self, cx, field).await
    }

    async fn test(&self, cx: &Cx) -> Result<TestReport, Fault> {
        readings::test(self, cx).await
    }
}

export_provider!(RootPanel);
