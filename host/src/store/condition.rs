//! Whether the store can be written, as its last commit showed.

use super::StoreError;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// What the last commit showed. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Condition {
    failure: Arc<Mutex<Option<Failure>>>,
}

/// Why nothing can be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// In the words of the store.
    pub why: String,
    /// What helps.
    pub remedy: &'static str,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.why, self.remedy)
    }
}

impl Condition {
    /// Why nothing can be written; `None` while it can.
    pub fn failure(&self) -> Option<Failure> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A commit went through, or failed so that others would have failed as well. What changes is said in the daemon's log, once.
    pub fn saw(&self, result: Result<(), &StoreError>) {
        let next = result.err().map(|error| Failure { why: error.to_string(), remedy: error.remedy() });
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        match (&*failure, &next) {
            (None, Some(failure)) => {
                tracing::error!(why = %failure.why, remedy = failure.remedy, "the store cannot be written")
            }
            (Some(_), None) => tracing::info!("the store can be written again"),
            _ => {}
        }
        *failure = next;
    }
}

#[cfg(test)]
mod tests {
    use super::super::behaviour::samples::*;
    use super::super::{Accepted, JsonText, Store, StoreError, StoreOptions};
    use crate::store::model::*;
    use std::os::unix::fs::FileExt;
    use std::path::PathBuf;

    #[tokio::test]
    async fn what_cannot_be_written_is_refused_until_it_can() {
        for (spoil, mend, is_it) in [
            (
                "PRAGMA query_only = 1",
                "PRAGMA query_only = 0",
                (|error| matches!(error, StoreError::ReadOnly(_))) as fn(&StoreError) -> bool,
            ),
            ("PRAGMA max_page_count = 1", "PRAGMA max_page_count = 1000000", |error| {
                matches!(error, StoreError::Full(_))
            }),
        ] {
            let (_place, store) = store(On::Sqlite).await;
            assert_eq!(store.failure(), None);
            store.tend(spoil).await.unwrap();
            let large = NewOperation { shown: JsonText::of(&"x".repeat(100_000)), ..new("1", "41") };

            let error = store.accept(large.clone()).await.unwrap_err();

            assert!(is_it(&error) && error.may_pass(), "{error:?}");
            let failure = store.failure().unwrap();
            assert_eq!((failure.why.as_str(), failure.remedy), (error.to_string().as_str(), error.remedy()));
            assert!(store.operation(&id("1")).await.unwrap().is_none(), "it can be read, and nothing was stored");
            store.tend(mend).await.unwrap();
            assert!(matches!(store.accept(large).await, Ok(Accepted::Stored { .. })));
            assert_eq!(store.failure(), None);
        }
    }

    #[tokio::test]
    async fn a_probe_sees_that_it_can_be_written_again() {
        let (_place, store) = store(On::Sqlite).await;
        store.answers().await.unwrap();
        assert_eq!(store.commits(), 0);
        store.tend("PRAGMA query_only = 1").await.unwrap();
        assert!(store.accept(new("1", "41")).await.is_err());
        assert!(matches!(store.answers().await, Err(StoreError::ReadOnly(_))));
        store.tend("PRAGMA query_only = 0").await.unwrap();
        store.answers().await.unwrap();
        assert_eq!(store.failure(), None, "nobody had to send a hook for it");
    }

