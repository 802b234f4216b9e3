//! The REST surface: Arc's six endpoints behind Arc's tokens, and a few beside them.

mod answers;
mod app;
mod document;
mod extract;
mod faults;
mod requests;
mod routes;
mod starting;
#[cfg(test)]
mod tests;

pub(crate) use answers::idle_answer;
pub use answers::{list_answer, manifest_answer};
pub use app::{app, document};
