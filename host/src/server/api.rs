//! The routes, and what every handler has.

use super::caller::Caller;
use super::refusal::{Refusal, internal};
use super::streams::Streams;
use super::{catalog, events, hooks, hosts, log, metrics, openapi, operations, services, tail};
use crate::engine::Engine;
use crate::problem::{Problem, ProblemType};
use axum::Router;
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use axum::routing::{MethodRouter, get, post};
use serde::de::DeserializeOwned;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What every handler has.
pub(super) struct Api {
    pub(super) engine: Arc<Engine>,
    /// Set once: waits end.
    pub(super) stopping: CancellationToken,
    /// Connections, and work that outlives its caller.
    pub(super) tasks: TaskTracker,
    /// Events that callers follow.
    pub(super) streams: Streams,
}

impl Api {
    pub(super) fn new(engine: Arc<Engine>) -> Self {
        Self { engine, stopping: CancellationToken::new(), tasks: TaskTracker::new(), streams: Streams::default() }
    }

    /// Carries `work` to its end even if the caller hangs up: a handler's future is dropped then, and a hook between its
    /// commit and its attempt must not be.
    pub(super) async fn detached<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Problem> {
        // Boxed: the runtime moves a task about when it begins and when it ends, and some of these are kilobytes.
        self.tasks.spawn(Box::pin(work)).await.map_err(|error| {
            tracing::error!(%error, "a request ended in a panic");
            internal()
        })
    }

    /// Now, Unix milliseconds.
    pub(super) fn now(&self) -> u64 {
        self.engine.env().clock.unix_ms()
    }
}

/// All paths. The caller is expected beside the request, see [`Caller`].
pub(super) fn router(api: Arc<Api>) -> Router {
    routes().router.fallback(no_path).method_not_allowed_fallback(no_method).with_state(api)
}

/// All paths with their handlers.
pub(super) fn routes() -> Routes {
    Routes::default()
        .route("/v1/hooks/{hook}", post(hooks::run))
        .route("/v1/operations", get(operations::list))
        .route("/v1/operations/{id}", get(operations::show))
        .route("/v1/operations/{id}/events", get(events::of_operation))
        .route("/v1/operations/{id}/acknowledge", post(operations::acknowledge))
        .route("/v1/operations/{id}/retry", post(operations::retry))
        .route("/v1/operations/{id}/cancel", post(operations::cancel))
        .route("/v1/operations/{id}/settle", post(operations::settle))
        .route("/v1/services", get(services::list))
        .route("/v1/services/{platform}/{id}", get(services::show))
        .route("/v1/services/{platform}/{id}/timeline", get(services::timeline))
        .route("/v1/log", get(log::list))
        .route("/v1/log/tail", get(tail::follow))
        .route("/v1/log/prune", post(log::prune))
        .route("/v1/log/{id}", get(log::show))
        .route("/v1/providers", get(catalog::providers))
        .route("/v1/servers", get(catalog::servers))
        .route("/v1/servers/{name}", get(catalog::server))
        .route("/v1/servers/{name}/options/{field}", get(catalog::options))
        .route("/v1/servers/{name}/capacity/{product}", get(catalog::capacity))
        .route("/v1/servers/{name}/test", post(catalog::test))
        .route("/v1/servers/{name}/pause", post(catalog::pause))
        .route("/v1/servers/{name}/resume", post(catalog::resume))
        .route("/v1/products", get(catalog::products))
        .route("/v1/hosts", get(hosts::list))
        .route("/v1/hosts/{name}/dead", post(hosts::dead))
        .route("/v1/store/release", post(catalog::release))
        .route("/v1/openapi.json", get(openapi::show))
        .route("/healthz", get(catalog::health))
        .route("/readyz", get(catalog::ready))
        .route("/metrics", get(metrics::show))
}

/// A router that can tell its paths, so that none is left out of the description.
#[derive(Default)]
pub(super) struct Routes {
    router: Router<Arc<Api>>,
    paths: Vec<&'static str>,
}

impl Routes {
    fn route(mut self, path: &'static str, methods: MethodRouter<Arc<Api>>) -> Self {
        self.router = self.router.route(path, methods);
        self.paths.push(path);
        self
    }

    #[cfg(test)]
    pub(super) fn paths(&self) -> &[&'static str] {
        &self.paths
    }
}

async fn no_path() -> Refusal {
    Problem::new(ProblemType::NotFound, "no such path").remedy("see docs/http-api.md for the paths of v1").into()
}

async fn no_method() -> Refusal {
    Problem::new(ProblemType::MethodNotAllowed, "not with this method").remedy("see the header Allow").into()
}

/// Parts of the path; what cannot be read as text names nothing that exists.
pub(super) struct At<T>(pub(super) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for At<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let Path(found) = Path::from_request_parts(parts, state)
            .await
            .map_err(|_| Problem::new(ProblemType::NotFound, "the path is not UTF-8"))?;
        Ok(Self(found))
    }
}

/// The caller of a request.
pub(super) struct Who(pub(super) Arc<Caller>);

impl<S: Sync> FromRequestParts<S> for Who {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        Ok(Self(Arc::clone(super::caller::caller(parts)?)))
    }
}
