//! Compaction jobs that Arc left unfinished. A backup has to resolve them, or report that it can't.
#![allow(clippy::unwrap_used, reason = "tests stop at the first surprise")]

mod support;

use support::Instance;

const DAY: &str = "iot/temperature/2026/11/24";

/// An instance with two files of a day, the output of a job, and the state of the job with this
/// text.
fn with_job(output: &str, state: &str) -> Instance {
    let instance = Instance::new();
    let root = instance.path("data/arc");
    let put = |key: &str, text: &str| {
        let path = root.join(key);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    put(&format!("{DAY}/00/temperature_b.parquet"), "rows of b");
    put(&format!("{DAY}/temperature_1_b1_daily.parquet"), output);
    put("_compaction_state/daily/iot/job.json", state);
    instance
}

fn state(size: &str, inputs: &[&str]) -> String {
    let inputs: Vec<_> = (inputs.iter())
        .map(|name| format!("\"{DAY}/00/temperature_{name}.parquet\""))
        .collect();
    format!(
        "{{\"output_path\":\"{DAY}/temperature_1_b1_daily.parquet\",\"output_size\":{size},\"input_files\":[{}]}}",
        inputs.join(",")
    )
}

/// Makes a backup. Returns its warnings, and whether it holds the two files and the state.
fn backup(instance: &Instance) -> (String, [bool; 3]) {
    let (code, done) = instance.json(&["backup"]);
    assert_eq!(code, 0, "{done}");
    let id = done["backup_id"].as_str().unwrap();
    let data = instance.backup_folder(id).join("data");
    let held = [
        data.join(DAY).join("00/temperature_b.parquet").exists(),
        data.join(DAY)
            .join("temperature_1_b1_daily.parquet")
            .exists(),
        data.join("_compaction_state/daily/iot/job.json").exists(),
    ];
    (done["warnings"].to_string(), held)
}

/// Guards against lost or doubled rows of a job that died when half of its inputs were deleted.
#[test]
fn an_unfinished_job_is_decided() {
    // `a` is gone, `b` is not: the output supersedes both.
    let instance = with_job("rows of both", &state("12", &["a", "b"]));
    let (warnings, held) = backup(&instance);
    assert_eq!(held, [false, true, true]);
    assert_eq!(warnings, "null");
    // Both exist, so they count. The output, if it is whole, would hold their rows twice.
    let instance = with_job("rows of both", &state("12", &["b"]));
    let (_, held) = backup(&instance);
    assert_eq!(held, [true, false, true]);
}

/// Guards against an output that may be incomplete without a warning.
#[test]
fn an_output_of_another_size_is_reported() {
    let instance = with_job("rows of bo", &state("12", &["a", "b"]));
    let (warnings, held) = backup(&instance);
    // With its state, Arc would delete the output when it starts.
    assert_eq!(held, [true, true, false]);
    assert!(
        warnings.contains("temperature_1_b1_daily.parquet")
            && warnings.contains("10 bytes")
            && warnings.contains("rows may be duplicated"),
        "{warnings}"
    );
    let instance = with_job("rows of bo", &state("12", &["a"]));
    let (warnings, held) = backup(&instance);
    assert_eq!(held, [true, true, false]);
    assert!(
        warnings.contains("as its inputs are no longer there") && !warnings.contains("twice"),
        "{warnings}"
    );
}

/// Guards against rows that may be doubled without a warning.
#[test]
fn an_unreadable_job_state_is_reported() {
    for text in ["{\"output_path\":7}", "half a st", ""] {
        let instance = with_job("rows of both", text);
        let (warnings, held) = backup(&instance);
        assert_eq!(held, [true, true, true], "{text}");
        assert!(
            warnings.contains("_compaction_state/daily/iot/job.json"),
            "{warnings}"
        );
    }
}

/// Guards against a decision that only the operator can make.
#[test]
fn a_job_that_can_not_be_decided_fails_the_backup_by_name() {
    let instance = with_job("rows of both", &state("12", &[]));
    let (code, failed) = instance.json(&["backup"]);
    assert_eq!(code, 1, "{failed}");
    let error = failed["error"].as_str().unwrap();
    for part in [DAY, "_compaction_state/daily/iot/job.json"] {
        assert!(error.contains(part), "{error}");
    }
    let (_, list) = instance.json(&["list"]);
    assert_eq!(list["count"], 2, "{list}");
}

/// A backup as Arc makes it, with these data files, in place of the sample's.
fn arcs_backup(instance: &Instance, files: &[(&str, &str)]) -> String {
    let id = "backup-20261124-120000-0a0b0c0d";
    let folder = instance.backup_folder(id);
    let (mut count, mut bytes) = (0, 0);
    for (key, text) in files {
        let path = folder.join("data").join(key);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        if key.ends_with(".parquet") {
            (count, bytes) = (count + 1, bytes + text.len());
        }
    }
    let manifest = serde_json::json!({
        "version": "26.09.2", "backup_id": id, "created_at": "2026-11-24T12:00:00Z",
        "backup_type": "full", "total_files": count, "total_size_bytes": bytes,
        "has_metadata": false, "has_config": false,
    });
    std::fs::write(folder.join("manifest.json"), manifest.to_string()).unwrap();
    id.to_owned()
}

/// Guards against rows that are there twice, or lost, after the restore of a backup that Arc made
/// while a job was under way.
#[test]
fn an_unfinished_job_in_a_backup_by_arc_is_decided_by_the_restore() {
    let [a, b] = ["a", "b"].map(|name| format!("{DAY}/00/temperature_{name}.parquet"));
    let output = format!("{DAY}/temperature_1_b1_daily.parquet");
    let job = "_compaction_state/daily/iot/job.json";
    for (size, live, skipped) in [
        ("12", vec![&output], Some(2)),
        // Arc had not written it to its end, and drops it at its next start.
        ("99", vec![&a, &b], None),
    ] {
        let instance = Instance::new();
        let state = state(size, &["a", "b"]);
        let files = [
            (&*a, "rows of a"),
            (&b, "rows of b"),
            (&output, "rows of both"),
        ];
        let id = arcs_backup(&instance, &[&files[..], &[(job, &state)]].concat());
        let arguments = ["restore", &id, "--no-metadata", "--yes"];
        let (code, done) = instance.json(&arguments);
        assert_eq!(code, 0, "{done}");
        assert_eq!(done["consumed_inputs_skipped"].as_u64(), skipped, "{done}");
        assert!(
            done["warnings"].to_string().contains("compaction job"),
            "{done}"
        );
        let found = instance.live();
        // Nor is the state there, for which a later restore would wait.
        assert_eq!(found.keys().collect::<Vec<_>>(), live, "{size}");
        // Run again, it changes nothing.
        let (code, again) = instance.json(&arguments);
        assert_eq!(
            (code, &again["set_aside_files"]),
            (0, &serde_json::json!(0)),
            "{again}"
        );
        assert!(instance.live() == found, "{size}");
    }
}
