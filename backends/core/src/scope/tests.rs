//! What is in a scope, and what a listing of it has to find.

use super::*;
use crate::ErrorKind;

fn key(text: &str) -> Key {
    Key::parse(text).expect("valid")
}

fn other() -> Section {
    Section::Other("iceberg".to_owned())
}

#[test]
fn the_whole_holds_everything() {
    let whole = Scope::whole();
    assert!(whole.is_whole());
    for section in [Section::Data, Section::Metadata, Section::Config, other()] {
        assert!(whole.includes(&section));
        assert!(whole.contains(&section, &key("a/b")));
    }
    assert!(!Scope::of_sections([Section::Data]).is_whole());
    assert!(!Scope::whole().within([key("a")]).is_whole());
}

#[test]
fn a_third_partys_section_goes_with_the_data() {
    let data = Scope::of_sections([Section::Data, Section::Metadata]);
    assert!(data.contains(&other(), &key("a")));
    assert!(!data.includes(&Section::Config));
    assert!(!Scope::of_sections([Section::Metadata]).includes(&other()));
    assert!(Scope::of_sections([other()]).includes(&other()));
    let less = data.without(&Section::Metadata);
    assert!(less.includes(&Section::Data) && !less.includes(&Section::Metadata));
    let less = Scope::whole().without(&Section::Metadata);
    assert!(less.includes(&Section::Config) && !less.includes(&Section::Metadata));
}

#[test]
fn databases_come_with_their_companions_and_nothing_else() {
    let named = || BTreeSet::from(["iot".to_owned(), "spoke1".to_owned()]);
    let only = Scope::whole().of_databases(Databases::Only(named()));
    let except = Scope::whole().of_databases(Databases::Except(named()));
    for (at, expected) in [
        ("iot/cpu/2026/a.parquet", true),
        ("iot/a.parquet", true),
        ("iot", false),
        ("iot2/cpu/a.parquet", false),
        ("spoke1/telemetry/cpu/a.parquet", true),
        ("_schema/iot/cpu.parquet", true),
        ("_schema/cpu.parquet", false),
        ("_schema/web/iot.parquet", false),
        ("_compaction_state/daily/iot/a.json", true),
        ("_compaction_state/iot/web/a.json", false),
        ("_compaction_state/iot/a.json", false),
    ] {
        assert_eq!(only.contains(&Section::Data, &key(at)), expected, "{at}");
        assert_eq!(except.contains(&Section::Data, &key(at)), !expected, "{at}");
    }
    assert!(only.contains(&Section::Metadata, &key("arc.db")));
    assert!(!only.includes(&other()) && !except.includes(&other()));
    assert!(!only.is_whole());
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

/// Guards against: a restore of more than the backup holds, or than the request asked for.
#[test]
fn two_choices_of_databases_are_joined_and_compared() {
    let only = |of: &[&str]| Databases::Only(names(of));
    let except = |of: &[&str]| Databases::Except(names(of));
    let all = [
        Databases::All,
        only(&[]),
        only(&["a"]),
        only(&["a", "b"]),
        except(&[]),
        except(&["a"]),
        except(&["b", "c"]),
    ];
    // One that none of them names is as good as all the others together.
    let keys = ["a/x", "b/x", "c/x", "other/x", "x"];
    for one in &all {
        for other in &all {
            let both = one.and(other);
            for key in keys {
                let expected = one.contain(key) && other.contain(key);
                assert_eq!(both.contain(key), expected, "{one:?} {other:?} {key}");
            }
            let covers = keys
                .iter()
                .all(|key| one.contain(key) || !other.contain(key));
            assert_eq!(one.cover(other), covers, "{one:?} {other:?}");
        }
    }
    let whole = Scope::whole();
    let part = Scope::whole().within([key("iot/cpu")]);
    let wider = Scope::whole().within([key("iot")]);
    assert!(whole.covers_data_of(&part) && !part.covers_data_of(&whole));
    assert!(wider.covers_data_of(&part) && !part.covers_data_of(&wider));
}

/// Guards against: a listing that misses files in scope, or that has one twice.
#[test]
fn prefixes_reach_every_file_in_scope_once_and_in_order() {
    let whole = Scope::whole();
    assert_eq!(whole.data_prefixes(), [""]);
    let only = |of: &[&str]| Scope::whole().of_databases(Databases::Only(names(of)));
    assert_eq!(
        only(&["b", "b-c", "", "b/c"]).data_prefixes(),
        [
            "_compaction_state/",
            "_schema/b-c/",
            "_schema/b/",
            "b-c/",
            "b/"
        ]
    );
    let except = Scope::whole().of_databases(Databases::Except(names(&["b"])));
    assert_eq!(except.data_prefixes(), [""]);
    let folders = Scope::whole().within([key("b/cpu"), key("b"), key("a")]);
    assert_eq!(folders.data_prefixes(), ["a", "b"]);
    assert!(Scope::whole().within([]).data_prefixes().is_empty());
}

/// Guards against: a folder that can't be read, and is taken for one of no importance.
#[test]
fn a_folder_is_in_scope_when_a_file_in_it_may_be() {
    let only = Scope::whole().of_databases(Databases::Only(names(&["b"])));
    let within = Scope::whole().within([key("b/cpu")]);
    for (folder, is_in, is_within) in [
        ("", true, true),
        ("b/", true, true),
        ("b/mem/", true, false),
        ("b/cpu/2026/", true, true),
        ("a/", false, false),
        ("_schema/", true, false),
        ("_schema/a/", false, false),
        ("_schema/b/", true, false),
        ("_compaction_state/", true, false),
        ("_compaction_state/daily/", true, false),
        ("_compaction_state/daily/b/", true, false),
        ("_compaction_state/daily/a/", false, false),
    ] {
        assert_eq!(only.contains_data(folder), is_in, "{folder}");
        assert_eq!(within.contains_data(folder), is_within, "{folder}");
    }
}

/// Guards against: a restore that can't be done as a folder of another database can't be read,
/// and one that takes a folder of its own for empty.
#[test]
fn only_a_single_place_out_of_scope_is_ignored() {
    let only = Scope::whole().of_databases(Databases::Only(names(&["b"])));
    let fault = |at: &str| Error::new(ErrorKind::PermissionDenied, "list", at, "denied");
    for (at, is_ignored) in [
        ("a/", true),
        ("a/cpu/x.parquet", true),
        ("_compaction_state/daily/a/", true),
        ("_compaction_state/daily/", false),
        ("_schema/", false),
        ("b/cpu/", false),
        ("", false),
    ] {
        assert_eq!(only.ignores(&fault(at).of_one_place()), is_ignored, "{at}");
        assert!(!only.ignores(&fault(at)), "the listing has ended");
    }
}

#[test]
fn folders_limit_the_data_alone() {
    let scope = Scope::whole().within([key("iot"), key("web/hits")]);
    for (at, expected) in [
        ("iot/cpu/a.parquet", true),
        ("iot", true),
        ("iot2/cpu/a.parquet", false),
        ("web/hits/a.parquet", true),
        ("web/errors/a.parquet", false),
    ] {
        assert_eq!(scope.contains(&Section::Data, &key(at)), expected, "{at}");
    }
    assert!(scope.contains(&Section::Metadata, &key("arc.db")));
    assert!(!scope.includes(&other()), "whose files are unknown");
    let named = Scope::of_sections([Section::Data, other()]).within([key("iot")]);
    assert!(named.contains(&other(), &key("x")));
    let nothing = Scope::whole().within([]);
    assert!(!nothing.contains(&Section::Data, &key("iot/a")));
}
