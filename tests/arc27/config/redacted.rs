//! `arc.toml` without its secrets.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::stores::{Place, s3_server};
use crate::support::{Instance, text, tree};

/// Secrets in the file, in usual and in odd places.
const SECRETS: [&str; 7] = [
    "bootstrap-secret-0123456789abcdef0123",
    "hush-inline-hush",
    "hush-line-hush",
    "hush-quoted-hush",
    "hush-array-hush",
    "hush-comment-hush",
    "hush-url-hush",
];

const ODD: &str = r#"
[mqtt]
inline = { user = "me", password = "hush-inline-hush" } # a comment
"api key" = "hush-quoted-hush"
private_key = """
hush-line-hush
"""
# s3_secret_key = "hush-comment-hush"
[[brokers]]
name = "a"
tokens = ["hush-array-hush"]
url = "mqtt://me:hush-url-hush@broker:1883"
"#;

/// An instance with secrets in its `arc.toml`, and a target `far` in a bucket.
fn instance(place: &Place) -> Instance {
    let instance = Instance::new();
    let path = instance.path("arc.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let token = format!(
        "db_path = \"./data/arc.db\"\nbootstrap_token = \"{}\"",
        SECRETS[0]
    );
    let text = text.replacen("db_path = \"./data/arc.db\"", &token, 1);
    std::fs::write(&path, text).unwrap();
    instance.configure(&format!(
        "{ODD}[backup.targets.far]\ntype = \"s3\"\n{}[backup.targets.local]\ntype = \"local\"\nlocal_path = \"./data/backups\"\n",
        place.config
    ));
    instance
}

/// Every object of the bucket in which one of the secrets is.
fn shown(objects: &BTreeMap<String, Vec<u8>>, secrets: &[String]) -> Vec<String> {
    let shows = |bytes: &[u8], secret: &str| {
        (bytes.windows(secret.len())).any(|window| window == secret.as_bytes())
    };
    let mut found = Vec::new();
    for (key, bytes) in objects {
        for secret in secrets.iter().filter(|secret| shows(bytes, secret)) {
            found.push(format!("{key}: {secret}"));
        }
    }
    found
}

/// Guards against: a secret in any byte of a remote target; an `arc.toml` that comes back without
/// secrets that the machine has; a second restore that changes it again.
#[test]
fn a_remote_target_has_no_secret_and_a_restore_brings_them_back() {
    let server = s3_server();
    let place = Place::s3(&server, "backups", "arc");
    let instance = instance(&place);
    let mut secrets: Vec<String> = SECRETS.map(str::to_owned).to_vec();
    secrets.push(server.options().secret_key.clone());
    let live = std::fs::read_to_string(instance.path("arc.toml")).unwrap();
    assert!(secrets.iter().all(|secret| live.contains(secret.as_str())));
    let output = instance.run(&["backup", "--target", "far"]);
    assert!(output.status.success(), "{}", text(&output));
    let id = String::from_utf8(output.stdout.clone())
        .unwrap()
        .trim()
        .to_owned();
    let objects = || -> BTreeMap<String, Vec<u8>> {
        let keys = server.keys("backups").into_iter();
        keys.map(|key| {
            let bytes = server.object("backups", &key).unwrap().to_vec();
            (key, bytes)
        })
        .collect()
    };
    assert!(objects().contains_key(&format!("arc/{id}/config/arc.toml")));
    assert_eq!(shown(&objects(), &secrets), Vec::<String>::new());
    // The manifest says so, and names the variables.
    let (_, manifest) = instance.json(&["show", &id, "--target", "far"]);
    let variables = &manifest["config_redacted"];
    for name in [
        "ARC_AUTH_BOOTSTRAP_TOKEN",
        "ARC_BACKUP_TARGETS_FAR_S3_SECRET_KEY",
        "ARC_BROKERS_0_TOKENS_0",
        "ARC_MQTT_INLINE_PASSWORD",
    ] {
        let names = variables.as_array().unwrap();
        assert!(names.contains(&json!(name)), "{manifest}");
    }
    assert!(
        instance
            .ok(&["show", &id, "--target", "far"])
            .contains("ARC_AUTH_BOOTSTRAP_TOKEN")
    );
    instance.ok(&["verify", &id, "--target", "far"]);
    // Somebody has changed the file; the secrets are still in it.
    let changed = live.replace("max_buffer_size = 50000", "max_buffer_size = 7 # changed");
    assert_ne!(changed, live);
    std::fs::write(
        instance.path("arc.toml"),
        changed.replace("hush-comment-hush", ""),
    )
    .unwrap();
    let restore = [
        "restore",
        &id,
        "--target",
        "far",
        "--with-config",
        "--no-data",
        "--no-metadata",
        "--yes",
    ];
    let output = instance.run(&restore);
    assert!(output.status.success(), "{}", text(&output));
    let expected = live.replace(" \"hush-comment-hush\"", " (redacted)");
    let restored = || std::fs::read_to_string(instance.path("arc.toml")).unwrap();
    assert_eq!(restored(), expected);
    // Again: nothing changes, not even the copy of before.
    let before = tree(&instance.path(""))
        .into_iter()
        .filter(|(path, _)| path.starts_with("arc.toml"))
        .collect::<BTreeMap<_, _>>();
    let output = instance.run(&restore);
    assert!(output.status.success(), "{}", text(&output));
    let after = tree(&instance.path(""))
        .into_iter()
        .filter(|(path, _)| path.starts_with("arc.toml"))
        .collect::<BTreeMap<_, _>>();
    assert_eq!(
        before.keys().collect::<Vec<_>>(),
        after.keys().collect::<Vec<_>>()
    );
    assert_eq!(before, after);
    assert_eq!(shown(&objects(), &secrets), Vec::<String>::new());
}

