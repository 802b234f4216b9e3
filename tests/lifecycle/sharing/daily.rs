//! Random sequences of what an operator does in two targets: full and incremental backups, of all
//! and of some databases, copies, deletions, prunes, pins, sweeps, and deaths at any call.

use std::collections::BTreeSet;
use std::sync::Arc;

use arc_backup::{
    BackupOptions, BackupType, CopyOptions, LastGood, Operation, Origin, PinRequest, PruneOptions,
    Request, Rules, Status, VerifyMode, Who,
};
use arc_backup_core::{Databases, Scope, Section, Sink};

use super::referring;
use super::world::{Kind, World, parsed};

const TARGETS: [&str; 2] = ["local", "far"];

struct Days {
    world: World,
    numbers: fastrand::Rng,
    case: String,
    /// By target and id.
    pinned: BTreeSet<(&'static str, String)>,
    reused: u64,
    pruned: usize,
    copied: usize,
    deaths: usize,
}

fn who() -> Who {
    Who {
        actor: "test".to_owned(),
        origin: Origin::Cli,
        fingerprint: None,
        token: None,
    }
}

impl Days {
    fn new(kind: Kind, seed: u64) -> Self {
        Self {
            world: World::with_far(kind),
            numbers: fastrand::Rng::with_seed(seed),
            case: format!("{kind:?}, seed {seed}"),
            pinned: BTreeSet::new(),
            reused: 0,
            pruned: 0,
            copied: 0,
            deaths: 0,
        }
    }

    fn sink(&self, target: &str) -> Arc<dyn Sink> {
        match target {
            "far" => self.world.far.clone().unwrap(),
            _ => self.world.target.clone(),
        }
    }

    /// The backups in a target, each of them whole.
    fn held(&self, target: &str) -> Vec<String> {
        let runtime = &self.world.runtime;
        let held = runtime.block_on(referring::check_all(&*self.sink(target)));
        let held = held.unwrap_or_else(|error| panic!("{}, {target}: {error}", self.case));
        let listed = runtime.block_on(self.world.engine.list(Some(target), false));
        let listed = listed.unwrap();
        assert!(
            listed.damaged.is_empty(),
            "{}: {:?}",
            self.case,
            listed.damaged
        );
        for one in &listed.backups {
            let is_pinned =
                (self.pinned.iter()).any(|(at, id)| *at == target && *id == one.backup_id);
            assert!(
                !is_pinned || one.pin.is_some(),
                "{}: a pin is gone",
                self.case
            );
        }
        let listed: BTreeSet<_> = (listed.backups.into_iter())
            .map(|one| one.backup_id)
            .collect();
        assert_eq!(listed, held.iter().cloned().collect(), "{}", self.case);
        held
    }

    /// A copy has the pin of its source too.
    fn is_pinned(&self, target: &str, id: &str) -> bool {
        let listed = (self.world.runtime).block_on(self.world.engine.list(Some(target), false));
        let listed = listed.unwrap().backups;
        (listed.iter()).any(|one| one.backup_id == id && one.pin.is_some())
    }

    fn change_data(&mut self) {
        for database in ["iot", "web"] {
            for _ in 0..self.numbers.usize(0..3) {
                let name = format!("f{}", self.numbers.u8(0..8));
                let text = "x".repeat(self.numbers.usize(1..50));
                self.world.write_in(database, &name, &text);
            }
            // A database without data is none.
            self.world.write_in(database, "always", "there");
        }
    }

    fn backup(&mut self) -> Request {
        self.change_data();
        let scope = Scope::of_sections([Section::Data]);
        let mut options = BackupOptions::of(match self.numbers.u8(0..4) {
            0 => scope.of_databases(Databases::Only(["iot".to_owned()].into())),
            _ => scope,
        });
        options.backup_type = Some(match self.numbers.u8(0..4) {
            0 => BackupType::Full,
            _ => BackupType::Incremental,
        });
        options.target = Some(TARGETS[usize::from(self.numbers.u8(0..5) == 0)].to_owned());
        Request::Backup(options)
    }

    fn prune(&mut self, target: &'static str) -> PruneOptions {
        let mut options = PruneOptions::of(Some(target.to_owned()));
        options.rules = Some(Rules {
            keep_last: self.numbers.u32(1..6).into(),
            ..Rules::default()
        });
        options
    }

