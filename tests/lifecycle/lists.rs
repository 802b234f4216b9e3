//! Lists of many backups: filters, pages, labels, and what is kept of earlier lists.

#[path = "../support/stores.rs"]
mod stores;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use arc_backup::core::{Digest, MemorySink, Scope, Sink};
use arc_backup::{
    ArcBackup, BackupId, BackupOptions, Freshness, LabelChange, NoteChange, Origin, Overrides,
    Registry, Request, Status, Who,
};
use arc_backup_test_s3::{S3Server, ServerOptions, Verb};
use serde_json::{Value, json};

use crate::support::{ADMIN, Instance, text, xorshift};
use stores::{Kind, Place, configure, put, put_all, runtime, s3_server};

const ZEROS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// The manifest of one real backup, of which many are made.
struct Model(Value);

impl Model {
    /// Of a backup of the default target, which is made for it.
    fn of(instance: &Instance) -> Self {
        let id = instance.ok(&["backup", "--no-metadata"]);
        let path = instance.backup_folder(&id).join("manifest.json");
        Self(serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap())
    }

    /// The id and the sealed manifest of a backup that began so many seconds after 2026 did.
    fn make(&self, seconds: u64, number: u64, change: &Value) -> (String, Vec<u8>) {
        let (days, rest) = (seconds / 86_400, seconds % 86_400);
        let (month, day) = (1 + days / 28, 1 + days % 28);
        let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
        let id =
            format!("backup-2026{month:02}{day:02}-{hour:02}{minute:02}{second:02}-{number:08x}");
        let mut manifest = self.0.clone();
        manifest["backup_id"] = id.as_str().into();
        manifest["created_at"] =
            format!("2026-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.25Z").into();
        for (field, value) in change.as_object().unwrap() {
            manifest[field] = value.clone();
        }
        manifest["sha256"] = ZEROS.into();
        let text = format!("{}\n", serde_json::to_string_pretty(&manifest).unwrap());
        let digest = Digest::of(text.as_bytes()).to_string();
        (id, text.replace(ZEROS, &digest).into_bytes())
    }

    /// So many backups, half an hour apart, as files of a target.
    fn many(&self, count: u64) -> BTreeMap<String, Vec<u8>> {
        (0..count)
            .map(|number| {
                let (id, bytes) = self.make(number * 1800, number, &json!({}));
                (format!("{id}/manifest.json"), bytes)
            })
            .collect()
    }
}

fn ids(list: &Value) -> Vec<String> {
    (list["backups"].as_array().unwrap().iter())
        .map(|one| one["backup_id"].as_str().unwrap().to_owned())
        .collect()
}

fn listed(instance: &Instance, arguments: &[&str]) -> Value {
    let (code, list) = instance.json(&[&["list"], arguments].concat());
    assert_eq!(code, 0, "{list}");
    list
}

fn row<'a>(list: &'a Value, id: &str) -> &'a Value {
    let mut rows = list["backups"].as_array().unwrap().iter();
    let found = rows.find(|one| one["backup_id"] == id);
    found.unwrap_or_else(|| panic!("{id} is not in {list}"))
}

/// An instance with the target `far` in a bucket that holds so many backups.
fn with_many(server: &S3Server, count: u64) -> (Instance, Place) {
    let instance = Instance::new();
    let model = Model::of(&instance);
    let far = Place::s3(server, "backups", "of/arc-1");
    configure(&instance, &Place::local(&instance, "data/arc"), &far);
    put_all(&far.sink, &model.many(count));
    (instance, far)
}

/// The files that keep what lists read.
fn caches(instance: &Instance) -> Vec<std::path::PathBuf> {
    let folder = instance.path("data/backups/.arc-backup/lists");
    let Ok(children) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    children.map(|child| child.unwrap().path()).collect()
}

