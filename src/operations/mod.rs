//! Operations: the one slot, progress, cancel, history; and what each operation does.

mod backup;
mod clean_up;
mod context;
mod delete;
mod engine;
mod entries;
mod fence;
mod flush;
mod history;
mod holder;
mod incomplete;
mod instance_id;
mod instance_lock;
mod left_out;
mod locate;
mod marker;
mod operation;
mod presence;
mod request;
mod restore;
mod reuse;
mod room;
mod rotation;
mod running;
mod running_arc;
mod scratch;
mod section;
mod staging;
mod start;
mod sweep;
mod trust;
mod verify;

pub(crate) use flush::{Reach, examine as examine_arc};

pub use engine::{ArcBackup, ListAnswer, TargetError};
pub use history::History;
pub use holder::Holder;
pub use operation::{InterruptedRun, Operation, Problem, RestoreInProgress, Sample, Status};
pub use request::Request;
pub use restore::{ExtraFilesPolicy, RestoreOptions};
pub use running::{Running, Who};
pub use sweep::Sweep;
pub use verify::VerifyMode;