/// Guards against: a new host that starts with `${…}` for a password, and nobody said so.
#[test]
fn a_new_host_is_warned_which_secrets_to_set() {
    let server = s3_server();
    let place = Place::s3(&server, "backups", "arc");
    let instance = instance(&place);
    let id = instance.ok(&["backup", "--target", "far"]);
    let host = Instance::with_config(&format!(
        "[backup]\ndefault_target = \"far\"\n[backup.targets.far]\ntype = \"s3\"\n{}",
        place.config
    ));
    let (code, ended) = host.json(&[
        "restore",
        &id,
        "--with-config",
        "--no-data",
        "--no-metadata",
        "--yes",
    ]);
    assert_eq!(code, 0, "{ended}");
    let warnings = ended["warnings"].to_string();
    assert!(warnings.contains("ARC_AUTH_BOOTSTRAP_TOKEN"), "{warnings}");
    assert!(!warnings.contains("FAR_S3_SECRET_KEY"), "{warnings}");
    let restored = std::fs::read_to_string(host.path("arc.toml")).unwrap();
    assert!(restored.contains("bootstrap_token = \"${ARC_AUTH_BOOTSTRAP_TOKEN}\""));
    assert!(restored.contains(&server.options().secret_key));
    let parsed: toml::Table = restored.parse().unwrap();
    assert_eq!(parsed["brokers"][0]["name"].as_str(), Some("a"));
    // The doctor names what is still to be set.
    let (_, report) = host.json(&["doctor"]);
    let checks = report["checks"].as_array().unwrap();
    let named = |key: &str| checks.iter().any(|check| check["setting"] == key);
    assert!(
        named("auth.bootstrap_token") && named("mqtt.private_key"),
        "{report}"
    );
    assert!(!named("backup.targets.far.s3_secret_key"), "{report}");
}

/// Guards against: a local backup that can no longer be restored without the live file; an option
/// that one of the two interfaces ignores.
#[test]
fn each_way_is_taken_as_it_was_asked_for() {
    let server = s3_server();
    let place = Place::s3(&server, "backups", "arc");
    let instance = instance(&place);
    let config = |instance: &Instance, id: &str| {
        std::fs::read_to_string(instance.backup_folder(id).join("config/arc.toml"))
    };
    let live = std::fs::read_to_string(instance.path("arc.toml")).unwrap();
    let id = instance.ok(&["backup", "--target", "local"]);
    assert_eq!(config(&instance, &id).unwrap(), live);
    let id = instance.ok(&[
        "backup",
        "--target",
        "local",
        "--include-config",
        "redacted",
    ]);
    let redacted = config(&instance, &id).unwrap();
    assert!(!redacted.contains(SECRETS[0]));
    for option in [&["--include-config", "false"][..], &["--no-config"]] {
        let id = instance.ok(&[&["backup", "--target", "local"], option].concat());
        assert!(config(&instance, &id).is_err());
    }
    let wrong = instance.run(&["backup", "--include-config", "maybe"]);
    assert_eq!(wrong.status.code(), Some(2), "{}", text(&wrong));
    // Asked for, a remote target gets the secrets, with a warning.
    let (code, ended) = instance.json(&["backup", "--target", "far", "--include-config", "true"]);
    assert_eq!(code, 0, "{ended}");
    assert!(
        ended["warnings"]
            .to_string()
            .contains("backup.include_config"),
        "{ended}"
    );
    let key = format!(
        "arc/{}/config/arc.toml",
        ended["backup_id"].as_str().unwrap()
    );
    assert_eq!(server.object("backups", &key).unwrap(), live.as_bytes());
    // The same over REST.
    let service = instance.serve();
    for (value, expected) in [
        (json!("redacted"), Some(redacted.as_str())),
        (json!(true), Some(live.as_str())),
        (json!(null), Some(live.as_str())),
        (json!(false), None),
    ] {
        let body = json!({"target": "local", "include_config": value});
        let answer = service.post("/api/v1/backup", &body.to_string());
        assert_eq!(answer.status, 202, "{}", answer.json());
        let ended: Value = service.wait();
        assert_eq!(ended["status"], "completed", "{ended}");
        let stored = config(&instance, ended["backup_id"].as_str().unwrap());
        assert_eq!(stored.ok().as_deref(), expected, "{value}");
    }
    for wrong in [json!("maybe"), json!(5)] {
        let body = json!({"target": "local", "include_config": wrong}).to_string();
        let answer = service.post("/api/v1/backup", &body);
        assert_eq!(answer.status, 400, "{body}");
        let detail = answer.json()["detail"].to_string();
        assert!(
            detail.contains("include_config must be true or false, or"),
            "{detail}"
        );
    }
    drop(service);
    // As the file says.
    let text = live.replace("[backup]\n", "[backup]\ninclude_config = \"redacted\"\n");
    std::fs::write(instance.path("arc.toml"), text).unwrap();
    let id = instance.ok(&["backup", "--target", "local"]);
    assert!(!config(&instance, &id).unwrap().contains(SECRETS[0]));
}
