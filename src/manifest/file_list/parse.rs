//! Reading the JSON of a file list, one file at a time.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io::{self, BufReader, Read};

use arc_backup_core::{Digest, Entry, Key, Section, Tier};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::VERSION;
use crate::Error;
use crate::manifest::Record;

/// How much is read at once.
const PIECE_BYTES: usize = 64 << 10;
/// The most that is read before the next file of the list has ended: a key of 1,024 bytes, each
/// escaped in six, and the other fields, fit several times.
const LIMIT: usize = 4 * PIECE_BYTES;
/// The largest size, of a file and of all together: Go counts in signed numbers.
const LARGEST: u64 = i64::MAX as u64;

/// Why reading ended.
#[derive(Debug)]
pub(super) enum ParseFault {
    /// The text is not a list of files.
    Damaged(String),
    /// What took the files has failed.
    Other(Error),
}

/// Reads a list and gives each of its files to `take`, in the order of the list.
pub(super) fn parse(
    text: impl Read,
    take: &mut dyn FnMut(Record) -> Result<(), ParseFault>,
) -> Result<(), ParseFault> {
    let unread = Cell::new(LIMIT);
    let reader = Limited {
        text: without_mark(text).map_err(|e| ParseFault::Damaged(format!("can't be read: {e}")))?,
        unread: &unread,
    };
    let files = Files {
        unread: &unread,
        bytes: Cell::new(0),
        take: RefCell::new(take),
        fault: RefCell::new(None),
    };
    let mut json =
        serde_json::Deserializer::from_reader(BufReader::with_capacity(PIECE_BYTES, reader));
    let read = Document(&files)
        .deserialize(&mut json)
        .and_then(|()| json.end());
    if let Some(fault) = files.fault.take() {
        return Err(fault);
    }
    read.map_err(|error| ParseFault::Damaged(format!("is not valid: {error}")))
}

/// The text without a byte order mark at its beginning, which is no part of the JSON.
fn without_mark(mut text: impl Read) -> io::Result<impl Read> {
    let mut first = Vec::new();
    text.by_ref().take(3).read_to_end(&mut first)?;
    if first == [0xEF, 0xBB, 0xBF] {
        first.clear();
    }
    Ok(io::Cursor::new(first).chain(text))
}

/// A reader that fails where no file of the list ends for too long.
struct Limited<'a, R> {
    text: R,
    unread: &'a Cell<usize>,
}

impl<R: Read> Read for Limited<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.text.read(buffer)?;
        match self.unread.get().checked_sub(count) {
            Some(unread) => self.unread.set(unread),
            None => {
                let text = format!("a value is longer than {LIMIT} bytes");
                return Err(io::Error::new(io::ErrorKind::InvalidData, text));
            }
        }
        Ok(count)
    }
}

/// What takes the files.
struct Files<'a> {
    unread: &'a Cell<usize>,
    /// The bytes of the files so far.
    bytes: Cell<u64>,
    take: RefCell<&'a mut dyn FnMut(Record) -> Result<(), ParseFault>>,
    fault: RefCell<Option<ParseFault>>,
}

impl Files<'_> {
    /// Gives a file to whoever takes it; its fault ends the reading.
    fn give(&self, file: Result<Record, ParseFault>) -> Result<(), ()> {
        self.unread.set(LIMIT);
        let given = file.and_then(|file| {
            let bytes = self.bytes.get().saturating_add(file.entry.size);
            self.bytes.set(bytes);
            if bytes > LARGEST {
                let path = &file.path;
                let text = format!("is not valid: the sizes of all files up to `{path}` overflow");
                return Err(ParseFault::Damaged(text));
            }
            (self.take.borrow_mut())(file)
        });
        given.map_err(|fault| *self.fault.borrow_mut() = Some(fault))
    }
}

/// The whole text: an object with `version` and `files`.
struct Document<'a>(&'a Files<'a>);

impl<'de> DeserializeSeed<'de> for Document<'_> {
    type Value = ();
    fn deserialize<D: serde::Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Document<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with `version` and `files`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        let (mut has_version, mut has_files) = (false, false);
        while let Some(name) = fields.next_key::<String>()? {
            let is_known = match name.as_str() {
                "version" => &mut has_version,
                "files" => &mut has_files,
                _ => {
                    fields.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            if std::mem::replace(is_known, true) {
                return Err(A::Error::custom(format!("`{name}` is there twice")));
            }
            if name == "files" {
                fields.next_value_seed(List(self.0))?;
                continue;
            }
            let version: u64 = fields.next_value()?;
            if version != VERSION {
                return Err(A::Error::custom(format!(
                    "it has version {version}, and this release reads version {VERSION}: use a newer arc-backup"
                )));
            }
        }
        match (has_version, has_files) {
            (false, _) => Err(A::Error::missing_field("version")),
            (_, false) => Err(A::Error::missing_field("files")),
            _ => Ok(()),
        }
    }
}

/// The list itself; Go writes an empty one as `null`.
struct List<'a>(&'a Files<'a>);

impl<'de> DeserializeSeed<'de> for List<'_> {
    type Value = ();
    fn deserialize<D: serde::Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for List<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of files")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut files: A) -> Result<(), A::Error> {
        while let Some(file) = files.next_element::<File>()? {
            let given = self.0.give(file.record().map_err(ParseFault::Damaged));
            given.map_err(|()| A::Error::custom("ended"))?;
        }
        Ok(())
    }
}

/// A file of the list. Database, measurement and times follow from its path and its place.
#[derive(Deserialize)]
struct File {
    path: String,
    sha256: String,
    size_bytes: u64,
    #[serde(default)]
    tier: Option<String>,
}

