//! Makes bad plugin files, and other versions, out of the good one: by changing bytes that are known to be there.

use billhook_plugin_api::descriptor;
use billhook_tests::harness::artifacts;
use memchr::memmem;
use object::read::elf::ElfFile64;
use object::{Endianness, Object as _, ObjectSection as _, ObjectSegment as _, ObjectSymbol as _};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the fixture's source says.
const JOURNAL_VERSION: u32 = 0x4A0B_0101;
const CONTINUES: u32 = 0x4A0B_0F0F;

/// Where an ELF file names its machine.
const MACHINE_AT: usize = 18;

/// The symbol of `abi_stable`'s header, and where in it stands whether it has a layout: behind a magic of 40 bytes, two
/// names and a version.
const HEADER: &str = "_1as_0lib_1header_0root_bmodule_bloader";
const LAYOUT_AT: usize = 40 + 3 * 16;
const NO_LAYOUT: u8 = 1;

/// A plugin's file.
#[derive(Clone)]
pub struct Plugin(pub Vec<u8>);

impl Plugin {
    /// The fixture as it was built.
    pub fn good() -> Self {
        Self(std::fs::read(artifacts::path("libfixture.so")).unwrap())
    }

    /// The first `percent` of it.
    pub fn cut(mut self, percent: usize) -> Self {
        self.0.truncate(self.0.len() * percent / 100);
        self
    }

    /// For 64-bit ARM, or for x86-64 where this is the former.
    pub fn for_another_machine(mut self) -> Self {
        let other: u16 = if cfg!(target_arch = "aarch64") { 62 } else { 183 };
        self.0[MACHINE_AT..MACHINE_AT + 2].copy_from_slice(&other.to_ne_bytes());
        self
    }

    /// With its descriptor where nobody looks.
    pub fn without_descriptor(self) -> Self {
        self.replacing(b".billhook\0", b".elsewhre\0")
    }

    /// With another ABI major in its descriptor.
    pub fn of_abi_major(mut self, major: u32) -> Self {
        let at = self.descriptor_at() + 16;
        self.0[at..at + 4].copy_from_slice(&major.to_ne_bytes());
        self
    }

    /// As a build with `panic = "abort"` describes itself.
    pub fn aborting(mut self) -> Self {
        let at = self.descriptor_at() + 24;
        self.0[at..at + 4].copy_from_slice(&0_u32.to_ne_bytes());
        self
    }

    /// With another name in its descriptor, of up to 10 letters; its version is 0.
    pub fn named(mut self, name: &str) -> Self {
        let at = self.descriptor_at();
        let length_at = at + 28;
        let room = u32::from_ne_bytes(self.0[length_at..length_at + 4].try_into().unwrap()) as usize;
        let json = format!("{{\"name\":\"{name}\",\"version\":\"0\"}}");
        assert!(json.len() <= room, "{name} is too long");
        self.0[at + 32..at + 32 + room].copy_from_slice(format!("{json:room$}").as_bytes());
        self
    }

    /// With a root module whose field has another name.
    pub fn with_another_layout(self) -> Self {
        self.replacing(b"manifest;open;", b"manifold;open;")
    }

    /// As exported with `unsafe_no_layout_constant`.
    pub fn without_layout(mut self) -> Self {
        let at = self.symbol_at(HEADER) + LAYOUT_AT;
        assert_eq!(self.0[at], 0, "the header is laid out as it was");
        self.0[at] = NO_LAYOUT;
        self
    }

    /// With another journal version.
    pub fn of_journal(self, version: u32) -> Self {
        self.replacing(&JOURNAL_VERSION.to_ne_bytes(), &version.to_ne_bytes())
    }

    /// As one that can continue what the good one began.
    pub fn continuing(self) -> Self {
        self.replacing(&CONTINUES.to_ne_bytes(), &JOURNAL_VERSION.to_ne_bytes())
    }

    /// With the second version's names for steps and results.
    pub fn second(self) -> Self {
        self.replacing(b"fixture-v1", b"fixture-v2")
    }

    fn replacing(mut self, old: &[u8], new: &[u8]) -> Self {
        assert_eq!(old.len(), new.len());
        let places: Vec<usize> = memmem::find_iter(&self.0, old).collect();
        assert!(!places.is_empty(), "{:?} is not in the file", String::from_utf8_lossy(old));
        for at in places {
            self.0[at..at + new.len()].copy_from_slice(new);
        }
        self
    }

    fn descriptor_at(&self) -> usize {
        let file = ElfFile64::<Endianness>::parse(&*self.0).unwrap();
        let section = file.section_by_name(descriptor::SECTION).unwrap();
        section.file_range().unwrap().0 as usize
    }

    fn symbol_at(&self, name: &str) -> usize {
        let file = ElfFile64::<Endianness>::parse(&*self.0).unwrap();
        let address = file.dynamic_symbols().find(|symbol| symbol.name() == Ok(name)).unwrap().address();
        let segment = file.segments().find(|one| (one.address()..one.address() + one.size()).contains(&address));
        let segment = segment.unwrap();
        (segment.file_range().0 + address - segment.address()) as usize
    }
}

/// Compiles `tests/plugins/constructor.c` with these macros.
pub fn constructor(folder: &Path, name: &str, macros: &[&str]) -> Plugin {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("plugins/constructor.c");
    let made: PathBuf = folder.join(format!("{name}.o.so"));
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-Wno-array-bounds", "-o"])
        .arg(&made)
        .arg(format!("-DNAME=\"{name}\""))
        .args(macros.iter().map(|one| format!("-D{one}")))
        .arg(source)
        .status()
        .expect("cc runs; rustc links with it");
    assert!(compiled.success());
    Plugin(std::fs::read(made).unwrap())
}
