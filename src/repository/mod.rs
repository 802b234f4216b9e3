//! The backups in a target: list, load, publish, delete, sweep, lock.

mod arcs_inventory;
mod damage;
mod elsewhere;
mod holder_listings;
mod incomplete;
mod incomplete_view;
mod journal;
mod layout;
mod legs;
mod list_cache;
mod listed_notes;
mod listing;
mod lock;
mod note_update;
mod notes;
mod read;
mod reader;
mod readers;
mod removal;
mod retained;
mod run_index;
mod state;
mod stored;
mod summary;
mod target;

pub(crate) use damage::Damage;
pub(crate) use holder_listings::HolderListings;
pub use incomplete::Incomplete;
pub(crate) use journal::DELETE;
pub(crate) use journal::Unfinished;
pub use journal::{Journal, Swept};
pub(crate) use layout::{
    file_key, file_list_key, folder, inventory_key, location_of, manifest_key, own, retained_key,
    run_index_key,
};
pub(crate) use legs::fault_of_leg;
pub use listing::{Damaged, Freshness, Listing, Unreadable};
pub use notes::{LastVerified, Note, Pin, SampleCursor};
pub use read::Loaded;
pub use reader::BackupReader;
pub(crate) use readers::DELETERS;
pub(crate) use retained::{Count, Mode, Planned, Removal};
pub use retained::{Freed, Unneeded};
pub(crate) use run_index::RunIndex;
pub use state::BackupState;
pub(crate) use stored::{StoredLog, StoredReader};
pub use summary::{Leg, Summary};
pub(crate) use summary::{is_in_force, new_bytes, sort_newest_first};
pub use target::Repository;

pub use crate::UnreadableState;
pub use crate::holder::Holder;
