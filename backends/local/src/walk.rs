//! Listing: a walk in byte order of keys, a bounded part at a time.

use arc_backup_core::{Child, Key, ListOptions, ListStream, Listed, OtherKind, Result};
use futures::{StreamExt, stream};
use rustix::io::Errno;

use crate::error::{DiskFault, blocking, broken_off, present};
use crate::folder::Folder;
use crate::paths::{is_temporary, key_of, lossy};
use crate::root::Root;
use crate::status::Kind;

/// How many rows are read before they are handed over.
const BATCH: usize = 1000;

/// Lists what the options ask for. While rows are taken, the next ones are read, and no more than
/// these: a listing that is dropped ends, and one that is read slowly holds no thread.
pub(crate) fn list(root: Root, options: ListOptions) -> ListStream {
    let start = Ahead::Not(Walk::Start(root, options));
    stream::unfold(Some(start), |ahead| async move {
        let (subject, work) = match ahead? {
            Ahead::Not(walk) => walk.read(),
            Ahead::Reads(subject, work) => (subject, work),
        };
        match work.await {
            Ok((_, batch)) if batch.is_empty() => None,
            Ok((walk, batch)) => {
                let (subject, work) = walk.read();
                Some((batch, Some(Ahead::Reads(subject, work))))
            }
            Err(error) => Some((vec![Err(broken_off("list", &subject, error))], None)),
        }
    })
    .flat_map(stream::iter)
    .boxed()
}

/// A thread that reads rows.
type Work = tokio::task::JoinHandle<(Walk, Vec<Result<Listed>>)>;

/// Whether the next rows are read already.
enum Ahead {
    Not(Walk),
    Reads(String, Work),
}

/// A walk, before and after its first step.
enum Walk {
    Start(Root, ListOptions),
    Under(Filter, Vec<Level>),
}

/// What a listing is limited to.
struct Filter {
    prefix: Vec<u8>,
    start_after: Vec<u8>,
    skip: Vec<Vec<u8>>,
}

/// A folder that the walk is in.
struct Level {
    folder: Folder,
    /// Its path, with a `/` at the end unless it is the root.
    path: Vec<u8>,
    /// The names still to come; that of a folder ends in `/`, as its keys do, so that plain byte
    /// order is the order of keys: `a-b` and `a.b` come before what lies in `a/`, and `a0` behind
    /// it.
    names: std::vec::IntoIter<Vec<u8>>,
}

impl Walk {
    /// Reads the next rows, in a thread.
    fn read(mut self) -> (String, Work) {
        let subject = self.subject();
        let work = tokio::task::spawn_blocking(move || {
            let batch = self.batch();
            (self, batch)
        });
        (subject, work)
    }

    fn subject(&self) -> String {
        match self {
            Self::Start(root, _) => root.text(),
            Self::Under(..) => String::new(),
        }
    }

    fn batch(&mut self) -> Vec<Result<Listed>> {
        if let Self::Start(root, options) = self {
            let subject = root.text();
            let filter = Filter::new(options);
            match start(root, options, &filter) {
                Ok(level) => *self = Self::Under(filter, level.into_iter().collect()),
                Err((place, fault)) => {
                    *self = Self::Under(filter, Vec::new());
                    return vec![Err(match place {
                        Some(place) => fault.about("list", &place).of_one_place(),
                        None => fault.about("list", &subject),
                    })];
                }
            }
        }
        let mut batch = Vec::new();
        while batch.len() < BATCH
            && let Some(item) = self.next()
        {
            batch.push(item);
        }
        batch
    }

    /// The next row. An error names what it is about, and the walk can go on behind it.
    fn next(&mut self) -> Option<Result<Listed>> {
        let Self::Under(filter, levels) = self else {
            return None;
        };
        loop {
            let level = levels.last_mut()?;
            let Some(name) = level.names.next() else {
                levels.pop();
                continue;
            };
            let path = [level.path.as_slice(), &name].concat();
            match level.step(&name, path, filter) {
                Ok(Step::Row(row)) => return Some(Ok(row)),
                Ok(Step::Down(below)) => levels.push(below),
                Ok(Step::Nothing) => {}
                Err((path, fault)) => {
                    let error = fault.about("list", &lossy(&path));
                    return Some(Err(error.of_one_place()));
                }
            }
        }
    }
}

/// Opens the folder that a listing with these options begins in; `None` when there is none. A fault
/// comes with that folder, where it is not one of the root.
fn start(
    root: &Root,
    options: &ListOptions,
    filter: &Filter,
) -> Result<Option<Level>, (Option<String>, DiskFault)> {
    let folder = match options.prefix.rsplit_once('/') {
        None => "",
        // A prefix that leads out of the root, or that no key can have, has nothing under it.
        Some((folder, _)) => match Key::parse(folder) {
            Ok(_) => folder,
            Err(_) => return Ok(None),
        },
    };
    if filter.skips(folder.as_bytes()) {
        return Ok(None);
    }
    let Some(root) = present(root.open()).map_err(|fault| (None, fault))? else {
        return Ok(None);
    };
    let named = |fault: DiskFault| ((!folder.is_empty()).then(|| format!("{folder}/")), fault);
    let Some(opened) = present(root.beneath(folder)).map_err(named)? else {
        return Ok(None);
    };
    let path = &options.prefix.as_bytes()[..folder.len() + usize::from(!folder.is_empty())];
    match Level::read(opened, path.to_owned(), filter) {
        Ok(level) => Ok(Some(level)),
        // Removed since it was opened.
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(named(errno.into())),
    }
}

