//! Comments that show a secret: most often a setting that was commented out.

use std::ops::Range;

use toml_parser::Source;
use toml_parser::lexer::TokenKind;

use super::names::{has_credentials, is_secret_name};

/// What is in the place of a secret in a comment.
const REDACTED: &str = "(redacted)";

/// The changes that take the secrets out of the comments. `secrets` are the texts of secrets that
/// the file has elsewhere.
pub(super) fn redacted_comments(
    text: &str,
    known: &[&str],
    secrets: &[String],
) -> Vec<(Range<usize>, String)> {
    let mut edits = Vec::new();
    // What ends a value that continues in the next comments.
    let mut open: Option<&str> = None;
    for token in Source::new(text).lex() {
        let span = token.span().start()..token.span().end();
        match token.kind() {
            TokenKind::Comment => {}
            TokenKind::Whitespace | TokenKind::Newline => continue,
            _ => {
                open = None;
                continue;
            }
        }
        let comment = &text[span.clone()];
        if let Some(end) = open {
            edits.push((span, format!("# {REDACTED}")));
            open = (!comment.contains(end)).then_some(end);
        } else if let Some(at) = value_of_secret(comment, known) {
            let value = comment[at..].trim_start();
            open = end_of(value);
            edits.push((span.start + at..span.end, format!(" {REDACTED}")));
        } else if has_credentials(comment)
            || (secrets.iter()).any(|secret| comment.contains(secret.as_str()))
        {
            edits.push((span, format!("# {REDACTED}")));
        }
    }
    edits
}

/// Where the value begins of a secret that a comment names: behind `=` or `:`.
fn value_of_secret(comment: &str, known: &[&str]) -> Option<usize> {
    comment.match_indices(['=', ':']).find_map(|(at, _)| {
        let before = comment[..at].trim_end().trim_end_matches(['"', '\'']);
        let start = before
            .rfind(|c: char| !(c.is_ascii_alphanumeric() || "_-".contains(c)))
            .map_or(0, |at| {
                at + before[at..].chars().next().map_or(1, char::len_utf8)
            });
        let name = &before[start..];
        let has_value = !comment[at + 1..].trim().is_empty();
        (has_value && is_secret_name(name, known)).then_some(at + 1)
    })
}

/// What ends a value that does not end in its line.
fn end_of(value: &str) -> Option<&'static str> {
    for (begin, end) in [("\"\"\"", "\"\"\""), ("'''", "'''"), ("[", "]"), ("{", "}")] {
        if let Some(rest) = value.strip_prefix(begin) {
            return (!rest.contains(end)).then_some(end);
        }
    }
    None
}
