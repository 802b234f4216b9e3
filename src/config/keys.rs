//! The keys that are known, and what looks like a misspelling of one.

use super::Values;
use super::environment::{TARGET_NAMES, fields, in_variables, unannounced};
use crate::nearest::nearest;

/// Our keys under `[backup]`; any other there is a misspelling.
const OURS: [&str; 20] = [
    "check_max_age",
    "monitor_token",
    "enabled",
    "local_path",
    "listen",
    "timeout",
    "stop_timeout",
    "stall_timeout",
    "history_operations",
    "history_age",
    "include_config",
    "include_metadata",
    "require_flush",
    "state_path",
    "default_target",
    "targets",
    "concurrency",
    "arc_url",
    "arc_token",
    "sections",
];

/// Our keys under `[arc_backup]`, a table that Arc ignores; they may stand under `[backup]` too.
const OWN_TABLE: [&str; 2] = ["check_max_age", "monitor_token"];

/// The keys of a target: those of Arc's own storage, and `type`.
pub(super) const TARGET_KEYS: [&str; 20] = [
    "type",
    "local_path",
    "s3_bucket",
    "s3_region",
    "s3_endpoint",
    "s3_access_key",
    "s3_secret_key",
    "s3_use_ssl",
    "s3_path_style",
    "s3_prefix",
    "s3_checksums",
    "azure_connection_string",
    "azure_account_name",
    "azure_account_key",
    "azure_sas_token",
    "azure_container",
    "azure_endpoint",
    "azure_use_managed_identity",
    "azure_prefix",
    "concurrency",
];

/// Those of them that are secrets, and may be in a file that a variable names.
pub(super) const SECRETS: [&str; 5] = [
    "s3_access_key",
    "s3_secret_key",
    "azure_connection_string",
    "azure_account_key",
    "azure_sas_token",
];

/// Variables of ours behind `ARC_BACKUP_` that stand for no key of the file.
const OTHER_VARIABLES: [&str; 5] = [
    "LOG",
    "LOG_FORMAT",
    "TARGET_NAMES",
    "ARC_TOKEN_FILE",
    "MONITOR_TOKEN_FILE",
];

/// The sections that are read. One that Arc may have besides is nobody's misspelling unless it is
/// close to one of these.
const SECTIONS: [&str; 11] = [
    "arc_backup",
    "auth",
    "backup",
    "cluster",
    "continuous_query",
    "iceberg",
    "retention",
    "storage",
    "tiered_storage",
    "wal",
    "targets",
];

/// The types of targets whose keys are known; what else a third party's type takes is its own.
const BUILT_IN: [&str; 5] = ["local", "s3", "minio", "azure", "azblob"];

/// The variable of a key that is a secret, in a storage or a target.
pub(crate) fn secret_variable(key: &str) -> Option<String> {
    let name = key.rsplit('.').next().unwrap_or(key);
    SECRETS
        .contains(&name)
        .then(|| super::values::variable(key))
}

/// What a target is that there is none of: which one may be meant, and which there are.
pub(crate) fn unknown_target(values: &Values, name: &str, known: &[&str]) -> String {
    let list = known.join(", ");
    let (written, announced) = (
        in_variables(name),
        known.iter().map(|name| (*name).to_owned()),
    );
    let announced: Vec<_> = announced.collect();
    if unannounced(values, &announced).contains_key(&written.to_ascii_lowercase()) {
        return format!(
            "unknown target {name:?}: variables of it are set, and nothing announces it: set `{TARGET_NAMES}={}`; known targets: {list}",
            written.to_ascii_lowercase()
        );
    }
    match nearest(name, known.iter().copied()) {
        Some(meant) => {
            format!("unknown target {name:?}: did you mean {meant:?}? Known targets: {list}")
        }
        None => format!("unknown target {name:?}; known targets: {list}"),
    }
}

