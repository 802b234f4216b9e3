//! What every sink over a network needs, written once: retries, a pace, bounded buffers, resumed reads.
//!
//! A backend knows its store's requests and errors. How often a request is tried, how long silence is borne, how
//! many requests are under way and how much memory their bodies take is decided here, the same for all.
//!
//! - [`Caller`]: does one request, with retries (full jitter), a limit on silence, and an adaptive [`Pace`].
//! - [`Budget`]: how many bytes of bodies are held at once.
//! - [`read_ranges`]: reads an object, several ranges at once where it is large, and resumes where a stream breaks.
//! - [`Background`]: what drops begin: aborts of uploads, releases of locks.
//! - [`is_failed_lookup`], [`clock_fault`]: faults that are no store's: a name that is not found, a clock that is wrong.
//! - [`Parts`]: collects what is written into parts, uploads several at once, and sizes them so that any object fits.

mod background;
mod budget;
mod call;
mod clock;
mod lookup;
mod pace;
mod parts;
mod read;

pub use background::Background;
pub use budget::{Budget, Reservation};
pub use call::{Beat, Caller, RetryPolicy};
pub use clock::{SET_CLOCK, clock_fault};
pub use lookup::{LOOKUP_TRIES, is_failed_lookup};
pub use pace::Pace;
pub use parts::{Collected, PartLimits, PartSink, Parts};
pub use read::{RangeReader, ReadPlan, read_ranges};
