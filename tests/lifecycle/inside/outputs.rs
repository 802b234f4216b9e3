//! Where archives and extracted files are written to, and what goes wrong there.

use std::fs::File;

use super::small;
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