impl Filter {
    fn new(options: &ListOptions) -> Self {
        let bytes = |text: &str| text.as_bytes().to_owned();
        Self {
            prefix: bytes(&options.prefix),
            start_after: bytes(options.start_after.as_deref().unwrap_or_default()),
            skip: (options.skip.iter())
                .map(|path| bytes(path.trim_end_matches('/')))
                .collect(),
        }
    }

    /// Whether `path` is omitted, with all that is below it.
    fn skips(&self, path: &[u8]) -> bool {
        let path = path.strip_suffix(b"/").unwrap_or(path);
        let within = |folder: &Vec<u8>| {
            path.strip_prefix(folder.as_slice())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
        };
        !path.is_empty() && self.skip.iter().any(within)
    }

    /// Whether the listing has, or may have something below, `path`; that of a folder ends in `/`.
    fn wants(&self, path: &[u8]) -> bool {
        let wanted = if path.ends_with(b"/") {
            (path.starts_with(&self.prefix) || self.prefix.starts_with(path))
                && (path > &self.start_after[..] || self.start_after.starts_with(path))
        } else {
            path.starts_with(&self.prefix) && path > &self.start_after[..]
        };
        wanted && !self.skips(path)
    }
}

/// What one name leads to.
enum Step {
    Row(Listed),
    Down(Level),
    Nothing,
}

impl Level {
    fn read(folder: Folder, path: Vec<u8>, filter: &Filter) -> Result<Self, Errno> {
        let mut names = Vec::new();
        let mut whole = path.clone();
        for item in folder.kinds()? {
            let (mut name, kind) = item?;
            if kind == Kind::Folder {
                name.push(b'/');
            }
            whole.truncate(path.len());
            whole.extend_from_slice(&name);
            if filter.wants(&whole) {
                names.push(name);
            }
        }
        names.sort_unstable();
        // A file that is replaced by a rename may be read twice.
        names.dedup();
        Ok(Self {
            folder,
            path,
            names: names.into_iter(),
        })
    }

    fn step(
        &self,
        name: &[u8],
        path: Vec<u8>,
        filter: &Filter,
    ) -> Result<Step, (Vec<u8>, DiskFault)> {
        let Some(name) = name.strip_suffix(b"/") else {
            return self.row(name, path);
        };
        let opened = self.folder.child(name);
        match opened.and_then(|folder| Level::read(folder, path.clone(), filter)) {
            Ok(level) => Ok(Step::Down(level)),
            // It was removed, or replaced by a link or a file, since its name was read. Here would
            // be the wrong place for that one: `a` comes before `a-b`, and `a/` behind it.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::MLINK) => Ok(Step::Nothing),
            Err(errno) => Err((path, errno.into())),
        }
    }

    fn row(&self, name: &[u8], path: Vec<u8>) -> Result<Step, (Vec<u8>, DiskFault)> {
        let status = match self.folder.status(name) {
            Ok(Some(status)) => status,
            Ok(None) => return Ok(Step::Nothing),
            Err(errno) => return Err((path, errno.into())),
        };
        let other = |kind| {
            Ok(Step::Row(Listed::Other {
                path: lossy(&path),
                kind,
            }))
        };
        match status.kind {
            // A folder that stands where a file stood a moment ago is as new as one made behind the
            // walk.
            Kind::Folder => Ok(Step::Nothing),
            Kind::File if is_temporary(name) => Ok(Step::Nothing),
            Kind::File => match key_of(&path) {
                Some(key) => Ok(Step::Row(Listed::Object(status.meta(key)))),
                None => other(OtherKind::Unaddressable),
            },
            kind => other(kind.other().unwrap_or(OtherKind::Special)),
        }
    }
}

/// Lists one level.
pub(crate) async fn list_children(root: Root, folder: Option<Key>) -> Result<Vec<Child>> {
    let subject = folder.as_ref().map_or_else(|| root.text(), Key::to_string);
    blocking("list", &subject, move || children(&root, folder.as_ref())).await
}

fn children(root: &Root, folder: Option<&Key>) -> Result<Vec<Child>, DiskFault> {
    let path = folder.map_or("", Key::as_str);
    let Some(opened) = present(root.open().and_then(|root| root.beneath(path)))? else {
        return Ok(Vec::new());
    };
    let mut children = Vec::new();
    for item in opened.kinds()? {
        let (name, kind) = item?;
        if kind == Kind::File && is_temporary(&name) {
            continue;
        }
        let whole = match path {
            "" => name.clone(),
            path => [path.as_bytes(), b"/", &name].concat(),
        };
        let text = lossy(&name);
        children.push(match (kind, kind.other()) {
            (_, Some(other)) => Child::Other(text, other),
            _ if key_of(&whole).is_none() => Child::Other(text, OtherKind::Unaddressable),
            (Kind::Folder, _) => Child::Folder(text),
            _ => Child::Object(text),
        });
    }
    children.sort_by(|a, b| a.name().cmp(b.name()));
    Ok(children)
}