    fn done(&self, ended: &Operation) {
        let text = || format!("{}: {:?} {:?}", self.case, ended.operation, ended.error);
        assert_eq!(ended.status, Status::Completed, "{}", text());
    }

    fn step(&mut self) {
        let target = TARGETS[self.numbers.usize(0..2)];
        let held = self.held(target);
        let id = match held.is_empty() {
            true => None,
            false => Some(held[self.numbers.usize(0..held.len())].clone()),
        };
        match (self.numbers.u8(0..100), id) {
            (0..35, _) | (_, None) => {
                let request = self.backup();
                let ended = self.world.completed(request, &self.case);
                self.reused += ended.reused_files.unwrap_or_default();
            }
            (35..50, Some(_)) => self.copy(),
            (50..62, Some(id)) => self.delete(target, &id),
            (62..74, Some(_)) => self.prune_as_planned(target),
            (74..80, Some(id)) => self.pin(target, id),
            (80..84, Some(_)) => {
                self.world.sweep(true);
            }
            (_, Some(id)) => self.die(target, &id),
        }
    }

    fn copy(&mut self) {
        let near = self.held("local");
        if near.is_empty() {
            return;
        }
        let id = near[self.numbers.usize(0..near.len())].clone();
        let options = CopyOptions::new(parsed(&id), "far").from(Some("local".to_owned()));
        let ended = self.world.run(Request::Copy(options));
        match ended {
            Ok(ended) if ended.status == Status::Completed => self.copied += 1,
            // Files of a deleted copy of it are needed by others: it says so, and does nothing.
            Ok(ended) => {
                let error = ended.error.unwrap_or_default();
                assert!(error.contains("was deleted"), "{}: {error}", self.case);
            }
            Err(error) => {
                let error = error.to_string();
                assert!(error.contains("was deleted"), "{}: {error}", self.case);
            }
        }
    }

    fn delete(&mut self, target: &'static str, id: &str) {
        let named = [(parsed(id), Some(target.to_owned()))];
        let estimate = (self.world.runtime).block_on(self.world.engine.estimate_deletions(&named));
        let is_pinned = self.is_pinned(target, id);
        let request = Request::Delete(parsed(id), Some(target.to_owned()), LastGood::Delete);
        let ended = self.world.run(request);
        if is_pinned {
            let refused = ended.map_or(true, |ended| ended.status != Status::Completed);
            assert!(refused, "{}: a pinned backup was deleted", self.case);
            assert!(
                self.held(target).iter().any(|one| one == id),
                "{}",
                self.case
            );
            return;
        }
        let ended = ended.unwrap_or_else(|error| panic!("{}: {error}", self.case));
        self.done(&ended);
        let estimate = estimate.unwrap();
        assert_eq!(
            Some(estimate.freed_bytes),
            ended.freed_bytes,
            "{}",
            self.case
        );
        assert_eq!(
            Some(estimate.retained_files),
            ended.retained_files,
            "{}",
            self.case
        );
    }

    /// What the plan says is done.
    fn prune_as_planned(&mut self, target: &'static str) {
        let options = self.prune(target);
        let plan = (self.world.runtime).block_on(self.world.engine.plan_prune(&options));
        let plan = plan.unwrap_or_else(|error| panic!("{}: {error}", self.case));
        let goes: Vec<_> = plan.deletions().map(|one| one.backup_id.clone()).collect();
        let kept: BTreeSet<_> = (self.held(target).into_iter())
            .filter(|id| !goes.contains(id))
            .collect();
        let ended = self.world.completed(Request::Prune(options), &self.case);
        assert_eq!(ended.deleted_backups, goes, "{}", self.case);
        assert_eq!(
            ended.freed_bytes.unwrap_or_default(),
            plan.totals().2,
            "{}",
            self.case
        );
        let left: BTreeSet<_> = self.held(target).into_iter().collect();
        assert_eq!(left, kept, "{}", self.case);
        assert!(!left.is_empty(), "{}: the last good one went", self.case);
        for (_, id) in self.pinned.iter().filter(|(at, _)| *at == target) {
            assert!(left.contains(id), "{}: a pinned one went", self.case);
        }
        self.pruned += goes.len();
    }

