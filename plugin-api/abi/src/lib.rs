//! The types that Billhook and a plugin exchange across the edge of a shared library. Frozen within a major.
//!
//! The waist is narrow on purpose: one asynchronous `call` each way, carrying a [`Message`] whose head is JSON.
//! Everything that may grow (operation names, requests, replies, faults) lives in that JSON, because the layout
//! check refuses any plugin whose types have one field or method fewer than the host's. So nothing is ever added
//! here: a new ability is a new operation name or a new JSON field, and a real break is a new major beside this one.
//! `layout.txt` holds the layout of every type reachable from here, and a test compares.
//!
//! # Rules of the edge
//!
//! - **Ownership.** Arguments and results move. `RString`, `RVec`, `RBox`, `RArc` and [`FfiFuture`] carry the functions
//!   that free them, so either side may drop what it was given. An [`RStr`] is borrowed for the length of the call that
//!   it came with and is copied by whoever wants it longer. `Box`, `String`, `Vec` and foreign crates' types never cross.
//! - **Panics.** None crosses: both sides hand out futures and objects that catch panics in poll and in drop.
//!   A panic that reaches an `extern "C"` edge ends the process.
//! - **Threads.** Objects and futures may be used, polled and dropped on any thread.
//! - **Blocking.** Nothing here may block: not the two `call`s, not the poll of their futures, not `emit`.
//! - **Unloading.** Never happens: what lies in a library's static memory is valid until the process ends.
//!
//! This is the only crate that names `abi_stable` and `async-ffi`; the others take them from here. It has no
//! Cargo features, since a feature that changes a layout would be a second ABI under the same version.

#![warn(missing_docs)]
#![expect(non_local_definitions, non_camel_case_types, reason = "the derives of abi_stable expand to both")]

use abi_stable::{
    StableAbi, declare_root_module_statics, package_version_strings,
    prefix_type::PrefixTypeTrait,
    sabi_trait,
    sabi_types::VersionStrings,
    std_types::{RArc, RBox, RResult, RStr, RString, RVec},
};
use async_ffi::FfiFuture;

pub mod edge;

/// The major of these types: host and plugin must agree. It equals the major of this crate's version.
pub const ABI_MAJOR: u32 = 1;

/// The minor of these types, for information only: within a major every host takes every plugin.
pub const ABI_MINOR: u32 = 0;

/// One message: a head that both sides parse and a body that travels beside it untouched.
///
/// Owned by the receiver, who drops it.
#[repr(C)]
#[derive(StableAbi, Debug, Clone, Default, PartialEq, Eq)]
pub struct Message {
    /// UTF-8 JSON, an object in all operations of today. A receiver ignores fields that it does not know.
    pub head: RVec<u8>,
    /// Raw bytes whose meaning the operation gives, an HTTP body for one. Empty where it gives none.
    pub body: RVec<u8>,
}

/// What belongs to a call besides its message.
#[repr(C)]
#[derive(StableAbi, Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallMeta {
    /// Names the attempt. The host chooses it, unique within the process; a plugin gives the same number back in every
    /// call and `emit` that it makes on the attempt's behalf, which is how the host knows whose they are.
    pub call_id: u64,
    /// When the host will stop waiting, in milliseconds since the Unix epoch, UTC. `0` means no limit.
    ///
    /// For planning only: past it the host drops the future.
    pub deadline_unix_ms: u64,
    /// Reserved: sent as `0`, ignored when received.
    pub flags: u64,
}

/// Why a call gave no message.
#[repr(C)]
#[derive(StableAbi, Debug, Clone, PartialEq, Eq)]
pub struct CallError {
    /// One of [`code`]. A receiver treats a number that it does not know as [`code::FAULT`].
    pub code: u32,
    /// One line for staff and logs; never holds a secret.
    pub message: RString,
    /// UTF-8 JSON whose shape the code gives, or empty.
    pub details: RVec<u8>,
}

/// The numbers of [`CallError::code`]. Like operation names, these may be added to: they are values, not layout.
pub mod code {
    /// The operation ran and failed; `details` holds the fault as JSON.
    pub const FAULT: u32 = 1;
    /// The other side panicked; `message` is the panic's text. The effect of the call is unknown.
    pub const PANICKED: u32 = 2;
    /// The receiver has no such operation; nothing was done.
    pub const UNKNOWN_OPERATION: u32 = 3;
    /// The message could not be read; nothing was done.
    pub const BAD_MESSAGE: u32 = 4;
    /// The attempt named by [`CallMeta::call_id`](super::CallMeta::call_id) is over or never was; nothing was done.
    pub const NO_SUCH_CALL: u32 = 5;
}

