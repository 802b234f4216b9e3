//! Any sequence of backups and restores of some databases leaves the others untouched.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use super::{database, put, small};
use crate::support::{Instance, kill_within, tree, xorshift};

type Tree = BTreeMap<String, (Vec<u8>, u32, i128)>;

const DATABASES: [&str; 5] = ["iot", "web", "web-2", "spoke1", "new"];

/// A backup, the databases that it is of (none: all), and the data when it was made.
struct Made {
    id: String,
    scope: Vec<String>,
    data: Tree,
}

impl Made {
    fn covers(&self, key: &str) -> bool {
        self.scope.is_empty()
            || database(key).is_some_and(|name| self.scope.iter().any(|one| one == name))
    }

    fn part(&self, data: &Tree, is_in: bool) -> Tree {
        let mut data = data.clone();
        data.retain(|key, _| self.covers(key) == is_in);
        data
    }
}

/// The data, without what a killed operation leaves for the next one to remove.
fn live(instance: &Instance) -> Tree {
    let mut data = tree(&instance.path("data/arc"));
    data.retain(|key, _| !key.contains(".arc-backup"));
    data
}

fn change(instance: &Instance, random: &mut impl FnMut(u64) -> u64, step: u64) {
    let root = instance.path("data/arc");
    let all: Vec<_> = live(instance).into_keys().collect();
    let pick = |random: &mut dyn FnMut(u64) -> u64| DATABASES[random(5) as usize];
    match random(6) {
        0 if !all.is_empty() => {
            let gone = &all[random(all.len() as u64) as usize];
            std::fs::remove_file(root.join(gone)).unwrap();
        }
        1 if !all.is_empty() => {
            let key = &all[random(all.len() as u64) as usize];
            put(
                instance,
                key,
                format!("rewritten in step {step}").as_bytes(),
            );
        }
        // A whole database is dropped.
        2 => _ = std::fs::remove_dir_all(root.join(pick(random))),
        3 => {
            let name = pick(random);
            let key = match random(2) {
                0 => format!("_schema/{name}/s{}.parquet", random(3)),
                _ => format!("_compaction_state/daily/{name}/s{}.txt", random(3)),
            };
            put(instance, &key, format!("step {step}").as_bytes());
        }
        4 => put(
            instance,
            &format!("of-none-{step}.parquet"),
            b"of no database",
        ),
        _ => {
            let name = pick(random);
            let hour = random(4);
            let key = format!("{name}/cpu/2027/01/14/0{hour}/s{}.parquet", random(4));
            put(instance, &key, format!("rows of step {step}").as_bytes());
        }
    }
}

/// The arguments of a backup of some databases, or of all, and which these are.
fn of_some(
    instance: &Instance,
    random: &mut impl FnMut(u64) -> u64,
) -> (Vec<&'static str>, Vec<String>) {
    let root = instance.path("data/arc");
    let mut scope: Vec<&str> = (DATABASES.into_iter())
        .filter(|name| root.join(name).is_dir() && random(3) == 0)
        .collect();
    if random(4) == 0 {
        scope.clear();
    }
    let mut arguments = vec!["backup", "--no-metadata"];
    for name in &scope {
        arguments.extend(["--database", name]);
    }
    let scope = scope.into_iter().map(str::to_owned).collect();
    (arguments, scope)
}

fn back_up(instance: &Instance, random: &mut impl FnMut(u64) -> u64) -> Made {
    let (arguments, scope) = of_some(instance, random);
    let data = live(instance);
    let id = instance.ok(&arguments);
    assert!(live(instance) == data, "{id}: a backup changes nothing");
    Made { id, scope, data }
}

fn arguments<'a>(made: &'a Made, policy: &'a str) -> [&'a str; 6] {
    let options = ["--no-metadata", "--extra-files"];
    ["restore", &made.id, "--yes", options[0], options[1], policy]
}