/// A warning for each key, section and variable that looks like a mistake; it begins with its name.
pub(super) fn misspelt(values: &Values, targets: &[String]) -> Vec<String> {
    let mut warnings = sections(values);
    let in_file = (values.keys("backup").into_iter())
        .filter(|key| !OURS.contains(&key.as_str()))
        .map(|key| unknown("backup.", &key, &OURS));
    warnings.extend(in_file);
    let in_own = (values.keys("arc_backup").into_iter())
        .filter(|key| !OWN_TABLE.contains(&key.as_str()))
        .map(|key| unknown("arc_backup.", &key, &OWN_TABLE));
    warnings.extend(in_own);
    let in_storage = (values.keys("storage").into_iter())
        .filter(|key| key != "backend" && !TARGET_KEYS.contains(&key.as_str()))
        // Arc may have keys there that are of no interest here.
        .filter(|key| nearest(key, TARGET_KEYS).is_some())
        .map(|key| unknown("storage.", &key, &TARGET_KEYS));
    warnings.extend(in_storage);
    for target in values.keys("backup.targets") {
        let table = format!("backup.targets.{target}");
        if !is_built_in(values, &table) {
            continue;
        }
        let odd = (values.keys(&table).into_iter())
            .filter(|key| !TARGET_KEYS.contains(&key.as_str()))
            .map(|key| unknown(&format!("{table}."), &key, &TARGET_KEYS));
        warnings.extend(odd);
    }
    warnings.extend(variables(values, targets));
    warnings
}

fn is_built_in(values: &Values, table: &str) -> bool {
    let kind = values.text(&format!("{table}.type")).ok().flatten();
    kind.is_some_and(|kind| BUILT_IN.contains(&kind.trim().to_ascii_lowercase().as_str()))
}

fn unknown(table: &str, key: &str, known: &[&str]) -> String {
    match nearest(key, known.iter().copied()) {
        Some(meant) => {
            format!(
                "`{table}{key}` is not a known key and is ignored: did you mean `{table}{meant}`?"
            )
        }
        None => format!(
            "`{table}{key}` is not a known key and is ignored; known: {}",
            known.join(", ")
        ),
    }
}

fn sections(values: &Values) -> Vec<String> {
    (values.sections().into_iter())
        .filter(|section| section == "targets" || !is_section(section))
        .filter_map(|section| {
            let meant = match nearest(&section, SECTIONS)? {
                "targets" => "backup.targets",
                meant => meant,
            };
            Some(format!(
                "`[{section}]` is not a known section and is ignored: did you mean `[{meant}]`?"
            ))
        })
        .collect()
}

fn is_section(name: &str) -> bool {
    SECTIONS.contains(&name) || name == "backup" || super::not_included::TABLES.contains(&name)
}

