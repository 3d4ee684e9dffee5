//! Rows as a server takes and gives them: the binary form of its `COPY`.

use super::super::StoreError;
use super::super::dialect::Dialect;
use rusqlite::types::ValueRef;
use sha2::{Digest, Sha256};

/// What stands before the rows.
const HEAD: [u8; 19] = *b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Number,
    Truth,
    Text,
    Bytes,
    /// A list of words.
    Words,
}

impl Kind {
    /// Of the server's name for it.
    pub fn of(name: &str) -> Option<Self> {
        Some(match name {
            "bigint" => Self::Number,
            "boolean" => Self::Truth,
            "text" => Self::Text,
            "bytea" => Self::Bytes,
            "tsvector" => Self::Words,
            _ => return None,
        })
    }
}

/// Rows that go together.
#[derive(Debug)]
pub struct Batch {
    bytes: Vec<u8>,
    pub rows: u64,
    /// See [`digest`].
    pub digest: i64,
    /// The key of the last row, as a JSON list; nothing where there is none.
    pub reached: Option<String>,
    /// Whether nothing comes behind.
    pub is_last: bool,
}

impl Batch {
    pub fn new() -> Self {
        Self { bytes: HEAD.to_vec(), rows: 0, digest: 0, reached: None, is_last: false }
    }

    /// How long it is by now.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// What is sent.
    pub fn into_bytes(mut self) -> Vec<u8> {
        self.bytes.extend((-1_i16).to_be_bytes());
        self.bytes
    }

    /// Adds a row.
    pub fn push(&mut self, row: &Row) {
        self.bytes.extend(&row.sent);
        self.rows += 1;
        self.digest = self.digest.wrapping_add(digest(row.seen.as_deref().unwrap_or(&row.sent)));
    }
}

/// What a row is known by: sums of these do not depend on the order of the rows.
pub fn digest(row: &[u8]) -> i64 {
    let hash = Sha256::digest(row);
    let mut first = [0; 8];
    first.copy_from_slice(&hash[..8]);
    i64::from_be_bytes(first)
}

/// One row.
#[derive(Debug)]
pub struct Row {
    sent: Vec<u8>,
    /// How it is read back, where that is another form: long bytes as their hash.
    seen: Option<Vec<u8>>,
}

impl Row {
    /// One of so many cells.
    pub fn new(cells: usize, has_bytes: bool) -> Self {
        let head = i16::try_from(cells).unwrap_or(i16::MAX).to_be_bytes().to_vec();
        Self { seen: has_bytes.then(|| head.clone()), sent: head }
    }

    fn both(&mut self, cell: Option<&[u8]>) {
        put(&mut self.sent, cell);
        if let Some(seen) = &mut self.seen {
            put(seen, cell);
        }
    }

    /// Adds what SQLite has in a cell; `Err` is why it does not fit.
    pub fn push(&mut self, kind: Kind, cell: ValueRef<'_>) -> Result<(), &'static str> {
        match (kind, cell) {
            (_, ValueRef::Null) => self.both(None),
            (Kind::Number, ValueRef::Integer(number)) => self.both(Some(&number.to_be_bytes())),
            (Kind::Truth, ValueRef::Integer(truth @ (0 | 1))) => self.both(Some(&[u8::from(truth == 1)])),
            (Kind::Text, ValueRef::Text(text)) => {
                let text = std::str::from_utf8(text).map_err(|_| "it is not UTF-8")?;
                // As whatever is written on a server.
                self.both(Some(Dialect::Postgres.value(text).as_bytes()));
            }
            (Kind::Bytes, ValueRef::Blob(bytes)) => {
                put(&mut self.sent, Some(bytes));
                if let Some(seen) = &mut self.seen {
                    put(seen, Some(&Sha256::digest(bytes)));
                }
            }
            _ => return Err("it is of another type"),
        }
        Ok(())
    }

    pub fn push_number(&mut self, number: i64) {
        self.both(Some(&number.to_be_bytes()));
    }

    /// Adds a list of words, which are in the order of their bytes, each once.
    pub fn push_words<'w>(&mut self, words: impl ExactSizeIterator<Item = &'w str>) {
        let mut cell = u32::try_from(words.len()).unwrap_or(u32::MAX).to_be_bytes().to_vec();
        for word in words {
            cell.extend(word.as_bytes());
            // Its end, and no places in the text.
            cell.extend([0, 0, 0]);
        }
        self.both(Some(&cell));
    }
}

