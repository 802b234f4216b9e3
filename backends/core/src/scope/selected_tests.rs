//! What a selection and a range of time take: tables, and random paths and scopes.

use super::*;
use crate::RowTimes;

fn items(texts: &[&str]) -> Vec<Selector> {
    let parse = |text: &&str| text.parse().expect("an item");
    texts.iter().map(parse).collect()
}

fn scope_of(include: &[&str], exclude: &[&str]) -> Scope {
    Scope::whole().selecting(Selection::new(items(include), items(exclude)))
}

fn range(from: &str, until: &str) -> TimeRange {
    let moment = |text: &str| (!text.is_empty()).then(|| text.parse().expect("a moment"));
    TimeRange::new(moment(from), moment(until)).expect("a range")
}

const CPU_STATE: &str = "_compaction_state/hourly/iot/iot_iot_cpu_2026_11_20_05_17.json";

/// Guards against: a file in scope that was not asked for, or one that was and is missing.
#[test]
fn items_select_what_they_name_with_its_companions() {
    let all = [
        "iot/cpu/2026/11/20/05/a.parquet",
        "iot/cpu_load/2026/11/20/05/a.parquet",
        "iot/cpu/metadata/v1.metadata.json",
        "_schema/iot/cpu.parquet",
        CPU_STATE,
        "_compaction_state/hourly/iot/unknown.json",
        "iot2/cpu/2026/11/20/a_daily.parquet",
        "rocket/x/cpu/2026/11/20/05/a.parquet",
        "_schema/rocket/x/cpu.parquet",
        "_schema/other.parquet",
        "a.parquet",
    ];
    for (include, exclude, expected) in [
        (&[][..], &[][..], "0 1 2 3 4 5 6 7 8 9 10"),
        (&["iot"], &[], "0 1 2 3 4 5"),
        (&["iot*"], &[], "0 1 2 3 4 5 6"),
        (&["io[t]"], &[], "0 1 2 3 4 5"),
        (&["iot.cpu"], &[], "0 2 3 4"),
        (&["iot.cpu*"], &[], "0 1 2 3 4"),
        (&["iot.*"], &[], "0 1 2 3 4 5"),
        (&["*.cpu"], &[], "0 2 3 4 6"),
        (&["i{ot,}.cpu", "iot2"], &[], "0 2 3 4 6"),
        (&["rocket"], &[], "7 8"),
        (&["rocket.cpu"], &[], ""),
        (&["rocket/x/cpu/**"], &[], "7 8"),
        (&["rocket/x/cpu/"], &[], "7 8"),
        (&["*/cpu/**"], &[], "0 2 3 4 6"),
        (&["iot/**"], &[], "0 1 2 3 4 5"),
        (&["iot/cpu/2026/11/20/**"], &[], "0 4"),
        (&["iot/cpu/2026/11/20/05/*"], &[], "0"),
        (&["iot/*"], &[], ""),
        (&["**/*.parquet"], &[], "0 1 3 6 7 8 9 10"),
        (&["_schema/**"], &[], "3 8 9"),
        (&[], &["iot"], "6 7 8 9 10"),
        (&[], &["iot.cpu"], "1 6 7 8 9 10"),
        (&["iot"], &["iot.cpu"], "1"),
        (&["iot"], &["*.cpu_load"], "0 2 3 4"),
        (&["iot", "iot2"], &["iot/**"], "6"),
        (&[], &["**/*.parquet", "*/cpu/**"], ""),
        (&[], &["**/*.parquet", "*/mem_x/**"], "2 4"),
        (&["nothing"], &[], ""),
    ] {
        let scope = scope_of(include, exclude);
        let found: Vec<String> = (all.iter().enumerate())
            .filter(|(_, path)| scope.contains_data(path))
            .map(|(number, _)| number.to_string())
            .collect();
        assert_eq!(found.join(" "), expected, "{include:?} without {exclude:?}");
        let is_all = include.is_empty() && exclude.is_empty();
        assert_eq!(scope.is_whole(), is_all);
        assert_eq!(scope.includes(&Section::Other("x".to_owned())), is_all);
    }
}

