//! What only the environment can set: targets that no file names, and files with secrets.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use super::backends::Backends;
use super::other_storages::TABLE as STORAGES;
use super::tiering::COLD;
use super::values::Values;
use super::variables::{in_variables, separate_variable, variable};
use crate::{Error, Result};

/// The variable that announces targets, as Arc 27.01 reads it.
pub(super) const TARGET_NAMES: &str = "ARC_BACKUP_TARGET_NAMES";
/// What the variable of a key ends in that names a file with the secret instead of the secret.
const FILE: &str = "_FILE";
/// The secrets that are not of a store.
const SECRETS: [&str; 5] = [
    "backup.arc_token",
    "arc_backup.arc_token",
    "backup.monitor_token",
    "arc_backup.monitor_token",
    "auth.bootstrap_token",
];
/// The longest name of a target that Arc 27.01 takes.
pub(super) const LONGEST_NAME: usize = 64;
/// The most bytes that are read of a file with a secret.
const LONGEST_SECRET: u64 = 64 << 10;

/// The names of all targets: those of the file, then those that `ARC_BACKUP_TARGET_NAMES`
/// announces.
///
/// A name that differs from one of the file in `-` and `_` or in case only has the same variables,
/// and is that target.
///
/// # Errors
/// [`Error::Config`] shows a name that is not valid.
pub(super) fn target_names(values: &Values) -> Result<Vec<String>> {
    let mut names = names_in_file(values);
    let mut seen: BTreeSet<_> = names.iter().map(|name| in_variables(name)).collect();
    for name in announced(values)? {
        if seen.insert(in_variables(&name)) {
            names.push(name);
        }
    }
    Ok(names)
}

/// The names of the targets of the file: `[backup.targets.<name>]`, `[arc_backup.targets.<name>]`.
pub(super) fn names_in_file(values: &Values) -> Vec<String> {
    let mut names = values.keys("backup.targets");
    let own = values.keys("arc_backup.targets");
    names.extend(
        own.into_iter()
            .filter(|name| values.in_file(&format!("backup.targets.{name}")).is_none())
            .filter(|name| values.describes_target(name)),
    );
    names
}

/// The names that `ARC_BACKUP_TARGET_NAMES` has.
///
/// # Errors
/// As [`target_names`].
pub(super) fn announced(values: &Values) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for name in values.variable(TARGET_NAMES).unwrap_or_default().split(',') {
        let name = name.trim().to_ascii_lowercase();
        if name.is_empty() {
            continue;
        }
        let is_odd = |c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        if name.len() > LONGEST_NAME || name.contains(is_odd) {
            return Err(Error::Config(format!(
                "`{TARGET_NAMES}` announces a target {name:?}: a name there has letters, digits and `_` only, and at most \
                 {LONGEST_NAME} of them; names are separated by commas"
            )));
        }
        names.push(name);
    }
    Ok(names)
}

/// The fields that variables of a target may end in.
pub(super) fn fields(backends: &Backends) -> Vec<String> {
    let keys = backends.target_keys();
    let keys = keys.iter().map(|key| key.to_ascii_uppercase());
    let secrets = backends.secrets();
    let files = (secrets.iter()).map(|key| format!("{}{FILE}", key.to_ascii_uppercase()));
    keys.chain(files).collect()
}

/// The variables of targets that neither the file nor `ARC_BACKUP_TARGET_NAMES` names, by the name
/// of the target.
pub(super) fn unannounced(
    values: &Values,
    names: &[String],
    backends: &Backends,
) -> BTreeMap<String, Vec<String>> {
    let fields = fields(backends);
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let known: Vec<_> = names.iter().map(|name| in_variables(name)).collect();
    let prefix = "ARC_BACKUP_TARGETS_";
    for variable in values.variables(prefix) {
        // The shortest name is that with the longest field.
        let name = (fields.iter())
            .filter_map(|field| Some(variable.strip_suffix(field)?.strip_suffix('_')?.to_owned()))
            .filter(|name| !name.is_empty())
            .min_by_key(String::len);
        if let Some(name) = name.filter(|name| !known.contains(name)) {
            let of_target = found.entry(name.to_ascii_lowercase()).or_default();
            of_target.push(format!("{prefix}{variable}"));
        }
    }
    found
}

/// Reads the files that `ARC_…_FILE` variables name, each in place of a secret.
///
/// # Errors
/// [`Error::Config`] names the variable and a file that cannot be read or is empty, or both
/// variables where the secret itself is set too.
pub(super) fn read_secret_files(
    values: &mut Values,
    names: &[String],
    backends: &Backends,
) -> Result<()> {
    let secrets = backends.secrets();
    let targets = names.iter().map(|name| values.target_table(name));
    let targets: Vec<_> = targets.collect();
    let storages = values.keys(STORAGES).into_iter();
    let storages: Vec<_> = storages.map(|name| format!("{STORAGES}.{name}")).collect();
    let of_stores = ["storage", COLD]
        .map(str::to_owned)
        .into_iter()
        .chain(targets)
        .chain(storages)
        .flat_map(|table| (secrets.iter()).map(move |key| format!("{table}.{key}")));
    let keys = of_stores.chain(SECRETS.map(str::to_owned));
    let variables = keys.flat_map(|key| {
        let names: Vec<_> = std::iter::once(variable(&key))
            .chain(separate_variable(&key))
            .collect();
        names.into_iter().map(move |plain| (key.clone(), plain))
    });
    for (key, plain) in variables {
        let of_file = format!("{plain}{FILE}");
        let Some(path) = values.variable(&of_file) else {
            continue;
        };
        if values.variable(&plain).is_some() {
            return Err(Error::Config(format!(
                "`{of_file}` and `{plain}` are both set: unset one of them"
            )));
        }
        let secret = read_secret(path)
            .map_err(|why| Error::Config(format!("`{of_file}`: `{path}` {why}")))?;
        values.set_from_file(key, secret);
    }
    Ok(())
}

