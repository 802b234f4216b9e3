//! Files that are known to be damaged, and that several backups share.

use std::collections::BTreeSet;

use super::{
    assert_holds_the_data, copied, id_of, incremental, modified, rewrite, set_modified, warnings,
};
use crate::support::{Instance, files};

/// Damages a file of a backup, in every backup that shares it, and returns its name.
fn damage(instance: &Instance, id: &str) -> String {
    let folder = instance.backup_folder(id).join("data");
    let name = files(&folder).pop().unwrap();
    let was = modified(&folder.join(&name));
    rewrite(&folder.join(&name));
    set_modified(&folder.join(&name), was);
    name
}

/// Guards against: damage that a verification has found, and that the next backup takes over from
/// another one that shares the file; also where the damaged backup was deleted.
#[test]
fn damage_that_was_found_is_not_taken_over_from_a_backup_that_shares_it() {
    for (case, verified, deleted) in [
        ("the newer one was verified", 2, false),
        ("the newer one was verified, and deleted", 2, true),
        ("the older one was verified", 1, false),
    ] {
        let instance = Instance::new();
        instance.backup();
        let ids = [
            instance.backup(),
            id_of(&incremental(&instance, &[])).to_owned(),
        ];
        let name = damage(&instance, &ids[1]);
        let found = &ids[verified - 1];
        assert!(!instance.run(&["verify", found]).status.success());
        if deleted {
            instance.ok(&["delete", found, "--yes"]);
        }
        let base = &ids[2 - verified];
        let made = incremental(&instance, &[]);
        assert_eq!(made["base_backup_id"], base.as_str(), "{case}: {made}");
        let said = warnings(&made);
        assert!(
            said.contains(found) && said.contains(&name),
            "{case}: {said}"
        );
        assert_eq!(
            copied(&instance, id_of(&made)),
            BTreeSet::from([name]),
            "{case}"
        );
        assert_holds_the_data(&instance, id_of(&made), case);
        // It is beyond doubt: the next one may note what this one found, and those after it read
        // nothing.
        incremental(&instance, &[]);
        let next = incremental(&instance, &[]);
        assert!(!warnings(&next).contains("damaged"), "{case}: {next}");
        let (_, shown) = instance.json(&["show", id_of(&next)]);
        assert!(shown["rehashed"].is_null(), "{case}: {shown}");
        assert_holds_the_data(&instance, id_of(&next), case);
    }
}
