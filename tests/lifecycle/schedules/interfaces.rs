//! The command line and REST, which have the same words.

use serde_json::{Value, json};

use super::world::instance;
use crate::support::{Service, text};

const SCHEDULES: &str = "/api/v1/backup/schedules";
const TWO: &str = "[[arc_backup.schedule]]\nname = \"hourly\"\ncron = \"0 * * * *\"\nverify = \"quick\"\n\
    [[arc_backup.schedule]]\nname = \"yearly\"\ncron = \"@yearly\"\n";

/// The operations of a schedule, oldest first, when there are this many.
fn operations(service: &Service, name: &str, count: usize) -> Vec<Value> {
    let path = format!("/api/v1/backup/operations?schedule={name}&status=completed");
    for _ in 0..6000 {
        let found = service.get(&path).json();
        if found["count"] == count {
            let mut found = found["operations"].as_array().unwrap().clone();
            found.reverse();
            return found;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("never {count} operations of {name}")
}

/// Guards against: a schedule that can only be operated from a shell.
#[test]
fn rest_lists_runs_pauses_and_previews() {
    // No run of its own falls into the test.
    let instance = instance(&TWO.replace("0 * * * *", "@monthly"));
    let service = instance.serve();
    let list = service.get(SCHEDULES).json();
    assert_eq!(list["count"], 2, "{list}");
    assert_eq!(
        list["schedules"][0]["next_runs"].as_array().unwrap().len(),
        3,
        "{list}"
    );
    assert_eq!(list["schedules"][0].get("last_success"), None, "{list}");
    let started = service.post(&format!("{SCHEDULES}/yearly/run"), "");
    assert_eq!(started.status, 202, "{started:?}");
    let [made] = &operations(&service, "yearly", 1)[..] else {
        panic!("one")
    };
    assert_eq!(
        made["operation_id"],
        started.json()["operation_id"],
        "{made}"
    );
    assert_eq!(
        (&made["schedule"], &made["origin"]),
        (&"yearly".into(), &"rest".into()),
        "{made}"
    );
    service.post(&format!("{SCHEDULES}/hourly/run"), "");
    let followed = operations(&service, "hourly", 2);
    assert_eq!(followed[1]["operation"], "verify", "{followed:?}");
    assert_eq!(followed[1]["origin"], "schedule", "{followed:?}");
    let one = service.get(&format!("{SCHEDULES}/yearly")).json();
    assert_eq!(one["last_success"]["backup_id"], made["backup_id"], "{one}");
    assert_eq!(
        (&one["overdue"], &one["paused"]),
        (&false.into(), &false.into()),
        "{one}"
    );

    let paused = service.post(&format!("{SCHEDULES}/yearly/pause"), "");
    assert_eq!(
        (paused.status, &paused.json()["paused"]),
        (200, &true.into()),
        "{paused:?}"
    );
    let (_, shown) = instance.json(&["schedules", "yearly"]);
    assert_eq!(
        (&shown["paused"], &shown["next_runs"]),
        (&true.into(), &json!([])),
        "{shown}"
    );
    instance.ok(&["schedules", "resume", "yearly"]);
    let one = service.get(&format!("{SCHEDULES}/yearly")).json();
    assert_eq!(
        (&one["paused"], one["next_runs"].as_array().unwrap().len()),
        (&false.into(), 3)
    );

    let preview = service.get(&format!("{SCHEDULES}/hourly/preview")).json();
    assert_eq!(
        preview["next_runs"].as_array().unwrap().len(),
        10,
        "{preview}"
    );
    let missing = service.get(&format!("{SCHEDULES}/hourli"));
    assert_eq!(missing.status, 404, "{missing:?}");
    assert!(missing.text.contains("did you mean"), "{missing:?}");
    for path in ["run", "pause", "resume", "preview"] {
        let path = format!("{SCHEDULES}/none/{path}");
        let answer = match path.ends_with("preview") {
            true => service.get(&path),
            false => service.post(&path, ""),
        };
        assert_eq!(answer.status, 404, "{path}: {answer:?}");
    }
    let health = service.get("/health").json();
    assert_eq!(health["schedules"], "2, 0 paused, 0 overdue", "{health}");
}

/// Guards against: a run from a shell that is another one than the service's.
#[test]
fn the_command_line_runs_the_backup_and_what_follows() {
    let instance = instance(TWO);
    let id = instance.ok(&["schedules", "run", "hourly"]);
    let (_, history) = instance.json(&["history"]);
    let rows: Vec<_> = (history["operations"].as_array().unwrap().iter())
        .map(|row| {
            (
                row["operation"].as_str().unwrap(),
                row["backup_id"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(rows, [("verify", &*id), ("backup", &*id)]);
    assert_eq!(history["operations"][1]["schedule"], "hourly", "{history}");
    let shown = instance.ok(&["schedules"]);
    assert!(
        shown.contains("hourly") && shown.contains("yearly"),
        "{shown}"
    );
    assert!(
        shown.contains("NEXT RUN") && shown.contains("never"),
        "{shown}"
    );
    let preview = instance.ok(&["schedules", "--preview", "yearly"]);
    assert_eq!(
        preview.matches("-01-01 00:00:00 UTC").count(),
        10,
        "{preview}"
    );
    let unknown = instance.run(&["schedules", "run", "hourli"]);
    let said = text(&unknown);
    assert_eq!(unknown.status.code(), Some(2), "{said}");
    assert!(said.contains("did you mean \"hourly\""), "{said}");
}

/// Guards against: backups that have stopped, and a monitor that is green.
#[test]
fn an_overdue_schedule_fails_the_check() {
    let instance = instance(TWO);
    instance.ok(&["backup"]);
    assert_eq!(instance.run(&["check"]).status.code(), Some(0));
    let folder = instance.path("backups/.arc-backup/schedules");
    std::fs::create_dir_all(&folder).unwrap();
    let kept = json!({"schedules": {"hourly": {
        "since": "2026-01-01T00:00:00Z", "cron": "0 * * * *", "timezone": "UTC",
        "decided_until": "2026-01-01T00:00:00Z",
    }}});
    std::fs::write(folder.join("kept.json"), kept.to_string()).unwrap();
    let output = instance.run(&["check"]);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("overdue schedules: hourly"), "{said}");
    let (_, report) = instance.json(&["doctor"]);
    let checks = report["checks"].as_array().unwrap();
    assert!(
        checks.iter().any(|check| check["check"] == "overdue"),
        "{report}"
    );
    // While it is paused, nothing is expected of it.
    instance.ok(&["schedules", "pause", "hourly"]);
    assert_eq!(instance.run(&["check"]).status.code(), Some(0));
    instance.ok(&["schedules", "resume", "hourly"]);
    instance.ok(&["schedules", "run", "hourly"]);
    assert_eq!(instance.run(&["check"]).status.code(), Some(0));
}
