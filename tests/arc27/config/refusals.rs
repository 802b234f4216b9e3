//! Files that Arc 27.01 starts with or not, and what this program says of each.

use std::path::PathBuf;

use arc_backup::{ArcBackup, Overrides, Registry};

use crate::stores::runtime;
use crate::support::{Instance, text};

/// What Arc 27.01 does with a file, from its documentation.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Arc {
    Starts,
    Refuses,
}

/// What this program does with it.
#[derive(Debug, PartialEq)]
enum Ours {
    /// It works, without a word on Arc.
    Accepts,
    /// It works, and warns of this setting.
    Warns(String),
    /// It does not work; the error names this.
    Refuses(String),
}

use Arc::{Refuses as ArcRefuses, Starts};
use Ours::Accepts;

fn warns(setting: &str) -> Ours {
    Ours::Warns(setting.to_owned())
}

fn refuses(named: &str) -> Ours {
    Ours::Refuses(named.to_owned())
}

const FAR: &str = "[backup.targets.far]\ntype = \"local\"\nlocal_path = \"./far\"\n";
const DEFAULT: &str = "[backup]\ndefault_target = \"far\"\n";

fn s3(name: &str, rest: &str) -> String {
    format!(
        "[backup.targets.{name}]\ntype = \"s3\"\ns3_bucket = \"b\"\ns3_access_key = \"k\"\ns3_secret_key = \"s\"\n{rest}"
    )
}

fn azure(name: &str, rest: &str) -> String {
    format!(
        "[backup.targets.{name}]\ntype = \"azure\"\nazure_container = \"arc\"\nazure_account_name = \"acc\"\n\
         azure_account_key = \"bm90IGEgcmVhbCBrZXk=\"\n{rest}"
    )
}

const S3_DATA: &str = "[storage]\nbackend = \"s3\"\ns3_bucket = \"b\"\ns3_access_key = \"k\"\ns3_secret_key = \"s\"\n";
const AZURE_DATA: &str = "[storage]\nbackend = \"azblob\"\nazure_container = \"arc\"\nazure_account_name = \"acc\"\n\
                          azure_account_key = \"bm90IGEgcmVhbCBrZXk=\"\n";

