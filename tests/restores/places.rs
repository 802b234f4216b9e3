//! Restores to every place, of every part, under every name.

use super::parts::{Case, Files, change_all, files, in_scope, is_anchor, live_files};
use super::*;
use arc_backup_test_azurite::Azurite;
use arc_backup_test_s3::S3Server;
use stores::{KINDS, done, put_all, target};

/// Where a restore writes to.
#[derive(Debug, Clone, Copy, PartialEq)]
enum To {
    Live,
    Folder,
    Storage,
}

/// Parts of the database `iot`: with a new name for it, nothing else is restored.
fn scopes() -> Vec<Case> {
    let part = |scope, is_in, keeps_anchors| Case {
        scope,
        is_in,
        keeps_anchors,
    };
    vec![
        part(json!({}), |_| true, false),
        part(
            json!({"include": ["iot"]}),
            |key| {
                let folders = ["iot/", "_schema/iot/", "_compaction_state/daily/iot/"];
                folders.iter().any(|folder| key.starts_with(folder))
            },
            false,
        ),
        part(
            json!({"include": ["*.cpu"], "exclude": ["web"]}),
            |key| key.starts_with("iot/cpu/") || key == "_schema/iot/cpu.parquet",
            false,
        ),
        part(
            json!({"include": ["iot.cpu"], "from": "2027-01-13T22:00:00Z", "until": "2027-01-13T23:00:00Z"}),
            |key| key.starts_with("iot/cpu/2027/01/13/22/") || key == "_schema/iot/cpu.parquet",
            true,
        ),
        part(
            json!({"include": ["iot/cpu/2027/01/14/0?/a.parquet"]}),
            |key| key.starts_with("iot/cpu/2027/01/14/") && key.ends_with("/a.parquet"),
            false,
        ),
    ]
}

/// What a file is restored as; `None` where it is not.
fn renamed(key: &str) -> Option<String> {
    let names_its_database = key.contains("/metadata/") || key.starts_with("_compaction_state/");
    let moved = [("iot/", "iot_old/"), ("_schema/iot/", "_schema/iot_old/")]
        .into_iter()
        .find_map(|(old, new)| Some(format!("{new}{}", key.strip_prefix(old)?)));
    moved.filter(|_| !names_its_database)
}

fn other_place(kind: Kind, instance: &Instance, server: &S3Server, number: usize) -> Place {
    let path = format!("others/{number}");
    match kind {
        Kind::Local => Place::local(instance, &path),
        Kind::S3 => Place::s3(server, "backups", &path),
        Kind::Azure => Place::azure(Azurite::shared(), &path),
    }
}

fn with_storage(instance: &Instance, name: &str, place: &Place) {
    instance.configure(&format!(
        "[arc_backup.storages.{name}]\nbackend = \"{}\"\n{}",
        place.name(),
        place.config
    ));
}

fn keys_of(files: &Files) -> Vec<&String> {
    files.keys().collect()
}

