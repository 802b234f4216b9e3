//! The databases that the configuration names.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use super::values::Values;
use crate::Result;

const DEFAULT: &str = "./data/arc.db";

/// A database that the configuration names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Database {
    /// Its name in a backup: `arc.db`.
    pub file: String,
    /// The configuration key that names it: `auth.db_path`.
    pub setting: String,
    /// The live file.
    pub path: PathBuf,
    /// The key that makes it necessary; `None` where only a default names it, for a feature that is
    /// not enabled: then a database that is absent is not missing.
    pub needed_by: Option<String>,
}

/// Each database once, however its path is spelled. `arc.db` is that of `auth.db_path`; the others
/// have the names of their files.
pub(super) fn databases(values: &Values) -> Result<Vec<Database>> {
    let mut found: Vec<Database> = Vec::new();
    let mut seen = BTreeMap::new();
    let mut names = BTreeSet::new();
    for (setting, fixed_name) in [
        ("auth.db_path", Some("arc.db")),
        ("iceberg.catalog_db_path", Some("iceberg-catalog.db")),
        ("retention.db_path", None),
        ("continuous_query.db_path", None),
    ] {
        let set = values.text(setting)?;
        let prefix = setting.split('.').next().unwrap_or_default();
        // Arc always creates the database of tokens; the others may never exist.
        let is_needed = set.is_some()
            || prefix == "auth"
            || values.bool(&format!("{prefix}.enabled"), false)?;
        let needed_by = is_needed.then(|| setting.to_owned());
        let path = PathBuf::from(set.unwrap_or_else(|| DEFAULT.to_owned()));
        match seen.entry(real_path(&path)) {
            Entry::Occupied(at) => {
                let of_others: &mut Database = &mut found[*at.get()];
                of_others.needed_by = of_others.needed_by.take().or(needed_by);
                continue;
            }
            Entry::Vacant(at) => _ = at.insert(found.len()),
        }
        let own = path
            .file_name()
            .map(|n| n.to_string_lossy().into_owned())
            .unwrap_or_default();
        let wanted = fixed_name.map_or_else(|| own.clone(), str::to_owned);
        let file = std::iter::once(wanted)
            .chain(std::iter::once(format!("{prefix}.db")))
            .chain((2..).map(|number| format!("{prefix}-{number}.db")))
            .find(|name| arc_backup_core::Key::parse(name).is_ok() && !names.contains(name))
            .unwrap_or_default();
        names.insert(file.clone());
        found.push(Database {
            file,
            setting: setting.to_owned(),
            path,
            needed_by,
        });
    }
    Ok(found)
}

/// The path with links resolved, as far as it exists.
pub(crate) fn real_path(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    if let Ok(real) = absolute.canonicalize() {
        return real;
    }
    let Some(parent) = absolute.parent() else {
        return absolute;
    };
    match absolute.components().next_back() {
        // A missing folder is not a link: `a/..` is where `a` would be.
        Some(Component::ParentDir) => {
            let real = real_path(parent);
            real.parent().map_or(real.clone(), Path::to_owned)
        }
        Some(Component::Normal(name)) => real_path(parent).join(name),
        _ => absolute,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards against a line in every backup about an unused database, which hides the line about a
    /// missing one.
    #[test]
    fn a_default_is_known_as_one() {
        let iceberg = Some("iceberg.catalog_db_path");
        let auth = Some("auth.db_path");
        for (text, environment, needed) in [
            ("[auth]\ndb_path = \"/a/b.db\"\n", None, vec![auth, None]),
            (
                "[auth]\ndb_path = \"/a/b.db\"\n[retention]\nenabled = true\n",
                None,
                vec![auth, Some("retention.db_path")],
            ),
            (
                "[auth]\ndb_path = \"/a/b.db\"\n[iceberg]\ncatalog_db_path = \"/c.db\"\n",
                None,
                vec![auth, iceberg, None],
            ),
            (
                "[auth]\ndb_path = \"/a/b.db\"\n",
                Some(("ARC_CONTINUOUS_QUERY_DB_PATH", "./data/arc.db")),
                vec![auth, Some("continuous_query.db_path")],
            ),
            ("", None, vec![auth]),
        ] {
            let environment = environment.map(|(k, v): (&str, &str)| (k.to_owned(), v.to_owned()));
            let values = Values::parse(text, "arc.toml", environment).expect("valid TOML");
            let found = databases(&values).expect("valid");
            let found: Vec<_> = (found.iter())
                .map(|database| database.needed_by.as_deref())
                .collect();
            assert_eq!(found, needed, "{text}");
        }
    }
}
