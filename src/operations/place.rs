//! Checks that an instance is located here, before anything is created.

use crate::config::searched_places;
use crate::operations::{ArcBackup, Request};
use crate::{Error, Result};

impl ArcBackup {
    /// Checks that there is a configuration or a sign of an instance. Without both, an operation
    /// would work on `./data` of a folder that does not belong to Arc.
    ///
    /// # Errors
    /// [`Error::Config`] names the searched paths, and the options for another one.
    pub fn check_place(&self) -> Result<()> {
        let settings = &self.settings;
        let Some(data) = settings.storage.folder() else {
            return Ok(());
        };
        let is_elsewhere = settings.config_exists
            || settings.backup.local_path.is_dir()
            // Before Arc's first start, only its volume exists.
            || (data.ancestors().take(2))
                .any(|folder| !folder.as_os_str().is_empty() && folder.is_dir())
            || settings.targets.len() > 1;
        if is_elsewhere {
            return Ok(());
        }
        Err(Error::Config(format!(
            "no arc.toml was found ({}), and `{}`, where data is by default, is not a folder: {ELSEWHERE}",
            searched_places(),
            absolute(data)
        )))
    }

    /// Fails if the first backup of an instance finds no data, before the state folder is created.
    /// Later backups fail themselves, with an entry in the history.
    pub(crate) fn check_data(&self, request: &Request) -> Result<()> {
        let settings = &self.settings;
        let is_first = !settings.backup.state_folder().exists();
        let root = self.storage.properties().local_path;
        let Some(root) = root.filter(|root| !root.is_dir()) else {
            return Ok(());
        };
        if !matches!(request, Request::Backup(..)) || !is_first {
            return Ok(());
        }
        let configuration = match settings.config_exists {
            true => format!("the configuration is {}", absolute(&settings.config_path)),
            false => format!("no arc.toml was found ({})", searched_places()),
        };
        let text = format!(
            "`{}` (`storage.local_path`) is not a folder; {configuration}. Is its volume mounted? Else {ELSEWHERE}",
            absolute(&root)
        );
        Err(match settings.config_exists {
            true => Error::Failed(text),
            false => Error::Config(text),
        })
    }
}

/// The remedy for a program that runs in the wrong folder.
const ELSEWHERE: &str = "run in Arc's working directory (-C DIR), or name the file (--config FILE)";

fn absolute(path: &std::path::Path) -> String {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    absolute.display().to_string()
}
