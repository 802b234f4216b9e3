//! Which file of a crate imports which.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::tokens::{Token, tokens};

/// A path in the crate's tree of modules: `["operations", "backup"]`.
type ModulePath = Vec<String>;

struct Module {
    file: String,
    tokens: Vec<Token>,
    /// Names that `use` brings in, with the paths they come from.
    names: BTreeMap<String, Vec<String>>,
    globs: Vec<Vec<String>>,
    /// Paths of private `use` items; public ones are a table of contents.
    imports: Vec<Vec<String>>,
}

/// The import graph of a crate's `src/`.
pub struct Graph {
    modules: BTreeMap<ModulePath, Module>,
    edges: BTreeSet<(String, String)>,
}

/// Files that import each other, and the imports that make it so.
pub struct Circle {
    pub files: Vec<String>,
    pub edges: Vec<String>,
}

impl Graph {
    pub fn of(sources: &Path) -> Self {
        let mut modules = BTreeMap::new();
        read(sources, sources, &mut modules);
        let mut graph = Self {
            modules,
            edges: BTreeSet::new(),
        };
        let found: Vec<(String, String)> = graph
            .modules
            .iter()
            .flat_map(|(path, module)| {
                graph
                    .targets(path, module)
                    .into_iter()
                    .map(|to| (module.file.clone(), to))
                    .collect::<Vec<_>>()
            })
            .filter(|(from, to)| from != to)
            .collect();
        graph.edges.extend(found);
        graph
    }

    pub fn edges(&self) -> usize {
        self.edges.len()
    }

    pub fn pairs(&self) -> Vec<(String, String)> {
        self.edges.iter().cloned().collect()
    }

    fn targets(&self, path: &ModulePath, module: &Module) -> BTreeSet<String> {
        let mut targets = BTreeSet::new();
        let mut follow = |segments: &[String]| {
            if let Some(file) = self.resolve(path, segments, 0) {
                targets.insert(file);
            }
        };
        for import in &module.imports {
            follow(import);
        }
        for glob in &module.globs {
            follow(glob);
        }
        for segments in paths_in(&module.tokens) {
            let begins = segments[0].as_str();
            let child = self
                .modules
                .contains_key(&[path.as_slice(), &[begins.to_owned()]].concat());
            if matches!(begins, "crate" | "super" | "self")
                || child
                || module.names.contains_key(begins)
            {
                follow(&segments);
            }
        }
        targets
    }

    /// The file that defines what `segments` name within the module `path`.
    fn resolve(&self, path: &ModulePath, segments: &[String], depth: usize) -> Option<String> {
        if depth > 20 {
            return None;
        }
        let (mut at, mut rest): (ModulePath, &[String]) = match segments.first()?.as_str() {
            "crate" => (Vec::new(), &segments[1..]),
            "self" => (path.clone(), &segments[1..]),
            "super" => (path[..path.len().checked_sub(1)?].to_vec(), &segments[1..]),
            _ => (path.clone(), segments),
        };
        let from_here = rest.len() == segments.len();
        let mut first = true;
        while let Some(segment) = rest.first() {
            if segment == "super" {
                at.pop()?;
                rest = &rest[1..];
                continue;
            }
            let child = [at.as_slice(), std::slice::from_ref(segment)].concat();
            if self.modules.contains_key(&child) {
                (at, rest, first) = (child, &rest[1..], false);
                continue;
            }
            let module = self.modules.get(&at)?;
            if let Some(target) = module.names.get(segment) {
                let target = [target.as_slice(), &rest[1..]].concat();
                return self.resolve(&at, &target, depth + 1);
            }
            if first && from_here {
                return None; // another crate
            }
            for glob in &module.globs {
                let target = [glob.as_slice(), rest].concat();
                if let Some(found) = self.resolve(&at, &target, depth + 1) {
                    return Some(found);
                }
            }
            return Some(module.file.clone());
        }
        self.modules.get(&at).map(|module| module.file.clone())
    }
}

fn read(root: &Path, folder: &Path, modules: &mut BTreeMap<ModulePath, Module>) {
    let mut entries: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    entries.sort();
    for path in entries {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            if name != "tests" {
                read(root, &path, modules);
            }
        } else if name.ends_with(".rs") && name != "tests.rs" {
            let file = path
                .strip_prefix(root)
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned();
            let mut module: ModulePath = file
                .trim_end_matches(".rs")
                .split('/')
                .map(str::to_owned)
                .collect();
            if matches!(module.last().map(String::as_str), Some("mod" | "lib")) {
                module.pop();
            }
            modules.insert(module, parse(file, &fs::read_to_string(&path).unwrap()));
        }
    }
}

