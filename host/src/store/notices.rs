//! What other hosts have committed, on a connection of its own.
//!
//! The function that carries a batch out tells it once, in the same commit: the operations and entries that it was about, those
//! marked that may be taken up. Where a notice may have been missed, everybody is told to look.

use super::address::Server;
use super::news::News;
use sqlx::postgres::{PgListener, PgPoolOptions};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Where it is told, within a database.
pub const CHANNEL: &str = "billhook";

/// Before the next try to listen again.
const AGAIN: Duration = Duration::from_secs(1);

/// Begins to listen. What is committed after this returns is heard.
pub async fn listen(server: &Server) -> Result<PgListener, sqlx::Error> {
    let pool = PgPoolOptions::new().max_connections(1).connect_lazy_with(server.reading());
    let mut listener = PgListener::connect_with(&pool).await?;
    listener.ignore_pool_close_event(true);
    listener.eager_reconnect(false);
    listener.listen(CHANNEL).await?;
    Ok(listener)
}

/// Tells what is heard until the store is closed.
pub async fn tell(listener: PgListener, server: Server, host: String, news: Arc<News>, closed: CancellationToken) {
    let mut listener = Some(listener);
    loop {
        let heard = async {
            match &mut listener {
                Some(listener) => listener.try_recv().await,
                None => Ok(None),
            }
        };
        let heard = tokio::select! {
            heard = heard => heard,
            () = closed.cancelled() => return,
        };
        if let Ok(Some(notice)) = heard {
            hear(notice.payload(), &host, &news);
            continue;
        }
        // The connection is lost, and nobody knows what was told meanwhile.
        listener = None;
        news.missed();
        #[expect(clippy::disallowed_methods, reason = "it waits for a server, whatever clock the host goes by")]
        let sleep = tokio::time::sleep(AGAIN);
        tokio::select! {
            () = sleep => {}
            () = closed.cancelled() => return,
        }
        match listen(&server).await {
            Ok(again) => {
                listener = Some(again);
                news.missed();
            }
            Err(error) => tracing::debug!(%error, "other hosts cannot be heard for now; they are looked after instead"),
        }
    }
}

/// A notice: who tells it, then ids; `+` stands before what may be taken up, `!` for what is of all hosts, `*` for too much to
/// be named.
fn hear(payload: &str, host: &str, news: &News) {
    let mut words = payload.split(' ');
    if words.next() == Some(host) {
        return;
    }
    let (mut told, mut free, mut is_common) = (Vec::new(), Vec::new(), false);
    for word in words {
        match word {
            "*" => return news.missed(),
            "!" => is_common = true,
            word => match word.strip_prefix('+') {
                Some(id) => {
                    told.push(id.to_owned());
                    free.push(id.to_owned());
                }
                None => told.push(word.to_owned()),
            },
        }
    }
    news.heard(told, free, is_common);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::news::Heard;

    #[tokio::test]
    async fn a_notice_is_told_to_those_whom_it_concerns() {
        let news = News::default();
        let (mut rows, mut all) = (news.rows(), news.elsewhere());
        let (mut first, mut second) = (news.follow("op_1"), news.follow("op_2"));

        hear("me op_1", "me", &news);
        hear("you op_1 +op_3 !", "me", &news);

        first.changed().await;
        assert!(futures_util::FutureExt::now_or_never(second.changed()).is_none());
        assert_eq!(*rows.recv().await.unwrap(), ["op_1".to_owned(), "op_3".to_owned()]);
        let heard = Heard { told: vec!["op_1".into(), "op_3".into()], free: vec!["op_3".into()], is_common: true };
        assert_eq!(*all.recv().await.unwrap(), Some(heard));

        hear("you *", "me", &news);
        first.changed().await;
        second.changed().await;
        assert_eq!(*all.recv().await.unwrap(), None);
    }
}
