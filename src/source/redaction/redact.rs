//! Taking the secrets out of an `arc.toml`.

use std::collections::BTreeSet;

use super::comments::redacted_comments;
use super::leaves::{LeafKind, edited, leaves};
use super::secrets::is_secret;
use crate::config::placeholder;

/// The least length of a secret that is looked for elsewhere in the file: a shorter one may be a
/// common word.
const LEAST: usize = 8;
/// The least length of a secret in small letters and digits that no name of a setting has.
const LEAST_RANDOM: usize = 16;

/// An `arc.toml` without secrets.
#[derive(Debug)]
pub(in crate::source) struct Redacted {
    pub(in crate::source) text: String,
    /// The variables that are in the place of secrets, sorted.
    pub(in crate::source) variables: Vec<String>,
}

/// Replaces each secret by the name of its variable. `known` are names of secrets beside those
/// that are known by their words.
///
/// # Errors
/// What is wrong where the text is not TOML.
pub(in crate::source) fn redact(text: &str, known: &[&str]) -> Result<Redacted, String> {
    let leaves = leaves(text)?;
    let secrets: Vec<String> = (leaves.iter())
        .filter(|leaf| is_secret(leaf, known) && leaf.text.len() >= LEAST)
        .map(|leaf| leaf.text.clone())
        .collect();
    let mut variables = BTreeSet::new();
    let mut edits = redacted_comments(text, known, &secrets);
    for leaf in &leaves {
        let (variable, placeholder) = placeholder(&leaf.names());
        if leaf.text == placeholder {
            variables.insert(variable);
            continue;
        }
        // A value that has another one's secret in it is one, too.
        let shows = leaf.kind == LeafKind::Text
            && (secrets.iter()).any(|secret| shows_secret(&leaf.text, secret));
        if !shows && !is_secret(leaf, known) {
            continue;
        }
        edits.push((leaf.span.clone(), format!("\"{placeholder}\"")));
        variables.insert(variable);
    }
    Ok(Redacted {
        text: edited(text, edits),
        variables: variables.into_iter().collect(),
    })
}

