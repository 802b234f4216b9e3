//! What is in the place of a secret in an `arc.toml` without secrets: the name of the variable that
//! gives it.

use super::values::Values;
use super::variables::variable;
use super::warning::Warning;

/// The variable of the value at `path`, and what is in its place: `${ARC_STORAGE_S3_SECRET_KEY}`.
pub(crate) fn placeholder(path: &[String]) -> (String, String) {
    let name = variable(&path.join("."));
    let is_odd = |c: char| !c.is_ascii_alphanumeric();
    let name = name.replace(is_odd, "_");
    let text = format!("${{{name}}}");
    (name, text)
}

/// Whether a text is what is in the place of some secret.
pub(super) fn is_placeholder(text: &str) -> bool {
    let name = text
        .strip_prefix("${")
        .and_then(|rest| rest.strip_suffix('}'));
    name.is_some_and(|name| name.starts_with("ARC_"))
}

/// A warning for each placeholder that stayed in the file, and whose variable is not set.
pub(super) fn unfilled(values: &Values) -> Vec<Warning> {
    let texts = values.texts().into_iter();
    let unfilled = texts.filter_map(|(path, text)| {
        let (name, placeholder) = placeholder(&path);
        let key = path.join(".");
        let can_be_set = is_key(&path);
        let is_set = can_be_set && (values.is_overridden(&key) || values.variable(&name).is_some());
        (text == placeholder && !is_set).then(|| {
            let text = format!(
                "`{key}` is `{text}`, which a backup without secrets has in the place of a secret"
            );
            Warning::new(key, text).with_remedy(match can_be_set {
                true => format!("write the secret there, or set `{name}`"),
                false => "write the secret there; no variable sets it".to_owned(),
            })
        })
    });
    unfilled.collect()
}

/// Whether a variable can set the value at a path: none sets an element of an array, or a key with
/// other characters.
fn is_key(path: &[String]) -> bool {
    path.iter().all(|name| {
        let is_number = name.chars().all(|c| c.is_ascii_digit());
        !is_number && (name.chars()).all(|c| c.is_ascii_alphanumeric() || "_-".contains(c))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards against: a restored `arc.toml` whose placeholders are taken for secrets, and a store
    /// that only says "access denied".
    #[test]
    fn a_placeholder_without_its_variable_is_warned_of() {
        let text = "[storage]\ns3_secret_key = \"${ARC_STORAGE_S3_SECRET_KEY}\"\ns3_access_key = \"${OTHER}\"\n\
                    [arc_backup]\nmonitor_token = \"${ARC_BACKUP_MONITOR_TOKEN}\"\n[[x]]\ntoken = \"${ARC_X_0_TOKEN}\"\n";
        let settings = |environment: &[(&str, &str)]| {
            let environment = (environment.iter()).map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
            let values = Values::parse(text, "arc.toml", environment).expect("valid TOML");
            let found = unfilled(&values).into_iter();
            found.map(|warning| warning.setting).collect::<Vec<_>>()
        };
        assert_eq!(
            settings(&[]),
            [
                "arc_backup.monitor_token",
                "storage.s3_secret_key",
                "x.0.token"
            ]
        );
        let set = [
            ("ARC_STORAGE_S3_SECRET_KEY", "hush"),
            ("ARC_BACKUP_MONITOR_TOKEN", "hush"),
            // Nothing reads this one.
            ("ARC_X_0_TOKEN", "hush"),
        ];
        assert_eq!(settings(&set), ["x.0.token"]);
    }
}
