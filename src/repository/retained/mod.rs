//! Deleting backups whose files others need.
//!
//! A backup may *refer* to files in the folder of another one of the same target: its manifest
//! names that one in `stored_in`, and so does each such line of its inventory. The other one
//! *holds* the bytes. It may be deleted all the same. The files that other backups need stay in its
//! folder then, and `{backup_id}/retained.jsonl` lists them.
//!
//! # The states of a folder
//!
//! | manifest | list | it is |
//! |---|---|---|
//! | yes | no | a backup |
//! | yes | yes | a backup: its deletion was interrupted before it began |
//! | no | yes | of a deleted backup: it is neither listed nor damaged |
//! | no | no | unfinished, where a journal names it; else damaged |
//!
//! Only manifests say who needs what. A list is worked out from the manifests and inventories of
//! all other backups that are published at that moment, and names those that need something. An
//! inventory never changes, and a backup made later needs of the folder only what its base does. So
//! a list is exact as long as all that it names are there.
//!
//! # The steps of a deletion of X
//!
//! 1. Work out what other backups need of X. Where that can't be known, X is not deleted.
//! 2. Journal of X.
//! 3. If something is needed: the list of X, durable, then its entry in the index. Else a list and
//!    an entry of an earlier deletion are removed.
//! 4. The manifest of X goes. From here on X is deleted.
//! 5. Every file of X that the list does not name goes, and the note of X.
//! 6. For each deleted backup H of which X needed files: its list is worked out again without X.
//!    Where it differs, it is written first; then the files that it does not name go. Where nobody
//!    refers to H any more, its folder goes, and then its entry in the index.
//! 7. The journal ends.
//!
//! # What a death leaves
//!
//! - Until 4, X is a backup. A sweep removes list and entry, and ends the journal.
//! - After 4, X has a list, and its files are a superset of those: nothing that is needed is
//!   missing. Or X has no list: nobody needed anything of it, nor can a backup made since, as X had
//!   no manifest. A sweep, also that of the next backup, finishes 5 by the list.
//! - In 6, the list of H is the old one or the new one. Both name all that is needed, as a list is
//!   replaced at once and before the first file goes. What is too much is found by comparing the
//!   list with the manifests: by the same deletion when it is run again, and by a sweep.
//!
//! An unfinished backup refers to nothing yet: its base can't be deleted meanwhile, as both hold
//! the target's lock. A backup over several targets has a manifest in each, and a leg refers to
//! folders of its own target only.

mod index;
mod lines;
mod list;
mod needed;
mod references;
mod removal;
mod sweep;
mod walk;

pub(crate) use removal::{Count, Planned, Removal};
pub use sweep::Unneeded;
pub use walk::Freed;
pub(crate) use walk::Mode;