/// Guards against: an hour that is not restored, or a day of which only a part is.
#[test]
fn a_range_of_time_is_one_of_hours_and_of_days_that_it_touches() {
    let hour = |text: &str| format!("iot/cpu/2026/11/{text}/a.parquet");
    for (from, until, expected) in [
        ("", "", "19/23 20 20/00 20/05 20/23 21 21/00"),
        ("2026-11-20T05:00:00Z", "2026-11-20T06:00:00Z", "20! 20/05"),
        (
            "2026-11-20T05:59:59.5Z",
            "2026-11-20T05:59:59.6Z",
            "20! 20/05",
        ),
        ("2026-11-20T06:00:00Z", "2026-11-20T07:00:00Z", "20!"),
        (
            "2026-11-20T00:00:00Z",
            "2026-11-21T00:00:00Z",
            "20 20/00 20/05 20/23",
        ),
        (
            "2026-11-20T00:30:00Z",
            "2026-11-20T23:10:00Z",
            "20 20/00 20/05 20/23",
        ),
        (
            "2026-11-20T01:00:00+01:00",
            "2026-11-20T02:00:00+01:00",
            "20! 20/00",
        ),
        ("2026-11-20T23:00:00Z", "", "20! 20/23 21 21/00"),
        ("", "2026-11-20T00:00:01Z", "19/23 20! 20/00"),
        ("2027-01-01T00:00:00Z", "", ""),
    ] {
        let scope = Scope::whole().in_time(range(from, until));
        let found: Vec<String> = ["19/23", "20", "20/00", "20/05", "20/23", "21", "21/00"]
            .iter()
            .filter(|text| scope.contains_data(&hour(text)))
            .map(|text| match scope.splits(&hour(text)) {
                true => format!("{text}!"),
                false => (*text).to_owned(),
            })
            .collect();
        assert_eq!(found.join(" "), expected, "{from} {until}");
        let is_whole = from.is_empty() && until.is_empty();
        for (undated, is_in) in [("iot/cpu/a", is_whole), ("_schema/iot/cpu.parquet", true)] {
            assert_eq!(scope.contains_data(undated), is_in, "{undated}");
            assert_eq!(scope.takes_extra(undated), is_whole || !is_in, "{undated}");
        }
    }
    let five = Scope::whole().in_time(range("2026-11-20T05:00:00Z", "2026-11-20T06:00:00Z"));
    assert!(five.contains_data(CPU_STATE) && !five.splits(CPU_STATE));
    assert!(!five.contains_data("_compaction_state/hourly/iot/unknown.json"));
    let unknown = "_compaction_state/hourly/iot/unknown.json";
    assert!(five.concerns_job(CPU_STATE) && five.concerns_job(unknown));
    assert!(!scope_of(&["iot.mem"], &[]).concerns_job(CPU_STATE));
    assert!(!scope_of(&["web.mem"], &[]).concerns_job(unknown));
    let daily = "_compaction_state/daily/iot/iot_cpu_2026_11_20_17.json";
    assert!(five.contains_data(daily) && five.splits(daily));
    let days = five.time().whole_days();
    assert_eq!(days.to_string(), "from 2026-11-20 until 2026-11-21");
    assert_eq!(days.whole_days(), days);
    let moment = "2026-11-20T05:00:00Z".parse().ok();
    assert!(TimeRange::new(moment, moment).is_err());
}

/// Guards against: a file of a day that is restored, or refused, for hours that it has no row of.
#[test]
fn the_file_of_a_day_belongs_to_the_hours_that_it_has_rows_of() {
    let hours = Scope::whole().in_time(range("2026-11-20T05:30:00Z", "2026-11-20T06:00:00Z"));
    let hour = |text: &str| format!("iot/cpu/2026/11/{text}/a.parquet");
    let second = |text: &str| {
        let moment: jiff::Timestamp = format!("2026-11-20T{text}Z").parse().expect("a time");
        moment.as_second()
    };
    for (place, from, until, expected) in [
        ("20", "00:00:00", "04:59:59", false),
        ("20", "00:00:00", "05:00:00", true),
        ("20", "05:10:00", "05:20:00", true),
        ("20", "05:59:59", "23:00:00", true),
        ("20", "06:00:00", "23:00:00", false),
        ("20", "00:00:00", "23:00:00", true),
        // The file of an hour goes with its partition.
        ("20/05", "05:00:00", "05:10:00", true),
        ("20/04", "05:40:00", "05:50:00", false),
    ] {
        let times = RowTimes {
            min: second(from),
            max: second(until),
        };
        let mut entry = Entry::new(Key::parse(&hour(place)).expect("a key"), 1);
        let by_path = hours.contains_entry(&Section::Data, &entry);
        assert_eq!(by_path, place != "20/04", "rows unknown: {place}");
        entry.rows = Some(crate::Rows {
            count: 2,
            times: Some(times),
        });
        let found = hours.contains_entry(&Section::Data, &entry);
        assert_eq!(found, expected, "{place}, {from} to {until}");
    }
}

