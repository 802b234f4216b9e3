//! The names of the variables that override keys.

/// The keys whose variables are Arc's, and do not set the same key under `[arc_backup]`.
const OF_ARC: [&str; 4] = [
    "enabled",
    "local_path",
    "default_target",
    "operation_timeout",
];

/// The variable that overrides a key. A key of ours under `[arc_backup]` has that of the same key
/// under `[backup]`.
pub(super) fn variable(key: &str) -> String {
    let shared = key.strip_prefix("arc_").filter(|rest| {
        rest.strip_prefix("backup.")
            .is_some_and(|name| !OF_ARC.contains(&name))
    });
    plain_variable(shared.unwrap_or(key))
}

/// The variable that sets a key under `[arc_backup]` alone.
pub(super) fn separate_variable(key: &str) -> Option<String> {
    key.starts_with("arc_backup.").then(|| plain_variable(key))
}

fn plain_variable(key: &str) -> String {
    format!("ARC_{}", key.to_ascii_uppercase().replace(['.', '-'], "_"))
}

/// A target's name as its variables have it.
pub(super) fn in_variables(name: &str) -> String {
    name.to_ascii_uppercase().replace('-', "_")
}
