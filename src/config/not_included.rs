//! What a configuration names and a backup can't hold: `completed` must not lie by omission.

use std::path::Path;

use super::databases::real_path;
use super::{StorageSettings, Values};
use crate::Result;

/// Files of Arc's whose keys name them, from its `internal/config/config.go` (26.09).
const FILES: [(&str, &str); 7] = [
    ("server.tls_cert_file", "a certificate"),
    ("server.tls_key_file", "a private key"),
    ("cluster.tls_cert_file", "a certificate"),
    ("cluster.tls_key_file", "a private key"),
    ("cluster.tls_ca_file", "a certificate"),
    ("license.file_path", "the license"),
    ("database.arcx_extension_path", "an extension"),
];

/// Tables of Arc's configuration, but for `backup`: what `ARC_<TABLE>_…` sets.
pub(super) const TABLES: [&str; 26] = [
    "audit_log",
    "auth",
    "cache",
    "cluster",
    "compaction",
    "continuous_query",
    "database",
    "delete",
    "edge_sync",
    "governance",
    "iceberg",
    "ingest",
    "license",
    "log",
    "metrics",
    "mqtt",
    "query",
    "query_management",
    "reconciliation",
    "retention",
    "scheduler",
    "server",
    "storage",
    "telemetry",
    "tiered_storage",
    "wal",
];

/// The list, each by its key, with the reason.
pub(super) fn not_included(
    values: &Values,
    storage: &StorageSettings,
    config_exists: bool,
) -> Result<Vec<String>> {
    let mut list = Vec::new();
    if values.truth("tiered_storage.enabled", false)?
        && values.truth("tiered_storage.cold.enabled", false)?
    {
        list.push("tiered_storage.cold: the cold tier is another storage".to_owned());
    }
    if values.truth("iceberg.enabled", false)?
        && let Some(warehouse) = values.text("iceberg.warehouse")?
        && !is_in_storage(&warehouse, values, storage)?
    {
        list.push(format!(
            "iceberg.warehouse: `{warehouse}` lies outside of the storage root"
        ));
    }
    if values.truth("wal.enabled", false)? {
        let folder = (values.text("wal.directory")?).unwrap_or_else(|| "./data/wal".to_owned());
        list.push(format!(
            "wal.directory: `{folder}` holds rows that Arc has not yet written to Parquet"
        ));
    }
    if values.truth("cluster.enabled", false)? {
        let folder =
            (values.text("cluster.raft_data_dir")?).unwrap_or_else(|| "./data/raft".to_owned());
        list.push(format!(
            "cluster.raft_data_dir: `{folder}` holds this node's part of the cluster's state"
        ));
    }
    for (key, what) in FILES {
        if let Some(path) = values.text(key)?.filter(|path| !path.trim().is_empty()) {
            list.push(format!("{key}: `{path}` is {what}, beside the data"));
        }
    }
    let of_environment: Vec<_> = (values.variables("ARC_"))
        .filter(|name| {
            let name = name.to_ascii_lowercase();
            (TABLES.iter())
                .any(|table| (name.strip_prefix(table)).is_some_and(|rest| rest.starts_with('_')))
        })
        .map(|name| format!("ARC_{name}"))
        .collect();
    if !of_environment.is_empty() {
        list.push(format!(
            "environment: what {} set is not in arc.toml",
            of_environment.join(", ")
        ));
    }
    if !config_exists {
        list.push("arc.toml: there is none; Arc's defaults hold".to_owned());
    }
    Ok(list)
}

