//! The databases that a request for a backup names.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use arc_backup_core::{Child, Databases, Error as CoreError, ErrorKind, Key, Sink};

use crate::nearest::nearest;
use crate::operations::BackupOptions;
use crate::operations::sections::{check_can_be_named, named_databases};
use crate::operations::{ArcBackup, Request};
use crate::{Error, Result, names};

/// How many databases a request may name, as in Arc.
const MAX_DATABASES: usize = 256;
/// Timeout for the list of databases: a client waits for it, and other operations do too.
const LIST_TIMEOUT: Duration = Duration::from_secs(15);
/// How much of a name a message has.
const SHOWN: usize = 100;

/// Checks the databases that a request names. That they exist is checked when it starts.
///
/// # Errors
/// [`Error::Invalid`] names the one that is no name or is there twice, or says that there are none,
/// or too many.
pub fn check_database_names(names: Vec<String>) -> Result<BTreeSet<String>> {
    if names.is_empty() {
        return Err(invalid(
            "the list is empty: name at least one, or leave it out to back up all".to_owned(),
        ));
    }
    if names.len() > MAX_DATABASES {
        return Err(invalid(format!(
            "{} are named, and at most {MAX_DATABASES} can be: leave the list out to back up all",
            names.len()
        )));
    }
    let mut checked = BTreeSet::new();
    for name in names {
        // The longest path in a database has to be a key.
        let is_valid = Key::parse(&name).is_ok() && !name.contains('/');
        if !is_valid || name.starts_with(['_', '.']) {
            return Err(invalid(format!(
                "{:?} is not the name of a database: that is the first folder of its files, without \
                 `/`, `\\` and control characters, and does not begin with `_` or `.`",
                shown(&name)
            )));
        }
        if checked.contains(&name) {
            return Err(invalid(format!("{:?} is named twice", shown(&name))));
        }
        checked.insert(name);
    }
    Ok(checked)
}

fn invalid(detail: String) -> Error {
    Error::Invalid(format!("databases: {detail}"))
}

/// Waits for the storage, for this long.
async fn within<T>(
    limit: Duration,
    location: String,
    answer: impl Future<Output = Result<T>>,
) -> Result<T> {
    tokio::time::timeout(limit, answer)
        .await
        .unwrap_or_else(|_| {
            let detail = format!("no answer within {} s", limit.as_secs());
            Err(CoreError::new(ErrorKind::Unavailable, "list", location, detail).into())
        })
}

fn shown(name: &str) -> String {
    name.chars().take(SHOWN).collect()
}

impl ArcBackup {
    /// Checks that the manifest of a backup can name the data that is asked for.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it can't.
    pub(crate) fn check_data_scope(request: &Request) -> Result<()> {
        match request {
            Request::Backup(options) => check_can_be_named(&options.scope),
            Request::Restore(..)
            | Request::Verify(..)
            | Request::Rehearse(..)
            | Request::Delete(..)
            | Request::Copy(..)
            | Request::Export(..)
            | Request::Import(..)
            | Request::Extract(..)
            | Request::Undo(..)
            | Request::Prune(..) => Ok(()),
        }
    }

    /// Checks that each database that the request names exists in the storage.
    ///
    /// # Errors
    /// [`Error::Invalid`] names the first that does not. A storage that can't be listed is its own
    /// error.
    pub(crate) async fn check_databases(&self, request: &Request) -> Result<()> {
        let Request::Backup(BackupOptions { scope, .. }) = request else {
            return Ok(());
        };
        let Databases::Only(wanted) = scope.databases() else {
            return Ok(());
        };
        // A volume that is not mounted is reported as such when the snapshot is taken.
        let root = self.storage.properties().local_path;
        if named_databases(scope).is_empty() || root.is_some_and(|root| !root.is_dir()) {
            return Ok(());
        }
        let mut known = self.databases_in(&self.storage).await?;
        // Of a database whose files are all old, only the cold tier has some.
        if let Some(cold) = &self.cold
            && !wanted.is_subset(&known)
        {
            known.extend(self.databases_in(cold).await?);
        }
        let Some(unknown) = wanted.iter().find(|name| !known.contains(*name)) else {
            return Ok(());
        };
        let meant = nearest(unknown, known.iter().map(String::as_str));
        let meant = meant.map_or_else(String::new, |name| format!("did you mean {name:?}? "));
        let known = match known.is_empty() {
            true => "there is none".to_owned(),
            false => names::shortened(&known.into_iter().collect::<Vec<_>>()),
        };
        Err(invalid(format!(
            "there is no database {:?} in {}: {meant}known: {known}",
            shown(unknown),
            self.storage.location()
        )))
    }

    /// The databases in a storage: the folders in its root that hold data.
    async fn databases_in(&self, storage: &Arc<dyn Sink>) -> Result<BTreeSet<String>> {
        let listed = async { Ok(storage.list_children(None).await?) };
        let children = within(LIST_TIMEOUT, storage.location(), listed).await?;
        let folders = children.into_iter().filter_map(|child| match child {
            Child::Folder(name) => Some(name),
            Child::Object(_) | Child::Other(..) => None,
        });
        Ok(folders
            .filter(|name| !name.starts_with(['_', '.']))
            .filter(|name| !self.exclusions.exclude(&format!("{name}/x")))
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(names: &[&str]) -> Result<BTreeSet<String>, String> {
        let names = names.iter().map(|&name| name.to_owned()).collect();
        check_database_names(names).map_err(|error| error.to_string())
    }

    /// Guards against: a backup of something else than was asked for, and an answer that does not
    /// say which name is wrong.
    #[test]
    fn each_name_is_one_folder_and_a_refusal_names_it() {
        let good = check(&["web", "iot", "größe 1", "a.b", "a_b"]).expect("names");
        assert_eq!(good.first().map(String::as_str), Some("a.b"));
        for bad in [
            "", ".", "..", "a/b", "/", "a\\b", "a\nb", "_schema", "_x", ".tmp",
        ] {
            let error = check(&["iot", bad]).expect_err(bad);
            assert!(error.contains(&format!("{bad:?} is not")), "{error}");
        }
        let error = check(&["iot", "web", "iot"]).expect_err("twice");
        assert!(error.contains("\"iot\" is named twice"), "{error}");
        assert!(check(&[]).expect_err("none").contains("empty"));
        let many: Vec<_> = (0..257).map(|n| format!("d{n}")).collect();
        let many: Vec<_> = many.iter().map(String::as_str).collect();
        assert!(check(&many).expect_err("too many").contains("257"));
        assert!(check(&many[1..]).is_ok());
        let long = check(&[&"x".repeat(2000)]).expect_err("too long");
        assert!(long.len() < 400, "{long}");
    }

    /// Guards against: a client and all other operations that wait a minute for a dead store.
    #[tokio::test(start_paused = true)]
    async fn a_store_that_does_not_answer_is_named_in_time() {
        let begun = tokio::time::Instant::now();
        let never = std::future::pending::<Result<()>>();
        let error = within(LIST_TIMEOUT, "s3 far".to_owned(), never).await;
        let error = error.expect_err("no answer").to_string();
        assert!(
            error.contains("s3 far") && error.contains("no answer within 15 s"),
            "{error}"
        );
        assert!(begun.elapsed() < Duration::from_secs(16));
    }
}
