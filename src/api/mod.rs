//! The REST surface: Arc's six endpoints behind Arc's tokens, and a few beside them.

mod answers;
mod app;
mod check;
mod connections;
mod constraints;
mod document;
mod examples;
mod extract;
mod faults;
mod idempotency;
mod list;
mod manifest;
mod methods;
mod query;
mod requests;
mod routes;
mod schema;
mod server;
mod starting;
#[cfg(test)]
mod tests;
mod waiting;

pub(crate) use answers::idle_answer;
pub use answers::{list_answer, manifest_answer};
pub use app::{app, document};
pub use server::Server;
