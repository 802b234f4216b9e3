//! Where a configuration places Arc's data and databases: what two of them say differently.

use std::path::Path;

use super::backends::{Backends, PlaceForm};
use super::databases::real_path;
use super::storage::kind;
use super::values::Values;
use crate::Result;

/// The databases, by the keys that name their files; of each, Arc's default is the same file.
const DATABASES: [&str; 4] = [
    "auth.db_path",
    "iceberg.catalog_db_path",
    "retention.db_path",
    "continuous_query.db_path",
];
const DEFAULT_DATABASE: &str = "./data/arc.db";

/// What is compared.
#[derive(Debug, Clone)]
pub(crate) struct Compared<'a> {
    /// The kinds of storage.
    pub(crate) backends: &'a Backends,
    /// Where Arc's data is.
    pub(crate) data: bool,
    /// Whether an Iceberg warehouse outside of the storage root is restored.
    pub(crate) warehouse: bool,
    /// The databases of these keys.
    pub(crate) databases: Vec<&'a str>,
}

/// The keys by which `theirs` places something elsewhere than `ours`, each with both values, for
/// people. Variables are in force over both.
///
/// # Errors
/// When a value has another type.
pub(crate) fn differences(
    ours: &Values,
    theirs: &Values,
    compared: &Compared<'_>,
) -> Result<Vec<String>> {
    let backends = compared.backends;
    let (our_kind, their_kind) = (kind(ours, backends)?, kind(theirs, backends)?);
    let mut differences = Vec::new();
    if compared.data && our_kind != their_kind {
        differences.push(format!(
            "`storage.backend` is `{their_kind}` in the backup and `{our_kind}` here"
        ));
    }
    let mut compare = |key: &str, form: PlaceForm| -> Result<()> {
        let (our, their) = (value(ours, key, form)?, value(theirs, key, form)?);
        if our.meant != their.meant {
            differences.push(format!(
                "`{key}` is {} in the backup and {} here",
                their.shown, our.shown
            ));
        }
        Ok(())
    };
    if compared.data && our_kind == their_kind {
        let backend = backends.find(&our_kind);
        for (key, form) in backend.into_iter().flat_map(|backend| backend.place) {
            compare(&format!("storage.{key}"), *form)?;
        }
    }
    if compared.warehouse {
        compare("iceberg.warehouse", PlaceForm::Text)?;
    }
    for key in DATABASES {
        if compared.databases.contains(&key) {
            compare(key, PlaceForm::Path(DEFAULT_DATABASE))?;
        }
    }
    Ok(differences)
}

/// A value, as it is compared and as it is shown.
struct Value {
    meant: String,
    shown: String,
}

fn value(values: &Values, key: &str, form: PlaceForm) -> Result<Value> {
    let text = values.text(key)?.filter(|text| !text.trim().is_empty());
    Ok(match (form, text) {
        (PlaceForm::Path(default), text) => {
            let is_default = text.is_none();
            let text = text.unwrap_or_else(|| default.to_owned());
            let meant = real_path(Path::new(&text)).display().to_string();
            let shown = match is_default {
                true => format!("`{meant}` (Arc's default)"),
                false => format!("`{meant}`"),
            };
            Value { meant, shown }
        }
        (_, None) => Value {
            meant: String::new(),
            shown: "not set".to_owned(),
        },
        (PlaceForm::Prefix, Some(text)) => Value {
            meant: text.trim_matches('/').to_owned(),
            shown: format!("`{text}`"),
        },
        (PlaceForm::Text, Some(text)) => Value {
            meant: text.trim().trim_end_matches('/').to_owned(),
            shown: format!("`{text}`"),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn between(ours: &str, theirs: &str, environment: &[(&str, &str)]) -> Vec<String> {
        let environment = (environment.iter()).map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        let ours = Values::parse(ours, "arc.toml", environment).expect("valid TOML");
        let theirs = ours.with_file(theirs, "theirs").expect("valid TOML");
        let backends = crate::config::backends::samples::backends();
        let compared = Compared {
            backends: &backends,
            data: true,
            warehouse: false,
            databases: vec!["auth.db_path", "retention.db_path"],
        };
        differences(&ours, &theirs, &compared).expect("texts")
    }

    /// Guards against data that is restored where Arc does not look for it, and a refusal of a
    /// valid restore.
    #[test]
    fn what_places_something_elsewhere_is_named_with_both_values() {
        let named = between("", "[storage]\nlocal_path = \"/srv/data\"\n", &[]);
        assert_eq!(named.len(), 1, "{named:?}");
        assert!(
            named[0].contains("`storage.local_path` is `/srv/data`")
                && named[0].contains("(Arc's default)"),
            "{named:?}"
        );
        // Arc's default, said or not, and spelled in another way.
        let spelled = "[storage]\nbackend = \"local\"\nlocal_path = \"data/./arc\"\n[auth]\ndb_path = \"./data/arc.db\"\n";
        assert_eq!(between("", spelled, &[]), Vec::<String>::new());
        // A variable in force wins over both files.
        let variable = [("ARC_STORAGE_LOCAL_PATH", "/mnt/data")];
        let file = "[storage]\nlocal_path = \"/srv/data\"\n";
        assert_eq!(between("", file, &variable), Vec::<String>::new());
        let database = "[retention]\ndb_path = \"/srv/retention.db\"\n";
        let named = between("", database, &[]);
        assert!(named[0].contains("`retention.db_path`"), "{named:?}");
        // Not restored, so not placed.
        let catalog = "[iceberg]\ncatalog_db_path = \"/srv/catalog.db\"\n";
        assert_eq!(between("", catalog, &[]), Vec::<String>::new());
        let bucket = |name: &str, prefix: &str, kind: &str| {
            format!(
                "[storage]\nbackend = \"{kind}\"\ns3_bucket = \"{name}\"\ns3_prefix = \"{prefix}\"\n"
            )
        };
        let named = between(&bucket("a", "x", "s3"), &bucket("b", "x/", "minio"), &[]);
        assert_eq!(
            named,
            ["`storage.s3_bucket` is `b` in the backup and `a` here"]
        );
        let named = between("", &bucket("a", "x", "s3"), &[]);
        assert_eq!(
            named,
            ["`storage.backend` is `s3` in the backup and `local` here"]
        );
    }
}
