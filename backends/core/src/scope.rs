//! What an operation is about: the whole instance, or a part of it.

use std::collections::BTreeSet;

use crate::{Key, Section};

/// The part of an instance that a backup, a restore, a verification or a comparison is about.
///
/// [`contains`](Scope::contains) is the one place that decides. What is out of scope is never
/// listed as extra, never set aside and never removed.
///
/// A scope limits the sections, and within the section `data` the folders. Databases, measurements,
/// globs over paths and ranges of time are not part of it yet.
///
/// ```
/// use arc_backup_core::{Key, Scope, Section};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let scope = Scope::of_sections([Section::Data]).within([Key::parse("iot/cpu")?]);
/// assert!(scope.contains(&Section::Data, &Key::parse("iot/cpu/2026/a.parquet")?));
/// assert!(!scope.contains(&Section::Data, &Key::parse("iot/mem/2026/a.parquet")?));
/// assert!(!scope.contains(&Section::Metadata, &Key::parse("arc.db")?));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    /// `None`: all.
    sections: Option<BTreeSet<Section>>,
    /// Folders of the section `data`; `None`: all of it.
    folders: Option<BTreeSet<Key>>,
}

impl Scope {
    /// Everything.
    #[must_use]
    pub fn whole() -> Self {
        Self::default()
    }

    /// These sections, each as a whole. A third party's section counts as data: it is in scope when
    /// `data` is, and when it is named itself.
    #[must_use]
    pub fn of_sections(sections: impl IntoIterator<Item = Section>) -> Self {
        Self {
            sections: Some(sections.into_iter().collect()),
            folders: None,
        }
    }

    /// The same scope, but of the section `data` these folders only. The other sections stay as
    /// they are, but those of third parties: what belongs to a folder there is not known, and they
    /// are in scope only when they are named.
    #[must_use]
    pub fn within(mut self, folders: impl IntoIterator<Item = Key>) -> Self {
        self.folders = Some(folders.into_iter().collect());
        self
    }

    /// Whether nothing is out of scope.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.sections.is_none() && self.folders.is_none()
    }

    /// Whether the section, or some of it, is in scope.
    #[must_use]
    pub fn includes(&self, section: &Section) -> bool {
        let named = |section| match &self.sections {
            Some(sections) => sections.contains(section),
            None => true,
        };
        match section {
            Section::Other(_) if self.folders.is_some() => {
                self.sections.is_some() && named(section)
            }
            Section::Other(_) => named(section) || named(&Section::Data),
            _ => named(section),
        }
    }

    /// Whether the entry at `key` of `section` is in scope.
    #[must_use]
    pub fn contains(&self, section: &Section, key: &Key) -> bool {
        self.includes(section)
            && match (section, &self.folders) {
                (Section::Data, Some(folders)) => {
                    folders.iter().any(|folder| key.is_within(folder))
                }
                _ => true,
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> Key {
        Key::parse(text).expect("valid")
    }

    fn other() -> Section {
        Section::Other("iceberg".to_owned())
    }

    #[test]
    fn the_whole_holds_everything() {
        let whole = Scope::whole();
        assert!(whole.is_whole());
        for section in [Section::Data, Section::Metadata, Section::Config, other()] {
            assert!(whole.includes(&section));
            assert!(whole.contains(&section, &key("a/b")));
        }
        assert!(!Scope::of_sections([Section::Data]).is_whole());
        assert!(!Scope::whole().within([key("a")]).is_whole());
    }

    #[test]
    fn a_third_partys_section_goes_with_the_data() {
        let data = Scope::of_sections([Section::Data, Section::Metadata]);
        assert!(data.contains(&other(), &key("a")));
        assert!(!data.includes(&Section::Config));
        assert!(!Scope::of_sections([Section::Metadata]).includes(&other()));
        assert!(Scope::of_sections([other()]).includes(&other()));
    }

    #[test]
    fn folders_limit_the_data_alone() {
        let scope = Scope::whole().within([key("iot"), key("web/hits")]);
        for (at, expected) in [
            ("iot/cpu/a.parquet", true),
            ("iot", true),
            ("iot2/cpu/a.parquet", false),
            ("web/hits/a.parquet", true),
            ("web/errors/a.parquet", false),
        ] {
            assert_eq!(scope.contains(&Section::Data, &key(at)), expected, "{at}");
        }
        assert!(scope.contains(&Section::Metadata, &key("arc.db")));
        assert!(!scope.includes(&other()), "whose files are unknown");
        let named = Scope::of_sections([Section::Data, other()]).within([key("iot")]);
        assert!(named.contains(&other(), &key("x")));
        let nothing = Scope::whole().within([]);
        assert!(!nothing.contains(&Section::Data, &key("iot/a")));
    }
}
