//! Making written files durable.

use std::time::Duration;

use arc_backup_core::{Activity, Durability, Result};

/// How often it is checked how much is left to be written.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// Makes everything durable that was written since `durability` was opened. The kernel does not
/// report progress: that less and less is left to be written shows it.
pub(crate) async fn sync(durability: &dyn Durability, activity: &Activity) -> Result<()> {
    let watch = async {
        let mut least = u64::MAX;
        loop {
            tokio::time::sleep(CHECK_INTERVAL).await;
            if let Some(left) = unwritten_kib().filter(|left| *left < least) {
                least = left;
                activity.note();
            }
        }
    };
    tokio::select! {
        biased;
        synced = durability.sync() => synced,
        () = watch => unreachable!("it never ends"),
    }
}

/// How much this machine has still to write to its disks, in KiB: `Dirty` and `Writeback` of
/// `/proc/meminfo`.
fn unwritten_kib() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let of = |name: &str| -> Option<u64> {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_ascii_whitespace().next()?.parse().ok()
    };
    Some(of("Dirty:")? + of("Writeback:")?)
}
