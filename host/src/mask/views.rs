//! A text as it reads after one kind of escape is resolved, with the way back to the bytes it was read from.
//!
//! Escapes can be mixed at will (`s%65cret`, `\u0073ecret`), so that no list of patterns covers them. Each view is a
//! copy with one kind resolved; views of views resolve what was encoded twice. A view exists only where there is
//! something to resolve, so ordinary text costs one pass for each kind.

use std::ops::Range;

/// How many kinds are resolved one after the other; three would cost up to a hundred passes on a hostile text.
const MAX_DEPTH: usize = 2;

/// A kind of escape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Escape {
    /// `%41`, and `%u0041` as old scripts write it.
    Percent,
    /// The same, and `+` for a blank.
    Form,
    /// `\n`, `\/`, `\u0041`; also `\x41` and `\u{41}` of source code and debug output.
    Backslash,
    /// `&amp;`, `&#65;`, `&#x41;`.
    Entity,
    /// Line breaks with the indent behind them, resolved to nothing.
    Wrap,
}

/// From positions in a view to those in the text it is a view of.
type Back<'b> = &'b dyn Fn(Range<usize>) -> Range<usize>;

/// What is done with each view.
type Visit<'v> = &'v mut dyn FnMut(&[u8], Back<'_>);

/// Calls `visit` with the bytes of `text` and of every view of it, and with the way back to positions in `text`.
///
/// `plus` says whether `+` may stand for a blank.
pub(super) fn each(text: &[u8], plus: bool, visit: Visit<'_>) {
    visit(text, &|at| at);
    let all = [Escape::Percent, Escape::Form, Escape::Backslash, Escape::Entity, Escape::Wrap];
    let kinds: Vec<Escape> = all.into_iter().filter(|kind| plus || *kind != Escape::Form).collect();
    descend(text, &kinds, 1, &|at| at, visit);
}

fn descend(text: &[u8], kinds: &[Escape], depth: usize, back: Back<'_>, visit: Visit<'_>) {
    for kind in kinds {
        let Some(view) = View::of(text, *kind) else { continue };
        let back_from_view = |at| back(view.back(at));
        visit(&view.bytes, &back_from_view);
        // What was unwrapped had no further meaning as an escape.
        if depth < MAX_DEPTH && *kind != Escape::Wrap {
            descend(&view.bytes, kinds, depth + 1, &back_from_view, visit);
        }
    }
}

struct View {
    bytes: Vec<u8>,
    resolved: Vec<Resolved>,
}

/// One escape: where its meaning stands in the view, where itself in the text it was read from.
struct Resolved {
    in_view: Range<u32>,
    in_text: Range<u32>,
}

impl View {
    /// The text with escapes of one kind resolved; `None` if it has none.
    fn of(text: &[u8], kind: Escape) -> Option<Self> {
        // Positions are kept in 32 bits; no text that is logged is near that long.
        u32::try_from(text.len()).ok()?;
        let starts = |byte: &u8| match kind {
            Escape::Percent => *byte == b'%',
            Escape::Form => matches!(byte, b'%' | b'+'),
            Escape::Backslash => *byte == b'\\',
            Escape::Entity => *byte == b'&',
            Escape::Wrap => matches!(byte, b'\n' | b'\r'),
        };
        let mut view: Option<Self> = None;
        let (mut copied, mut at) = (0, 0);
        while let Some(ahead) = text[at..].iter().position(starts) {
            at += ahead;
            let Some((length, meaning)) = kind.resolve(&text[at..]) else {
                at += 1;
                continue;
            };
            let view = view.get_or_insert_with(|| Self { bytes: Vec::with_capacity(text.len()), resolved: Vec::new() });
            view.bytes.extend_from_slice(&text[copied..at]);
            let start = view.bytes.len();
            meaning.push_to(&mut view.bytes);
            view.resolved.push(Resolved {
                in_view: start as u32..view.bytes.len() as u32,
                in_text: at as u32..(at + length) as u32,
            });
            at += length;
            copied = at;
        }
        if let Some(view) = &mut view {
            view.bytes.extend_from_slice(&text[copied..]);
        }
        view
    }

    fn back(&self, at: Range<usize>) -> Range<usize> {
        self.position(at.start, false)..self.position(at.end, true)
    }

    /// Where `at` came from; inside an escape, its begin or its end.
    fn position(&self, at: usize, is_end: bool) -> usize {
        // For an end, an escape that begins there is not yet part of the span; for a start it is.
        let before = |one: &Resolved| {
            let start = one.in_view.start as usize;
            if is_end { start < at } else { start <= at }
        };
        let Some(last) =
            self.resolved.partition_point(before).checked_sub(1).and_then(|index| self.resolved.get(index))
        else {
            return at;
        };
        let (view_end, text_end) = (last.in_view.end as usize, last.in_text.end as usize);
        match at.checked_sub(view_end) {
            Some(behind) => text_end + behind,
            None if is_end => text_end,
            None => last.in_text.start as usize,
        }
    }
}

/// What an escape stands for.
enum Meaning {
    Byte(u8),
    Char(char),
    Nothing,
}

impl Meaning {
    fn push_to(&self, out: &mut Vec<u8>) {
        match self {
            Self::Byte(byte) => out.push(*byte),
            Self::Char(char) => out.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes()),
            Self::Nothing => {}
        }
    }
}

