//! Installing Azurite, once.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The last version that runs on Node 20; `package.json` of later ones asks for more.
const VERSION: &str = "3.35.0";

/// The script that serves blobs, installed if it is missing.
///
/// # Panics
/// If Node or npm is missing, or npm fails. The message says what to do.
pub(crate) fn script() -> PathBuf {
    let folder = target().join("azurite").join(VERSION);
    let script = folder.join("node_modules/azurite/dist/src/blob/main.js");
    let done = folder.join("installed");
    if done.exists() {
        return script;
    }
    fs::create_dir_all(&folder)
        .unwrap_or_else(|error| panic!("cannot create {}: {error}", folder.display()));
    // Test binaries run side by side: one installs, the others wait for it.
    let lock = File::create(folder.join("lock")).expect("a lock file can be created");
    lock.lock().expect("a lock file can be locked");
    if !done.exists() {
        install(&folder);
        fs::write(&done, VERSION).expect("a file can be written beside node_modules");
    }
    script
}

fn install(folder: &Path) {
    let mut npm = Command::new("npm");
    npm.args(["install", "--no-audit", "--no-fund", "--omit=optional"]);
    npm.arg("--prefix").arg(folder);
    npm.arg(format!("azurite@{VERSION}"));
    let output = npm.output().unwrap_or_else(|error| {
        panic!("the tests against Azure need Node 20 or later with npm on the PATH: cannot run npm: {error}")
    });
    assert!(
        output.status.success(),
        "npm cannot install azurite@{VERSION}:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// The folder that cargo builds into.
fn target() -> PathBuf {
    // `target/<profile>/deps/<test>`: the folder above the profile's.
    let program = std::env::current_exe().expect("a test knows its own path");
    program
        .ancestors()
        .find(|folder| folder.join("CACHEDIR.TAG").exists())
        .map_or_else(
            || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target"),
            Path::to_owned,
        )
}
