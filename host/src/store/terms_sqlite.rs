//! Words of the index by entry. It holds them by word: all of it is read for many entries at once.

use rusqlite::Connection;
use std::collections::HashMap;

/// The words of those of the entries that have any, in order. `numbers` are in order as well.
pub fn words_of(db: &Connection, numbers: &[i64]) -> rusqlite::Result<Vec<(i64, Vec<String>)>> {
    let mut terms: Vec<String> = Vec::new();
    let mut found: HashMap<i64, Vec<u32>> = HashMap::with_capacity(numbers.len());
    let mut rows = db.prepare("SELECT term, doc FROM log_terms")?;
    let mut rows = rows.query([])?;
    while let Some(row) = rows.next()? {
        let number: i64 = row.get(1)?;
        if numbers.binary_search(&number).is_err() {
            continue;
        }
        let term = row.get_ref(0)?.as_str()?;
        if terms.last().is_none_or(|last| last != term) {
            terms.push(term.to_owned());
        }
        let at = u32::try_from(terms.len() - 1).unwrap_or(u32::MAX);
        let words = found.entry(number).or_default();
        if words.last() != Some(&at) {
            words.push(at);
        }
    }
    let words = |list: &Vec<u32>| -> Vec<String> {
        let mut words: Vec<String> =
            list.iter().filter_map(|at| terms.get(usize::try_from(*at).ok()?).cloned()).collect();
        words.sort_unstable();
        words
    };
    Ok(numbers.iter().filter_map(|number| Some((*number, words(found.get(number)?)))).collect())
}
