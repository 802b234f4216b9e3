//! A prune that dies, or meets an error, at any call of the target: the backups that are to stay
//! are there and verify, and a second prune completes it.

use crate::{faults, scene};

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output, Stdio};

use arc_backup::{ArcBackup, Operation, Origin, Overrides, PruneOptions, Request, Rules, Who};
use serde_json::{Value, json};

use super::history::{add, folders};
use crate::support::{Instance, text};

/// Where the child works, and where it writes how the operation ended.
const FOLDER: &str = "ARC_TEST_FOLDER";
/// How many calls a short run covers, for each fault.
const SHORT: usize = 5;

/// A prune with faults, in a process that may die of them.
#[test]
#[ignore = "the others run it, as a process of its own"]
fn child() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    std::env::set_current_dir(folder).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let ended: Operation = runtime.block_on(async {
        let registry = faults::registry();
        let settings = registry.settings(&Overrides::default()).unwrap();
        let engine = ArcBackup::new(settings, &registry).unwrap();
        let mut options = PruneOptions::of(None);
        options.rules = Some(Rules {
            keep_last: 2,
            ..Rules::default()
        });
        let who = Who {
            actor: "test".to_owned(),
            origin: Origin::Cli,
            fingerprint: None,
            token: None,
        };
        match engine.start(Request::Prune(options), who).await {
            Ok(running) => running.wait().await,
            Err(error) => Operation {
                error: Some(error.to_string()),
                ..Operation::default()
            },
        }
    });
    std::fs::write("ended.json", serde_json::to_vec(&ended).unwrap()).unwrap();
}

/// Runs the child in the instance, and returns its calls.
fn faulty(instance: &Instance, fault: &str) -> (Output, Vec<String>) {
    let trace = tempfile::NamedTempFile::new().unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args([
            "retention::deaths::child",
            "--exact",
            "--ignored",
            "--nocapture",
        ])
        .env(FOLDER, instance.path(""))
        .env(faults::FAULT, fault)
        .env(faults::CALLS, "target.")
        .env(faults::TRACE, trace.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let trace = std::fs::read_to_string(trace.path()).unwrap();
    (output, trace.lines().map(str::to_owned).collect())
}

struct Scene {
    instance: Instance,
    kept: Vec<String>,
    pruned: Vec<String>,
}

impl Scene {
    fn new() -> Self {
        let instance = scene::small();
        let newest = instance.backup();
        let day = |day: u32| add(&instance, &newest, &format!("2026-02-{day:02}T03:00:00Z"));
        let pruned = [1, 2].map(day).to_vec();
        let kept = vec![day(3), newest.clone()];
        Self {
            instance,
            kept,
            pruned,
        }
    }

    /// What is to stay is there and verifies; a prune without a fault does the rest.
    fn check(&self, instance: &Instance, case: &str) {
        let left = scene::all_verify(instance, case);
        assert!(
            self.kept.iter().all(|id| left.contains(id)),
            "{case}: {left:?}"
        );
        let again = instance.run(&["prune", "--keep-last", "2", "--confirm"]);
        assert!(again.status.success(), "{case}: {}", text(&again));
        let swept = instance.run(&["sweep", "--apply"]);
        assert!(swept.status.success(), "{case}: {}", text(&swept));
        assert_eq!(scene::all_verify(instance, case), self.kept, "{case}");
        assert_eq!(folders(&instance.path("data/backups")), self.kept, "{case}");
    }
}

/// Runs a prune for each call that it makes, up to `limit` of them, with each of the faults there.
fn each_call(limit: usize, faults: [&str; 2]) {
    let scene = Scene::new();
    for fault in faults {
        let counting = scene::copy(&scene.instance);
        let (whole, trace) = faulty(&counting, &format!("{fault}:0"));
        assert!(whole.status.success(), "{}", text(&whole));
        scene.check(&counting, "without a fault");
        assert!(trace.len() > 20, "only {} calls", trace.len());
        let step = trace.len().div_ceil(limit);
        for number in (1..=trace.len()).filter(|number| number % step == trace.len() % step) {
            let instance = scene::copy(&scene.instance);
            let (output, calls) = faulty(&instance, &format!("{fault}:{number}"));
            let call = calls.last().map_or("(none)", String::as_str);
            let case = format!("{fault}, call {number}: {call}");
            if fault.starts_with("die") {
                assert_eq!(output.status.signal(), Some(9), "{case}: {}", text(&output));
            } else {
                assert!(output.status.success(), "{case}: {}", text(&output));
            }
            scene.check(&instance, &case);
        }
    }
}

/// Guards against: a backup lost, or half deleted and listed, where a prune is killed.
#[test]
fn killed_at_a_call_it_loses_nothing() {
    each_call(SHORT, ["die:before", "die:after"]);
}

/// The same at every call.
#[test]
#[ignore = "takes minutes"]
fn killed_at_every_call_it_loses_nothing() {
    each_call(usize::MAX, ["die:before", "die:after"]);
}

/// Guards against: a backup lost where the target reports an error.
#[test]
#[ignore = "takes minutes"]
fn an_error_at_every_call_loses_nothing() {
    each_call(usize::MAX, ["error", "error-after"]);
}

/// Guards against: one backup that can't be deleted, for which all others stay; and a prune that
/// then says that all went well.
#[test]
fn a_failed_deletion_is_a_problem_and_the_others_go_on() {
    let scene = Scene::new();
    let counting = scene::copy(&scene.instance);
    let (_, trace) = faulty(&counting, "error:0");
    let first = &scene.pruned[0];
    // The first deletion's own: its manifest.
    let number = 1 + trace
        .iter()
        .position(|call| call.contains("target.delete\t") && call.contains(first.as_str()))
        .unwrap_or_else(|| panic!("no manifest is deleted: {trace:#?}"));
    let instance = scene::copy(&scene.instance);
    let (output, _) = faulty(&instance, &format!("error:{number}"));
    assert!(output.status.success(), "{}", text(&output));
    let ended = std::fs::read(instance.path("ended.json")).unwrap();
    let ended: Value = serde_json::from_slice(&ended).unwrap();
    assert_eq!(ended["status"], "failed", "{ended}");
    assert_eq!(
        ended["deleted_backups"],
        json!([scene.pruned[1]]),
        "{ended}"
    );
    let problems = ended["problems"].as_array().unwrap();
    assert_eq!(problems.len(), 1, "{ended}");
    assert_eq!(
        (&problems[0]["path"], &problems[0]["kind"]),
        (&json!(first), &json!("delete"))
    );
    scene.check(&instance, "after a failed deletion");
}
