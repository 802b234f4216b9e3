//! Files that change while they are copied.

use std::sync::Mutex;

use arc_backup_core::{Key, Meta};
use bytes::Bytes;

use super::super::inspect_nothing;
use super::*;

struct One(std::path::PathBuf);

#[async_trait]
impl Reader for One {
    async fn open(&self, entry: &Entry) -> Result<Body, Error> {
        let file = File::open(&self.0).expect("it is there");
        let len = entry.size;
        Ok(Body::File { file, len })
    }
}

/// Rewrites the file that is read, once, when the copy has begun.
struct Rewriting {
    path: std::path::PathBuf,
    into: Option<std::path::PathBuf>,
    text: Mutex<Option<&'static str>>,
}

struct Into(Option<File>);

#[async_trait]
impl Upload for Into {
    async fn write(&mut self, _bytes: Bytes) -> Result<(), Error> {
        Ok(())
    }
    fn local_file(&mut self) -> Result<Option<File>, Error> {
        Ok(self.0.take())
    }
    async fn commit(self: Box<Self>) -> Result<Meta, Error> {
        Ok(Meta {
            key: Key::parse("a").expect("a key"),
            size: 0,
            modified: None,
            mode: None,
            etag: None,
            archived: false,
            file_id: None,
        })
    }
    async fn abort(self: Box<Self>) -> Result<(), Error> {
        Ok(())
    }
}

#[async_trait]
impl Writer for Rewriting {
    async fn begin(&self, _entry: &Entry) -> Result<Option<Box<dyn Upload>>, Error> {
        let to = (self.into.as_ref()).map(|path| File::create(path).expect("it is made"));
        let text = self.text.lock().expect("no panic").take();
        if let Some(text) = text {
            let mut file = File::options()
                .write(true)
                .open(&self.path)
                .expect("opened");
            file.write_all(text.as_bytes()).expect("written");
            let later = SystemTime::now() + Duration::from_secs(1);
            file.set_modified(later).expect("stamped");
        }
        Ok(Some(Box::new(Into(to))))
    }
}

/// Lost otherwise: a file, to half of its old bytes and half of its new ones, under a checksum that
/// fits.
#[tokio::test]
async fn a_file_that_is_rewritten_while_it_is_read_is_not_copied() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("from");
    for into in [None, Some(folder.path().join("to"))] {
        for (text, changes) in [(Some("new"), true), (None, false)] {
            std::fs::write(&path, "old").expect("written");
            let plan = Plan {
                progress: Arc::new(Progress::default()),
                cancel: CancellationToken::new(),
                concurrency: 1,
                inspect: inspect_nothing,
            };
            let writer = Rewriting {
                path: path.clone(),
                into: into.clone(),
                text: Mutex::new(text),
            };
            let entry = Entry::new(Key::parse("a").expect("a key"), 3);
            let reader = One(path.clone());
            let copied = plan.copy(&entry, &reader, &writer, &plan.cancel).await;
            let changed = matches!(&copied, Err(CopyFault::Read(error)) if error.kind() == ErrorKind::Changed);
            let fault = copied.err();
            assert_eq!(changed, changes, "{fault:?}");
        }
    }
}
