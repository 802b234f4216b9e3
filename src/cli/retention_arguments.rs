//! The arguments of `prune`, `pin` and `unpin`.

use clap::Args;
use jiff::Timestamp;

use super::wait_arguments::WaitArguments;
use crate::operations::{PruneOptions, TimeLimit};
use crate::retention::{Rules, Within};
use crate::times;

#[derive(Debug, Args)]
pub(super) struct PruneArguments {
    #[command(flatten)]
    rules: RuleArguments,
    /// The target to prune [default: backup.default_target, else local].
    #[arg(long, value_name = "NAME")]
    target: Option<String>,
    /// Prune backups of other instances and of Arc too. Each instance has places of its own.
    #[arg(long)]
    include_foreign: bool,
    /// Delete what the plan says. Without it the plan is printed, and nothing is done.
    #[arg(long)]
    pub(super) confirm: bool,
    /// How long it may take, such as 6h; 0 is no limit [default: backup.timeout, else 2h].
    #[arg(long, value_name = "DURATION", value_parser = TimeLimit::parse)]
    pub(super) timeout: Option<TimeLimit>,
    #[command(flatten)]
    pub(super) busy: WaitArguments,
}

impl PruneArguments {
    pub(super) fn options(&self) -> PruneOptions {
        let mut options = PruneOptions::of(self.target.clone());
        options.rules = self.rules.rules();
        options.include_foreign = self.include_foreign;
        options
    }
}

/// Rules in place of all that are configured. A backup that one of them keeps is kept.
#[derive(Debug, Clone, Args)]
struct RuleArguments {
    /// Keep the newest N backups. The rules given here replace all that are configured; 0 switches
    /// a rule off.
    #[arg(long, value_name = "N")]
    keep_last: Option<u64>,
    /// Keep the newest backup of each hour, for N hours that have one.
    #[arg(long, value_name = "N")]
    keep_hourly: Option<u64>,
    /// The same of days.
    #[arg(long, value_name = "N")]
    keep_daily: Option<u64>,
    /// The same of weeks, Monday to Sunday.
    #[arg(long, value_name = "N")]
    keep_weekly: Option<u64>,
    /// The same of months.
    #[arg(long, value_name = "N")]
    keep_monthly: Option<u64>,
    /// The same of years.
    #[arg(long, value_name = "N")]
    keep_yearly: Option<u64>,
    /// Keep all that are within this time of the newest good one, such as 2y5m7d3h.
    #[arg(long, value_name = "TIME", value_parser = within)]
    keep_within: Option<Within>,
}

impl RuleArguments {
    /// The rules, if any is given.
    fn rules(&self) -> Option<Rules> {
        let numbers = [
            self.keep_last,
            self.keep_hourly,
            self.keep_daily,
            self.keep_weekly,
            self.keep_monthly,
            self.keep_yearly,
        ];
        let is_given = numbers.iter().any(Option::is_some) || self.keep_within.is_some();
        let [last, hourly, daily, weekly, monthly, yearly] = numbers.map(Option::unwrap_or_default);
        is_given.then_some(Rules {
            keep_last: last,
            keep_hourly: hourly,
            keep_daily: daily,
            keep_weekly: weekly,
            keep_monthly: monthly,
            keep_yearly: yearly,
            keep_within: self.keep_within,
        })
    }
}

#[derive(Debug, Args)]
pub(super) struct PinArguments {
    /// The backup: its id, the beginning of it, or `latest`.
    pub(super) id: String,
    /// Why, for whoever finds it.
    #[arg(long, value_name = "TEXT")]
    pub(super) reason: Option<String>,
    /// Until when: a date, which is the end of it, a time in RFC 3339, or a time from now such as
    /// 30d [default: for ever].
    #[arg(long, value_name = "TIME", value_parser = until)]
    pub(super) until: Option<Timestamp>,
    /// The target that holds it; needed where several do.
    #[arg(long, value_name = "NAME")]
    pub(super) target: Option<String>,
    #[command(flatten)]
    pub(super) busy: WaitArguments,
}

#[derive(Debug, Args)]
pub(super) struct UnpinArguments {
    /// The backup: its id, the beginning of it, or `latest`.
    pub(super) id: String,
    /// The target that holds it; needed where several do.
    #[arg(long, value_name = "NAME")]
    pub(super) target: Option<String>,
    #[command(flatten)]
    pub(super) busy: WaitArguments,
}

fn within(text: &str) -> Result<Within, String> {
    Within::parse(text).ok_or_else(|| format!("expected {}", Within::FORM))
}

fn until(text: &str) -> Result<Timestamp, String> {
    let moment = times::parse_until(text, Timestamp::now());
    moment.ok_or_else(|| format!("expected {}", times::UNTIL_FORM))
}
