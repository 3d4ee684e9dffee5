//! Looks at a plugin's bytes before any of its code runs.
//!
//! The dynamic linker maps what an ELF file announces without asking whether the file is that long, and a page behind
//! the end is a SIGBUS for the whole process. So everything announced is compared with the size here, and the
//! descriptor is read from its section. Not a defence against a file made to harm: that is what trust is for.

use billhook_plugin_api::descriptor::{self, DescriptorError, DescriptorView};
use object::{
    NativeEndian, elf,
    read::elf::{FileHeader, ProgramHeader, SectionHeader},
};

use super::Refusal;

#[cfg(target_pointer_width = "64")]
type Header = elf::FileHeader64<NativeEndian>;
#[cfg(target_pointer_width = "64")]
const CLASS: u8 = 2;

#[cfg(target_endian = "little")]
const BYTE_ORDER: u8 = 1;
#[cfg(target_endian = "big")]
const BYTE_ORDER: u8 = 2;

// A host for another machine does not build until that machine is named here.
#[cfg(target_arch = "x86_64")]
const MACHINE: elf::Machine = elf::EM_X86_64;
#[cfg(target_arch = "aarch64")]
const MACHINE: elf::Machine = elf::EM_AARCH64;

const MAGIC: [u8; 4] = *b"\x7fELF";

/// What the plugin says about itself, if its file is whole and is for this host.
pub(super) fn descriptor(file: &[u8]) -> Result<DescriptorView, Refusal> {
    let size_bytes = file.len() as u64;
    let cut = |part: &str| Refusal::CutShort { part: part.to_owned(), size_bytes };
    let endian = NativeEndian;

    let header = header(file)?;
    let segments = header.program_headers(endian, file).map_err(|_| cut("the table of segments"))?;
    for (index, segment) in segments.iter().enumerate() {
        let (offset, bytes) = segment.file_range(endian);
        if !is_within(offset, bytes, size_bytes) {
            return Err(cut(&format!("segment {index}")));
        }
    }
    if !segments.iter().any(|segment| segment.p_type(endian) == elf::PT_DYNAMIC) {
        return Err(Refusal::NotASharedObject);
    }

    let sections = header.sections(endian, file).map_err(|_| cut("the table of sections"))?;
    for (index, section) in sections.enumerate() {
        let Some((offset, bytes)) = section.file_range(endian) else {
            continue;
        };
        if !is_within(offset, bytes, size_bytes) {
            return Err(cut(&format!("section {}", index.0)));
        }
    }
    let (_, section) = sections.section_by_name(endian, descriptor::SECTION.as_bytes()).ok_or(Refusal::NoDescriptor)?;
    let bytes = section.data(endian, file).map_err(|_| cut("the descriptor"))?;
    let view = descriptor::parse(bytes).map_err(|error| match error {
        DescriptorError::AbiMajor { found, expected } => Refusal::AbiMajor { found, host: expected },
        other => Refusal::BadDescriptor(other),
    })?;
    if view.unwinds { Ok(view) } else { Err(Refusal::PanicAbort) }
}

/// The ELF header, if it is of a shared object for this machine.
fn header(file: &[u8]) -> Result<&Header, Refusal> {
    let size_bytes = file.len() as u64;
    let cut = || Refusal::CutShort { part: "the header".to_owned(), size_bytes };
    if file.is_empty() {
        return Err(Refusal::Empty);
    }
    if !file.starts_with(&MAGIC) {
        return Err(Refusal::NotElf);
    }
    // The two bytes after the magic say how to read all that follows.
    let (Some(&class), Some(&byte_order)) = (file.get(4), file.get(5)) else {
        return Err(cut());
    };
    if (class, byte_order) != (CLASS, BYTE_ORDER) {
        return Err(Refusal::WrongClass);
    }
    let header = Header::parse(file).map_err(|_| cut())?;
    let machine = header.e_machine(NativeEndian);
    if machine != MACHINE {
        return Err(Refusal::WrongMachine { found: machine.0, expected: MACHINE.0 });
    }
    if header.e_type(NativeEndian) != elf::ET_DYN {
        return Err(Refusal::NotASharedObject);
    }
    Ok(header)
}

fn is_within(offset: u64, bytes: u64, size_bytes: u64) -> bool {
    offset.checked_add(bytes).is_some_and(|end| end <= size_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The C library that this very test runs on: a good shared object that is no plugin.
    fn system_library() -> Vec<u8> {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let path = maps
            .lines()
            .filter_map(|line| line.split_whitespace().nth(5))
            .find(|path| path.contains("/libc.so") || path.contains("/libc-"))
            .expect("the test binary is linked dynamically");
        std::fs::read(path).unwrap()
    }

    fn patched(at: usize, bytes: &[u8]) -> Vec<u8> {
        let mut file = system_library();
        file[at..at + bytes.len()].copy_from_slice(bytes);
        file
    }

    fn refusal(file: &[u8]) -> Refusal {
        descriptor(file).unwrap_err()
    }

    #[test]
    fn a_library_without_a_descriptor_is_no_plugin() {
        assert!(matches!(refusal(&system_library()), Refusal::NoDescriptor));
    }

    #[test]
    fn a_file_cut_anywhere_is_refused() {
        let whole = system_library();
        let step = whole.len() / 97;
        let cuts = (4..200).chain((200..whole.len()).step_by(step)).chain([whole.len() - 1]);
        for size in cuts {
            let refusal = refusal(&whole[..size]);
            assert!(matches!(refusal, Refusal::CutShort { .. }), "{size}: {refusal}");
        }
    }

    #[test]
    fn a_file_of_another_kind_is_named_as_what_it_is() {
        assert!(matches!(refusal(b""), Refusal::Empty));
        assert!(matches!(refusal(b"MZ"), Refusal::NotElf));
        assert!(matches!(refusal(b"\x7fEL"), Refusal::NotElf));
        assert!(matches!(refusal(&patched(4, &[1])), Refusal::WrongClass));
        assert!(matches!(refusal(&patched(5, &[3 - BYTE_ORDER])), Refusal::WrongClass));
        // 40 is 32-bit ARM, 2 is a fixed executable.
        let machine = refusal(&patched(18, &40_u16.to_ne_bytes()));
        assert!(matches!(machine, Refusal::WrongMachine { found: 40, .. }));
        let executable = refusal(&patched(16, &2_u16.to_ne_bytes()));
        assert!(matches!(executable, Refusal::NotASharedObject));
    }

    #[test]
    fn numbers_that_run_past_the_end_of_numbers_are_refused() {
        // The offset of the segment table, that of the section table, and the first segment's own offset.
        let first_segment = 64 + 8;
        for at in [32, 40, first_segment] {
            let refusal = refusal(&patched(at, &u64::MAX.to_ne_bytes()));
            assert!(matches!(refusal, Refusal::CutShort { .. }), "{at}: {refusal}");
        }
        assert!(!is_within(u64::MAX, 1, u64::MAX));
        assert!(is_within(3, 4, 7) && !is_within(3, 5, 7));
    }
}
