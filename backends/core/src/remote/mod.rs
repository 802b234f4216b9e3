//! What every sink over a network needs, written once: retries, a limit on requests, bounded
//! buffers, resumed reads.
//!
//! A backend knows its store's requests and errors. How often a request is attempted, how long
//! silence may last, how many requests are under way and how much memory their bodies take is
//! decided here, the same for all.
//!
//! - [`Retrier`]: does one request, with retries (full jitter), a limit on silence, and an adaptive
//!   [`ConcurrencyLimit`].
//! - [`Budget`]: how many bytes of bodies are held at once.
//! - [`read_ranges`]: reads an object, several ranges at once where it is large, and resumes where
//!   a stream breaks.
//! - [`Background`]: what drops begin: aborts of uploads, releases of locks.
//! - [`is_failed_lookup`], [`clock_fault`]: faults that are not the store's: a name that is not
//!   found, a clock that is wrong.
//! - [`Parts`]: collects what is written into parts, uploads several at once, and sizes them so
//!   that any object fits.

mod background;
mod budget;
mod clock;
mod concurrency_limit;
mod lookup;
mod parts;
mod read;
mod retry;

pub use background::Background;
pub use budget::{Budget, Reservation};
pub use clock::{SET_CLOCK, clock_fault};
pub use concurrency_limit::ConcurrencyLimit;
pub use lookup::{LOOKUP_MAX_ATTEMPTS, is_failed_lookup};
pub use parts::{Collected, PartLimits, PartSink, Parts};
pub use read::{RangeReader, ReadPlan, read_ranges};
pub use retry::{Heartbeat, Retrier, RetryPolicy};
