//! A Parquet file that was damaged before it was backed up.

use poem_openapi::Object;

use crate::manifest;

/// A Parquet file that was damaged in the source already.
#[derive(Debug, Clone, PartialEq, Eq, Object)]
pub(in crate::api) struct DamagedFile {
    /// Its path, as the inventory has it.
    pub(in crate::api) path: String,
    /// What is wrong with it: `empty`, `not-parquet`, `torn`, `bad-footer` or `encrypted-footer`.
    pub(in crate::api) damage: String,
    /// The same for people.
    pub(in crate::api) detail: String,
}

impl From<manifest::DamagedFile> for DamagedFile {
    fn from(file: manifest::DamagedFile) -> Self {
        let manifest::DamagedFile {
            path,
            damage,
            detail,
        } = file;
        Self {
            path,
            damage,
            detail,
        }
    }
}
