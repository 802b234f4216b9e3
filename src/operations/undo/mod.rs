//! Taking a restore back: what it replaced returns, and what it brought goes.
//!
//! Each restore writes a record before its first change. An undo goes by the record, and not by the
//! backup, which may be gone. It is an operation that changes live data as a restore does: it has
//! the same restore marker, and a record of its own, by which it can be taken back too.

mod changes;
mod decide;
mod expiry;
mod find;
mod finish;
mod interrupted;
mod kept;
mod lines;
mod listing;
mod options;
mod pending;
mod plan;
mod record;
mod remove;
mod run;
mod sections;
mod stack;

pub(crate) use expiry::remove_expired;
pub use listing::SetAsideFiles;
pub use options::UndoRequest;
pub use plan::UndoPlan;
pub(crate) use record::{Record, remove_leftovers};
pub(crate) use run::run;
pub(crate) use stack::could_be_undone;
