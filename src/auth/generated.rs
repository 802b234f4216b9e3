//! The admin token that the service makes itself where nobody else has given it one.
//!
//! Only what recognises it is kept, in `<state folder>/admin-token`: its hash in Arc's form on the
//! first line, its prefix as in Arc's table on the second, so that a wrong token costs no hash.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::candidate::Candidate;
use super::error::AuthError;
use super::expiry::Expiry;
use super::token::{fingerprint, prefix};
use super::token_hash::TokenHash;
use crate::files::create_atomically;

const FILE_NAME: &str = "admin-token";
/// A longer file is none of ours.
const MAX_FILE_BYTES: u64 = 4096;

/// The kept token as the candidate for a token with this prefix; `None` where none is kept or it
/// has another prefix.
///
/// # Errors
/// The file is there and can't be read, or holds no hash.
pub(crate) fn candidate(
    state_dir: &Path,
    token_prefix: &str,
) -> Result<Option<Candidate>, AuthError> {
    let Some(text) = read(state_dir)? else {
        return Ok(None);
    };
    let mut lines = text.lines();
    let hash = lines.next().unwrap_or_default();
    if TokenHash::parse(hash).is_none() {
        let path = state_dir.join(FILE_NAME);
        return Err(AuthError::Damaged { path });
    }
    let kept_prefix = lines.next();
    if kept_prefix.is_some_and(|kept| kept != token_prefix) {
        return Ok(None);
    }
    Ok(Some(Candidate {
        name: "generated".to_owned(),
        hash: hash.to_owned(),
        is_admin: true,
        may_read: true,
        expiry: Expiry::Never,
        is_likely: kept_prefix.is_some(),
    }))
}

/// Makes a token and keeps its hash; `None` where one is kept already. Of two processes that make
/// one at the same time, one wins and the other gets `None`.
pub(crate) fn ensure(state_dir: &Path) -> Result<Option<String>, AuthError> {
    // Any prefix: what counts is whether a sound file is there.
    if read(state_dir)?.is_some() {
        candidate(state_dir, "")?;
        return Ok(None);
    }
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).map_err(AuthError::Random)?;
    let token = URL_SAFE_NO_PAD.encode(secret);
    let text = format!(
        "{}\n{}\n",
        TokenHash::derive(&token)?,
        prefix(&fingerprint(&token))
    );
    create_private_dir(state_dir).map_err(at("create", state_dir))?;
    let path = state_dir.join(FILE_NAME);
    let is_ours = create_atomically(&path, text.as_bytes()).map_err(at("write", &path))?;
    Ok(is_ours.then_some(token))
}

fn at<'a>(operation: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> AuthError + 'a {
    move |source| AuthError::File {
        operation,
        path: path.to_owned(),
        source,
    }
}

fn read(state_dir: &Path) -> Result<Option<String>, AuthError> {
    let path = state_dir.join(FILE_NAME);
    match fs::metadata(&path) {
        Ok(metadata) if metadata.is_file() && metadata.len() <= MAX_FILE_BYTES => {}
        Ok(_) => return Err(AuthError::Damaged { path }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(at("read", &path)(error)),
    }
    match fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            Err(AuthError::Damaged { path })
        }
        Err(error) => Err(at("read", &path)(error)),
    }
}

/// Makes the folder for its owner alone. One that exists is left as it is: it may be anybody's.
fn create_private_dir(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(parent) = folder.parent() {
        fs::create_dir_all(parent)?;
    }
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("it exists").permissions().mode() & 0o777
    }

    /// Guards against: a token that can be read from the disk, or is shown twice or never.
    #[test]
    fn a_token_is_made_once_and_kept_as_a_hash_only() {
        let folder = tempfile::tempdir().expect("a folder");
        let state = folder.path().join("backups/.arc-backup");
        let token = ensure(&state).expect("writable").expect("a token");
        assert_eq!(token.len(), 43);
        assert!(ensure(&state).expect("readable").is_none());

        let text = fs::read_to_string(state.join(FILE_NAME)).expect("the file");
        assert!(text.starts_with("$pbkdf2-sha256$600000$") && !text.contains(&token));
        assert_eq!((mode(&state), mode(&state.join(FILE_NAME))), (0o700, 0o600));
        assert_eq!(fs::read_dir(&state).expect("the folder").count(), 1);

        let own = prefix(&fingerprint(&token));
        let kept = candidate(&state, &own)
            .expect("readable")
            .expect("a candidate");
        assert!(
            TokenHash::parse(&kept.hash)
                .expect("a hash")
                .matches(&token)
        );
        assert!(
            candidate(&state, "0123456789abcdef")
                .expect("readable")
                .is_none()
        );
    }

    /// Guards against: a damaged file that no error names.
    #[test]
    fn a_damaged_file_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        for content in ["", "plain-token\n", "\u{fffd}\n"] {
            fs::write(folder.path().join(FILE_NAME), content).expect("writable");
            let error = ensure(folder.path()).expect_err("a fault");
            assert!(error.to_string().contains(FILE_NAME), "{error}");
            assert!(candidate(folder.path(), "").is_err());
        }
    }
}
