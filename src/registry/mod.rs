//! What kinds of storage, target and source there are.
//!
//! The one place that names a backend. A third party's binary adds its own before it calls [`crate::main`].

#[cfg(feature = "azure")]
mod azure;
#[cfg(feature = "s3")]
mod s3;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use arc_backup_core::{Sink, Source};
#[cfg(feature = "local")]
use arc_backup_local::{LocalConfig, LocalSink};

use crate::config::{Settings, TargetSettings};
use crate::repository::Repository;
use crate::source::{ConfigSource, Exclusions, ParquetSource, SqliteSource};
use crate::{Error, Result};

/// Makes a sink for a target: its settings are under [`TargetSettings::key`] in [`Settings::values`].
pub type SinkConstructor =
    Box<dyn Fn(&TargetSettings, &Settings) -> Result<Arc<dyn Sink>> + Send + Sync>;
/// Makes a source of the configuration; `None` where nothing of it is configured.
pub type SourceConstructor =
    Box<dyn Fn(&Settings) -> Result<Option<Arc<dyn Source>>> + Send + Sync>;

/// Puts something around a sink: that of the target of this name, or of Arc's data storage (`None`).
pub type SinkWrapper = Box<dyn Fn(Option<&str>, Arc<dyn Sink>) -> Arc<dyn Sink> + Send + Sync>;
/// Puts something around a source.
pub type SourceWrapper = Box<dyn Fn(Arc<dyn Source>) -> Arc<dyn Source> + Send + Sync>;

