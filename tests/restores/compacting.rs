//! Restores, and undos, beside an Arc that compacts after they were planned.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::undo::{change_three, operation_of, state};
use super::*;
use crate::fake_arc::arc;
use stores::{KINDS, delete};

/// The live file that the job consumes: the same in the backup, so that the first plan leaves it.
const INPUT: &str = "iot/temperature/a.parquet";
/// What the job writes.
const OUTPUT: &str = "iot/temperature/2026_daily.parquet";

/// Lets Arc compact between the plan of the next operation and its first change, `times` times.
struct Jobs {
    /// Answers until the next job, and how many jobs are to come.
    left: Arc<[AtomicU64; 2]>,
}

impl Jobs {
    fn start(instance: &Instance, compact: impl Fn() + Send + 'static) -> Self {
        let left: Arc<[AtomicU64; 2]> = Arc::default();
        let (plan, jobs) = (left.clone(), AtomicU64::new(7));
        let (url, _) = arc(move |_| {
            // The first answer is before the plan, the second after it.
            let is_due = plan[1].load(Ordering::SeqCst) > 0
                && plan[0].fetch_add(1, Ordering::SeqCst) % 2 == 1;
            if is_due {
                plan[1].fetch_sub(1, Ordering::SeqCst);
                jobs.fetch_add(1, Ordering::SeqCst);
                compact();
            }
            let jobs = jobs.load(Ordering::SeqCst);
            (
                200,
                format!("{{\"cycle_running\":false,\"total_jobs_completed\":{jobs}}}"),
            )
        });
        instance.configure(&format!("arc_url = \"{url}\""));
        Self { left }
    }

    fn are_due(&self, times: u64) {
        self.left[0].store(0, Ordering::SeqCst);
        self.left[1].store(times, Ordering::SeqCst);
    }

    fn all_ran(&self) -> bool {
        self.left[1].load(Ordering::SeqCst) == 0
    }
}

fn planned_again(operation: &Value) -> usize {
    let warnings = support::warnings(operation);
    let is_of_plan = |text: &&String| text.contains("it was planned again (");
    warnings.iter().filter(is_of_plan).count()
}

/// Guards against a restore that fails because Arc compacted once, and against one that restores by
/// the plan of before: the consumed file would be lacking, or its rows be there twice.
pub(super) fn a_restore_plans_again_after_compaction_and_so_does_an_undo() {
    for (kind, arguments) in KINDS
        .map(|kind| (kind, &[][..]))
        .into_iter()
        .chain([(Kind::S3, &["--verify-first"][..])])
    {
        let case = format!("{kind:?}, {arguments:?}");
        let (instance, server) = (small(), s3_server());
        let data = stores::storage(kind, &instance, &server, true);
        let far = Place::local(&instance, "data/far");
        let (sink, of_input) = (data.sink.clone(), Arc::new(AtomicBool::new(true)));
        let is_of_input = of_input.clone();
        let jobs = Jobs::start(&instance, move || {
            if is_of_input.load(Ordering::SeqCst) {
                delete(&sink, &[INPUT]);
                put(&sink, OUTPUT, b"rows of the input");
                // It was needed, and is not any more.
                put(&sink, "iot/temperature/b.parquet", b"b");
            }
        });
        configure(&instance, &data, &far);
        let id = instance.ok(&["backup", "--target", "far"]);
        let old = state(&instance, &data);
        change_three(&instance, &data);
        jobs.are_due(1);
        let restore = [&["restore", &id, "--yes"], arguments].concat();
        let (code, done) = instance.json(&restore);
        assert_eq!(code, 0, "{case}: {done}");
        assert!(jobs.all_ran(), "{case}: no job ran");
        assert_eq!(planned_again(&done), 1, "{case}: {done}");
        assert!(state(&instance, &data).0 == old.0, "{case}: other data");
        // The consumed file is restored, and nothing is counted as done that was not.
        assert_eq!(done["plan"]["written_files"], 3, "{case}: {done}");
        assert_eq!(done["plan"]["extra_files"], 2, "{case}: {done}");
        for unit in ["files", "bytes"] {
            let [total, processed] =
                ["total", "processed"].map(|word| done[format!("{word}_{unit}")].as_u64());
            assert_eq!(processed, total, "{case}: {unit}: {done}");
        }
        assert!(done.get("reused_files").is_none(), "{case}: {done}");
        let restored_state = state(&instance, &data);

        // A job elsewhere changes nothing of what the undo has to do.
        of_input.store(false, Ordering::SeqCst);
        let operation = done["operation_id"].as_str().unwrap();
        jobs.are_due(4);
        let (code, failed) = instance.json(&["undo", operation, "--yes"]);
        assert_eq!(code, 1, "{case}: {failed}");
        let error = failed["error"].as_str().unwrap();
        assert!(
            error.contains("each of 4 times") && error.contains("nothing was changed"),
            "{case}: {error}"
        );
        assert!(state(&instance, &data).0 == restored_state.0, "{case}");
        jobs.are_due(2);
        let (code, undone) = instance.json(&["undo", operation, "--yes"]);
        assert_eq!(code, 0, "{case}: {undone}");
        assert_eq!(planned_again(&undone), 2, "{case}: {undone}");
        let live = contents(&data.sink);
        assert!(
            live.contains_key(OUTPUT) && !live.contains_key(INPUT),
            "{case}: not the data of before the restore: {:?}",
            live.keys()
        );
        assert_eq!(staged_in(&instance), Vec::<String>::new(), "{case}");
    }
}

