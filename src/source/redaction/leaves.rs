//! The values of a TOML text, each with its path and its place in the text.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A value that is neither a table nor an array.
pub(super) struct Leaf {
    /// The names that lead to it; an element of an array has its number.
    pub(super) path: Vec<Step>,
    /// Where the value is in the text, with its quotes.
    pub(super) span: Range<usize>,
    pub(super) kind: LeafKind,
    /// A string without quotes and escapes; another value as it is written.
    pub(super) text: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Name(String),
    Index(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LeafKind {
    Text,
    Boolean,
    /// A number or a time.
    Number,
}

impl Leaf {
    /// The path as names.
    pub(super) fn names(&self) -> Vec<String> {
        let names = self.path.iter().map(|step| match step {
            Step::Name(name) => name.clone(),
            Step::Index(index) => index.to_string(),
        });
        names.collect()
    }
}

/// All of them, in the order of the text.
///
/// # Errors
/// What is wrong where the text is not TOML. The message has nothing of the text.
pub(super) fn leaves(text: &str) -> Result<Vec<Leaf>, String> {
    let table = DeTable::parse(text).map_err(|error| {
        let line = error
            .span()
            .map_or(0, |span| text[..span.start].lines().count().max(1));
        format!("it is not valid TOML: line {line}: {}", error.message())
    })?;
    let mut found = Vec::new();
    of_table(text, table.get_ref(), &mut Vec::new(), &mut found);
    found.sort_by_key(|leaf| leaf.span.start);
    Ok(found)
}

fn of_table(text: &str, table: &DeTable<'_>, path: &mut Vec<Step>, found: &mut Vec<Leaf>) {
    for (name, value) in table {
        path.push(Step::Name(name.get_ref().to_string()));
        of_value(text, value, path, found);
        path.pop();
    }
}

fn of_value(text: &str, value: &Spanned<DeValue<'_>>, path: &mut Vec<Step>, found: &mut Vec<Leaf>) {
    let span = value.span();
    let (kind, read) = match value.get_ref() {
        DeValue::Table(table) => return of_table(text, table, path, found),
        DeValue::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                path.push(Step::Index(index));
                of_value(text, item, path, found);
                path.pop();
            }
            return;
        }
        DeValue::String(read) => (LeafKind::Text, read.to_string()),
        DeValue::Boolean(_) => (LeafKind::Boolean, text[span.clone()].to_owned()),
        _ => (LeafKind::Number, text[span.clone()].to_owned()),
    };
    found.push(Leaf {
        path: path.clone(),
        span,
        kind,
        text: read,
    });
}

/// The text with each span replaced.
pub(super) fn edited(text: &str, mut edits: Vec<(Range<usize>, String)>) -> String {
    edits.sort_by_key(|(span, _)| std::cmp::Reverse(span.start));
    let mut text = text.to_owned();
    for (span, new) in edits {
        text.replace_range(span, &new);
    }
    text
}
