//! Random sets of schedules over simulated years.

use super::*;

/// Guards against: a run that is lost, repeated or made beside another one by any sequence of
/// kills, long operations, busy targets, pauses and clocks that jump.
#[test]
fn each_scheduled_time_runs_once_or_has_a_reason() {
    for seed in 0..3 {
        random_years(seed, 1);
    }
}

/// The same for longer.
#[test]
#[ignore = "a minute: 500 random sets of schedules over five years each"]
fn each_scheduled_time_runs_once_or_has_a_reason_for_longer() {
    for seed in 1000..1500 {
        random_years(seed, 5);
    }
}

fn random_timing(random: &mut fastrand::Rng, name: &str) -> Timing {
    let zones = [
        "UTC",
        "Europe/Berlin",
        "America/New_York",
        "Australia/Lord_Howe",
    ];
    let crons = [
        "0 */6 * * *",
        "30 2 * * *",
        "15 3 * * MON",
        "0 0 1 * *",
        "0 0 29 2 *",
        "@daily",
        "45 2,14 * * *",
        "17 */3 * * *",
    ];
    let mut timing = timing(
        name,
        crons[random.usize(0..crons.len())],
        zones[random.usize(0..4)],
    );
    timing.jitter = Duration::from_secs([0, 300, 20_000][random.usize(0..3)]);
    timing.run_missed = random.u8(0..4) > 0;
    timing
}

fn random_years(seed: u64, years: i64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let names = ["a", "b", "c"];
    let timings: Vec<_> = (names.iter())
        .map(|name| random_timing(&mut random, name))
        .collect();
    let mut world = World::new(timings, "2027-01-01T12:34:56Z");
    let began = world.now;
    let end = began + SignedDuration::from_hours(24 * 365 * years);
    let mut latest = began;
    let mut at_work: Option<(String, Timestamp)> = None;
    let mut is_paused: BTreeMap<String, Timestamp> = BTreeMap::new();
    while world.now < end {
        let minutes = |from: i64, to: i64, random: &mut fastrand::Rng| {
            SignedDuration::from_mins(random.i64(from..to))
        };
        match random.u32(0..1000) {
            // Killed, and started later.
            0..8 => {
                world.now += minutes(0, 5000, &mut random);
                at_work = None;
                world.restart();
                for (name, at) in &is_paused {
                    world.machine.switch(name, Some(true), *at);
                }
            }
            8..12 => {
                let back = minutes(0, 24 * 60, &mut random);
                world.now = (world.now - back).max(latest - SignedDuration::from_hours(24));
            }
            12..14 => world.now += minutes(0, 10_000, &mut random),
            14..20 => {
                let name = names[random.usize(0..3)];
                let pause = is_paused.remove(name).is_none();
                if pause {
                    is_paused.insert(name.to_owned(), world.now);
                }
                world.machine.switch(name, Some(pause), world.now);
                world.keep();
            }
            _ => {}
        }
        if at_work
            .as_ref()
            .is_some_and(|(_, until)| *until <= world.now)
        {
            at_work = None;
            world.machine.has_ended();
        }
        while let Some(action) = world.tick() {
            let case = format!("seed {seed} at {}", world.now);
            assert!(at_work.is_none(), "{case}: two at once");
            let Action::Run { name, scheduled_at } = action else {
                panic!("{case}: no copies")
            };
            assert!(!is_paused.contains_key(&name), "{case}: {name} is paused");
            match random.u32(0..100) {
                0..10 => {
                    world.machine.has_to_wait(&name, world.now, "busy");
                    world.keep();
                    continue;
                }
                // Killed before the engine had begun, and right after that.
                10..13 => world.restart(),
                13..16 => {
                    world.record(&name, scheduled_at);
                    world.restart();
                }
                kind => {
                    world.begin(&name, scheduled_at);
                    let long = minutes(0, if kind < 30 { 2000 } else { 30 }, &mut random);
                    at_work = Some((name, world.now + long));
                    continue;
                }
            }
            for (name, at) in &is_paused {
                world.machine.switch(name, Some(true), *at);
            }
        }
        latest = latest.max(world.now);
        let done = at_work.as_ref().map(|(_, until)| *until);
        let next = world.machine.wakes_at().into_iter().chain(done).min();
        let nothing = SignedDuration::from_hours(24 * 30);
        let next = next.unwrap_or(world.now + nothing).min(world.now + nothing);
        world.now = world.now.max(next) + SignedDuration::from_secs(i64::from(next <= world.now));
    }
    for timing in world.timings.clone() {
        check_all_decided(
            &world,
            &timing,
            began,
            &format!("seed {seed}: {}", timing.name),
        );
    }
}

/// Each scheduled time was run once, or decided once.
fn check_all_decided(world: &World, timing: &Timing, began: Timestamp, case: &str) {
    let until = world.machine.kept().schedules[&timing.name].decided_until;
    let times = std::iter::successors(Some(began), |at| timing.next_after(*at)).skip(1);
    let times = times.take_while(|at| *at <= until).map(|at| (at, (0, 0)));
    let mut times: BTreeMap<_, _> = times.collect();
    assert!(
        !times.is_empty() || timing.cron.to_string().contains("29 2"),
        "{case}"
    );
    for (_, scheduled_at, _) in world.runs.iter().filter(|(name, ..)| *name == timing.name) {
        let found = times.get_mut(scheduled_at);
        found
            .unwrap_or_else(|| panic!("{case}: {scheduled_at} is no such time"))
            .0 += 1;
    }
    for one in world.decisions.iter().filter(|one| one.name == timing.name) {
        times
            .range_mut(..=one.until)
            .rev()
            .take_while(|(at, _)| **at > one.after)
            .for_each(|(_, count)| count.1 += 1);
    }
    for (at, (ran, decided)) in times {
        assert_eq!(
            ran + decided,
            1,
            "{case}: {at} ran {ran} times, was decided {decided} times"
        );
    }
}