#[test]
fn what_is_no_item_is_refused_with_the_reason() {
    for (text, reason) in [
        ("", "is empty"),
        (" ", "is empty"),
        ("iot.[", "is no valid glob"),
        ("{a", "is no valid glob"),
        ("iot/[", "is no valid glob"),
        (".cpu", "names no database"),
        ("iot.", "names no measurement"),
        ("/srv/iot", "begins with `/`"),
        ("a\nb", "control character"),
        (&"x".repeat(2000), "is longer than 1024 bytes"),
    ] {
        let error = text.parse::<Selector>().expect_err(text).to_string();
        assert!(error.contains(reason), "{error}");
    }
}

/// Guards against: a listing of a whole storage for one hour of one measurement.
#[test]
fn listings_are_as_narrow_as_the_names() {
    let states = "_compaction_state/";
    let day = range("2026-11-20T05:00:00Z", "2026-11-21T01:00:00Z");
    let year = range("2026-01-01T00:00:00Z", "2026-07-01T00:00:00Z");
    let cpu = || scope_of(&["iot.cpu"], &["iot.mem"]);
    let only = Databases::Only(BTreeSet::from(["iot".to_owned()]));
    for (scope, expected) in [
        (scope_of(&[], &["iot"]), &[""][..]),
        (cpu(), &[states, "_schema/iot/cpu", "iot/cpu/"]),
        (
            cpu().in_time(day),
            &[
                states,
                "_schema/iot/cpu",
                "iot/cpu/2026/11/20/",
                "iot/cpu/2026/11/21/",
            ],
        ),
        (
            cpu().in_time(year),
            &[
                states,
                "_schema/iot/cpu",
                "iot/cpu/2026/01/",
                "iot/cpu/2026/02/",
                "iot/cpu/2026/03/",
                "iot/cpu/2026/04/",
                "iot/cpu/2026/05/",
                "iot/cpu/2026/06/",
            ],
        ),
        (
            cpu().in_time(range("2026-01-01T00:00:00Z", "")),
            &[states, "_schema/iot/cpu", "iot/cpu/"],
        ),
        (scope_of(&["iot"], &[]), &[states, "_schema/iot/", "iot/"]),
        (scope_of(&["io*.c*"], &[]), &[states, "_schema/io", "io"]),
        (scope_of(&["*.cpu"], &[]), &[""]),
        (
            scope_of(&["*.cpu"], &[]).of_databases(only.clone()),
            &[states, "_schema/iot/", "iot/"],
        ),
        (scope_of(&["web"], &[]).of_databases(only), &[states]),
        (
            scope_of(&["r/x/cpu/**", "r/a.parquet"], &[]),
            &[states, "_schema/r/x/cpu", "r/a.parquet", "r/x/cpu/"],
        ),
    ] {
        assert_eq!(scope.data_prefixes(), expected, "{scope:?}");
    }
}

