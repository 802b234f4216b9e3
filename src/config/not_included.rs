//! What a configuration names and a backup does not hold: a completed backup says so.

use super::storage::StorageSettings;
use super::tables::ARC_TABLES;
use super::tiering::TieringSettings;
use super::values::Values;
use super::warehouse::Warehouse;
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

/// What is not in a backup: each by its key, with the reason.
pub(super) fn not_included(
    values: &Values,
    storage: &StorageSettings,
    tiering: &TieringSettings,
    config_exists: bool,
) -> Result<Vec<String>> {
    let mut list = Vec::new();
    if tiering.cold_kind.is_some() && !tiering.include_cold_tier {
        list.push(
            "tiered_storage.cold: `arc_backup.include_cold_tier` is false: files of the cold tier are omitted"
                .to_owned(),
        );
    }
    if let Warehouse::Elsewhere { reason } = Warehouse::read(values, storage)? {
        list.push(format!("iceberg.warehouse: {reason}"));
    }
    if values.bool("wal.enabled", false)? {
        let folder = (values.text("wal.directory")?).unwrap_or_else(|| "./data/wal".to_owned());
        list.push(format!(
            "wal.directory: `{folder}` holds rows that Arc has not yet written to Parquet"
        ));
    }
    if values.bool("cluster.enabled", false)? {
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
            (ARC_TABLES.iter())
                .any(|table| (name.strip_prefix(table)).is_some_and(|rest| rest.starts_with('_')))
        })
        .map(|name| format!("ARC_{name}"))
        .collect();
    if !of_environment.is_empty() {
        list.push(format!(
            "environment: the values of {} are not in arc.toml",
            of_environment.join(", ")
        ));
    }
    if !config_exists {
        list.push("arc.toml: there is none; Arc's defaults apply".to_owned());
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::backends::StorageRoot;
    use crate::config::backends::samples::backends;

    fn keys(text: &str, environment: &[(&str, &str)]) -> Vec<String> {
        let environment =
            (environment.iter()).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let values = Values::parse(text, "arc.toml", environment).expect("valid TOML");
        let tiering = TieringSettings::read(&values, &backends()).expect("valid");
        let list = not_included(&values, &storage(), &tiering, true).expect("valid");
        (list.iter())
            .map(|text| text.split(": ").next().unwrap_or_default().to_owned())
            .collect()
    }

    fn storage() -> StorageSettings {
        StorageSettings {
            kind: "local".to_owned(),
            root: StorageRoot::Folder("/srv/arc".into()),
        }
    }

    /// Guards against an operator who believes that everything which the configuration names is in
    /// the backup.
    #[test]
    fn what_the_configuration_names_is_listed() {
        for (text, expected) in [
            ("", &[][..]),
            ("[tiered_storage]\nenabled = true\n", &[]),
            (
                "[tiered_storage]\nenabled = true\n[tiered_storage.cold]\nenabled = true\n",
                &[],
            ),
            (
                "[tiered_storage]\nenabled = true\n[tiered_storage.cold]\nenabled = true\n[arc_backup]\ninclude_cold_tier = false\n",
                &["tiered_storage.cold"],
            ),
            ("[tiered_storage.cold]\nenabled = true\n", &[]),
            ("[wal]\nenabled = true\n", &["wal.directory"]),
            ("[wal]\ndirectory = \"./w\"\n", &[]),
            (
                "[cluster]\nenabled = true\ntls_ca_file = \"/etc/ca.pem\"\n",
                &["cluster.raft_data_dir", "cluster.tls_ca_file"],
            ),
            (
                "[server]\ntls_cert_file = \"/etc/c.pem\"\ntls_key_file = \"/etc/k.pem\"\n[license]\nfile_path = \"l\"\nkey = \"x\"\n",
                &[
                    "server.tls_cert_file",
                    "server.tls_key_file",
                    "license.file_path",
                ],
            ),
            ("[server]\ntls_cert_file = \"\"\n", &[]),
        ] {
            assert_eq!(keys(text, &[]), expected, "{text}");
        }
    }

    #[test]
    fn a_warehouse_in_the_storage_is_in_the_backup() {
        let folder = || StorageRoot::Folder("/srv/arc".into());
        let uri = |uri: &str| StorageRoot::Uri(uri.to_owned());
        for (root, warehouse, is_inside) in [
            (folder(), "/srv/arc", true),
            (folder(), "/srv/arc/lake", true),
            (folder(), "file:///srv/arc/lake", true),
            (folder(), "/srv/arc2", true),
            (folder(), "/srv", false),
            (folder(), "s3://b/of/arc", false),
            (uri("s3://b/of/arc"), "s3://b/of/arc", true),
            (uri("s3://b/of/arc"), "s3://b/of/arc/lake/", true),
            (uri("s3://b/of/arc"), "s3://b/of/arc-2", false),
            (uri("s3://b/of/arc"), "s3://b", false),
            (uri("azure://c"), "azure://c/lake", true),
            (uri("azure://c"), "azure://d", false),
        ] {
            let storage = StorageSettings { root, ..storage() };
            let text = format!("[iceberg]\nenabled = true\nwarehouse = \"{warehouse}\"\n");
            let values = Values::parse(&text, "arc.toml", []).expect("valid TOML");
            let list =
                not_included(&values, &storage, &TieringSettings::default(), true).expect("valid");
            let is_omitted = list
                .iter()
                .any(|line| line.starts_with("iceberg.warehouse"));
            assert_eq!(is_omitted, !is_inside, "{warehouse} in {:?}", storage.root);
        }
    }

    /// Guards against the loss of settings that no file holds. Values may be secrets, and are not
    /// shown.
    #[test]
    fn what_the_environment_sets_is_listed_by_name() {
        let environment = [
            ("ARC_STORAGE_S3_SECRET_KEY", "hunter2"),
            ("ARC_BACKUP_TIMEOUT", "60s"),
            ("ARC_TOKEN", "hunter2"),
            ("ARC_WALRUS", "x"),
            ("HOME", "/root"),
        ];
        assert_eq!(keys("", &environment), ["environment"]);
        let values = Values::parse(
            "",
            "arc.toml",
            environment.map(|(name, value)| (name.to_owned(), value.to_owned())),
        );
        let tiering = TieringSettings::default();
        let values = values.expect("valid TOML");
        let list = not_included(&values, &storage(), &tiering, false).expect("valid");
        assert_eq!(
            list,
            [
                "environment: the values of ARC_STORAGE_S3_SECRET_KEY are not in arc.toml",
                "arc.toml: there is none; Arc's defaults apply"
            ]
        );
    }
}