fn put(row: &mut Vec<u8>, cell: Option<&[u8]>) {
    match cell {
        None => row.extend((-1_i32).to_be_bytes()),
        Some(cell) => {
            row.extend(i32::try_from(cell.len()).unwrap_or(i32::MAX).to_be_bytes());
            row.extend(cell);
        }
    }
}

/// Rows as they come from a server, in pieces.
#[derive(Debug, Default)]
pub struct Reader {
    waiting: Vec<u8>,
    is_in: bool,
    pub rows: u64,
    pub digest: i64,
}

impl Reader {
    /// Takes the next piece.
    pub fn read(&mut self, piece: &[u8]) -> Result<(), StoreError> {
        self.waiting.extend(piece);
        let mut at = 0;
        if !self.is_in {
            if self.waiting.len() < HEAD.len() {
                return Ok(());
            }
            if self.waiting[..HEAD.len()] != HEAD {
                return Err(StoreError::Unavailable("the server speaks another form of COPY".to_owned()));
            }
            (self.is_in, at) = (true, HEAD.len());
        }
        while let Some(end) = row_end(&self.waiting, at) {
            self.rows += 1;
            self.digest = self.digest.wrapping_add(digest(&self.waiting[at..end]));
            at = end;
        }
        self.waiting.drain(..at);
        Ok(())
    }
}

/// Where the row ends that begins at `at`, if all of it is there. What ends the rows is none.
fn row_end(bytes: &[u8], at: usize) -> Option<usize> {
    let cells = i16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?);
    let mut at = at + 2;
    if cells < 0 {
        return None;
    }
    for _ in 0..cells {
        let length = i32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?);
        at += 4 + usize::try_from(length).unwrap_or(0);
    }
    (at <= bytes.len()).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_back_whatever_the_pieces() {
        let mut batch = Batch::new();
        for n in 0..3 {
            let mut row = Row::new(4, false);
            row.push(Kind::Text, ValueRef::Text("a\0é".as_bytes())).unwrap();
            row.push(Kind::Truth, ValueRef::Integer(1)).unwrap();
            row.push(Kind::Number, ValueRef::Null).unwrap();
            row.push_number(n);
            batch.push(&row);
        }
        let (rows, digest) = (batch.rows, batch.digest);
        let bytes = batch.into_bytes();
        for size in [1, 7, 19, 1_000] {
            let mut reader = Reader::default();
            for piece in bytes.chunks(size) {
                reader.read(piece).unwrap();
            }
            assert_eq!((reader.rows, reader.digest), (rows, digest), "{size}");
        }
        assert!(Reader::default().read(&[0; 30]).is_err());
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let mut row = Row::new(1, true);
        assert!(row.push(Kind::Truth, ValueRef::Integer(2)).is_err());
        assert!(row.push(Kind::Text, ValueRef::Text(b"\xff")).is_err());
        assert!(row.push(Kind::Number, ValueRef::Text(b"1")).is_err());
    }

    #[test]
    fn a_row_differs_by_its_bytes_also_where_only_their_hash_is_read_back() {
        let row = |bytes: &[u8]| {
            let mut row = Row::new(1, true);
            row.push(Kind::Bytes, ValueRef::Blob(bytes)).unwrap();
            let mut batch = Batch::new();
            batch.push(&row);
            batch.digest
        };
        assert_ne!(row(b"a"), row(b"b"));
        assert_eq!(row(b"a"), row(b"a"));
    }
}
