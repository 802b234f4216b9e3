//! An S3 server in process, for tests: [`s3s`] over a store in memory, with faults on demand.
//!
//! It exists because no small server has all that the product relies on: entity tags in listings,
//! pages that cost a page, conditional writes, unfinished uploads that can be listed, and checksums
//! that are checked and returned. It supports only the requests of arc-backup, and has S3's limits
//! where they matter (parts, keys in one delete).
//!
//! ```
//! use arc_backup_test_s3::{Fault, Rule, S3Server, ServerOptions, Verb, When};
//!
//! let server = S3Server::start(ServerOptions::default())?;
//! server.fault(Rule::new(Fault::SlowDown).verb(Verb::PutObject).when(When::First(2)));
//! println!("{} {}", server.endpoint(), server.options().access_key);
//! assert_eq!(server.count(Verb::PutObject), 0);
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! - `server`: the [`S3Server`], its options, and methods that inspect its content.
//! - `fault`, `layer`: the faults and their rules, and the layer in front of the store that applies
//!   them.
//! - `service`, `multipart`, `listing`: the requests.
//! - `store`, `blob`, `checks`: the stored objects and their checksums.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a server for tests ends where something is not as it should be"
)]

mod blob;
mod checks;
mod fault;
mod layer;
mod listing;
mod multipart;
mod server;
mod service;
mod store;

pub use fault::{Fault, Rule, Verb, When};
pub use server::{Listings, S3Server, ServerOptions};
