//! `[arc_backup]`: a table of the same file that Arc does not read. Its keys win over those under
//! `[backup]`.

use super::keys::BACKUP_KEYS;
use super::values::Values;
use super::warning::Warning;

/// The keys under `[backup]` that Arc reads too: there, both tables may well differ.
const OF_ARC: [&str; 5] = [
    "enabled",
    "local_path",
    "default_target",
    "operation_timeout",
    "targets",
];

/// A warning for each key of ours, and each target, that stands in both tables and differs.
pub(super) fn both_set(values: &Values) -> Vec<Warning> {
    let keys = BACKUP_KEYS.iter().filter(|key| !OF_ARC.contains(key));
    let names = keys.map(|key| (*key).to_owned()).chain(
        values
            .keys("arc_backup.targets")
            .into_iter()
            .filter(|name| values.describes_target(name))
            .map(|name| format!("targets.{name}")),
    );
    names
        .filter_map(|name| {
            let (own, shared) = (format!("arc_backup.{name}"), format!("backup.{name}"));
            let differs = values.in_file(&own)? != values.in_file(&shared)?;
            let text =
                format!("`{own}` and `{shared}` are both set, and differ: the first is used");
            differs.then(|| Warning::new(own, text).with_remedy("remove one of them"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards against a setting that is changed in the table that is not used.
    #[test]
    fn keys_that_differ_in_both_tables_are_named() {
        for (text, named) in [
            ("[backup]\ntimeout = \"1h\"\n", None),
            (
                "[backup]\ntimeout = \"1h\"\n[arc_backup]\ntimeout = \"1h\"\n",
                None,
            ),
            (
                "[backup]\ntimeout = \"1h\"\n[arc_backup]\ntimeout = \"2h\"\n",
                Some("arc_backup.timeout"),
            ),
            // Arc reads these, and they say something else to each.
            (
                "[backup]\nenabled = false\n[arc_backup]\nenabled = true\n",
                None,
            ),
            (
                "[backup.targets.a]\ntype = \"s3\"\n[arc_backup.targets.a]\ntype = \"local\"\n",
                Some("arc_backup.targets.a"),
            ),
        ] {
            let values = Values::parse(text, "arc.toml", []).expect("valid TOML");
            let found = both_set(&values);
            let settings: Vec<_> = found.iter().map(|one| one.setting.as_str()).collect();
            assert_eq!(settings, named.into_iter().collect::<Vec<_>>(), "{text}");
        }
    }
}