/// The rows of "The shared arc.toml: what stops Arc from starting", with their edges.
fn rows() -> Vec<(&'static str, String, Arc, Ours)> {
    let off_site = s3("off-site", "");
    let long = "x".repeat(65);
    let off = "[backup]\nenabled = false\n";
    vec![
        ("nothing", String::new(), Starts, Accepts),
        ("one target", format!("{DEFAULT}{FAR}"), Starts, Accepts),
        // Names.
        (
            "a name with a hyphen",
            format!("[backup]\ndefault_target = \"off-site\"\n{off_site}"),
            ArcRefuses,
            warns("backup.targets.off-site"),
        ),
        (
            "a name with a hyphen, backups off",
            format!("{off}{off_site}"),
            ArcRefuses,
            warns("backup.targets.off-site"),
        ),
        (
            "upper case",
            "[backup]\ndefault_target = \"FAR\"\n[backup.targets.FAR]\ntype = \"local\"\nlocal_path = \"./far\"\n".to_owned(),
            Starts,
            Accepts,
        ),
        (
            "a default target in upper case",
            format!("[backup]\ndefault_target = \" FAR \"\n{FAR}"),
            Starts,
            Accepts,
        ),
        (
            "a table in upper case",
            format!("{DEFAULT}{}", FAR.replace("targets.far", "targets.Far")),
            Starts,
            Accepts,
        ),
        (
            "65 letters",
            format!("[backup]\ndefault_target = \"{long}\"\n{}", s3(&long, "")),
            ArcRefuses,
            warns(&format!("backup.targets.{long}")),
        ),
        (
            "a name with a space",
            format!("{DEFAULT}{FAR}[backup.targets.\"a b\"]\ntype = \"local\"\n"),
            ArcRefuses,
            refuses("backup.targets.a b"),
        ),
        (
            "a hyphen where Arc does not look",
            format!("[arc_backup.targets.off-site]\ntype = \"local\"\nlocal_path = \"./x\"\n{DEFAULT}{FAR}"),
            Starts,
            Accepts,
        ),
        // The default target.
        (
            "targets without a default one",
            FAR.to_owned(),
            ArcRefuses,
            warns("backup.default_target"),
        ),
        (
            "the same, backups off",
            format!("{off}{FAR}"),
            Starts,
            Accepts,
        ),
        (
            "local without a table",
            format!("[backup]\ndefault_target = \"local\"\n{FAR}"),
            ArcRefuses,
            warns("backup.default_target"),
        ),
        (
            "local without any table",
            "[backup]\ndefault_target = \"local\"\n".to_owned(),
            ArcRefuses,
            warns("backup.default_target"),
        ),
        (
            "local with a table",
            "[backup]\ndefault_target = \"local\"\n[backup.targets.local]\ntype = \"local\"\nlocal_path = \"./data/backups\"\n".to_owned(),
            Starts,
            Accepts,
        ),
        (
            "a default target that is nowhere",
            format!("[backup]\ndefault_target = \"moon\"\n{FAR}"),
            ArcRefuses,
            refuses("moon"),
        ),
        (
            "a default target that Arc does not read",
            format!("[backup]\ndefault_target = \"own\"\n{FAR}[arc_backup.targets.own]\ntype = \"local\"\nlocal_path = \"./x\"\n"),
            ArcRefuses,
            warns("backup.default_target"),
        ),
        (
            "the same as ours alone",
            format!("[arc_backup]\ndefault_target = \"own\"\n[arc_backup.targets.own]\ntype = \"local\"\nlocal_path = \"./x\"\n{DEFAULT}{FAR}"),
            Starts,
            Accepts,
        ),
        // Types.
        (
            "an unknown type",
            "[backup]\ndefault_target = \"far\"\n[backup.targets.far]\ntype = \"tape\"\n".to_owned(),
            ArcRefuses,
            refuses("backup.targets.far.type"),
        ),
        (
            "minio",
            format!("{DEFAULT}{}", s3("far", "").replace("\"s3\"", "\"minio\"")),
            Starts,
            Accepts,
        ),
        // Places on local disk.
        (
            "a target at the storage root",
            format!("{DEFAULT}[backup.targets.far]\ntype = \"local\"\nlocal_path = \"./data/arc\"\n"),
            ArcRefuses,
            refuses("backup.targets.far.local_path"),
        ),
        (
            "a target in the storage root",
            format!("{DEFAULT}[backup.targets.far]\ntype = \"local\"\nlocal_path = \"./data/arc/backups\"\n"),
            ArcRefuses,
            warns("backup.targets.far"),
        ),
        (
            "a target around the storage root",
            format!("{DEFAULT}[backup.targets.far]\ntype = \"local\"\nlocal_path = \"./data\"\n"),
            ArcRefuses,
            warns("backup.targets.far"),
        ),
        (
            "the same, spelled in another way",
            format!("{DEFAULT}[backup.targets.far]\ntype = \"local\"\nlocal_path = \"./x/../data/arc/./b\"\n"),
            ArcRefuses,
            warns("backup.targets.far"),
        ),
        (
            "backups in the storage root",
            "[backup]\nlocal_path = \"./data/arc/backups\"\n".to_owned(),
            ArcRefuses,
            warns("backup.local_path"),
        ),
        (
            "the same, unused",
            format!("[backup]\nlocal_path = \"./data/arc/backups\"\ndefault_target = \"far\"\n{FAR}"),
            Starts,
            Accepts,
        ),
        (
            "a target in another one",
            format!("{DEFAULT}{FAR}[backup.targets.sub]\ntype = \"local\"\nlocal_path = \"./far/sub\"\n"),
            ArcRefuses,
            warns("backup.targets.sub"),
        ),
        (
            "a target in the folder of local_path, which Arc does not use",
            format!("{DEFAULT}[backup.targets.far]\ntype = \"local\"\nlocal_path = \"./data/backups\"\n"),
            Starts,
            Accepts,
        ),
        // Places in buckets.
        (
            "a target beside the data in a bucket",
            format!("{S3_DATA}s3_prefix = \"arc\"\n{DEFAULT}{}", s3("far", "s3_prefix = \"backups\"\n")),
            Starts,
            Accepts,
        ),
        (
            "a target in the data's prefix",
            format!("{S3_DATA}{DEFAULT}{}", s3("far", "s3_prefix = \"backups\"\n")),
            ArcRefuses,
            warns("backup.targets.far"),
        ),
        (
            "the same with AWS's endpoint spelled out",
            format!(
                "{S3_DATA}{DEFAULT}{}",
                s3("far", "s3_endpoint = \"https://s3.us-east-1.amazonaws.com\"\ns3_prefix = \"backups\"\n")
            ),
            ArcRefuses,
            warns("backup.targets.far"),
        ),
        (
            "the same with AWS's endpoint for IPv6",
            format!(
                "{S3_DATA}{DEFAULT}{}",
                s3("far", "s3_endpoint = \"https://s3.us-east-1.api.aws\"\ns3_prefix = \"backups\"\n")
            ),
            ArcRefuses,
            warns("backup.targets.far"),
        ),
        (
            "the same bucket of another store",
            format!(
                "{S3_DATA}{DEFAULT}{}",
                s3("far", "s3_endpoint = \"https://minio.example:9000\"\ns3_prefix = \"backups\"\n")
            ),
            Starts,
            Accepts,
        ),
        (
            "two targets in one prefix",
            format!("{DEFAULT}{}{}", s3("far", "s3_prefix = \"/a/\"\n"), s3("other", "s3_prefix = \"a/b\"\n")),
            ArcRefuses,
            warns("backup.targets.other"),
        ),
        (
            "the container of the data",
            format!("{AZURE_DATA}{DEFAULT}{}", azure("far", "azure_prefix = \"backups\"\n")),
            ArcRefuses,
            warns("backup.targets.far"),
        ),
        (
            "the container of the data, beside its prefix",
            format!("{AZURE_DATA}azure_prefix = \"arc\"\n{DEFAULT}{}", azure("far", "azure_prefix = \"backups\"\n")),
            Starts,
            // Arc 26.09 does not obey that prefix.
            warns("storage.azure_prefix"),
        ),
        (
            "a target in the cold tier",
            format!(
                "[tiered_storage]\nenabled = true\n[tiered_storage.cold]\nenabled = true\nbackend = \"s3\"\ns3_bucket = \"b\"\n\
                 s3_prefix = \"cold\"\n{DEFAULT}{}",
                s3("far", "s3_prefix = \"cold/backups\"\n")
            ),
            ArcRefuses,
            warns("backup.targets.far"),
        ),
        // Paths.
        (
            "no folder of backups",
            "[backup]\nlocal_path = \"\"\n".to_owned(),
            ArcRefuses,
            refuses("backup.local_path"),
        ),
        (
            "no folder of backups, and a target",
            format!("[backup]\nlocal_path = \"\"\ndefault_target = \"far\"\n{FAR}"),
            Starts,
            Accepts,
        ),
        (
            "glob characters",
            "[storage]\nlocal_path = \"./data/[arc]\"\n".to_owned(),
            ArcRefuses,
            warns("storage.local_path"),
        ),
        // Its keys.
        (
            "a timeout in Go's form",
            "[backup]\noperation_timeout = \"1h30m\"\n".to_owned(),
            Starts,
            Accepts,
        ),
        (
            "a timeout of nanoseconds",
            "[backup]\noperation_timeout = 7200\n".to_owned(),
            ArcRefuses,
            refuses("backup.operation_timeout"),
        ),
        (
            "a timeout with whitespace",
            "[backup]\noperation_timeout = \" 2h \"\n".to_owned(),
            ArcRefuses,
            refuses("backup.operation_timeout"),
        ),
        (
            "a timeout of nanoseconds behind ours",
            "[backup]\noperation_timeout = 7200\n[arc_backup]\noperation_timeout = \"3h\"\n"
                .to_owned(),
            ArcRefuses,
            warns("backup.operation_timeout"),
        ),
        (
            "databases",
            format!("{DEFAULT}{FAR}{}databases = [\"iot\", \"web\"]\n", s3("other", "")),
            Starts,
            Accepts,
        ),
        (
            "databases as a text",
            format!("{DEFAULT}{FAR}{}databases = \"iot, web\"\n", s3("other", "")),
            Starts,
            Accepts,
        ),
        (
            "databases of a wrong type",
            format!("{DEFAULT}{FAR}{}databases = 5\n", s3("other", "")),
            ArcRefuses,
            refuses("backup.targets.other.databases"),
        ),
        (
            "a database of two targets",
            format!(
                "{DEFAULT}{FAR}{}databases = \"iot\"\n{}databases = \"iot\"\n",
                s3("a", "s3_prefix = \"a\"\n"),
                s3("b", "s3_prefix = \"b\"\n")
            ),
            ArcRefuses,
            refuses("backup.targets.a.databases"),
        ),
        (
            "a database of the default target",
            format!("{DEFAULT}{FAR}databases = \"iot\"\n"),
            ArcRefuses,
            refuses("default_target"),
        ),
        (
            "a database with a slash",
            format!("{DEFAULT}{FAR}{}databases = \"a/b\"\n", s3("other", "")),
            ArcRefuses,
            refuses("a/b"),
        ),
    ]
}

