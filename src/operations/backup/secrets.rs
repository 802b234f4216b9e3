//! Whether the secrets of `arc.toml` are in a backup.

use arc_backup_core::{Access, Scope, Secrets, Section};

use crate::operations::context::Context;

/// As the request or the configuration says; else only where the target is on a disk of this
/// machine. Warns where they leave it.
pub(crate) fn of(context: &Context, scope: &Scope) -> Secrets {
    let is_remote = context.repository.sink().properties().access == Access::Network;
    let by_target = match is_remote {
        true => Secrets::Redact,
        false => Secrets::Include,
    };
    let secrets = context.secrets.unwrap_or(by_target);
    let has_config = scope.includes(&Section::Config) && context.settings.config_exists;
    if has_config && is_remote && secrets == Secrets::Include {
        context.warn(format!(
            "arc.toml goes to {} with all its secrets, also those of other targets: set `backup.include_config` to \
             \"redacted\"",
            context.repository.sink().location()
        ));
    }
    secrets
}
