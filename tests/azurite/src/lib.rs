//! Azurite, Microsoft's own emulator of Azure Blob Storage, for tests.
//!
//! Tests against it use the real protocol with the real checks (signatures, MD5, leases, block
//! lists) and need no account. npm installs it once into the workspace's `target/azurite`. The
//! first test that asks starts it. It ends with the process that started it, however that process
//! ends.
//!
//! - [`Azurite`]: the server, its account, shared access signatures, and a signed request for tests
//!   that need more than a sink offers.
//! - [`Proxy`]: a reverse proxy with faults on demand, and counters of requests.

mod install;
mod proxy;
mod server;
mod sign;

pub use proxy::{Fault, Proxy, Request};
pub use server::{ACCOUNT, Answer, Azurite, KEY, Lasts};