/// Guards against: a restore that brings another file than was asked for, elsewhere, under another
/// name or with other bytes, and against one that touches anything else. Every combination of part,
/// new name and place, on all three storages.
pub(super) fn each_part_goes_to_each_place_under_each_name() {
    let server = s3_server();
    for kind in KINDS {
        let instance = small();
        std::fs::remove_dir_all(instance.path("data/arc")).unwrap();
        std::fs::create_dir(instance.path("data/arc")).unwrap();
        let data = stores::storage(kind, &instance, &server, true);
        put_all(&data.sink, &files());
        let far = target(Kind::Local, &instance, &server);
        configure(&instance, &data, &far);
        let mut others = Vec::new();
        for number in 0..2 * scopes().len() {
            others.push(other_place(kind, &instance, &server, number));
            with_storage(&instance, &format!("other-{number}"), &others[number]);
        }
        let service = instance.serve();
        let made = done(&service, "/api/v1/backup", r#"{"target": "far"}"#);
        let id = made["backup_id"].as_str().unwrap();
        change_all(&data, 1);
        let (live, held) = (live_files(&data), files());
        let others_of = |instance: &Instance| {
            let mut of_target = contents(&far.sink);
            of_target.retain(|key, _| key.starts_with(id));
            let config = std::fs::read(instance.path("arc.toml")).unwrap();
            let rows = support::database_rows(&instance.path("data/arc.db"));
            (of_target, config, rows)
        };
        let before = others_of(&instance);
        for (number, case) in scopes().iter().enumerate() {
            for is_renamed in [false, true] {
                for to in [To::Live, To::Folder, To::Storage] {
                    let name = format!("{kind:?}, {}, renamed: {is_renamed}, {to:?}", case.scope);
                    // From the same live data each time.
                    let now = live_files(&data);
                    let gone: Vec<_> = now.keys().map(String::as_str).collect();
                    stores::delete(&data.sink, &gone);
                    put_all(&data.sink, &live);
                    let mut body =
                        json!({"backup_id": id, "scope": case.scope, "restore_metadata": false});
                    if is_renamed {
                        body["rename"] = json!({"iot": "iot_old"});
                    }
                    let folder = instance.path(&format!("copies/{number}-{is_renamed}"));
                    let other = 2 * number + usize::from(is_renamed);
                    match to {
                        To::Live => body["confirm"] = true.into(),
                        To::Folder => body["to"] = folder.display().to_string().into(),
                        To::Storage => body["to_storage"] = format!("other-{other}").into(),
                    }
                    let ended = done(&service, "/api/v1/backup/restore", &body.to_string());
                    let wanted: Files = (held.iter())
                        .filter(|(key, _)| in_scope(case, key))
                        .filter_map(|(key, bytes)| {
                            let key = match is_renamed {
                                true => renamed(key)?,
                                false => key.clone(),
                            };
                            Some((key, bytes.clone()))
                        })
                        .collect();
                    assert!(!wanted.is_empty(), "{name}");
                    let (found, mut expected) = match to {
                        To::Live => (live_files(&data), live.clone()),
                        To::Folder => {
                            let place = Place::local(
                                &instance,
                                &format!("copies/{number}-{is_renamed}/data/arc"),
                            );
                            (contents(&place.sink), Files::new())
                        }
                        To::Storage => (contents(&others[other].sink), Files::new()),
                    };
                    // Extra files of the part are set aside; under a new name there are none.
                    expected.retain(|key, _| {
                        let stays = case.keeps_anchors && is_anchor(key) && !held.contains_key(key);
                        is_renamed || stays || !in_scope(case, key)
                    });
                    expected.extend(wanted);
                    assert_eq!(keys_of(&found), keys_of(&expected), "{name}");
                    assert!(found == expected, "{name}: other bytes");
                    if to != To::Live {
                        assert!(live_files(&data) == live, "{name}: live data was touched");
                        assert!(
                            ended["set_aside_files"].as_u64().unwrap_or(0) == 0,
                            "{ended}"
                        );
                    }
                    assert!(
                        others_of(&instance) == before,
                        "{name}: something else was touched"
                    );
                }
            }
        }
        assert!(
            service
                .get("/api/v1/backup/status")
                .json()
                .get("restore_in_progress")
                .is_none()
        );
    }
}

/// Guards against: a restore into a storage that has something else, or is something else, and
/// against one that asks where nothing is overwritten.
pub(super) fn a_storage_that_cannot_be_restored_to_is_refused() {
    let server = s3_server();
    let instance = small();
    let data = Place::local(&instance, "data/arc");
    let far = Place::s3(&server, "backups", "far");
    configure(&instance, &data, &far);
    let id = instance.ok(&["backup", "--target", "far"]);
    let full = Place::s3(&server, "data", "full");
    put(&full.sink, "a/b.parquet", b"somebody's rows");
    with_storage(&instance, "test", &Place::s3(&server, "data", "test"));
    with_storage(&instance, "full", &full);
    with_storage(
        &instance,
        "inside",
        &Place::local(&instance, "data/arc/inside"),
    );
    with_storage(&instance, "state", &Place::local(&instance, "data"));
    with_storage(&instance, "target", &Place::s3(&server, "backups", ""));
    with_storage(&instance, "outer", &Place::s3(&server, "data", "outer"));
    with_storage(
        &instance,
        "nested",
        &Place::s3(&server, "data", "outer/nested"),
    );
    instance.configure(
        "[arc_backup.storages.no-kind]\nlocal_path = \"x\"\n\
         [arc_backup.storages.\"/a.b\"]\nbackend = \"local\"\nlocal_path = \"/a.b\"\n\
         [arc_backup.storages.ftp]\nbackend = \"ftp\"\n\
         [arc_backup.storages.no-bucket]\nbackend = \"s3\"\n\
         [arc_backup.storages.misspelt]\nbackend = \"s3\"\ns3_bucket = \"b\"\ns3_prefx = \"x\"\n",
    );
    for (arguments, parts) in [
        (
            &["tset"][..],
            &["no storage \"tset\"", "did you mean \"test\""][..],
        ),
        (&["full"], &["is not empty", "a/b.parquet"]),
        (&["inside"], &["one in the other", "the data storage"]),
        (&["state"], &["one in the other"]),
        (&["target"], &["one in the other", "target far"]),
        (&["nested"], &["one in the other", "storage \"outer\""]),
        (
            &["no-kind"],
            &["`arc_backup.storages.no-kind.backend` is missing"],
        ),
        (&["ftp"], &["`arc_backup.storages.ftp.backend`", "\"ftp\""]),
        (
            &["no-bucket"],
            &["`arc_backup.storages.no-bucket.s3_bucket` is missing"],
        ),
        (&["misspelt"], &["s3_prefx", "did you mean \"s3_prefix\""]),
        (&["test", "--with-config"], &["--with-config"]),
        (&["test", "--to", "x"], &["--to"]),
        (&["test", "--extra-files", "remove"], &["--extra-files"]),
        (&["../x"], &["can't be the name"]),
        (&["/a.b"], &["can't be the name"]),
        (&["test", "--include", "iott"], &["no database \"iott\""]),
    ] {
        let arguments = [
            &["restore", &*id, "--target", "far", "--to-storage"],
            arguments,
        ]
        .concat();
        refused(&instance, &arguments, parts);
    }
    let (code, report) = instance.json(&["doctor"]);
    assert_eq!(code, 1, "{report}");
    let checks = report["checks"].as_array().unwrap();
    for (name, is_ok) in [
        ("test", true),
        ("full", true),
        ("ftp", false),
        ("nested", false),
    ] {
        let subject = format!("storage {name}");
        let of = checks.iter().find(|one| one["subject"] == subject.as_str());
        assert_eq!(of.unwrap()["ok"], is_ok, "{name}: {report}");
    }
    let service = instance.serve();
    for (fields, part) in [
        (json!({"to_storage": "tset"}), "no storage"),
        (json!({"to_storage": "test", "to": "/x"}), "two places"),
        (
            json!({"to_storage": "test", "restore_metadata": true}),
            "data alone",
        ),
        (json!({"to_storage": "full"}), "is not empty"),
        (json!({"to_storage": 3}), "to_storage"),
    ] {
        let mut body = json!({"backup_id": id});
        for (name, value) in fields.as_object().unwrap() {
            body[name] = value.clone();
        }
        let answer = service.post("/api/v1/backup/restore", &body.to_string());
        assert_eq!(answer.status, 400, "{body}: {}", answer.text);
        assert!(answer.text.contains(part), "{body}: {}", answer.text);
    }
    assert!(contents(&full.sink).len() == 1);
}

/// Guards against: secrets that must be in the file, and a misspelt variable that nobody notices.
pub(super) fn variables_set_the_keys_of_a_storage() {
    let server = s3_server();
    let instance = small();
    let id = instance.backup();
    let place = Place::s3(&server, "data", "variables");
    let secret = format!("s3_secret_key = \"{}\"\n", stores::SECRETS[0]);
    assert!(place.config.contains(&secret));
    instance.configure(&format!(
        "[arc_backup.storages.my-test]\nbackend = \"s3\"\n{}",
        place.config.replace(&secret, "")
    ));
    let file = instance.path("secret");
    std::fs::write(&file, stores::SECRETS[0]).unwrap();
    let restore = ["restore", &*id, "--to-storage", "my-test"];
    let variable = "ARC_BACKUP_STORAGES_MY_TEST_S3_SECRET_KEY";
    let misspelt = instance
        .command(&restore)
        .env(format!("{variable}S"), "x")
        .output()
        .unwrap();
    let said = text(&misspelt);
    assert_ne!(misspelt.status.code(), Some(0), "{said}");
    assert!(
        said.contains(&format!("`{variable}S` is not a known key")),
        "{said}"
    );
    let done = instance
        .command(&restore)
        .env(format!("{variable}_FILE"), &file)
        .output()
        .unwrap();
    let said = text(&done);
    assert_eq!(done.status.code(), Some(0), "{said}");
    assert!(!said.contains("not a known key"), "{said}");
    assert!(contents(&place.sink) == contents(&Place::local(&instance, "data/arc").sink));
}

/// Guards against: half a copy in another storage that nothing completes, or that is taken for a
/// whole one.
pub(super) fn a_killed_restore_to_a_storage_is_completed() {
    let server = s3_server();
    for kind in KINDS {
        let instance = small();
        let (id, other) = (instance.backup(), instance.backup());
        let place = other_place(kind, &instance, &server, 100);
        with_storage(&instance, "test", &place);
        let before = live(&instance);
        let arguments = ["restore", &*id, "--to-storage", "test"];
        let call = match kind {
            Kind::Local => "storage.promote",
            Kind::S3 | Kind::Azure => "storage.commit",
        };
        let (killed, _) = faulty(&instance, "die:after:3", call, &arguments);
        assert_eq!(killed.status.code(), None, "{kind:?}: {}", text(&killed));
        let is_half = contents(&place.sink).len();
        assert!(is_half > 0, "{kind:?}: nothing was restored yet");
        let again = ["restore", &*other, "--to-storage", "test"];
        refused(&instance, &again, &["interrupted restore of backup", &id]);
        // The name leads to another place now, and back.
        let config = std::fs::read_to_string(instance.path("arc.toml")).unwrap();
        let other_place = config.replace("others/100", "others/101");
        std::fs::write(instance.path("arc.toml"), other_place).unwrap();
        refused(
            &instance,
            &arguments,
            &["interrupted restore of backup", "others/100"],
        );
        std::fs::write(instance.path("arc.toml"), config).unwrap();
        // One that fails before it changes anything leaves it as it is.
        let manifest = instance.backup_folder(&id).join("manifest.json");
        let inventory = instance.backup_folder(&id).join("inventory.jsonl.zst");
        assert!(manifest.exists());
        let away = instance.path("away");
        std::fs::rename(&inventory, &away).unwrap();
        let failed = instance.run(&arguments);
        assert_eq!(failed.status.code(), Some(1), "{kind:?}: {}", text(&failed));
        std::fs::rename(&away, &inventory).unwrap();
        let (code, done) = instance.json(&arguments);
        assert_eq!(code, 0, "{kind:?}: {done}");
        assert!(live(&instance) == before, "{kind:?}");
        let data = contents(&Place::local(&instance, "data/arc").sink);
        let found = contents(&place.sink);
        assert_eq!(keys_of(&found), keys_of(&data), "{kind:?}");
        assert!(found == data, "{kind:?}");
        // It is done: another one is refused, and this instance has nothing to complete.
        refused(&instance, &arguments, &["is not empty"]);
        let (_, status) = instance.json(&["status"]);
        assert!(status.get("restore_in_progress").is_none(), "{status}");
    }
}
