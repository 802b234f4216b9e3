//! A node of a cluster: what its backups say, and which restores are refused.

use serde_json::json;

use crate::scene::{live, small};
use crate::support::{Instance, change_live, named_like, text};

const CLUSTER: &str = "[cluster]\nenabled = true\nname = \"plant-7\"\n";

fn joins_cluster(instance: &Instance) {
    instance.configure(CLUSTER);
}

/// Guards against a backup of one node that is taken for one of the whole cluster.
#[test]
fn a_backup_of_a_node_says_what_it_is() {
    let instance = small();
    let (_, alone) = instance.json(&["show", &instance.backup()]);
    assert!(alone.get("cluster").is_none(), "{alone}");
    joins_cluster(&instance);
    let output = instance.run(&["backup"]);
    let said = text(&output);
    assert!(output.status.success(), "{said}");
    assert_eq!(
        said.matches("this is a node of a cluster").count(),
        1,
        "{said}"
    );
    let id = String::from_utf8(output.stdout).unwrap().trim().to_owned();
    let (_, shown) = instance.json(&["show", &id]);
    assert_eq!(
        shown["cluster"],
        json!({"name": "plant-7", "node_storage": true})
    );
    let shown = instance.ok(&["show", &id]);
    assert!(
        shown.contains("plant-7: the storage of one node"),
        "{shown}"
    );
}

/// Guards against data that Arc's sweep deletes after 24 h, and databases that do not agree with
/// those of the other nodes.
#[test]
fn restores_on_a_node_are_refused_before_anything_starts() {
    let instance = small();
    let id = instance.backup();
    joins_cluster(&instance);
    change_live(&instance);
    let before = live(&instance);
    for (arguments, reasons) in [
        (
            &[][..],
            &[
                "deletes them after 24 h",
                "manifest-files.json",
                "never restored",
            ][..],
        ),
        (
            &["--no-metadata"],
            &["deletes them after 24 h", "standalone instance"],
        ),
        (
            &["--no-data"],
            &["databases and arc.toml are never restored"],
        ),
        (
            &["--no-data", "--no-metadata", "--with-config"],
            &["databases and arc.toml are never restored"],
        ),
    ] {
        let output = instance.run(&[&["restore", &id, "--yes"], arguments].concat());
        let said = text(&output);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        for reason in reasons {
            assert!(said.contains(reason), "{arguments:?}: {reason}: {said}");
        }
    }
    let service = instance.serve();
    for mode in ["", r#", "mode": "merge""#, r#", "mode": "replace""#] {
        let body = format!(r#"{{"backup_id": "{id}", "confirm": true{mode}}}"#);
        let answer = service.post("/api/v1/backup/restore", &body);
        assert_eq!(answer.status, 400, "{answer:?}");
        assert!(answer.text.contains("cluster.enabled"), "{answer:?}");
    }
    assert!(live(&instance) == before);
    let left = named_like(&instance.path(""), &[".tmp", "before-restore"]);
    assert_eq!(left, Vec::<String>::new());
    // Reading is not refused.
    instance.ok(&["verify", &id]);
}

/// Guards against a mode that is accepted and ignored.
#[test]
fn a_standalone_instance_takes_the_mode_merge_only() {
    let instance = small();
    let id = instance.backup();
    let service = instance.serve();
    for (mode, status) in [
        ("\"replace\"", 400),
        ("\"overwrite\"", 400),
        ("\"merge\"", 202),
    ] {
        let body = format!(r#"{{"backup_id": "{id}", "confirm": true, "mode": {mode}}}"#);
        let answer = service.post("/api/v1/backup/restore", &body);
        assert_eq!(answer.status, status, "{mode}: {answer:?}");
    }
    assert_eq!(service.wait()["status"], "completed");
}
