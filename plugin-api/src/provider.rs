use crate::cx::Cx;
use crate::fault::Fault;
use crate::hook::{
    Account, ActionCall, ActionResult, Change, Create, Ended, Renew, Status, StatusReport, Suspend, Terminate,
    TestReport, Unsuspend,
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

    /// Reads what the panel shows. Reads only.
    fn status(
        &self,
        cx: &Cx,
        request: Status<Self::Product>,
    ) -> impl Future<Output = Result<StatusReport, Fault>> + Send {
        let _ = (cx, request);
        async { Err(Fault::unsupported("status")) }
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
