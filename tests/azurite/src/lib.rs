//! Azurite, Microsoft's own emulator of Azure Blob Storage, for tests.
//!
//! Tests against it speak the real protocol with the real checks (signatures, MD5, leases, block
//! lists) and need no account. It is installed once into the workspace's `target/azurite` through
//! npm, started by the first test that asks, and ends with the process that started it, however
//! that one ends.
//!
//! - [`Azurite`]: the server, its account, shared access signatures, and a plain signed request for
//!   what a sink does not do.
//! - [`Proxy`]: a reverse proxy with faults on demand, and counters of requests.

mod install;
mod proxy;
mod server;
mod sign;

pub use proxy::{Fault, Proxy, Request};
pub use server::{ACCOUNT, Answer, Azurite, KEY, Lasts};