/// Lets eleven minutes pass for everything that is kept.
fn eleven_minutes_later(instance: &Instance) {
    for path in caches(instance) {
        let connection = rusqlite::Connection::open(path).unwrap();
        let ago = 11 * 60 * 1_000_000;
        connection
            .execute("UPDATE rows SET checked_at = checked_at - ?1", [ago])
            .unwrap();
    }
}

/// A filter, and the same in plain words over rows of the whole list.
struct Wanted {
    query: String,
    selects: Box<dyn Fn(&Value) -> bool>,
}

impl Wanted {
    fn random(random: &mut impl FnMut(u64) -> u64) -> Self {
        let mut query = Vec::new();
        let mut rules: Vec<Box<dyn Fn(&Value) -> bool>> = Vec::new();
        let mut add = |text: String, rule: Box<dyn Fn(&Value) -> bool>| {
            query.push(text);
            rules.push(rule);
        };
        for label in ["a", "b", "env=prod"] {
            if random(4) == 0 {
                let escaped = label.replace('=', "%3D");
                add(
                    format!("label={escaped}"),
                    Box::new(move |one| one["labels"].as_array().unwrap().contains(&json!(label))),
                );
            }
        }
        if random(4) == 0 {
            let wanted = ["full", "incremental"][random(2) as usize];
            add(
                format!("type={wanted}"),
                Box::new(move |one| one["backup_type"] == wanted),
            );
        }
        if random(4) == 0 {
            let wanted = ["hourly", "nightly"][random(2) as usize];
            add(
                format!("schedule={wanted}"),
                Box::new(move |one| one["schedule"] == wanted),
            );
        }
        if random(5) == 0 {
            let wanted = random(2) == 0;
            add(
                format!("locked={wanted}"),
                Box::new(move |one| one["locked"] == wanted),
            );
        }
        if random(5) == 0 {
            let wanted = ["ok", "unverified", "damaged"][random(3) as usize];
            add(
                format!("state={wanted}"),
                Box::new(move |one| one["state"] == wanted),
            );
        }
        if random(4) == 0 {
            let moment = format!("2026-01-{:02}T12:00:00Z", 1 + random(25));
            let (name, is_since) = [("since", true), ("until", false)][random(2) as usize];
            add(
                format!("{name}={moment}"),
                Box::new(move |one| {
                    // All are in UTC, with as many digits.
                    let began = one["created_at"].as_str().unwrap()[..19].to_owned();
                    let moment = moment[..19].to_owned();
                    if is_since {
                        began >= moment
                    } else {
                        began < moment
                    }
                }),
            );
        }
        if random(4) == 0 {
            let target = ["local", "far"][random(2) as usize];
            add(
                format!("target={target}"),
                Box::new(move |one| one["target"] == target),
            );
        }
        Self {
            query: query.join("&"),
            selects: Box::new(move |one| rules.iter().all(|rule| rule(one))),
        }
    }
}

/// Random backups in two targets, some of them in both, each with a note or without.
fn fill(instance: &Instance, model: &Model, random: &mut impl FnMut(u64) -> u64) {
    for target in ["data/backups", "data/far"] {
        for number in 0..70 {
            let mut change = json!({});
            if random(2) == 0 {
                change["backup_type"] = "incremental".into();
                change["base_backup_id"] = "backup-20260101-000000-00000000".into();
                change["reused_bytes"] = 1000.into();
            }
            if random(2) == 0 {
                change["schedule"] = ["hourly", "nightly"][random(2) as usize].into();
            }
            // Some moments have several backups, also of one id in both targets.
            let (id, manifest) = model.make(random(40) * 43_200, number, &change);
            let folder = instance.path(&format!("{target}/{id}"));
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join("manifest.json"), manifest).unwrap();
            let mut note = json!({});
            let labels: Vec<_> = (["a", "b", "env=prod"].into_iter())
                .filter(|_| random(2) == 0)
                .collect();
            note["labels"] = json!(labels);
            if random(4) == 0 {
                let until = ["2020-01-01T00:00:00Z", "2999-01-01T00:00:00Z"][random(2) as usize];
                note["pin"] = json!({"at": "2019-01-01T00:00:00Z", "by": "x", "until": until});
            }
            if random(3) > 0 {
                note["last_verified"] = json!({"at": "2026-02-01T00:00:00Z", "mode": "full",
                    "ok": random(3) > 0, "operation_id": "20260201-000000-00000000"});
            }
            if random(4) > 0 {
                let folder = instance.path(&format!("{target}/.arc-backup/notes"));
                std::fs::create_dir_all(&folder).unwrap();
                std::fs::write(folder.join(format!("{id}.json")), note.to_string()).unwrap();
            }
        }
    }
}

