//! Globs over names and paths.

use globset::{GlobBuilder, GlobMatcher};

/// A glob, in which `*` and `?` match no `/`.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    text: String,
    /// `None`: the text has nothing of a glob, and matches itself alone.
    glob: Option<GlobMatcher>,
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Pattern {}

/// The characters that make a text a glob.
const SPECIAL: [char; 7] = ['*', '?', '[', ']', '{', '}', '\\'];

impl Pattern {
    /// The error says what is wrong with the text as a glob.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let glob = match text.contains(SPECIAL) {
            false => None,
            true => {
                let glob = GlobBuilder::new(text).literal_separator(true).build();
                let glob = glob.map_err(|error| error.kind().to_string())?;
                Some(glob.compile_matcher())
            }
        };
        Ok(Self {
            text: text.to_owned(),
            glob,
        })
    }

    pub(super) fn matches(&self, text: &str) -> bool {
        match &self.glob {
            None => self.text == text,
            Some(glob) => glob.is_match(text),
        }
    }

    /// Whether it matches a name. One with a slash is none: `[!a]` and `**` would match that.
    pub(super) fn matches_name(&self, name: &str) -> bool {
        !name.contains('/') && self.matches(name)
    }

    /// Whether it matches every name.
    pub(super) fn is_any(&self) -> bool {
        self.text == "*"
    }

    /// Whether it matches the path, or a folder above it.
    pub(super) fn matches_above(&self, path: &str) -> bool {
        let folders = path.match_indices('/').map(|(at, _)| &path[..at]);
        folders.chain([path]).any(|folder| self.matches(folder))
    }

    /// The name that it matches and nothing else; `None` of a glob.
    pub(super) fn literal(&self) -> Option<&str> {
        self.glob.is_none().then_some(&*self.text)
    }

    /// What every match of it begins with.
    pub(super) fn prefix(&self) -> &str {
        let end = self.text.find(SPECIAL).unwrap_or(self.text.len());
        &self.text[..end]
    }

    /// Whether it matches all that the other one does; `false` where that is not sure.
    pub(super) fn covers(&self, other: &Self) -> bool {
        self == other || self.is_any() || other.literal().is_some_and(|name| self.matches(name))
    }
}
