use std::ops::Range;

/// Replacements of spans of one text, collected in any order.
///
/// Of two edits that touch the same bytes the outer one, else the earlier one, is carried out: a masked parent takes
/// its masked children with it.
#[derive(Debug, Default)]
pub(super) struct Edits(Vec<(Range<usize>, String)>);

impl Edits {
    pub(super) fn replace(&mut self, span: Range<usize>, with: String) {
        self.0.push((span, with));
    }

    /// The text after all edits; `None` if there are none.
    pub(super) fn apply(mut self, text: &str) -> Option<String> {
        if self.0.is_empty() {
            return None;
        }
        self.0.sort_by(|(a, _), (b, _)| a.start.cmp(&b.start).then(b.end.cmp(&a.end)));
        let mut out = String::with_capacity(text.len());
        let mut kept = 0;
        for (span, with) in self.0 {
            if span.start < kept {
                continue;
            }
            out.push_str(&text[kept..span.start]);
            out.push_str(&with);
            kept = span.end;
        }
        out.push_str(&text[kept..]);
        Some(out)
    }
}

/// A stretch of text that shows a secret.
#[derive(Clone, Debug)]
pub(super) struct Span {
    pub(super) at: Range<usize>,
    pub(super) shows: Shows,
    /// Length of the part that `shows` speaks of.
    longest: usize,
}

/// Whose fingerprint the mask over a span carries.
#[derive(Clone, Debug)]
pub(super) enum Shows {
    /// A known value, by its index in the set.
    Known(usize),
    /// A value found by its place, decoded.
    Placed(String),
    /// A mask from an earlier pass: left as it is unless a secret reaches into it, which then takes all of it.
    Mask,
}

impl Span {
    fn overlaps(&self, other: &Self) -> bool {
        self.at.start < other.at.end && other.at.start < self.at.end
    }

    /// Takes in an overlapping span; the longer part decides what both show.
    fn absorb(&mut self, other: Self) {
        self.at = self.at.start.min(other.at.start)..self.at.end.max(other.at.end);
        if other.longest > self.longest {
            self.longest = other.longest;
            self.shows = other.shows;
        }
    }
}

/// The spans of one text; overlapping ones are joined, those that merely touch stay apart.
#[derive(Debug, Default)]
pub(super) struct Spans(Vec<Span>);

impl Spans {
    pub(super) fn push(&mut self, at: Range<usize>, shows: Shows) {
        let longest = if matches!(shows, Shows::Mask) { 0 } else { at.len() };
        let span = Span { at, shows, longest };
        match self.0.last_mut() {
            // Joined at once, so that a value that overlaps itself a million times takes no memory.
            Some(last) if last.overlaps(&span) => last.absorb(span),
            _ => self.0.push(span),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The joined spans in order, without masks that nothing reaches into.
    pub(super) fn joined(mut self) -> Vec<Span> {
        self.0.sort_by_key(|span| span.at.start);
        let mut joined: Vec<Span> = Vec::with_capacity(self.0.len());
        for span in self.0 {
            match joined.last_mut() {
                Some(last) if last.overlaps(&span) => last.absorb(span),
                _ => joined.push(span),
            }
        }
        joined.retain(|span| !matches!(span.shows, Shows::Mask));
        joined
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outer_edit_takes_the_inner_ones_with_it() {
        let mut edits = Edits::default();
        edits.replace(4..6, "inner".into());
        edits.replace(2..8, "outer".into());
        edits.replace(0..1, "A".into());

        assert_eq!(edits.apply("a.23456789").as_deref(), Some("A.outer89"));
        assert_eq!(Edits::default().apply("a"), None);
    }

    #[test]
    fn overlapping_spans_become_one_and_touching_ones_stay_two() {
        let mut spans = Spans::default();
        for (at, value) in [(10..14, 3), (0..5, 0), (3..10, 1), (4..6, 2)] {
            spans.push(at, Shows::Known(value));
        }

        let found: Vec<_> = spans.joined().into_iter().map(|span| (span.at, format!("{:?}", span.shows))).collect();

        assert_eq!(found, [(0..10, "Known(1)".into()), (10..14, "Known(3)".into())]);
    }

    #[test]
    fn a_mask_alone_is_left_and_one_that_is_reached_into_is_taken_whole() {
        let mut spans = Spans::default();
        spans.push(2..20, Shows::Mask);
        spans.push(30..50, Shows::Mask);
        spans.push(10..14, Shows::Known(0));

        let joined = spans.joined();

        assert_eq!((joined.len(), joined[0].at.clone()), (1, 2..20));
    }
}