/// A row's place: two targets may hold the same id.
fn place(one: &Value) -> (String, String) {
    let text = |name: &str| one[name].as_str().unwrap().to_owned();
    (text("backup_id"), text("target"))
}

/// Guards against: a backup that a filter hides or shows wrongly, that is on no page or on two, and
/// a limit that counts what the filter hides.
#[test]
fn filters_and_pages_select_what_plain_rules_select() {
    let mut random = xorshift(0x9e37_79b9_7f4a_7c15);
    let instance = Instance::new();
    instance.configure("[backup.targets.far]\ntype = \"local\"\nlocal_path = \"./data/far\"");
    let model = Model::of(&instance);
    fill(&instance, &model, &mut random);
    let service = instance.serve();
    let list = |query: &str| {
        let answer = service.get(&format!("/api/v1/backup?{query}"));
        assert_eq!(answer.status, 200, "{query}: {}", answer.text);
        answer.json()
    };
    let mut selected = 0;
    for _ in 0..60 {
        let wanted = Wanted::random(&mut random);
        let all = list("");
        let rows = all["backups"].as_array().unwrap();
        let expected: Vec<_> = (rows.iter())
            .filter(|one| (wanted.selects)(one))
            .map(place)
            .collect();
        selected += expected.len();
        let limit = 1 + random(9);
        let (mut seen, mut next) = (Vec::new(), None::<String>);
        loop {
            let after = next.map_or_else(String::new, |next| format!("&start_after={next}"));
            let page = list(&format!("{}&limit={limit}{after}", wanted.query));
            let rows = page["backups"].as_array().unwrap();
            assert!(rows.len() as u64 <= limit);
            seen.extend(rows.iter().map(place));
            match page["next"].as_str() {
                Some(place) => next = Some(place.to_owned()),
                None => break,
            }
        }
        assert_eq!(seen, expected, "{}", wanted.query);
    }
    assert!(selected > 500, "the filters select only {selected} rows");
    // The command line, by the same words.
    let page = listed(
        &instance,
        &["--label", "a", "--type", "full", "--limit", "3"],
    );
    let next = page["next"].as_str().unwrap();
    let second = listed(
        &instance,
        &[
            "--label",
            "a",
            "--type",
            "full",
            "--limit",
            "3",
            "--start-after",
            next,
        ],
    );
    let both = listed(
        &instance,
        &["--label", "a", "--type", "full", "--limit", "6"],
    );
    assert_eq!([ids(&page), ids(&second)].concat(), ids(&both));
    for arguments in [
        ["--schedule", "hourly"],
        ["--older-than", "1s"],
        ["--locked", "--all"],
    ] {
        assert!(
            !ids(&listed(&instance, &arguments)).is_empty(),
            "{arguments:?}"
        );
    }
    assert_eq!(
        ids(&listed(&instance, &["--older-than", "300000d"])),
        [""; 0]
    );
}

