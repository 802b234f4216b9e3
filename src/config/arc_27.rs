//! What Arc 27.01 refuses to start with, where Arc 26.09 and this program accept it.
//!
//! Both read the same file. A setting that stops the next Arc is a warning here: people have it,
//! and it works until they upgrade. What makes no sense for this program either is an error, which
//! is found elsewhere.

use std::time::Duration;

use super::backends::{Backends, Overlap, StorePlace};
use super::backups_folder::{BACKUPS, is_empty};
use super::environment::{LONGEST_NAME, announced};
use super::values::Values;
use super::variables::{in_variables, variable};
use super::warning::Warning;
use crate::Result;

/// How each text ends.
const REFUSED: &str = "Arc 27.01 will not start with this";
/// Characters that Arc 27.01 does not take in the path of its storage.
const GLOB: [char; 6] = ['*', '?', '[', ']', '{', '}'];

/// What Arc 27.01 refuses, each with its setting and what to change.
///
/// Only what Arc reads counts: `[storage]`, `[tiered_storage]`, `[backup]` and the variables, not
/// `[arc_backup]`.
///
/// # Errors
/// [`Error::Config`](crate::Error::Config) where a value has another type.
pub(super) fn refusals(values: &Values, backends: &Backends) -> Result<Vec<Warning>> {
    let targets = of_arc(values)?;
    let mut found: Vec<Warning> = (targets.iter())
        .filter_map(|name| odd_name(name, is_routed(values, &targets)))
        .collect();
    found.extend(glob(values)?);
    // Arc looks at the names even so.
    if !values.bool("backup.enabled", true)? {
        return Ok(found);
    }
    found.extend(odd_types(values, &targets, backends)?);
    found.extend(odd_values(values, &targets));
    found.extend(default_target(values, &targets)?);
    if targets.is_empty() && is_empty(values, "backup.local_path")? {
        found.push(refusal(
            "backup.local_path",
            "`backup.local_path` is empty, and there is no target",
            "name a folder",
        ));
    }
    found.extend(overlaps(values, &targets, backends)?);
    Ok(found)
}

/// Keys of the storage that Arc 26.09 ignores, and Arc 27.01 obeys.
///
/// # Errors
/// As [`refusals`].
pub(super) fn newer_keys(values: &Values, backends: &Backends) -> Result<Vec<Warning>> {
    let kind = values.text("storage.backend")?;
    let kind = kind.and_then(|kind| backends.find(&kind));
    let mut found = Vec::new();
    for name in kind.map_or(&[][..], |kind| kind.newer) {
        let key = format!("storage.{name}");
        if !values.text(&key)?.unwrap_or_default().trim().is_empty() {
            let text = format!("`{key}` places the data of Arc 27.01; Arc 26.09 ignores it");
            found.push(Warning::new(&*key, text).with_remedy("remove it if this is Arc 26.09"));
        }
    }
    Ok(found)
}

fn refusal(setting: impl Into<String>, problem: &str, remedy: impl Into<String>) -> Warning {
    Warning::new(setting, format!("{problem}: {REFUSED}")).with_remedy(remedy)
}

/// The names of the targets that Arc knows: those of `[backup.targets]`, and those that the
/// environment announces.
fn of_arc(values: &Values) -> Result<Vec<String>> {
    let mut names = values.keys("backup.targets");
    for name in announced(values)? {
        if !(names.iter()).any(|known| in_variables(known) == in_variables(&name)) {
            names.push(name);
        }
    }
    Ok(names)
}

/// Whether a target has databases of its own, and backups are over several targets.
fn is_routed(values: &Values, targets: &[String]) -> bool {
    targets.iter().any(|name| {
        let key = format!("{}.databases", values.target_table(name));
        values.get(&key).is_some()
    })
}

fn odd_name(name: &String, is_routed: bool) -> Option<Warning> {
    let is_odd = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
    if !name.is_empty() && name.len() <= LONGEST_NAME && !name.contains(is_odd) {
        return None;
    }
    let table = format!("backup.targets.{name}");
    let problem = format!(
        "`{table}`: the name of a target has 1 to {LONGEST_NAME} letters, digits and `_`, and nothing else"
    );
    let better = name.to_ascii_lowercase().replace(is_odd, "_");
    let better = better.get(..LONGEST_NAME).unwrap_or(&better);
    // The manifests of a backup over several targets name them.
    let then = match is_routed {
        true => "backups over several targets from before can be restored under the old name only",
        false => "its backups stay where they are, and its variables keep their names",
    };
    Some(refusal(
        table,
        &problem,
        format!("rename it to `[backup.targets.{better}]`; {then}"),
    ))
}

