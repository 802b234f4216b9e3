//! The table of Arc's facts, `tests/facts.md`: each names a test that exists.

use std::collections::BTreeSet;

/// The section whose facts have no test.
const NOT_COVERED: &str = "## Not covered";

/// What is wrong with the table: facts without a test, and tests that do not exist. `read` gives
/// the text of a file.
///
/// A fact whose test does not fit beside it has an empty cell, and the test in the next row. The
/// end of a long name may be written as `…`.
pub fn faults(page: &str, read: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let mut faults = Vec::new();
    let mut without_test: Option<&str> = None;
    let covered = page.split(NOT_COVERED).next().unwrap_or_default();
    for line in covered.lines().chain([""]) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let row = match cells[..] {
            ["", "fact", "test", ""] => None,
            ["", fact, tests, ""] if !fact.starts_with("---") => Some((fact, tests)),
            _ if line.starts_with('|') && !line.starts_with("|---") => {
                faults.push(format!("{line}: not a row of two cells"));
                None
            }
            _ => None,
        };
        if let Some(fact) = without_test.take_if(|_| !matches!(row, Some(("", _)))) {
            faults.push(format!("{fact}: no test"));
        }
        let Some((fact, tests)) = row else { continue };
        if tests.is_empty() {
            without_test = Some(fact);
            continue;
        }
        without_test = None;
        for (number, part) in tests.split('`').enumerate() {
            let fault = match number % 2 {
                0 if part.trim_matches([',', ' ']).is_empty() => None,
                0 => Some("not a test in backticks".to_owned()),
                _ => fault_of(part, &read),
            };
            faults.extend(fault.map(|fault| format!("{tests}: {fault}")));
        }
    }
    faults
}

/// Why `file::function`, or `file`, is not a test that runs.
fn fault_of(test: &str, read: &impl Fn(&str) -> Option<String>) -> Option<String> {
    let (file, name) = match test.split_once("::") {
        Some((file, name)) => (file, Some(name)),
        None => (test, None),
    };
    let Some(text) = read(file) else {
        return Some(format!("no file {file}"));
    };
    // A test binary with a `main` of its own lists its tests there.
    let folder = file.rsplit_once('/').map_or("", |(folder, _)| folder);
    let main = read(&format!("{folder}/main.rs")).unwrap_or_default();
    let tests = tests_in(&text, &main);
    let found = match name.map(|name| (name, name.strip_suffix('…'))) {
        None => tests.len().min(1),
        Some((_, Some(start))) => (tests.iter().filter(|name| name.starts_with(start))).count(),
        Some((name, None)) => usize::from(tests.contains(name)),
    };
    (found != 1).then(|| format!("{found} tests of this name"))
}

/// The tests of a file, without those that are ignored.
fn tests_in(text: &str, main: &str) -> BTreeSet<String> {
    let mut listed = BTreeSet::new();
    for list in [text, main]
        .iter()
        .flat_map(|t| t.split("by_name![").skip(1))
    {
        let names = list.split(']').next().unwrap_or_default();
        listed.extend(names.split(|c: char| !c.is_alphanumeric() && c != '_'));
    }
    let (mut tests, mut is_test) = (BTreeSet::new(), false);
    for line in text.lines().map(str::trim) {
        is_test |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
        is_test &= !line.starts_with("#[ignore");
        let before_name = ["", "pub ", "pub(super) ", "async "];
        let function = (before_name.iter())
            .find_map(|words| line.strip_prefix(words)?.strip_prefix("fn "))
            .and_then(|rest| rest.split('(').next());
        let Some(name) = function else { continue };
        if std::mem::take(&mut is_test) || listed.contains(name) {
            tests.insert(name.to_owned());
        }
    }
    tests
}