impl File {
    fn record(self) -> Result<Record, String> {
        let key = Key::parse(&self.path).map_err(|e| format!("is not valid: {e}"))?;
        if self.size_bytes > LARGEST {
            let size = self.size_bytes;
            return Err(format!(
                "is not valid: of `{key}`: the size {size} is too large"
            ));
        }
        let of = |detail: &dyn fmt::Display| format!("is not valid: of `{key}`: {detail}");
        let sha256: Digest = (self.sha256.to_ascii_lowercase().parse()).map_err(|e| of(&e))?;
        let tier = match self.tier.as_deref() {
            None | Some("" | "hot") => Tier::Hot,
            Some("cold") => Tier::Cold,
            Some(other) => return Err(of(&format!("the tier {other:?} is unknown"))),
        };
        let entry = Entry {
            sha256: Some(sha256),
            tier,
            ..Entry::new(key.clone(), self.size_bytes)
        };
        Record::new(&Section::Data, entry).map_err(|e| of(&e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHA: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn parsed(text: &str) -> Result<Vec<Record>, String> {
        let mut records = Vec::new();
        let mut take = |record| {
            records.push(record);
            Ok(())
        };
        match parse(text.as_bytes(), &mut take) {
            Ok(()) => Ok(records),
            Err(ParseFault::Damaged(detail)) => Err(detail),
            Err(ParseFault::Other(error)) => panic!("{error}"),
        }
    }

    fn one(path: &str, size: &str, more: &str) -> String {
        format!(
            r#"{{"files":[{{"path":{path},"sha256":"{SHA}","size_bytes":{size}{more}}}],"version":1}}"#
        )
    }

    /// Guards against: a list that Arc writes and this can't read, or a tier that is lost.
    #[test]
    fn what_arc_writes_is_read_in_any_order_of_fields() {
        let all = r#","database":"iot","measurement":"cpu","partition_time":"2026-11-20T00:00:00Z",
            "created_at":"2026-11-20T01:00:00Z","tier":"cold","later":{"x":[1]}"#;
        let records = parsed(&one(r#""iot/cpu/2026/a.parquet""#, "7", all)).expect("read");
        assert_eq!(&*records[0].path, "data/iot/cpu/2026/a.parquet");
        assert_eq!(
            (records[0].entry.size, records[0].entry.tier),
            (7, Tier::Cold)
        );
        assert_eq!(records[0].entry.sha256.expect("one").to_string(), SHA);
        for tier in ["", r#","tier":null"#, r#","tier":"""#, r#","tier":"hot""#] {
            let records = parsed(&one(r#""a""#, "0", tier)).expect("read");
            assert_eq!(records[0].entry.tier, Tier::Hot, "{tier}");
        }
        for empty in ["[]", "null"] {
            let text = "\u{feff}".to_owned() + r#"{"version":1,"files":EMPTY}"#;
            assert_eq!(
                parsed(&text.replace("EMPTY", empty)),
                Ok(Vec::new()),
                "{empty}"
            );
            let text = format!(r#"{{"version":1,"by":"later","files":{empty}}}"#);
            assert_eq!(parsed(&text), Ok(Vec::new()), "{empty}");
        }
    }

    /// Guards against: a path that leads out of the backup, and a fault without words.
    #[test]
    fn what_is_malformed_or_out_of_bounds_is_named() {
        let path = r#""a.parquet""#;
        let long = format!("\"{}\"", "a/".repeat(600) + "a");
        let endless = format!("\"{}\"", "a".repeat(LIMIT + PIECE_BYTES));
        let two = one(path, "9223372036854775807", "");
        let file = two[10..two.len() - 14].to_owned();
        let two = two.replace(&file, &format!("{file},{}", file.replace("a.p", "b.p")));
        let short = one(path, "1", "").replace(SHA, "abc");
        for (text, named) in [
            (one(r#""../a.parquet""#, "1", ""), "`.` or `..`"),
            (one(r#""/etc/passwd""#, "1", ""), "absolute"),
            (one(r#""a\\b""#, "1", ""), "backslash"),
            (one(r#""a\u0000""#, "1", ""), "control character"),
            (one(r#""""#, "1", ""), "empty"),
            (one(&long, "1", ""), "longer than 1024"),
            (one(&endless, "1", ""), "a value is longer"),
            (one(path, "-1", ""), "-1"),
            (one(path, "1.5", ""), "1.5"),
            (one(path, "18446744073709551616", ""), "floating point"),
            (one(path, "9223372036854775808", ""), "too large"),
            (two, "overflow"),
            (one(path, "1", r#","tier":"warm""#), "warm"),
            (short, "64 lower-case hex digits"),
            (
                one(path, "1", "").replace("\"version\":1", "\"version\":2"),
                "version 2",
            ),
            (
                one(path, "1", "").replace(",\"version\":1", ""),
                "`version`",
            ),
            (r#"{"version":1}"#.to_owned(), "`files`"),
            (r#"{"version":1,"files":{}}"#.to_owned(), "a list of files"),
            (r#"{"version":1,"files":[],"files":[]}"#.to_owned(), "twice"),
            (r#"{"version":1,"files":[]} {}"#.to_owned(), "trailing"),
            (
                r#"{"version":1,"files":[{"path":"a"}]}"#.to_owned(),
                "sha256",
            ),
            (r#"{"version":1,"files":["#.to_owned(), "EOF"),
            (String::new(), "EOF"),
            ("[]".to_owned(), "an object with"),
        ] {
            let detail = parsed(&text).expect_err(named);
            assert!(detail.contains(named), "{named}: {detail}");
        }
    }
}
