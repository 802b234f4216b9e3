//! Disks that lack a feature: the library `disk.c` for the program under test, compiled once.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::OnceLock;

use crate::support::{Instance, text};

fn library() -> &'static PathBuf {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let library = tempfile::tempdir().unwrap().keep().join("disk.so");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/disk.c");
        let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
        let compiled = Command::new(compiler)
            .args(["-shared", "-fPIC", "-o"])
            .arg(&library)
            .arg(source)
            .output()
            .unwrap();
        assert!(compiled.status.success(), "{}", text(&compiled));
        library
    })
}

/// The fault of the disk.
#[derive(Debug, Clone)]
pub enum Disk {
    /// System calls that fail, by name, with these error numbers.
    Lacks(String),
    /// Nothing below this folder of the instance can be opened for writing.
    ReadOnly(&'static str),
    /// Nothing can be created in this folder of the instance.
    Closed(&'static str),
    /// Nothing below this folder of the instance can be synced.
    NoSync(&'static str),
    /// Nothing can be renamed over this file of the instance.
    Mounted(&'static str),
}

/// The program on such a disk.
pub fn command(instance: &Instance, disk: &Disk, arguments: &[&str]) -> Command {
    let real = |path: &str| instance.path(path).canonicalize().unwrap();
    let mut command = instance.command(arguments);
    command.env("LD_PRELOAD", library());
    match disk {
        Disk::Lacks(calls) => command.env("ARC_TEST_LACKS", calls),
        Disk::ReadOnly(folder) => command.env("ARC_TEST_READ_ONLY", real(folder)),
        Disk::Closed(folder) => command.env("ARC_TEST_CLOSED", real(folder)),
        Disk::NoSync(folder) => command.env("ARC_TEST_NO_SYNC", real(folder)),
        Disk::Mounted(file) => command.env("ARC_TEST_MOUNTED", real(file)),
    };
    command
}

/// Runs the program to its end.
pub fn run(instance: &Instance, disk: &Disk, arguments: &[&str]) -> Output {
    command(instance, disk, arguments).output().unwrap()
}

/// Runs the program, which must succeed, and returns its document.
pub fn done(instance: &Instance, disk: &Disk, arguments: &[&str]) -> serde_json::Value {
    let output = run(instance, disk, &[&["--json"], arguments].concat());
    assert!(
        output.status.success(),
        "{disk:?}: {arguments:?}: {}",
        text(&output)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}
