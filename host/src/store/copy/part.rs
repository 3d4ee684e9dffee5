//! What a store is made of.

/// A table, and by what its rows are in order.
#[derive(Debug)]
pub struct Part {
    pub table: &'static str,
    /// Texts compare by their bytes on both sides.
    pub key: &'static [&'static str],
}

const fn part(table: &'static str, key: &'static [&'static str]) -> Part {
    Part { table, key }
}

/// All tables but those that are made anew; `OTHERS` names those. What is small and what others lean on comes first.
pub const PARTS: [Part; 16] = [
    part("pause", &["server"]),
    part("scope", &["key"]),
    part("backlog", &["place"]),
    part("service", &["platform", "service_id"]),
    part("former_remote", &["platform", "service_id", "epoch"]),
    part("service_secret", &["platform", "service_id", "name"]),
    part("operation", &["id"]),
    part("request", &["operation_id"]),
    part("result_secret", &["operation_id"]),
    part("entry", &["operation_id", "position"]),
    part("log", &["place"]),
    part("attempt", &["owner", "run"]),
    part("exchange", &["owner", "run", "seq"]),
    part("body", &["owner", "run", "seq"]),
    part("note", &["number"]),
    part("unindexed", &["number"]),
];

/// The index of words. What it holds is the same; how differs.
pub const WORDS: Part = part("log_words", &["number"]);

/// What is not copied: who the store is; its hosts, of which a file's table says nothing; and the index by its words, which has a
/// form of its own on each database.
#[cfg(test)]
pub const OTHERS: [&str; 6] = ["store", "host", "unproven", "forgotten", "log_terms", "log_words"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::behaviour::samples;
    use std::collections::BTreeSet;

    #[tokio::test]
    async fn every_table_is_copied_or_named_as_one_that_is_not() {
        let (place, store) = samples::store(samples::On::Sqlite).await;
        store.close().await;
        let db = rusqlite::Connection::open(place.path()).unwrap();
        let mut names = db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").unwrap();
        let names = names.query_map([], |row| row.get::<_, String>(0)).unwrap().map(Result::unwrap);
        // The index's own tables.
        let found: BTreeSet<String> = names.filter(|name| !name.starts_with("log_words_")).collect();
        let known = PARTS.iter().map(|part| part.table).chain(OTHERS).map(str::to_owned);
        assert_eq!(found, known.collect::<BTreeSet<_>>());
    }
}
