//! Where backups go.

use std::collections::BTreeMap;

use arc_backup_core::Key;

use super::backends::{Backends, StorePlace};
use super::backups_folder::{is_empty, local_path};
use super::values::Values;
use super::variables::{in_variables, variable};
use crate::{Error, Result};

/// A configured backup destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetSettings {
    /// Its name; `local` for `backup.local_path`.
    pub name: String,
    /// Its type, as the registry knows it.
    pub kind: String,
    /// The key of its table: `backup.targets.offsite`.
    pub key: String,
    /// Databases whose backups go to this target, from `databases` in its table. The default target
    /// has all others.
    pub databases: Vec<String>,
}

/// The target of `backup.local_path`.
const BUILT_IN: &str = "local";
/// The tables with the key `local_path` of the built-in target.
const TABLES: [&str; 2] = ["backup", "arc_backup"];
/// How the name of a database cannot begin: such folders are Arc's own, or hidden.
const NOT_FIRST: [char; 2] = ['_', '.'];

impl TargetSettings {
    /// Whether it is the target of `backup.local_path`, which has no table of its own.
    pub(crate) fn is_built_in(&self) -> bool {
        TABLES.contains(&self.key.as_str())
    }
}

/// `backup.local_path` as the target `local`, then the targets that have a table, and what the
/// environment announces.
///
/// A target with the name `local` and a table takes the place of the built-in one. There is none
/// either where `local_path` is empty and others exist, or where another target is in its folder:
/// Arc does not use `local_path` once `default_target` is set.
pub(super) fn targets(
    values: &Values,
    names: &[String],
    backends: &Backends,
) -> Result<Vec<TargetSettings>> {
    let mut targets = BTreeMap::new();
    let mut variables = std::collections::BTreeSet::new();
    for name in names.iter().cloned() {
        if !variables.insert(in_variables(&name)) {
            return Err(Error::Config(format!(
                "`backup.targets.{name}`: another target has a name that differs only in case, `-` and `_`: they would share their variables"
            )));
        }
        let target = target(values, name.clone(), backends)?;
        targets.insert(name, target);
    }
    if let Some(target) = built_in(values, &targets, backends)? {
        targets.entry(target.name.clone()).or_insert(target);
    }
    Ok(targets.into_values().collect())
}

/// Whether a place can have this name: it is a part of paths and of variables.
pub(super) fn is_name(name: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    !name.is_empty() && name.chars().all(is_part)
}

fn target(values: &Values, name: String, backends: &Backends) -> Result<TargetSettings> {
    let key = values.target_table(&name);
    if !is_name(&name) {
        return Err(Error::Config(format!(
            "`{key}`: a target's name has letters, digits, `-` and `_` only"
        )));
    }
    let Some(kind) = values.text(&format!("{key}.type"))? else {
        let missing = match values.in_file(&key) {
            Some(_) => format!("{key}.type"),
            None => variable(&format!("{key}.type")),
        };
        return Err(Error::Config(format!(
            "`{missing}` is missing: it says what kind of target it is ({})",
            backends.names()
        )));
    };
    let mut databases = values.names(&format!("{key}.databases"))?;
    databases.sort();
    databases.dedup();
    Ok(TargetSettings {
        name,
        kind: kind.trim().to_ascii_lowercase(),
        key,
        databases,
    })
}

/// The name of the default target, as its table has it: Arc compares names without case, and
/// without the whitespace around them.
///
/// # Errors
/// [`Error::Config`] where the value is no text.
pub(super) fn default_target<'a>(
    values: &Values,
    mut names: impl Iterator<Item = &'a String>,
) -> Result<String> {
    let text = values.text(&values.own("default_target"))?;
    let wanted = match text.as_deref().map_or("", str::trim) {
        "" => BUILT_IN,
        wanted => wanted,
    };
    Ok(names
        .find(|name| name.eq_ignore_ascii_case(wanted))
        .map_or_else(
            || match wanted.eq_ignore_ascii_case(BUILT_IN) {
                true => BUILT_IN.to_owned(),
                false => wanted.to_owned(),
            },
            Clone::clone,
        ))
}

fn built_in(
    values: &Values,
    others: &BTreeMap<String, TargetSettings>,
    backends: &Backends,
) -> Result<Option<TargetSettings>> {
    let key = values.own("local_path");
    if !others.is_empty() && is_empty(values, &key)? {
        return Ok(None);
    }
    // One that differs in case only is the same to Arc.
    if (others.keys()).any(|name| name.eq_ignore_ascii_case(BUILT_IN)) {
        return Ok(None);
    }
    if default_target(values, others.keys())? != BUILT_IN {
        let path = local_path(values, others.keys())?;
        let folder = StorePlace::of_folder(&path);
        for other in others.values() {
            if let Some(kind) = backends.find(&other.kind)
                && (kind.store)(values, &other.key)?.as_ref() == Some(&folder)
            {
                return Ok(None);
            }
        }
    }
    Ok(Some(TargetSettings {
        name: BUILT_IN.to_owned(),
        kind: "local".to_owned(),
        key: key.trim_end_matches(".local_path").to_owned(),
        databases: Vec::new(),
    }))
}