/// Guards against: a page that omits or repeats backups as others come and go, also the one that
/// the page before ended with.
#[test]
fn pages_stay_in_step_while_backups_come_and_go() {
    let mut random = xorshift(7);
    let instance = Instance::new();
    let model = Model::of(&instance);
    fill(&instance, &model, &mut random);
    let service = instance.serve();
    let before: BTreeSet<_> = ids(&service.get("/api/v1/backup").json())
        .into_iter()
        .collect();
    let (mut seen, mut gone) = (Vec::new(), BTreeSet::new());
    let mut query = "limit=5".to_owned();
    for number in 1000.. {
        let page = service.get(&format!("/api/v1/backup?{query}")).json();
        seen.extend(ids(&page));
        let Some(next) = page["next"].as_str() else {
            break;
        };
        query = format!("limit=5&start_after={next}");
        // The last of this page goes, and a newer and an older one come.
        let last = seen.last().unwrap().clone();
        std::fs::remove_dir_all(instance.backup_folder(&last)).unwrap();
        gone.insert(last);
        for seconds in [300 * 86_400 + number, random(86_400)] {
            let (id, manifest) = model.make(seconds, number, &json!({}));
            std::fs::create_dir_all(instance.backup_folder(&id)).unwrap();
            let path = instance.backup_folder(&id).join("manifest.json");
            std::fs::write(path, manifest).unwrap();
        }
    }
    let once: BTreeSet<_> = seen.iter().cloned().collect();
    assert_eq!(once.len(), seen.len(), "a backup is on two pages");
    let missed: Vec<_> = before.difference(&once).collect();
    assert!(missed.is_empty(), "on no page: {missed:?}");
    assert!(gone.len() > 10, "{gone:?}");
}

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
                    run(&["label", id, "--add", &label, "--wait", "60s"]);
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

/// Guards against: a list that asks for each of many manifests again and again.
#[test]
fn a_second_list_asks_for_no_manifest() {
    const COUNT: u64 = 200;
    let server = s3_server();
    let (instance, far) = with_many(&server, COUNT);
    let counted = |expected: (u64, u64), lists: u64, case: &str| {
        server.reset_counts();
        let list = listed(&instance, &["--target", "far"]);
        let requests = (
            server.count(Verb::GetObject),
            server.count(Verb::HeadObject),
        );
        assert_eq!(requests, expected, "{case}: {:?}", server.counts());
        assert!(
            server.count(Verb::ListObjects) <= lists,
            "{case}: {:?}",
            server.counts()
        );
        list
    };
    let cold = counted((COUNT, 0), 3, "cold");
    assert_eq!(cold["count"], COUNT);
    assert_eq!(counted((0, 0), 3, "warm"), cold);
    // Notes change: each that has changed is read once.
    let noted: Vec<_> = ids(&cold).into_iter().take(3).collect();
    for id in &noted {
        let note = json!({"labels": ["kept"]}).to_string();
        put(
            &far.sink,
            &format!(".arc-backup/notes/{id}.json"),
            note.as_bytes(),
        );
    }
    let labelled = counted((3, 0), 3, "three notes");
    assert_eq!(counted((0, 0), 3, "the same notes"), labelled);
    assert_eq!(row(&labelled, &noted[0])["labels"], json!(["kept"]));
    let note = json!({"labels": ["kept", "more"]}).to_string();
    put(
        &far.sink,
        &format!(".arc-backup/notes/{}.json", noted[1]),
        note.as_bytes(),
    );
    let changed = counted((1, 0), 3, "a changed note");
    assert_eq!(row(&changed, &noted[1])["labels"], json!(["kept", "more"]));
    eleven_minutes_later(&instance);
    assert_eq!(counted((0, COUNT), 3, "eleven minutes later"), changed);
    assert_eq!(counted((0, 0), 3, "warm again"), changed);
    // A new backup is read, and nothing else.
    let model = Model::of(&instance);
    let (id, manifest) = model.make(9_000_000, 1, &json!({}));
    put(&far.sink, &format!("{id}/manifest.json"), &manifest);
    assert_eq!(counted((1, 0), 3, "a new one")["count"], COUNT + 1);
    // The service is another process with the same file.
    let service = instance.serve();
    server.reset_counts();
    let list = service.get("/api/v1/backup?target=far&limit=5").json();
    assert_eq!(
        (ids(&list).len(), server.count(Verb::GetObject)),
        (5, 0),
        "{list}"
    );
    assert_eq!(ids(&list)[0], id);
    let check = instance.run(&["check", "--target", "far", "--max-age", "300000d"]);
    assert_eq!(server.count(Verb::GetObject), 0, "{}", text(&check));
}

