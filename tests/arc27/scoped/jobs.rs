//! Compaction jobs: those of other databases do not matter.

use super::{backup_of, held, put, small};
use crate::support::{Instance, warnings};

/// A pending job of the database, whose output is there and one of whose inputs is gone.
fn with_job(instance: &Instance, database: &str) {
    let day = format!("{database}/cpu/2027/01/14");
    let output = format!("{day}/cpu_1_b1_daily.parquet");
    put(instance, &output, b"rows of both");
    let state = serde_json::json!({
        "output_path": output, "output_size": 12,
        "input_files": [format!("{day}/00/a.parquet"), format!("{day}/00/gone.parquet")],
    });
    let key = format!("_compaction_state/daily/{database}/job.json");
    put(instance, &key, state.to_string().as_bytes());
}

/// Guards against: rows twice or lost in the database, and a job of another one that decides.
#[test]
fn the_jobs_of_the_database_are_decided_and_no_others() {
    let instance = small();
    with_job(&instance, "iot");
    with_job(&instance, "web");
    // One that can't be read, of another database.
    put(&instance, "_compaction_state/daily/web-2/job.json", b"{");
    let (code, done) = instance.json(&["backup", "--database", "iot"]);
    assert_eq!(code, 0, "{done}");
    assert_eq!(warnings(&done), Vec::<String>::new(), "{done}");
    let id = done["backup_id"].as_str().unwrap();
    let keys = held(&instance, id);
    let has = |key: &str| keys.iter().any(|one| one == key);
    assert!(has("iot/cpu/2027/01/14/cpu_1_b1_daily.parquet"), "{keys:?}");
    assert!(has("_compaction_state/daily/iot/job.json"), "{keys:?}");
    assert!(!has("iot/cpu/2027/01/14/00/a.parquet"), "{keys:?}");
    assert!(!keys.iter().any(|key| key.contains("web")), "{keys:?}");
    // The job is not undone by a restore of the other database.
    let other = backup_of(&instance, "spoke1");
    let before = instance.live();
    instance.ok(&["restore", &other, "--yes"]);
    assert!(instance.live() == before);
}
