//! The examples work: a third party's target and source, on the command line.
#![allow(clippy::unwrap_used, reason = "tests stop at the first surprise")]

#[path = "../examples/own_sink.rs"]
#[allow(dead_code, reason = "it is a program of its own")]
mod own_sink;
mod support;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use arc_backup_core::{Sink, conformance};
use support::{Instance, text};

fn example(name: &str) -> PathBuf {
    // Cargo builds examples beside the binary.
    Path::new(env!("CARGO_BIN_EXE_arc-backup"))
        .parent()
        .unwrap()
        .join("examples")
        .join(name)
}

fn run(program: &Path, instance: &Instance, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .arg("-C")
        .arg(instance.path(""))
        .args(arguments)
        .output()
        .unwrap_or_else(|e| {
            panic!(
                "{}: {e} (`cargo build --examples` makes it)",
                program.display()
            )
        });
    assert!(output.status.success(), "{arguments:?}: {}", text(&output));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Guards against an example that breaks the contract of the trait.
#[tokio::test]
async fn the_example_sink_conforms() {
    let folder = tempfile::tempdir().unwrap();
    let number = AtomicU32::new(0);
    conformance::check(|| async {
        let file = number.fetch_add(1, Ordering::Relaxed).to_string();
        let path = folder.path().join(file);
        Arc::new(own_sink::SqliteSink::open(path.to_str().unwrap()).unwrap()) as Arc<dyn Sink>
    })
    .await;
}

/// Guards against a target that can't be added without a change of the pipeline.
#[test]
fn a_sink_of_ones_own_holds_a_backup_and_gives_it_back() {
    let instance = Instance::new();
    instance.configure("[arc_backup.targets.vault]\ntype = \"sqlite\"\npath = \"./vault.db\"\n");
    let program = example("own_sink");
    let live = instance.live();
    let id = run(&program, &instance, &["backup", "--target", "vault"]);
    assert!(instance.path("vault.db").exists());
    std::fs::remove_dir_all(instance.path("data/arc/iot")).unwrap();
    run(&program, &instance, &["verify", &id]);
    run(&program, &instance, &["restore", &id, "--yes"]);
    assert_eq!(instance.live(), live);
    // A program without this type lists the known types.
    let refused = instance.run(&["list"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(
        text(&refused).contains("backup.targets.vault.type"),
        "{}",
        text(&refused)
    );
}

/// Guards against a source that can't be added to the backup.
#[test]
fn a_source_of_ones_own_is_backed_up_and_restored() {
    let instance = Instance::new();
    instance.configure("[runbook]\npath = \"./runbook.md\"\n");
    let path = instance.path("runbook.md");
    std::fs::write(&path, "call the founders").unwrap();
    let program = example("own_source");
    let id = run(&program, &instance, &["backup"]);
    std::fs::write(&path, "lost").unwrap();
    run(&program, &instance, &["restore", &id, "--yes"]);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "call the founders");
    run(&program, &instance, &["verify", &id]);
}
