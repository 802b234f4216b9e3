//! Schedules over simulated years.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use jiff::tz::TimeZone;

use super::*;
use crate::cron::Cron;

mod random;
mod restart;

fn moment(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

fn timing(name: &str, cron: &str, zone: &str) -> Timing {
    Timing {
        name: name.to_owned(),
        cron: Cron::from_str(cron).expect("valid"),
        timezone: zone.to_owned(),
        zone: TimeZone::get(zone).expect("a zone"),
        jitter: Duration::ZERO,
        run_missed: true,
        paused: false,
    }
}

/// A service that runs, is killed, waits and is started again, in simulated time.
struct World {
    timings: Vec<Arc<Timing>>,
    machine: Machine,
    disk: KeptSchedules,
    history: BTreeMap<String, Begun>,
    now: Timestamp,
    /// The scheduled time and the begin of each run.
    runs: Vec<(String, Timestamp, Timestamp)>,
    decisions: Vec<Decision>,
    next_id: u64,
}

impl World {
    fn new(timings: Vec<Timing>, now: &str) -> Self {
        let timings: Vec<_> = timings.into_iter().map(Arc::new).collect();
        let now = moment(now);
        let disk = KeptSchedules::default();
        let mut world = Self {
            machine: Machine::new(timings.clone(), &disk, |_| None, now),
            timings,
            disk,
            history: BTreeMap::new(),
            now,
            runs: Vec::new(),
            decisions: Vec::new(),
            next_id: 0,
        };
        world.keep();
        world
    }

    fn keep(&mut self) {
        if let Some(kept) = self.machine.take_kept() {
            let text = serde_json::to_string(&kept).expect("JSON");
            self.disk = serde_json::from_str(&text).expect("the same");
        }
        self.decisions.extend(self.machine.decided());
    }

    fn tick(&mut self) -> Option<Action> {
        let action = self.machine.tick(self.now);
        self.keep();
        action
    }

    /// The engine begins the run that the machine asked for.
    fn record(&mut self, name: &str, scheduled_at: Timestamp) -> String {
        self.next_id += 1;
        let operation_id = format!("operation-{}", self.next_id);
        let begun = Begun {
            at: self.now,
            operation_id: operation_id.clone(),
            is_completed: true,
        };
        self.history.insert(name.to_owned(), begun);
        self.runs.push((name.to_owned(), scheduled_at, self.now));
        operation_id
    }

    fn begin(&mut self, name: &str, scheduled_at: Timestamp) {
        let operation_id = self.record(name, scheduled_at);
        self.machine.has_begun(name, self.now, &operation_id);
        self.keep();
    }

    /// Runs until `until`; each run takes no time.
    fn run_until(&mut self, until: &str) {
        let until = moment(until);
        loop {
            while let Some(action) = self.tick() {
                if let Action::Run { name, scheduled_at } = action {
                    self.begin(&name, scheduled_at);
                }
                self.machine.has_ended();
            }
            match self.machine.wakes_at().filter(|at| *at <= until) {
                Some(at) => self.now = self.now.max(at),
                None => break,
            }
        }
        self.now = until;
        self.tick();
    }

    /// The process dies, and another one starts at `now`.
    fn restart(&mut self) {
        self.machine = Machine::new(
            self.timings.clone(),
            &self.disk,
            |name| self.history.get(name).cloned(),
            self.now,
        );
        self.keep();
    }

    fn begun(&self, name: &str) -> Vec<String> {
        let of = self.runs.iter().filter(|(one, ..)| one == name);
        of.map(|(_, _, begun)| begun.to_string()).collect()
    }
}

/// Guards against: a night without a backup since the machine was off at three, or seven backups
/// on the morning after a week.
#[test]
fn what_was_missed_while_the_service_was_down_is_made_up_once() {
    let never = Timing {
        run_missed: false,
        ..timing("never", "0 3 * * *", "UTC")
    };
    let mut world = World::new(
        vec![timing("nightly", "0 3 * * *", "UTC"), never],
        "2026-11-01T12:00:00Z",
    );
    world.run_until("2026-11-02T12:00:00Z");
    world.now = moment("2026-11-09T08:00:00Z");
    world.restart();
    world.run_until("2026-11-10T12:00:00Z");
    assert_eq!(
        world.begun("nightly"),
        [
            "2026-11-02T03:00:00Z",
            "2026-11-09T08:00:00Z",
            "2026-11-10T03:00:00Z"
        ]
    );
    assert_eq!(
        world.begun("never"),
        ["2026-11-02T03:00:00Z", "2026-11-10T03:00:00Z"]
    );
    let missed = |world: &World, name: &str| world.machine.kept().schedules[name].missed.clone();
    let (nightly, never) = (missed(&world, "nightly"), missed(&world, "never"));
    assert_eq!((nightly.count, never.count), (6, 7));
    assert!(never.last.expect("one").reason.contains("run_missed"));
    // Some seconds late is not missed.
    world.now = moment("2026-11-11T03:00:30Z");
    world.restart();
    world.run_until("2026-11-11T04:00:00Z");
    assert_eq!(world.begun("never").len(), 3);
}

/// Guards against: two runs at once, and a queue that grows while one takes longer than its
/// interval.
#[test]
fn a_run_that_meets_another_waits_and_waiting_runs_become_one() {
    let mut world = World::new(
        vec![
            timing("a", "*/10 * * * *", "UTC"),
            timing("b", "*/10 * * * *", "UTC"),
        ],
        "2026-11-01T00:00:01Z",
    );
    world.now = moment("2026-11-01T00:10:00Z");
    let Some(Action::Run { name, scheduled_at }) = world.tick() else {
        panic!("due")
    };
    world.begin(&name, scheduled_at);
    // It takes 25 minutes.
    for minute in 10..35 {
        world.now = moment(&format!("2026-11-01T00:{minute}:30Z"));
        assert_eq!(world.tick(), None, "never two at once");
    }
    world.machine.has_ended();
    let at = moment("2026-11-01T00:30:00Z");
    let expected = |name: &str| {
        Some(Action::Run {
            name: name.to_owned(),
            scheduled_at: at,
        })
    };
    let first = world.tick();
    assert_eq!(first, expected("a"));
    world.begin("a", at);
    world.machine.has_ended();
    assert_eq!(world.tick(), expected("b"));
    let coalesced: Vec<_> = (world.decisions.iter())
        .map(|one| (one.name.as_str(), one.until.to_string()))
        .collect();
    assert_eq!(
        coalesced,
        [
            ("b", "2026-11-01T00:19:59Z".to_owned()),
            ("a", "2026-11-01T00:29:59Z".to_owned()),
            ("b", "2026-11-01T00:29:59Z".to_owned())
        ]
    );
}

/// Guards against: a run that is given up as something else held the target, or that hammers it.
#[test]
fn a_busy_target_is_asked_again_until_the_next_run_is_due() {
    let mut world = World::new(
        vec![timing("a", "0 * * * *", "UTC")],
        "2026-11-01T00:30:00Z",
    );
    world.now = moment("2026-11-01T01:00:00Z");
    let mut asked = 0;
    while world.now < moment("2026-11-01T02:00:00Z") {
        if let Some(Action::Run { scheduled_at, .. }) = world.tick() {
            assert_eq!(scheduled_at, moment("2026-11-01T01:00:00Z"));
            asked += 1;
            world
                .machine
                .has_to_wait("a", world.now, "the target was locked");
            world.keep();
        }
        world.now = world.machine.wakes_at().expect("it is asked again");
    }
    assert!((60..70).contains(&asked), "asked {asked} times in an hour");
    world.run_until("2026-11-01T02:30:00Z");
    assert_eq!(world.begun("a"), ["2026-11-01T02:00:00Z"]);
    let missed = world.machine.kept().schedules["a"].missed.last.clone();
    let missed = missed.expect("recorded");
    assert_eq!(missed.scheduled_at, moment("2026-11-01T01:00:00Z"));
    assert!(
        missed.reason.contains("the target was locked"),
        "{}",
        missed.reason
    );
}

/// Guards against: a second backup after the clock was set back, and none for years after it was
/// wrong.
#[test]
fn a_clock_that_jumps_repeats_nothing_and_silences_nothing() {
    let mut world = World::new(
        vec![timing("a", "0 * * * *", "UTC")],
        "2026-11-01T00:30:00Z",
    );
    world.run_until("2026-11-01T05:10:00Z");
    assert_eq!(world.begun("a").len(), 5);
    world.now = moment("2026-11-01T02:50:00Z");
    world.run_until("2026-11-01T05:50:00Z");
    assert_eq!(world.begun("a").len(), 5, "set back: nothing is repeated");
    world.run_until("2026-11-01T06:10:00Z");
    assert_eq!(world.begun("a").len(), 6);
    world.now = moment("2036-11-01T06:30:00Z");
    world.run_until("2036-11-01T06:40:00Z");
    assert_eq!(world.begun("a").len(), 7, "set forward: made up once");
    world.now = moment("2026-11-01T06:45:00Z");
    world.run_until("2026-11-01T08:30:00Z");
    assert_eq!(world.begun("a").len(), 9, "no silence for ten years");
}

/// Guards against: a backup in the hours for which somebody paused it, or all of them afterwards.
#[test]
fn nothing_runs_while_paused_and_nothing_of_it_is_made_up() {
    let mut world = World::new(
        vec![timing("a", "0 * * * *", "UTC")],
        "2026-11-01T00:30:00Z",
    );
    world.run_until("2026-11-01T01:10:00Z");
    world.machine.switch("a", Some(true), world.now);
    world.run_until("2026-11-01T03:10:00Z");
    // Across a restart, and time in which nothing looked.
    world.now = moment("2026-11-01T06:30:00Z");
    world.restart();
    world
        .machine
        .switch("a", Some(true), moment("2026-11-01T01:10:00Z"));
    world.run_until("2026-11-01T07:10:00Z");
    assert_eq!(world.begun("a").len(), 1);
    world.machine.switch("a", Some(false), world.now);
    world.run_until("2026-11-01T08:10:00Z");
    assert_eq!(world.begun("a")[1..], ["2026-11-01T08:00:00Z"]);
    // Paused in the file, and resumed there while the service was down.
    world.timings = vec![Arc::new(Timing {
        paused: true,
        ..timing("a", "0 * * * *", "UTC")
    })];
    world.restart();
    world.run_until("2026-11-01T10:10:00Z");
    world.timings = vec![Arc::new(timing("a", "0 * * * *", "UTC"))];
    world.now = moment("2026-11-01T12:10:00Z");
    world.restart();
    world.run_until("2026-11-01T13:10:00Z");
    assert_eq!(world.begun("a")[2..], ["2026-11-01T13:00:00Z"]);
}

/// Guards against: a changed schedule that runs at once for times that it never had.
#[test]
fn another_expression_counts_from_now_on() {
    let mut world = World::new(
        vec![timing("a", "0 3 * * *", "UTC")],
        "2026-11-01T00:30:00Z",
    );
    world.run_until("2026-11-01T12:30:00Z");
    world.timings = vec![
        Arc::new(timing("a", "0 * * * *", "UTC")),
        Arc::new(timing("b", "@daily", "UTC")),
    ];
    world.machine.configure(world.timings.clone(), world.now);
    world.run_until("2026-11-01T14:30:00Z");
    assert_eq!(
        world.begun("a")[1..],
        ["2026-11-01T13:00:00Z", "2026-11-01T14:00:00Z"]
    );
    world.run_until("2026-11-02T00:00:00Z");
    assert_eq!(world.begun("b"), ["2026-11-02T00:00:00Z"]);
    world.machine.configure(Vec::new(), world.now);
    world.run_until("2026-11-05T00:00:00Z");
    assert_eq!(world.begun("b").len(), 1);
    // The same while the service was down.
    world.timings = vec![Arc::new(timing("a", "15 * * * *", "Asia/Kathmandu"))];
    world.restart();
    world.run_until("2026-11-05T00:40:00Z");
    assert_eq!(
        world.begun("a").last().expect("one"),
        "2026-11-05T00:30:00Z"
    );
}

/// Guards against: a storm of runs, or none, where the file of what was kept is lost.
#[test]
fn without_what_was_kept_the_history_says_what_ran() {
    let mut world = World::new(
        vec![timing("a", "0 3 * * *", "UTC")],
        "2026-11-01T00:30:00Z",
    );
    world.run_until("2026-11-05T12:00:00Z");
    for (now, runs) in [("2026-11-05T13:00:00Z", 5), ("2026-11-08T13:00:00Z", 6)] {
        world.disk = KeptSchedules::default();
        world.now = moment(now);
        world.restart();
        world.run_until(&now.replace("13:00", "14:00"));
        assert_eq!(world.begun("a").len(), runs, "{now}");
    }
}

/// Guards against: a copy that is forgotten, that is tried all the time, or that outlives its
/// successor.
#[test]
fn a_failed_copy_is_tried_again_in_growing_pauses() {
    let mut world = World::new(
        vec![timing("a", "0 0 * * *", "UTC")],
        "2026-11-01T00:30:00Z",
    );
    let to = ["offsite".to_owned()];
    world
        .machine
        .add_copies("a", ("first", Some("local")), &to, world.now);
    let mut tried = Vec::new();
    while world.now < moment("2026-11-01T06:00:00Z") {
        if let Some(Action::Copy { copy, .. }) = world.tick() {
            tried.push(world.now);
            let error = Some("no route".to_owned());
            world.machine.copy_has_ended("a", &copy, error, world.now);
            world.machine.has_ended();
            world.keep();
            if tried.len() == 3 {
                world.restart();
            }
        }
        world.now = world.machine.wakes_at().expect("more to do");
    }
    let pauses: Vec<_> = tried
        .windows(2)
        .map(|two| two[1].duration_since(two[0]).as_mins())
        .collect();
    assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60, 60]);
    let given_up = world
        .machine
        .add_copies("a", ("second", Some("local")), &to, world.now);
    assert_eq!(given_up[0].backup_id, "first");
    assert_eq!(given_up[0].error.as_deref(), Some("no route"));
    let Some(Action::Copy { copy, .. }) = world.tick() else {
        panic!("the second is due")
    };
    world.machine.copy_has_ended("a", &copy, None, world.now);
    world.machine.has_ended();
    assert_eq!(world.tick(), None);
    assert!(world.machine.kept().schedules["a"].copies.is_empty());
}

/// Guards against: a copy that is put off for an hour, as somebody worked in the target.
#[test]
fn a_copy_that_waits_for_others_is_no_failure() {
    let mut world = World::new(
        vec![timing("a", "0 0 * * *", "UTC")],
        "2026-11-01T00:30:00Z",
    );
    let to = ["offsite".to_owned()];
    world
        .machine
        .add_copies("a", ("first", None), &to, world.now);
    for _ in 0..20 {
        let Some(Action::Copy { copy, .. }) = world.tick() else {
            panic!("it is due")
        };
        assert_eq!(copy.attempts, 0);
        let reason = "a backup is at work";
        (world.machine).copy_has_to_wait("a", &copy, reason, world.now);
        world.machine.has_ended();
        let next = world.machine.wakes_at().expect("more to do");
        assert_eq!(next.duration_since(world.now).as_mins(), 1);
        world.now = next;
    }
}
