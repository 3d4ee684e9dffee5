//! Billhook's provider for ApisCP, by its SOAP interface.
//!
//! Settings and names, then the panel's words (`api` to `wsdl`), then the hooks.

#![forbid(unsafe_code)]

mod names;
mod settings;

mod api; // the panel's words from here
mod call;
mod fault;
mod site;
mod wsdl;

mod panel; // hooks from here

mod access;
mod actions;
mod create;
mod group;
mod lifecycle;
mod package;
mod password;
mod status;

#[cfg(test)]
mod stage;

use billhook_plugin_api::{
    Account, ActionCall, ActionResult, Change, ChangePackage, ChangePassword, Create, Cx, Ended, Facts, Fault, Hook,
    Listing, Login, LoginLink, OptionValue, PasswordTarget, Provider, Renew, Secret, Service, Status, StatusReport,
    Suspend, Terminate, TestReport, Unsuspend, Usage, UsageReport, export_provider,
};
use call::Caller;
use lifecycle::Switch;
use panel::{Doing, Owned};
use settings::{PasswordBy, Product, Server};

/// The provider for one panel.
pub struct ApisCp {
    caller: Caller,
    /// The key is sent in another form than it was entered in.
    is_key_rewritten: bool,
    panel_url: Option<String>,
    invoice_prefix: String,
    password_by: PasswordBy,
}

impl Provider for ApisCp {
    const FACTS: Facts = Facts {
        convergent: &[Hook::Suspend, Hook::Unsuspend, Hook::ChangePassword],
        actions: actions::ACTIONS,
        options: status::OPTIONS,
        schemas: Some(settings::SCHEMAS),
        // Making and deleting sites are tools of the command line, which run on when nobody waits for them.
        longest_run_s: 300,
        reply_secrets: api::REPLY_SECRETS,
        ..Facts::new(
            "apiscp",
            "ApisCP",
            &[
                Hook::Create,
                Hook::Suspend,
                Hook::Unsuspend,
                Hook::Terminate,
                Hook::Renew,
                Hook::ChangePackage,
                Hook::ChangePassword,
                Hook::Login,
                Hook::Status,
                Hook::Usage,
                Hook::List,
                Hook::Test,
                Hook::Options,
                Hook::Action,
            ],
        )
    };
    type Server = Server;
    type Product = Product;

    fn open(server: Server) -> Result<Self, Fault> {
        let key = server.checked_key()?;
        let is_key_rewritten = key != server.api_key;
        let Server { key_in, panel_url, invoice_prefix, password_by, .. } = server;
        Ok(Self { caller: Caller { key, key_in }, is_key_rewritten, panel_url, invoice_prefix, password_by })
    }

    async fn create(&self, cx: &Cx, request: Create<Product>) -> Result<Account, Fault> {
        self.begin(cx).await?;
        create::run(self, cx, request).await
    }

    async fn suspend(&self, cx: &Cx, request: Suspend<Product>) -> Result<Change, Fault> {
        self.change(cx, request.service, request.product, Ask::Suspend(request.reason)).await
    }

    async fn unsuspend(&self, cx: &Cx, request: Unsuspend<Product>) -> Result<Change, Fault> {
        self.change(cx, request.service, request.product, Ask::Unsuspend).await
    }

    async fn terminate(&self, cx: &Cx, request: Terminate<Product>) -> Result<Ended, Fault> {
        self.begin(cx).await?;
        lifecycle::terminate(self, cx, request).await
    }

    async fn renew(&self, cx: &Cx, request: Renew<Product>) -> Result<Change, Fault> {
        self.change(cx, request.service, request.product, Ask::Renew).await
    }

    async fn change_package(&self, cx: &Cx, request: ChangePackage<Product>) -> Result<Change, Fault> {
        self.change(cx, request.service, request.product, Ask::Package).await
    }

    async fn change_password(&self, cx: &Cx, request: ChangePassword<Product>) -> Result<Change, Fault> {
        let ask = Ask::Password(request.password, request.target);
        self.change(cx, request.service, request.product, ask).await
    }

    async fn login(&self, cx: &Cx, request: Login<Product>) -> Result<LoginLink, Fault> {
        self.begin(cx).await?;
        access::login(cx, Owned::new(self, &request.service, &request.product)?).await
    }

    async fn status(&self, cx: &Cx, request: Status<Product>) -> Result<StatusReport, Fault> {
        self.begin(cx).await?;
        status::status(cx, Owned::new(self, &request.service, &request.product)?).await
    }

    async fn usage(&self, cx: &Cx, request: Usage<Product>) -> Result<UsageReport, Fault> {
        self.begin(cx).await?;
        status::usage(cx, Owned::new(self, &request.service, &request.product)?).await
    }

    async fn list(&self, cx: &Cx) -> Result<Listing, Fault> {
        self.begin(cx).await?;
        status::list(self, cx).await
    }

    async fn options(&self, cx: &Cx, field: &str) -> Result<Vec<OptionValue>, Fault> {
        self.begin(cx).await?;
        status::options(self, cx, field).await
    }

    async fn test(&self, cx: &Cx) -> Result<TestReport, Fault> {
        self.begin(cx).await?;
        status::test(self, cx).await
    }

    async fn action(&self, cx: &Cx, request: ActionCall<Product>) -> Result<ActionResult, Fault> {
        self.begin(cx).await?;
        match (&request.service, &request.product) {
            (Some(service), Some(product)) => {
                actions::on_service(cx, Owned::new(self, service, product)?, &request.name, &request.params).await
            }
            _ => actions::on_server(self, cx, &request.name, &request.params).await,
        }
    }
}

/// What a hook asks to be changed about a service's site.
enum Ask {
    Suspend(Option<String>),
    Unsuspend,
    Renew,
    Package,
    Password(Option<Secret<String>>, Option<PasswordTarget>),
}

impl ApisCp {
    /// Makes the key known in the form in which it is sent; the host knows it as it was entered.
    async fn begin(&self, cx: &Cx) -> Result<(), Fault> {
        if self.is_key_rewritten {
            cx.secret(self.caller.key.expose()).await?;
        }
        Ok(())
    }

    /// The hooks that end in a [`Change`], in one place: whatever each of them held by itself would be there as often as
    /// there are hooks.
    fn change<'f>(&'f self, cx: &'f Cx, service: Service, product: Product, ask: Ask) -> Doing<'f, Change> {
        Box::pin(async move {
            self.begin(cx).await?;
            let owned = Owned::new(self, &service, &product)?;
            match ask {
                Ask::Suspend(reason) => lifecycle::switch(cx, owned, Switch::Off(reason.as_deref())).await,
                Ask::Unsuspend => lifecycle::switch(cx, owned, Switch::On).await,
                Ask::Renew => lifecycle::renew(cx, owned).await,
                Ask::Package => package::run(cx, owned).await,
                Ask::Password(chosen, target) => password::run(cx, owned, chosen, target).await,
            }
        })
    }
}

export_provider!(ApisCp);
