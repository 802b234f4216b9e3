//! The REST surface: Arc's six endpoints behind Arc's tokens, and a few beside them.

mod answers;
mod app;
mod extract;
mod faults;
mod routes;

pub use answers::{list_answer, manifest_answer};
pub use app::{app, document};
