//! The source tree itself: which file imports which, how long files are, which words they use.
//!
//! The import graph is made from the text of the sources: every path that begins at `crate`,
//! `super`, `self` or at an imported name is followed, through re-exports, to the file that defines
//! it. A `pub use` is a table of contents and no import.

#![allow(clippy::unwrap_used, reason = "tests stop at the first surprise")]

mod house {
    pub mod facts;
    pub mod graph;
    pub mod tokens;
}

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use house::facts;
use house::graph::{Graph, circles};

/// The folders of `src/`, and the files beside them, from the top of the house to its ground. A
/// file imports from its own floor and from those below.
const FLOORS: &[&[&str]] = &[
    &["bin"],
    &["cli"],
    &["api"],
    &["check", "doctor", "demo"],
    &["schedule"],
    &["operations"],
    &["repository", "source", "arc", "registry"],
    &["pipeline", "manifest"],
    &["auth", "config"],
];

/// The lowest floor, which every other may use.
const GROUND: &str = "the ground";

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if path
                .file_name()
                .is_some_and(|name| name != "target" && name != "node_modules")
            {
                files(&path, extension, found);
            }
        } else if path.extension().is_some_and(|has| has == extension) {
            found.push(path);
        }
    }
    found.sort();
}

/// Every file of the project with this extension, but for the generated and the fetched.
fn all(extension: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && !name.starts_with('.') && name != "target" {
            files(&path, extension, &mut found);
        } else if path.extension().is_some_and(|has| has == extension) {
            found.push(path);
        }
    }
    assert!(found.len() > 10, "{extension}: {} files", found.len());
    (found.iter())
        .map(|path| (shown(path), fs::read_to_string(path).unwrap()))
        .collect()
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root())
        .unwrap_or(path)
        .display()
        .to_string()
}

/// Guards against two files that can only be understood together.
#[test]
fn no_two_files_import_each_other() {
    let mut found = Vec::new();
    for sources in [
        "src",
        "backends/core/src",
        "backends/local/src",
        "backends/s3/src",
        "backends/azure/src",
    ] {
        let graph = Graph::of(&root().join(sources));
        assert!(
            graph.edges() > 10,
            "{sources}: the graph has {} edges",
            graph.edges()
        );
        for circle in circles(&graph) {
            found.push(format!(
                "{sources}: {}\n    {}",
                circle.files.join(" "),
                circle.edges.join("\n    ")
            ));
        }
    }
    assert!(found.is_empty(), "circles:\n{}", found.join("\n"));
}

fn floor_of(file: &str) -> (&'static str, usize) {
    let first = file.split('/').next().unwrap_or_default();
    let name = first.trim_end_matches(".rs");
    FLOORS
        .iter()
        .enumerate()
        .find_map(|(floor, rooms)| {
            rooms
                .iter()
                .find(|room| **room == name)
                .map(|room| (*room, floor))
        })
        .unwrap_or((GROUND, FLOORS.len()))
}

/// Guards against a room below that needs a room above.
#[test]
fn nothing_imports_upwards() {
    let graph = Graph::of(&root().join("src"));
    let mut upward = Vec::new();
    let mut between: BTreeMap<(&str, &str), BTreeSet<String>> = BTreeMap::new();
    for (from, to) in graph.pairs() {
        if from == "lib.rs" || from.ends_with("bin/arc-backup.rs") {
            continue;
        }
        let ((room, floor), (other, below)) = (floor_of(&from), floor_of(&to));
        if below < floor || (to == "lib.rs") {
            upward.push(format!("{from} -> {to}"));
        } else if room != other && floor == below {
            between
                .entry((room, other))
                .or_default()
                .insert(format!("{from} -> {to}"));
        }
    }
    for ((room, other), edges) in &between {
        if between.contains_key(&(*other, *room)) && *room != GROUND {
            upward.extend(edges.iter().map(|edge| format!("{edge} (and back)")));
        }
    }
    assert!(upward.is_empty(), "imports upwards:\n{}", upward.join("\n"));
}

/// Guards against a file that nobody reads to its end.
#[test]
fn no_file_is_longer_than_500_lines() {
    let long: Vec<_> = all("rs")
        .into_iter()
        .map(|(file, text)| (text.lines().count(), file))
        .filter(|(lines, _)| *lines > 500)
        .collect();
    assert!(long.is_empty(), "{long:?}");
}

/// Words that only this project had, where the field has its own (the glossary is in
/// docs/architecture.md); and `tell`, which stood for storing, reporting, printing and flushing.
const COINED: &[&str] = &[
    "leavings",
    "untold",
    "nameless",
    "anew",
    "goes_on",
    "stands_for",
    "complain",
    "truth",
    "tell",
    "tells",
    "told",
    "telling",
];

