//! Which of the known names a misspelt one may have been meant to be.

/// The known name that is nearest to `name`, where one is near enough to be meant.
#[must_use]
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // No known name is that long, and the cost is the product of both lengths.
    if name.len() > 100 {
        return None;
    }
    let lower = name.to_lowercase();
    let most = if lower.len() <= 3 { 1 } else { 2 };
    (known.into_iter())
        .map(|one| {
            (
                strsim::damerau_levenshtein(&lower, &one.to_lowercase()),
                one,
            )
        })
        .filter(|(distance, _)| *distance <= most)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, one)| one)
}

/// What to say of a name that is not known: `did you mean "target"? known: target, all`.
#[must_use]
pub(crate) fn hint(name: &str, known: &[&str]) -> String {
    let meant = nearest(name, known.iter().copied());
    let meant = meant.map_or_else(String::new, |meant| format!("did you mean {meant:?}? "));
    match known {
        [] => "none is known here".to_owned(),
        known => format!("{meant}known: {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards against a wrong guess, which misleads more than none.
    #[test]
    fn only_a_near_name_is_suggested() {
        let known = ["restore_data", "restore_metadata", "target", "p"];
        for (name, meant) in [
            ("restore_dta", Some("restore_data")),
            ("restroe_data", Some("restore_data")),
            ("Restore_Metadata", Some("restore_metadata")),
            ("targt", Some("target")),
            ("colour", None),
            ("", None),
            (&*"target".repeat(100), None),
        ] {
            let found = nearest(name, known);
            assert_eq!(found.filter(|_| !name.is_empty()), meant, "{name}");
        }
        assert_eq!(
            hint("targt", &known[2..3]),
            "did you mean \"target\"? known: target"
        );
    }
}
