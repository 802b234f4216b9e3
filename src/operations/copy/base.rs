//! The backup at the destination whose files a copy uses.

use std::collections::BTreeSet;

use arc_backup_core::Child;

use crate::Result;
use crate::manifest::{BackupId, Inventory, Manifest, Record};
use crate::operations::context::Context;
use crate::operations::copy::holdings::holdings;
use crate::operations::doubts::{Doubts, Health};
use crate::repository::{Loaded, Repository};

/// How many manifests are read at most to find one.
const MANIFESTS: usize = 50;

/// A backup whose files need not be moved again.
pub(crate) struct Base {
    pub(crate) id: BackupId,
    pub(crate) inventory: Inventory,
    /// Files of it that are not there as they should be.
    pub(crate) absent: BTreeSet<String>,
    /// Files of it that were written since their entity tags were noted.
    rewritten: BTreeSet<String>,
    /// Whether its files may be damaged: each is read before it is reused.
    pub(crate) in_doubt: bool,
}

impl Base {
    /// Finds the backup of the same instance that is likely to share most files: the newest one
    /// before the copied one, else the next one after it. One that is known to be damaged is none.
    pub(crate) async fn find(context: &Context, copied: &Manifest) -> Result<Option<Self>> {
        let repository = &context.repository;
        let instance = copied.source.as_ref().and_then(|one| one.instance.as_ref());
        let Some(instance) = instance else {
            return Ok(None);
        };
        let children = repository.sink().list_children(None).await?;
        let ids = children.iter().filter_map(|child| match child {
            Child::Folder(name) => BackupId::parse(name).ok(),
            Child::Object(_) | Child::Other(..) => None,
        });
        // By the moments in their names.
        let (mut before, mut after): (Vec<_>, Vec<_>) = ids
            .filter(|id| *id != context.id)
            .partition(|id| *id < context.id);
        before.sort_by(|a, b| b.cmp(a));
        after.sort();
        let mut doubts = Doubts::of(repository).await?;
        for id in before.into_iter().chain(after).take(MANIFESTS) {
            context.check_cancelled()?;
            let Ok(loaded) = repository.load(&id).await else {
                continue;
            };
            if !is_of(&loaded, instance) {
                continue;
            }
            let Health::Good(note) = doubts.look(repository, &id).await? else {
                continue;
            };
            let named = id.clone();
            if let Some(base) = Self::read(context, repository, id, &loaded).await? {
                let doubt = doubts.about(&loaded.manifest, &note);
                if let Some(why) = doubt {
                    context.warn(format!(
                        "{}: {why}, and backup `{named}`, whose files are reused, may share files with it: each file is read \
                         before it is reused",
                        repository.label()
                    ));
                }
                return Ok(Some(Self {
                    in_doubt: doubt.is_some(),
                    ..base
                }));
            }
        }
        Ok(None)
    }

    async fn read(
        context: &Context,
        repository: &Repository,
        id: BackupId,
        loaded: &Loaded,
    ) -> Result<Option<Self>> {
        let folder = context.scratch()?.join("base");
        crate::files::create_folder(&folder).map_err(|e| crate::Error::io("create", &folder, e))?;
        let inventory = match repository.inventory(&id, loaded, &folder).await {
            Ok(inventory) => inventory,
            Err(fault) => {
                context.warn(format!(
                    "no file of backup `{id}` in {} is reused, as its list cannot be read: {fault}",
                    repository.label()
                ));
                return Ok(None);
            }
        };
        let (absent, rewritten) = match repository.sink().hard_links() {
            // A link to what is not there fails by itself, and every file is read before.
            Some(_) => (BTreeSet::new(), BTreeSet::new()),
            None => {
                let held = holdings(context, repository, &id, &inventory).await?;
                (held.absent.into_keys().collect(), held.rewritten)
            }
        };
        if let Some(path) = absent.first() {
            context.warn(format!(
                "backup `{id}` in {} lacks {} of its files, such as `{path}`: they are copied again; run `arc-backup verify \
                 {id} --target {}`",
                repository.label(),
                absent.len(),
                repository.name()
            ));
        }
        Ok(Some(Self {
            id,
            inventory,
            absent,
            rewritten,
            in_doubt: false,
        }))
    }

    /// The entity tag that proves a file of it without reading: the target has the bytes under it
    /// that were hashed when they were stored.
    pub(crate) fn proof<'a>(&self, of_base: &'a Record) -> Option<&'a String> {
        let is_unchanged = !self.in_doubt && !self.rewritten.contains(of_base.path.as_str());
        of_base.stored.as_ref().filter(|_| is_unchanged)
    }
}

/// Whether it is a backup of ours of this instance.
fn is_of(loaded: &Loaded, instance: &str) -> bool {
    let source = loaded.manifest.source.as_ref();
    loaded.sealed && source.and_then(|one| one.instance.as_deref()) == Some(instance)
}
