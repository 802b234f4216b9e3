//! Which values of a configuration are secrets.

use super::leaves::{Leaf, LeafKind, Step};

/// Parts of the names of secrets, without what separates words.
const PARTS: [&str; 17] = [
    "accesskey",
    "accountkey",
    "apikey",
    "authkey",
    "bearer",
    "connectionstring",
    "credential",
    "encryptionkey",
    "licensekey",
    "masterkey",
    "passphrase",
    "passwd",
    "password",
    "privatekey",
    "secret",
    "signingkey",
    "token",
];
/// Words that the name of a secret ends in.
const ENDINGS: [&str; 6] = ["dsn", "key", "keys", "pw", "pwd", "sas"];
/// Words before a key that is no secret.
const PUBLIC: [&str; 7] = [
    "foreign",
    "group",
    "partition",
    "primary",
    "public",
    "shard",
    "sort",
];
/// Words that a name ends in which only says something about a secret.
const ABOUT: [&str; 24] = [
    "algorithm",
    "count",
    "days",
    "dir",
    "directory",
    "enabled",
    "endpoint",
    "expiry",
    "file",
    "folder",
    "header",
    "hours",
    "interval",
    "iterations",
    "length",
    "limit",
    "minutes",
    "path",
    "prefix",
    "required",
    "seconds",
    "size",
    "timeout",
    "ttl",
];
/// Parts of the names of secrets that may be numbers.
const NUMBERS: [&str; 4] = ["passphrase", "passwd", "password", "secret"];
/// Tables and arrays of which everything is a secret.
const TABLES: [&str; 7] = [
    "apikeys",
    "credentials",
    "passwords",
    "privatekeys",
    "secrets",
    "tokens",
    "accesskeys",
];

/// Whether the value at a path is a secret; `known` are further names of secrets.
pub(super) fn is_secret(leaf: &Leaf, known: &[&str]) -> bool {
    if leaf.kind == LeafKind::Boolean || leaf.text.is_empty() {
        return false;
    }
    let mut names = leaf.path.iter().rev().filter_map(|step| match step {
        Step::Name(name) => Some(name.as_str()),
        Step::Index(_) => None,
    });
    let Some(name) = names.next() else {
        return false;
    };
    let in_table = names.any(|name| TABLES.contains(&&*squashed(name)));
    match leaf.kind {
        LeafKind::Boolean => false,
        LeafKind::Number => NUMBERS.iter().any(|part| squashed(name).contains(part)),
        LeafKind::Text => in_table || is_secret_name(name, known) || has_credentials(&leaf.text),
    }
}

/// Whether a value of this name is a secret.
pub(super) fn is_secret_name(name: &str, known: &[&str]) -> bool {
    if known.iter().any(|known| known.eq_ignore_ascii_case(name)) {
        return true;
    }
    let lower = name.to_ascii_lowercase();
    let words: Vec<&str> = (lower.split(|c: char| !c.is_ascii_alphanumeric()))
        .filter(|word| !word.is_empty())
        .collect();
    let Some((last, before)) = words.split_last() else {
        return false;
    };
    if words.len() > 1 && ABOUT.contains(last) {
        return false;
    }
    let squashed = squashed(name);
    let is_ending =
        ENDINGS.contains(last) && !before.last().is_some_and(|word| PUBLIC.contains(word));
    is_ending || PARTS.iter().any(|part| squashed.contains(part))
}

/// Letters and digits alone, in lower case: `s3_Secret-Key` is `s3secretkey`.
fn squashed(name: &str) -> String {
    let kept = name.chars().filter(char::is_ascii_alphanumeric);
    kept.map(|c| c.to_ascii_lowercase()).collect()
}

/// Whether a text shows credentials by itself: a URL with a password, an Azure connection string or
/// SAS, a private key.
pub(super) fn has_credentials(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let of_url = lower.match_indices("://").any(|(at, _)| {
        let rest = &lower[at + 3..];
        let end = rest.find(|c: char| "/?#\"' ".contains(c) || c.is_whitespace());
        let authority = &rest[..end.unwrap_or(rest.len())];
        (authority.rsplit_once('@')).is_some_and(|(user, _)| user.contains(':'))
    });
    of_url
        || ["accountkey=", "sharedaccesssignature=", "private key-----"]
            .iter()
            .any(|part| lower.contains(part))
        || ["?sig=", "&sig=", "&x-amz-signature=", "?x-amz-signature="]
            .iter()
            .any(|part| lower.contains(part))
        || (lower.starts_with("sv=") && lower.contains("sig="))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards against: a secret that leaves the machine as its key has an unusual name, and a
    /// backup without settings that are none.
    #[test]
    fn names_of_secrets_are_known() {
        for name in [
            "s3_secret_key",
            "S3_ACCESS_KEY",
            "azure_connection_string",
            "azure_account_key",
            "azure_sas_token",
            "arc_token",
            "bootstrap_token",
            "monitor_token",
            "password",
            "mqtt-password",
            "passwordHash",
            "clientSecret",
            "apiKey",
            "license_key",
            "key",
            "sas",
            "db_pwd",
            "encryption.key",
        ] {
            assert!(is_secret_name(name, &[]), "{name}");
        }
        for name in [
            "s3_bucket",
            "tls_key_file",
            "azure_account_name",
            "token_ttl",
            "cache_ttl",
            "partition_key",
            "keyspace",
            "password_min_length",
            "secret_path",
            "listen",
            "local_path",
        ] {
            assert!(!is_secret_name(name, &[]), "{name}");
        }
        assert!(is_secret_name("drive_code", &["drive_code"]));
        for text in [
            "mqtt://user:hush@broker:1883",
            "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=x",
            "https://a.blob.core.windows.net/c?sv=1&sig=x",
            "sv=2024&sig=abc",
        ] {
            assert!(has_credentials(text), "{text}");
        }
        for text in ["http://localhost:8000", "./data@home", "https://user@host/"] {
            assert!(!has_credentials(text), "{text}");
        }
    }
}
