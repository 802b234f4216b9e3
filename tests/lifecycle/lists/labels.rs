//! Labels, notes and pins.

use std::sync::Arc;

use arc_backup::core::{MemorySink, Scope, Sink};
use arc_backup::{
    ArcBackup, BackupId, BackupOptions, Freshness, LabelChange, NoteChange, Origin, Overrides,
    Registry, Request, Status, Who,
};
use serde_json::{Value, json};

use super::stores::{self, Kind, Place, configure, runtime, s3_server};
use super::{listed, row};
use crate::support::{ADMIN, Instance, text};

/// Guards against: labels and notes that are lost on the way, on any kind of storage.
#[test]
fn labels_and_notes_come_back_as_they_were_given() {
    let server = s3_server();
    for kind in [Kind::Local, Kind::S3] {
        let instance = Instance::new();
        let far = stores::target(kind, &instance, &server);
        configure(&instance, &Place::local(&instance, "data/arc"), &far);
        let note = "before the upgrade\nof Arc";
        let id = instance.ok(&[
            "backup", "--target", "far", "--label", "b", "--label", "env=prod", "--note", note,
        ]);
        let list = listed(&instance, &[]);
        let one = row(&list, &id);
        assert_eq!(one["labels"], json!(["b", "env=prod"]), "{kind:?}: {one}");
        assert_eq!(
            (&one["note"], &one["locked"]),
            (&json!(note), &json!(false))
        );
        assert_eq!(
            (&one["new_bytes"], &one["backup_type"]),
            (&one["bytes"], &json!("full"))
        );
        let said = instance.ok(&["label", &id, "--add", "a", "--remove", "b", "--remove", "x"]);
        assert!(said.contains("labels: a, env=prod"), "{said}");
        let (_, shown) = instance.json(&["show", &id]);
        assert_eq!(shown["labels"], json!(["a", "env=prod"]));
        assert_eq!(shown["note"], note);
        let shown = instance.ok(&["show", &id]);
        assert!(shown.contains("before the upgrade\n"), "{shown}");
        assert!(instance.ok(&["list"]).contains("a env=prod"), "{kind:?}");
        instance.ok(&["verify", &id, "--quick"]);

        let service = instance.serve();
        let path = format!("/api/v1/backup/{id}");
        let patch = |body: &Value| {
            let bearer = format!("Bearer {ADMIN}");
            let headers = [("authorization", &*bearer)];
            service.request("PATCH", &path, &headers, Some(body.to_string().as_bytes()))
        };
        let answer = patch(&json!({"labels": ["z"], "add_labels": ["y"], "note": ""}));
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert_eq!(answer.json()["labels"], json!(["y", "z"]));
        let shown = service.get(&path).json();
        assert_eq!(
            (&shown["labels"], shown.get("note")),
            (&json!(["y", "z"]), None)
        );
        assert_eq!(shown["state"], "ok", "the verification is lost: {shown}");
        for (body, part) in [
            (
                json!({"add_labels": ["my label"]}),
                "\"my label\" is not a label: expected 1 to 64",
            ),
            (
                json!({"labels": ["\u{1b}[2J"]}),
                "\"\\u{1b}[2J\" is not a label",
            ),
            (json!({"note": "\u{1b}[2J"}), "control character"),
            (
                json!({"add_labels": ["q"], "remove_labels": ["q"]}),
                "label \"q\"",
            ),
            (json!({"lables": ["q"]}), "labels"),
            (json!({}), "nothing to change"),
        ] {
            let answer = patch(&body);
            assert_eq!(answer.status, 400, "{body}: {}", answer.text);
            let refusal = answer.json();
            let said =
                [&refusal["error"], &refusal["detail"]].map(|one| one.as_str().unwrap_or(""));
            assert!(said.join(": ").contains(part), "{body}: {}", answer.text);
        }
        let refused = service.post("/api/v1/backup", r#"{"labels": ["-a"]}"#);
        assert_eq!(refused.status, 400, "{}", refused.text);
        assert!(refused.text.contains("-a"), "{}", refused.text);
        let unknown = format!("/api/v1/backup/{}", crate::support::UNKNOWN);
        let bearer = format!("Bearer {ADMIN}");
        let body: &[u8] = br#"{"note": "x"}"#;
        let answer = service.request("PATCH", &unknown, &[("authorization", &bearer)], Some(body));
        assert_eq!(answer.status, 404, "{}", answer.text);
        for arguments in [
            &["backup", "--label", "a b"][..],
            &["label", &id, "--add", "a,b"],
            &["label", &id],
            &["list", "--label", "ä"],
            &["list", "--type", "half"],
        ] {
            assert_eq!(
                instance.run(arguments).status.code(),
                Some(2),
                "{arguments:?}"
            );
        }
    }
}

/// Guards against: labels that depend on the kind of storage, in a program with one of its own.
#[test]
fn a_storage_of_ones_own_has_labels_too() {
    let instance = Instance::new();
    instance.configure("[backup.targets.far]\ntype = \"memory\"");
    let sink = MemorySink::default();
    let mut registry = Registry::new();
    let made = sink.clone();
    registry.add_sink("memory", move |_, _| {
        Ok(Arc::new(made.clone()) as Arc<dyn Sink>)
    });
    let overrides = Overrides {
        config: Some(instance.path("arc.toml")),
        ..Overrides::default()
    };
    let settings = {
        // Relative paths of the configuration are of its folder.
        let text = std::fs::read_to_string(instance.path("arc.toml")).unwrap();
        let absolute = text.replace("\"./", &format!("\"{}/", instance.path("").display()));
        std::fs::write(instance.path("arc.toml"), absolute).unwrap();
        registry.settings(&overrides).unwrap()
    };
    let engine = ArcBackup::new(settings, &registry).unwrap();
    let who = Who {
        actor: "test".to_owned(),
        origin: Origin::Cli,
        fingerprint: None,
        token: None,
    };
    runtime().block_on(async {
        let mut options = BackupOptions::of(Scope::whole());
        options.target = Some("far".to_owned());
        options.labels = vec!["b".to_owned(), "a".to_owned(), "b".to_owned()];
        let running = engine
            .start(Request::Backup(options), who.clone())
            .await
            .unwrap();
        let ended = running.wait().await;
        assert_eq!(ended.status, Status::Completed, "{:?}", ended.error);
        let id = BackupId::parse(&ended.backup_id).unwrap();
        let change = LabelChange {
            add: vec!["c".to_owned()],
            note: NoteChange::Set("text".to_owned()),
            ..LabelChange::default()
        };
        let changed = engine.label(&id, None, &change, &who).await.unwrap();
        assert_eq!(changed.labels, ["a", "b", "c"]);
        for freshness in [Freshness::Now, Freshness::Recent] {
            let list = engine
                .list_with(Some("far"), false, freshness)
                .await
                .unwrap();
            let one = &list.backups[0];
            assert_eq!(
                (&one.labels, one.note.as_deref()),
                (&changed.labels, Some("text"))
            );
        }
    });
}

/// Guards against: a label that a verification overwrites, or the other way round, and a pin or a
/// field of a later release that is lost.
#[test]
fn what_writes_a_note_at_the_same_time_loses_nothing() {
    let instance = Instance::new();
    let id = instance.backup();
    let path = instance.path(&format!("data/backups/.arc-backup/notes/{id}.json"));
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let pin = json!({"at": "2026-01-01T00:00:00Z", "by": "somebody", "reason": "audit"});
    std::fs::write(&path, json!({"pin": pin, "of_later": 5}).to_string()).unwrap();
    let run = |arguments: &[&str]| {
        let output = instance.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", text(&output));
    };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..4 {
                run(&["verify", &id, "--wait", "60s"]);
            }
        });
        for writer in 0..3 {
            let (id, run) = (&id, &run);
            scope.spawn(move || {
                for number in 0..6 {
                    let label = format!("l{writer}.{number}");
                    run(&["label", id, "--add", &label]);
                }
            });
        }
    });
    let list = listed(&instance, &["--locked"]);
    let one = row(&list, &id);
    assert_eq!(one["labels"].as_array().unwrap().len(), 18, "{one}");
    assert_eq!((&one["state"], &one["pin"]), (&json!("ok"), &pin));
    let kept: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    assert_eq!(kept["of_later"], 5);
    assert!(instance.ok(&["list"]).contains("(pinned) l0.0"));
    assert!(instance.ok(&["show", &id]).contains("by somebody: audit"));
}

/// Guards against: a note in the target, by whoever can write there, that a terminal obeys.
#[test]
fn a_terminal_sees_no_control_characters_of_a_note() {
    let instance = Instance::new();
    let id = instance.ok(&["backup", "--label", "right"]);
    let path = instance.path(&format!("data/backups/.arc-backup/notes/{id}.json"));
    let note = json!({"labels": ["\u{1b}[2Jx", "right"], "note": "a\u{1b}]0;b\u{7}\nc",
        "pin": {"at": "\u{1b}", "by": "\u{1b}", "reason": "\u{9b}1m", "until": "\u{1b}"}});
    std::fs::write(&path, note.to_string()).unwrap();
    for arguments in [&["list"][..], &["show", &id], &["list", "--label", "right"]] {
        let said = instance.ok(arguments);
        let control = said.chars().find(|c| c.is_control() && *c != '\n');
        assert_eq!(control, None, "{said:?}");
        assert!(
            said.lines().all(|line| line.chars().count() <= 100),
            "{said}"
        );
    }
    // It can be cleaned up.
    let said = instance.ok(&["label", &id, "--note", "plain"]);
    assert!(said.contains("labels: right"), "{said}");
}
