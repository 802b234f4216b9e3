//! Who runs a command, for the history.

use std::path::Path;

use crate::operations::{Origin, Who};

/// Who asks on the command line.
pub(super) fn who() -> Who {
    Who {
        actor: actor(),
        origin: Origin::Cli,
        fingerprint: None,
        token: None,
    }
}

/// The user that the history names: the caller of `sudo`, else `$USER`, else the name or number of
/// the user id.
fn actor() -> String {
    let variable = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
    let uid = rustix::process::getuid();
    let passwd = std::fs::read_to_string(Path::new("/etc/passwd")).unwrap_or_default();
    choose(
        variable("SUDO_USER").filter(|_| uid.is_root()),
        variable("USER"),
        uid.as_raw(),
        &passwd,
    )
}

fn choose(sudo: Option<String>, user: Option<String>, uid: u32, passwd: &str) -> String {
    if let Some(caller) = sudo {
        return format!("{caller} (sudo)");
    }
    user.or_else(|| name_of(uid, passwd))
        .unwrap_or_else(|| format!("uid {uid}"))
}

/// The name of a user id in the text of `/etc/passwd`.
fn name_of(uid: u32, passwd: &str) -> Option<String> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, _, number) = (fields.next()?, fields.next()?, fields.next()?);
        (number.parse() == Ok(uid) && !name.is_empty()).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards against: a deletion by nobody, from cron or by `sudo`.
    #[test]
    fn somebody_is_always_named() {
        const PASSWD: &str =
            "root:x:0:0:root:/root:/bin/sh\nbroken\narc:x:997:997::/srv/arc:/bin/false\n";
        let some = |name: &str| Some(name.to_owned());
        for (sudo, user, uid, named) in [
            (None, some("alice"), 1000, "alice"),
            (some("alice"), some("root"), 0, "alice (sudo)"),
            (None, None, 997, "arc"),
            (None, None, 1000, "uid 1000"),
        ] {
            assert_eq!(choose(sudo, user, uid, PASSWD), named);
        }
    }
}
