//! Choosing the files of a sample, so that consecutive samples read all files.
//!
//! Each path has a position on a circle of 2^32, by its hash. A sample reads the span that begins
//! where the last one ended. Samples of 1/n read every file once in n runs, and then start over.
//! Added and removed files do not move the others, because a position depends only on its path.

use arc_backup_core::Digest;

use crate::repository::SampleCursor;

/// The number of positions.
const CIRCLE: u64 = 1 << 32;

/// The positions of one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    start: u32,
    width: u64,
}

/// One run, and the state after it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Run {
    /// The positions that it reads.
    pub(crate) span: Span,
    /// Where the next run begins.
    pub(crate) next: SampleCursor,
    /// The share of the backup that this round has read after the run; 1 at its end.
    pub(crate) covered: f64,
}

impl Run {
    /// The run of `share` whose turn it is.
    pub(crate) fn new(cursor: SampleCursor, share: f64) -> Self {
        // A share is more than 0 and at most 1; a float's 53 bits hold every position.
        let width = ((share * CIRCLE as f64).ceil() as u64).clamp(1, CIRCLE);
        let left = CIRCLE - cursor.covered.min(CIRCLE - 1);
        let beyond = width.saturating_sub(left);
        // Each run of a round is rounded up by less than one position. The excess is not read
        // again, so that the next round begins where this one did.
        let rounding = CIRCLE.div_ceil(width);
        let (width, beyond) = if beyond < rounding {
            (width.min(left), 0)
        } else {
            (width, beyond)
        };
        let ends = width >= left;
        let covered = if ends { beyond } else { CIRCLE - left + width };
        Self {
            span: Span {
                start: cursor.next,
                width,
            },
            next: SampleCursor {
                next: ((u64::from(cursor.next) + width) % CIRCLE) as u32,
                covered,
            },
            covered: if ends {
                1.0
            } else {
                covered as f64 / CIRCLE as f64
            },
        }
    }
}

impl Span {
    /// Whether the file at `path` is in the span.
    pub(crate) fn contains(self, path: &str) -> bool {
        u64::from(position(path).wrapping_sub(self.start)) < self.width
    }
}

/// Returns the position of a path, or of any text, on the circle.
pub(crate) fn position(text: &str) -> u32 {
    let digest = Digest::of(text.as_bytes());
    let [a, b, c, d, ..] = *digest.as_bytes();
    u32::from_be_bytes([a, b, c, d])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths() -> Vec<String> {
        (0..5_000)
            .map(|n| format!("data/iot/{n}.parquet"))
            .collect()
    }

    /// How often each path is read by `runs` samples, and the turn after them.
    fn read(mut cursor: SampleCursor, share: f64, runs: u32) -> (Vec<u32>, SampleCursor, f64) {
        let paths = paths();
        let (mut counts, mut covered) = (vec![0; paths.len()], 0.0);
        for _ in 0..runs {
            let run = Run::new(cursor, share);
            for (count, path) in counts.iter_mut().zip(&paths) {
                *count += u32::from(run.span.contains(path));
            }
            (cursor, covered) = (run.next, run.covered);
        }
        (counts, cursor, covered)
    }

    /// Guards against files that no sample ever reads while every sample succeeds.
    #[test]
    fn n_samples_of_one_nth_read_every_file_once_and_start_over() {
        for runs in [1, 2, 3, 4, 6, 7, 10, 20, 33, 100, 997] {
            for next in [0, 1, 12_345, u32::MAX] {
                let cursor = SampleCursor { next, covered: 0 };
                // As the command line and REST have it: a percentage.
                let share = 100.0 / f64::from(runs) / 100.0;
                let (counts, after, covered) = read(cursor, share, runs);
                assert!(counts.iter().all(|count| *count == 1), "{runs} from {next}");
                assert_eq!((after, covered), (cursor, 1.0), "{runs} from {next}");
            }
        }
    }

    /// Guards against skipped files when the share does not divide the whole.
    #[test]
    fn samples_of_an_odd_share_omit_no_file() {
        for (share, runs) in [(0.3, 4), (0.15, 7), (0.999, 2), (0.051, 20), (0.333, 4)] {
            let cursor = SampleCursor {
                next: 4_000_000_000,
                covered: 0,
            };
            let (counts, _, covered) = read(cursor, share, runs - 1);
            assert!(covered < 1.0 && counts.contains(&0), "{share}");
            let (counts, after, covered) = read(cursor, share, runs);
            assert!(covered == 1.0 && !counts.contains(&0), "{share}");
            // The excess of the last run counts towards the next round.
            assert!(after.covered > 0, "{share}");
            let (counts, _, _) = read(cursor, share, 2 * runs);
            let (most, least) = (counts.iter().max(), counts.iter().min());
            assert!(most.unwrap_or(&9) - least.unwrap_or(&0) <= 1, "{share}");
        }
        // Shares may change between runs, and a note may hold any value.
        for covered in [0, 1, CIRCLE / 2, CIRCLE - 1, CIRCLE, u64::MAX] {
            for share in [f64::MIN_POSITIVE, 0.5, 1.0] {
                let run = Run::new(SampleCursor { next: 7, covered }, share);
                assert!((1..=CIRCLE).contains(&run.span.width), "{covered} {share}");
                assert!(run.next.covered < CIRCLE, "{covered} {share}");
            }
        }
        let whole = Run::new(
            SampleCursor {
                next: 9,
                covered: 5,
            },
            1.0,
        );
        assert!(paths().iter().all(|path| whole.span.contains(path)));
    }
}
