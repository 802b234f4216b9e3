//! Arc's token table, read and never written.

use std::path::Path;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};

use super::candidate::{Candidate, grants_admin, grants_read};
use super::database::{ReadError, read};
use super::error::AuthError;
use super::expiry::Expiry;
use super::log_throttle::LogThrottle;

/// `permissions` where the column is NULL: the table's own default.
const DEFAULT_PERMISSIONS: &str = "read,write";
/// `token_prefix` of rows older than that column.
const LEGACY: &str = "__legacy__";
/// Columns without which a row says too little to let anybody in.
const REQUIRED: [&str; 5] = ["name", "token_hash", "permissions", "expires_at", "enabled"];

/// What the database says to a token.
pub(crate) enum Lookup {
    /// It holds tokens; these enabled ones may be the token.
    Tokens(Vec<Candidate>),
    /// It is missing, is not a database, or holds no token at all.
    NoTokens,
}

/// Finds the enabled rows that a token with this prefix may belong to: those with the prefix and
/// those older than prefixes. Expired ones are among them.
pub(crate) fn look_up(path: &Path, prefix: &str, log: &LogThrottle) -> Result<Lookup, AuthError> {
    let found = read(path, log, |database| {
        candidates(database, path, prefix, log)
    })?;
    Ok(found.flatten().map_or(Lookup::NoTokens, Lookup::Tokens))
}

/// Whether the database holds any token, enabled or not.
pub(crate) fn has_tokens(path: &Path, log: &LogThrottle) -> Result<bool, AuthError> {
    let found = read(path, log, |database| {
        Ok(!columns(database)?.is_empty() && has_rows(database)?)
    })?;
    Ok(found.unwrap_or(false))
}

/// The columns of the token table in lower case; none where there is no such table.
fn columns(database: &Connection) -> rusqlite::Result<Vec<String>> {
    database
        .prepare("SELECT lower(name) FROM pragma_table_info('api_tokens')")?
        .query_map([], |row| row.get(0))?
        .collect()
}

fn has_rows(database: &Connection) -> rusqlite::Result<bool> {
    database.query_row("SELECT EXISTS (SELECT 1 FROM api_tokens)", [], |row| {
        row.get(0)
    })
}

/// The rows that may be the token; `None` where the table is missing or empty.
fn candidates(
    database: &Connection,
    path: &Path,
    prefix: &str,
    log: &LogThrottle,
) -> Result<Option<Vec<Candidate>>, ReadError> {
    let columns = columns(database)?;
    if columns.is_empty() || !has_rows(database)? {
        return Ok(None);
    }
    if let Some(missing) = REQUIRED
        .into_iter()
        .find(|&name| !columns.iter().any(|own| own == name))
    {
        return Err(ReadError::Column(missing));
    }
    // Before there were prefixes, every row was a candidate.
    let token_prefix = if columns.iter().any(|name| name == "token_prefix") {
        "token_prefix"
    } else {
        "'__legacy__'"
    };
    let mut statement = database.prepare(&format!(
        "SELECT rowid, name, token_hash, permissions, expires_at, {token_prefix} = ?1
         FROM api_tokens WHERE enabled = 1 AND {token_prefix} IN (?1, ?2) ORDER BY rowid"
    ))?;
    let rows = statement
        .query_map([prefix, LEGACY], |row| candidate(row, path, log))?
        .collect::<rusqlite::Result<_>>()?;
    Ok(Some(rows))
}

fn candidate(row: &Row<'_>, path: &Path, log: &LogThrottle) -> rusqlite::Result<Candidate> {
    let name = match text(row.get_ref(1)?) {
        Some(name) => name.to_owned(),
        None => format!("token {}", row.get::<_, i64>(0)?),
    };
    let permissions = match row.get_ref(3)? {
        ValueRef::Null => DEFAULT_PERMISSIONS,
        value => text(value).unwrap_or_default(),
    };
    let (is_admin, may_read) = (grants_admin(permissions), grants_read(permissions));
    let expiry = match row.get_ref(4)? {
        ValueRef::Null => Expiry::Never,
        value => text(value).map_or(Expiry::Unreadable, Expiry::parse),
    };
    if expiry == Expiry::Unreadable {
        log.warn(&format!(
            "token {name:?} in `{}` counts as expired: its `expires_at` is not a date in a known form",
            path.display()
        ));
    }
    Ok(Candidate {
        name,
        hash: text(row.get_ref(2)?).unwrap_or_default().to_owned(),
        is_admin,
        may_read,
        expiry,
        is_likely: row.get(5)?,
    })
}

/// A text value; `None` for any other type and for text that is not UTF-8.
fn text(value: ValueRef<'_>) -> Option<&str> {
    match value {
        ValueRef::Text(bytes) => std::str::from_utf8(bytes).ok(),
        ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) | ValueRef::Blob(_) => None,
    }
}

#[cfg(test)]
mod tests;
