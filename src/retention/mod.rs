//! Retention: which backups rules keep, and which they do not.
//!
//! Nothing here reads or writes a store: [`evaluate`] decides over ids, times and states alone, so
//! that years of backups are decided in a moment. `operations/prune/` lists, asks and deletes.

mod candidate;
mod evaluate;
mod policies;
mod pool;
mod rules;
#[cfg(test)]
mod tests;
mod within;

pub use candidate::{Candidate, CandidateState, Fault, Pinned, Unknown};
pub use evaluate::{Decision, evaluate, evaluate_all};
pub use policies::{Policies, Policy};
pub use rules::Rules;
pub use within::Within;