/// What this program says of a file.
fn said(text: &str) -> Ours {
    let folder = tempfile::tempdir().unwrap();
    let config: PathBuf = folder.path().join("arc.toml");
    std::fs::write(&config, text).unwrap();
    let registry = Registry::new();
    let overrides = Overrides {
        config: Some(config),
        ignore_environment: true,
    };
    let _guard = runtime().enter();
    let settings = match registry.settings(&overrides) {
        Ok(settings) => settings,
        Err(error) => return refuses(&error.to_string()),
    };
    let warnings = settings.warnings.clone();
    if let Err(error) = ArcBackup::new(settings, &registry) {
        return refuses(&error.to_string());
    }
    match &warnings[..] {
        [] => Accepts,
        [one] => {
            assert!(one.text.contains("Arc "), "{one}");
            assert!(one.remedy.is_some(), "{one}");
            warns(&one.setting)
        }
        more => panic!("{text}: {more:?}"),
    }
}

/// Guards against: an Arc that does not start after its upgrade, because of a setting that this
/// program accepts and does not warn of.
#[test]
fn what_arc_27_refuses_is_never_accepted_in_silence() {
    for (case, text, arc, ours) in rows() {
        let said = said(&text);
        match (&said, &ours) {
            (Ours::Refuses(error), Ours::Refuses(named)) => {
                assert!(error.contains(named), "{case}: {error}");
            }
            _ => assert_eq!(said, ours, "{case}:\n{text}"),
        }
        let is_silent = said == Accepts;
        assert!(!(arc == ArcRefuses && is_silent), "{case}:\n{text}");
        // What Arc starts with works here, too.
        let is_refused = matches!(said, Ours::Refuses(_));
        assert!(!(arc == Starts && is_refused), "{case}:\n{text}");
    }
}

