//! Backups and deletions over several targets that were interrupted.

use crate::faults::faulty;
use crate::scene::{self, all_verify, copy, small};
use crate::support::{Instance, files, text};

/// An instance whose database `iot` goes to the target `far`, in this folder.
fn routed_to(far: &str) -> Instance {
    let instance = small();
    instance.configure(&format!(
        "default_target = \"near\"\n\
         [backup.targets.near]\ntype = \"local\"\nlocal_path = \"./near\"\n\
         [backup.targets.far]\ntype = \"local\"\nlocal_path = {far:?}\ndatabases = [\"iot\"]"
    ));
    instance
}

fn routed() -> Instance {
    routed_to("./far")
}

/// The calls at which it is interesting to die: those of manifests and journals, and some others.
fn calls_to_die_at(trace: &[String]) -> Vec<usize> {
    let matters = |line: &str| {
        let parts = [
            "manifest.json",
            "index.json",
            "inventory.jsonl",
            "/journal/",
        ];
        parts.iter().any(|part| line.contains(part)) && !line.contains(".list")
    };
    (trace.iter().enumerate())
        .filter(|(at, line)| matters(line) || at.is_multiple_of(12))
        .map(|(at, _)| at + 1)
        .collect()
}

/// The backups in a target by their folders, whatever is in them.
fn in_target(instance: &Instance, target: &str) -> Vec<String> {
    let mut found: Vec<_> = std::fs::read_dir(instance.path(target))
        .into_iter()
        .flatten()
        .map(|child| child.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("backup-"))
        .collect();
    found.sort();
    found
}

/// Guards against: a leg that passes for a backup, and legs that nobody removes.
pub fn a_backup_over_two_targets_that_dies_is_whole_or_no_backup() {
    let first = routed();
    let calls = "target-";
    let (output, trace) = faulty(&copy(&first), "none", calls, &["backup"]);
    assert!(output.status.success(), "{}", text(&output));
    let mut incomplete = 0;
    for number in calls_to_die_at(&trace) {
        let case = format!("die:before:{number} ({})", trace[number - 1]);
        let instance = copy(&first);
        faulty(
            &instance,
            &format!("die:before:{number}"),
            calls,
            &["backup"],
        );
        // Whatever is listed is whole.
        let whole = all_verify(&instance, &case);
        let (_, list) = instance.json(&["list"]);
        incomplete += list["incomplete_runs"].as_array().unwrap().len();
        let before = scene::live(&instance);
        let restored = instance.run(&["restore", "latest", "--yes"]);
        assert_eq!(restored.status.success(), !whole.is_empty(), "{case}");
        assert!(scene::live(&instance) == before, "{case}");
        instance.ok(&["backup"]);
        let mut ids = all_verify(&instance, &case);
        ids.sort();
        assert_eq!(ids.len(), whole.len() + 1, "{case}");
        for target in ["near", "far"] {
            assert_eq!(in_target(&instance, target), ids, "{case}: {target}");
        }
        let (_, list) = instance.json(&["list"]);
        assert_eq!(list["incomplete_runs"], serde_json::json!([]), "{case}");
    }
    assert!(
        incomplete > 0,
        "it never died between two manifests: {trace:?}"
    );
}

/// Guards against: a good leg that is removed because its default target was moved, is not mounted,
/// or is another store of the same name, of another instance.
pub fn a_leg_stays_where_nothing_proves_that_its_backup_died() {
    let first = routed();
    let calls = "target-";
    let (output, trace) = faulty(&copy(&first), "none", calls, &["backup"]);
    assert!(output.status.success(), "{}", text(&output));
    let (mut whole, mut dead) = (0, 0);
    for number in calls_to_die_at(&trace) {
        let case = format!("die:before:{number} ({})", trace[number - 1]);
        let instance = copy(&first);
        let fault = format!("die:before:{number}");
        faulty(&instance, &fault, calls, &["backup"]);
        let ids = in_target(&instance, "far");
        let Some(id) = ids.first() else { continue };
        let leg = instance.path("far").join(id);
        let is_published = |target: &str| {
            let folder = instance.path(target).join(id);
            folder.join("manifest.json").exists()
        };
        if !is_published("far") {
            continue;
        }
        let is_whole = is_published("near");
        let before = files(&leg);
        let other = routed_to(instance.path("far").to_str().unwrap());
        std::fs::rename(instance.path("near"), instance.path("moved")).unwrap();
        for one in [&other, &instance] {
            one.ok(&["backup"]);
            one.ok(&["sweep", "--apply"]);
            assert_eq!(files(&leg), before, "{case}");
        }
        std::fs::remove_dir_all(instance.path("near")).unwrap();
        std::fs::rename(instance.path("moved"), instance.path("near")).unwrap();
        instance.ok(&["backup"]);
        let verified = all_verify(&instance, &case);
        assert_eq!(verified.contains(id), is_whole, "{case}");
        assert_eq!(leg.exists(), is_whole, "{case}");
        match is_whole {
            true => whole += 1,
            false => dead += 1,
        }
    }
    assert!(whole > 0 && dead > 0, "{whole} {dead}: {trace:?}");
}