/// Refuses databases that would go to two targets, and names that no database can have.
pub(super) fn check_databases(targets: &[TargetSettings], default_target: &str) -> Result<()> {
    let mut known: BTreeMap<&str, &TargetSettings> = BTreeMap::new();
    for target in targets {
        let key = &target.key;
        for database in &target.databases {
            let is_name = Key::parse(database).is_ok()
                && !database.contains('/')
                && !database.starts_with(NOT_FIRST);
            if !is_name {
                return Err(Error::Config(format!(
                    "`{key}.databases` names {database:?}, which cannot be a database: a name there is the first part of a path \
                     under the storage root"
                )));
            }
            if target.name == default_target {
                return Err(Error::Config(format!(
                    "`{key}.databases` names {database:?}, and `default_target` is {default_target:?}: the default target has \
                     all databases that no other target names; remove `{key}.databases`"
                )));
            }
            if let Some(other) = known.insert(database, target) {
                return Err(Error::Config(format!(
                    "`{}.databases` and `{key}.databases` both name {database:?}: a database goes to one target",
                    other.key
                )));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::backends::samples;
    use crate::config::environment::target_names;

    fn read(text: &str, environment: &[(&str, &str)]) -> Result<Vec<TargetSettings>> {
        let environment = (environment.iter()).map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        let values = Values::parse(text, "arc.toml", environment)?;
        targets(&values, &target_names(&values)?, &samples::backends())
    }

    /// Guards against: a database that goes to another target than the configuration says.
    #[test]
    fn databases_come_from_an_array_a_text_or_a_variable() {
        let text = "[backup.targets.a]\ntype = \"s3\"\ndatabases = [\"web\", \"iot\", \"iot\"]\n\
                    [backup.targets.b]\ntype = \"s3\"\ndatabases = \"x, y\"\n\
                    [backup.targets.c]\ntype = \"s3\"\ndatabases = \"file\"\n";
        let variables = [
            ("ARC_BACKUP_TARGET_NAMES", "d"),
            ("ARC_BACKUP_TARGETS_C_DATABASES", "p,q"),
            ("ARC_BACKUP_TARGETS_D_TYPE", "s3"),
            ("ARC_BACKUP_TARGETS_D_DATABASES", "z"),
        ];
        let found = read(text, &variables).expect("valid");
        let of: Vec<_> = (found.iter())
            .map(|target| format!("{}: {}", target.name, target.databases.join(" ")))
            .collect();
        assert_eq!(of, ["a: iot web", "b: x y", "c: p q", "d: z", "local: "]);
        assert!(check_databases(&found, "local").is_ok());
        let error = check_databases(&found, "b").expect_err("the default target");
        assert!(error.to_string().contains("`backup.targets.b.databases`"));
        let twice = [("ARC_BACKUP_TARGETS_C_DATABASES", "x")];
        let error = check_databases(&read(text, &twice).expect("valid"), "local");
        let error = error.expect_err("two targets").to_string();
        for named in [
            "`backup.targets.b.databases`",
            "`backup.targets.c.databases`",
        ] {
            assert!(error.contains(named), "{error}");
        }
    }

    /// Guards against: a file that Arc starts with, and this program refuses.
    #[test]
    fn the_default_target_is_found_as_arc_finds_it() {
        let names = ["near".to_owned(), "FAR".to_owned()];
        for (text, variable, expected) in [
            ("", "", "local"),
            ("default_target = \" \"", "", "local"),
            ("default_target = \"Local\"", "", "local"),
            ("default_target = \"far\"", "", "FAR"),
            ("default_target = \" Near \"", "", "near"),
            ("default_target = \"near\"", "Far", "FAR"),
            ("default_target = \"moon\"", "", "moon"),
        ] {
            let environment = [("ARC_BACKUP_DEFAULT_TARGET".to_owned(), variable.to_owned())];
            let values = Values::parse(&format!("[backup]\n{text}\n"), "arc.toml", environment);
            let found = default_target(&values.expect(text), names.iter()).expect(text);
            assert_eq!(found, expected, "{text} {variable}");
        }
    }

    /// Guards against: two targets in one folder, where Arc knows one; and none that is in force.
    #[test]
    fn the_built_in_target_gives_way_to_one_in_its_place() {
        let names = |text: &str| -> Vec<String> {
            let found = read(text, &[]).expect(text);
            found.into_iter().map(|target| target.key).collect()
        };
        let near = "[backup.targets.near]\ntype = \"local\"\nlocal_path = \"data/./backups\"\n";
        let default = "[backup]\ndefault_target = \"near\"\n";
        assert_eq!(names(""), ["backup"]);
        assert_eq!(names(&format!("{default}{near}")), ["backup.targets.near"]);
        assert_eq!(names(near), ["backup", "backup.targets.near"]);
        let elsewhere = format!("{default}local_path = \"./x\"\n{near}");
        assert_eq!(names(&elsewhere), ["backup", "backup.targets.near"]);
        let empty = format!("[backup]\nlocal_path = \"\"\n{near}");
        assert_eq!(names(&empty), ["backup.targets.near"]);
        let other = "[backup]\ndefault_target = \"local\"\n[backup.targets.Local]\ntype = \"local\"\nlocal_path = \"./x\"\n";
        assert_eq!(names(other), ["backup.targets.Local"]);
        let own = "[arc_backup]\nlocal_path = \"./y\"\n";
        assert_eq!(names(own), ["arc_backup"]);
    }
}
