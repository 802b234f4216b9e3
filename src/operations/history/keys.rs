//! The answers to requests with an `Idempotency-Key`: a repeated request gets the same answer and
//! starts nothing.

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};

use crate::Result;
use crate::operations::history::file::{HistoryFile, number};
use crate::operations::history::store::History;

/// How long an answer is kept.
const RETENTION: SignedDuration = SignedDuration::from_hours(24);
/// The number of answers that are kept.
const MAX_ANSWERS: u64 = 1000;

/// A request with a key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct KeyedRequest {
    /// Who sends the request: nobody gets the answer of another actor.
    pub actor: String,
    /// The key.
    pub key: String,
    /// The digest of the request.
    pub request: String,
}

/// What the history has recorded for a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KnownKey {
    /// The same request got this answer.
    Same(String),
    /// Another request had this key.
    Other,
}

impl History {
    /// Looks up the key of a request.
    ///
    /// # Errors
    /// Fails if the file cannot be read.
    pub async fn recall(&self, request: KeyedRequest) -> Result<Option<KnownKey>> {
        self.on(&self.readers, move |file| {
            file.recall(&request, Timestamp::now())
        })
        .await
    }

    /// Records the answer to a request for 24 h.
    ///
    /// # Errors
    /// Fails if the file cannot be written.
    pub async fn remember(&self, request: KeyedRequest, answer: String) -> Result<()> {
        self.on(&self.writer, move |file| {
            file.remember(&request, &answer, Timestamp::now())
        })
        .await
    }
}

impl HistoryFile {
    fn recall(&self, request: &KeyedRequest, now: Timestamp) -> Result<Option<KnownKey>> {
        let found = self.read(|connection| {
            if !has_keys(connection)? {
                return Ok(None);
            }
            let row = connection.query_row(
                "SELECT request, answer FROM idempotency_keys WHERE actor = ?1 AND key = ?2 AND answered_at > ?3",
                params![request.actor, request.key, oldest(now)],
                |row| Ok((row.get(0)?, row.get(1)?)),
            );
            row.optional()
        })?;
        let found: Option<(String, String)> = found.flatten();
        Ok(found.map(|(asked, answer)| match asked == request.request {
            true => KnownKey::Same(answer),
            false => KnownKey::Other,
        }))
    }

    fn remember(&self, request: &KeyedRequest, answer: &str, now: Timestamp) -> Result<()> {
        self.change(|connection| {
            connection.execute_batch(
                "CREATE TABLE IF NOT EXISTS idempotency_keys (
                    actor TEXT NOT NULL,
                    key TEXT NOT NULL,
                    request TEXT NOT NULL,
                    answer TEXT NOT NULL,
                    answered_at INTEGER NOT NULL,
                    PRIMARY KEY (actor, key))",
            )?;
            connection.execute(
                "INSERT OR REPLACE INTO idempotency_keys VALUES (?1, ?2, ?3, ?4, ?5)",
                params![
                    request.actor,
                    request.key,
                    request.request,
                    answer,
                    now.as_second()
                ],
            )?;
            connection.execute(
                "DELETE FROM idempotency_keys WHERE answered_at <= ?1 OR rowid <=
                 (SELECT rowid FROM idempotency_keys ORDER BY rowid DESC LIMIT 1 OFFSET ?2)",
                params![oldest(now), number(MAX_ANSWERS)],
            )?;
            Ok(())
        })
    }
}

fn oldest(now: Timestamp) -> i64 {
    now.as_second().saturating_sub(RETENTION.as_secs())
}

fn has_keys(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row(
        "SELECT count(*) FROM sqlite_schema WHERE name = 'idempotency_keys'",
        [],
        |row| row.get(0),
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::HistoryLimits;

    fn request(actor: &str, key: &str, request: &str) -> KeyedRequest {
        KeyedRequest {
            actor: actor.to_owned(),
            key: key.to_owned(),
            request: request.to_owned(),
        }
    }

    /// Guards against a second backup, another actor's answer, and a file that grows forever.
    #[test]
    fn an_answer_is_its_actors_for_a_day_and_the_oldest_go() {
        let folder = tempfile::tempdir().expect("a folder");
        let limits = HistoryLimits {
            operations: 3,
            age: Duration::from_secs(60),
        };
        let history = History::new(folder.path().join("state/history.db"), limits);
        let file = &*history.file;
        let now = Timestamp::now();
        let day = SignedDuration::from_hours(24);
        let asked = request("a", "k", "one");
        assert_eq!(file.recall(&asked, now).expect("read"), None, "no file yet");
        file.remember(&asked, "first", now).expect("written");
        let known = |request: &KeyedRequest, now| file.recall(request, now).expect("read");
        let same = Some(KnownKey::Same("first".to_owned()));
        assert_eq!(known(&asked, now), same);
        let later = now + day - SignedDuration::from_secs(1);
        assert_eq!(known(&asked, later), same);
        assert_eq!(known(&asked, now - day), same, "the clock was set back");
        assert_eq!(known(&asked, now + day), None);
        let other = request("a", "k", "two");
        assert_eq!(known(&other, now), Some(KnownKey::Other));
        assert_eq!(known(&request("b", "k", "one"), now), None);
        for number in 0..=MAX_ANSWERS {
            let one = request("a", &format!("key-{number}"), "one");
            file.remember(&one, "later", now).expect("written");
        }
        assert_eq!(known(&asked, now), None, "the oldest went");
        let first = request("a", "key-1", "one");
        assert!(known(&first, now).is_some());
        let newest = request("a", "new", "one");
        file.remember(&newest, "new", now + day).expect("written");
        assert_eq!(known(&first, now), None, "it was a day old");
    }
}
