//! What an import is asked for.

use std::path::{Path, PathBuf};

use super::head;
use crate::Result;
use crate::manifest::BackupId;
use crate::operations::archive::ArchiveReader;

/// Which archive to import, and where to.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ImportOptions {
    /// The archive.
    pub file: PathBuf,
    /// The backup in it.
    pub id: BackupId,
    /// The target to import it into; `None` for the default one.
    pub target: Option<String>,
}

impl ImportOptions {
    /// An import of the archive `file`, whose manifest is read to know which backup it is.
    ///
    /// # Errors
    /// Where the file can't be read, or does not begin as an archive of a backup does.
    pub async fn read(file: &Path, target: Option<String>) -> Result<Self> {
        let (id, _) = head::manifest(&mut ArchiveReader::open(file).await?).await?;
        Ok(Self {
            file: file.to_owned(),
            id,
            target,
        })
    }
}
