//! The kinds of storage, target and source.
//!
//! The only place that names a backend: a further one is a crate, a feature, a file here that
//! describes it, and its line in `backends.rs`. A third party's binary adds its own before it calls
//! [`crate::main`].

mod azure;
mod backend_kind;
mod backends;
mod local;
mod new_instances;
#[allow(
    clippy::module_inception,
    reason = "the table of contents and the type have the same noun"
)]
mod registry;
mod s3;
#[cfg(all(test, feature = "local", feature = "s3", feature = "azure"))]
mod tests;
mod warehouse;

pub(crate) use new_instances::NewInstances;
pub use new_instances::{SinkWrapper, SourceWrapper};
pub use registry::{Registry, SinkConstructor, SourceConstructor};
