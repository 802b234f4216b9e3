//! Comments that show a secret: most often a setting that was commented out.

use std::ops::Range;

use toml_parser::Source;
use toml_parser::lexer::TokenKind;

use super::credentials::{has_credentials, name_before, value_behind};
use super::names::{is_secret_in_text, is_secret_name, is_secret_table};

/// What is in the place of a secret in a comment.
const REDACTED: &str = "(redacted)";
/// Words between a name and its value, in prose.
const VERBS: [&str; 4] = ["is", "was", "to", "->"];

/// What ends a value that continues in the next comments.
enum Open {
    /// A text.
    Text(&'static str),
    /// As many brackets.
    Brackets(usize),
    /// The end of the next line.
    Line,
}

/// The changes that take the secrets out of the comments. `secrets` are the texts of secrets that
/// the file has elsewhere.
pub(super) fn redacted_comments(
    text: &str,
    known: &[&str],
    secrets: &[String],
) -> Vec<(Range<usize>, String)> {
    let mut edits = Vec::new();
    let mut open = None;
    // Whether the comments are in a table of secrets that was commented out.
    let mut in_table = false;
    for token in Source::new(text).lex() {
        let span = token.span().start()..token.span().end();
        match token.kind() {
            TokenKind::Comment => {}
            TokenKind::Whitespace | TokenKind::Newline => continue,
            _ => {
                (open, in_table) = (None, false);
                continue;
            }
        }
        let comment = &text[span.clone()];
        if let Some(is) = open.take() {
            edits.push((span, format!("# {REDACTED}")));
            open = still_open(is, comment);
            continue;
        }
        if let Some(table) = table_of(comment) {
            in_table = is_secret_table(table);
        }
        let is_name = |name: &str| (in_table && !name.is_empty()) || is_secret_name(name, known);
        let shows = |text: &str| {
            has_credentials(text) || (secrets.iter()).any(|secret| text.contains(secret.as_str()))
        };
        match value_behind(comment, is_name) {
            Some(at) if !shows(&comment[..at]) => {
                open = opened(comment[at..].trim_start());
                edits.push((span.start + at..span.end, format!(" {REDACTED}")));
            }
            found => {
                let value = found.map_or(comment, |at| comment[at..].trim_start());
                if found.is_some() || shows(comment) || is_prose_with_secret(comment) {
                    edits.push((span, format!("# {REDACTED}")));
                    open = opened(value);
                } else if is_name_alone(comment, is_name) {
                    open = Some(Open::Line);
                }
            }
        }
    }
    edits
}

/// The last name of the header of a table that was commented out.
fn table_of(comment: &str) -> Option<&str> {
    let header = comment.trim_matches(|c: char| c == '#' || c.is_whitespace());
    let name = header.strip_prefix('[')?.strip_suffix(']')?;
    let name = name.trim_matches(|c: char| "[]\"' ".contains(c));
    name.rsplit('.').next()
}

/// Whether a comment has nothing but the name of a secret, whose value is in the next line.
fn is_name_alone(comment: &str, is_name: impl Fn(&str) -> bool) -> bool {
    let text = comment.trim_matches(|c: char| c == '#' || c.is_whitespace());
    let Some(name) = text.strip_suffix([':', '=']) else {
        return false;
    };
    let name = name.trim().trim_matches(['"', '\'']);
    name_before(name, name.len()) == name && is_name(name)
}

/// Whether the last word of a comment is the value of a secret: `password hush`.
fn is_prose_with_secret(comment: &str) -> bool {
    let words: Vec<&str> = (comment.split_whitespace())
        .map(|word| word.trim_matches(|c: char| "#\"'`,.;".contains(c)))
        .filter(|word| !word.is_empty())
        .collect();
    match words.as_slice() {
        [.., name, verb, _] if VERBS.contains(verb) => is_secret_in_text(name),
        [.., name, _] => is_secret_in_text(name),
        _ => false,
    }
}

/// What ends a value that does not end in its line.
fn opened(value: &str) -> Option<Open> {
    for end in ["\"\"\"", "'''"] {
        if let Some(rest) = value.strip_prefix(end) {
            return (!rest.contains(end)).then_some(Open::Text(end));
        }
    }
    if value.contains("-----BEGIN") {
        return (!value.contains(PEM_END)).then_some(Open::Text(PEM_END));
    }
    match value.starts_with(['[', '{']) {
        true => still_open(Open::Brackets(0), value),
        false => None,
    }
}

/// How the last line of a key in PEM begins.
const PEM_END: &str = "-----END";

/// What is still to come after a line of a value.
fn still_open(open: Open, line: &str) -> Option<Open> {
    match open {
        Open::Line => None,
        Open::Text(end) => (!line.contains(end)).then_some(Open::Text(end)),
        Open::Brackets(mut depth) => {
            let mut quote = None;
            for c in line.chars() {
                match (quote, c) {
                    (None, '"' | '\'') => quote = Some(c),
                    (Some(begun), _) if begun == c => quote = None,
                    (None, '[' | '{') => depth += 1,
                    (None, ']' | '}') => depth = depth.saturating_sub(1),
                    _ => {}
                }
            }
            (depth > 0).then_some(Open::Brackets(depth))
        }
    }
}
