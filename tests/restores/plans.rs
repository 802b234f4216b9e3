//! Plans that a restore can name.

use std::collections::BTreeMap;

use super::*;

const RESTORE: &str = "/api/v1/backup/restore";

/// Guards against: a restore that names a plan and does something else, and a dry run that changes
/// something.
pub(super) fn a_plan_is_done_exactly_or_not_at_all() {
    let instance = small();
    let id = instance.backup();
    let other = instance.backup();
    change(&instance);
    let before = live(&instance);
    let service = instance.serve();
    let dry = json!({"backup_id": id, "dry_run": true}).to_string();
    let planned = service.post(RESTORE, &dry);
    assert_eq!(planned.status, 200, "{planned:?}");
    let planned = planned.json();
    let plan_id = planned["plan_id"].as_str().unwrap().to_owned();
    assert_eq!(planned["plan"]["written_files"], 3, "{planned}");
    assert_eq!(planned["plan"]["extra_files"], 1, "{planned}");
    assert_eq!(planned["restart_required"], true, "{planned}");
    assert!(planned["plan"]["room"][0]["bytes"].as_u64().unwrap() > 0);
    assert!(live(&instance) == before, "a dry run changed live data");
    let (code, history) = instance.json(&["history", "--operation", "restore"]);
    assert_eq!((code, &history["operations"]), (0, &json!([])), "{history}");

    let named = |plan: &str, id: &str, fields: Value| {
        let mut fields = fields;
        fields["plan_id"] = json!(plan);
        service.post(RESTORE, &restore_body(id, &fields))
    };
    let unknown = "plan-0123456789abcdef";
    for (answer, part) in [
        (named(unknown, &id, json!({})), "no plan `plan-0123"),
        (named("../../arc.db", &id, json!({})), "no plan `../../arc"),
        (named(&plan_id, &other, json!({})), "is of backup"),
        (
            named(&plan_id, &id, json!({"restore_metadata": false})),
            "other options",
        ),
        (
            named(&plan_id, &id, json!({"dry_run": true})),
            "dry_run makes a plan",
        ),
    ] {
        assert_eq!(answer.status, 400, "{answer:?}");
        assert!(answer.text.contains(part), "{part}: {answer:?}");
        assert!(live(&instance) == before);
    }

    // The world changes: a live file is rewritten with the same size.
    let path = instance.path("data/arc/iot/added.parquet");
    std::fs::write(&path, b"ADDED").unwrap();
    let changed = live(&instance);
    assert_eq!(named(&plan_id, &id, json!({})).status, 202);
    let ended = service.wait();
    assert_eq!(ended["status"], "failed", "{ended}");
    let error = ended["error"].as_str().unwrap();
    assert!(
        error.contains("no longer what plan") && error.contains("nothing was changed"),
        "{error}"
    );
    assert!(live(&instance) == changed);

    // One that is too old.
    let again = service.post(RESTORE, &dry).json();
    let plan_id = again["plan_id"].as_str().unwrap();
    let file = instance.path(&format!("data/.arc-backup/plans/{plan_id}.json"));
    let file = match file.exists() {
        true => file,
        false => find(&instance.path(""), &format!("{plan_id}.json")),
    };
    let text = std::fs::read_to_string(&file).unwrap();
    let mut saved: Value = serde_json::from_str(&text).unwrap();
    saved["created_at"] = json!("2020-01-01T00:00:00Z");
    std::fs::write(&file, saved.to_string()).unwrap();
    let answer = named(plan_id, &id, json!({}));
    assert_eq!(answer.status, 400, "{answer:?}");
    std::fs::write(&file, "{").unwrap();
    let answer = named(plan_id, &id, json!({}));
    assert!(answer.text.contains("plan again"), "{answer:?}");
    drop(service);

    // The command line is its twin.
    let (code, planned) = instance.json(&["restore", &id, "--dry-run"]);
    assert_eq!(code, 0, "{planned}");
    let plan_id = planned["plan_id"].as_str().unwrap();
    refused(
        &instance,
        &["restore", &id, "--no-data", "--yes", "--plan", plan_id],
        &["other options"],
    );
    let (code, ended) = instance.json(&["restore", &id, "--yes", "--plan", plan_id]);
    assert_eq!(code, 0, "{ended}");
    assert_eq!(ended["plan"], planned["plan"]);
    // An age is counted from the dry run.
    let part = ["restore", &*id, "--include", "iot", "--from", "3650d"];
    let (_, planned) = instance.json(&[&part[..], &["--dry-run"]].concat());
    let plan_id = planned["plan_id"].as_str().unwrap();
    let (code, ended) = instance.json(&[&part[..], &["--yes", "--plan", plan_id]].concat());
    assert_eq!(code, 0, "{ended}");
    let shown = instance.ok(&["restore", &id, "--dry-run"]);
    for part in ["DATABASE", "metrics", "nothing was changed", "--plan plan-"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
}

fn find(folder: &std::path::Path, name: &str) -> std::path::PathBuf {
    let all = support::files(folder).into_iter();
    let mut found = all.filter(|path| path.ends_with(name));
    folder.join(found.next().unwrap())
}

/// Files by database: written, replaced, extra, unchanged, and bytes written.
type Figures = BTreeMap<String, [u64; 5]>;

/// What has changed on disk.
fn seen(before: &BTreeMap<String, Vec<u8>>, after: &BTreeMap<String, Vec<u8>>) -> Figures {
    let mut figures = Figures::new();
    for name in before.keys().chain(after.keys()) {
        let Some((database, _)) = name.split_once('/') else {
            continue;
        };
        figures.entry(database.to_owned()).or_default();
    }
    let of = |name: &str| {
        name.split_once('/')
            .map(|(database, _)| database.to_owned())
    };
    for (name, bytes) in after {
        let Some(row) = of(name).and_then(|database| figures.get_mut(&database)) else {
            continue;
        };
        if before.get(name) == Some(bytes) {
            row[3] += 1;
        } else {
            row[0] += 1;
            row[1] += u64::from(before.contains_key(name));
            row[4] += bytes.len() as u64;
        }
    }
    for name in before.keys().filter(|name| !after.contains_key(*name)) {
        if let Some(row) = of(name).and_then(|database| figures.get_mut(&database)) {
            row[2] += 1;
        }
    }
    figures
}

fn planned(plan: &Value) -> Figures {
    let databases = plan["databases"].as_array();
    (databases.into_iter().flatten())
        .map(|one| {
            let figure = |name: &str| one[name].as_u64().unwrap();
            let row = [
                figure("written_files"),
                figure("replaced_files"),
                figure("extra_files"),
                figure("unchanged_files"),
                figure("bytes_to_write"),
            ];
            (one["name"].as_str().unwrap().to_owned(), row)
        })
        .collect()
}

/// Guards against: a plan that says something else than what is done. Random changes of the live
/// data, random backups and options.
fn plans(count: usize) {
    let instance = small();
    let mut random = fastrand::Rng::with_seed(18);
    let root = instance.path("data/arc");
    let data = || -> BTreeMap<String, Vec<u8>> {
        (support::files(&root).into_iter())
            .map(|name| (name.clone(), std::fs::read(root.join(&name)).unwrap()))
            .collect()
    };
    let change = |random: &mut fastrand::Rng| {
        for _ in 0..random.usize(0..5) {
            let database = ["iot", "metrics", "web"][random.usize(0..3)];
            let path = root.join(format!("{database}/m/f{}.parquet", random.u8(0..6)));
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            match random.u8(0..3) {
                0 if path.exists() => std::fs::remove_file(&path).unwrap(),
                _ => std::fs::write(&path, "x".repeat(random.usize(1..40))).unwrap(),
            }
        }
    };
    let mut ids = Vec::new();
    for _ in 0..4 {
        change(&mut random);
        ids.push(instance.backup());
    }
    let service = instance.serve();
    let mut written = 0;
    for number in 0..count {
        change(&mut random);
        let id = &ids[random.usize(0..ids.len())];
        let policy = ["set_aside", "remove"][random.usize(0..2)];
        let mut fields = json!({
            "backup_id": id,
            "restore_metadata": random.u8(0..4) == 0,
            "restore_config": random.u8(0..6) == 0,
            "extra_files": policy,
            "dry_run": true,
        });
        let case = format!("{number}: {fields}");
        let before = data();
        let answer = service.post(RESTORE, &fields.to_string());
        assert_eq!(answer.status, 200, "{case}: {answer:?}");
        let preview = answer.json();
        assert!(data() == before, "{case}: a dry run changed live data");
        fields.as_object_mut().unwrap().remove("dry_run");
        fields["plan_id"] = preview["plan_id"].clone();
        fields["confirm"] = json!(true);
        let answer = service.post(RESTORE, &fields.to_string());
        assert_eq!(answer.status, 202, "{case}: {answer:?}");
        let ended = service.wait();
        assert_eq!(ended["status"], "completed", "{case}: {ended}");
        assert_eq!(ended["plan"], preview["plan"], "{case}");
        let plan = &preview["plan"];
        let figures = seen(&before, &data());
        assert_eq!(planned(plan), figures, "{case}");
        let removed: u64 = figures.values().map(|row| row[1] + row[2]).sum();
        let expected = if policy == "remove" { removed } else { 0 };
        assert_eq!(plan["removed_files"], expected, "{case}");
        written += plan["written_files"].as_u64().unwrap();
    }
    assert!(written > count as u64 / 2, "{written}");
}

pub(super) fn random_plans() {
    plans(25);
}

/// More of them.
pub(super) fn many_random_plans() {
    plans(300);
}