/// Guards against: a file in scope that no listing finds, whose folder counts as of no importance,
/// or that a scope which covers all others does not hold.
#[test]
fn listings_folders_and_covering_scopes_hold_every_file_in_scope() {
    let mut state = 0x2026_1120_u64;
    let mut below = move |count: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % count as u64).expect("small")
    };
    let databases = ["iot", "io", "web", "rocket/x", "_schema", "2026"];
    let measurements = ["cpu", "cpu_load", "metadata", "iot_cpu"];
    let names = ["a.parquet", "a_daily.parquet", "v1.json"];
    let item_texts = [
        "iot",
        "io*",
        "*",
        "iot.cpu",
        "io*.cpu",
        "*.cpu",
        "iot.cpu*",
        "iot.*",
        "rocket",
        "web.*",
        "iot/**",
        "iot/cpu/**",
        "*/cpu/**",
        "rocket/x/cpu/",
        "**/*_daily.parquet",
        "iot/c*/2026/**",
        "_schema/**",
        "**",
        "rocket/**",
        "iot/cpu/2026/11/20/**",
        "i[!z]t.[!m]*",
        "iot/metadata/*",
    ];
    let times = [
        "",
        "2026-11-19T22:00:00Z",
        "2026-11-20T05:00:00Z",
        "2026-11-21T00:00:00Z",
    ];
    let mut paths = Vec::new();
    for _ in 0..600 {
        let (database, measurement) = (databases[below(6)], measurements[below(4)]);
        let day = 19 + below(3);
        let folded = format!("{database}/{measurement}").replace('/', "_");
        paths.push(match below(9) {
            0 => format!("_schema/{database}/{measurement}.parquet"),
            1 => format!("_compaction_state/daily/{database}/{folded}_2026_11_{day}_1.json"),
            2 => format!("_compaction_state/hourly/{database}/{}", names[below(3)]),
            3 => format!("{database}/{measurement}/metadata/{}", names[below(3)]),
            4 => format!("{database}/{}", names[below(3)]),
            5 => format!("{database}/{measurement}/2026/11/{day}/{}", names[below(3)]),
            _ => format!(
                "{database}/{measurement}/2026/11/{day}/0{}/a.parquet",
                below(9)
            ),
        });
    }
    let mut in_scope = 0;
    let mut scopes = Vec::new();
    for _ in 0..300 {
        let mut some = |most| -> Vec<&str> {
            (0..below(most))
                .map(|_| item_texts[below(item_texts.len())])
                .collect()
        };
        let mut scope = scope_of(&some(4), &some(3));
        let (from, until) = (times[below(4)], times[below(4)]);
        if until.is_empty() || from < until {
            scope = scope.in_time(range(from, until));
        }
        if below(4) == 0 {
            let names = BTreeSet::from([["iot", "rocket", "web"][below(3)].to_owned()]);
            scope = scope.of_databases(match below(2) {
                0 => Databases::Only(names),
                _ => Databases::Except(names),
            });
        }
        let prefixes = scope.data_prefixes();
        assert_eq!(prefixes::reduced(prefixes.clone()), prefixes);
        for path in paths.iter().filter(|path| scope.contains_data(path)) {
            in_scope += 1;
            let is_listed = prefixes.iter().any(|prefix| path.starts_with(prefix));
            assert!(is_listed, "{path} {prefixes:?} {scope:?}");
            for (at, _) in path.match_indices('/') {
                assert!(
                    scope.contains_data(&path[..=at]),
                    "{} {scope:?}",
                    &path[..=at]
                );
            }
        }
        scopes.push(scope);
    }
    assert!(in_scope > 5_000, "{in_scope}");
    let mut covered = 0;
    for one in &scopes {
        assert!(one.covers_data_of(one) && Scope::whole().covers_data_of(one));
        for other in scopes.iter().filter(|other| one.covers_data_of(other)) {
            covered += 1;
            for path in paths.iter().filter(|path| other.contains_data(path)) {
                assert!(one.contains_data(path), "{path} {one:?} {other:?}");
            }
        }
    }
    assert!(covered > 1_000, "{covered}");
}

/// Guards against: a folder of another measurement that can't be read, and for which one that is
/// asked for can't be restored.
#[test]
fn folders_of_other_names_are_of_no_importance() {
    let cpu = scope_of(&["iot.cpu"], &[]);
    let hour = cpu
        .clone()
        .in_time(range("2026-11-20T05:00:00Z", "2026-11-20T06:00:00Z"));
    let but = scope_of(&[], &["iot", "web/hits/**"]);
    for (folder, is_cpu, is_hour, is_but) in [
        ("", true, true, true),
        ("iot/", true, true, false),
        ("iot/cpu/", true, true, false),
        ("iot/cpu/2026/11/", true, true, false),
        ("iot/cpu/2026/11/20/", true, true, false),
        ("iot/cpu/2026/11/20/06/", true, false, false),
        ("iot/cpu/2026/11/21/", true, false, false),
        ("iot/mem/", false, false, false),
        ("web/", false, false, true),
        ("web/hits/2026/", false, false, false),
        ("_schema/", true, true, true),
        ("_schema/iot/", true, true, false),
        ("_schema/web/", false, false, true),
        ("_compaction_state/daily/", true, true, true),
        ("_compaction_state/daily/iot/", true, true, false),
        ("_compaction_state/daily/web/", false, false, true),
    ] {
        assert_eq!(cpu.contains_data(folder), is_cpu, "{folder}");
        assert_eq!(hour.contains_data(folder), is_hour, "{folder}");
        assert_eq!(but.contains_data(folder), is_but, "{folder}");
    }
}
