//! The storage and the sources of an instance that a restore makes.

use std::sync::Arc;

use arc_backup_core::{Sink, Source};

use super::backends;
use crate::config::Settings;
use crate::source::{ConfigSource, Exclusions, ParquetSource, SqliteSource, Tiering};
use crate::{Error, Result};

/// Puts something around a sink: that of the target of this name, of Arc's data storage (`None`),
/// or of its cold tier (`tiered_storage.cold`).
pub type SinkWrapper = Box<dyn Fn(Option<&str>, Arc<dyn Sink>) -> Arc<dyn Sink> + Send + Sync>;
/// Puts something around a source.
pub type SourceWrapper = Box<dyn Fn(Arc<dyn Source>) -> Arc<dyn Source> + Send + Sync>;

/// Makes them. What wraps the sinks and sources of a registry wraps these too.
#[derive(Clone)]
pub(crate) struct NewInstances {
    pub(super) sink_wrapper: Option<Arc<SinkWrapper>>,
    pub(super) source_wrapper: Option<Arc<SourceWrapper>>,
}

/// The storage and the sources of an instance.
pub(crate) type Parts = (Arc<dyn Sink>, Vec<Arc<dyn Source>>);

impl NewInstances {
    /// Those of the instance with these settings. It has no cold tier, and no section of a third
    /// party.
    ///
    /// # Errors
    /// In a build without the kind of its storage.
    pub(crate) fn of_settings(&self, settings: &Settings) -> Result<Parts> {
        let kind = settings.storage.kind.as_str();
        let constructors = backends::find(kind).and_then(|kind| kind.constructors);
        let Some(constructors) = constructors else {
            let feature = backends::find(kind).map_or(kind, |kind| kind.description.feature);
            return Err(Error::Invalid(format!(
                "this build has no storage of kind {kind:?} (feature `{feature}`): it can't restore there"
            )));
        };
        let storage = (constructors.storage)(settings)?;
        let storage = match &self.sink_wrapper {
            Some(wrap) => wrap(None, storage),
            None => storage,
        };
        let exclusions = Exclusions {
            keys: settings.excluded_keys(&[]),
            backups: false,
            compaction: settings.compaction_key(),
        };
        let tiering = Tiering {
            database: settings.auth.db_path.clone(),
            cold: None,
            not_cold: None,
            include_cold: settings.tiering.include_cold_tier,
        };
        let sources = own_sources(settings, &storage, tiering, &exclusions);
        let sources = match &self.source_wrapper {
            Some(wrap) => sources.into_iter().map(|one| wrap(one)).collect(),
            None => sources,
        };
        Ok((storage, sources))
    }
}

/// The sources that every instance has: data, databases, configuration.
pub(super) fn own_sources(
    settings: &Settings,
    storage: &Arc<dyn Sink>,
    tiering: Tiering,
    exclusions: &Exclusions,
) -> Vec<Arc<dyn Source>> {
    let data = ParquetSource::new(
        storage.clone(),
        settings.storage.kind.as_str(),
        exclusions.clone(),
    );
    vec![
        Arc::new(data.with_tiering(tiering)),
        Arc::new(SqliteSource::new(settings.databases.clone())),
        Arc::new(
            ConfigSource::new(settings.config_path.clone(), settings.config_exists)
                .keep_in(settings.backup.state_folder())
                .with_secrets(settings.backends.secrets()),
        ),
    ]
}
