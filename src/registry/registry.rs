//! The kinds of sinks by their names, the sources, and what wraps them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use arc_backup_core::{Sink, Source};

use super::backends;
use super::new_instances::{NewInstances, SinkWrapper, SourceWrapper, own_sources};
use super::warehouse::warehouse;
use crate::config::{COLD, Overrides, Settings, TargetSettings};
use crate::repository::Repository;
use crate::source::{Exclusions, Tiering};
use crate::{Error, Result};

/// Makes a sink for a target, whose settings are under [`TargetSettings::key`] in
/// [`Settings::values`].
pub type SinkConstructor =
    Box<dyn Fn(&TargetSettings, &Settings) -> Result<Arc<dyn Sink>> + Send + Sync>;
/// Makes a source of the configuration; `None` where nothing of it is configured.
pub type SourceConstructor =
    Box<dyn Fn(&Settings) -> Result<Option<Arc<dyn Source>>> + Send + Sync>;

/// Kinds of sinks by the `type` that a configuration names, and further sources.
pub struct Registry {
    sinks: BTreeMap<String, SinkConstructor>,
    sources: Vec<SourceConstructor>,
    sink_wrapper: Option<Arc<SinkWrapper>>,
    source_wrapper: Option<Arc<SourceWrapper>>,
}

impl Default for Registry {
    fn default() -> Self {
        Self::new()
    }
}

