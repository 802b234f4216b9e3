//! Filters and pages, against plain rules over the whole list.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Model, ids, listed};
use crate::support::{Instance, xorshift};

/// A filter, and the same in plain words over rows of the whole list.
struct Wanted {
    query: String,
    selects: Box<dyn Fn(&Value) -> bool>,
}

type Rule = Box<dyn Fn(&Value) -> bool>;

impl Wanted {
    fn random(random: &mut impl FnMut(u64) -> u64) -> Self {
        let mut query = Vec::new();
        let mut rules: Vec<Rule> = Vec::new();
        let mut add = |text: String, rule: Rule| {
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
