//! The keys that are known, and what looks like a misspelling of one.

use super::backends::Backends;
use super::environment::{TARGET_NAMES, fields, names_in_file, unannounced};
use super::other_storages::is_variable as is_of_storage;
use super::tables::ARC_TABLES;
use super::values::Values;
use super::variables::in_variables;
use super::warning::Warning;
use crate::nearest::nearest;
use crate::retention::Rules;

/// The keys under `[backup]` that are read, Arc's and ours; any other there is a misspelling. Each
/// may stand under `[arc_backup]` too, a table that Arc ignores.
pub(crate) const BACKUP_KEYS: [&str; 22] = [
    "check_max_age",
    "monitor_token",
    "enabled",
    "local_path",
    "listen",
    "timeout",
    "operation_timeout",
    "stop_timeout",
    "stall_timeout",
    "history_operations",
    "history_age",
    "include_config",
    "include_metadata",
    "include_cold_tier",
    "require_flush",
    "state_path",
    "default_target",
    "targets",
    "concurrency",
    "copy_to",
    "arc_url",
    "arc_token",
];

/// The keys of ours that stand under `[arc_backup]` alone.
pub(crate) const OWN_KEYS: [&str; 7] = [
    "keep_set_aside",
    "mode",
    "rehash_share",
    "retention",
    "schedule",
    "storages",
    "timezone",
];

/// Variables of ours behind `ARC_BACKUP_` that are not those of a key in the file.
const OTHER_VARIABLES: [&str; 5] = [
    "LOG",
    "LOG_FORMAT",
    "TARGET_NAMES",
    "ARC_TOKEN_FILE",
    "MONITOR_TOKEN_FILE",
];

/// The sections that are read. Another one may be Arc's, unless its name is close to one of these.
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

