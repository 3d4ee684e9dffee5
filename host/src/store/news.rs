//! What was committed, for those who follow it.
//!
//! Nothing is promised beyond a hint: whoever is told reads what stands in the store now. So nobody can be too slow to be
//! told the truth, and nothing is kept for those who are.

use super::command::Command;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{broadcast, watch};

/// Commits that whoever follows the log may be behind. At some hundred rows a commit this is a few megabytes, once for
/// all of them.
const BEHIND: usize = 256;

/// What another host has committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// Operations, and reading hooks.
    pub told: Vec<String>,
    /// Those of them that may be taken up.
    pub free: Vec<String>,
    /// Something that is of all hosts: a pause, a release, a host.
    pub is_common: bool,
}

type Followed = Mutex<HashMap<String, watch::Sender<()>>>;

/// Where the writer tells it.
#[derive(Debug)]
pub struct News {
    followed: Arc<Followed>,
    rows: broadcast::Sender<Arc<[String]>>,
    /// `None`: something may have been missed.
    elsewhere: broadcast::Sender<Arc<Option<Heard>>>,
}

impl Default for News {
    fn default() -> Self {
        Self { followed: Arc::default(), rows: broadcast::channel(BEHIND).0, elsewhere: broadcast::channel(BEHIND).0 }
    }
}

impl News {
    /// Follows an operation.
    pub fn follow(&self, id: &str) -> Follower {
        let mut followed = lock(&self.followed);
        let changes = followed.entry(id.to_owned()).or_insert_with(|| watch::channel(()).0).subscribe();
        Follower { changes: Some(changes), id: id.to_owned(), followed: Arc::clone(&self.followed) }
    }

    /// Follows the rows of the log.
    pub fn rows(&self) -> broadcast::Receiver<Arc<[String]>> {
        self.rows.subscribe()
    }

    /// What other hosts commit.
    pub fn elsewhere(&self) -> broadcast::Receiver<Arc<Option<Heard>>> {
        self.elsewhere.subscribe()
    }

    /// Another host has told this.
    pub fn heard(&self, told: Vec<String>, free: Vec<String>, is_common: bool) {
        {
            let followed = lock(&self.followed);
            for sender in told.iter().filter_map(|id| followed.get(id)) {
                sender.send_replace(());
            }
        }
        if !told.is_empty() {
            // The last one may have left this very moment.
            let _ = self.rows.send(told.iter().cloned().collect());
        }
        let _ = self.elsewhere.send(Arc::new(Some(Heard { told, free, is_common })));
    }

    /// Something may have happened elsewhere of which nothing was heard.
    pub fn missed(&self) {
        for sender in lock(&self.followed).values() {
            sender.send_replace(());
        }
        if self.rows.receiver_count() > 0 {
            // Whoever follows the log is told that rows are missing, as one that is too far behind.
            for _ in 0..=BEHIND {
                let _ = self.rows.send(Arc::new([]));
            }
        }
        let _ = self.elsewhere.send(Arc::new(None));
    }

    /// These were committed.
    pub fn tell<'c>(&self, commands: impl Iterator<Item = &'c Command> + Clone) {
        let followed = lock(&self.followed);
        if !followed.is_empty() {
            for sender in commands.clone().flat_map(Command::subjects).filter_map(|id| followed.get(id)) {
                sender.send_replace(());
            }
        }
        drop(followed);
        if self.rows.receiver_count() > 0 {
            let rows: Arc<[String]> = commands.flat_map(Command::rows_of_log).map(str::to_owned).collect();
            if !rows.is_empty() {
                // The last one may have left this very moment.
                let _ = self.rows.send(rows);
            }
        }
    }
}

/// Hears of each commit that was about its operation.
#[derive(Debug)]
pub struct Follower {
    changes: Option<watch::Receiver<()>>,
    id: String,
    followed: Arc<Followed>,
}

impl Follower {
    /// Ends when something was committed since the last time; at once if it was meanwhile.
    pub async fn changed(&mut self) {
        if let Some(changes) = &mut self.changes {
            // The sender is there as long as a receiver is.
            let _ = changes.changed().await;
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let mut followed = lock(&self.followed);
        self.changes = None;
        if followed.get(&self.id).is_some_and(|sender| sender.receiver_count() == 0) {
            followed.remove(&self.id);
        }
    }
}

fn lock(followed: &Followed) -> MutexGuard<'_, HashMap<String, watch::Sender<()>>> {
    followed.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(made: &str, owner: &str) -> Command {
        let mut command = Command::default();
        command.makes(made);
        command.tells_of(owner);
        command
    }

    #[tokio::test]
    async fn each_hears_of_its_own() {
        let news = News::default();
        let mut rows = news.rows();
        let (mut first, mut second) = (news.follow("op_1"), news.follow("op_2"));

        news.tell([command("rd_1", "op_1")].iter());

        first.changed().await;
        assert!(futures_util::FutureExt::now_or_never(second.changed()).is_none());
        assert_eq!(*rows.recv().await.unwrap(), ["rd_1".to_owned()]);
        drop(first);
        assert_eq!(lock(&news.followed).len(), 1);
        drop(second);
        assert!(lock(&news.followed).is_empty(), "nothing is kept for those who have gone");
    }

    #[tokio::test]
    async fn whoever_is_too_far_behind_is_told_so() {
        let news = News::default();
        let mut rows = news.rows();
        for _ in 0..=BEHIND {
            news.tell([command("rd_1", "rd_1")].iter());
        }
        assert!(matches!(rows.recv().await, Err(broadcast::error::RecvError::Lagged(1))));
    }
}