/// Guards against: a damaged, missing or shared file of the cache that changes or fails a list.
#[test]
fn a_damaged_cache_is_as_good_as_none() {
    let server = s3_server();
    let (instance, _) = with_many(&server, 60);
    let list = || listed(&instance, &["--target", "far"]);
    let right = list();
    assert_eq!(right["count"], 60);
    let [path] = &caches(&instance)[..] else {
        panic!("{:?}", caches(&instance));
    };
    let whole = std::fs::read(path).unwrap();
    let mut random = xorshift(3);
    for case in 0..12 {
        let mut bytes = whole.clone();
        match case {
            0 => bytes = b"not a database at all".repeat(100),
            1 => bytes.clear(),
            2 => bytes.truncate(whole.len() / 2),
            3 => bytes[..4096].fill(0),
            _ => {
                for _ in 0..20 {
                    let at = random(bytes.len() as u64) as usize;
                    bytes[at] ^= 1 + random(255) as u8;
                }
            }
        }
        std::fs::write(path, &bytes).unwrap();
        assert_eq!(list(), right, "case {case}");
        assert_eq!(list(), right, "case {case}, once more");
    }
    std::fs::remove_file(path).unwrap();
    std::fs::create_dir(path).unwrap();
    assert_eq!(list(), right, "a folder in its place");
    std::fs::remove_dir(path).unwrap();
    // Several processes at once, from nothing.
    std::thread::scope(|scope| {
        let lists: Vec<_> = (0..6).map(|_| scope.spawn(list)).collect();
        for list in lists {
            assert_eq!(list.join().unwrap(), right);
        }
    });
    server.reset_counts();
    assert_eq!(list(), right);
    assert_eq!(
        server.count(Verb::GetObject),
        0,
        "six lists have kept nothing"
    );
}

/// Guards against: a list that shows for longer than ten minutes what somebody else has changed
/// behind its back, and an operation that goes by the cache.
#[test]
fn what_others_change_shows_at_the_latest_after_ten_minutes() {
    let server = s3_server();
    let (instance, far) = with_many(&server, 60);
    let list = || listed(&instance, &["--target", "far"]);
    let all = ids(&list());
    // A whole backup that is gone is gone at once.
    stores::delete(&far.sink, &[&format!("{}/manifest.json", all[0])]);
    assert_eq!(ids(&list()), all[1..]);
    // A damaged manifest shows later, and whoever acts finds it at once.
    put(&far.sink, &format!("{}/manifest.json", all[1]), b"{}");
    assert_eq!(ids(&list()), all[1..], "within the ten minutes");
    let verified = instance.run(&["verify", &all[1], "--target", "far"]);
    assert_eq!(verified.status.code(), Some(1), "{}", text(&verified));
    assert_eq!(
        instance
            .run(&["show", &all[1], "--target", "far"])
            .status
            .code(),
        Some(1)
    );
    eleven_minutes_later(&instance);
    let later = list();
    assert_eq!(ids(&later), all[2..]);
    assert_eq!(later["damaged"][0]["backup_id"], all[1].as_str(), "{later}");
    // What this instance deletes is gone, also where its folder stays.
    let kept = format!("{}/data/shared.parquet", all[2]);
    instance.ok(&["delete", &all[2], "--target", "far", "--yes"]);
    put(&far.sink, &kept, b"shared");
    assert!(!ids(&list()).contains(&all[2]));

    // Under another name, or at another place, it is another target.
    let config = std::fs::read_to_string(instance.path("arc.toml")).unwrap();
    let renamed = config.replace("backup.targets.far", "backup.targets.off");
    std::fs::write(instance.path("arc.toml"), renamed).unwrap();
    let list = listed(&instance, &["--target", "off"]);
    assert_eq!(row(&list, &all[3])["target"], "off");
    let moved = config.replace("of/arc-1", "of/arc-2");
    std::fs::write(instance.path("arc.toml"), moved).unwrap();
    assert_eq!(ids(&listed(&instance, &["--target", "far"])), [""; 0]);
}