/// Whether a restore may remove what the backup does not have: not where it has no rows of a
/// database that it is of.
fn may_remove(made: &Made) -> bool {
    let has_rows = |name: &String| {
        let mut keys = made.data.keys();
        keys.any(|key| key.starts_with(&format!("{name}/")) && key.ends_with(".parquet"))
    };
    made.scope.iter().all(has_rows)
}

fn restore(instance: &Instance, made: &Made, policy: &str) -> serde_json::Value {
    let (code, ended) = instance.json(&arguments(made, policy));
    assert_eq!(code, 0, "{ended}");
    ended
}

fn sequence(seed: u64) {
    let instance = small();
    let mut random = xorshift(seed | 1);
    let mut all = vec![back_up(&instance, &mut random)];
    let mut takes = 200_000;
    for step in 0..30 {
        match random(9) {
            0 | 1 => all.push(back_up(&instance, &mut random)),
            2 => {
                let (arguments, _) = of_some(&instance, &mut random);
                let before = live(&instance);
                kill_within(&instance, &arguments, &mut random, &mut takes);
                assert!(
                    live(&instance) == before,
                    "step {step}: a backup changes nothing"
                );
            }
            3..=5 => change(&instance, &mut random, step),
            _ => {
                let made = &all[random(all.len() as u64) as usize];
                let policy = match ["set-aside", "remove", "keep"][random(3) as usize] {
                    "remove" if !may_remove(made) => {
                        let (code, refused) = instance.json(&arguments(made, "remove"));
                        assert_eq!(code, 1, "step {step}: {refused}");
                        "set-aside"
                    }
                    policy => policy,
                };
                let case = format!("step {step}: {} {:?} {policy}", made.id, made.scope);
                let mut before = live(&instance);
                if random(3) == 0 {
                    let arguments = arguments(made, policy);
                    kill_within(&instance, &arguments, &mut random, &mut takes);
                    assert!(
                        made.part(&before, false) == made.part(&live(&instance), false),
                        "{case}: a killed restore has changed what is out of scope"
                    );
                    // One of another scope completes it, or changes nothing.
                    let other = &all[random(all.len() as u64) as usize];
                    let (killed, staged) = (live(&instance), tree(&instance.path("data/arc")));
                    let (code, ended) = instance.json(&self::arguments(other, "set-aside"));
                    before = live(&instance);
                    assert!(
                        other.part(&killed, false) == other.part(&before, false),
                        "{case}, then {:?}: what is out of scope has changed",
                        other.scope
                    );
                    if code != 0 {
                        assert!(matches!(code, 1 | 2), "{case}: {ended}");
                        assert!(
                            tree(&instance.path("data/arc")) == staged,
                            "{case}: {ended}"
                        );
                    }
                }
                restore(&instance, made, policy);
                let after = live(&instance);
                assert!(
                    made.part(&before, false) == made.part(&after, false),
                    "{case}: what is out of scope has changed"
                );
                let (wanted, now) = (made.part(&made.data, true), made.part(&after, true));
                if policy == "keep" {
                    assert!(wanted.iter().all(|(key, file)| now.get(key) == Some(file)));
                } else {
                    assert!(wanted == now, "{case}: not what was backed up");
                }
                let again = restore(&instance, made, policy);
                assert_eq!(again["plan"]["written_files"], 0, "{case}: {again}");
                assert!(
                    live(&instance) == after,
                    "{case}: a second time changes something"
                );
            }
        }
    }
}

/// Guards against: a sequence of operations after which data of another database is lost or old.
#[test]
fn what_is_out_of_scope_stays_whatever_the_sequence() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let given = std::env::var("ARC_TEST_SEED").ok();
    let seed = given.map_or(u64::from(now.subsec_nanos()), |seed| seed.parse().unwrap());
    println!("ARC_TEST_SEED={seed}");
    for round in 0..3 {
        sequence(seed.wrapping_add(round * 7919));
    }
}
