//! The place and the totals of each section in a list of records.

use arc_backup_core::{Key, Section};

use super::Record;

/// The lines of one section: in a list that is sorted by path, they follow each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SectionLines {
    pub(super) section: Section,
    /// The offset of the first of them in the file.
    pub(super) start: u64,
    /// The offset behind the last of them.
    pub(super) end: u64,
    pub(super) files: u64,
    pub(super) bytes: u64,
}

/// Why a record can't be the next one of a list.
#[derive(Debug)]
pub(super) enum NotNext {
    /// It is not behind this path.
    OutOfOrder(Key),
    /// The sum of the sizes is too large for a number.
    Overflow,
}

/// Grows with each record of a list.
#[derive(Debug, Default)]
pub(super) struct SectionIndex {
    pub(super) sections: Vec<SectionLines>,
    pub(super) entries: u64,
    pub(super) bytes: u64,
    /// How many records have their bytes in another backup.
    pub(super) stored_elsewhere: u64,
    last: Option<Key>,
}

impl SectionIndex {
    /// Adds the next record, whose line has `line_bytes` bytes with its end.
    pub(super) fn add(&mut self, record: &Record, line_bytes: u64) -> Result<(), NotNext> {
        if let Some(last) = self.last.take_if(|last| *last >= record.path) {
            return Err(NotNext::OutOfOrder(last));
        }
        let size = record.entry.size;
        self.bytes = self.bytes.checked_add(size).ok_or(NotNext::Overflow)?;
        self.entries += 1;
        self.stored_elsewhere += u64::from(record.stored_in.is_some());
        self.last = Some(record.path.clone());
        let section = record.section();
        match self.sections.last_mut() {
            Some(lines) if lines.section == section => {
                lines.end += line_bytes;
                lines.files += 1;
                lines.bytes += size;
            }
            lines => {
                let start = lines.map_or(0, |lines| lines.end);
                self.sections.push(SectionLines {
                    section,
                    start,
                    end: start + line_bytes,
                    files: 1,
                    bytes: size,
                });
            }
        }
        Ok(())
    }
}
