//! Taking the secrets out of an `arc.toml`.

use std::collections::BTreeSet;

use super::comments::redacted_comments;
use super::leaves::{LeafKind, edited, leaves};
use super::names::is_secret;
use crate::config::placeholder;

/// The least length of a secret that is looked for elsewhere in the file: a shorter one may be a
/// common word.
const LEAST: usize = 8;

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
            && (secrets.iter()).any(|secret| leaf.text.contains(secret.as_str()));
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
}
