//! Names of Arc 27.01's compaction and deletions, in a storage.

use arc_backup_test_azurite::Azurite;

use crate::stores::{Place, put};
use crate::support::{ARC_OLD, Instance, files, text};

const HOUR: &str = "iot/cpu/2026/11/20/00";
const OLD: &str = "cpu_20261120_000000_1795457405134409996";
const TIME: &str = "1795457409134409996";

fn write(instance: &Instance, path: &str, bytes: &[u8]) {
    let path = instance.path("data/arc").join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

fn in_backup(instance: &Instance, id: &str) -> Vec<String> {
    files(&instance.backup_folder(id).join("data"))
}

/// Guards against: rows that are in a backup twice, as Arc had written a file without the deleted
/// rows, and not yet removed the one with them.
#[test]
fn a_file_and_its_rewritten_version_are_never_both_in_a_backup() {
    let instance = Instance::new();
    let (old, new) = (
        format!("{HOUR}/{OLD}.parquet"),
        format!("{HOUR}/{OLD}_rewrite_{TIME}.parquet"),
    );
    write(&instance, &new, b"the rows that stay");
    let alone = in_backup(&instance, &instance.backup());
    assert!(alone.contains(&new), "{alone:?}");
    write(&instance, &old, b"the rows that stay, and others");
    let output = instance.run(&["--json", "backup"]);
    assert!(output.status.success(), "{}", text(&output));
    let ended: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let both = in_backup(&instance, ended["backup_id"].as_str().unwrap());
    assert!(both.contains(&old) && !both.contains(&new), "{both:?}");
    assert!(ended["warnings"].to_string().contains(&new), "{ended}");
}

/// Guards against: rows that a restore serves twice, as Arc's own backup has both versions of a
/// file; and a version that is lost, as it is the only one.
#[test]
fn a_restore_of_arcs_backup_has_one_version_of_a_file() {
    let instance = Instance::new();
    let folder = instance.backup_folder(ARC_OLD);
    let put = |path: &str, bytes: &str| {
        let path = folder.join("data").join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    };
    let later = TIME.replace("17954574", "17954575");
    let old = format!("{HOUR}/{OLD}.parquet");
    let new = format!("{HOUR}/{OLD}_rewrite_{TIME}.parquet");
    let alone = format!("{HOUR}/alone_rewrite_{TIME}.parquet");
    let next = format!("{HOUR}/alone_rewrite_{TIME}_rewrite_{later}.parquet");
    let all = [&old, &new, &alone, &next];
    all.into_iter().for_each(|path| put(path, path));
    let path = folder.join("manifest.json");
    let text = std::fs::read_to_string(&path).unwrap();
    let mut manifest: serde_json::Value = serde_json::from_str(&text).unwrap();
    for (field, more) in [
        ("total_files", all.len()),
        ("total_size_bytes", all.iter().map(|path| path.len()).sum()),
    ] {
        let count = manifest[field].as_u64().unwrap() + more as u64;
        manifest[field] = count.into();
    }
    std::fs::write(&path, manifest.to_string()).unwrap();
    let (code, ended) = instance.json(&["restore", ARC_OLD, "--yes", "--no-metadata"]);
    assert_eq!(code, 0, "{ended}");
    let restored = all.map(|path| instance.path("data/arc").join(path).exists());
    assert_eq!(restored, [true, false, true, false], "{ended}");
    let warnings = ended["warnings"].to_string();
    let named = format!("`data/{next}` and 1 more: not restored");
    assert!(warnings.contains(&named), "{ended}");
}

/// Guards against: a restore that waits for a job which Arc has given up, and a backup without the
/// file.
#[test]
fn a_quarantined_state_is_a_file_like_others() {
    let instance = Instance::new();
    let state = "_compaction_state/hourly/iot/2026_job.json.quarantined";
    let job = format!(
        r#"{{"output_path": "{HOUR}/out_compacted.parquet", "output_size": 1, "input_files": ["{HOUR}/{OLD}.parquet"]}}"#
    );
    write(&instance, state, job.as_bytes());
    write(&instance, &format!("{HOUR}/{OLD}.parquet"), b"an input");
    write(&instance, &format!("{HOUR}/out_compacted.parquet"), b"x");
    let id = instance.backup();
    let stored = in_backup(&instance, &id);
    // As a job's state, it would have taken one of the two away.
    for name in [
        state,
        &format!("{HOUR}/{OLD}.parquet"),
        &format!("{HOUR}/out_compacted.parquet"),
    ] {
        assert!(stored.iter().any(|file| file == name), "{name}: {stored:?}");
    }
    std::fs::remove_file(instance.path("data/arc").join(state)).unwrap();
    let output = instance.run(&["restore", &id, "--yes", "--no-metadata"]);
    assert!(output.status.success(), "{}", text(&output));
    let back = std::fs::read(instance.path("data/arc").join(state)).unwrap();
    assert_eq!(back, job.as_bytes());
}

/// Guards against: temporary files in a backup, and a database that is lost as it has the name of
/// the folder.
#[test]
fn the_temporary_folder_of_compaction_is_not_data() {
    let instance = Instance::new();
    let path = instance.path("arc.toml");
    let config = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, config.replace("\"./data/arc\"", "\"./data\"")).unwrap();
    let at = |path: &str| instance.path("data").join(path);
    for (path, bytes) in [
        ("compaction/job-1/in.parquet", "temporary"),
        ("compaction/cpu/2026/11/20/00/a.parquet", "of a database"),
    ] {
        std::fs::create_dir_all(at(path).parent().unwrap()).unwrap();
        std::fs::write(at(path), bytes).unwrap();
    }
    let id = instance.backup();
    let stored = in_backup(&instance, &id);
    assert!(stored.contains(&"compaction/cpu/2026/11/20/00/a.parquet".to_owned()));
    assert!(!stored.contains(&"compaction/job-1/in.parquet".to_owned()));
    std::fs::remove_dir_all(at("compaction/cpu")).unwrap();
    let output = instance.run(&["restore", &id, "--yes", "--no-metadata"]);
    assert!(output.status.success(), "{}", text(&output));
    assert!(at("compaction/cpu/2026/11/20/00/a.parquet").exists());
    assert!(at("compaction/job-1/in.parquet").exists(), "it is Arc's");
}

/// Guards against: a prefix in a container that is not obeyed: the backup would be one of all data.
#[test]
fn the_prefix_of_the_storage_is_obeyed_on_azure() {
    let server = Azurite::shared();
    let instance = Instance::new();
    let storage = Place::azure(server, "");
    let lines = storage
        .config
        .replace("azure_prefix = \"\"", "azure_prefix = \" /site-7 \"");
    let path = instance.path("arc.toml");
    let config = std::fs::read_to_string(&path).unwrap();
    let config = config.replace(
        "backend = \"local\"\nlocal_path = \"./data/arc\"\n",
        &format!("backend = \"azure\"\n{lines}"),
    );
    std::fs::write(&path, config).unwrap();
    for name in [
        "site-7/iot/cpu/a.parquet",
        "site-70/iot/cpu/b.parquet",
        "iot/cpu/c.parquet",
    ] {
        put(&storage.all, name, b"rows");
    }
    let id = instance.backup();
    assert_eq!(in_backup(&instance, &id), ["iot/cpu/a.parquet"]);
}