/// Whether a setting shows the secret of another one.
///
/// A short text in small letters, such as the access key `arcbackup`, may well be the name of a
/// bucket or a folder too. It is looked for in sentences and URLs only.
fn shows_secret(text: &str, secret: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c);
    let is_common = secret.len() < LEAST_RANDOM && secret.chars().all(is_plain);
    let has_prose = || {
        let words = text.split_whitespace();
        let paths = text
            .split_once("://")
            .and_then(|(_, rest)| rest.split_once('/'));
        words.count() > 1 || paths.is_some_and(|(_, path)| path.contains(secret))
    };
    text.contains(secret) && (!is_common || has_prose())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards against a secret in a remote store, however it is written; and an `arc.toml` that
    /// comes back without its comments and its order.
    #[test]
    fn secrets_in_odd_places_are_replaced_and_the_rest_stays() {
        let text = r####"# Our instance.
top_secret = "hush-0-hush"   # why
[storage]
backend = "s3" # not "local"
s3_access_key = 'hush-1-hush'
"s3_secret_key" = """
hush-2-hush # no comment
"""
s3_bucket = "arc"
# s3_secret_key = "hush-3-hush" # older
#azure_account_key: hush-4-hush
# password = """
# hush-5-hush
# """
# The old one was hush-1-hush.
[auth]
cache_ttl = 300
bootstrap_token = "hush-6-hush"
[backup.targets.far]
type = "azure"
azure_connection_string = "AccountName=a;AccountKey=hush-7-hush"
inline = { user = "me", password = "hush-8-hush", deep.api_key = "hush-9-hush" }
[[mqtt]]
url = "mqtt://me:hush-10-hush@broker"
tokens = [
  "hush-11-hush", # the first: hush-11-hush
  "hush-12-hush",
]
[[mqtt]]
password = 123456789
note = "it was hush-8-hush"
empty_token = ""
token_enabled = true
"####;
        let redacted = redact(text, &[]).expect("valid TOML");
        for number in 0..=12 {
            let secret = format!("hush-{number}-hush");
            assert!(
                !redacted.text.contains(&secret),
                "{secret}: {}",
                redacted.text
            );
        }
        assert!(!redacted.text.contains("123456789"));
        for kept in [
            "# Our instance.\n",
            "   # why\n",
            "backend = \"s3\" # not \"local\"\n",
            "s3_access_key = \"${ARC_STORAGE_S3_ACCESS_KEY}\"\n",
            "# s3_secret_key = (redacted)\n",
            "cache_ttl = 300\n",
            "inline = { user = \"me\", password = \"${ARC_BACKUP_TARGETS_FAR_INLINE_PASSWORD}\"",
            "  \"${ARC_MQTT_0_TOKENS_1}\",\n",
            "empty_token = \"\"\ntoken_enabled = true\n",
        ] {
            assert!(redacted.text.contains(kept), "{kept:?}: {}", redacted.text);
        }
        let parsed: toml::Table = redacted.text.parse().expect("still TOML");
        assert_eq!(parsed["storage"]["s3_bucket"].as_str(), Some("arc"));
        assert!((redacted.variables).contains(&"ARC_AUTH_BOOTSTRAP_TOKEN".to_owned()));
        let again = redact(&redacted.text, &[]).expect("valid TOML");
        assert_eq!(
            (again.text, again.variables),
            (redacted.text, redacted.variables)
        );
        // Nothing to take out: not a byte changes.
        let plain = "a = 1 # [x]\r\n[b]\r\nc = '#'\r\n";
        assert_eq!(redact(plain, &[]).expect("valid TOML").text, plain);
        let error = redact("a = hush-1-hush\n", &[]).expect_err("no TOML");
        assert!(
            error.contains("line 1") && !error.contains("hush"),
            "{error}"
        );
    }

    /// Guards against secrets that were in backups of a remote target: their names or forms were
    /// not known.
    #[test]
    fn secrets_of_every_usual_form_are_replaced() {
        let text = r####"[alerts]
webhook_url = "https://chat.example/x/hush-00-hush"
url = "https://x.example/notify?token=hush-01-hush"
smtp_pass = "hush-02-hush"
pass = "hush-03-hush"
passcode = "hush-04-hush"
authorization = "Bearer hush-05-hush"
headers = { Authorization = "Bearer hush-06-hush", "X-Auth" = "hush-07-hush", "Content-Type" = "text/plain" }
auth_header = "Bearer hush-08-hush"
basic_auth = "hush-09-hush"
cookie = "hush-10-hush"
jwt = "hush-11-hush"
database = "host=db user=arc password=hush-12-hush"
mysql = "arc:hush-13-hush@tcp(db:3306)/arc"
hub = "Endpoint=sb://a.example/;SharedAccessKeyName=n;SharedAccessKey=hush-14-hush"
sentry = "https://hush-15-hush@sentry.example/1"
broker = "mqtt://me:hush/16-hush@broker:1883"
pin_token = 417417
extra_headers = ["Accept: text/plain", "X-Auth: hush-17-hush"]
password = { value = "hush-18-hush" }
[alerts.webhook]
url = "https://chat.example/x/hush-19-hush"
[passwords]
admin = 518518
timeout = 30
[comments]
password_min_length = 12
# -----BEGIN PRIVATE KEY-----
# hush-20-hush
# -----END PRIVATE KEY-----
# password hush-21-hush
# the password is hush-22-hush
# Authorization: Bearer hush-23-hush
# s3_secret_key:
#   hush-24-hush
# tokens = [ ["a"],
#   ["hush-25-hush"] ]
# smtp_pass = "hush-26-hush"
# url = "mqtt://me:hush-27-hush@broker", password = "x"
# [passwords]
# admin = "hush-28-hush"
# private_key = -----BEGIN EC PRIVATE KEY-----
# hush-29-hush
# -----END EC PRIVATE KEY-----
a = 1
# The password of the broker is in the vault of the team, see below.
"####;
        let redacted = redact(text, &[]).expect("valid TOML").text;
        let left: Vec<&str> = (redacted.lines())
            .filter(|line| {
                line.contains("-hush") || line.contains("17417") || line.contains("18518")
            })
            .collect();
        assert_eq!(left, Vec::<&str>::new());
        for kept in [
            "\"Content-Type\" = \"text/plain\"",
            "[\"Accept: text/plain\", ",
            "timeout = 30\n",
            "password_min_length = 12\n",
            "# s3_secret_key:\n",
            "# The password of the broker is in the vault of the team, see below.\n",
        ] {
            assert!(redacted.contains(kept), "{kept:?}: {redacted}");
        }
        let _: toml::Table = redacted.parse().expect("still TOML");
    }

    /// Guards against: a bucket or a folder that is lost, as an access key has the same name.
    #[test]
    fn a_short_access_key_takes_no_other_setting_away() {
        let text = "[storage]\nlocal_path = \"./data/arc-store\"\ns3_bucket = \"arc-store\"\ns3_endpoint = \"http://arc-store:9000\"\n\
                    s3_access_key = \"arc-store\"\nnote = \"the key is arc-store now\"\n";
        let redacted = redact(text, &[]).expect("valid TOML");
        assert_eq!(
            redacted.variables,
            ["ARC_STORAGE_NOTE", "ARC_STORAGE_S3_ACCESS_KEY"]
        );
    }
}
