//! Random single faults of a stored backup: each is found and named, and none is restored.
//!
//! 63 of them in a short run; 1,001:
//! `cargo test --release --test corruption -- --ignored --nocapture`.
#![allow(clippy::unwrap_used, reason = "tests stop at the first surprise")]

#[path = "support/scene.rs"]
mod scene;
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use scene::small;
use serde_json::Value;
use support::{Instance, change_live, files, named_like, timely, timely_json, tree, xorshift};

const SEED: u64 = 0x5eed_c0de;

const KINDS: [&str; 7] = [
    "flip",
    "truncate",
    "extend",
    "delete",
    "swap",
    "inventory",
    "manifest",
];

/// Guards against a verification that misses damage, and a restore that overwrites live data with
/// it.
#[test]
fn a_random_fault_is_found_and_named_and_never_restored() {
    random_faults(9);
}

#[test]
#[ignore = "1,001 faults"]
fn a_thousand_random_faults_are_found_and_named_and_never_restored() {
    random_faults(143);
}

fn random_faults(of_each_kind: usize) {
    let instance = small();
    let id = instance.backup();
    let folder = instance.backup_folder(&id);
    let whole = tree(&folder);
    change_live(&instance);
    let mut random = xorshift(SEED);
    let mut found = BTreeMap::new();
    for round in 0..of_each_kind {
        for kind in KINDS {
            let fault = damage(kind, &folder, &whole, &mut random);
            let case = format!("seed {SEED:#x}, round {round}: {kind}: {}", fault.text);
            check(&instance, &id, &fault, &case);
            *found.entry(kind).or_insert(0) += 1;
            mend(&folder, &whole, &fault.paths);
        }
    }
    // The backup is intact again, so that each fault is a single one.
    assert!(tree(&folder) == whole, "the backup was not mended");
    instance.ok(&["verify", &id]);
    println!("seed {SEED:#x}: found, named and refused: {found:?}");
}

/// A fault in a backup.
struct Fault {
    text: String,
    /// The changed files, which have to be named.
    paths: BTreeSet<String>,
}

type Tree = BTreeMap<String, (Vec<u8>, u32, i128)>;

fn damage(kind: &str, folder: &Path, whole: &Tree, random: &mut impl FnMut(u64) -> u64) -> Fault {
    let stored: Vec<_> = (whole.keys())
        .filter(|path| {
            ![
                "manifest.json",
                "inventory.jsonl.zst",
                "manifest-files.json",
            ]
            .contains(&path.as_str())
        })
        .collect();
    let mut any = |below: usize| usize::try_from(random(below as u64)).unwrap();
    let mut paths = BTreeSet::new();
    let mut path = match kind {
        "inventory" => "inventory.jsonl.zst".to_owned(),
        "manifest" => "manifest.json".to_owned(),
        _ => stored[any(stored.len())].clone(),
    };
    let mut bytes = whole[&path].0.clone();
    let mut text = match kind {
        "truncate" => {
            bytes.truncate(any(bytes.len()));
            format!("to {} bytes", bytes.len())
        }
        "extend" => {
            let more = 1 + any(100);
            bytes.extend((0..more).map(|_| any(256) as u8));
            format!("by {more} bytes")
        }
        "delete" => {
            std::fs::remove_file(folder.join(&path)).unwrap();
            paths.insert(path.clone());
            return Fault { text: path, paths };
        }
        "swap" => {
            let others: Vec<_> = (stored.iter())
                .filter(|other| whole[**other].0 != bytes)
                .collect();
            let other = others[any(others.len())].to_string();
            std::fs::write(folder.join(&other), &bytes).unwrap();
            bytes = whole[&other].0.clone();
            paths.insert(other.clone());
            format!("with {other}")
        }
        "inventory" if any(2) == 0 => {
            let mut lines = zstd::decode_all(&*bytes).unwrap();
            let what = edit(&mut lines, &mut any);
            bytes = zstd::encode_all(&*lines, 1).unwrap();
            what
        }
        "manifest" if any(2) == 0 => edit(&mut bytes, &mut any),
        _ => {
            let at = any(bytes.len());
            let bit = any(8);
            bytes[at] ^= 1 << bit;
            format!("bit {bit} of byte {at}")
        }
    };
    std::fs::write(folder.join(&path), bytes).unwrap();
    text = format!("{path} {text}");
    paths.insert(std::mem::take(&mut path));
    Fault { text, paths }
}

