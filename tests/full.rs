//! Disks that are really full: small file systems in memory, on which only the operation fails.
//!
//! `cargo test --release --test full -- --ignored --nocapture --test-threads 1`, as root or where
//! users may have their own namespaces. The short versions, by injected faults, are in `deaths`.
#![allow(clippy::unwrap_used, reason = "tests stop at the first surprise")]

#[path = "support/scene.rs"]
mod scene;
mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use scene::{all_verify, leftovers, live, small};
use support::{Instance, text};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// A file system in memory, unmounted on drop.
struct Disk(PathBuf);

impl Disk {
    /// Mounts one of that size over the folder `path`, with the files of that folder.
    fn mount(path: PathBuf, bytes: u64) -> Self {
        let kept = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(&path).unwrap();
        support::copy_tree(&path, kept.path());
        let mounted = Command::new("mount")
            .args([
                "-t",
                "tmpfs",
                "-o",
                &format!("size={bytes},mode=700"),
                "tmpfs",
            ])
            .arg(&path)
            .output()
            .unwrap();
        assert!(
            mounted.status.success(),
            "no file system can be mounted here: run this as root, or under `unshare -rm`: {}",
            text(&mounted)
        );
        let disk = Self(path);
        support::copy_tree(kept.path(), &disk.0);
        disk
    }

    fn free(&self) -> u64 {
        let room = rustix::fs::statvfs(&self.0).unwrap();
        room.f_bavail * room.f_frsize
    }

    /// Fills it except for `bytes`, with the file `at`.
    fn fill(&self, at: &str, bytes: u64) {
        let zeros = vec![0; usize::try_from(self.free() - bytes).unwrap()];
        std::fs::write(self.0.join(at), zeros).unwrap();
        assert!(self.free() <= bytes, "{} bytes are free", self.free());
    }

