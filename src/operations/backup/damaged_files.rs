//! Parquet files that were damaged in the source already: a backup has them as they are, and says
//! so.

use crate::manifest::{DamagedFile, Record};
use crate::operations::context::Context;

/// How many a manifest names.
const SAMPLE: usize = 1_000;
/// How many the status names.
const OF_STATUS: usize = 20;
/// How many a warning names.
const OF_WARNING: usize = 3;

/// Those of a backup, or of one of its legs.
#[derive(Debug, Default)]
pub(crate) struct DamagedFiles {
    /// How many.
    pub(crate) count: u64,
    /// The first of them.
    pub(crate) sample: Vec<DamagedFile>,
}

impl DamagedFiles {
    /// Takes up a file, if it is damaged.
    pub(crate) fn add(&mut self, record: &Record) {
        let Some(damage) = record.entry.damage else {
            return;
        };
        self.count += 1;
        if self.sample.len() < SAMPLE {
            self.sample.push(DamagedFile {
                path: record.path.to_string(),
                damage: damage.as_str().to_owned(),
                detail: damage.to_string(),
            });
        }
    }

    /// Reports them to the operator.
    pub(crate) fn report(&self, context: &Context) {
        if self.count == 0 {
            return;
        }
        context.running.update(|operation| {
            *operation.damaged_files.get_or_insert(0) += self.count;
            let room = OF_STATUS.saturating_sub(operation.damaged_sample.len());
            let named = self.sample.iter().take(room).cloned();
            operation.damaged_sample.extend(named);
        });
        let named: Vec<_> = (self.sample.iter().take(OF_WARNING))
            .map(|file| format!("`{}` {}", file.path, file.detail))
            .collect();
        let more = match self.count.saturating_sub(named.len() as u64) {
            0 => String::new(),
            more => format!("; and {more} more"),
        };
        context.warn(format!(
            "damaged source files: {}: the backup has them as they are: {}{more}",
            self.count,
            named.join("; ")
        ));
    }
}
