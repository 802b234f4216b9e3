//! Faults by plan: the whole program, with every sink and source wrapped so that one call of them
//! goes wrong.
//!
//! A test binary that uses this has `harness = false`, and hands itself over to [`child`] first:
//! run again as a child with [`CHILD`] set, it *is* the program, with the faults that the
//! environment names.
//!
//! - `ARC_TEST_FAULT`: what goes wrong, and at which call: `die:before:17`, `die:after:17`,
//!   `error:17`, `error-after:17` (whatever came of the call, an error is reported),
//!   `unavailable:17`, `throttled:17` (the store gives no answer, or none but to slow down),
//!   `no-space:17`, `short-read:17` (the body ends early), `flip-read:17`, `short-write:17` (half
//!   is written, then an error), `flip-write:17`, `delay:500:17`, `late:500:17` (the success is
//!   reported 500 ms late). With a `+` behind it, at each call from then on.
//! - `ARC_TEST_FAULT_CALLS`: only calls whose names begin with one of these are counted:
//!   `target.,storage.get`.
//! - `ARC_TEST_FAULT_TRACE`: a file that each counted call is written to, a line a call: number,
//!   name, subject.
//!
//! Calls are named `<place>.<method>`: the place is `storage` (Arc's data), `target` (the target
//! `local`; others `target-<name>`) or `source-<section>`.

#![allow(dead_code, reason = "each test binary uses a part of it")]

mod body;
mod optional;
mod sink;
mod source;
mod upload;