/// The text of a file but for its last line's end, or what is wrong with it.
fn read_secret(path: &str) -> Result<String, String> {
    let mut text = String::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(LONGEST_SECRET + 1).read_to_string(&mut text))
        .map_err(|error| {
            let fault = arc_backup_core::Error::from_io("read", path, error);
            format!("cannot be read: {}", fault.detail())
        })?;
    if text.len() as u64 > LONGEST_SECRET {
        return Err(format!(
            "has more than {LONGEST_SECRET} bytes, which is too long for a secret"
        ));
    }
    let secret = text.strip_suffix('\n').unwrap_or(&text);
    let secret = secret.strip_suffix('\r').unwrap_or(secret);
    match secret.trim().is_empty() {
        true => Err("is empty: it must hold the secret".to_owned()),
        false => Ok(secret.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::backends::samples;

    fn values(text: &str, environment: &[(&str, &str)]) -> Values {
        let environment = (environment.iter()).map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        Values::parse(text, "arc.toml", environment).expect("valid TOML")
    }

    /// Guards against a target that Arc writes to and this program does not know.
    #[test]
    fn targets_of_the_environment_are_announced_as_arc_has_them() {
        let read = values(
            "[backup.targets.off-site]\ntype = \"local\"\n",
            &[(TARGET_NAMES, " A, off_site ,b_2,a,")],
        );
        assert_eq!(
            target_names(&read).expect("valid"),
            ["off-site", "a", "b_2"]
        );
        for wrong in ["a b", "a-b", "a.b", &"x".repeat(65)] {
            let read = values("", &[(TARGET_NAMES, wrong)]);
            let error = target_names(&read).expect_err(wrong).to_string();
            assert!(error.contains(TARGET_NAMES), "{error}");
        }
    }

    /// Guards against a target that is ignored without a warning, as nothing announces it.
    #[test]
    fn variables_of_no_target_are_found_by_its_name() {
        let read = values(
            "",
            &[
                (TARGET_NAMES, "near"),
                ("ARC_BACKUP_TARGETS_NEAR_S3_BUCKET", "b"),
                ("ARC_BACKUP_TARGETS_OFF_SITE_TYPE", "s3"),
                ("ARC_BACKUP_TARGETS_OFF_SITE_S3_SECRET_KEY_FILE", "/x"),
                ("ARC_BACKUP_TARGETS_NEAR_SITE_S3_BUCKET", "b"),
                ("ARC_BACKUP_TARGETS_NEAR_S3_BUKET", "b"),
            ],
        );
        let found = unannounced(&read, &["near".to_owned()], &samples::backends());
        let counts: Vec<_> = (found.iter())
            .map(|(name, of)| (&**name, of.len()))
            .collect();
        assert_eq!(counts, [("near_site", 1), ("off_site", 2)]);
    }

    /// Guards against a secret that is read wrong, and a store that refuses it.
    #[test]
    fn a_secret_comes_from_a_file_without_its_last_line_end() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = |name: &str, text: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).expect("written");
            path.display().to_string()
        };
        let name = "ARC_STORAGE_S3_SECRET_KEY_FILE";
        for (text, secret) in [
            (&b"hush hush\n"[..], "hush hush"),
            (b"hush\r\n", "hush"),
            (b"hush", "hush"),
            (b"hush\n\n", "hush\n"),
        ] {
            let mut read = values("", &[(name, &*file("secret", text))]);
            read_secret_files(&mut read, &[], &samples::backends()).expect("readable");
            let found = read.text("storage.s3_secret_key").expect("a text");
            assert_eq!(found.as_deref(), Some(secret));
            assert!(!format!("{read:?}").contains("hush"));
        }
        let of_cold_tier = "ARC_TIERED_STORAGE_COLD_S3_SECRET_KEY_FILE";
        let mut read = values("", &[(of_cold_tier, &*file("secret", b"hush\n"))]);
        read_secret_files(&mut read, &[], &samples::backends()).expect("readable");
        let found = read.text("tiered_storage.cold.s3_secret_key");
        assert_eq!(found.expect("a text").as_deref(), Some("hush"));
        let absent = folder.path().join("absent").display().to_string();
        for path in [file("empty", b"\n"), file("binary", b"\xff\xfe"), absent] {
            let mut read = values("", &[(name, &*path)]);
            let error =
                read_secret_files(&mut read, &[], &samples::backends()).expect_err("no secret");
            let text = error.to_string();
            assert!(text.contains(name) && text.contains(&path), "{text}");
        }
        let both = [(name, "x"), ("ARC_STORAGE_S3_SECRET_KEY", "hush")];
        let error = read_secret_files(&mut values("", &both), &[], &samples::backends())
            .expect_err("two secrets");
        let text = error.to_string();
        assert!(text.contains(name) && !text.contains("hush"), "{text}");
        // What the file says is below what the environment says, here as elsewhere.
        let mut read = values(
            "[backup]\narc_token = \"old\"\n",
            &[("ARC_BACKUP_ARC_TOKEN_FILE", &*file("token", b"new\n"))],
        );
        read_secret_files(&mut read, &[], &samples::backends()).expect("readable");
        let found = read.text("backup.arc_token").expect("a text");
        assert_eq!(found.as_deref(), Some("new"));
    }
}
