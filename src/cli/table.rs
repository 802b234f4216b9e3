//! Tables for people: headers, columns as wide as what is in them, no line over 100 columns.

use super::output::escaped;

/// The most columns of a line.
pub(super) const WIDTH: usize = 100;
/// Between two columns.
const GAP: &str = "  ";
/// Before a line that belongs to the row above.
const INDENT: &str = "    ";
/// The most lines of one note.
const NOTE_LINES: usize = 4;

/// A column of a table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    header: &'static str,
    is_right: bool,
    /// Columns that may be dropped where the line is too long, the highest first; 0 stays.
    drop: u8,
    can_shrink: bool,
}

/// A column of text.
pub(super) const fn left(header: &'static str) -> Column {
    Column {
        header,
        is_right: false,
        drop: 0,
        can_shrink: false,
    }
}

/// A column of numbers.
pub(super) const fn right(header: &'static str) -> Column {
    Column {
        is_right: true,
        ..left(header)
    }
}

impl Column {
    /// The same, dropped where the line is too long; the one with the highest `order` goes first.
    pub(super) const fn or_drop(self, order: u8) -> Self {
        Self {
            drop: order,
            ..self
        }
    }

    /// The same, with its texts cut where the line is too long.
    pub(super) const fn or_shrink(self) -> Self {
        Self {
            can_shrink: true,
            ..self
        }
    }
}

/// Rows under headers.
#[derive(Debug)]
pub(super) struct Table {
    columns: Vec<Column>,
    rows: Vec<(Vec<String>, Vec<String>)>,
}

impl Table {
    pub(super) fn new(columns: impl Into<Vec<Column>>) -> Self {
        Self {
            columns: columns.into(),
            rows: Vec::new(),
        }
    }

    /// Adds a row, with a cell for each column.
    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let cells = cells.into_iter().map(|cell| escaped(&cell)).collect();
        self.rows.push((cells, Vec::new()));
    }

    /// Adds a line below the last row.
    pub(super) fn note(&mut self, text: &str) {
        if let Some((_, notes)) = self.rows.last_mut() {
            notes.extend(wrapped(&escaped(text), WIDTH - INDENT.len()));
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Its lines, the headers first.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut shown: Vec<usize> = (0..self.columns.len())
            .filter(|at| {
                self.rows
                    .iter()
                    .any(|(cells, _)| !cell(cells, *at).is_empty())
            })
            .collect();
        let mut widths: Vec<usize> = (self.columns.iter().enumerate())
            .map(|(at, column)| {
                let cells = self.rows.iter().map(|(cells, _)| length(cell(cells, at)));
                cells.max().unwrap_or(0).max(length(column.header))
            })
            .collect();
        let excess = |shown: &[usize], widths: &[usize]| {
            let gaps = GAP.len() * shown.len().saturating_sub(1);
            let total: usize = shown.iter().map(|at| widths[*at]).sum();
            (total + gaps).saturating_sub(WIDTH)
        };
        while excess(&shown, &widths) > 0 {
            let most = (shown.iter().enumerate()).max_by_key(|(_, at)| self.columns[**at].drop);
            match most {
                Some((place, at)) if self.columns[*at].drop > 0 => {
                    shown.remove(place);
                }
                _ => break,
            }
        }
        for at in shown.clone() {
            if self.columns[at].can_shrink {
                let least = length(self.columns[at].header).max(8).min(widths[at]);
                let excess = excess(&shown, &widths);
                widths[at] = widths[at].saturating_sub(excess).max(least);
            }
        }
        let laid_out = |cell_of: &dyn Fn(usize) -> String| {
            let cells = shown.iter().map(|at| {
                let (text, width) = (cut(&cell_of(*at), widths[*at]), widths[*at]);
                match self.columns[*at].is_right {
                    true => format!("{text:>width$}"),
                    false => format!("{text:width$}"),
                }
            });
            let line = cells.collect::<Vec<_>>().join(GAP);
            line.trim_end().to_owned()
        };
        let mut lines = vec![laid_out(&|at| self.columns[at].header.to_owned())];
        for (cells, notes) in &self.rows {
            lines.push(laid_out(&|at| cell(cells, at).to_owned()));
            lines.extend(notes.iter().map(|note| format!("{INDENT}{note}")));
        }
        lines
    }

    /// Prints it on standard output.
    pub(super) fn print(&self) {
        self.lines()
            .iter()
            .for_each(|line| super::output::print_line(line));
    }
}

fn cell(cells: &[String], at: usize) -> &str {
    cells.get(at).map_or("", String::as_str)
}

fn length(text: &str) -> usize {
    text.chars().count()
}

/// The text, or its beginning with `…` where it is longer than `width`.
fn cut(text: &str, width: usize) -> String {
    if length(text) <= width {
        return text.to_owned();
    }
    let start: String = text.chars().take(width.saturating_sub(1)).collect();
    format!("{start}…")
}

/// The text in lines of at most `width`, broken between words where that is possible.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let mut word: Vec<char> = word.chars().collect();
        loop {
            let last = lines.last_mut().expect("there is a line from the start");
            let gap = usize::from(!last.is_empty());
            if length(last) + gap + word.len() <= width {
                if gap > 0 {
                    last.push(' ');
                }
                last.extend(word);
                break;
            }
            if last.is_empty() {
                last.extend(word.drain(..width));
            }
            lines.push(String::new());
        }
    }
    if lines.len() > NOTE_LINES {
        lines.truncate(NOTE_LINES);
        if let Some(last) = lines.last_mut() {
            *last = cut(&format!("{last} …"), width);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new([
            left("NAME").or_shrink(),
            right("SIZE"),
            left("AGE").or_drop(2),
            left("MORE").or_drop(1),
            left("NONE"),
        ]);
        for (name, size, age, more) in [("a", "1", "3h", "x"), ("bb\u{1b}[31m", "100", "12d", "")] {
            table.row([name, size, age, more, ""].map(str::to_owned));
        }
        table
    }

    /// Names may hold what a terminal obeys; numbers are compared by their last digits.
    #[test]
    fn columns_are_as_wide_as_their_cells() {
        let mut table = table();
        table.note("why: it\nfailed");
        assert_eq!(
            table.lines(),
            [
                "NAME          SIZE  AGE  MORE",
                "a                1  3h   x",
                "bb\\u{1b}[31m   100  12d",
                "    why: it\\nfailed",
            ]
        );
    }

    /// Guards against: lines that the terminal breaks.
    #[test]
    fn no_line_is_wider_than_100_columns() {
        let mut table = table();
        table.row([
            "n".repeat(82),
            "7".to_owned(),
            "1d".to_owned(),
            "m".repeat(7),
        ]);
        table.note(&"word ".repeat(60));
        table.note(&"w".repeat(1000));
        let lines = table.lines();
        assert!(lines.iter().all(|line| length(line) <= WIDTH), "{lines:#?}");
        // The least needed went, and nothing was cut for it.
        assert!(
            !lines[0].contains("AGE") && lines[0].contains("MORE"),
            "{lines:#?}"
        );
        assert!(lines[3].starts_with(&"n".repeat(82)), "{lines:#?}");
        table.row(["n".repeat(200), "7".to_owned()]);
        let lines = table.lines();
        assert!(lines.iter().all(|line| length(line) <= WIDTH), "{lines:#?}");
        assert!(lines.iter().any(|line| line.contains("n…")), "{lines:#?}");
    }
}