/// Guards against a private language, that nobody can guess or search for.
#[test]
fn no_coined_words() {
    let mut found = Vec::new();
    for (file, text) in all("rs").into_iter().chain(all("md")) {
        // This list itself.
        if file == "tests/house.rs" {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            let mut words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
            let coined = words.any(|word| COINED.contains(&word.to_lowercase().as_str()));
            if coined || line.contains("fn words(") || line.contains(".words()") {
                found.push(format!("{file}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    assert!(
        found.is_empty(),
        "{} lines:\n{}",
        found.len(),
        found.join("\n")
    );
}

/// Guards against lines that do not fit beside another window.
#[test]
fn prose_is_wrapped_at_100_columns() {
    let mut found = Vec::new();
    let comments = |line: &str| line.trim_start().starts_with("//");
    for (file, text) in all("md").into_iter().chain(all("rs")) {
        // A fixture is data.
        if file.starts_with("tests/fixtures/") {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            let is_prose = file.ends_with(".md") || comments(line);
            if is_prose && line.chars().count() > 100 {
                found.push(format!("{file}:{}", number + 1));
            }
        }
    }
    assert!(
        found.is_empty(),
        "{} lines:\n{}",
        found.len(),
        found.join("\n")
    );
}

/// The mean length of a page's sentences, in words: without code blocks, tables and headings.
fn words_a_sentence(page: &str) -> f64 {
    let mut prose = String::new();
    let mut in_code = false;
    for line in page.lines() {
        let line = line.trim();
        if line.starts_with("```") {
            in_code = !in_code;
        } else if line.is_empty() || line.starts_with('#') {
            prose.push('.');
        } else if !in_code && !line.starts_with('|') {
            // A point of a list is a sentence of its own.
            if line.starts_with("- ")
                || line
                    .split(". ")
                    .next()
                    .is_some_and(|n| n.parse::<u8>().is_ok())
            {
                prose.push_str(". ");
            }
            prose.push_str(line);
            prose.push(' ');
        }
    }
    // An abbreviation, a file name or a version has no space behind its point.
    let sentences = prose.split(['!', '?']).flat_map(|part| part.split(". "));
    let lengths: Vec<usize> = sentences
        .map(|sentence| {
            let words = sentence.split_whitespace();
            words
                .filter(|word| word.chars().any(char::is_alphanumeric))
                .count()
        })
        .filter(|words| *words > 0)
        .collect();
    lengths.iter().sum::<usize>() as f64 / lengths.len().max(1) as f64
}

/// Guards against sentences that have to be read twice at 3 a.m.
#[test]
fn sentences_of_the_docs_have_at_most_18_words_on_average() {
    let mut long = Vec::new();
    let pages = all("md")
        .into_iter()
        .filter(|(file, _)| file.starts_with("docs/"));
    for (file, text) in pages {
        let mean = words_a_sentence(&text);
        if !(1.0..=18.0).contains(&mean) {
            long.push(format!("{file}: {mean:.1}"));
        }
    }
    assert!(long.is_empty(), "words a sentence: {}", long.join(", "));
    assert!(words_a_sentence(&format!("{} end.", "word ".repeat(30))) > 18.0);
}

/// Guards against a fact of Arc whose test was renamed or removed, so that nobody guards it.
#[test]
fn each_fact_of_arc_has_a_test_that_exists() {
    let page = fs::read_to_string(root().join("tests/facts.md")).unwrap();
    let read = |file: &str| fs::read_to_string(root().join(file)).ok();
    let faults = facts::faults(&page, read);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    let rows = page.lines().filter(|line| line.starts_with("| ")).count();
    assert!(rows > 100, "{rows} rows");
}

/// Guards against a check of that table which finds nothing.
#[test]
fn a_fact_without_its_test_is_found() {
    let read = |file: &str| {
        let text = match file {
            "tests/a.rs" => {
                "#[test]\nfn runs_always() {}\n#[test]\n#[ignore]\nfn is_long() {}\nfn helps() {}"
            }
            "tests/b/main.rs" => "fn main() { by_name![one, two] }",
            "tests/b/one.rs" => "pub(super) fn one() {}\nfn three() {}",
            "tests/none.rs" => "fn helps() {}",
            _ => return None,
        };
        Some(text.to_owned())
    };
    for (cell, is_right) in [
        ("`tests/a.rs::runs_always`", true),
        ("`tests/a.rs`, `tests/b/one.rs::one`", true),
        ("`tests/a.rs::runs…`", true),
        ("", false),
        ("to be named", false),
        ("`tests/c.rs::runs_always`", false),
        ("`tests/c.rs`", false),
        ("`tests/none.rs`", false),
        ("`tests/a.rs::runs`", false),
        ("`tests/a.rs::walks…`", false),
        ("`tests/a.rs::is_long`", false),
        ("`tests/a.rs::helps`", false),
        ("`tests/b/one.rs::three`", false),
        ("`tests/a.rs` | more", false),
    ] {
        let page = format!("| fact | test |\n|---|---|\n| water is wet | {cell} |\n");
        let faults = facts::faults(&page, read);
        assert_eq!(faults.is_empty(), is_right, "{cell}: {faults:?}");
        let below = format!("| fact | test |\n|---|---|\n| water is wet | |\n| | {cell} |\n");
        let faults = facts::faults(&below, read);
        assert_eq!(faults.is_empty(), is_right, "{cell} below: {faults:?}");
        let not_covered = format!("## Not covered\n{page}");
        assert_eq!(facts::faults(&not_covered, read), [""; 0]);
    }
}

/// Guards against a graph that finds nothing.
#[test]
fn the_graph_follows_imports_and_re_exports() {
    let folder = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("lib.rs", "mod a; mod b; pub use a::One;");
    write("a/mod.rs", "mod one; mod two; pub use one::One;");
    write(
        "a/one.rs",
        "use super::two::Two; pub struct One; // crate::b::Three",
    );
    write(
        "a/two.rs",
        "pub struct Two; fn f() { let _ = \"crate::b\"; crate::b::three() }",
    );
    write(
        "b.rs",
        "use crate::{self as all, a::One as First}; pub fn three() { all::a::x() }",
    );
    let graph = Graph::of(folder.path());
    let expected = [
        ("a/one.rs", "a/two.rs"),
        ("a/two.rs", "b.rs"),
        ("b.rs", "a/mod.rs"),
        ("b.rs", "a/one.rs"),
        ("b.rs", "lib.rs"),
    ];
    let expected = expected.map(|(from, to)| (from.to_owned(), to.to_owned()));
    assert_eq!(graph.pairs(), expected);
    let circles = circles(&graph);
    assert_eq!(circles.len(), 1);
    assert_eq!(circles[0].files, ["a/one.rs", "a/two.rs", "b.rs"]);
}