    #[tokio::test]
    async fn damaged_pages_are_told_with_file_and_remedy_and_the_rest_is_read() {
        let (place, store) = store(On::Sqlite).await;
        for n in 0..500 {
            running(&store, &format!("{n:03}"), &format!("{n:03}")).await;
        }
        store.close().await;
        let file = std::fs::OpenOptions::new().read(true).write(true).open(place.path()).unwrap();
        let pages = file.metadata().unwrap().len() / 4096;
        let spoil = |page: u64| file.write_all_at(&[0xa5; 4096], page * 4096).unwrap();

        // What the tables have grown by; what is needed to open stands before.
        (pages / 8 * 7..pages).for_each(spoil);
        let store = place.open().await;
        let (mut told, mut read) = (Vec::new(), 0);
        for n in 0..500 {
            match store.operation(&id(&format!("{n:03}"))).await {
                Ok(_) => read += 1,
                Err(error) => told.push(error),
            }
        }
        assert!(read > 0, "what stands elsewhere is read");
        let damaged = told.iter().find(|error| matches!(error, StoreError::Damaged(_)));
        let damaged = damaged.unwrap_or_else(|| panic!("{told:?}"));
        assert!(damaged.remedy().contains("billhook store check"), "{}", damaged.remedy());
        store.close().await;

        (1..pages).for_each(spoil);
        let error = Store::open(&place.url(), place.sealer(), StoreOptions::default()).await.unwrap_err();
        assert!(matches!(error, StoreError::Damaged(_)), "{error:?}");
        assert!(error.to_string().contains(&place.path().display().to_string()), "{error}");
    }

    /// A file system in memory of its own; gone with this.
    struct Disk(PathBuf);

    impl Disk {
        /// `None` where this user may not mount one.
        fn of(size: &str) -> Option<Self> {
            let folder = tempfile::tempdir().unwrap().keep();
            let mounted = std::process::Command::new("mount")
                .args(["-t", "tmpfs", "-o", &format!("size={size}"), "none"])
                .arg(&folder)
                .status();
            if mounted.is_ok_and(|status| status.success()) {
                return Some(Self(folder));
            }
            std::fs::remove_dir(folder).unwrap();
            None
        }
    }

    impl Drop for Disk {
        fn drop(&mut self) {
            let _ = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
            let _ = std::fs::remove_dir(&self.0);
        }
    }

    #[tokio::test]
    async fn a_disk_that_is_full_loses_nothing_and_goes_on_when_there_is_room() {
        let Some(disk) = Disk::of("4m") else {
            eprintln!("skipped: this user may not mount a file system");
            return;
        };
        let place = Place::new(On::Sqlite).await;
        let url = format!("sqlite://{}", disk.0.join("store.db").display());
        let store = Store::open(&url, place.sealer(), StoreOptions::default()).await.unwrap();
        let ballast = disk.0.join("ballast");
        std::fs::write(&ballast, vec![0; 512 * 1024]).unwrap();
        let noise = |n: u64| -> String {
            (0..1_000).map(|at| format!("{:016x}", (n * 1_000 + at).wrapping_mul(0x9e37_79b9_7f4a_7c15))).collect()
        };
        let mut stored = 0_u32;
        let refused = loop {
            let name = format!("{stored:05}");
            let new = NewOperation { shown: JsonText::of(&noise(stored.into())), ..new(&name, &name) };
            match store.accept(new).await {
                Ok(_) => stored += 1,
                Err(error) => break error,
            }
        };
        assert!(matches!(refused, StoreError::Full(_)) && stored > 20, "{stored} {refused:?}");
        assert!(store.room().unwrap() < 64 * 1024 && store.failure().is_some());
        store.record(Evidence {
            notes: vec![Note { owner: "op_00001".into(), run: 1, at: NOW, kind: "note".into(), text: "kept".into() }],
            ..Evidence::default()
        });

        std::fs::remove_file(ballast).unwrap();

        store.accept(new("later", "later")).await.unwrap();
        assert_eq!(store.failure(), None);
        let (_, detail) = store.log_detail("op_00001").await.unwrap().unwrap();
        assert_eq!(detail.notes.len(), 1, "what rode along waited");
        for n in 0..stored {
            assert!(store.operation(&id(&format!("{n:05}"))).await.unwrap().is_some(), "{n}");
        }
        store.close().await;
        let found = crate::store::inspect(&disk.0.join("store.db"), None).unwrap();
        assert!(found.flaws.is_empty(), "{:?}", found.flaws);
    }
}
