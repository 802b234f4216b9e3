//! The files that the bases of a backup have, unchanged: a snapshot need not hold them.

use std::iter::Peekable;
use std::sync::Arc;

use arc_backup_core::{
    Databases, EntityTag, Entry, Error as CoreError, KnownFiles, KnownReader, Section,
};

use crate::manifest::{Inventory, Record};
use crate::operations::backup::base::Base;
use crate::operations::backup::same_file::{self, Moments};
use crate::operations::entries::to_core;
use crate::{Error, Result};

/// The unchanged files of a section, by the lists of the bases.
#[derive(Debug)]
pub(crate) struct Known {
    section: Section,
    tags: EntityTag,
    parts: Vec<Part>,
}

/// The base of one leg.
#[derive(Debug)]
struct Part {
    databases: Databases,
    inventory: Inventory,
    moments: Moments,
}

impl Known {
    /// Those of `section` that these bases have, each of its databases. `None` without a base.
    pub(crate) fn in_bases<'a>(
        section: &Section,
        tags: EntityTag,
        bases: impl IntoIterator<Item = (Databases, &'a Base)>,
    ) -> Option<Arc<dyn KnownFiles>> {
        let parts: Vec<_> = (bases.into_iter())
            .map(|(databases, base)| Part {
                databases,
                inventory: base.inventory.clone(),
                moments: base.moments,
            })
            .collect();
        let section = section.clone();
        (!parts.is_empty()).then(|| {
            Arc::new(Self {
                section,
                tags,
                parts,
            }) as Arc<dyn KnownFiles>
        })
    }
}

impl KnownFiles for Known {
    fn reader(&self) -> Result<Box<dyn KnownReader>, CoreError> {
        let mut parts = Vec::new();
        for part in &self.parts {
            let records = part.inventory.records_of(&self.section).map_err(to_core)?;
            let records: Records = Box::new(records);
            parts.push(Cursor {
                databases: part.databases.clone(),
                moments: part.moments,
                records: records.peekable(),
            });
        }
        Ok(Box::new(Reader {
            tags: self.tags,
            parts,
        }))
    }
}

type Records = Box<dyn Iterator<Item = Result<Record>> + Send>;

struct Reader {
    tags: EntityTag,
    parts: Vec<Cursor>,
}

/// How far the list of a base is read.
struct Cursor {
    databases: Databases,
    moments: Moments,
    records: Peekable<Records>,
}

impl KnownReader for Reader {
    fn is_known(&mut self, entry: &Entry) -> Result<bool, CoreError> {
        let holds = |part: &&mut Cursor| part.databases.contain(&entry.key);
        let Some(part) = self.parts.iter_mut().find(holds) else {
            return Ok(false);
        };
        let found = part.at(entry).map_err(to_core)?;
        Ok(found.is_some_and(|base| {
            same_file::check(&base.entry, entry, self.tags, &part.moments).is_ok()
        }))
    }
}

impl Cursor {
    /// The record of the file at the entry's key.
    fn at(&mut self, entry: &Entry) -> Result<Option<Record>, Error> {
        let is_before = |record: &Result<Record>| match record {
            Ok(record) => record.entry.key < entry.key,
            Err(_) => false,
        };
        while self.records.next_if(is_before).is_some() {}
        let is_here = |record: &Result<Record>| match record {
            Ok(record) => record.entry.key == entry.key,
            Err(_) => true,
        };
        self.records.next_if(is_here).transpose()
    }
}
