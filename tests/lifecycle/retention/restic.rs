//! The same rules over the same times as a restic that is installed.
//!
//! `src/retention/tests/restic.rs` compares with recorded answers, and names the differences.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use arc_backup::{Candidate, Rules, evaluate};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::support::{text, xorshift};

const ZONE: &str = "Europe/Berlin";

fn restic(folder: &Path, zone: &str, arguments: &[&str]) -> Value {
    let output = Command::new("restic")
        .args(arguments)
        .arg("--json")
        .env("RESTIC_REPOSITORY", folder.join("repo"))
        .env("RESTIC_PASSWORD", "x")
        .env("RESTIC_CACHE_DIR", folder.join("cache"))
        .env("TZ", zone)
        .output()
        .unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", text(&output));
    serde_json::from_slice(&output.stdout).unwrap_or_default()
}

/// Guards against: rules that keep other backups than the restic of this machine does.
#[test]
#[ignore = "needs restic, and takes a minute"]
fn the_kept_set_is_that_of_the_installed_restic() {
    let folder = tempfile::tempdir().unwrap();
    let (folder, zone) = (folder.path(), TimeZone::get(ZONE).unwrap());
    std::fs::write(folder.join("file"), "x").unwrap();
    restic(folder, ZONE, &["init"]);
    let mut random = xorshift(17);
    // Around the end of the summer time of 2025, and the end of that year.
    let first: Timestamp = "2025-10-25T12:00:00Z".parse().unwrap();
    let mut moments = BTreeSet::new();
    for number in 0..50 {
        let hours = match number {
            0..25 => number * 2,
            _ => random(24 * 70) as i64,
        };
        moments.insert(first + SignedDuration::from_hours(hours));
    }
    let file = folder.join("file").display().to_string();
    for moment in &moments {
        // In a zone without changes, as a local time may come twice.
        let offset = zone.to_offset(*moment).seconds() / 3600;
        let fixed = format!("Etc/GMT{:+}", -offset);
        let local = TimeZone::get(&fixed).unwrap().to_datetime(*moment);
        let local = local.strftime("%Y-%m-%d %H:%M:%S").to_string();
        restic(
            folder,
            &fixed,
            &["backup", "--host", "h", "--time", &local, &file],
        );
    }
    let backups: Vec<_> = (moments.iter())
        .map(|moment| Candidate::new(moment.to_string(), *moment))
        .collect();
    for text in [
        "keep_last = 3",
        "keep_hourly = 30",
        "keep_daily = 20",
        "keep_weekly = 4",
        "keep_monthly = 2",
        "keep_yearly = 9",
        "keep_within = \"1m3d\"",
        "keep_daily = 7\nkeep_weekly = 4\nkeep_within = \"2d5h\"",
    ] {
        let rules: Rules = toml::from_str(text).unwrap();
        let mut arguments = ["forget", "--dry-run", "--group-by", ""]
            .map(str::to_owned)
            .to_vec();
        for (key, value) in rules.to_map() {
            arguments.push(format!("--{}", key.replace('_', "-")));
            arguments.push(value.as_str().map_or(value.to_string(), str::to_owned));
        }
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        let answer = restic(folder, ZONE, &arguments);
        let kept: BTreeSet<Timestamp> = (answer[0]["keep"].as_array().unwrap().iter())
            .map(|one| one["time"].as_str().unwrap().parse().unwrap())
            .collect();
        let decisions = evaluate(&backups, &rules, &zone, Timestamp::now());
        let ours: BTreeSet<Timestamp> = (decisions.iter())
            // Before 0.16, restic has no rule for the oldest.
            .filter(|one| one.keep && !one.reasons.iter().all(|why| why.starts_with("oldest")))
            .map(|one| one.id.parse().unwrap())
            .collect();
        let oldest = moments.first().copied().into_iter().collect();
        let more: BTreeSet<_> = kept.difference(&ours).copied().collect();
        assert!(more.is_empty() || more == oldest, "{text}: {more:?}");
        assert!(ours.is_subset(&kept), "{text}");
    }
}
