//! The format of PHP's `serialize`: `a:2:{s:1:"a";i:7;s:1:"b";N;}`.
//!
//! Read by hand, since what there is either aborts the process on a hostile length or depth, or cannot read an array
//! whose keys have gaps. Nothing is allocated by a length or count that the input only claims. Objects and references are refused:
//! the panel sends none.

use super::{Budget, MAX_DEPTH, Tree, Unreadable};

/// The shortest member of an array, `i:0;N;`.
const MIN_MEMBER: usize = 6;

pub(super) fn read(bytes: &[u8]) -> Result<Tree, Unreadable> {
    let mut reader = Reader { bytes, at: 0, budget: Budget::new() };
    let tree = reader.value(0)?;
    if reader.at == bytes.len() { Ok(tree) } else { Err(reader.malformed()) }
}

struct Reader<'b> {
    bytes: &'b [u8],
    at: usize,
    budget: Budget,
}

impl<'b> Reader<'b> {
    fn value(&mut self, depth: usize) -> Result<Tree, Unreadable> {
        self.budget.spend()?;
        match self.next()? {
            b'N' => self.expect(b";").map(|()| Tree::Null),
            b'b' => {
                self.expect(b":")?;
                let truth = match self.next()? {
                    b'0' => false,
                    b'1' => true,
                    _ => return Err(self.malformed()),
                };
                self.expect(b";")?;
                Ok(Tree::Bool(truth))
            }
            b'i' => self.int().map(Tree::Int),
            b'd' => self.float().map(Tree::Float),
            b's' => {
                let text = self.text()?;
                self.expect(b";")?;
                Ok(Tree::Text(text))
            }
            b'a' => self.array(depth),
            _ => Err(self.malformed()),
        }
    }

    fn array(&mut self, depth: usize) -> Result<Tree, Unreadable> {
        if depth == MAX_DEPTH {
            return Err(Unreadable::TooDeep);
        }
        let count = self.length()?;
        self.expect(b"{")?;
        if count > self.left() / MIN_MEMBER {
            return Err(self.malformed());
        }
        let mut members = Vec::new();
        for _ in 0..count {
            let key = match self.next()? {
                b'i' => self.int()?.to_string(),
                b's' => {
                    let key = self.text()?;
                    self.expect(b";")?;
                    key
                }
                _ => return Err(self.malformed()),
            };
            members.push((key, self.value(depth + 1)?));
        }
        self.expect(b"}")?;
        Ok(Tree::Array(members))
    }

    /// `:-7;`
    fn int(&mut self) -> Result<i64, Unreadable> {
        let digits = self.number()?;
        // `parse` takes a plus sign, and PHP writes none.
        if digits.starts_with('+') { None } else { digits.parse().ok() }.ok_or_else(|| self.malformed())
    }

    /// `:12.5;`, `:1.0E+25;`, `:-INF;`
    fn float(&mut self) -> Result<f64, Unreadable> {
        let text = self.number()?;
        match text {
            "INF" => Ok(f64::INFINITY),
            "-INF" => Ok(f64::NEG_INFINITY),
            "NAN" => Ok(f64::NAN),
            // `parse` also knows words for these.
            text if text.bytes().any(|byte| !matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E')) => {
                Err(self.malformed())
            }
            text => text.parse().map_err(|_| self.malformed()),
        }
    }

