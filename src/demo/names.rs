//! The names of the files and folders of a sample instance, relative to its folder.

/// Written when everything else exists.
pub(super) const MARKER: &str = ".arc-backup-demo.json";
/// The marker while it is written.
pub(super) const PARTIAL_MARKER: &str = ".arc-backup-demo.json.tmp";
/// Written first and removed last; locked while the sample is made.
pub(super) const PARTIAL: &str = ".arc-backup-demo.partial";
pub(super) const CONFIG: &str = "arc.toml";
pub(super) const PRIVATE_FOLDER: &str = "data";
pub(super) const STORAGE: &str = "data/arc";
pub(super) const DATABASE: &str = "data/arc.db";
/// Files that SQLite keeps beside the database.
pub(super) const DATABASE_COMPANIONS: [&str; 3] =
    ["data/arc.db-wal", "data/arc.db-shm", "data/arc.db-journal"];