/// Files that a restore or an undo has staged.
fn staged_in(instance: &Instance) -> Vec<String> {
    named_like(&instance.path("data"), &[".arc-backup-2"])
}

/// Guards against: a file without a checksum that is taken for staged, or counted twice.
pub(super) fn a_restore_of_arcs_own_backup_plans_again_too() {
    let instance = Instance::new();
    let data = Place::local(&instance, "data/arc");
    let old = contents(&data.sink);
    let keys: Vec<_> = old.keys().cloned().collect();
    let (sink, consumed) = (data.sink.clone(), keys[5].clone());
    let jobs = Jobs::start(&instance, move || delete(&sink, &[&consumed]));
    delete(&data.sink, &[&keys[0], &keys[1]]);
    jobs.are_due(1);
    let (code, done) = instance.json(&["restore", support::ARC_NEW, "--yes"]);
    assert_eq!(code, 0, "{done}");
    assert!(jobs.all_ran() && planned_again(&done) == 1, "{done}");
    assert!(contents(&data.sink) == old, "other data");
    for unit in ["files", "bytes"] {
        let [total, processed] =
            ["total", "processed"].map(|word| done[format!("{word}_{unit}")].as_u64());
        assert_eq!(processed, total, "{unit}: {done}");
    }
    assert_eq!(staged_in(&instance), Vec::<String>::new());
}

/// Guards against a restore that is said to do exactly a plan, and does another one.
pub(super) fn a_named_plan_is_not_made_again() {
    let instance = small();
    let data = Place::local(&instance, "data/arc");
    let id = instance.backup();
    let sink = data.sink.clone();
    let jobs = Jobs::start(&instance, move || delete(&sink, &[INPUT]));
    change_three(&instance, &data);
    let (code, plan) = instance.json(&["restore", &id, "--dry-run"]);
    assert_eq!(code, 0, "{plan}");
    let plan_id = plan["plan_id"].as_str().unwrap();
    jobs.are_due(1);
    let (code, failed) = instance.json(&["restore", &id, "--plan", plan_id, "--yes"]);
    assert_eq!(code, 1, "{failed}");
    let error = failed["error"].as_str().unwrap();
    assert!(
        error.contains(plan_id)
            && error.contains("nothing was changed; staged files (2) are used by the next restore"),
        "{error}"
    );
    assert!(jobs.all_ran(), "no job ran");
    assert_eq!(planned_again(&failed), 0, "it was not: {failed}");
    assert!(!contents(&data.sink).contains_key(INPUT), "it was restored");
    // Without it, the restore is done.
    operation_of(&instance, &["restore", &id]);
    assert!(contents(&data.sink).contains_key(INPUT));
    assert_eq!(staged_in(&instance), Vec::<String>::new());
}

/// Guards against staged files that nothing finds again: a restore that failed while it planned
/// again.
pub(super) fn files_staged_for_the_first_plan_are_of_use_after_a_failed_second_one() {
    let instance = small();
    let data = Place::local(&instance, "data/arc");
    let id = instance.backup();
    let old = state(&instance, &data);
    let jobs = Jobs::start(&instance, || ());
    change_three(&instance, &data);
    jobs.are_due(4);
    let (code, failed) = instance.json(&["restore", &id, "--yes"]);
    assert_eq!(code, 1, "{failed}");
    let error = failed["error"].as_str().unwrap();
    assert!(
        error.contains("staged files (2) are used by the next restore"),
        "{error}"
    );
    let (code, done) = instance.json(&["restore", &id, "--yes"]);
    assert_eq!(code, 0, "{done}");
    assert_eq!(done["reused_files"], 2, "{done}");
    assert!(state(&instance, &data).0 == old.0);
    assert_eq!(planned_again(&done), 0, "{done}");
}
