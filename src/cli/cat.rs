//! `cat`.

use std::io::Write;
use std::sync::Arc;

use super::exit_code::DONE;
use super::ids;
use super::inside_arguments::CatArguments;
use crate::operations::{ArcBackup, OpenedFile};
use crate::{Error, Result};

pub(super) async fn run(
    engine: &Arc<ArcBackup>,
    arguments: CatArguments,
    json: bool,
) -> Result<u8> {
    if json {
        return Err(Error::Invalid(
            "cat writes the bytes of a file to standard output: it can't be used with --json; `files --json` has its size and \
             SHA-256"
                .to_owned(),
        ));
    }
    let named = ids::resolve(engine, &arguments.id, arguments.target.as_deref()).await?;
    let backup = engine.open(&named.id, named.target.as_deref()).await?;
    let mut opened = backup.file(&arguments.path)?.open(None).await?;
    let written = write(&mut opened).await;
    opened.close().await;
    written?;
    Ok(DONE)
}

/// Writes the file to standard output. A reader that went away is not an error.
async fn write(opened: &mut OpenedFile) -> Result<()> {
    let mut count = 0_u64;
    loop {
        let piece = match opened.next().await {
            Ok(Some(piece)) => piece,
            Ok(None) => return Ok(()),
            Err(error) => {
                return Err(error.context(format!(
                    "{count} bytes of the file are written already: they are not to be used"
                )));
            }
        };
        count += piece.len() as u64;
        let written = tokio::task::spawn_blocking(move || {
            let mut out = std::io::stdout().lock();
            out.write_all(&piece).and_then(|()| out.flush())
        });
        match written.await? {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Ok(()),
            Err(error) => {
                return Err(Error::Failed(format!(
                    "cannot write to standard output: {error}"
                )));
            }
        }
    }
}