    /// What stands between `:` and `;`.
    fn number(&mut self) -> Result<&'b str, Unreadable> {
        const LONGEST: usize = 400;
        self.expect(b":")?;
        let rest = &self.bytes[self.at..];
        let end = rest.iter().take(LONGEST).position(|byte| *byte == b';').ok_or_else(|| self.malformed())?;
        let text = std::str::from_utf8(&rest[..end]).map_err(|_| self.malformed())?;
        self.at += end + 1;
        Ok(text)
    }

    /// `:3:"abc"`; the length is in bytes. What is no UTF-8 is replaced.
    fn text(&mut self) -> Result<String, Unreadable> {
        let length = self.length()?;
        self.expect(b"\"")?;
        if length > self.left() {
            return Err(self.malformed());
        }
        let text = String::from_utf8_lossy(&self.bytes[self.at..self.at + length]).into_owned();
        self.at += length;
        self.expect(b"\"")?;
        Ok(text)
    }

    /// `:3:`
    fn length(&mut self) -> Result<usize, Unreadable> {
        self.expect(b":")?;
        let mut length = 0_usize;
        let start = self.at;
        loop {
            match self.next()? {
                digit @ b'0'..=b'9' => {
                    let with = length.checked_mul(10).and_then(|length| length.checked_add(usize::from(digit - b'0')));
                    length = with.ok_or_else(|| self.malformed())?;
                }
                b':' if self.at > start + 1 => return Ok(length),
                _ => return Err(self.malformed()),
            }
        }
    }

    fn next(&mut self) -> Result<u8, Unreadable> {
        let byte = *self.bytes.get(self.at).ok_or_else(|| self.malformed())?;
        self.at += 1;
        Ok(byte)
    }

    fn expect(&mut self, wanted: &[u8]) -> Result<(), Unreadable> {
        if !self.bytes[self.at..].starts_with(wanted) {
            return Err(self.malformed());
        }
        self.at += wanted.len();
        Ok(())
    }

    fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    fn malformed(&self) -> Unreadable {
        Unreadable::Malformed(Some(self.at))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{MAX_BYTES, MAX_VALUES};
    use super::*;
    use crate::samples;
    use proptest::prelude::*;

    fn array(value: &str) -> String {
        format!("a:1:{{i:0;{value}}}")
    }

    fn only(value: &str) -> Result<Tree, Unreadable> {
        read(array(value).as_bytes()).map(|tree| match tree {
            Tree::Array(mut members) => members.remove(0).1,
            other => other,
        })
    }

    #[test]
    fn every_kind_of_value_is_read() {
        for (text, expected) in [
            ("N;", Tree::Null),
            ("b:1;", Tree::Bool(true)),
            ("b:0;", Tree::Bool(false)),
            ("i:-7;", Tree::Int(-7)),
            ("i:9223372036854775807;", Tree::Int(i64::MAX)),
            ("d:12.5;", Tree::Float(12.5)),
            ("d:1.0E+25;", Tree::Float(1e25)),
            ("d:-1.5e-7;", Tree::Float(-1.5e-7)),
            ("d:3;", Tree::Float(3.0)),
            ("d:INF;", Tree::Float(f64::INFINITY)),
            ("d:-INF;", Tree::Float(f64::NEG_INFINITY)),
            ("s:0:\"\";", Tree::Text(String::new())),
            ("s:5:\"a\";\"}\";", Tree::Text("a\";\"}".to_owned())),
            ("s:6:\"\u{444}\u{44b}\u{432}\";", Tree::Text("\u{444}\u{44b}\u{432}".to_owned())),
            ("a:0:{}", Tree::Array(vec![])),
            ("a:1:{s:1:\"k\";i:1;}", Tree::Array(vec![("k".to_owned(), Tree::Int(1))])),
            ("a:1:{i:-3;N;}", Tree::Array(vec![("-3".to_owned(), Tree::Null)])),
        ] {
            assert_eq!(only(text), Ok(expected), "{text}");
        }
        assert!(matches!(only("d:NAN;"), Ok(Tree::Float(number)) if number.is_nan()));
    }

    #[test]
    fn bytes_that_are_no_text_are_replaced() {
        assert_eq!(read(b"a:1:{i:0;s:2:\"\xff\xfe\";}").unwrap().list("x").len(), 0);
        let Tree::Array(members) = read(b"a:1:{i:0;s:2:\"\xffa\";}").unwrap() else { panic!() };
        assert_eq!(members[0].1, Tree::Text("\u{fffd}a".to_owned()));
    }

    #[test]
    fn objects_references_and_broken_values_are_refused() {
        for text in [
            "O:8:\"stdClass\":0:{}",
            "C:1:\"A\":0:{}",
            "E:3:\"A:B\";",
            "r:1;",
            "R:1;",
            "S:1:\"a\";",
            "N",
            "n;",
            "b:2;",
            "b:true;",
            "i:;",
            "i:+7;",
            "i:7.5;",
            "i: 7;",
            "i:9223372036854775808;",
            "d:;",
            "d:inf;",
            "d:nan;",
            "d:infinity;",
            "d:0x1;",
            "s:-1:\"\";",
            "s::\"\";",
            "s:2:\"a\";",
            "s:1:\"ab\";",
            "s:1:'a';",
            "a:-1:{}",
            "a::{}",
            "a:1:{}",
            "a:0:{i:0;N;}",
            "a:1:{N;N;}",
            "a:1:{b:1;N;}",
            "a:1:{a:0:{}N;}",
            "a:1:{d:1.0;N;}",
        ] {
            assert!(matches!(only(text), Err(Unreadable::Malformed(_))), "{text}");
        }
        assert!(matches!(read(b"a:0:{}x"), Err(Unreadable::Malformed(_))));
    }

    #[test]
    fn hostile_lengths_counts_and_depths_are_refused_at_once() {
        for text in [
            "s:999999999999:\"a\";",
            "s:18446744073709551615:\"a\";",
            "s:99999999999999999999999999:\"a\";",
            "a:999999999999:{i:0;N;}",
            "a:18446744073709551616:{i:0;N;}",
        ] {
            assert!(matches!(only(text), Err(Unreadable::Malformed(_))), "{text}");
        }
        let deep = |n: usize| format!("{}N;{}", "a:1:{i:0;".repeat(n), "}".repeat(n));
        assert!(read(deep(MAX_DEPTH).as_bytes()).is_ok());
        assert_eq!(read(deep(MAX_DEPTH + 1).as_bytes()), Err(Unreadable::TooDeep));
        assert_eq!(read(deep(200_000).as_bytes()), Err(Unreadable::TooDeep));
        let many = format!("a:{}:{{{}}}", MAX_VALUES, "i:0;N;".repeat(MAX_VALUES));
        assert_eq!(read(many.as_bytes()), Err(Unreadable::TooMany));
    }

    /// Bytes held by a tree.
    fn weight(tree: &Tree) -> usize {
        size_of::<Tree>()
            + match tree {
                Tree::Text(text) => text.capacity(),
                Tree::Array(members) => {
                    let room = (members.capacity() - members.len()) * size_of::<(String, Tree)>();
                    room + members
                        .iter()
                        .map(|(key, value)| size_of::<String>() + key.capacity() + weight(value))
                        .sum::<usize>()
                }
                _ => 0,
            }
    }

    fn any_tree() -> impl Strategy<Value = Tree> {
        let leaf = prop_oneof![
            Just(Tree::Null),
            any::<bool>().prop_map(Tree::Bool),
            any::<i64>().prop_map(Tree::Int),
            any::<f64>().prop_filter("a number", |number| number.is_finite()).prop_map(Tree::Float),
            ".{0,12}".prop_map(Tree::Text),
        ];
        leaf.prop_recursive(6, 64, 6, |inner| {
            prop::collection::vec(("[a-z]{1,6}|[1-9][0-9]{0,4}", inner), 0..6).prop_map(Tree::Array)
        })
        .prop_map(|tree| match tree {
            Tree::Array(_) => tree,
            leaf => Tree::Array(vec![("k".to_owned(), leaf)]),
        })
    }

    /// As PHP writes it: keys that are whole numbers are numbers.
    fn written(tree: &Tree) -> String {
        let text = |text: &str| format!("s:{}:\"{text}\";", text.len());
        match tree {
            Tree::Null => "N;".to_owned(),
            Tree::Bool(truth) => format!("b:{};", u8::from(*truth)),
            Tree::Int(number) => format!("i:{number};"),
            Tree::Float(number) => format!("d:{number:E};"),
            Tree::Text(value) => text(value),
            Tree::Array(members) => {
                let members: String = members
                    .iter()
                    .map(|(key, value)| {
                        let key = if key.parse::<i64>().is_ok() { format!("i:{key};") } else { text(key) };
                        key + &written(value)
                    })
                    .collect();
                let count = match tree {
                    Tree::Array(members) => members.len(),
                    _ => 0,
                };
                format!("a:{count}:{{{members}}}")
            }
        }
    }

    /// Pieces of the grammar with claims that do not hold.
    fn hostile() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            any::<u64>().prop_map(|n| format!("a:{n}:{{").into_bytes()),
            any::<u64>().prop_map(|n| format!("s:{n}:\"").into_bytes()),
            (0_u64..20).prop_map(|n| format!("a:{n}:{{").into_bytes()),
            (0_u64..20).prop_map(|n| format!("s:{n}:\"").into_bytes()),
            "i:-?[0-9]{1,25};".prop_map(String::into_bytes),
            "[NbidsaOCErR]:?".prop_map(String::into_bytes),
            Just(b"i:0;".to_vec()),
            Just(b"N;".to_vec()),
            Just(b"\";".to_vec()),
            Just(b"}".to_vec()),
            Just(b"a:1:{i:0;".repeat(40)),
            prop::collection::vec(any::<u8>(), 0..8),
        ];
        prop::collection::vec(piece, 0..60).prop_map(|pieces| [b"a:".to_vec(), pieces.concat()].concat())
    }

    fn bounded(bytes: &[u8]) {
        if let Ok(tree) = read(bytes) {
            // A member of an array is at least six bytes, and a vector has at most twice the room that it needs, or four.
            assert!(weight(&tree) <= 64 * bytes.len() + 1024, "{} bytes hold {}", bytes.len(), weight(&tree));
        }
        let _ = Tree::read(bytes);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_php_writes_is_read_back(tree in any_tree()) {
            prop_assert_eq!(read(written(&tree).as_bytes()), Ok(tree));
        }

        #[test]
        fn any_bytes_end_and_stay_within_bounds(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            bounded(&bytes);
        }

        #[test]
        fn hostile_pieces_end_and_stay_within_bounds(bytes in hostile()) {
            bounded(&bytes);
        }

        #[test]
        fn a_damaged_answer_ends_and_stays_within_bounds(
            tree in any_tree(),
            damage in prop::collection::vec((any::<prop::sample::Index>(), any::<Option<u8>>()), 1..6),
        ) {
            let mut bytes = written(&tree).into_bytes();
            for (at, byte) in damage {
                if bytes.is_empty() {
                    break;
                }
                let at = at.index(bytes.len());
                match byte {
                    Some(byte) => bytes[at] = byte,
                    None => bytes.truncate(at),
                }
            }
            bounded(&bytes);
        }
    }

    #[test]
    fn every_cut_of_every_sample_is_refused() {
        let Some(samples) = samples::all() else { return };
        for (name, bytes) in samples.iter().filter(|(name, _)| name.ends_with(".ser")) {
            for end in 0..bytes.len() {
                assert!(Tree::read(&bytes[..end]).is_err(), "{name} cut at {end}");
            }
        }
    }

    #[test]
    fn a_long_answer_of_one_text_is_read() {
        let text = "x".repeat(MAX_BYTES - 64);
        assert_eq!(only(&format!("s:{}:\"{text}\";", text.len())), Ok(Tree::Text(text)));
    }
}
