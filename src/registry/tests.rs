use super::backends;
use super::registry::Registry;
use crate::config::{BACKUP_KEYS, Overrides, Settings};

/// A table whose values are valid for every kind.
const TABLE: &str = "local_path = \"x\"\ns3_bucket = \"bucket\"\ns3_region = \"eu-central-1\"\n\
    azure_container = \"container\"\nazure_account_name = \"account\"\nazure_account_key = \"bm90IGEgcmVhbCBrZXk=\"\n";

fn settings(text: &str) -> Settings {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("arc.toml");
    std::fs::write(&config, text).expect("room");
    let overrides = Overrides {
        config: Some(config),
        ignore_environment: true,
    };
    Registry::new().settings(&overrides).expect("valid")
}

/// Guards against a key that is accepted without a warning, and ignored.
#[tokio::test]
async fn every_accepted_key_is_read() {
    let mut unread = Vec::new();
    for kind in backends::all() {
        let name = kind.description.names[0];
        let settings = settings(&format!(
            "[storage]\nbackend = \"{name}\"\n{TABLE}\n[backup.targets.far]\ntype = \"{name}\"\n{TABLE}"
        ));
        let registry = Registry::new();
        registry.storage(&settings).expect("a valid storage");
        registry.repositories(&settings).expect("valid targets");
        let of_kind = kind.description.keys.iter().flat_map(|key| {
            [
                format!("storage.{key}"),
                format!("backup.targets.far.{key}"),
            ]
        });
        let keys = of_kind
            .chain(
                [
                    "storage.backend",
                    "backup.targets.far.type",
                    "backup.targets.far.databases",
                ]
                .map(str::to_owned),
            )
            .chain(BACKUP_KEYS.iter().map(|key| format!("backup.{key}")))
            .chain(BACKUP_KEYS.iter().map(|key| format!("arc_backup.{key}")));
        unread.extend(keys.filter(|key| !settings.values.was_read(key)));
    }
    assert_eq!(unread, Vec::<String>::new());
}

/// Guards against a storage that is taken for another one, as its kind has two names.
#[test]
fn a_storage_is_of_the_first_name_of_its_kind() {
    for (text, kind) in [
        ("", "local"),
        ("[storage]\nbackend = \"MinIO\"\n", "s3"),
        ("[storage]\nbackend = \" azblob \"\n", "azure"),
    ] {
        assert_eq!(settings(text).storage.kind, kind);
    }
}