/// Glob characters in the path of the storage.
fn glob(values: &Values) -> Result<Option<Warning>> {
    let key = "storage.local_path";
    let path = values.text(key)?;
    Ok(path.filter(|path| path.contains(GLOB)).map(|path| {
        refusal(
            key,
            &format!("`{key}` is {path:?}, which has one of the characters `*?[]{{}}`"),
            "rename the folder while Arc is stopped, and set the path",
        )
    }))
}

fn odd_types(values: &Values, targets: &[String], backends: &Backends) -> Result<Vec<Warning>> {
    let mut found = Vec::new();
    for name in targets {
        let key = format!("backup.targets.{name}.type");
        match values.text(&key)? {
            Some(kind) if backends.find(&kind).is_none() => found.push(refusal(
                &*key,
                &format!(
                    "`{key}` is {kind:?}, which is not one of {}",
                    backends.names()
                ),
                format!(
                    "rename the table to `[arc_backup.targets.{name}]`, which Arc does not read"
                ),
            )),
            None => found.push(refusal(
                &*key,
                &format!("`{key}` is missing"),
                format!("set it, or `{}`", variable(&key)),
            )),
            Some(_) => {}
        }
    }
    Ok(found)
}

/// Values of Arc's that are not valid, where a key of ours is used in their place: of one that is
/// used, it is an error.
fn odd_values(values: &Values, targets: &[String]) -> Vec<Warning> {
    let remedy = "write it as Arc reads it, or remove it";
    let mut found = Vec::new();
    let key = "backup.operation_timeout";
    if let Err(error) = values.go_time_limit(key, Duration::ZERO) {
        found.push(refusal(key, &error.to_string(), remedy));
    }
    for name in targets {
        let key = format!("backup.targets.{name}.databases");
        if let Err(error) = values.names(&key) {
            found.push(refusal(key, &error.to_string(), remedy));
        }
    }
    found
}

fn default_target(values: &Values, targets: &[String]) -> Result<Option<Warning>> {
    let key = "backup.default_target";
    let named = values.text(key)?.unwrap_or_default();
    let named = named.trim();
    if named.is_empty() {
        return Ok((!targets.is_empty()).then(|| {
            refusal(
                key,
                &format!("there are targets ({}), and `{key}` is not set", targets.join(", ")),
                format!(
                    "set `{key}` to one of them (for the folder of `backup.local_path`, to \"local\", {LOCAL_TABLE}), or \
                     move targets that only arc-backup uses to `[arc_backup.targets.<name>]`"
                ),
            )
        }));
    }
    if targets.iter().any(|name| name.eq_ignore_ascii_case(named)) {
        return Ok(None);
    }
    let remedy = match named {
        "local" => format!("remove it, or keep it {LOCAL_TABLE}"),
        _ if values
            .in_file(&format!("arc_backup.targets.{named}"))
            .is_some() =>
        {
            "set `arc_backup.default_target` instead, which Arc does not read".to_owned()
        }
        _ => format!("add `[backup.targets.{named}]`"),
    };
    Ok(Some(refusal(
        key,
        &format!("`{key}` is {named:?}, and there is no table `[backup.targets.{named}]`"),
        remedy,
    )))
}

/// What a default target of the name `local` needs.
const LOCAL_TABLE: &str = "with a table `[backup.targets.local]` that has `type = \"local\"` and the \
                           folder as its `local_path`";

/// A place that Arc uses.
struct Place {
    /// The table or key that names it.
    setting: String,
    /// What is there, for people.
    what: String,
    store: StorePlace,
    holds_backups: bool,
}

/// Targets in the place of another one, of the storage or of the cold tier, around it or in it.
fn overlaps(values: &Values, targets: &[String], backends: &Backends) -> Result<Vec<Warning>> {
    let places = places(values, targets, backends)?;
    let mut found = Vec::new();
    for (at, place) in places.iter().enumerate() {
        for other in places.iter().take(at) {
            if !place.holds_backups {
                continue;
            }
            let Some(overlap) = place.store.overlap(&other.store) else {
                continue;
            };
            let how = match overlap {
                Overlap::Equal => "is the place of",
                Overlap::Contains => "contains",
                Overlap::Within => "lies in",
            };
            let (setting, of) = (&place.setting, &other.setting);
            found.push(refusal(
                setting.as_str(),
                &format!("`{setting}` {how} {} (`{of}`)", other.what),
                "choose a folder, prefix, bucket or container that has nothing in common with it",
            ));
        }
    }
    Ok(found)
}

