//! REST: Arc's six endpoints behind Arc's tokens, and a few of the tool's own.

mod app;
mod connections;
mod constraints;
mod document;
mod endpoints;
mod error;
mod examples;
mod extract;
mod file_path;
mod head;
mod idempotency;
mod inside_examples;
mod list_parameters;
mod methods;
mod parameters;
mod query;
mod range;
mod requests;
mod routes;
mod schedule_examples;
mod schema;
mod server;
mod shared;
mod starting;
mod tag;
#[cfg(test)]
mod tests;
pub(crate) mod types;
mod undo_examples;
mod waiting;

pub use app::{app, document};
pub use server::Server;
