//! Folders, their sums and their pages.

use super::{address, fails, listed, small};
use crate::support::{Instance, UNKNOWN};

/// Checks the sums of a folder against its files, and those of all folders in it.
fn check(instance: &Instance, id: &str, folder: &str, totals: (u64, u64)) {
    let (code, body) = instance.json(&["files", id, folder]);
    assert_eq!(code, 0, "{body}");
    let said = |name: &str| body[name].as_u64().unwrap();
    assert_eq!(
        (said("total_files"), said("total_bytes")),
        totals,
        "{folder}"
    );
    let mut sums = (0, 0);
    for file in body["files"].as_array().unwrap() {
        sums = (sums.0 + 1, sums.1 + file["size"].as_u64().unwrap());
    }
    for child in body["folders"].as_array().unwrap() {
        let path = child["path"].as_str().unwrap();
        let of = |name: &str| child[name].as_u64().unwrap();
        sums = (sums.0 + of("files"), sums.1 + of("bytes"));
        assert!(path.starts_with(folder) && path.ends_with('/'), "{path}");
        check(instance, id, path, (of("files"), of("bytes")));
    }
    assert_eq!(sums, totals, "{folder}: {body}");
}

/// Guards against: a tree whose figures are not those of the backup.
#[test]
fn the_sums_of_all_folders_are_those_of_the_manifest() {
    let instance = small();
    // Names that sort between a folder and what is in it.
    for name in ["iot/temperature-old/a.parquet", "iot/temperature.parquet"] {
        let path = instance.path("data/arc").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, b"x").unwrap();
    }
    let id = instance.backup();
    let (_, manifest) = instance.json(&["show", &id]);
    let sections = manifest["sections"].as_array().unwrap();
    let sum = |name: &str| -> u64 { sections.iter().map(|one| one[name].as_u64().unwrap()).sum() };
    check(&instance, &id, "", (sum("files"), sum("bytes")));
    for section in sections {
        let of = |name: &str| section[name].as_u64().unwrap();
        let name = section["name"].as_str().unwrap();
        check(&instance, &id, name, (of("files"), of("bytes")));
    }
    let all = listed(&instance, &id);
    assert_eq!(all.len() as u64, sum("files"));
    let shown = instance.ok(&["files", &id, "data/iot"]);
    assert!(shown.contains("data/iot/temperature/"), "{shown}");
    let shown = instance.ok(&["files", "latest", "-r"]);
    assert_eq!(shown.lines().count(), all.len(), "{shown}");
    fails(
        &instance,
        &["files", &id, "data/nothing"],
        1,
        &["data/nothing", &id],
    );
    fails(&instance, &["files", &id, "../x"], 2, &["../x"]);
    fails(&instance, &["files", UNKNOWN], 1, &[UNKNOWN]);
}

/// Guards against: pages that lose or repeat what is at their borders.
#[test]
fn pages_of_a_folder_are_the_folder() {
    let instance = small();
    let id = instance.backup();
    let service = instance.serve();
    let base = format!("/api/v1/backup/{id}/files");
    for query in [
        "path=data",
        "path=data/iot/",
        "path=",
        "recursive=false",
        "path=data&recursive=true",
    ] {
        let whole = service.get(&format!("{base}?{query}&limit=1000")).json();
        let paths = |body: &serde_json::Value| -> Vec<String> {
            let of = |name: &str| body[name].as_array().cloned().unwrap_or_default();
            let all = of("files").into_iter().chain(of("folders"));
            let mut all: Vec<_> = all
                .map(|one| one["path"].as_str().unwrap().to_owned())
                .collect();
            all.sort();
            all
        };
        let (mut found, mut next) = (Vec::new(), String::new());
        loop {
            let page = service.get(&format!("{base}?{query}&limit=1{next}")).json();
            found.extend(paths(&page));
            assert_eq!(page["total_bytes"], whole["total_bytes"], "{query}");
            match page["next"].as_str() {
                Some(after) => next = format!("&start_after={after}"),
                None => break,
            }
        }
        assert!(found.len() > 1, "{query}: {whole}");
        assert_eq!(found, paths(&whole), "{query}");
    }
    // As before there were folders.
    let all = service.get(&format!("{base}?limit=1000")).json();
    assert_eq!(
        all["files"].as_array().unwrap().len(),
        listed(&instance, &id).len()
    );
    assert!(all.get("folders").is_none(), "{all}");
    for (query, status) in [
        ("path=../x", 400),
        ("path=data//iot", 400),
        ("path=/data", 400),
        ("path=data%5Ciot", 400),
        ("path=data/nothing", 404),
        ("path=data/nothing&recursive=true", 404),
        ("path=data&prefix=data/iot", 400),
        ("path=data&limit=0", 400),
    ] {
        let answer = service.get(&format!("{base}?{query}"));
        assert_eq!(answer.status, status, "{query}: {}", answer.text);
    }
    assert_eq!(service.get(&address(UNKNOWN, "data/a")).status, 404);
}