/// Kinds of sinks by the `type` that a configuration names, and further sources.
pub struct Registry {
    sinks: BTreeMap<String, SinkConstructor>,
    sources: Vec<SourceConstructor>,
    sink_wrapper: Option<SinkWrapper>,
    source_wrapper: Option<SourceWrapper>,
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
        #[cfg(feature = "local")]
        registry.add_sink("local", |target, settings| {
            let root = if target.name == "local" {
                settings.backup.local_path.clone()
            } else {
                let key = format!("{}.local_path", target.key);
                let path = settings.values.text(&key)?;
                PathBuf::from(path.ok_or_else(|| {
                    Error::Config(format!("`{key}` is missing: it names the folder"))
                })?)
            };
            Ok(local(root))
        });
        #[cfg(feature = "s3")]
        for kind in ["s3", "minio"] {
            registry.add_sink(kind, |target, settings| {
                s3::sink(&settings.values, &target.key, path_style(&target.kind))
            });
        }
        #[cfg(feature = "azure")]
        for kind in ["azure", "azblob"] {
            registry.add_sink(kind, |target, settings| {
                azure::sink(&settings.values, &target.key)
            });
        }
        registry
    }

    /// Adds a kind of sink under the `type` that `[backup.targets.<name>]` names it by; one that is there is replaced.
    pub fn add_sink(
        &mut self,
        kind: impl Into<String>,
        make: impl Fn(&TargetSettings, &Settings) -> Result<Arc<dyn Sink>> + Send + Sync + 'static,
    ) -> &mut Self {
        self.sinks.insert(kind.into(), Box::new(make));
        self
    }

    /// Adds a source, which has a section of its own.
    pub fn add_source(
        &mut self,
        make: impl Fn(&Settings) -> Result<Option<Arc<dyn Source>>> + Send + Sync + 'static,
    ) -> &mut Self {
        self.sources.push(Box::new(make));
        self
    }

    /// Puts `wrap` around every sink, that of Arc's data storage too: to count, to slow down, to fail on purpose.
    pub fn wrap_sinks(
        &mut self,
        wrap: impl Fn(Option<&str>, Arc<dyn Sink>) -> Arc<dyn Sink> + Send + Sync + 'static,
    ) -> &mut Self {
        self.sink_wrapper = Some(Box::new(wrap));
        self
    }

    /// Puts `wrap` around every source; the section has to stay what it is.
    pub fn wrap_sources(
        &mut self,
        wrap: impl Fn(Arc<dyn Source>) -> Arc<dyn Source> + Send + Sync + 'static,
    ) -> &mut Self {
        self.source_wrapper = Some(Box::new(wrap));
        self
    }

    fn wrapped(&self, target: Option<&str>, sink: Arc<dyn Sink>) -> Arc<dyn Sink> {
        match &self.sink_wrapper {
            Some(wrap) => wrap(target, sink),
            None => sink,
        }
    }

    pub(crate) fn repositories(&self, settings: &Settings) -> Result<Vec<Repository>> {
        (settings.targets.iter())
            .filter(|target| target.name != "local" || self.sinks.contains_key("local"))
            .map(|target| {
                let Some(make) = self.sinks.get(&target.kind) else {
                    return Err(self.unknown(&format!("{}.type", target.key), &target.kind));
                };
                let sink = self.wrapped(Some(&target.name), make(target, settings)?);
                Ok(Repository::new(target.name.as_str(), sink))
            })
            .collect()
    }

    fn unknown(&self, key: &str, kind: &str) -> Error {
        let feature = match kind {
            "s3" | "minio" => Some("s3"),
            "azure" | "azblob" => Some("azure"),
            "local" => Some("local"),
            _ => None,
        };
        let known: Vec<_> = self.sinks.keys().map(String::as_str).collect();
        Error::Config(match feature {
            Some(feature) if !is_built(feature) => {
                format!("`{key}` is {kind:?}: built without the `{feature}` feature")
            }
            _ => format!("`{key}` must be one of {}, not {kind:?}", known.join(", ")),
        })
    }

    pub(crate) fn sources(
        &self,
        settings: &Settings,
        storage: Arc<dyn Sink>,
        exclusions: Exclusions,
    ) -> Result<Vec<Arc<dyn Source>>> {
        let mut sources: Vec<Arc<dyn Source>> = vec![
            Arc::new(ParquetSource::new(
                storage,
                settings.storage.kind.as_str(),
                exclusions,
            )),
            Arc::new(SqliteSource::new(settings.databases.clone())),
            Arc::new(
                ConfigSource::new(settings.config_path.clone(), settings.config_exists)
                    .keep_in(settings.backup.state_folder()),
            ),
        ];
        for make in &self.sources {
            if let Some(source) = make(settings)? {
                let section = source.section();
                if arc_backup_core::Key::parse(section).is_err() || section.contains('/') {
                    return Err(Error::Config(format!(
                        "{section:?} can't be the name of a section"
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
            sources = sources.into_iter().map(wrap).collect();
        }
        Ok(sources)
    }

    pub(crate) fn storage(&self, settings: &Settings) -> Result<Arc<dyn Sink>> {
        Ok(self.wrapped(None, self.bare_storage(settings)?))
    }

    fn bare_storage(&self, settings: &Settings) -> Result<Arc<dyn Sink>> {
        match settings.storage.kind.as_str() {
            #[cfg(feature = "local")]
            "local" => {
                let mut config = LocalConfig::new(&settings.storage.local_path);
                config.folders_like_root = true;
                Ok(Arc::new(LocalSink::new(config)))
            }
            #[cfg(feature = "s3")]
            // For `minio` as for `s3`: Arc's own default, or it would be another place than Arc's.
            "s3" => s3::sink(&settings.values, "storage", false),
            #[cfg(feature = "azure")]
            "azure" => {
                // It would be a backup of a part that says it is of all.
                if (settings.values.text("storage.azure_prefix")?)
                    .is_some_and(|prefix| !prefix.trim().is_empty())
                {
                    return Err(Error::Config(
                        "`storage.azure_prefix` is no key of Arc's, which reads the whole container: remove it"
                            .to_owned(),
                    ));
                }
                azure::sink(&settings.values, "storage")
            }
            kind => Err(self.unknown("storage.backend", kind)),
        }
    }
}

/// Whether the bucket goes into the path, where a target of this type does not say.
#[cfg(feature = "s3")]
fn path_style(kind: &str) -> bool {
    kind == "minio"
}

#[cfg(feature = "local")]
fn local(root: PathBuf) -> Arc<dyn Sink> {
    Arc::new(LocalSink::new(LocalConfig::new(root)))
}

/// A backend's fault of configuration, with the table that its setting is in.
#[cfg(any(feature = "s3", feature = "azure"))]
fn in_table(table: &str, error: &arc_backup_core::Error) -> Error {
    Error::Config(format!("`{table}.{}`: {}", error.subject(), error.detail()))
}

fn is_built(feature: &str) -> bool {
    matches!(
        (
            feature,
            cfg!(feature = "local"),
            cfg!(feature = "s3"),
            cfg!(feature = "azure")
        ),
        ("local", true, _, _) | ("s3", _, true, _) | ("azure", _, _, true)
    )
}
