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
