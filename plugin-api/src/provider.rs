use crate::cx::Cx;
use crate::fault::Fault;
use crate::hook::{
    Account, ActionCall, ActionResult, Capacity, Change, ChangePackage, ChangePassword, Console, ConsoleAccess, Create,
    Ended, Listing, Login, LoginLink, OptionValue, OrderAddons, Power, Reinstall, Renew, Status, StatusReport, Suspend,
    Terminate, TestReport, Unsuspend, Usage, UsageReport,
};
use crate::manifest::Facts;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;

/// What a plugin implements: one kind of panel.
///
/// A hook's function may run several times for one event: after a crash, a wait or a retry it starts from its top, and
/// the steps that are done return what they returned before. So everything that changes the panel happens inside a step
/// or [`Cx::converge`], and what lies between depends on nothing but the request, step results and reads.
///
/// Every hook has a default that answers `unsupported`; name those that you write in [`Facts::hooks`], since the host
/// asks for no others.
pub trait Provider: Sized + Send + Sync + 'static {
    /// What the host knows before it calls anything.
    const FACTS: Facts;

    /// A server's settings, from the host's configuration. Its JSON Schema is part of the manifest; secrets are
    /// [`Secret`](crate::Secret) members.
    type Server: DeserializeOwned + JsonSchema + Send;

    /// A product's settings.
    type Product: DeserializeOwned + JsonSchema + Send + Sync;

    /// Makes the provider for one server. Called once for each configured server, and again after a reload.
    ///
    /// # Errors
    ///
    /// A setting that the schema cannot refuse, as `invalid_input`. Do no work here: there is no [`Cx`].
    fn open(server: Self::Server) -> Result<Self, Fault>;

    /// Makes what the customer bought, at most once.
    fn create(&self, cx: &Cx, request: Create<Self::Product>) -> impl Future<Output = Result<Account, Fault>> + Send {
        let _ = (cx, request);
        async { Err(Fault::unsupported("create")) }
    }

    /// Stops it. The already suspended is [`Change::noop`].
    fn suspend(&self, cx: &Cx, request: Suspend<Self::Product>) -> impl Future<Output = Result<Change, Fault>> + Send {
        let _ = (cx, request);
        async { Err(Fault::unsupported("suspend")) }
    }

    /// Starts it again.
    fn unsuspend(
        &self,
        cx: &Cx,
        request: Unsuspend<Self::Product>,
    ) -> impl Future<Output = Result<Change, Fault>> + Send {
        let _ = (cx, request);
        async { Err(Fault::unsupported("unsuspend")) }
    }

    /// Ends it. The already gone is [`Ended::Gone`], provided that the panel said so in words.
    fn terminate(
        &self,
        cx: &Cx,
        request: Terminate<Self::Product>,
    ) -> impl Future<Output = Result<Ended, Fault>> + Send {
        let _ = (cx, request);
        async { Err(Fault::unsupported("terminate")) }
    }

    /// Carries the next paid period to the panel.
    fn renew(&self, cx: &Cx, request: Renew<Self::Product>) -> impl Future<Output = Result<Change, Fault>> + Send {
        let _ = (cx, request);
        async { Err(Fault::unsupported("renew")) }
    }

    /// Makes it what another product promises, keeping what is on it.
    fn change_package(
        &self,
        cx: &Cx,
        request: ChangePackage<Self::Product>,
    ) -> impl Future<Output = Result<Change, Fault>> + Send {
        let _ = (cx, request);
        async { Err(Fault::unsupported("change_package")) }
    }

    /// Sets a new password. New credentials go into [`Change::secrets`].
    fn change_password(
        &self,
        cx: &Cx,
        request: ChangePassword<Self::Product>,
    ) -> impl Future<Output = Result<Change, Fault>> + Send {
        let _ = (cx, request);
        async { Err(Fault::unsupported("change_password")) }
    }

    /// Adds what was bought on top, at most once.
    fn order_addons(
        &self,
        cx: &Cx,
        request: OrderAddons<Self::Product>,
    ) -> impl Future<Output = Result<Change, Fault>> + Send {
        let _ = (cx, request);
        async { Err(Fault::unsupported("order_addons")) }
    }

    /// Starts, stops, shuts down, reboots or resets a machine.
    ///
    /// Where [`Facts::convergent`] names this hook, [`Cx::converge`] may be used for actions that are
    /// [convergent](crate::PowerAction::is_convergent); a reboot and a reset need a step.
    fn power(&self, cx: &Cx, request: Power<Self::Product>) -> impl Future<Output = Result<Change, Fault>> + Send {
        let _ = (cx, request);
        async { Err(Fault::unsupported("power")) }
    }

    /// Installs it anew, at most once; what is on it is lost. New credentials go into [`Change::secrets`].
    fn reinstall(
        &self,
        cx: &Cx,
        request: Reinstall<Self::Product>,
    ) -> impl Future<Output = Result<Change, Fault>> + Send {
        let _ = (cx, request);
        async { Err(Fault::unsupported("reinstall")) }
    }

    /// Asks for a way to the machine's screen. Reads only; a panel that makes a session for it is asked with
    /// [`Cx::sign_in`].
    fn console(
        &self,
        cx: &Cx,
        request: Console<Self::Product>,
    ) -> impl Future<Output = Result<ConsoleAccess, Fault>> + Send {
        let _ = (cx, request);
        async { Err(Fault::unsupported("console")) }
    }

    /// Asks for a link that signs the customer in to the panel. Reads only, as [`console`](Self::console).
    fn login(&self, cx: &Cx, request: Login<Self::Product>) -> impl Future<Output = Result<LoginLink, Fault>> + Send {
        let _ = (cx, request);
        async { Err(Fault::unsupported("login")) }
    }

    /// Reads what the panel shows. Reads only.
    fn status(
        &self,
        cx: &Cx,
        request: Status<Self::Product>,
    ) -> impl Future<Output = Result<StatusReport, Fault>> + Send {
        let _ = (cx, request);
        async { Err(Fault::unsupported("status")) }
    }

    /// Reads how much of its limits the service uses. Reads only.
    fn usage(&self, cx: &Cx, request: Usage<Self::Product>) -> impl Future<Output = Result<UsageReport, Fault>> + Send {
        let _ = (cx, request);
        async { Err(Fault::unsupported("usage")) }
    }

    /// Reads what the server has, of whomever. Reads only.
    fn list(&self, cx: &Cx) -> impl Future<Output = Result<Listing, Fault>> + Send {
        let _ = cx;
        async { Err(Fault::unsupported("list")) }
    }

    /// Reads which values a product setting of [`Facts::options`] may take on this server. Reads only.
    fn options(&self, cx: &Cx, field: &str) -> impl Future<Output = Result<Vec<OptionValue>, Fault>> + Send {
        let _ = (cx, field);
        async { Err(Fault::unsupported("options")) }
    }

    /// Reads how many more of this product the server has room for. Reads only.
    ///
    /// Asked before a create on a server that was chosen out of a group, so it should take few calls. It is about the panel
    /// as a whole, not about one customer. What the panel does not tell is [`Capacity::unknown`]; the create that follows
    /// may still end as `capacity`.
    fn capacity(&self, cx: &Cx, product: Self::Product) -> impl Future<Output = Result<Capacity, Fault>> + Send {
        let _ = (cx, product);
        async { Err(Fault::unsupported("capacity")) }
    }

    /// Tries address, credentials and rights. Reads only.
    fn test(&self, cx: &Cx) -> impl Future<Output = Result<TestReport, Fault>> + Send {
        let _ = cx;
        async { Err(Fault::unsupported("test")) }
    }

    /// Runs an action of [`Facts::actions`].
    fn action(
        &self,
        cx: &Cx,
        request: ActionCall<Self::Product>,
    ) -> impl Future<Output = Result<ActionResult, Fault>> + Send {
        let _ = (cx, request);
        async { Err(Fault::unsupported("this action")) }
    }
}