/// What to say of an unknown target: which one may be meant, and which there are.
pub(crate) fn unknown_target(
    values: &Values,
    backends: &Backends,
    name: &str,
    known: &[&str],
) -> String {
    let list = known.join(", ");
    let (written, announced) = (
        in_variables(name),
        known.iter().map(|name| (*name).to_owned()),
    );
    let announced: Vec<_> = announced.collect();
    if unannounced(values, &announced, backends).contains_key(&written.to_ascii_lowercase()) {
        return format!(
            "unknown target {name:?}: its variables are set, but nothing announces it: set `{TARGET_NAMES}={}`; known targets: {list}",
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

/// A warning for each key, section and variable that looks like a mistake.
pub(super) fn misspelt(values: &Values, targets: &[String], backends: &Backends) -> Vec<Warning> {
    let (of_storage, of_target) = (backends.storage_keys(), backends.target_keys());
    let mut warnings = sections(values);
    let of_ours = [&BACKUP_KEYS[..], &OWN_KEYS].concat();
    for (table, known) in [("backup", &BACKUP_KEYS[..]), ("arc_backup", &of_ours)] {
        let odd = (values.keys(table).into_iter())
            .filter(|key| !known.contains(&key.as_str()))
            .map(|key| unknown(&format!("{table}."), &key, known));
        warnings.extend(odd);
    }
    let in_storage = (values.keys("storage").into_iter())
        .filter(|key| key != "backend" && !of_storage.contains(&key.as_str()))
        // Arc may have further keys there, which are not read here.
        .filter(|key| nearest(key, of_storage.iter().copied()).is_some())
        .map(|key| unknown("storage.", &key, &of_storage));
    warnings.extend(in_storage);
    for target in names_in_file(values) {
        let table = values.target_table(&target);
        if !is_described(values, backends, &table) {
            continue;
        }
        let odd = (values.keys(&table).into_iter())
            .filter(|key| !of_target.contains(&key.as_str()) && key != "retention")
            .map(|key| unknown(&format!("{table}."), &key, &of_target));
        warnings.extend(odd);
    }
    warnings.extend(variables(values, targets, backends));
    warnings
}

/// Whether the keys of a target are known: those of a third party's type are its own.
fn is_described(values: &Values, backends: &Backends, table: &str) -> bool {
    let kind = values.text(&format!("{table}.type")).ok().flatten();
    kind.is_some_and(|kind| backends.find(&kind).is_some())
}

fn unknown(table: &str, key: &str, known: &[&str]) -> Warning {
    let text = match nearest(key, known.iter().copied()) {
        Some(meant) => {
            format!(
                "`{table}{key}` is not a known key and is ignored: did you mean `{table}{meant}`?"
            )
        }
        None => format!(
            "`{table}{key}` is not a known key and is ignored; known: {}",
            known.join(", ")
        ),
    };
    Warning::new(format!("{table}{key}"), text)
}

fn sections(values: &Values) -> Vec<Warning> {
    (values.sections().into_iter())
        .filter(|section| section == "targets" || !is_section(section))
        .filter_map(|section| {
            let meant = match nearest(&section, SECTIONS)? {
                "targets" => "backup.targets",
                meant => meant,
            };
            let text = format!(
                "`[{section}]` is not a known section and is ignored: did you mean `[{meant}]`?"
            );
            Some(Warning::new(format!("[{section}]"), text))
        })
        .collect()
}

fn is_section(name: &str) -> bool {
    SECTIONS.contains(&name) || name == "backup" || ARC_TABLES.contains(&name)
}

/// Whether a variable, by its name behind `ARC_BACKUP_`, sets a key under `[arc_backup]` alone:
/// `TIMEZONE`, `RETENTION_KEEP_DAILY`.
fn is_own_variable(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    match name.strip_prefix("retention_") {
        Some(rule) => Rules::KEYS.contains(&rule),
        None => !["retention", "storages"].contains(&&*name) && OWN_KEYS.contains(&&*name),
    }
}

/// What is wrong with variables of ours.
fn variables(values: &Values, targets: &[String], backends: &Backends) -> Vec<Warning> {
    let prefix = "ARC_BACKUP_";
    let unannounced = unannounced(values, targets, backends);
    let ignored: Vec<&String> = unannounced.values().flatten().collect();
    let mut warnings = Vec::new();
    for name in values.variables(prefix) {
        let variable = format!("{prefix}{name}");
        if OTHER_VARIABLES.contains(&name)
            || BACKUP_KEYS.contains(&name.to_ascii_lowercase().as_str())
            || is_own_variable(name)
            || is_of_storage(values, backends, name)
            || ignored.contains(&&variable)
        {
            continue;
        }
        let target = (targets.iter()).find_map(|target| {
            let start = format!("TARGETS_{}_", in_variables(target));
            Some((target, name.strip_prefix(&start)?.to_owned(), start))
        });
        let Some((target, field, start)) = target else {
            let known = BACKUP_KEYS.map(str::to_ascii_uppercase);
            let known = (known.iter().map(String::as_str)).chain(OTHER_VARIABLES);
            let text = match nearest(name, known) {
                Some(meant) => format!(
                    "`{variable}` is not a known key and is ignored: did you mean `{prefix}{meant}`?"
                ),
                None => format!(
                    "`{variable}` is not a known key and is ignored; known: {}",
                    BACKUP_KEYS.join(", ")
                ),
            };
            warnings.push(Warning::new(variable, text));
            continue;
        };
        let known = fields(backends);
        let table = values.target_table(target);
        if known.contains(&field) || !is_described(values, backends, &table) {
            continue;
        }
        let text = match nearest(&field, known.iter().map(String::as_str)) {
            Some(meant) => format!(
                "`{variable}` is not a known key and is ignored: did you mean `{prefix}{start}{meant}`?"
            ),
            None => format!(
                "`{variable}` is not a known key of the target `{target}` and is ignored; known: {}",
                backends.target_keys().join(", ")
            ),
        };
        warnings.push(Warning::new(variable, text));
    }
    let of_own = "ARC_ARC_BACKUP_";
    for name in values.variables(of_own) {
        let known = BACKUP_KEYS.map(str::to_ascii_uppercase);
        let key = name.strip_suffix("_FILE").unwrap_or(name);
        if known.iter().any(|known| known == key)
            || is_own_variable(name)
            || is_of_storage(values, backends, name)
            || name.starts_with("TARGETS_")
        {
            continue;
        }
        let variable = format!("{of_own}{name}");
        let meant = nearest(name, known.iter().map(String::as_str));
        let meant = meant.map_or_else(String::new, |meant| {
            format!(": did you mean `{of_own}{meant}`?")
        });
        let text = format!("`{variable}` is not a known key and is ignored{meant}");
        warnings.push(Warning::new(variable, text));
    }
    for (name, of_target) in unannounced {
        let names: Vec<_> = targets.iter().map(String::as_str).collect();
        let meant = nearest(&name, names.iter().copied());
        let meant = meant.map_or_else(String::new, |meant| format!(" (did you mean {meant:?}?)"));
        let announced: Vec<_> = (targets.iter())
            .filter(|target| !names_in_file(values).contains(target))
            .map(String::as_str)
            .chain([&*name])
            .collect();
        let more = match of_target.len() - 1 {
            0 => String::new(),
            count => format!(" and {count} more"),
        };
        let text = format!(
            "`{}`{more}: there is no target {name:?}{meant}, and so it is ignored: announce it with `{TARGET_NAMES}={}`, or add \
             `[backup.targets.{name}]` to arc.toml",
            of_target[0],
            announced.join(",")
        );
        warnings.push(Warning::new(&*of_target[0], text));
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::backends::samples;
    use crate::config::environment::target_names;

    fn warnings(text: &str, environment: &[(&str, &str)]) -> Vec<Warning> {
        let environment = (environment.iter()).map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        let values = Values::parse(text, "arc.toml", environment).expect("valid TOML");
        misspelt(
            &values,
            &target_names(&values).expect("valid"),
            &samples::backends(),
        )
    }

    /// Guards against a setting that is ignored because of one letter.
    #[test]
    fn a_misspelling_is_reported_with_the_nearest_name() {
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
            let Warning {
                setting,
                text: said,
                ..
            } = &found[0];
            assert_eq!(format!("`{setting}`"), wrong);
            assert!(said.starts_with(wrong) && said.contains(meant), "{said}");
        }
        let of_target = [
            (TARGET_NAMES, "near"),
            ("ARC_BACKUP_TARGETS_NEAR_TYPE", "s3"),
        ];
        for (variable, meant) in [
            ("ARC_BACKUP_TIMEOT", "`ARC_BACKUP_TIMEOUT`"),
            ("ARC_ARC_BACKUP_ENABELD", "`ARC_ARC_BACKUP_ENABLED`"),
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
            let said = &found[0].text;
            assert!(said.contains(variable) && said.contains(meant), "{said}");
        }
    }

    /// Guards against warnings about valid settings, which hide the others.
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
        assert_eq!(warnings(text, &environment), Vec::<Warning>::new());
    }
}