fn places(values: &Values, targets: &[String], backends: &Backends) -> Result<Vec<Place>> {
    let place = |table: &str, kind: &str, what: &str, holds_backups| -> Result<Option<Place>> {
        let Some(kind) = backends.find(kind) else {
            return Ok(None);
        };
        Ok((kind.store)(values, table)?.map(|store| Place {
            setting: table.to_owned(),
            what: what.to_owned(),
            store,
            holds_backups,
        }))
    };
    let kind = |key: &str, default: &str| -> Result<String> {
        Ok(values.text(key)?.unwrap_or_else(|| default.to_owned()))
    };
    let storage = kind("storage.backend", "local")?;
    let mut places = vec![place("storage", &storage, "Arc's data storage", false)?];
    if values.bool("tiered_storage.enabled", false)?
        && values.bool("tiered_storage.cold.enabled", false)?
    {
        let cold = kind("tiered_storage.cold.backend", "s3")?;
        places.push(place("tiered_storage.cold", &cold, "the cold tier", false)?);
    }
    // Arc uses `local_path` only where no target is the default one.
    let key = "backup.local_path";
    let has_default = !kind("backup.default_target", "")?.trim().is_empty();
    if !has_default && !is_empty(values, key)? {
        let path = values.path(key, BACKUPS)?;
        places.push(Some(Place {
            setting: key.to_owned(),
            what: "the folder of backups".to_owned(),
            store: StorePlace::of_folder(&path),
            holds_backups: true,
        }));
    }
    for name in targets {
        let table = format!("backup.targets.{name}");
        let what = format!("the target {name:?}");
        let of_target = kind(&format!("{table}.type"), "")?;
        places.push(place(&table, &of_target, &what, true)?);
    }
    Ok(places.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::backends::samples;

    fn settings(text: &str, environment: &[(&str, &str)]) -> Vec<String> {
        let environment = (environment.iter()).map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        let values = Values::parse(text, "arc.toml", environment).expect("valid TOML");
        let found = refusals(&values, &samples::backends()).expect(text);
        for warning in &found {
            assert!(warning.text.ends_with(REFUSED), "{warning}");
            assert!(warning.remedy.is_some(), "{warning}");
        }
        found.into_iter().map(|warning| warning.setting).collect()
    }

    /// Guards against: an Arc that does not start after its upgrade, because of a setting that was
    /// made for this program.
    #[test]
    fn what_stops_arc_is_named_by_its_setting() {
        let far = "[backup.targets.far]\ntype = \"local\"\nlocal_path = \"/mnt/far\"\n";
        let none: &[&str] = &[];
        for (text, expected) in [
            (String::new(), none),
            (
                format!("[backup]\ndefault_target = \"far\"\n{far}"),
                none,
            ),
            (far.to_owned(), &["backup.default_target"]),
            (
                format!("[backup]\ndefault_target = \"local\"\n{far}"),
                &["backup.default_target"],
            ),
            (
                "[backup]\ndefault_target = \"local\"\n".to_owned(),
                &["backup.default_target"],
            ),
            (
                format!("[backup]\nenabled = false\n{far}"),
                none,
            ),
            (
                "[backup]\nenabled = false\n[backup.targets.off-site]\ntype = \"s3\"\n".to_owned(),
                &["backup.targets.off-site"],
            ),
            // The names are compared after they are made lower case.
            (
                "[backup]\ndefault_target = \"Far\"\n[backup.targets.FAR]\ntype = \"local\"\n"
                    .to_owned(),
                none,
            ),
            (
                format!(
                    "[backup]\ndefault_target = \"{0}\"\n[backup.targets.{0}]\ntype = \"local\"\n",
                    "x".repeat(65)
                ),
                &[&*format!("backup.targets.{}", "x".repeat(65))],
            ),
            (
                "[backup]\ndefault_target = \"own\"\n[backup.targets.own]\ntype = \"tape\"\n"
                    .to_owned(),
                &["backup.targets.own.type"],
            ),
            (
                "[arc_backup.targets.off-site]\ntype = \"tape\"\n".to_owned(),
                none,
            ),
            (
                "[arc_backup]\ndefault_target = \"own\"\n[arc_backup.targets.own]\ntype = \"tape\"\n"
                    .to_owned(),
                none,
            ),
            (
                "[backup]\noperation_timeout = 7200\n[arc_backup]\noperation_timeout = \"3h\"\n"
                    .to_owned(),
                &["backup.operation_timeout"],
            ),
            (
                format!(
                    "[backup]\ndefault_target = \"far\"\n{far}databases = 5\n[arc_backup.targets.far]\ntype = \"local\"\n"
                ),
                &["backup.targets.far.databases"],
            ),
            (
                "[storage]\nlocal_path = \"/srv/{arc}\"\n".to_owned(),
                &["storage.local_path"],
            ),
            (
                "[backup]\nlocal_path = \" \"\n".to_owned(),
                &["backup.local_path"],
            ),
        ] {
            assert_eq!(settings(&text, &[]), expected, "{text}");
        }
        let announced = [
            ("ARC_BACKUP_TARGET_NAMES", "far"),
            ("ARC_BACKUP_TARGETS_FAR_TYPE", "s3"),
        ];
        assert_eq!(settings("", &announced), ["backup.default_target"]);
        let off = [&announced[..], &[("ARC_BACKUP_ENABLED", "false")]].concat();
        assert_eq!(settings("", &off), none);
    }

    /// Guards against: advice to rename a target, after which routed backups can't be restored.
    #[test]
    fn a_rename_says_what_it_does_to_routed_backups() {
        let target = "[backup.targets.off-site]\ntype = \"s3\"\n";
        for (text, expected) in [
            (target.to_owned(), "its backups stay where they are"),
            (
                format!("{target}databases = \"iot\"\n"),
                "under the old name only",
            ),
        ] {
            let values = Values::parse(&text, "arc.toml", []).expect("valid TOML");
            let found = refusals(&values, &samples::backends()).expect("valid");
            let remedy = found[0].remedy.clone().unwrap_or_default();
            assert!(remedy.contains(expected), "{remedy}");
        }
    }

    #[test]
    fn places_that_overlap_are_named() {
        let target = |name: &str, path: &str| {
            format!("[backup.targets.{name}]\ntype = \"local\"\nlocal_path = \"{path}\"\n")
        };
        let near = "[backup]\ndefault_target = \"near\"\n";
        let none: &[&str] = &[];
        for (text, expected) in [
            // In the storage, around it, and at its place.
            (
                "[backup]\nlocal_path = \"./data/arc/backups\"\n".to_owned(),
                &["backup.local_path"][..],
            ),
            (
                "[backup]\nlocal_path = \"data\"\n".to_owned(),
                &["backup.local_path"],
            ),
            (
                "[backup]\nlocal_path = \"./data/x/../arc\"\n".to_owned(),
                &["backup.local_path"],
            ),
            ("[backup]\nlocal_path = \"./data/arc2\"\n".to_owned(), none),
            // With a default target, `local_path` is not used.
            (
                format!("{near}local_path = \"data\"\n{}", target("near", "/mnt/a")),
                none,
            ),
            (format!("{near}{}", target("near", "./data/backups")), none),
            (
                format!(
                    "{near}{}{}",
                    target("near", "/mnt/a"),
                    target("sub", "/mnt/a/b")
                ),
                &["backup.targets.sub"],
            ),
            (
                format!("{near}enabled = false\n{}", target("near", "./data/arc")),
                none,
            ),
        ] {
            assert_eq!(settings(&text, &[]), expected, "{text}");
        }
        let bucket = |prefix: &str, of_target: &str| {
            format!(
                "{near}[storage]\nbackend = \"s3\"\ns3_bucket = \"b\"\ns3_prefix = \"{prefix}\"\n\
                 [backup.targets.near]\ntype = \"minio\"\ns3_bucket = \"b\"\ns3_prefix = \"{of_target}\"\n"
            )
        };
        for (prefix, of_target, overlaps) in [
            ("", "backups", true),
            ("arc", "", true),
            ("/arc/", "arc", true),
            ("arc", "arc/backups", true),
            ("arc", "arc2", false),
            ("arc", "backups", false),
        ] {
            let found = settings(&bucket(prefix, of_target), &[]);
            assert_eq!(!found.is_empty(), overlaps, "{prefix:?} {of_target:?}");
        }
        let cold = "[tiered_storage]\nenabled = true\n[tiered_storage.cold]\nenabled = true\ns3_bucket = \"b\"\n";
        let text = format!(
            "{near}{cold}[backup.targets.near]\ntype = \"s3\"\ns3_bucket = \"b\"\ns3_prefix = \"x\"\n"
        );
        assert_eq!(settings(&text, &[]), ["backup.targets.near"]);
    }
}