use std::fs::File;
use std::future::Future;
use std::io::Write as _;
use std::process::{Command, ExitCode, Output, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_backup_core::{Error, ErrorKind, Result};
use futures::stream::BoxStream;
use futures::{StreamExt, stream};
use libtest_mimic::{Arguments, Trial};

pub use sink::FaultySink;
pub use source::FaultySource;

use crate::support::Instance;

/// Makes the test binary the program.
pub const CHILD: &str = "ARC_TEST_CHILD";
pub const FAULT: &str = "ARC_TEST_FAULT";
pub const CALLS: &str = "ARC_TEST_FAULT_CALLS";
pub const TRACE: &str = "ARC_TEST_FAULT_TRACE";
/// What an injected error says.
pub const INJECTED: &str = "injected fault";
/// What a full disk says here.
pub const FULL: &str = "no space left on device (injected)";

/// The program with faults, where this process is to be it; `None` in the test itself.
pub fn child() -> Option<ExitCode> {
    child_with(|_| {})
}

/// The main function of a test binary that is its own child: it is the program where it is to be
/// that, and else it runs these tests. Those named `many_…` are long, and ignored.
pub fn main(tests: Vec<(&'static str, fn())>) -> ExitCode {
    main_with_long(tests, Vec::new())
}

/// The same with tests that are ignored by default, as they take long.
pub fn main_with_long(
    tests: Vec<(&'static str, fn())>,
    long: Vec<(&'static str, fn())>,
) -> ExitCode {
    if let Some(code) = child() {
        return code;
    }
    let plain = |is_long: bool| {
        move |(name, test): (&'static str, fn())| {
            Trial::test(name, move || {
                test();
                Ok(())
            })
            .with_ignored_flag(is_long || name.starts_with("many_"))
        }
    };
    let trials = (tests.into_iter().map(plain(false))).chain(long.into_iter().map(plain(true)));
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit_code()
}

/// Tests by the names of their functions.
#[allow(unused_macros, reason = "each test binary uses a part of it")]
macro_rules! by_name {
    ($($test:ident),+ $(,)?) => {
        vec![$((stringify!($test), $test as fn())),+]
    };
}
#[allow(unused_imports, reason = "each test binary uses a part of it")]
pub(crate) use by_name;

/// The same, with a change to the registry.
pub fn child_with(change: impl FnOnce(&mut arc_backup::Registry)) -> Option<ExitCode> {
    std::env::var_os(CHILD)?;
    Some(arc_backup::main(registry_with(change)))
}

/// A registry with the faults that the environment names, for a child that uses the library.
pub fn registry() -> arc_backup::Registry {
    registry_with(|_| {})
}

/// A registry with the faults that the environment names, and a change to it.
pub fn registry_with(change: impl FnOnce(&mut arc_backup::Registry)) -> arc_backup::Registry {
    let plan = Arc::new(Plan::from_environment());
    let mut registry = arc_backup::Registry::new();
    change(&mut registry);
    let of_sinks = plan.clone();
    registry.wrap_sinks(move |target, sink| {
        let place = match target {
            None => "storage".to_owned(),
            Some("local") => "target".to_owned(),
            Some(name) => format!("target-{name}"),
        };
        Arc::new(FaultySink::new(place, sink, of_sinks.clone()))
    });
    registry.wrap_sources(move |source| Arc::new(FaultySource::new(source, plan.clone())));
    registry
}

/// The program, in the process of a test binary that is one (see `faults`).
pub fn faulty(
    instance: &Instance,
    fault: &str,
    calls: &str,
    arguments: &[&str],
) -> (Output, Vec<String>) {
    let trace = tempfile::NamedTempFile::new().unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .env(CHILD, "1")
        .env(FAULT, fault)
        .env(CALLS, calls)
        .env(TRACE, trace.path())
        .arg("-C")
        .arg(instance.path(""))
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let trace = std::fs::read_to_string(trace.path()).unwrap();
    (output, trace.lines().map(str::to_owned).collect())
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    None,
    DieBefore,
    DieAfter,
    Error,
    ErrorAfter,
    /// The place can't be reached, or asks to slow down, to the end of all attempts.
    Gone(ErrorKind),
    NoSpace,
    ShortRead,
    FlipRead,
    ShortWrite,
    FlipWrite,
    Delay(Duration),
    Late(Duration),
}

/// Methods that need room.
const NEED_ROOM: [&str; 7] = [
    "begin",
    "write",
    "commit",
    "set_aside",
    "prepare_aside",
    "copy_from",
    "sync",
];

impl Fault {
    /// Faults of bytes count only the calls that carry some.
    fn counts(self, method: &str) -> bool {
        match self {
            Self::NoSpace => NEED_ROOM.contains(&method),
            Self::ShortRead | Self::FlipRead => ["get", "open"].contains(&method),
            Self::ShortWrite | Self::FlipWrite => method == "write",
            _ => true,
        }
    }

    /// Whether bytes must pass through [`arc_backup_core::Upload::write`], and not around it.
    fn is_of_writes(self) -> bool {
        matches!(self, Self::NoSpace | Self::ShortWrite | Self::FlipWrite)
    }
}

/// Which call goes wrong, and how; counts the calls.
#[derive(Debug)]
pub struct Plan {
    fault: Fault,
    at: u64,
    from_then_on: bool,
    only: Vec<String>,
    calls: AtomicU64,
    trace: Option<Mutex<File>>,
}

impl Plan {
    /// `text` as [`FAULT`] has it.
    pub fn parse(text: &str) -> Self {
        let (text, from_then_on) = match text.strip_suffix('+') {
            Some(text) => (text, true),
            None => (text, false),
        };
        let parts: Vec<_> = text.split(':').collect();
        let millis = |text: &str| Duration::from_millis(text.parse().expect("milliseconds"));
        let (fault, at) = match parts[..] {
            ["none"] => (Fault::None, "0"),
            ["die", "before", at] => (Fault::DieBefore, at),
            ["die", "after", at] => (Fault::DieAfter, at),
            ["error", at] => (Fault::Error, at),
            ["error-after", at] => (Fault::ErrorAfter, at),
            ["unavailable", at] => (Fault::Gone(ErrorKind::Unavailable), at),
            ["throttled", at] => (Fault::Gone(ErrorKind::Throttled), at),
            ["no-space", at] => (Fault::NoSpace, at),
            ["short-read", at] => (Fault::ShortRead, at),
            ["flip-read", at] => (Fault::FlipRead, at),
            ["short-write", at] => (Fault::ShortWrite, at),
            ["flip-write", at] => (Fault::FlipWrite, at),
            ["delay", wait, at] => (Fault::Delay(millis(wait)), at),
            ["late", wait, at] => (Fault::Late(millis(wait)), at),
            _ => panic!("{FAULT}: what is {text:?}?"),
        };
        Self {
            fault,
            at: at.parse().expect("the number of a call"),
            from_then_on,
            only: Vec::new(),
            calls: AtomicU64::new(0),
            trace: None,
        }
    }

    fn from_environment() -> Self {
        let text = |name| std::env::var(name).unwrap_or_default();
        let fault = text(FAULT);
        let mut plan = Self::parse(if fault.is_empty() { "none" } else { &fault });
        plan.only = (text(CALLS).split(','))
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect();
        plan.trace = std::env::var_os(TRACE).map(|path| {
            let file = File::options().create(true).append(true).open(path);
            Mutex::new(file.expect("the trace can be written"))
        });
        plan
    }

    /// Counts a call; answers what goes wrong with it.
    fn next(&self, place: &str, method: &str, subject: &str) -> Fault {
        let name = format!("{place}.{method}");
        let counts = self.only.is_empty() || self.only.iter().any(|only| name.starts_with(only));
        if !counts || !self.fault.counts(method) {
            return Fault::None;
        }
        let number = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        if let Some(trace) = &self.trace {
            let mut trace = trace.lock().expect("nobody panics with it");
            writeln!(trace, "{number}\t{name}\t{subject}").expect("the trace can be written");
        }
        let hit = number == self.at || self.from_then_on && number > self.at;
        if hit { self.fault } else { Fault::None }
    }

    /// Does `work`, a call that carries no bytes, and lets it go wrong when its turn has come.
    async fn around<T>(
        &self,
        place: &str,
        method: &'static str,
        subject: &str,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let fault = self.next(place, method, subject);
        let before = self.before(fault, method, subject).await;
        match before {
            Ok(()) => self.after(fault, method, subject, work.await).await,
            Err(error) => Err(error),
        }
    }

    /// What goes wrong before a call is done.
    async fn before(&self, fault: Fault, method: &'static str, subject: &str) -> Result<()> {
        match fault {
            Fault::DieBefore => die(),
            Fault::Error => Err(injected(method, subject)),
            Fault::Gone(kind) => Err(Error::new(kind, method, subject, INJECTED)),
            Fault::NoSpace => Err(Error::new(ErrorKind::NoSpace, method, subject, FULL)),
            Fault::Delay(wait) => {
                tokio::time::sleep(wait).await;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// What goes wrong after it.
    async fn after<T>(
        &self,
        fault: Fault,
        method: &'static str,
        subject: &str,
        done: Result<T>,
    ) -> Result<T> {
        match fault {
            Fault::DieAfter => die(),
            Fault::ErrorAfter => Err(injected(method, subject)),
            Fault::Late(wait) => {
                tokio::time::sleep(wait).await;
                done
            }
            _ => done,
        }
    }
}

/// Rows of a listing, as the fault makes them.
fn spoiled_rows<'a, T: Send + 'a>(
    fault: Fault,
    rows: BoxStream<'a, Result<T>>,
    method: &'static str,
    subject: &str,
) -> BoxStream<'a, Result<T>> {
    let fails = |kind| stream::iter([Err(Error::new(kind, method, subject, INJECTED))]);
    match fault {
        Fault::DieBefore => die(),
        Fault::DieAfter => rows.chain(stream::poll_fn(|_| die())).boxed(),
        // In the middle, where there is one.
        Fault::Error => rows.take(1).chain(fails(ErrorKind::Other)).boxed(),
        Fault::Gone(kind) => rows.take(1).chain(fails(kind)).boxed(),
        Fault::ErrorAfter => rows.chain(fails(ErrorKind::Other)).boxed(),
        _ => rows,
    }
}

fn injected(method: &'static str, subject: &str) -> Error {
    Error::new(ErrorKind::Other, method, subject, INJECTED)
}

/// As a crash: nothing is dropped, nothing flushed, no handler runs.
fn die() -> ! {
    let own = rustix::process::getpid();
    let _ = rustix::process::kill_process(own, rustix::process::Signal::KILL);
    loop {
        std::thread::park();
    }
}
