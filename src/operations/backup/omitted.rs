//! What a backup leaves out because it was asked to: `completed` must not lie by omission.

use crate::operations::context::Context;

/// Notes as not included what was left out as asked, each by its configuration key.
pub(crate) fn note(context: &Context, metadata: bool, config: bool) {
    let mut list = Vec::new();
    if !metadata {
        // What is there by nobody's setting, and is not there, was not left out.
        let databases = (context.settings.databases.iter())
            .filter(|database| database.needed_by.is_some() || database.path.exists());
        list.extend(databases.map(|database| {
            format!(
                "{}: databases were left out as asked (include_metadata = false)",
                database.setting
            )
        }));
    }
    if !config && context.settings.config_exists {
        list.push(
            "arc.toml: the configuration was left out as asked (include_config = false)".to_owned(),
        );
    }
    context
        .running
        .update(|operation| operation.not_included.extend(list));
}
