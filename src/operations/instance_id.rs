//! Which instance this is: a random name, kept in the state folder.
//!
//! Several may write to one target, each with data under the same path on a host of its own, and a host's name may be another one
//! each time (containers): neither tells them apart.

use std::path::Path;

use crate::files::write_atomically;

const FILE: &str = "instance-id";
/// Bytes of the name; it is written as hexadecimal digits.
const BYTES: usize = 16;

/// The name of the instance with this state folder; `None` where it has none yet: no backup was
/// made of it, or its state folder is lost.
pub(crate) fn known_instance_id(folder: &Path) -> Option<String> {
    let text = std::fs::read_to_string(folder.join(FILE)).ok()?;
    let is_one = text.len() == 2 * BYTES && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_one.then_some(text)
}

/// The name of the instance with this state folder, made when there is none yet; `None` where it can't be kept.
pub(crate) fn instance_id(folder: &Path) -> Option<String> {
    known_instance_id(folder).or_else(|| match make(&folder.join(FILE)) {
        Ok(id) => Some(id),
        Err(error) => {
            tracing::warn!(%error, "the name of this instance can't be kept");
            None
        }
    })
}

/// The caller holds the instance's lock: nobody else makes one at once.
fn make(path: &Path) -> crate::Result<String> {
    let id = crate::random::random_hex::<BYTES>()?;
    write_atomically(path, id.as_bytes())?;
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lost otherwise: an emergency copy of another instance.
    #[test]
    fn an_instance_keeps_its_name_and_a_broken_one_is_made_anew() {
        let folder = tempfile::tempdir().expect("a folder");
        let first = instance_id(folder.path()).expect("a name");
        assert_eq!(instance_id(folder.path()), Some(first.clone()));
        std::fs::write(folder.path().join(FILE), "no name").expect("written");
        let second = instance_id(folder.path()).expect("a name");
        assert!(second != first && second.len() == 32, "{second}");
        assert_eq!(instance_id(&folder.path().join("absent")), None);
    }
}
