//! Operations: the one slot, progress, cancel, history; and what each operation does.

mod backup;
mod context;
mod engine;
mod history;
mod holder;
mod operation;
mod presence;
mod restore;
mod running;
mod verify;

pub use engine::{ArcBackup, ListAnswer, Request, TargetError};
pub use history::History;
pub use holder::Holder;
pub use operation::{Operation, Problem};
pub use restore::{ExtraFilesPolicy, RestoreOptions};
pub use running::{Running, Who};
pub use verify::VerifyMode;
