//! Texts that show credentials by themselves, whatever the name of their setting is.

use super::names::is_secret_in_text;

/// Parts of texts that only those with credentials have, in lower case.
const PARTS: [&str; 7] = [
    "private key-----",
    "&x-amz-signature=",
    "?x-amz-signature=",
    "hooks.slack.com/",
    "/webhook",
    "api.telegram.org/bot",
    "age-secret-key-",
];
/// How tokens of well-known services begin.
const TOKENS: [&str; 9] = [
    "github_pat_",
    "ghp_",
    "gho_",
    "ghs_",
    "glpat-",
    "xoxb-",
    "xoxp-",
    "sk_live_",
    "hvs.",
];
/// The least length of what follows `Bearer` or `Basic`, or of a user that may be a token.
const LEAST: usize = 8;
/// The least length of a user in a URL that is taken for a token.
const LEAST_TOKEN: usize = 20;

/// Whether a text shows credentials by itself: a URL with a password or a token, a connection
/// string, a SAS, a header, a private key.
pub(super) fn has_credentials(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    PARTS.iter().any(|part| lower.contains(part))
        || (lower.starts_with("sv=") && lower.contains("sig="))
        || secret_in(text).is_some()
        || has_scheme(text)
        || pieces(text).any(|piece| {
            of_url(piece).unwrap_or_else(|| of_address(piece))
                || TOKENS.iter().any(|begin| piece.starts_with(begin))
                || is_web_token(piece)
        })
}

/// Where the value begins of a secret that a text names: behind `=` or `:`.
pub(super) fn secret_in(text: &str) -> Option<usize> {
    value_behind(text, is_secret_in_text)
}

/// Where the value begins behind `=` or `:` and a name that `is_name` accepts.
pub(super) fn value_behind(text: &str, is_name: impl Fn(&str) -> bool) -> Option<usize> {
    text.match_indices(['=', ':']).find_map(|(at, _)| {
        let value = text[at + 1..].trim();
        let name = name_before(text, at);
        // `token://` is the scheme of a URL.
        let has_value = !value.is_empty() && !value.starts_with("//");
        (has_value && is_name(name)).then_some(at + 1)
    })
}

/// The name that ends before `at`, without its quotes.
pub(super) fn name_before(text: &str, at: usize) -> &str {
    let before = text[..at].trim_end().trim_end_matches(['"', '\'']);
    let start = before
        .rfind(|c: char| !(c.is_ascii_alphanumeric() || "_-".contains(c)))
        .map_or(0, |at| {
            at + before[at..].chars().next().map_or(1, char::len_utf8)
        });
    &before[start..]
}

/// What whitespace and quotes separate.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| c.is_whitespace() || "\"'`<>".contains(c))
        .filter(|piece| !piece.is_empty())
}

/// Whether a text has `Bearer` or `Basic`, and credentials behind that.
fn has_scheme(text: &str) -> bool {
    let words: Vec<&str> = pieces(text).collect();
    words.windows(2).any(|pair| {
        let is = |scheme: &str| pair[0].eq_ignore_ascii_case(scheme);
        let is_random =
            (pair[1].chars()).any(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '=');
        pair[1].len() >= LEAST && (is("bearer") || (is("basic") && is_random))
    })
}

/// Whether a URL has a password or a token before its host; `None` where it is no URL.
fn of_url(piece: &str) -> Option<bool> {
    let (before, mut rest) = piece.split_once("://")?;
    let is_http = ["http", "https"]
        .iter()
        .any(|scheme| before.to_ascii_lowercase().ends_with(scheme));
    // The address of an IPv6 host has colons.
    if rest.starts_with('[') {
        rest = rest.split_once(']').map_or("", |(_, rest)| rest);
    }
    let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    if let Some((user, _)) = authority.rsplit_once('@') {
        return Some(is_http || user.contains(':') || user.len() >= LEAST_TOKEN);
    }
    // A password may have a slash in it; a port has digits only.
    let port = authority.split_once(':').map(|(_, port)| port);
    let is_port = |port: &str| port.chars().all(|c| c.is_ascii_digit());
    let is_password = port.is_some_and(|port| !is_port(port) && rest.contains('@'));
    Some(
        is_password
            || rest
                .split_once("://")
                .is_some_and(|_| of_url(rest) == Some(true)),
    )
}

/// Whether a text without a scheme has a password before an address: `user:password@tcp(host)`.
fn of_address(piece: &str) -> bool {
    let Some((before, host)) = piece.rsplit_once('@') else {
        return false;
    };
    before.split_once(':').is_some_and(|(user, password)| {
        !host.is_empty() && !password.is_empty() && !user.is_empty() && !user.ends_with("mailto")
    })
}

/// Whether it is a JSON Web Token.
fn is_web_token(piece: &str) -> bool {
    piece.contains("eyJ") && piece.matches('.').count() >= 2 && piece.len() > LEAST_TOKEN
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards against: a secret that leaves the machine, as the name of its setting says nothing;
    /// and a setting that is taken for a secret.
    #[test]
    fn credentials_are_known_by_their_form() {
        for text in [
            "mqtt://user:hush@broker:1883",
            "mqtt://user:hu/sh@broker:1883",
            "mqtt://user:hu?sh#@broker",
            "https://hush@host/",
            "sentry://0123456789abcdef0123456789@host",
            "user:hush@tcp(db:3306)/arc",
            "host=db user=arc password=hush",
            "host = db password = 'hush'",
            r#"{"password": "hush"}"#,
            "https://host/notify?token=hush",
            "https://host/notify?a=1&api_key=hush",
            "https://hooks.slack.com/services/T0/B0/hush",
            "https://host/webhook/hush",
            "Endpoint=sb://a.example/;SharedAccessKeyName=n;SharedAccessKey=hush",
            "Bearer hush-hush",
            "Authorization: Bearer hush-hush",
            "Basic dXNlcjpodXNo",
            "ghp_0123456789",
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln",
            "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=x",
            "https://a.blob.core.windows.net/c?sv=1&sig=x",
            "sv=2024&sig=abc",
        ] {
            assert!(has_credentials(text), "{text}");
        }
        for text in [
            "http://localhost:8000",
            "http://localhost:8000/a@b",
            "http://[::1]:8000/a@b",
            "127.0.0.1:8001",
            "./data@home",
            "mqtt://user@host/",
            "git@example.com:a/b",
            "mailto:me@example.com",
            "me@example.com",
            "2026-11-29T12:00:00Z",
            "partition_key=host",
            "basic authentication",
            "SELECT mean(x) FROM cpu WHERE key = 'a'",
        ] {
            assert!(!has_credentials(text), "{text}");
        }
    }
}
