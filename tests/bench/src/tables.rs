//! What the tables of a SQLite file take, by SQLite's own count of their pages.

use anyhow::{Context, Result};
use rusqlite::{Connection, OpenFlags};
use std::collections::BTreeMap;
use std::path::Path;

/// Bytes by table; an index counts with its table.
pub fn bytes(path: &Path) -> Result<BTreeMap<String, u64>> {
    let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
        .with_context(|| format!("cannot open {}", path.display()))?;
    let mut query = db.prepare(
        "SELECT coalesce(m.tbl_name, d.name), sum(d.pgsize) FROM dbstat d LEFT JOIN sqlite_schema m ON m.name = d.name
         WHERE d.aggregate = TRUE GROUP BY 1",
    )?;
    let rows = query.query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs())))?;
    rows.collect::<Result<_, _>>().context("cannot count its pages")
}
