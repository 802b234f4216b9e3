//! Archives and extractions that are asked for over REST.

use serde_json::{Value, json};

use super::archives::with_far;
use super::small;
use crate::support::{self, ADMIN, UNKNOWN, files};

/// Guards against: an archive over REST that lands in the folder that the service runs in, or over
/// a file that is there.
#[test]
fn archives_and_extractions_are_made_over_rest() {
    let instance = small();
    with_far(&instance);
    let id = instance.backup();
    let service = instance.serve();
    let path = |name: &str| instance.path(name).display().to_string();
    let (archive, folder) = (path("rest.tar.zst"), path("look"));
    let post = |path: &str, body: &Value| service.post(path, &body.to_string());
    let ended = |path: &str, body: Value| {
        let accepted = post(path, &body);
        assert_eq!(accepted.status, 202, "{path}: {}", accepted.text);
        let ended = service.wait();
        assert_eq!(ended["status"], "completed", "{path}: {ended}");
        ended
    };
    let base = format!("/api/v1/backup/{id}");
    let exported = ended(&format!("{base}/export"), json!({"to": archive}));
    assert_eq!(
        (&exported["operation"], &exported["file"]),
        (&json!("export"), &json!(archive))
    );
    let import = json!({"file": archive, "target": "second"});
    let imported = ended("/api/v1/backup/import", import.clone());
    assert_eq!(imported["backup_id"], id.as_str(), "{imported}");
    assert_eq!(ended("/api/v1/backup/import", import)["unchanged"], true);
    assert_eq!(instance.json(&["verify", &id, "--target", "second"]).0, 0);
    let part = json!({"to": folder, "scope": {"include": ["iot.temperature"]}, "target": "local"});
    ended(&format!("{base}/extract"), part.clone());
    let found = files(&instance.path("look"));
    assert!(!found.is_empty(), "nothing was extracted");
    for file in &found {
        let (bytes, live) = (instance.path("look").join(file), file.strip_prefix("data/"));
        let live = instance.path("data/arc").join(live.unwrap());
        assert!(file.starts_with("data/iot/temperature/"), "{file}");
        assert_eq!(std::fs::read(bytes).unwrap(), std::fs::read(live).unwrap());
    }
    let extract = |to: &str, scope: Value| json!({"to": to, "scope": scope, "target": "local"});
    std::fs::write(instance.path("text.tar.zst"), "no archive").unwrap();
    for (path, body, part) in [
        ("export", json!({}), "to is required"),
        (
            "export",
            json!({"to": "x.tar.zst", "target": "local"}),
            "absolute path",
        ),
        (
            "export",
            json!({"to": archive, "target": "local"}),
            "exists",
        ),
        ("export", json!({"to": 3}), "to"),
        (
            "export",
            json!({"to": path("data/arc/x.tar.zst"), "target": "local"}),
            "where the data",
        ),
        (
            "export",
            json!({"to": path("data/arc.db.pending-restore"), "target": "local"}),
            "belongs to",
        ),
        (
            "export",
            json!({"to": path("data/arc.arc-backup-restore.json"), "target": "local"}),
            "belongs to",
        ),
        (
            "export",
            json!({"to": format!("/{}", "x".repeat(5000)), "target": "local"}),
            "can't be written",
        ),
        (
            "extract",
            extract(&path("data/arc.before-restore/x"), json!({})),
            "belongs to",
        ),
        ("extract", json!({}), "to is required"),
        ("extract", extract("look", json!({})), "absolute path"),
        ("extract", part, "is not empty"),
        (
            "extract",
            extract(&path("other"), json!({"include": ["iott"]})),
            "did you mean",
        ),
        (
            "extract",
            extract(&path("other"), json!({"include": []})),
            "include is empty",
        ),
        (
            "extract",
            json!({"to": path("other"), "scoped": {}}),
            "scoped",
        ),
    ] {
        let answer = post(&format!("{base}/{path}"), &body);
        assert_eq!(answer.status, 400, "{path} {body}: {}", answer.text);
        assert!(answer.text.contains(part), "{path} {body}: {}", answer.text);
    }
    support::make_fifo(&instance.path("pipe"));
    for (body, part) in [
        (json!({"file": path("pipe")}), "not a regular file"),
        (json!({"file": path("")}), "not a regular file"),
        (json!({}), "file is required"),
        (json!({"file": "rest.tar.zst"}), "absolute path"),
        (json!({"file": path("nothing.tar.zst")}), "nothing.tar.zst"),
        (json!({"file": path("text.tar.zst")}), "not a whole archive"),
        (json!({"file": archive, "target": "moon"}), "moon"),
    ] {
        let answer = post("/api/v1/backup/import", &body);
        assert_eq!(answer.status, 400, "{body}: {}", answer.text);
        assert!(answer.text.contains(part), "{body}: {}", answer.text);
    }
    let unknown = post(
        &format!("/api/v1/backup/{UNKNOWN}/export"),
        &json!({"to": path("y.tar.zst")}),
    );
    assert_eq!(unknown.status, 404, "{}", unknown.text);
    assert!(!instance.path("other").exists() && !instance.path("y.tar.zst").exists());

    let new = json!({"backup_id": id, "to": path("data/arc.db-wal"), "target": "local"});
    let answer = post("/api/v1/backup/restore", &new);
    assert_eq!(answer.status, 400, "{}", answer.text);
    assert!(answer.text.contains("belongs to"), "{}", answer.text);

    // The same request, once its file is gone.
    let bearer = format!("Bearer {ADMIN}");
    let keyed = |key: &str| {
        let headers = [("authorization", &*bearer), ("idempotency-key", key)];
        let body = json!({"file": archive, "target": "second"}).to_string();
        service.request(
            "POST",
            "/api/v1/backup/import",
            &headers,
            Some(body.as_bytes()),
        )
    };
    let first = keyed("one");
    assert_eq!(first.status, 202, "{}", first.text);
    service.wait();
    std::fs::remove_file(&archive).unwrap();
    let again = keyed("one");
    assert_eq!((again.status, again.json()), (202, first.json()));
    assert_eq!(keyed("two").status, 400);
}

/// Guards against: one folder with the files of two extractions.
#[test]
fn of_two_extractions_into_one_folder_one_is_refused() {
    let instance = small();
    let id = instance.backup();
    for round in 0..5 {
        let folder = instance.path(&format!("both-{round}"));
        let to = folder.to_str().unwrap();
        let run = |part: &str| {
            let mut command = instance.command(&["extract", &id, "--to", to, "--include", part]);
            command.stderr(std::process::Stdio::null()).spawn().unwrap()
        };
        let both = ["iot", "metrics"].map(run);
        let ended = both.map(|mut child| child.wait().unwrap().success());
        assert_ne!(ended, [true, true], "round {round}");
        let found = files(&folder);
        for (database, is_done) in ["iot", "metrics"].into_iter().zip(ended) {
            let has = found.iter().any(|file| file.contains(database));
            assert_eq!(has, is_done, "round {round}: {database}: {found:?}");
        }
        assert!(!found.iter().any(|file| file.contains(".tmp")), "{found:?}");
    }
}
