//! Where a configuration places Arc's data and databases: what two of them say differently.

use std::path::Path;

use super::Values;
use super::databases::real_path;
use crate::Result;

/// The databases, by the keys that name their files; of each, Arc's default is the same file.
const DATABASES: [&str; 4] = [
    "auth.db_path",
    "iceberg.catalog_db_path",
    "retention.db_path",
    "continuous_query.db_path",
];
const DEFAULT_DATABASE: &str = "./data/arc.db";
const DEFAULT_DATA: &str = "./data/arc";

/// What is compared.
#[derive(Debug, Clone, Default)]
pub(crate) struct Compared<'a> {
    /// Where Arc's data is.
    pub(crate) data: bool,
    /// The databases of these keys.
    pub(crate) databases: Vec<&'a str>,
}

/// How a value is written in a configuration.
#[derive(Debug, Clone, Copy)]
enum Form {
    /// A path, which resolves against the working directory, with Arc's default.
    Path(&'static str),
    /// A folder in a store: slashes around it mean nothing.
    Prefix,
    /// A name or an address.
    Text,
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
    let (our_kind, their_kind) = (backend(ours)?, backend(theirs)?);
    let mut differences = Vec::new();
    if compared.data && our_kind != their_kind {
        differences.push(format!(
            "`storage.backend` is `{their_kind}` in the backup and `{our_kind}` here"
        ));
    }
    let mut compare = |key: &str, form: Form| -> Result<()> {
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
        for (key, form) in keys_of(&our_kind) {
            compare(key, form)?;
        }
    }
    for key in DATABASES {
        if compared.databases.contains(&key) {
            compare(key, Form::Path(DEFAULT_DATABASE))?;
        }
    }
    Ok(differences)
}

/// The kind of storage: spellings of the same one are one.
fn backend(values: &Values) -> Result<String> {
    let text = values.text("storage.backend")?;
    let text = text.unwrap_or_else(|| "local".to_owned());
    Ok(match text.trim().to_ascii_lowercase().as_str() {
        "s3" | "minio" => "s3".to_owned(),
        "azure" | "azblob" => "azure".to_owned(),
        other => other.to_owned(),
    })
}

/// The keys that say where in a kind of storage the data is.
fn keys_of(backend: &str) -> Vec<(&'static str, Form)> {
    match backend {
        "s3" => vec![
            ("storage.s3_bucket", Form::Text),
            ("storage.s3_prefix", Form::Prefix),
            ("storage.s3_endpoint", Form::Text),
        ],
        "azure" => vec![
            ("storage.azure_container", Form::Text),
            ("storage.azure_prefix", Form::Prefix),
            ("storage.azure_account_name", Form::Text),
            ("storage.azure_endpoint", Form::Text),
        ],
        _ => vec![("storage.local_path", Form::Path(DEFAULT_DATA))],
    }
}

/// A value, as it is compared and as it is shown.
struct Value {
    meant: String,
    shown: String,
}

fn value(values: &Values, key: &str, form: Form) -> Result<Value> {
    let text = values.text(key)?.filter(|text| !text.trim().is_empty());
    Ok(match (form, text) {
        (Form::Path(default), text) => {
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
        (Form::Prefix, Some(text)) => Value {
            meant: text.trim_matches('/').to_owned(),
            shown: format!("`{text}`"),
        },
        (Form::Text, Some(text)) => Value {
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
        let compared = Compared {
            data: true,
            databases: vec!["auth.db_path", "retention.db_path"],
        };
        differences(&ours, &theirs, &compared).expect("texts")
    }

    /// Lost otherwise: the data, to a place where Arc does not look for it; or a restore that would
    /// do, refused.
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
