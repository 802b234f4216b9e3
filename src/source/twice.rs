//! Rows that would be served twice: outputs of compaction in the cold tier beside restored inputs.

use arc_backup_core::Key;

use super::compaction::{is_output, unit_of};
use super::named::Named;

/// Looks for outputs in the cold tier that the backup does not hold, in units of which hot files
/// are restored. The keys come in byte order, so those of a unit come together.
#[derive(Debug, Default)]
pub(super) struct Twice {
    unit: String,
    has_restored: bool,
    outputs: Vec<Key>,
    found: Named,
}

impl Twice {
    /// Notes that a hot file is restored, which was not live.
    pub(super) fn restored(&mut self, key: &Key) {
        self.enter(key);
        self.has_restored = true;
    }

    /// Notes an extra object of the cold tier.
    pub(super) fn extra(&mut self, key: &Key) {
        if is_output(key) {
            self.enter(key);
            self.outputs.push(key.clone());
        }
    }

    fn enter(&mut self, key: &Key) {
        let unit = unit_of(key);
        if unit != self.unit {
            self.end_unit();
            unit.clone_into(&mut self.unit);
        }
    }

    fn end_unit(&mut self) {
        for output in self.outputs.drain(..).filter(|_| self.has_restored) {
            self.found.add(&output);
        }
        self.has_restored = false;
    }

    /// What there is to say, after the last key.
    pub(super) fn finished(&mut self) -> Option<String> {
        self.end_unit();
        self.found.to_text(
            "of the cold tier were made by compaction after this backup, of files that it restores: rows are served \
             twice until one of the two is gone",
        )
    }
}
