//! The golden test: the layout of every type reachable from the root module, against `layout.txt`.
//!
//! A red test here means that a plugin built before the change would no longer load. The way out is never to accept
//! the new text: it is a new operation name or a JSON field, or else a new major beside this one.

use std::{collections::HashMap, fmt::Write};

use abi_stable::{
    StableAbi,
    sabi_types::VersionStrings,
    std_types::UTypeId,
    type_layout::{TLData, TypeLayout},
};

use crate::{ABI_MAJOR, ABI_MINOR, CallError, CallMeta, HostObject, Message, PluginModule_Ref, PluginObject};

const GOLDEN: &str = include_str!("layout.txt");

/// Writes one paragraph for each type: its name, size, alignment and defining package, then its fields, a line each,
/// those of a function pointer being its parameters and its result.
#[derive(Default)]
struct Dump {
    names: HashMap<UTypeId, String>,
    uses: HashMap<String, u32>,
    paragraphs: Vec<String>,
}

impl Dump {
    /// The name of a type, after its paragraph has been written. The layout's own names lack type parameters, so a
    /// later type of the same name gets a number; the order of visits is fixed, and the numbers with it.
    fn name(&mut self, layout: &'static TypeLayout) -> String {
        let id = layout.get_utypeid();
        if let Some(name) = self.names.get(&id) {
            return name.clone();
        }
        let full = layout.full_type().to_string();
        let short = full.split_whitespace().collect::<Vec<_>>().join(" ");
        let uses = self.uses.entry(short.clone()).or_default();
        *uses += 1;
        let name = if *uses == 1 { short } else { format!("{short} #{uses}") };
        self.names.insert(id, name.clone());

        let at = self.paragraphs.len();
        self.paragraphs.push(String::new());
        self.paragraphs[at] = self.paragraph(&name, layout);
        name
    }

    fn paragraph(&mut self, name: &str, layout: &'static TypeLayout) -> String {
        let (package, version): (_, VersionStrings) = layout.package_and_version();
        let mut text = format!(
            "{name}: {} bytes, aligned to {}, {:?}, {package} {version}\n",
            layout.size(),
            layout.alignment(),
            layout.data_discriminant(),
        );
        if let TLData::Enum(variants) = layout.data() {
            let names: Vec<_> = variants.variant_names_iter().collect();
            let repr = variants.discriminants.discriminant_repr();
            writeln!(text, "  variants {} as {repr:?}", names.join(", ")).unwrap();
        }
        let declared = layout.get_fields().into_iter().flatten();
        let fields = declared.map(|field| ("", field));
        let phantoms = layout.phantom_fields().iter().map(|field| ("phantom ", field));
        for (kind, field) in fields.chain(phantoms) {
            let type_name = self.name(field.layout());
            writeln!(text, "  {kind}{}: {type_name}", field.name()).unwrap();
            for function in field.function_range() {
                let parameters = function.param_type_layouts.iter();
                for parameter in parameters.map(|layout| layout()) {
                    writeln!(text, "    takes {}", self.name(parameter)).unwrap();
                }
                if let Some(result) = function.return_type_layout() {
                    writeln!(text, "    gives {}", self.name(result())).unwrap();
                }
            }
        }
        text
    }
}

fn dump() -> String {
    let mut dump = Dump::default();
    for root in [
        Message::LAYOUT,
        CallMeta::LAYOUT,
        CallError::LAYOUT,
        HostObject::LAYOUT,
        PluginObject::LAYOUT,
        PluginModule_Ref::LAYOUT,
    ] {
        dump.name(root);
    }
    dump.paragraphs.join("\n")
}

#[test]
#[cfg(target_pointer_width = "64")]
fn the_layout_of_the_abi_never_changes() {
    let found = dump();

    if found != GOLDEN {
        let path = std::env::temp_dir().join("billhook-layout.txt");
        std::fs::write(&path, &found).unwrap();
        let mut lines = GOLDEN.lines().zip(found.lines());
        panic!(
            "the layout changed, first at {:?}; the whole of it is in {}",
            lines.find(|(golden, found)| golden != found),
            path.display()
        );
    }
}

#[test]
fn the_major_is_that_of_the_package_whose_version_the_layout_check_compares() {
    let version = format!("{ABI_MAJOR}.{ABI_MINOR}.");
    assert!(env!("CARGO_PKG_VERSION").starts_with(&version));
}