fn parse(file: String, text: &str) -> Module {
    let product = text
        .split("#[cfg(test)]\nmod tests {")
        .next()
        .unwrap_or(text);
    let all = tokens(product);
    let mut module = Module {
        file,
        tokens: Vec::new(),
        names: BTreeMap::new(),
        globs: Vec::new(),
        imports: Vec::new(),
    };
    let mut i = 0;
    while i < all.len() {
        if all[i] != "use" || (i > 0 && all[i - 1] == ":") {
            module.tokens.push(all[i].clone());
            i += 1;
            continue;
        }
        let public = i > 0 && (all[i - 1] == "pub" || all[i - 1] == ")");
        let end = i + all[i..]
            .iter()
            .position(|token| token == ";")
            .unwrap_or(all.len() - i - 1);
        let mut found = Vec::new();
        tree(&all[i + 1..end], &[], &mut found);
        for (name, path) in found {
            if name == "*" {
                module.globs.push(path);
                continue;
            }
            if !public {
                module.imports.push(path.clone());
            }
            module.names.insert(name, path);
        }
        i = end + 1;
    }
    module
}

/// The names that a `use` tree brings in, each with its path.
fn tree(tokens: &[Token], prefix: &[String], found: &mut Vec<(String, Vec<String>)>) {
    let mut path = prefix.to_vec();
    let mut i = 0;
    while i < tokens.len() {
        match tokens[i].as_str() {
            "::" => i += 1,
            "{" => {
                let mut depth = 0;
                let mut begin = i + 1;
                for (j, token) in tokens.iter().enumerate().skip(i) {
                    match token.as_str() {
                        "{" => depth += 1,
                        "}" => depth -= 1,
                        "," if depth == 1 => {
                            tree(&tokens[begin..j], &path, found);
                            begin = j + 1;
                        }
                        _ => {}
                    }
                    if depth == 0 {
                        tree(&tokens[begin..j], &path, found);
                        return;
                    }
                }
                return;
            }
            "*" => return found.push(("*".to_owned(), path)),
            "as" => return found.push((tokens.get(i + 1).cloned().unwrap_or_default(), path)),
            "self" if !path.is_empty() => i += 1,
            segment => {
                path.push(segment.to_owned());
                i += 1;
            }
        }
    }
    if let Some(name) = path
        .last()
        .filter(|_| path.len() > prefix.len() || !tokens.is_empty())
        .cloned()
    {
        found.push((name, path));
    }
}

/// Every path of at least two segments, and every single word that stands alone.
fn paths_in(tokens: &[Token]) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut i = 0;
    while i < tokens.len() {
        let word = tokens[i]
            .chars()
            .next()
            .is_some_and(|c| c.is_alphabetic() || c == '_');
        let member = i > 0 && (tokens[i - 1] == "." || tokens[i - 1] == "::");
        if !word || member {
            i += 1;
            continue;
        }
        let mut path = vec![tokens[i].clone()];
        while tokens.get(i + 1).is_some_and(|t| t == "::")
            && tokens.get(i + 2).is_some_and(|t| {
                t.chars()
                    .next()
                    .is_some_and(|c| c.is_alphabetic() || c == '_')
            })
        {
            path.push(tokens[i + 2].clone());
            i += 2;
        }
        if path.len() > 1 {
            found.push(path);
        }
        i += 1;
    }
    found
}

/// The strongly connected parts of more than one file.
pub fn circles(graph: &Graph) -> Vec<Circle> {
    let mut next: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (from, to) in &graph.edges {
        next.entry(from).or_default().push(to);
        next.entry(to).or_default();
    }
    let reach: BTreeMap<&str, BTreeSet<&str>> = next
        .keys()
        .map(|file| (*file, reachable(&next, file)))
        .collect();
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for file in next.keys() {
        let circle: BTreeSet<&str> = reach[file]
            .iter()
            .filter(|other| reach[*other].contains(file))
            .copied()
            .collect();
        if circle.len() > 1 && seen.insert(circle.clone()) {
            let within = |name: &String| circle.contains(name.as_str());
            found.push(Circle {
                files: circle.iter().map(|&name| name.to_owned()).collect(),
                edges: graph
                    .edges
                    .iter()
                    .filter(|(from, to)| within(from) && within(to))
                    .map(|(from, to)| format!("{from} -> {to}"))
                    .collect(),
            });
        }
    }
    found
}

fn reachable<'a>(next: &BTreeMap<&'a str, Vec<&'a str>>, from: &str) -> BTreeSet<&'a str> {
    let mut seen = BTreeSet::new();
    let mut todo: Vec<&str> = next[from].clone();
    while let Some(file) = todo.pop() {
        if seen.insert(file) {
            todo.extend(&next[file]);
        }
    }
    seen
}
