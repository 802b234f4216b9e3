//! The manifest's digest over its own bytes.

use arc_backup_core::Digest;

use super::Manifest;

const ZEROS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Serialises `manifest` with the digest over its own bytes in `sha256`.
///
/// # Errors
/// When it can't be written as JSON.
pub fn seal(manifest: &mut Manifest) -> serde_json::Result<Vec<u8>> {
    manifest.sha256 = Some(ZEROS.to_owned());
    let mut text = serde_json::to_string_pretty(manifest)?;
    text.push('\n');
    let digest = Digest::of(text.as_bytes()).to_string();
    // The last one, as the field stands last but for unknown fields, of which a new manifest has
    // none.
    if let Some(at) = text.rfind(ZEROS) {
        text.replace_range(at..at + ZEROS.len(), &digest);
    }
    manifest.sha256 = Some(digest);
    Ok(text.into_bytes())
}

/// Whether `bytes` are those that were sealed with `digest`; they are not serialised again.
#[must_use]
pub fn is_sealed(bytes: &[u8], digest: &str) -> bool {
    if digest.parse::<Digest>().is_err() {
        return false;
    }
    let places: Vec<usize> = bytes
        .windows(digest.len())
        .enumerate()
        .filter_map(|(at, window)| (window == digest.as_bytes()).then_some(at))
        .collect();
    let [at] = places[..] else { return false };
    let mut zeroed = bytes.to_vec();
    zeroed[at..at + digest.len()].copy_from_slice(ZEROS.as_bytes());
    Digest::of(&zeroed).to_string() == digest
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A manifest with one changed byte anywhere must not pass.
    #[test]
    fn any_changed_byte_breaks_the_seal() {
        let mut manifest = Manifest {
            backup_id: "backup-20260211-143022-a1b2c3d4".to_owned(),
            format: Some(1),
            ..Manifest::default()
        };
        let bytes = seal(&mut manifest).expect("plain data");
        let digest = manifest.sha256.expect("just sealed");
        assert!(is_sealed(&bytes, &digest));
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            let read: Option<Manifest> = serde_json::from_slice(&changed).ok();
            let passes = read
                .and_then(|m| m.sha256)
                .is_some_and(|d| is_sealed(&changed, &d));
            assert!(!passes, "byte {at} changed and the seal held");
        }
    }
}
