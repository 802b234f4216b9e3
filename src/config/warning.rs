//! What looks like a mistake in a configuration.

use std::fmt;

/// Something in a configuration that looks like a mistake, and stops nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The key, section or variable.
    pub setting: String,
    /// What is wrong with it; names the setting.
    pub text: String,
    /// What to do, where the text does not say it.
    pub remedy: Option<String>,
}

impl Warning {
    pub(super) fn new(setting: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            setting: setting.into(),
            text: text.into(),
            remedy: None,
        }
    }

    pub(super) fn with_remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        match &self.remedy {
            Some(remedy) => write!(f, ": {remedy}"),
            None => Ok(()),
        }
    }
}
