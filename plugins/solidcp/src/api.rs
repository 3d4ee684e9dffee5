//! The panel's operations: what each is asked with, and what is read of its answer.

pub mod addresses;
pub mod machines;
pub mod packages;
pub mod users;

/// Paths that are secret in every reply. The item of a machine holds the password of its administrator in clear, and a
/// task the parameters that it was begun with.
pub const REPLY_SECRETS: &[&str] =
    &["**.AdministratorPassword", "**.GetVirtualMachineGuacamoleURLResult", "**.GetTaskResult.Params"];
