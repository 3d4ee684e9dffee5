//! Billhook's provider for VirtFusion panels, by their Global API (V6 and V7).
//!
//! Settings, then the panel's words (`api`, `fault`, `server`, `owner`), then the hooks.

#![forbid(unsafe_code)]

mod settings;

mod api; // the panel's words from here
mod fault;
mod owner;
mod server;

mod create;
mod lifecycle;
mod panel; // hooks from here
mod status;

#[cfg(test)]
mod stage;

use billhook_plugin_api::{
    Account, Auth, Change, Create, Cx, Ended, Facts, Fault, Hook, Provider, Renew, Status, StatusReport, Suspend,
    Terminate, TestReport, Unsuspend, export_provider,
};
use settings::{Product, Server, UserRelation};

/// The provider for one panel.
pub struct VirtFusion {
    user_relation: UserRelation,
    relation_prefix: Option<String>,
    panel_url: Option<String>,
}

impl Provider for VirtFusion {
    const FACTS: Facts = Facts {
        convergent: &[Hook::Suspend, Hook::Unsuspend, Hook::Renew],
        auth: Auth::Bearer { setting: "token" },
        reply_secrets: api::REPLY_SECRETS,
        ..Facts::new(
            "virtfusion",
            "VirtFusion",
            &[Hook::Create, Hook::Suspend, Hook::Unsuspend, Hook::Terminate, Hook::Renew, Hook::Status, Hook::Test],
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
        lifecycle::suspend(self, cx, request).await
    }

    async fn unsuspend(&self, cx: &Cx, request: Unsuspend<Product>) -> Result<Change, Fault> {
        lifecycle::unsuspend(self, cx, request).await
    }

    async fn terminate(&self, cx: &Cx, request: Terminate<Product>) -> Result<Ended, Fault> {
        lifecycle::terminate(self, cx, request).await
    }

    async fn renew(&self, cx: &Cx, request: Renew<Product>) -> Result<Change, Fault> {
        lifecycle::renew(self, cx, request).await
    }

    async fn status(&self, cx: &Cx, request: Status<Product>) -> Result<StatusReport, Fault> {
        status::status(self, cx, request).await
    }

    async fn test(&self, cx: &Cx) -> Result<TestReport, Fault> {
        status::test(self, cx).await
    }
}

export_provider!(VirtFusion);
