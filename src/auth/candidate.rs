//! A kept token that may be the one presented.

use sha2::{Digest, Sha256};

use super::expiry::Expiry;

/// What the columns of a row in Arc's table, or a token kept outside it, say of a token.
pub(crate) struct Candidate {
    /// Name for logs, the history and [`super::Identity`].
    pub(crate) name: String,
    /// The hash as it is kept; checked by [`super::token_hash::TokenHash`].
    pub(crate) hash: String,
    /// Whether `admin` is among the permissions.
    pub(crate) is_admin: bool,
    /// Whether `read` is among them.
    pub(crate) may_read: bool,
    /// When the token ends.
    pub(crate) expiry: Expiry,
    /// Whether it was found by the token's own prefix. Nobody meets a prefix by chance, so such a
    /// candidate is worth a hash at once, while a wrong token may be held against every other row.
    pub(crate) is_likely: bool,
}

impl Candidate {
    /// Recognises the hash later on, so that a token once found to match it is not hashed again.
    pub(crate) fn proof(&self) -> [u8; 32] {
        Sha256::digest(self.hash.as_bytes()).into()
    }
}

/// Whether a `permissions` text grants admin: Arc splits it at commas and trims nothing.
pub(crate) fn grants_admin(permissions: &str) -> bool {
    grants(permissions, "admin")
}

/// Whether it grants reading.
pub(crate) fn grants_read(permissions: &str) -> bool {
    grants(permissions, "read")
}

fn grants(permissions: &str, wanted: &str) -> bool {
    permissions.split(',').any(|element| element == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards against: readers that may overwrite the database.
    #[test]
    fn admin_is_one_whole_element() {
        for yes in [
            "admin",
            "read,admin",
            "admin,read",
            "read,write,delete,admin",
        ] {
            assert!(grants_admin(yes), "{yes}");
        }
        for no in [
            "",
            "read,write",
            "read, admin",
            "admin ",
            "Admin",
            "administrator",
            "read;admin",
        ] {
            assert!(!grants_admin(no), "{no}");
        }
    }
}