/// Guards against: a warning that scrolls by in a log. The doctor lists each, with what to change,
/// on the command line and over REST.
#[test]
fn the_doctor_lists_what_stops_arc_27() {
    let instance = Instance::new();
    instance
        .configure("[backup.targets.off-site]\ntype = \"local\"\nlocal_path = \"./data/far\"\n");
    let (code, report) = instance.json(&["doctor"]);
    assert_eq!(code, 0, "{report}");
    let found = |report: &serde_json::Value| -> Vec<(String, String)> {
        (report["checks"].as_array().unwrap().iter())
            .filter(|check| {
                let detail = check["detail"].as_str().unwrap();
                detail.ends_with("Arc 27.01 will not start with this")
            })
            .map(|check| {
                let text = |field: &str| check[field].as_str().unwrap().to_owned();
                assert_eq!(check["status"], "warn", "{check}");
                (text("setting"), text("remedy"))
            })
            .collect()
    };
    let settings: Vec<_> = found(&report).into_iter().map(|(key, _)| key).collect();
    assert_eq!(
        settings,
        ["backup.targets.off-site", "backup.default_target"]
    );
    assert!(found(&report)[0].1.contains("[backup.targets.off_site]"));
    let service = instance.serve();
    let answer = service.post("/api/v1/backup/doctor", "");
    assert_eq!(found(&answer.json()), found(&report));
    // The backups are where they were after the target is renamed.
    let id = instance.ok(&["backup", "--target", "off-site"]);
    drop(service);
    let config = std::fs::read_to_string(instance.path("arc.toml")).unwrap();
    let config = config.replace("off-site", "off_site").replace(
        "local_path = \"./data/backups\"\n",
        "default_target = \"off_site\"\n",
    );
    std::fs::write(instance.path("arc.toml"), config).unwrap();
    let output = instance.run(&["verify", &id]);
    assert!(output.status.success(), "{}", text(&output));
    assert!(!text(&output).contains("27.01"), "{}", text(&output));
}