    fn pin(&mut self, target: &'static str, id: String) {
        let (engine, parsed) = (&self.world.engine, parsed(&id));
        let is_pinned = self.is_pinned(target, &id);
        self.world.runtime.block_on(async {
            let wanted = PinRequest {
                reason: Some("kept".to_owned()),
                until: None,
            };
            let who = who();
            match is_pinned {
                true => engine.unpin(&parsed, Some(target), &who).await,
                false => engine.pin(&parsed, Some(target), wanted, &who).await,
            }
            .unwrap();
        });
        match is_pinned {
            true => self.pinned.remove(&(target, id)),
            false => self.pinned.insert((target, id)),
        };
    }

    fn die(&mut self, target: &'static str, id: &str) {
        let request = match self.numbers.u8(0..4) {
            0 => self.backup(),
            1 => Request::Prune(self.prune(target)),
            2 => {
                let from = Some("local".to_owned());
                let near = self.held("local");
                match near.first() {
                    Some(id) => Request::Copy(CopyOptions::new(parsed(id), "far").from(from)),
                    None => self.backup(),
                }
            }
            _ => Request::Delete(parsed(id), Some(target.to_owned()), LastGood::Delete),
        };
        let (number, is_done) = (self.numbers.usize(1..90), self.numbers.bool());
        self.world.fuse.die_at(number, is_done);
        let ended = self.world.run(request);
        self.world.fuse.mend();
        self.deaths += usize::from(!ended.is_ok_and(|ended| ended.status == Status::Completed));
    }

    /// Copies carry pins over: those of a target are what its notes say.
    fn unpin_all(&mut self) {
        for target in TARGETS {
            for id in self.held(target) {
                let unpinned = async {
                    let engine = &self.world.engine;
                    engine.unpin(&parsed(&id), Some(target), &who()).await
                };
                self.world.runtime.block_on(unpinned).unwrap();
            }
        }
        self.pinned.clear();
    }

    fn run(mut self, steps: usize) -> [usize; 4] {
        for number in 0..steps {
            let seed = self.case.split(", step").next().unwrap_or_default();
            self.case = format!("{seed}, step {number}");
            self.step();
            for target in TARGETS {
                self.held(target);
            }
        }
        for target in TARGETS {
            if let Some(id) = self.held(target).last() {
                let target = Some(target.to_owned());
                let verify = Request::Verify(parsed(id), VerifyMode::Full.into(), target);
                self.world.completed(verify, &self.case);
            }
        }
        self.unpin_all();
        for target in TARGETS {
            let mut ids = self.held(target);
            self.numbers.shuffle(&mut ids);
            for id in ids {
                let request =
                    Request::Delete(parsed(&id), Some(target.to_owned()), LastGood::Delete);
                self.world.completed(request, &self.case);
                self.held(target);
            }
        }
        self.world.sweep(true);
        for target in TARGETS {
            let sink = self.sink(target);
            let objects = referring::objects(&*sink);
            let left: Vec<_> = (self.world.runtime.block_on(objects).into_keys())
                .filter(|name| !referring::is_lock(name))
                .collect();
            assert_eq!(left, Vec::<String>::new(), "{}, {target}", self.case);
        }
        [
            usize::try_from(self.reused).unwrap(),
            self.pruned,
            self.copied,
            self.deaths,
        ]
    }
}

fn days(runs: &[(Kind, std::ops::Range<u64>, usize)]) {
    let mut sums = [0; 4];
    for (kind, seeds, steps) in runs {
        for seed in seeds.clone() {
            let done = Days::new(*kind, seed).run(*steps);
            sums.iter_mut().zip(done).for_each(|(sum, one)| *sum += one);
        }
    }
    let [reused, pruned, copied, deaths] = sums;
    println!("{reused} files reused, {pruned} pruned, {copied} copied, {deaths} deaths");
    assert!(reused > 0 && pruned > 0 && copied > 0 && deaths > 0);
}

/// Guards against: a day of an operator that nobody thought of.
#[test]
fn random_days_in_memory() {
    days(&[(Kind::Memory, 0..6, 30)]);
}

/// The same, on local disk, in S3 and in Azure.
#[test]
fn random_days_on_local_disk_and_in_both_clouds() {
    days(&[
        (Kind::Local, 100..103, 30),
        (Kind::S3, 200..202, 25),
        (Kind::Azure, 300..301, 20),
    ]);
}

/// More of them, and longer.
#[test]
#[ignore = "some minutes"]
fn many_random_days() {
    days(&[
        (Kind::Memory, 1_000..1_200, 60),
        (Kind::Local, 2_000..2_030, 60),
        (Kind::S3, 3_000..3_015, 40),
        (Kind::Azure, 4_000..4_006, 40),
    ]);
}