/// The outcome of everything that can fail across the edge.
pub type CallResult<T> = RResult<T, CallError>;

impl CallError {
    /// An error without details.
    pub fn new(code: u32, message: impl Into<String>) -> Self {
        Self { code, message: message.into().into(), details: RVec::new() }
    }

    /// The same error with `details`, UTF-8 JSON.
    #[must_use]
    pub fn with_details(mut self, details: Vec<u8>) -> Self {
        self.details = details.into();
        self
    }
}

/// What the host offers to a plugin.
///
/// The host makes one object per opened plugin and moves it into [`PluginModule::open`].
/// Clones are cheap and equal.
#[sabi_trait]
pub trait HostPort: Send + Sync + Clone {
    /// Asks the host for `op` on behalf of the attempt `meta.call_id`.
    ///
    /// Called by the plugin, from inside a [`PluginPort::call`] of the same `call_id`. Returns at once; the work
    /// happens when the future is polled, and dropping the future gives it up. `op` is borrowed until the return.
    /// Making the same call twice is two calls.
    fn call(&self, meta: CallMeta, op: RStr<'_>, message: Message) -> FfiFuture<CallResult<Message>>;

    /// Tells the host something that needs no answer: progress, a note, a log line, the text of a panic.
    ///
    /// `call_id` is that of the attempt, or `0` when it concerns none. `head` is JSON. Both strings are borrowed
    /// until the return. Never blocks, never fails: what the host cannot take, it drops and counts.
    #[sabi(last_prefix_field)]
    fn emit(&self, call_id: u64, op: RStr<'_>, head: RStr<'_>);
}

/// What a plugin offers to the host: one opened provider, with its server's settings inside.
///
/// Owned by the host, which drops it after the last call on it has ended.
#[sabi_trait]
pub trait PluginPort: Send + Sync {
    /// Runs the hook `op` as the attempt `meta.call_id`.
    ///
    /// Called by the host, many times and at once. Returns at once; the future owns all that it needs, so it may
    /// outlive the object, and dropping it cancels the attempt. No author's code runs before the first poll.
    /// The same `op` and message may come again under another `call_id`, after a failure or a crash.
    #[sabi(last_prefix_field)]
    fn call(&self, meta: CallMeta, op: RStr<'_>, message: Message) -> FfiFuture<CallResult<Message>>;
}

/// A handle on the host, cloned freely by the plugin. Made with `HostPort_TO::from_ptr(RArc::new(..), TD_Opaque)`.
pub type HostObject = HostPort_TO<'static, RArc<()>>;

/// An opened provider. Made with `PluginPort_TO::from_value(.., TD_Opaque)`.
pub type PluginObject = PluginPort_TO<'static, RBox<()>>;

/// The root module: what the host finds in a library by its one well-known symbol.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = PluginModule_Ref)))]
pub struct PluginModule {
    /// The plugin's manifest as JSON, or the empty string when building it panicked. Pure: the same text every time.
    /// Called by the host at load, before any `open`.
    pub manifest: extern "C" fn() -> RString,
    /// Opens the provider for one server.
    ///
    /// Takes the host's handle and the server's settings, UTF-8 JSON, as the manifest's schema has them; the plugin
    /// owns the bytes and wipes them after parsing. Called by the host once for each server, again after its settings
    /// changed, from any thread. Does no IO and does not block. A panic inside comes back as [`code::PANICKED`].
    #[sabi(last_prefix_field)]
    pub open: extern "C" fn(HostObject, RVec<u8>) -> CallResult<PluginObject>,
}

impl PluginModule {
    /// Moves the module into memory that lives as long as the process. Called once, by the export macro.
    pub fn leak(self) -> PluginModule_Ref {
        self.leak_into_prefix()
    }
}

impl abi_stable::library::RootModule for PluginModule_Ref {
    declare_root_module_statics! {PluginModule_Ref}
    const BASE_NAME: &'static str = "billhook_plugin";
    const NAME: &'static str = "billhook_plugin";
    const VERSION_STRINGS: VersionStrings = package_version_strings!();
}

#[cfg(test)]
mod layout;
