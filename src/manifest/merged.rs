//! The manifests of the legs of a run, as one manifest.

use std::collections::{BTreeMap, BTreeSet};

use arc_backup_core::database_of;
use serde_json::{Map, Value, json};

use super::{Manifest, StoredTotals};

/// Counts that are added up.
const SUMS: &[&str] = &[
    "total_files",
    "total_size_bytes",
    "total_rows",
    "files_without_rows",
    "damaged_files",
    "auxiliary_files",
    "compaction_state_files",
    "unaddressable_files",
    "special_files",
    "skipped_files",
    "skipped_overlong_keys",
    "skipped_metadata_files",
    "cold_files",
    "cold_size_bytes",
    "cold_files_excluded",
    "reused_files",
    "reused_bytes",
];
/// Lists that are joined.
const LISTS: &[&str] = &[
    "unaddressable_sample",
    "special_sample",
    "damaged_sample",
    "skipped_sample",
    "databases_included",
    "not_included",
];
/// Facts that are so for the run where they are so for a leg.
const FLAGS: &[&str] = &["has_metadata", "has_config", "has_iceberg_catalog"];
/// Facts of a single leg.
const OF_A_LEG: &[&str] = &[
    "inventory",
    "file_list",
    "sha256",
    "is_default_target",
    "rehashed",
];

/// The manifest of a run, as a document: that of its first leg, which is the default one, with the
/// figures of all, and their names in `targets`.
pub(crate) fn merged(legs: &[(&Manifest, &Value)]) -> Value {
    let Some((first, raw)) = legs.first() else {
        return Value::Null;
    };
    let mut fields = raw.as_object().cloned().unwrap_or_default();
    let all = || legs.iter().map(|(_, raw)| *raw);
    for name in SUMS {
        let values: Vec<_> = all().filter_map(|raw| raw[*name].as_u64()).collect();
        if !values.is_empty() {
            let sum = values.into_iter().fold(0, u64::saturating_add);
            fields.insert((*name).to_owned(), sum.into());
        }
    }
    for name in LISTS {
        let mut items: Vec<&Value> = Vec::new();
        for item in all().filter_map(|raw| raw[*name].as_array()).flatten() {
            if !items.contains(&item) {
                items.push(item);
            }
        }
        if !items.is_empty() {
            fields.insert((*name).to_owned(), json!(items));
        }
    }
    for name in FLAGS {
        if all().any(|raw| raw[*name] == true) {
            fields.insert((*name).to_owned(), true.into());
        }
    }
    for name in ["databases", "sections"] {
        let lists: Vec<_> = all().filter_map(|raw| raw[name].as_array()).collect();
        if name == "databases" || !lists.is_empty() {
            let items = lists.into_iter().flatten().cloned().collect();
            fields.insert(name.to_owned(), by_name(items));
        }
    }
    // One leg that reuses files makes it an incremental one.
    let of_base = |raw: &&Value| raw["base_backup_id"].is_string();
    if let Some(leg) = all().find(of_base) {
        for name in ["backup_type", "base_backup_id"] {
            fields.insert(name.to_owned(), leg[name].clone());
        }
    }
    let holders = stored_in(all());
    if !holders.is_empty() {
        fields.insert("stored_in".to_owned(), json!(holders));
    }
    latest(&mut fields, all(), "completed_at");
    let scope = scope_of(first, legs);
    match scope.is_empty() {
        true => fields.remove("scope"),
        false => fields.insert("scope".to_owned(), json!(scope)),
    };
    for name in OF_A_LEG {
        fields.remove(*name);
    }
    let targets: BTreeSet<_> = (legs.iter())
        .filter_map(|(leg, _)| leg.target.as_ref())
        .collect();
    fields.insert("targets".to_owned(), json!(targets));
    Value::Object(fields)
}

/// The databases that the run was asked for; none where that were all of them. The slice of a leg
/// is not a scope: what the default leg says decides, as it has all that is routed nowhere else.
fn scope_of(first: &Manifest, legs: &[(&Manifest, &Value)]) -> BTreeSet<String> {
    if first.scope.is_empty() && first.is_default_leg() {
        return BTreeSet::new();
    }
    let mut scope = BTreeSet::new();
    for (leg, _) in legs {
        scope.extend(leg.scope.iter().cloned());
        if leg.scope.is_empty() {
            // Its name is a path's beginning: a database of an edge node is its first segment.
            let names = leg.databases.iter().map(|one| format!("{}/x", one.name));
            scope.extend(names.filter_map(|path| database_of(&path).map(str::to_owned)));
        }
    }
    scope
}

