//! Which names are those of secrets.

/// Parts of the names of secrets, without what separates words.
const PARTS: [&str; 22] = [
    "accesskey",
    "accountkey",
    "apikey",
    "authkey",
    "authorization",
    "basicauth",
    "bearer",
    "connectionstring",
    "credential",
    "encryptionkey",
    "licensekey",
    "masterkey",
    "passcode",
    "passphrase",
    "passwd",
    "password",
    "privatekey",
    "secret",
    "sharedaccess",
    "signingkey",
    "token",
    "webhook",
];
/// Words that the name of a secret ends in.
const ENDINGS: [&str; 13] = [
    "cookie", "cookies", "dsn", "jwt", "key", "keys", "pass", "pat", "pin", "pw", "pwd", "sas",
    "sig",
];
/// Words that are secrets only in the name of a setting: a text may have them in another sense.
const OF_SETTINGS: [&str; 3] = ["key", "keys", "pin"];
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
const NUMBERS: [&str; 5] = ["passcode", "passphrase", "passwd", "password", "secret"];
/// Words that the name of a secret ends in that may be a number.
const NUMBER_ENDINGS: [&str; 5] = ["pass", "pin", "pw", "pwd", "token"];
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

/// Whether everything in a table or an array of this name is a secret.
pub(super) fn is_secret_table(name: &str) -> bool {
    TABLES.contains(&&*squashed(name))
}

/// Whether a name only says something about a secret, such as how old it may be.
pub(super) fn is_about(name: &str) -> bool {
    (parts_of(name).last()).is_some_and(|last| ABOUT.contains(&last.as_str()))
}

/// Whether a number of this name is a secret.
pub(super) fn is_secret_number(name: &str) -> bool {
    let words = parts_of(name);
    let is_ending = (words.last()).is_some_and(|last| NUMBER_ENDINGS.contains(&last.as_str()));
    let squashed = squashed(name);
    !(words.len() > 1 && is_about(name))
        && (is_ending || NUMBERS.iter().any(|part| squashed.contains(part)))
}

/// Whether a value of this name is a secret.
pub(super) fn is_secret_name(name: &str, known: &[&str]) -> bool {
    if known.iter().any(|known| known.eq_ignore_ascii_case(name)) {
        return true;
    }
    let words = parts_of(name);
    let Some((last, before)) = words.split_last() else {
        return false;
    };
    if words.len() > 1 && ABOUT.contains(&last.as_str()) {
        return false;
    }
    let squashed = squashed(name);
    let is_public = (before.last()).is_some_and(|word| PUBLIC.contains(&word.as_str()));
    (ENDINGS.contains(&last.as_str()) && !is_public)
        || PARTS.iter().any(|part| squashed.contains(part))
}

/// Whether a text that has this name and a value behind it has a secret.
pub(super) fn is_secret_in_text(name: &str) -> bool {
    is_secret_name(name, &[]) && !OF_SETTINGS.contains(&&*squashed(name))
}

/// The words of a name, in lower case: of `s3_Secret-Key` and of `s3SecretKey`.
fn parts_of(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_lower = false;
    for c in name.chars() {
        if !c.is_ascii_alphanumeric() || (was_lower && c.is_ascii_uppercase()) {
            words.push(String::new());
        }
        if c.is_ascii_alphanumeric() {
            let word = words.last_mut().expect("it begins with one");
            word.push(c.to_ascii_lowercase());
        }
        was_lower = c.is_ascii_lowercase();
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Letters and digits alone, in lower case: `s3_Secret-Key` is `s3secretkey`.
pub(super) fn squashed(name: &str) -> String {
    let kept = name.chars().filter(char::is_ascii_alphanumeric);
    kept.map(|c| c.to_ascii_lowercase()).collect()
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
            "smtp_pass",
            "smtpPass",
            "passcode",
            "webhook_url",
            "authorization",
            "basic_auth",
            "session-cookie",
            "jwt",
            "SharedAccessKey",
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
            "partitionKey",
            "bypass",
            "compass",
        ] {
            assert!(!is_secret_name(name, &[]), "{name}");
        }
        assert!(is_secret_name("drive_code", &["drive_code"]));
    }
}