/// What is wrong with variables of ours.
fn variables(values: &Values, targets: &[String]) -> Vec<String> {
    let prefix = "ARC_BACKUP_";
    let unannounced = unannounced(values, targets);
    let of_nobody: Vec<&String> = unannounced.values().flatten().collect();
    let mut warnings = Vec::new();
    for name in values.variables(prefix) {
        let variable = format!("{prefix}{name}");
        if OTHER_VARIABLES.contains(&name)
            || OURS.contains(&name.to_ascii_lowercase().as_str())
            || of_nobody.contains(&&variable)
        {
            continue;
        }
        let target = (targets.iter()).find_map(|target| {
            let start = format!("TARGETS_{}_", in_variables(target));
            Some((target, name.strip_prefix(&start)?.to_owned(), start))
        });
        let Some((target, field, start)) = target else {
            let known = OURS.map(str::to_ascii_uppercase);
            let known = (known.iter().map(String::as_str)).chain(OTHER_VARIABLES);
            warnings.push(match nearest(name, known) {
                Some(meant) => format!(
                    "`{variable}` is not a known key and is ignored: did you mean `{prefix}{meant}`?"
                ),
                None => format!(
                    "`{variable}` is not a known key and is ignored; known: {}",
                    OURS.join(", ")
                ),
            });
            continue;
        };
        let known: Vec<_> = fields().collect();
        if known.contains(&field) || !is_built_in(values, &format!("backup.targets.{target}")) {
            continue;
        }
        warnings.push(match nearest(&field, known.iter().map(String::as_str)) {
            Some(meant) => format!(
                "`{variable}` is not a known key and is ignored: did you mean `{prefix}{start}{meant}`?"
            ),
            None => format!(
                "`{variable}` is not a known key of the target `{target}` and is ignored; known: {}",
                TARGET_KEYS.join(", ")
            ),
        });
    }
    for (name, of_target) in unannounced {
        let names: Vec<_> = targets.iter().map(String::as_str).collect();
        let meant = nearest(&name, names.iter().copied());
        let meant = meant.map_or_else(String::new, |meant| format!(" (did you mean {meant:?}?)"));
        let announced: Vec<_> = (targets.iter())
            .filter(|target| !values.keys("backup.targets").contains(target))
            .map(String::as_str)
            .chain([&*name])
            .collect();
        let more = match of_target.len() - 1 {
            0 => String::new(),
            count => format!(" and {count} more"),
        };
        warnings.push(format!(
            "`{}`{more}: there is no target {name:?}{meant}, and so it is ignored: announce it with `{TARGET_NAMES}={}`, or add \
             `[backup.targets.{name}]` to arc.toml",
            of_target[0],
            announced.join(",")
        ));
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::environment::target_names;

    fn warnings(text: &str, environment: &[(&str, &str)]) -> Vec<String> {
        let environment = (environment.iter()).map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        let values = Values::parse(text, "arc.toml", environment).expect("valid TOML");
        misspelt(&values, &target_names(&values).expect("valid"))
    }

    /// Lost otherwise: what was configured, to a letter.
    #[test]
    fn a_misspelling_is_told_with_what_was_meant() {
        for (text, wrong, meant) in [
            ("[bakcup]\n", "`[bakcup]`", "`[backup]`"),
            ("[Backup]\n", "`[Backup]`", "`[backup]`"),
            ("[storge]\nbackend = \"s3\"\n", "`[storge]`", "`[storage]`"),
            ("[targets.x]\n", "`[targets]`", "`[backup.targets]`"),
            ("[backup.target.x]\n", "`backup.target`", "`backup.targets`"),
            (
                "[backup]\nincude_config = false\n",
                "`backup.incude_config`",
                "`backup.include_config`",
            ),
            (
                "[storage]\ns3_buket = \"b\"\n",
                "`storage.s3_buket`",
                "`storage.s3_bucket`",
            ),
            (
                "[backup.targets.x]\ntype = \"local\"\nlocal_pth = \"y\"\n",
                "`backup.targets.x.local_pth`",
                "`backup.targets.x.local_path`",
            ),
        ] {
            let found = warnings(text, &[]);
            assert_eq!(found.len(), 1, "{text}: {found:?}");
            let said = &found[0];
            assert!(said.starts_with(wrong) && said.contains(meant), "{said}");
        }
        let of_target = [
            (TARGET_NAMES, "near"),
            ("ARC_BACKUP_TARGETS_NEAR_TYPE", "s3"),
        ];
        for (variable, meant) in [
            ("ARC_BACKUP_TIMEOT", "`ARC_BACKUP_TIMEOUT`"),
            (
                "ARC_BACKUP_TARGETS_NEAR_S3_BUKET",
                "`ARC_BACKUP_TARGETS_NEAR_S3_BUCKET`",
            ),
            ("ARC_BACKUP_TARGETS_NERA_S3_BUCKET", "did you mean \"near\""),
            (
                "ARC_BACKUP_TARGETS_OTHER_TYPE",
                "`ARC_BACKUP_TARGET_NAMES=near,other`",
            ),
        ] {
            let found = warnings("", &[&of_target[..], &[(variable, "x")]].concat());
            assert_eq!(found.len(), 1, "{variable}: {found:?}");
            let said = &found[0];
            assert!(said.contains(variable) && said.contains(meant), "{said}");
        }
    }

    /// A warning about what is right is one that hides the next.
    #[test]
    fn what_is_known_is_not_warned_of() {
        let text = "[server]\nport = 1\n[walrus]\nx = 1\n[storage]\nbackend = \"s3\"\ns3_sse = true\n[backup.targets.own]\ntype = \"tape\"\ndrive = 1\n";
        let environment = [
            (TARGET_NAMES, "near"),
            ("ARC_BACKUP_TARGETS_NEAR_TYPE", "s3"),
            ("ARC_BACKUP_TARGETS_NEAR_DATABASES", "a,b"),
            ("ARC_BACKUP_TARGETS_NEAR_S3_SECRET_KEY_FILE", "x"),
            ("ARC_BACKUP_TARGETS_OWN_ROBOT", "1"),
            ("ARC_BACKUP_ARC_TOKEN_FILE", "x"),
            ("ARC_BACKUP_LOG", "debug"),
        ];
        assert_eq!(warnings(text, &environment), Vec::<String>::new());
    }
}