impl Registry {
    /// The kinds that this build has.
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Self {
            sinks: BTreeMap::new(),
            sources: Vec::new(),
            sink_wrapper: None,
            source_wrapper: None,
        };
        for kind in backends::all() {
            for name in kind.description.names {
                if let Some(constructors) = kind.constructors {
                    registry.add_sink(*name, constructors.target);
                }
            }
        }
        registry
    }

    /// Reads the configuration.
    ///
    /// # Errors
    /// [`Error::Config`] names the file or key, the value and what is allowed.
    pub fn settings(&self, overrides: &Overrides) -> Result<Settings> {
        Settings::load(overrides, backends::descriptions())
    }

    /// Adds a kind of sink under the `type` that `[backup.targets.<name>]` names it by. It replaces
    /// one of the same name.
    pub fn add_sink(
        &mut self,
        kind: impl Into<String>,
        make: impl Fn(&TargetSettings, &Settings) -> Result<Arc<dyn Sink>> + Send + Sync + 'static,
    ) -> &mut Self {
        self.sinks.insert(kind.into(), Box::new(make));
        self
    }

    /// Adds a source, which must have a section of its own.
    pub fn add_source(
        &mut self,
        make: impl Fn(&Settings) -> Result<Option<Arc<dyn Source>>> + Send + Sync + 'static,
    ) -> &mut Self {
        self.sources.push(Box::new(make));
        self
    }

    /// Puts `wrap` around every sink, also around that of Arc's data storage: to count, to slow
    /// down, to fail on purpose.
    pub fn wrap_sinks(
        &mut self,
        wrap: impl Fn(Option<&str>, Arc<dyn Sink>) -> Arc<dyn Sink> + Send + Sync + 'static,
    ) -> &mut Self {
        self.sink_wrapper = Some(Arc::new(Box::new(wrap)));
        self
    }

    /// Puts `wrap` around every source. It must not change the section.
    pub fn wrap_sources(
        &mut self,
        wrap: impl Fn(Arc<dyn Source>) -> Arc<dyn Source> + Send + Sync + 'static,
    ) -> &mut Self {
        self.source_wrapper = Some(Arc::new(Box::new(wrap)));
        self
    }

    /// What makes the storage and the sources of an instance in a folder.
    pub(crate) fn new_instances(&self) -> NewInstances {
        NewInstances {
            sink_wrapper: self.sink_wrapper.clone(),
            source_wrapper: self.source_wrapper.clone(),
        }
    }

    fn wrapped(&self, target: Option<&str>, sink: Arc<dyn Sink>) -> Arc<dyn Sink> {
        match &self.sink_wrapper {
            Some(wrap) => wrap(target, sink),
            None => sink,
        }
    }

    pub(crate) fn repositories(&self, settings: &Settings) -> Result<Vec<Repository>> {
        (settings.targets.iter())
            // In a build without local disk, the default target is omitted.
            .filter(|target| !target.is_built_in() || self.sinks.contains_key(&target.kind))
            .map(|target| {
                let Some(make) = self.sinks.get(&target.kind) else {
                    return Err(self.unknown(&format!("{}.type", target.key), &target.kind));
                };
                let sink = self.wrapped(Some(&target.name), make(target, settings)?);
                let repository = Repository::new(target.name.as_str(), sink);
                Ok(repository.with_list_cache(settings.backup.state_folder()))
            })
            .collect()
    }

    fn unknown(&self, key: &str, kind: &str) -> Error {
        let known: Vec<_> = self.sinks.keys().map(String::as_str).collect();
        Error::Config(match backends::find(kind) {
            Some(missing) if missing.constructors.is_none() => format!(
                "`{key}` is {kind:?}: built without the `{}` feature",
                missing.description.feature
            ),
            _ => format!("`{key}` must be one of {}, not {kind:?}", known.join(", ")),
        })
    }

    pub(crate) fn sources(
        &self,
        settings: &Settings,
        storage: &Arc<dyn Sink>,
        cold: Option<(&Arc<dyn Sink>, Option<String>)>,
        exclusions: &Exclusions,
        target_roots: &[PathBuf],
    ) -> Result<Vec<Arc<dyn Source>>> {
        let tiering = Tiering {
            database: settings.auth.db_path.clone(),
            cold: cold.as_ref().map(|(cold, _)| (*cold).clone()),
            not_cold: cold.and_then(|(_, inside)| inside),
            include_cold: settings.tiering.include_cold_tier,
        };
        let mut sources = own_sources(settings, storage, tiering, exclusions);
        sources.extend(warehouse(settings, target_roots)?);
        for make in &self.sources {
            if let Some(source) = make(settings)? {
                let section = source.section();
                if arc_backup_core::Key::parse(section).is_err() || section.contains('/') {
                    return Err(Error::Config(format!(
                        "{section:?} cannot be the name of a section"
                    )));
                }
                if sources.iter().any(|other| other.section() == section) {
                    return Err(Error::Config(format!(
                        "two sources have the section {section:?}"
                    )));
                }
                sources.push(source);
            }
        }
        if let Some(wrap) = &self.source_wrapper {
            sources = sources.into_iter().map(|one| wrap(one)).collect();
        }
        Ok(sources)
    }

    /// Arc's cold tier, where it has one.
    pub(crate) fn cold(&self, settings: &Settings) -> Result<Option<Arc<dyn Sink>>> {
        let Some(kind) = settings.tiering.cold_kind.as_deref() else {
            return Ok(None);
        };
        let constructors = backends::find(kind).and_then(|kind| kind.constructors);
        match constructors {
            Some(constructors) => {
                let sink = (constructors.cold)(settings)?;
                Ok(Some(self.wrapped(Some(COLD), sink)))
            }
            None => Err(self.unknown("tiered_storage.cold.backend", kind)),
        }
    }

    pub(crate) fn storage(&self, settings: &Settings) -> Result<Arc<dyn Sink>> {
        Ok(self.wrapped(None, self.bare_storage(settings)?))
    }

    fn bare_storage(&self, settings: &Settings) -> Result<Arc<dyn Sink>> {
        let kind = settings.storage.kind.as_str();
        let constructors = backends::find(kind).and_then(|kind| kind.constructors);
        match constructors {
            Some(constructors) => (constructors.storage)(settings),
            None => Err(self.unknown("storage.backend", kind)),
        }
    }
}