/// Guards against: a local list that is behind its disk, even for a moment.
#[test]
fn on_local_disk_a_list_is_never_behind() {
    let instance = Instance::new();
    let model = Model::of(&instance);
    for (path, bytes) in model.many(60) {
        let path = instance.path("data/backups").join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        // What was written this moment proves nothing by its time.
        let hour_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(3600);
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(hour_ago).unwrap();
    }
    let all = ids(&listed(&instance, &[]));
    assert_eq!(caches(&instance).len(), 1, "nothing is kept");
    assert_eq!(ids(&listed(&instance, &[])), all);
    let victim = all.iter().find(|id| id.contains("-0000000")).unwrap();
    let path = instance.backup_folder(victim).join("manifest.json");
    let mut bytes = std::fs::read(&path).unwrap();
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let damaged = listed(&instance, &[]);
    assert_eq!(
        damaged["damaged"][0]["backup_id"],
        victim.as_str(),
        "{damaged}"
    );
}

/// Prints how long lists of many backups take on a store that is 50 ms away.
#[test]
#[ignore = "half a minute; prints figures"]
fn figures_of_3000_backups_50_ms_away() {
    let latency = std::time::Duration::from_millis(50);
    for (count, latency) in [(3000, latency), (10_000, std::time::Duration::ZERO)] {
        let fast = s3_server();
        let (instance, far) = with_many(&fast, 0);
        let slow = S3Server::start(ServerOptions {
            latency,
            ..fast.options().clone()
        })
        .unwrap();
        let config = std::fs::read_to_string(instance.path("arc.toml")).unwrap();
        let config = config.replace(&fast.endpoint(), &slow.endpoint());
        std::fs::write(instance.path("arc.toml"), config).unwrap();
        drop(far);
        let files = Model::of(&instance).many(count);
        put_all(&Place::s3(&slow, "backups", "of/arc-1").sink, &files);
        let timed = |case: &str, arguments: &[&str]| {
            slow.reset_counts();
            let begun = Instant::now();
            let printed = instance.ok(arguments);
            println!(
                "{count} backups, {latency:?} away: {case} {:.2?}, {} lines, {:?}",
                begun.elapsed(),
                printed.lines().count(),
                slow.counts()
            );
        };
        timed("cold", &["list", "--target", "far"]);
        timed("warm", &["list", "--target", "far"]);
        timed("a page", &["list", "--target", "far", "--limit", "100"]);
        timed(
            "check",
            &["check", "--target", "far", "--max-age", "300000d"],
        );
        eleven_minutes_later(&instance);
        timed("eleven minutes later", &["list", "--target", "far"]);
        let service = instance.serve();
        let memory = || {
            let path = format!("/proc/{}/status", service.child.id());
            let status = std::fs::read_to_string(path).unwrap();
            let line = status
                .lines()
                .find(|line| line.starts_with("VmHWM"))
                .unwrap();
            line.to_owned()
        };
        let before = memory();
        let begun = Instant::now();
        for _ in 0..10 {
            service.get("/api/v1/backup?target=far&limit=100");
        }
        println!(
            "{count}: GET limit=100 {:.2?} each, {before} then {}",
            begun.elapsed() / 10,
            memory()
        );
    }
}
