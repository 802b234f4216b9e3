use std::path::Path;

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

/// Guards against another place, or an open service, where `arc.toml` leaves a key to its default.
#[test]
fn without_a_key_the_default_is_that_of_arc() {
    let read = settings("");
    assert_eq!(read.storage.folder(), Some(Path::new("./data/arc")));
    assert!(read.auth.enabled && read.backup.enabled);
    assert_eq!(read.auth.db_path, Path::new("./data/arc.db"));
    assert_eq!(read.auth.cache_ttl.as_secs(), 300);
    assert_eq!(read.auth.bootstrap_token, None);
    assert_eq!(read.backup.local_path, Path::new("./data/backups"));
    assert!(read.backup.include_metadata);
    let databases: Vec<_> = read.databases.iter().map(|one| &*one.path).collect();
    assert_eq!(
        databases,
        [Path::new("./data/arc.db")],
        "one for all four keys"
    );
    // The Iceberg warehouse is in the storage, and so in the backup.
    let lake = settings("[iceberg]\nenabled = true\n").not_included;
    assert!(!lake.concat().contains("iceberg.warehouse"), "{lake:?}");
    // A database of its own does not move the others: their default is a literal path.
    let read = settings("[auth]\ndb_path = \"./x/tokens.db\"\n");
    let databases: Vec<_> = read.databases.iter().map(|one| &*one.path).collect();
    assert_eq!(databases, ["./x/tokens.db", "./data/arc.db"].map(Path::new));
}

/// Guards against a store that is asked without TLS, or by another region, where no key says so.
#[cfg(feature = "s3")]
#[tokio::test]
async fn without_a_key_s3_is_asked_with_tls() {
    for (lines, place) in [
        ("", "https://minio:9000"),
        ("s3_use_ssl = false\n", "http://minio:9000"),
    ] {
        let read = settings(&format!(
            "[storage]\nbackend = \"minio\"\ns3_bucket = \"b\"\ns3_endpoint = \"minio:9000\"\n{lines}"
        ));
        let storage = Registry::new().storage(&read).expect("a valid storage");
        let location = storage.location();
        assert!(location.ends_with(place), "{location}");
    }
}

/// Guards against a short token that Arc refuses and this service accepts.
#[test]
fn a_bootstrap_token_has_32_characters_at_least() {
    for (length, is_used) in [(31, false), (32, true)] {
        let token = "t".repeat(length);
        let read = settings(&format!("[auth]\nbootstrap_token = \"{token}\"\n"));
        assert_eq!(read.auth.bootstrap_token.is_some(), is_used, "{length}");
        let warned = (read.warnings.iter()).any(|one| one.setting == "auth.bootstrap_token");
        assert_eq!(warned, !is_used, "{length}");
    }
}
