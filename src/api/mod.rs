//! The REST surface: Arc's six endpoints behind Arc's tokens, and a few beside them.

mod answers;
mod app;
mod check;
mod connections;
mod constraints;
mod document;
mod extract;
mod faults;
mod list;
mod methods;
mod requests;
mod routes;
mod server;
mod starting;
#[cfg(test)]
mod tests;

pub(crate) use answers::idle_answer;
pub use answers::{list_answer, manifest_answer};
pub use app::{app, document};
pub use server::Server;
