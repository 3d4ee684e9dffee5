//! The samples that stand beside the panel's contract, for tests. They are not part of the repository.

use std::collections::BTreeMap;
use std::path::Path;

/// Every sample by its file name; `None`, said on standard error, where the contracts are not at hand.
pub fn all() -> Option<BTreeMap<String, Vec<u8>>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/contracts/rootpanel/samples");
    let Ok(files) = std::fs::read_dir(&folder) else {
        eprintln!("SKIPPED: no samples at {}", folder.display());
        return None;
    };
    let samples = files.map(|file| {
        let file = file.unwrap();
        (file.file_name().into_string().unwrap(), std::fs::read(file.path()).unwrap())
    });
    Some(samples.collect())
}
