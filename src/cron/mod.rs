//! Cron expressions and the moments that they name: pure functions of time.

mod expression;
mod next;
mod timing;

pub use expression::{Cron, CronFault};
pub use next::{latest_until, next_after};
pub use timing::Timing;
