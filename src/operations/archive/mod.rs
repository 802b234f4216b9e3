//! Archives of one backup: a tar stream, compressed with zstd.
//!
//! `{backup_id}/manifest.json` comes first, then the inventory, then Arc's list of the data files
//! where the backup has one, then every file in the order of the inventory. So an archive can be
//! checked while it is read, and unpacked by hand it is the folder of a backup that is whole by
//! itself.

mod read;
mod write;

pub(crate) use read::ArchiveReader;
pub(crate) use write::ArchiveWriter;

/// How many pieces wait between the thread of an archive and whoever works with it.
const PIECES: usize = 4;
/// How much is read from an archive at once.
const PIECE_BYTES: usize = 256 << 10;
