//! Files that a warning is about.

use arc_backup_core::Key;

/// How many files of a kind are named in a warning.
const SAMPLE: usize = 3;

/// How many files there are of a kind, and the first of them.
#[derive(Debug, Clone, Default)]
pub(super) struct Named {
    pub(super) count: u64,
    sample: Vec<String>,
}

impl Named {
    pub(super) fn add(&mut self, key: &Key) {
        self.count += 1;
        if self.sample.len() < SAMPLE {
            self.sample.push(key.to_string());
        }
    }

    pub(super) fn to_text(&self, what: &str) -> Option<String> {
        let more = if self.count > self.sample.len() as u64 {
            ", …"
        } else {
            ""
        };
        let text = format!(
            "{} files {what} ({}{more})",
            self.count,
            self.sample.join(", ")
        );
        (self.count > 0).then_some(text)
    }
}
