//! Hands a staged library to the dynamic linker and checks that what comes back is a plugin of this ABI.
//!
//! `abi_stable`'s own loaders are not used: they hand out the first library for every path, open lazily, and take a
//! header without a layout for a good one.

use std::{ffi::c_void, mem::ManuallyDrop, path::Path};

use billhook_abi::{
    PluginModule_Ref,
    edge::{AbiHeaderRef, LibHeader, LibraryError, ROOT_MODULE_LOADER_NAME_WITH_NUL, RootModuleError},
};
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};

use super::{Flaw, error::chain};

/// A layout mismatch can run to hundreds of lines; the first differences tell.
const LAYOUT_LINES: usize = 3;

/// Opens the library for good and returns its root module, checked.
pub(super) fn open(staged: &Path) -> Result<PluginModule_Ref, Flaw> {
    let head = header(staged)?;
    if head.layout().is_none() {
        return Err(Flaw::NoLayout);
    }
    head.init_root_module::<PluginModule_Ref>().map_err(flaw)
}

/// The plugin's manifest, known to be JSON.
pub(super) fn manifest(module: PluginModule_Ref) -> Result<String, Flaw> {
    let text = (module.manifest())().into_string();
    if text.is_empty() {
        return Err(Flaw::Panicked { during: "writing its manifest".to_owned() });
    }
    serde_json::from_str::<serde::de::IgnoredAny>(&text)
        .map_err(|error| Flaw::Manifest { reason: error.to_string() })?;
    Ok(text)
}

#[expect(unsafe_code, reason = "running another file's code is what a loader does")]
fn header(staged: &Path) -> Result<&'static LibHeader, Flaw> {
    // NOW, so that a missing function is an error here and not the end of the process at its first call; LOCAL, so
    // that two versions of a plugin do not find each other's symbols.
    //
    // SAFETY: opening runs the library's constructors. The bytes were looked through and trusted by the policy, and
    // they lie in a folder that only this process's user writes to.
    let library = unsafe { Library::open(Some(staged), RTLD_NOW | RTLD_LOCAL) }
        .map_err(|error| Flaw::Linking { reason: chain(&error) })?;
    // Never closed, also when it is refused below: its constructors may have left threads, thread-locals and statics.
    let library = ManuallyDrop::new(library);

    let not_a_plugin = |reason: String| Flaw::NotAPlugin { reason };
    let name = ROOT_MODULE_LOADER_NAME_WITH_NUL.as_bytes();
    // SAFETY: a symbol's address is a pointer, whatever is behind it. It is not read here.
    let address = unsafe { library.get::<*const c_void>(name) }.map_err(|error| not_a_plugin(chain(&error)))?;
    if address.is_null() || !(*address).cast::<LibHeader>().is_aligned() {
        return Err(not_a_plugin("its header has an impossible address".to_owned()));
    }
    // SAFETY: the symbol has the name that only `abi_stable`'s header has; its address is neither null nor askew, and
    // valid until the process ends because the library is never closed. Reading through it begins with a magic text.
    let head = unsafe { library.get::<AbiHeaderRef>(name) }.map_err(|error| not_a_plugin(chain(&error)))?;
    head.upgrade().map_err(flaw)
}

fn flaw(error: LibraryError) -> Flaw {
    match error {
        LibraryError::AbiInstability(report) => Flaw::Layout { reason: differences(&report.to_string()) },
        LibraryError::IncompatibleVersionNumber { expected_version, actual_version, .. } => Flaw::Layout {
            reason: format!("they are of version {actual_version}, and this host's of {expected_version}"),
        },
        LibraryError::RootModule { err: RootModuleError::Unwound, .. } => {
            Flaw::Panicked { during: "building its root module".to_owned() }
        }
        LibraryError::InvalidAbiHeader(_) => {
            Flaw::NotAPlugin { reason: "its header is not that of the abi_stable in use".to_owned() }
        }
        LibraryError::InvalidCAbi { .. } => {
            Flaw::NotAPlugin { reason: "its compiler passes arguments in another way".to_owned() }
        }
        other => Flaw::NotAPlugin { reason: one_line(&chain(&other)) },
    }
}

/// The lines that say what differs, out of a report that shows both layouts in full.
fn differences(report: &str) -> String {
    let lines: Vec<_> = report
        .lines()
        .map(str::trim)
        .filter_map(|line| line.strip_prefix("Error:"))
        .map(str::trim)
        .take(LAYOUT_LINES)
        .collect();
    if lines.is_empty() { one_line(report) } else { lines.join("; ") }
}

/// The beginning of a text, on one line.
fn one_line(text: &str) -> String {
    let words: Vec<_> = text.split_whitespace().collect();
    words.join(" ").chars().take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layout_report_shrinks_to_what_differs() {
        let report = "Compared <this>:\n  type:A\nTo <other>:\n  type:B\n Error:too many fields\nExpected:\n 3\n\
                      Error:incompatible type size\n";

        assert_eq!(differences(report), "too many fields; incompatible type size");
        assert_eq!(differences("\nnothing\n of the kind\n"), "nothing of the kind");
    }
}
