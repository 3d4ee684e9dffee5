//! What is stored sealed, and for which place each value is sealed.

use super::StoreError;
use super::model::{OperationId, ServiceKey};
use crate::seal::{Context, Sealer};
use billhook_plugin_api::Secret;
use billhook_plugin_api::protocol::HookCall;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeMap;
use zeroize::Zeroizing;

fn seal(sealer: &Sealer, context: Context<'_>, value: &impl Serialize) -> Result<Vec<u8>, StoreError> {
    let rejected = |why: String| StoreError::Rejected(why);
    let plain = Zeroizing::new(serde_json::to_vec(value).map_err(|error| rejected(error.to_string()))?);
    sealer.seal(&context, &plain).map_err(|error| rejected(error.to_string()))
}

fn open<T: DeserializeOwned>(
    sealer: &Sealer,
    context: Context<'_>,
    place: (&'static str, &'static str),
    sealed: &[u8],
) -> Result<T, StoreError> {
    let corrupt =
        |why: String| StoreError::Corrupt { table: place.0, column: place.1, row: context.row.to_owned(), why };
    let plain = sealer.open(&context, sealed).map_err(|error| corrupt(error.to_string()))?;
    // The parser's message may quote what it read.
    serde_json::from_slice(&plain).map_err(|_| corrupt("what was sealed is not the JSON that belongs here".to_owned()))
}

/// Op ids hold no slash, so that this reads one way only.
fn step_row(id: &OperationId, name: &str) -> String {
    format!("{id}/{name}")
}

fn service_row(key: &ServiceKey, name: &str) -> String {
    Value::from(vec![key.platform.as_str(), key.service_id.as_str(), name]).to_string()
}

const CALL: (&str, &str) = ("request", "call");
const STEP: (&str, &str) = ("entry", "secret");
const RESULT: (&str, &str) = ("result_secret", "sealed");
const SERVICE: (&str, &str) = ("service_secret", "sealed");

const fn context<'a>(place: (&'a str, &'a str), row: &'a str) -> Context<'a> {
    Context { table: place.0, column: place.1, row }
}

/// Which sealed value, by where it is stored.
#[derive(Debug, Clone, Copy)]
pub enum Sealed<'a> {
    /// What the plugin gets.
    Call(&'a OperationId),
    /// The result of a step.
    Step(&'a OperationId, &'a str),
    /// The secrets of an operation's result.
    Result(&'a OperationId),
    /// A secret of a service.
    Service(&'a ServiceKey, &'a str),
}

/// The value sealed anew, with the newest key, for the same place.
pub fn reseal(sealer: &Sealer, value: Sealed<'_>, sealed: &[u8]) -> Result<Vec<u8>, StoreError> {
    let (place, row) = match value {
        Sealed::Call(id) => (CALL, id.0.clone()),
        Sealed::Step(id, name) => (STEP, step_row(id, name)),
        Sealed::Result(id) => (RESULT, id.0.clone()),
        Sealed::Service(key, name) => (SERVICE, service_row(key, name)),
    };
    let context = context(place, &row);
    let corrupt = |why: String| StoreError::Corrupt { table: place.0, column: place.1, row: row.clone(), why };
    let plain = sealer.open(&context, sealed).map_err(|error| corrupt(error.to_string()))?;
    sealer.seal(&context, &plain).map_err(|error| StoreError::Rejected(error.to_string()))
}

/// What the plugin gets.
pub fn call(sealer: &Sealer, id: &OperationId, call: &HookCall) -> Result<Vec<u8>, StoreError> {
    seal(sealer, context(CALL, &id.0), call)
}

/// See [`call`].
pub fn open_call(sealer: &Sealer, id: &OperationId, sealed: &[u8]) -> Result<HookCall, StoreError> {
    open(sealer, context(CALL, &id.0), CALL, sealed)
}

/// The result of a step.
pub fn step(sealer: &Sealer, id: &OperationId, name: &str, result: &Value) -> Result<Vec<u8>, StoreError> {
    seal(sealer, context(STEP, &step_row(id, name)), result)
}

/// See [`step`].
pub fn open_step(sealer: &Sealer, id: &OperationId, name: &str, sealed: &[u8]) -> Result<Value, StoreError> {
    open(sealer, context(STEP, &step_row(id, name)), STEP, sealed)
}

/// The secrets of an operation's result.
pub fn result(
    sealer: &Sealer,
    id: &OperationId,
    secrets: &BTreeMap<String, Secret<String>>,
) -> Result<Vec<u8>, StoreError> {
    seal(sealer, context(RESULT, &id.0), secrets)
}

/// See [`result`].
pub fn open_result(
    sealer: &Sealer,
    id: &OperationId,
    sealed: &[u8],
) -> Result<BTreeMap<String, Secret<String>>, StoreError> {
    open(sealer, context(RESULT, &id.0), RESULT, sealed)
}

/// A secret of a service.
pub fn service(sealer: &Sealer, key: &ServiceKey, name: &str, secret: &Secret<String>) -> Result<Vec<u8>, StoreError> {
    seal(sealer, context(SERVICE, &service_row(key, name)), secret)
}

/// See [`service`].
pub fn open_service(
    sealer: &Sealer,
    key: &ServiceKey,
    name: &str,
    sealed: &[u8],
) -> Result<Secret<String>, StoreError> {
    open(sealer, context(SERVICE, &service_row(key, name)), SERVICE, sealed)
}
