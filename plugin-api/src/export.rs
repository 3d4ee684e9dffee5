//! `export_provider!`: the one line that makes a crate a plugin.
//!
//! The macro writes the library's header itself, from this crate's re-exports, so that an author depends on nothing
//! else; the attribute that `abi_stable` has for it names that crate's own path. The `unsafe` that such statics need
//! stands in this file, and a crate that forbids unsafe code may use the macro all the same.

use billhook_abi::{
    CallResult, HostObject, PluginModule, PluginModule_Ref, PluginObject,
    edge::{ROOT_MODULE_LOADER_NAME, RString, RVec},
};

use crate::guard;

#[doc(hidden)]
pub use billhook_abi::{
    self as abi,
    edge::{self, CheckTypeLayout, LibHeader, RootModuleResult},
};

/// The name that the macro below gives to the header; an attribute takes a literal only.
const HEADER_NAME: &str = "_1as_0lib_1header_0root_bmodule_bloader";

// With another name the library would build, and no host would find anything in it.
const _: () = assert!(is_same(HEADER_NAME, ROOT_MODULE_LOADER_NAME));

const fn is_same(left: &str, right: &str) -> bool {
    let (left, right) = (left.as_bytes(), right.as_bytes());
    if left.len() != right.len() {
        return false;
    }
    let mut at = 0;
    while at < left.len() {
        if left[at] != right[at] {
            return false;
        }
        at += 1;
    }
    true
}

/// The root module of two entries, as the macro writes them.
#[doc(hidden)]
pub fn root_module(
    manifest: extern "C" fn() -> RString,
    open: extern "C" fn(HostObject, RVec<u8>) -> CallResult<PluginObject>,
) -> PluginModule_Ref {
    PluginModule { manifest, open }.leak()
}

/// The text of a manifest, empty when building it panicked.
#[doc(hidden)]
pub fn manifest(text: impl FnOnce() -> String) -> RString {
    guard::catch(text).unwrap_or_default().into()
}

/// Exports a provider, so that the host finds it in the built library. Once in a crate, at its root.
///
/// The plugin's name is the crate's name and its version is the package's.
#[macro_export]
macro_rules! export_provider {
    ($provider:ty) => {
        const _: () = {
            extern "C" fn manifest() -> $crate::export::edge::RString {
                $crate::export::manifest(|| $crate::glue::manifest_text::<$provider>())
            }

            extern "C" fn open(
                host: $crate::export::abi::HostObject,
                settings: $crate::export::edge::RVec<u8>,
            ) -> $crate::export::abi::CallResult<$crate::export::abi::PluginObject> {
                $crate::guard::catch_call(|| $crate::glue::open::<$provider>(host, settings))
            }

            fn root_module() -> $crate::export::abi::PluginModule_Ref {
                $crate::export::root_module(manifest, open)
            }

            extern "C" fn erased_root_module() -> $crate::export::RootModuleResult {
                $crate::export::edge::call_root_module_loader(root_module)
            }

            // SAFETY: the name is the one that hosts look for, and no other item has it: it is `abi_stable`'s own.
            #[unsafe(export_name = "_1as_0lib_1header_0root_bmodule_bloader")]
            // SAFETY: the constructor returns what `root_module` built, a `PluginModule_Ref`, which is also the type
            // named here; and the layout is checked by the host.
            static HEADER: $crate::export::LibHeader = unsafe {
                $crate::export::LibHeader::from_constructor::<$crate::export::abi::PluginModule_Ref>(
                    erased_root_module,
                    $crate::export::CheckTypeLayout::Yes,
                )
            };

            const FACTS: &str = ::core::concat!(
                "{\"name\":\"",
                ::core::env!("CARGO_CRATE_NAME"),
                "\",\"version\":\"",
                ::core::env!("CARGO_PKG_VERSION"),
                "\"}"
            );

            // SAFETY: plain bytes in a section that nothing else uses, under a name that nothing else has. Exported
            // by name, because a linker that drops unused sections keeps what is exported.
            #[used]
            #[unsafe(link_section = ".billhook")]
            #[unsafe(export_name = "billhook_descriptor")]
            static DESCRIPTOR: $crate::descriptor::Descriptor<{ FACTS.len() }> =
                $crate::descriptor::Descriptor::new(FACTS, ::core::cfg!(panic = "unwind"));
        };
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_that_panics_is_empty() {
        assert_eq!(manifest(|| "{}".into()).as_str(), "{}");
        assert_eq!(manifest(|| panic!("no manifest")).as_str(), "");
    }
}