/// Guards against: leftovers of a leg that stay after a sweep, or need two of them.
pub fn a_sweep_removes_the_legs_of_a_backup_that_died() {
    let instance = routed();
    let calls = "target-";
    let (output, trace) = faulty(&copy(&instance), "none", calls, &["backup"]);
    assert!(output.status.success(), "{}", text(&output));
    let last = trace
        .iter()
        .rposition(|line| line.contains("target-near.begin") && line.contains("manifest.json"));
    let fault = format!("die:before:{}", last.unwrap() + 1);
    faulty(&instance, &fault, calls, &["backup"]);
    let (_, dry) = instance.json(&["sweep"]);
    let (_, swept) = instance.json(&["sweep", "--apply"]);
    for report in [&dry, &swept] {
        for target in report["targets"].as_array().unwrap() {
            let count = target["unfinished"].as_array().map_or(0, Vec::len);
            let is_leg = target["target"] == "near" || target["target"] == "far";
            assert_eq!(count, usize::from(is_leg), "{report}");
        }
    }
    for target in ["near", "far"] {
        assert_eq!(in_target(&instance, target), Vec::<String>::new());
    }
}

/// Guards against: one killed run that ends every later backup, where the program may not delete.
pub fn a_dead_leg_that_cannot_be_removed_is_a_warning() {
    let instance = routed();
    let calls = "target-";
    let (output, trace) = faulty(&copy(&instance), "none", calls, &["backup"]);
    assert!(output.status.success(), "{}", text(&output));
    let last = (trace.iter())
        .rposition(|line| line.contains("target-near.begin") && line.contains("manifest.json"));
    let fault = format!("die:before:{}", last.unwrap() + 1);
    faulty(&instance, &fault, calls, &["backup"]);
    let dead = in_target(&instance, "far");
    let (output, _) = faulty(&instance, "error:1+", "target-far.delete", &["backup"]);
    let said = text(&output);
    assert!(output.status.success() && said.contains(&dead[0]), "{said}");
    assert!(
        instance
            .path("far")
            .join(&dead[0])
            .join("manifest.json")
            .exists()
    );
    instance.ok(&["backup"]);
    assert_eq!(in_target(&instance, "far"), in_target(&instance, "near"));
    assert!(!in_target(&instance, "far").contains(&dead[0]));
}

/// Guards against: a run without some of its files that is listed, and one that can't be deleted.
pub fn a_deletion_over_two_targets_that_dies_leaves_nothing_that_passes_for_a_backup() {
    let first = routed();
    let id = first.backup();
    let arguments = ["delete", &id, "--yes", "--even-last"];
    let calls = "target-";
    let (output, trace) = faulty(&copy(&first), "none", calls, &arguments);
    assert!(output.status.success(), "{}", text(&output));
    for number in calls_to_die_at(&trace) {
        let case = format!("die:before:{number} ({})", trace[number - 1]);
        let instance = copy(&first);
        faulty(
            &instance,
            &format!("die:before:{number}"),
            calls,
            &arguments,
        );
        all_verify(&instance, &case);
        let again = instance.run(&arguments);
        let said = text(&again);
        // What is left without any manifest is leftovers, in each target.
        let is_done = again.status.success();
        assert!(is_done || said.contains("no backup"), "{case}: {said}");
        for target in ["near", "far"] {
            let left = in_target(&instance, target);
            assert_eq!(left, Vec::<String>::new(), "{case}: {said}");
        }
        instance.ok(&["sweep", "--apply"]);
        for target in ["near", "far"] {
            assert_eq!(
                in_target(&instance, target),
                Vec::<String>::new(),
                "{case}: {said}"
            );
        }
    }
}