/// Whether an Iceberg warehouse, by its URI or path, is in Arc's storage: at its root or below.
fn is_in_storage(warehouse: &str, values: &Values, storage: &StorageSettings) -> Result<bool> {
    let text = |key: &str| Ok::<_, crate::Error>(values.text(key)?.unwrap_or_default());
    let root = match &*storage.kind {
        "s3" => format!(
            "s3://{}/{}",
            text("storage.s3_bucket")?,
            text("storage.s3_prefix")?.trim_matches('/')
        ),
        "azure" => format!("azure://{}", text("storage.azure_container")?),
        _ => {
            let path = warehouse.strip_prefix("file://").unwrap_or(warehouse);
            return Ok(real_path(Path::new(path)).starts_with(real_path(&storage.local_path)));
        }
    };
    let root = root.trim_end_matches('/');
    Ok((warehouse.strip_prefix(root)).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn keys(text: &str, kind: &str, environment: &[(&str, &str)]) -> Vec<String> {
        let environment =
            (environment.iter()).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let values = Values::parse(text, "arc.toml", environment).expect("valid TOML");
        let storage = StorageSettings {
            kind: kind.to_owned(),
            local_path: PathBuf::from("/srv/arc"),
        };
        let list = not_included(&values, &storage, true).expect("valid");
        (list.iter())
            .map(|text| text.split(": ").next().unwrap_or_default().to_owned())
            .collect()
    }

    /// Lost otherwise: what an operator believes to be in the backup, because the configuration names it.
    #[test]
    fn what_the_configuration_names_is_told() {
        for (text, kind, expected) in [
            ("", "local", &[][..]),
            ("[tiered_storage]\nenabled = true\n", "local", &[]),
            (
                "[tiered_storage]\nenabled = true\n[tiered_storage.cold]\nenabled = true\n",
                "local",
                &["tiered_storage.cold"],
            ),
            ("[tiered_storage.cold]\nenabled = true\n", "local", &[]),
            ("[wal]\nenabled = true\n", "local", &["wal.directory"]),
            ("[wal]\ndirectory = \"./w\"\n", "local", &[]),
            (
                "[cluster]\nenabled = true\ntls_ca_file = \"/etc/ca.pem\"\n",
                "local",
                &["cluster.raft_data_dir", "cluster.tls_ca_file"],
            ),
            (
                "[server]\ntls_cert_file = \"/etc/c.pem\"\ntls_key_file = \"/etc/k.pem\"\n[license]\nfile_path = \"l\"\nkey = \"x\"\n",
                "local",
                &[
                    "server.tls_cert_file",
                    "server.tls_key_file",
                    "license.file_path",
                ],
            ),
            ("[server]\ntls_cert_file = \"\"\n", "local", &[]),
        ] {
            assert_eq!(keys(text, kind, &[]), expected, "{text}");
        }
    }

    #[test]
    fn a_warehouse_in_the_storage_is_in_the_backup() {
        let at_s3 = "[storage]\ns3_bucket = \"b\"\ns3_prefix = \"/of/arc/\"\n";
        let at_azure = "[storage]\nazure_container = \"c\"\n";
        for (kind, storage, warehouse, is_inside) in [
            ("local", "", "/srv/arc", true),
            ("local", "", "/srv/arc/lake", true),
            ("local", "", "file:///srv/arc/lake", true),
            ("local", "", "/srv/arc2", false),
            ("local", "", "s3://b/of/arc", false),
            ("s3", at_s3, "s3://b/of/arc", true),
            ("s3", at_s3, "s3://b/of/arc/lake/", true),
            ("s3", at_s3, "s3://b/of/arc-2", false),
            ("s3", at_s3, "s3://b", false),
            ("azure", at_azure, "azure://c/lake", true),
            ("azure", at_azure, "azure://d", false),
        ] {
            let text = format!("{storage}[iceberg]\nenabled = true\nwarehouse = \"{warehouse}\"\n");
            let expected = if is_inside {
                &[][..]
            } else {
                &["iceberg.warehouse"]
            };
            assert_eq!(keys(&text, kind, &[]), expected, "{warehouse} in {kind}");
        }
    }

    /// Lost otherwise: the part of a configuration that no file holds. Values may be secrets, and are not told.
    #[test]
    fn what_the_environment_sets_is_told_by_name() {
        let environment = [
            ("ARC_STORAGE_S3_SECRET_KEY", "hunter2"),
            ("ARC_BACKUP_TIMEOUT", "60s"),
            ("ARC_TOKEN", "hunter2"),
            ("ARC_WALRUS", "x"),
            ("HOME", "/root"),
        ];
        assert_eq!(keys("", "local", &environment), ["environment"]);
        let values = Values::parse(
            "",
            "arc.toml",
            environment.map(|(name, value)| (name.to_owned(), value.to_owned())),
        );
        let storage = StorageSettings {
            kind: "local".to_owned(),
            local_path: PathBuf::from("/srv/arc"),
        };
        let list = not_included(&values.expect("valid TOML"), &storage, false).expect("valid");
        assert_eq!(
            list,
            [
                "environment: what ARC_STORAGE_S3_SECRET_KEY set is not in arc.toml",
                "arc.toml: there is none; Arc's defaults hold"
            ]
        );
    }
}
