//! What the glue, the export macro and the host's loader need of `abi_stable` and `async-ffi`, in one place.
//!
//! Nobody else depends on those crates directly, so that they can be replaced here.

pub use abi_stable::{
    library::{
        AbiHeaderRef, CheckTypeLayout, LibHeader, LibraryError, ROOT_MODULE_LOADER_NAME,
        ROOT_MODULE_LOADER_NAME_WITH_NUL, RootModule, RootModuleError, RootModuleResult,
    },
    sabi_trait::TD_Opaque,
    std_types::{RArc, RBox, RErr, ROk, RResult, RStr, RString, RVec},
};
pub use async_ffi::{FfiFuture, FutureExt};

/// Builds the erased root module and turns a panic inside into an error value. For the export macro.
#[doc(hidden)]
pub use abi_stable::library::__call_root_module_loader as call_root_module_loader;
