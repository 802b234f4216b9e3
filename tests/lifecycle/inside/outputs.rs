//! Where archives and extracted files are written to, and what goes wrong there.

use std::fs::File;

use super::{fails, small};
use crate::support::text;

/// Guards against: a full disk that makes an export panic, or that is not named.
#[test]
fn an_export_that_can_not_be_written_says_so() {
    let instance = small();
    let id = instance.backup();
    let full = File::options().write(true).open("/dev/full").unwrap();
    let mut command = instance.command(&["export", &id, "--to", "-"]);
    let output = command.stdout(full).output().unwrap();
    let said = text(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("no space left on device") && !said.contains("panic"),
        "{said}"
    );
    assert!(!said.contains("JoinHandle"), "{said}");
}

/// Guards against: an archive that becomes data of the next backup, or lies among backups.
#[test]
fn an_export_into_the_data_or_a_target_is_refused() {
    let instance = small();
    let id = instance.backup();
    std::os::unix::fs::symlink(instance.path("data/arc"), instance.path("link")).unwrap();
    let before = crate::scene::paths(&instance.path("data/arc"));
    for to in [
        "data/arc/one.tar.zst",
        "data/arc/iot/one.tar.zst",
        "data/backups/one.tar.zst",
        "link/one.tar.zst",
    ] {
        let to = instance.path(to);
        let export = ["export", &id, "--to", to.to_str().unwrap()];
        fails(
            &instance,
            &export,
            2,
            &["where the data or backups are", "--to"],
        );
        assert!(!to.exists(), "{}", to.display());
    }
    assert_eq!(crate::scene::paths(&instance.path("data/arc")), before);
}

/// Guards against: a misspelt name among others, which extracts less than was asked for.
#[test]
fn an_extraction_names_what_selects_nothing() {
    let instance = small();
    let id = instance.backup();
    for (arguments, said) in [
        (
            &["--include", "iot", "--include", "metric"][..],
            "did you mean",
        ),
        (
            &["--include", "iot.temperatur"],
            "did you mean \"temperature\"",
        ),
        (
            &["--include", "iot", "--exclude", "iot.nothing"],
            "no measurement",
        ),
        (
            &["--include", "iot", "--include", "data/iot/temperature/**"],
            "write \"iot/temperature/**\"",
        ),
        (&["--include", "iot/nothing/**"], "matches"),
    ] {
        let extract = [&["extract", &id, "--to", "out"], arguments].concat();
        fails(&instance, &extract, 2, &[said]);
        assert!(!instance.path("out").exists(), "{arguments:?}");
    }
    instance.ok(&[
        "extract",
        &id,
        "--to",
        "out",
        "--include",
        "iot",
        "--exclude",
        "iot.temperature",
    ]);
}

/// Guards against: a file that the target has lost, and that is called a fault of the target.
#[test]
fn a_file_that_is_missing_is_damage_of_the_backup() {
    let instance = small();
    let id = instance.backup();
    let path = "data/iot/temperature/a.parquet";
    let place = instance.backup_folder(&id).join(path);
    std::fs::remove_file(&place).unwrap();
    let verify = format!("arc-backup verify {id}");
    for case in ["missing", "a folder"] {
        let said = [path, verify.as_str()];
        fails(&instance, &["cat", &id, path], 1, &said);
        fails(&instance, &["export", &id, "--to", "one.tar.zst"], 1, &said);
        let service = instance.serve();
        let answer = service.get(&super::address(&id, path));
        assert_eq!(answer.status, 422, "{case}: {}", answer.text);
        assert!(
            said.iter().all(|part| answer.text.contains(part)),
            "{case}: {}",
            answer.text
        );
        let _ = std::fs::create_dir(&place);
    }
}

/// Guards against: a file whose name is so long that it can't be extracted.
#[test]
fn a_file_with_the_longest_name_is_extracted() {
    let instance = small();
    let name = format!("{}.parquet", "x".repeat(247));
    std::fs::write(instance.path("data/arc/iot/temperature").join(&name), b"x").unwrap();
    let id = instance.backup();
    instance.ok(&[
        "extract",
        &id,
        "--to",
        "out",
        "--include",
        "iot.temperature",
    ]);
    let written = crate::support::files(&instance.path("out/data/iot/temperature"));
    assert!(written.contains(&name), "{written:?}");
    assert!(
        !written.iter().any(|name| name.ends_with(".tmp")),
        "{written:?}"
    );
}