impl Escape {
    /// Length and meaning of the escape at the begin of `text`.
    fn resolve(self, text: &[u8]) -> Option<(usize, Meaning)> {
        match (self, text) {
            (Self::Form, [b'+', ..]) => Some((1, Meaning::Byte(b' '))),
            (Self::Percent | Self::Form, [b'%', b'u' | b'U', ..]) => utf16(text),
            (Self::Percent | Self::Form, [b'%', digits @ ..]) => {
                let byte = number(digits.get(..2)?, 16)?;
                Some((3, Meaning::Byte(u8::try_from(byte).ok()?)))
            }
            (Self::Backslash, [b'\\', rest @ ..]) => backslash(text, rest),
            (Self::Entity, [b'&', rest @ ..]) => entity(rest).map(|(length, char)| (length + 1, Meaning::Char(char))),
            (Self::Wrap, _) => {
                let breaks = text.iter().take_while(|byte| b"\r\n \t".contains(byte)).count();
                Some((breaks, Meaning::Nothing))
            }
            _ => None,
        }
    }
}

fn backslash(text: &[u8], rest: &[u8]) -> Option<(usize, Meaning)> {
    let byte = match rest.first()? {
        byte @ (b'"' | b'\\' | b'/' | b'\'') => *byte,
        b'b' => 8,
        b'f' => 12,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'0' => 0,
        b'x' => {
            let byte = number(rest.get(1..3)?, 16)?;
            return Some((4, Meaning::Byte(u8::try_from(byte).ok()?)));
        }
        b'u' if rest.get(1) == Some(&b'{') => {
            let digits = rest[2..].iter().take(7).position(|byte| *byte == b'}')?;
            let char = char::from_u32(number(&rest[2..2 + digits], 16)?)?;
            return Some((digits + 4, Meaning::Char(char)));
        }
        b'u' => return utf16(text),
        _ => return None,
    };
    Some((2, Meaning::Byte(byte)))
}

/// `\u0041` or `%u0041`, and pairs of them.
fn utf16(text: &[u8]) -> Option<(usize, Meaning)> {
    let unit = |at: usize| number(text.get(at..at + 4)?, 16);
    let first = unit(2)?;
    if let Some(char) = char::from_u32(first) {
        return Some((6, Meaning::Char(char)));
    }
    if text.get(6..8)? != &text[..2] {
        return None;
    }
    let pair = [u16::try_from(first).ok()?, u16::try_from(unit(8)?).ok()?];
    let char = char::decode_utf16(pair).next()?.ok()?;
    Some((12, Meaning::Char(char)))
}

/// Length (with the semicolon) and character of the entity whose name or number begins `text`.
fn entity(text: &[u8]) -> Option<(usize, char)> {
    // Zeros may lead a number; eleven characters are more than any writer uses.
    let end = text.iter().take(12).position(|byte| *byte == b';')?;
    let char = match &text[..end] {
        b"amp" => '&',
        b"lt" => '<',
        b"gt" => '>',
        b"quot" => '"',
        b"apos" => '\'',
        [b'#', b'x' | b'X', digits @ ..] => char::from_u32(number(digits, 16)?)?,
        [b'#', digits @ ..] => char::from_u32(number(digits, 10)?)?,
        _ => return None,
    };
    Some((end + 1, char))
}

fn number(digits: &[u8], radix: u32) -> Option<u32> {
    if digits.is_empty() || digits.len() > 10 {
        return None;
    }
    digits.iter().try_fold(0_u32, |sum, digit| sum.checked_mul(radix)?.checked_add(char::from(*digit).to_digit(radix)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes of `text` from which `wanted` is read in some view.
    fn source<'t>(text: &'t str, wanted: &str) -> Option<&'t str> {
        let mut found = None;
        each(text.as_bytes(), true, &mut |bytes, back| {
            let at = bytes.windows(wanted.len()).position(|window| window == wanted.as_bytes());
            if let (Some(at), None) = (at, &found) {
                found = Some(back(at..at + wanted.len()));
            }
        });
        found.map(|at| &text[at])
    }

    #[test]
    fn each_escape_is_resolved_and_leads_back_to_its_source() {
        for (escaped, meaning) in [
            ("s%65cret", "secret"),
            ("s%6Fs%6fs", "sosos"),
            ("%73ecre%74", "secret"),
            ("%u0073ecret", "secret"),
            ("%uD83D%uDE00", "😀"),
            ("a+b%2B", "a b+"),
            ("\\u0073ecret", "secret"),
            ("\\ud83d\\ude00", "😀"),
            ("\\u{1F600}", "😀"),
            ("\\x73ecret", "secret"),
            ("a\\/b\\\\c\\\"d\\n", "a/b\\c\"d\n"),
            ("&lt;&#115;ecret&#x74;&#X74;&#0116;&amp;", "<secretttt&"),
            ("AB\r\n  CD\nEF", "ABCDEF"),
            ("s%2565cret", "secret"),
            ("\\u0026amp;x", "&x"),
            ("%5Cu0073", "s"),
            ("AB%0D%0ACD", "ABCD"),
        ] {
            assert_eq!(source(&format!("<{escaped}>"), meaning), Some(escaped), "{escaped}");
        }
    }

    #[test]
    fn what_is_no_escape_stays_as_it_is() {
        for text in [
            "%",
            "%4",
            "%zz",
            "%u12",
            "\\",
            "\\u12",
            "\\ud83d",
            "\\u{}",
            "\\u{1234567}",
            "&;",
            "&#;",
            "&#xD800;",
            "&#99999999999;",
            "& amp;",
            "\\q",
        ] {
            assert!(View::of(text.as_bytes(), Escape::Percent).is_none(), "{text}");
            assert!(View::of(text.as_bytes(), Escape::Backslash).is_none(), "{text}");
            assert!(View::of(text.as_bytes(), Escape::Entity).is_none(), "{text}");
        }
    }
}