/// An edit as if by hand: a line is removed, doubled or moved, or a digit changes.
fn edit(bytes: &mut Vec<u8>, any: &mut impl FnMut(usize) -> usize) -> String {
    let text = String::from_utf8(bytes.clone()).unwrap();
    let mut lines: Vec<_> = text.split_inclusive('\n').map(str::to_owned).collect();
    let at = any(lines.len());
    let what = match any(4) {
        0 => {
            lines.remove(at);
            "removed"
        }
        1 => {
            lines.insert(at, lines[at].clone());
            "doubled"
        }
        2 if lines[at] != lines[lines.len() - 1 - at] => {
            let other = lines.len() - 1 - at;
            lines.swap(at, other);
            "moved"
        }
        _ => {
            let digits: Vec<_> = (0..bytes.len())
                .filter(|i| bytes[*i].is_ascii_digit())
                .collect();
            let at = digits[any(digits.len())];
            bytes[at] = if bytes[at] == b'7' { b'3' } else { b'7' };
            return format!("digit at {at}");
        }
    };
    *bytes = lines.concat().into_bytes();
    format!("line {at} {what}")
}

fn mend(folder: &Path, whole: &Tree, paths: &BTreeSet<String>) {
    for path in paths {
        let (bytes, _, time) = &whole[path];
        let at = folder.join(path);
        let fresh = !at.exists();
        std::fs::write(&at, bytes).unwrap();
        if fresh {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::Permissions::from_mode(whole[path].1);
            std::fs::set_permissions(&at, mode).unwrap();
        }
        let since = std::time::Duration::from_nanos(u64::try_from(*time).unwrap());
        let file = std::fs::File::options().write(true).open(&at).unwrap();
        file.set_modified(std::time::UNIX_EPOCH + since).unwrap();
    }
}

fn check(instance: &Instance, id: &str, fault: &Fault, case: &str) {
    let (code, verified) = timely_json(instance, &["verify", id]);
    assert_eq!(code, Some(1), "{case}: {verified}");
    let problems = verified["problems"].as_array();
    let problems = problems.unwrap_or_else(|| panic!("{case}: no problems: {verified}"));
    let named: BTreeSet<_> = (problems.iter())
        .map(|problem| problem["path"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(named, fault.paths, "{case}: {verified}");
    let (_, list) = timely_json(instance, &["list"]);
    let damaged = list["damaged"].as_array().unwrap();
    let in_manifest = fault.paths.contains("manifest.json");
    let listed = damaged.iter().any(|row: &Value| row["backup_id"] == *id);
    assert_eq!(listed, in_manifest, "{case}: {list}");
    let live = || {
        let small =
            ["data/arc.db", "arc.toml"].map(|path| std::fs::read(instance.path(path)).unwrap());
        (instance.live(), small)
    };
    let before = live();
    let output = timely(
        instance,
        &["--json", "restore", id, "--yes", "--with-config"],
    );
    let said = support::text(&output);
    assert_eq!(output.status.code(), Some(1), "{case}: {said}");
    let name = fault.paths.first().unwrap();
    let other = fault.paths.last().unwrap();
    assert!(
        said.contains(name) || said.contains(other),
        "{case}: {said}"
    );
    assert!(live() == before, "{case}: live data changed");
    let left = named_like(
        &instance.path(""),
        &[".tmp", "before-restore", "restore-in-progress"],
    );
    assert_eq!(left, Vec::<String>::new(), "{case}");
    let scratch = files(&instance.path("data/backups/.arc-backup/scratch"));
    assert_eq!(scratch, Vec::<String>::new(), "{case}");
}
