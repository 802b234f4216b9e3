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
    assert!(!warnings.contains("job"), "{warnings}");
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

/// Restores a backup by Arc of these files and states of jobs; returns the names of the live files,
/// and the warnings.
fn restored(files: &[(&str, &str)], states: &[&str]) -> (Vec<String>, String) {
    let instance = Instance::new();
    let names: Vec<_> = (0..states.len())
        .map(|number| format!("_compaction_state/daily/iot/{number}.json"))
        .collect();
    let jobs = names.iter().zip(states);
    let jobs = jobs.map(|(name, state)| (name.as_str(), *state));
    let files: Vec<_> = files.iter().copied().chain(jobs).collect();
    let id = arcs_backup(&instance, &files);
    let (code, done) = instance.json(&["restore", &id, "--no-metadata", "--yes"]);
    assert_eq!(code, 0, "{done}");
    let live = instance.live().into_keys().collect();
    (live, done["warnings"].to_string())
}

/// Guards against an output that Arc deletes at its next start, because of the state that was
/// restored with it, while nothing else has its rows.
#[test]
fn an_output_of_another_size_is_restored_without_the_state_of_its_job() {
    let [a, b] = ["a", "b"].map(|name| format!("{DAY}/00/temperature_{name}.parquet"));
    let output = format!("{DAY}/temperature_1_b1_daily.parquet");
    let files = [
        (&*output, "rows of both"),
        (&*b, "rows of b"),
        (&*a, "rows of a"),
    ];
    for (held, inputs, doubled) in [
        (&files[..2], &["a", "b"][..], true),
        (&files[..1], &["a", "b"], false),
        (&files[..1], &[], false),
    ] {
        let (live, warnings) = restored(held, &[&state("99", inputs)]);
        let mut expected: Vec<_> = held.iter().map(|(name, _)| (*name).to_owned()).collect();
        expected.sort();
        assert_eq!(live, expected);
        assert!(
            warnings.contains(&output) && warnings.contains("12 bytes"),
            "{warnings}"
        );
        assert_eq!(
            warnings.contains("rows may be duplicated"),
            doubled,
            "{warnings}"
        );
    }
    // No output, and not all inputs: Arc would delete an output that stayed live.
    let (live, _) = restored(&files[1..2], &[&state("99", &["a", "b"])]);
    assert_eq!(live, [b.as_str()]);
    // Two states of one output: only one has all of its inputs.
    let states = [state("99", &["b"]), state("98", &["a"])];
    let (live, warnings) = restored(&files[..2], &[&states[0], &states[1]]);
    assert_eq!(live, [b.as_str(), output.as_str()]);
    assert!(warnings.contains("rows may be duplicated"), "{warnings}");
    // One of them names the size that it has: that decides, and the other's input stays.
    let states = [state("99", &["b"]), state("12", &["a"])];
    let (live, warnings) = restored(&files[..2], &[&states[0], &states[1]]);
    assert_eq!(live, [b.as_str(), output.as_str()]);
    assert!(warnings.contains("rows may be duplicated"), "{warnings}");
}

/// Guards against states that name each other's outputs, by which no file with the rows is left.
#[test]
fn jobs_that_depend_on_themselves_omit_nothing() {
    let b = format!("{DAY}/00/temperature_b.parquet");
    let [one, two] = ["1", "2"].map(|name| format!("{DAY}/temperature_{name}_b1_daily.parquet"));
    let state = |output: &str, inputs: &[&str]| {
        serde_json::json!({"output_path": output, "output_size": 12, "input_files": inputs})
            .to_string()
    };
    let files = [
        (&*one, "rows of both"),
        (&*b, "rows of b"),
        (&*two, "rows of them"),
    ];
    for states in [
        vec![state(&one, &[&one, &b])],
        vec![state(&one, &[&two, &b]), state(&two, &[&one])],
    ] {
        let states: Vec<_> = states.iter().map(String::as_str).collect();
        let (live, warnings) = restored(&files, &states);
        assert_eq!(live, [b.as_str(), one.as_str(), two.as_str()]);
        assert!(warnings.contains("rows may be duplicated"), "{warnings}");
    }
    // One upon the other: the last one has all rows.
    let states = [state(&one, &[&b]), state(&two, &[&one])];
    let (live, _) = restored(&files, &[&states[0], &states[1]]);
    assert_eq!(live, [two.as_str()]);
}

/// Guards against doubled rows that nobody hears of: the output is damaged in the backup, so the
/// live one stays, and its inputs are restored.
#[test]
fn a_damaged_output_beside_its_inputs_is_warned_of() {
    let [a, b] = ["a", "b"].map(|name| format!("{DAY}/00/temperature_{name}.parquet"));
    let output = format!("{DAY}/temperature_1_b1_daily.parquet");
    for inputs in [&["a", "b"][..], &["a", "b", "c"]] {
        let instance = Instance::new();
        let job = state("12", inputs);
        let files = [
            (&*a, "rows of a"),
            (&*b, "rows of b"),
            (&*output, "rows of both"),
        ];
        let id = arcs_backup(
            &instance,
            &[&files[..], &[("_compaction_state/daily/iot/j.json", &*job)]].concat(),
        );
        // The list knows it with other bytes.
        let listed: Vec<_> = (files.iter())
            .map(|(name, text)| {
                let text = match *name == output {
                    true => "rows of bots",
                    false => text,
                };
                let digest = arc_backup::core::Digest::of(text.as_bytes()).to_string();
                serde_json::json!({"path": name, "sha256": digest, "size_bytes": text.len()})
            })
            .collect();
        let list = serde_json::json!({"version": 1, "files": listed}).to_string();
        std::fs::write(
            instance.backup_folder(&id).join("manifest-files.json"),
            list,
        )
        .unwrap();
        let arguments = ["restore", &id, "--no-metadata", "--skip-damaged", "--yes"];
        let (code, done) = instance.json(&arguments);
        assert_eq!(code, 1, "{done}");
        let warnings = done["warnings"].to_string();
        assert!(
            warnings.contains(&output) && warnings.contains("rows may be duplicated"),
            "{warnings}"
        );
        let state_is_live = instance
            .path("data/arc/_compaction_state/daily/iot/j.json")
            .exists();
        assert_eq!(state_is_live, inputs.len() == 2);
    }
}
