//! A backup names the sections that it does not hold, also if that was requested.
#![allow(clippy::unwrap_used, reason = "tests stop at the first surprise")]

mod support;

use serde_json::Value;
use support::{Instance, text};

/// Guards against losing the tokens because a backup was believed to hold them.
#[test]
fn sections_omitted_on_request_are_named() {
    let instance = Instance::new();
    let output = instance.run(&["backup", "--no-metadata", "--no-config"]);
    let said = text(&output);
    assert!(output.status.success(), "{said}");
    let id = said.lines().next().unwrap();
    let path = instance.backup_folder(id).join("manifest.json");
    let manifest: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let (_, status) = instance.json(&["status"]);
    for text in [
        "auth.db_path: databases were omitted on request (include_metadata = false)",
        "arc.toml: the configuration was omitted on request (include_config = false)",
    ] {
        assert!(said.contains(&format!("not included: {text}")), "{said}");
        for document in [&manifest, &status] {
            let list = document["not_included"].as_array().unwrap();
            let named = list.iter().filter(|omitted| *omitted == text).count();
            assert_eq!(named, 1, "{document}");
        }
    }
    let (_, whole) = instance.json(&["backup"]);
    assert!(
        !whole["not_included"].to_string().contains("as asked"),
        "{whole}"
    );
}
