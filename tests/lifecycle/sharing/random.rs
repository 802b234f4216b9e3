//! Random sequences of backups, deletions, sweeps and deaths.

use arc_backup::{BackupOptions, Request, Status};
use arc_backup_core::{Scope, Section};

use super::world::{Kind, World, parsed};

/// One sequence. A step is one arm of `step`: others are added there.
struct Sequence {
    world: World,
    numbers: fastrand::Rng,
    case: String,
    deletions: usize,
    deaths: usize,
}

impl Sequence {
    fn new(kind: Kind, seed: u64) -> Self {
        Self {
            world: World::new(kind),
            numbers: fastrand::Rng::with_seed(seed),
            case: format!("{kind:?}, seed {seed}"),
            deletions: 0,
            deaths: 0,
        }
    }

    fn change_data(&mut self) {
        for _ in 0..self.numbers.usize(0..3) {
            let name = format!("f{}", self.numbers.u8(0..8));
            match self.numbers.u8(0..4) {
                0 => self.world.remove(&name),
                _ => {
                    let text = "x".repeat(self.numbers.usize(1..50));
                    self.world.write(&name, &text);
                }
            }
        }
        // An instance without data is none.
        self.world.write("always", "there");
    }

    fn step(&mut self) {
        let listed = self.world.listed(&self.case);
        let one = |numbers: &mut fastrand::Rng| listed[numbers.usize(0..listed.len())].clone();
        match self.numbers.u8(0..100) {
            _ if listed.is_empty() => self.full(),
            0..15 => self.full(),
            15..45 => {
                let base = one(&mut self.numbers);
                self.change_data();
                self.world.incremental(&base);
            }
            45..70 => {
                let id = one(&mut self.numbers);
                self.delete(&id);
            }
            70..75 => self.sweep(),
            75..90 => {
                let id = one(&mut self.numbers);
                self.die_in(Request::Delete(
                    parsed(&id),
                    None,
                    arc_backup::LastGood::Delete,
                ));
            }
            90..95 => {
                let options = BackupOptions::of(Scope::of_sections([Section::Data]));
                self.die_in(Request::Backup(options));
            }
            _ => {
                self.die_at_random();
                let _ = self.world.runtime.block_on(self.world.engine.sweep(true));
                self.world.fuse.mend();
            }
        }
    }

    fn full(&mut self) {
        self.change_data();
        self.world.full();
    }

    /// What a dry run said is what is done.
    fn delete(&mut self, id: &str) {
        let before = self.world.objects();
        let estimate = self.world.estimate(&[id]);
        let estimate = estimate.unwrap_or_else(|error| panic!("{}: {error}", self.case));
        assert!(
            self.world.objects() == before,
            "{}: a dry run changed something",
            self.case
        );
        let done = self.world.delete(id, &self.case);
        let freed = [done.freed_files, done.freed_bytes].map(Option::unwrap);
        let retained = [done.retained_files, done.retained_bytes].map(Option::unwrap);
        assert_eq!(
            [estimate.freed_files, estimate.freed_bytes],
            freed,
            "{}",
            self.case
        );
        assert_eq!(
            [estimate.retained_files, estimate.retained_bytes],
            retained,
            "{}",
            self.case
        );
        // Of the files: lists and manifests do not count.
        let bytes = |objects: &std::collections::BTreeMap<String, u64>| {
            let files = objects.iter().filter(|(name, _)| name.contains("/data/"));
            files.map(|(_, size)| size).sum::<u64>()
        };
        let gone = bytes(&before) - bytes(&self.world.objects());
        assert_eq!(gone, freed[1], "{}: not what it says", self.case);
        self.deletions += 1;
    }

    fn sweep(&mut self) {
        self.world.sweep(true);
        assert_eq!(
            self.world.leftovers(),
            Vec::<String>::new(),
            "{}",
            self.case
        );
    }

    fn die_at_random(&mut self) {
        let (number, is_done) = (self.numbers.usize(1..70), self.numbers.bool());
        self.world.fuse.die_at(number, is_done);
    }

    fn die_in(&mut self, request: Request) {
        self.die_at_random();
        let ended = self.world.run(request);
        self.world.fuse.mend();
        self.deaths += usize::from(!ended.is_ok_and(|ended| ended.status == Status::Completed));
    }

    /// Every listed backup is whole at each moment, and deleting all leaves nothing.
    fn run(mut self, steps: usize) -> (usize, usize) {
        self.full();
        for number in 0..steps {
            let seed = self.case.split(", step").next().unwrap_or_default();
            self.case = format!("{seed}, step {number}");
            self.step();
        }
        let mut ids = self.world.listed(&self.case);
        if let Some(id) = ids.first() {
            self.world.verify(id, &self.case);
        }
        self.numbers.shuffle(&mut ids);
        let all: Vec<&str> = ids.iter().map(String::as_str).collect();
        let estimate = self.world.estimate(&all).unwrap();
        assert_eq!(estimate.retained_files, 0, "{}", self.case);
        let mut freed = 0;
        for id in &ids {
            let done = self.world.delete(id, &self.case);
            freed += done.freed_bytes.unwrap();
            self.world.listed(&self.case);
        }
        assert_eq!(estimate.freed_bytes, freed, "{}", self.case);
        self.world.sweep(true);
        self.world.is_empty(&self.case);
        (self.deletions, self.deaths)
    }
}

fn sequences(kind: Kind, seeds: std::ops::Range<u64>, steps: usize) {
    let (mut deletions, mut deaths) = (0, 0);
    for seed in seeds {
        let (done, died) = Sequence::new(kind, seed).run(steps);
        deletions += done;
        deaths += died;
    }
    println!("{kind:?}: {deletions} deletions compared with their dry run, {deaths} deaths");
    assert!(deletions > 0 && deaths > 0);
}

/// Guards against: a sequence that nobody thought of.
#[test]
fn random_sequences_in_memory() {
    sequences(Kind::Memory, 0..12, 25);
}

/// The same, on local disk.
#[test]
fn random_sequences_on_local_disk() {
    sequences(Kind::Local, 100..104, 25);
}

/// The same, in S3.
#[test]
fn random_sequences_in_s3() {
    sequences(Kind::S3, 200..202, 20);
}

/// More of them, and longer.
#[test]
#[ignore = "some minutes"]
fn many_random_sequences() {
    sequences(Kind::Memory, 1_000..1_300, 60);
    sequences(Kind::Local, 2_000..2_060, 60);
    sequences(Kind::S3, 3_000..3_030, 40);
    sequences(Kind::Azure, 4_000..4_008, 40);
}
