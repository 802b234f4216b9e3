//! The id of this instance: a random name in the state folder.
//!
//! Several instances may write to one target, with the same data path on different hosts. The host
//! name of a container may change at each start. So neither of them identifies an instance.

use std::path::Path;

use crate::files::write_atomically;

const FILE: &str = "instance-id";
/// Length in bytes; the id is written in hexadecimal digits.
const BYTES: usize = 16;

/// Reads the id of the instance with this state folder; `None` if it has none: before its first
/// backup, or after the loss of the state folder.
pub(crate) fn known_instance_id(folder: &Path) -> Option<String> {
    let text = std::fs::read_to_string(folder.join(FILE)).ok()?;
    let is_one = text.len() == 2 * BYTES && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_one.then_some(text)
}

/// Reads the id of the instance with this state folder, or creates it; `None` if it cannot be
/// written.
pub(crate) fn instance_id(folder: &Path) -> Option<String> {
    known_instance_id(folder).or_else(|| match make(&folder.join(FILE)) {
        Ok(id) => Some(id),
        Err(error) => {
            tracing::warn!(%error, "cannot record the id of this instance");
            None
        }
    })
}

/// Creates an id. The caller holds the instance's lock, so that only one is created.
fn make(path: &Path) -> crate::Result<String> {
    let id = crate::random::random_hex::<BYTES>()?;
    write_atomically(path, id.as_bytes())?;
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards against the removal of another instance's incomplete copy.
    #[test]
    fn an_instance_keeps_its_id_and_a_damaged_id_is_replaced() {
        let folder = tempfile::tempdir().expect("a folder");
        let first = instance_id(folder.path()).expect("a name");
        assert_eq!(instance_id(folder.path()), Some(first.clone()));
        std::fs::write(folder.path().join(FILE), "no name").expect("written");
        let second = instance_id(folder.path()).expect("a name");
        assert!(second != first && second.len() == 32, "{second}");
        assert_eq!(instance_id(&folder.path().join("absent")), None);
    }
}
