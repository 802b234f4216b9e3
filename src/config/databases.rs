//! The databases that the configuration names.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use super::Values;
use crate::Result;
use crate::source::Database;

const DEFAULT: &str = "./data/arc.db";

/// Each database once, however its path is spelled: `arc.db` is that of `auth.db_path`, others follow by the name of their file.
pub(super) fn databases(values: &Values) -> Result<Vec<Database>> {
    let mut found: Vec<Database> = Vec::new();
    let mut seen = BTreeSet::new();
    let mut names = BTreeSet::new();
    for (setting, fixed_name) in [
        ("auth.db_path", Some("arc.db")),
        ("iceberg.catalog_db_path", Some("iceberg-catalog.db")),
        ("retention.db_path", None),
        ("continuous_query.db_path", None),
    ] {
        let path = PathBuf::from(values.text(setting)?.unwrap_or_else(|| DEFAULT.to_owned()));
        if !seen.insert(real_path(&path)) {
            continue;
        }
        let own = path
            .file_name()
            .map(|n| n.to_string_lossy().into_owned())
            .unwrap_or_default();
        let prefix = setting.split('.').next().unwrap_or_default();
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
        // What does not exist is no link: `a/..` is where `a` would be.
        Some(Component::ParentDir) => {
            let real = real_path(parent);
            real.parent().map_or(real.clone(), Path::to_owned)
        }
        Some(Component::Normal(name)) => real_path(parent).join(name),
        _ => absolute,
    }
}
