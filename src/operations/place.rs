//! Whether this is the place of an instance at all, before anything is made in it.

use crate::config::searched_places;
use crate::operations::{ArcBackup, Request};
use crate::{Error, Result};

impl ArcBackup {
    /// Fails where no configuration was found and nothing of an instance either: whatever was done
    /// would be done to `./data` of some folder that Arc does not know.
    ///
    /// # Errors
    /// [`Error::Config`] says where a configuration was looked for, and how to name another place.
    pub fn check_place(&self) -> Result<()> {
        let settings = &self.settings;
        let Some(data) = settings.storage.folder() else {
            return Ok(());
        };
        let is_elsewhere = settings.config_exists
            || settings.backup.local_path.is_dir()
            // Where Arc is about to start for the first time, a volume is there already.
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

    /// Fails where the first backup of an instance finds no data: before the folder of its state is
    /// made. Later ones say so themselves, and in the history.
    pub(crate) fn check_data(&self, request: &Request) -> Result<()> {
        let settings = &self.settings;
        let is_first = !settings.backup.state_folder().exists();
        let root = self.storage.properties().local_path;
        let Some(root) = root.filter(|root| !root.is_dir()) else {
            return Ok(());
        };
        if !matches!(request, Request::Backup { .. }) || !is_first {
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

/// What to do where the program runs in the wrong folder.
const ELSEWHERE: &str = "run in Arc's working directory (-C DIR), or name the file (--config FILE)";

fn absolute(path: &std::path::Path) -> String {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    absolute.display().to_string()
}
