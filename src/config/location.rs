//! Where a configuration is looked for.

use std::path::PathBuf;

/// Where a configuration is looked for, in this order.
pub(super) fn search() -> Vec<PathBuf> {
    let mut places = vec![
        PathBuf::from("arc.toml"),
        PathBuf::from("/etc/arc/arc.toml"),
    ];
    if let Some(home) = std::env::var_os("HOME") {
        places.push(PathBuf::from(home).join(".arc/arc.toml"));
    }
    places
}

/// The places where a configuration is looked for, as a list for people.
pub(crate) fn searched_places() -> String {
    let places = search().into_iter().map(|path| {
        let path = std::path::absolute(&path).unwrap_or(path);
        path.display().to_string()
    });
    places.collect::<Vec<_>>().join(", ")
}