    fn remove(&self, at: &str) {
        std::fs::remove_file(self.0.join(at)).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Without the right to mount, runs the same test in its own namespace. Returns whether it was run
/// there.
fn ran_in_a_namespace(name: &str) -> bool {
    const INSIDE: &str = "ARC_TEST_NAMESPACE";
    if rustix::process::geteuid().is_root() || std::env::var_os(INSIDE).is_some() {
        return false;
    }
    let output = Command::new("unshare")
        .arg("-rm")
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name, "--ignored", "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .unwrap_or_else(|e| panic!("neither root nor `unshare -rm`: {e}"));
    assert!(
        output.status.success(),
        "under `unshare -rm`: {}",
        text(&output)
    );
    println!("{}", text(&output));
    true
}

fn fails(instance: &Instance, arguments: &[&str], names: &[&str]) -> String {
    let output = instance.run(&[&["--json"], arguments].concat());
    let said = text(&output);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
    for name in names {
        assert!(
            said.contains(name),
            "{arguments:?}: it does not name {name:?}: {said}"
        );
    }
    said
}

fn no_leftovers(instance: &Instance, besides: &[&str], case: &str) {
    let mut left = leftovers(instance, false, case);
    left.retain(|path| !besides.iter().any(|other| path.starts_with(other)));
    assert_eq!(left, Vec::<String>::new(), "{case}");
}

/// Guards against a full target that loses earlier backups, keeps the failed one's files, or allows
/// no deletion.
#[test]
#[ignore = "needs the right to mount"]
fn a_full_target_keeps_its_backups_and_frees_the_used_space() {
    if ran_in_a_namespace("a_full_target_keeps_its_backups_and_frees_the_used_space") {
        return;
    }
    let instance = small();
    instance.configure("state_path = \"./state/history.db\"");
    let disk = Disk::mount(instance.path("data/backups"), 6 * MIB);
    let (first, second) = (instance.backup(), instance.backup());
    let large = instance.path("data/arc/iot/too-large.parquet");
    std::fs::write(&large, vec![7; 8 << 20]).unwrap();
    let before = (disk.free(), live(&instance));
    let said = fails(
        &instance,
        &["backup"],
        &["target \"local\": no room", "8.0"],
    );
    println!(
        "backup: {} bytes free before, {} after: {said}",
        before.0,
        disk.free()
    );
    assert!(
        disk.free() + 64 * KIB >= before.0,
        "{} bytes free, of {}",
        disk.free(),
        before.0
    );
    assert!(live(&instance) == before.1, "live data changed");
    assert_eq!(
        all_verify(&instance, "full"),
        [first.clone(), second.clone()]
    );
    disk.fill("filler", 0);
    assert_eq!(disk.free(), 0);
    instance.ok(&["delete", &second, "--yes", "--even-last"]);
    assert!(!instance.backup_folder(&second).exists());
    assert!(disk.free() > 0);
    disk.remove("filler");
    std::fs::remove_file(&large).unwrap();
    let third = instance.backup();
    assert_eq!(all_verify(&instance, "with room again"), [first, third]);
    no_leftovers(&instance, &["state"], "with room again");
}

/// Guards against a restore that runs out of space halfway through the live data.
#[test]
#[ignore = "needs the right to mount"]
fn a_restore_without_room_changes_nothing_and_says_how_much_it_needs() {
    if ran_in_a_namespace("a_restore_without_room_changes_nothing_and_says_how_much_it_needs") {
        return;
    }
    let instance = small();
    let path = instance.path("arc.toml");
    let config = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, config.replace("./data/arc\"", "./disk/arc\"")).unwrap();
    std::fs::create_dir(instance.path("disk")).unwrap();
    std::fs::rename(instance.path("data/arc"), instance.path("disk/arc")).unwrap();
    let disk = Disk::mount(instance.path("disk"), 3 * MIB);
    let id = instance.backup();
    let root = instance.path("disk/arc");
    let whole = support::tree(&root);
    let large = root.join("metrics/large.parquet");
    std::fs::write(&large, b"another").unwrap();
    disk.fill("filler", 300 * KIB);
    let before = (disk.free(), support::tree(&root));
    let said = fails(&instance, &["restore", &id, "--yes"], &["no room", "disk"]);
    println!("restore: {said}");
    assert_eq!(disk.free(), before.0, "room was not given back");
    assert!(support::tree(&root) == before.1, "live data changed");
    assert_eq!(all_verify(&instance, "no room"), [id.as_str()]);
    disk.remove("filler");
    instance.ok(&["restore", &id, "--yes"]);
    assert!(support::tree(&root) == whole, "not the backup's state");
    no_leftovers(&instance, &["disk"], "with room again");
    assert_eq!(
        support::named_like(&disk.0, &[".tmp"]),
        Vec::<String>::new()
    );
}

/// Guards against a full state folder that damages backups, or prevents a deletion.
#[test]
#[ignore = "needs the right to mount"]
fn a_full_state_folder_is_named_and_deleting_still_works() {
    if ran_in_a_namespace("a_full_state_folder_is_named_and_deleting_still_works") {
        return;
    }
    let instance = small();
    instance.configure("state_path = \"./state/history.db\"");
    let disk = Disk::mount(instance.path("state"), MIB);
    let (first, second) = (instance.backup(), instance.backup());
    // In the middle: the lists of so many files do not fit.
    let many = instance.path("data/arc/iot/many");
    std::fs::create_dir(&many).unwrap();
    for number in 0..6_000 {
        std::fs::write(many.join(format!("{number}.parquet")), b"x").unwrap();
    }
    let before = disk.free();
    let said = fails(&instance, &["backup"], &["state/", "no space"]);
    println!(
        "backup: {before} bytes free before, {} after: {said}",
        disk.free()
    );
    assert!(
        disk.free() + 64 * KIB >= before,
        "{} bytes free, of {before}",
        disk.free()
    );
    std::fs::remove_dir_all(&many).unwrap();
    assert_eq!(
        all_verify(&instance, "full"),
        [first.clone(), second.clone()]
    );
    // And from the start.
    disk.fill("filler", 0);
    let said = fails(&instance, &["backup"], &["state"]);
    println!("backup on a full one: {said}");
    let before = live(&instance);
    for arguments in [&["restore", &*first, "--yes"][..], &["verify", &first]] {
        let said = fails(&instance, arguments, &["state"]);
        println!("{arguments:?} on a full one: {said}");
    }
    assert!(live(&instance) == before, "live data changed");
    let listed = instance.ok(&["list"]);
    assert!(
        listed.contains(&first) && listed.contains(&second),
        "{listed}"
    );
    instance.ok(&["delete", &second, "--yes", "--even-last"]);
    assert!(!instance.backup_folder(&second).exists());
    disk.remove("filler");
    let third = instance.backup();
    assert_eq!(all_verify(&instance, "with room again"), [first, third]);
    no_leftovers(&instance, &["state"], "with room again");
    let scratch = support::files(Path::new(&instance.path("state/scratch")));
    assert_eq!(scratch, Vec::<String>::new());
}