/// Items of the same name as one, with their counts added up, sorted by name.
fn by_name(items: Vec<Value>) -> Value {
    let mut by_name: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    for item in items {
        let Value::Object(item) = item else { continue };
        let name = item.get("name").and_then(Value::as_str).unwrap_or_default();
        let Some(known) = by_name.get_mut(name) else {
            by_name.insert(name.to_owned(), item);
            continue;
        };
        for (field, value) in item {
            let both = match (known.remove(&field), value) {
                (Some(Value::Number(a)), Value::Number(b)) => {
                    let (a, b) = (a.as_u64().unwrap_or(0), b.as_u64().unwrap_or(0));
                    a.saturating_add(b).into()
                }
                (Some(Value::Array(mut a)), Value::Array(b)) => {
                    a.extend(b);
                    self::by_name(a)
                }
                (Some(Value::Null) | None, value) => value,
                (Some(known), _) => known,
            };
            known.insert(field, both);
        }
    }
    json!(by_name.into_values().collect::<Vec<_>>())
}

/// The files that other backups hold for the legs, by these.
fn stored_in<'a>(legs: impl Iterator<Item = &'a Value>) -> BTreeMap<String, StoredTotals> {
    let mut all: BTreeMap<String, StoredTotals> = BTreeMap::new();
    for (holder, totals) in legs
        .filter_map(|raw| raw["stored_in"].as_object())
        .flatten()
    {
        let of_holder = all.entry(holder.clone()).or_default();
        let count = |name: &str| totals[name].as_u64().unwrap_or_default();
        of_holder.files = of_holder.files.saturating_add(count("files"));
        of_holder.bytes = of_holder.bytes.saturating_add(count("bytes"));
    }
    all
}

fn latest<'a>(fields: &mut Map<String, Value>, all: impl Iterator<Item = &'a Value>, name: &str) {
    let times = all.filter_map(|raw| {
        let text = raw[name].as_str()?;
        Some((text.parse::<jiff::Timestamp>().ok()?, text.to_owned()))
    });
    if let Some((_, last)) = times.max() {
        fields.insert(name.to_owned(), last.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged_of(legs: &[Value]) -> Value {
        let parsed: Vec<Manifest> = (legs.iter())
            .map(|raw| serde_json::from_value(raw.clone()).expect("a manifest"))
            .collect();
        merged(&parsed.iter().zip(legs).collect::<Vec<_>>())
    }

    fn leg(target: &str, is_default: bool, database: &str, scope: &[&str]) -> Value {
        json!({
            "backup_id": "x", "created_at": "2026-01-01T00:00:00Z",
            "total_files": 2, "total_size_bytes": 20, "has_metadata": is_default,
            "databases": [{"name": database, "file_count": 2, "size_bytes": 20, "measurements": null}],
            "target": target, "run_targets": ["a", "b"], "is_default_target": is_default,
            "scope": scope,
        })
    }

    /// Guards against: a restore of a run that takes a leg's databases for all that there were, or
    /// that removes databases which a scoped run never had.
    #[test]
    fn the_scope_of_a_run_is_that_of_its_legs_together() {
        let run = merged_of(&[leg("a", true, "web", &[]), leg("b", false, "iot", &["iot"])]);
        assert_eq!(run.get("scope"), None, "{run}");
        assert_eq!(
            (&run["total_files"], &run["has_metadata"]),
            (&json!(4), &json!(true))
        );
        assert_eq!(run["databases"][0]["name"], "iot");
        assert_eq!(run["targets"], json!(["a", "b"]));
        assert_eq!(run.get("is_default_target"), None);
        let scoped = [
            leg("a", true, "web", &["web"]),
            leg("b", false, "spoke1/telemetry", &[]),
        ];
        assert_eq!(merged_of(&scoped)["scope"], json!(["spoke1", "web"]));
    }

    /// Guards against: a backup that is deleted as if nothing of a run lay in it.
    #[test]
    fn a_run_is_incremental_where_a_leg_is_and_names_all_holders() {
        let mut legs = [leg("a", true, "web", &[]), leg("b", false, "iot", &[])];
        legs[0]["backup_type"] = json!("full");
        legs[1]["backup_type"] = json!("incremental");
        legs[1]["base_backup_id"] = json!("y");
        legs[0]["stored_in"] = json!({"x": {"files": 1, "bytes": 10}});
        legs[1]["stored_in"] =
            json!({"x": {"files": 2, "bytes": 5}, "y": {"files": 1, "bytes": 1}});
        let run = merged_of(&legs);
        assert_eq!(run["backup_type"], "incremental");
        assert_eq!(run["base_backup_id"], "y");
        let expected = json!({"x": {"files": 3, "bytes": 15}, "y": {"files": 1, "bytes": 1}});
        assert_eq!(run["stored_in"], expected);
    }

    #[test]
    fn a_database_in_two_legs_is_one() {
        let legs = [leg("a", true, "iot", &[]), leg("b", false, "iot", &[])];
        let run = merged_of(&legs);
        assert_eq!(run["databases"].as_array().map(Vec::len), Some(1));
        assert_eq!(run["databases"][0]["file_count"], 4);
    }
}
