//! Tables and texts for people: plain enough for a pipe, and free of what a terminal would obey.

use crate::operation::State;
use comfy_table::{Cell, Color, ColumnConstraint, ContentArrangement, Width};
use std::fmt::Write as _;
use std::io::IsTerminal;

/// A text in a narrower column cannot be read; the table then runs over the terminal's edge.
const LEAST_TEXT: u16 = 24;

/// A table with its header and no lines.
pub(super) struct Table(comfy_table::Table);

impl Table {
    /// A table whose last column is broken over lines where a terminal is narrow.
    pub(super) fn new(header: &[&str]) -> Self {
        Self::with_texts(header, 1)
    }

    /// A table whose last `texts` columns are texts. The others stay whole: what is an id or a number gets copied.
    pub(super) fn with_texts(header: &[&str], texts: usize) -> Self {
        let mut table = comfy_table::Table::new();
        table
            .load_style(comfy_table::presets::NOTHING)
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_header(header.iter().copied());
        let whole = header.len().saturating_sub(texts);
        for (at, column) in table.column_iter_mut().enumerate() {
            column.set_padding((0, 2));
            column.set_constraint(match at < whole {
                true => ColumnConstraint::ContentWidth,
                false => ColumnConstraint::LowerBoundary(Width::Fixed(LEAST_TEXT)),
            });
        }
        Self(table)
    }

    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.0.add_row(cells.into_iter().collect::<Vec<_>>());
    }

    /// The table with a line end; `nothing` where it has no rows.
    pub(super) fn text(&self, nothing: &str) -> String {
        if self.0.is_empty() { format!("{nothing}\n") } else { format!("{}\n", self.0.trim_fmt()) }
    }
}

/// A cell of one line.
pub(super) fn cell(text: impl AsRef<str>) -> Cell {
    Cell::new(plain(text.as_ref()))
}

/// A cell for what may be absent.
pub(super) fn maybe(text: Option<impl AsRef<str>>) -> Cell {
    text.map_or_else(|| Cell::new("-"), cell)
}

/// A state, coloured where colours are seen.
pub(super) fn state_cell(state: State) -> Cell {
    let colour = match state {
        State::Succeeded => Color::Green,
        State::Failed => Color::Red,
        State::Attention => Color::Yellow,
        State::Queued | State::Running | State::Waiting | State::Cancelled => return cell(state.as_str()),
    };
    coloured(state.as_str(), colour)
}

/// A word in a colour, where colours are seen.
pub(super) fn coloured(word: &str, colour: Color) -> Cell {
    if colours() { cell(word).fg(colour) } else { cell(word) }
}

fn colours() -> bool {
    let asked_not_to = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    std::io::stdout().is_terminal() && !asked_not_to
}

/// One line without anything that a terminal obeys or that turns the direction of writing: texts of panels and callers
/// are not to be trusted with a terminal.
pub(super) fn plain(text: &str) -> String {
    let turns = |c| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars()
        .map(|c| {
            if c.is_control() && c.is_whitespace() {
                ' '
            } else if c.is_control() || turns(c) {
                '\u{fffd}'
            } else {
                c
            }
        })
        .collect()
}

/// Several lines, each as [`plain`] has it, behind `indent`.
pub(super) fn block(text: &str, indent: &str) -> String {
    text.lines().fold(String::new(), |mut out, line| {
        let _ = writeln!(out, "{indent}{}", plain(line));
        out
    })
}

/// A line of a description: a label and what there is to say.
pub(super) fn fact(out: &mut String, label: &str, text: impl AsRef<str>) {
    let _ = writeln!(out, "  {label:<10} {}", plain(text.as_ref()));
}

/// An instant of the API without what is of no use in a table: `2026-11-21 20:05:21`, in UTC.
pub(super) fn when(instant: &str) -> String {
    match instant.get(..19) {
        Some(seconds) => seconds.replace('T', " "),
        None => instant.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_plain_text_without_trailing_blanks() {
        let mut table = Table::new(&["id", "state", "text"]);
        assert_eq!(table.text("nothing"), "nothing\n");

        table.row([cell("op_1"), state_cell(State::Succeeded), cell("done")]);
        table.row([cell("op_22"), state_cell(State::Attention), maybe(None::<&str>)]);

        let expected = "id     state      text\nop_1   succeeded  done\nop_22  attention  -\n";
        assert_eq!(table.text("nothing"), expected);
    }

    #[test]
    fn a_narrow_terminal_breaks_texts_and_never_an_id() {
        let mut table = Table::new(&["id", "text"]);
        table.row([
            cell("op_01M7ZWPW6AH6JEH8QB5B16N2HK"),
            cell("a text that does not fit into what is left of the line"),
        ]);
        table.0.set_width(60);

        let text = table.text("");

        assert!(text.contains("\nop_01M7ZWPW6AH6JEH8QB5B16N2HK  a text"), "{text}");
        assert!(text.lines().count() > 2 && text.lines().all(|line| line.len() <= 60), "{text}");
    }

    #[test]
    fn a_terminal_obeys_nothing_of_a_text() {
        assert_eq!(plain("a\u{1b}[31mb\tc\nd\u{202e}e"), "a\u{fffd}[31mb c d\u{fffd}e");
        assert_eq!(block("a\u{7}\n  b", "| "), "| a\u{fffd}\n|   b\n");
    }

    #[test]
    fn an_instant_loses_its_fraction() {
        assert_eq!(when("2026-11-21T20:05:21.123Z"), "2026-11-21 20:05:21");
        assert_eq!(when("soon"), "soon");
    }
}
