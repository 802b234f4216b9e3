//! The one copy engine: a plan of entries goes from a reader to a writer.
//!
//! Each file is read once, hashed while it streams, and written once; several at a time, in a fixed
//! amount of memory. Backup, restore and verify are plans over it; verify has no writer. The engine
//! knows nothing of Parquet, S3 or HTTP.

mod copy;
mod fault;
mod inspect;
mod pieces;
mod progress;

pub use copy::{Outcome, Plan, Reader, Writer};
pub use fault::CopyFault;
pub use inspect::{Findings, Inspect, Inspector, inspect_nothing};
pub use pieces::pieces;
pub use progress::Progress;
