//! `demo`: a sample instance, served.

use arc_backup_core::Scope;
use std::path::Path;

use super::output::print_line;
use super::serve;
use super::signals::Signals;
use crate::config::Overrides;
use crate::demo::{DemoOptions, make_instance};
use crate::manifest::BackupId;
use crate::operations::Origin;
use crate::operations::{ArcBackup, BackupOptions, Request, Who};
use crate::{Error, Registry, Result};

/// The id that Arc's documentation page uses.
const PAGE_ID: &str = "backup-20260211-143022-a1b2c3d4";

pub(super) async fn run(
    folder: &Path,
    listen: &str,
    json: bool,
    registry: &Registry,
    signals: &Signals,
) -> Result<u8> {
    let instance =
        make_instance(folder, &DemoOptions::default()).map_err(|e| Error::Failed(e.to_string()))?;
    std::env::set_current_dir(folder).map_err(|e| Error::io("enter", folder, e))?;
    let settings = registry.settings(&Overrides {
        config: Some("arc.toml".into()),
        ignore_environment: true,
    })?;
    let engine = ArcBackup::new(settings, registry)?;
    let id = BackupId::parse(PAGE_ID)?;
    if let Err(error) = engine.find(&id, None).await
        && matches!(error.root(), Error::NotFound(_))
    {
        let who = Who {
            actor: "demo".to_owned(),
            origin: Origin::Cli,
            fingerprint: None,
            token: None,
        };
        let request = Request::Backup(BackupOptions {
            id: Some(id),
            ..BackupOptions::of(Scope::whole())
        });
        let running = engine.start(request, who).await?;
        let ended = tokio::select! {
            ended = running.wait() => ended,
            reason = signals.received() => {
                running.cancel(reason);
                running.wait().await
            }
        };
        if let Some(error) = ended.error {
            return Err(Error::Failed(error));
        }
    }
    let text = move |address: &str, _: Option<&str>| {
        // The lines of the page say localhost:8000: they work unchanged on the default address.
        let base = format!("http://{}", address.replace("127.0.0.1", "localhost"));
        if json {
            let document = serde_json::json!({
                "address": base,
                "folder": folder_name(),
                "token": instance.token,
                "created": instance.created,
            });
            print_line(&document.to_string());
            return;
        }
        let what = if instance.created { "made" } else { "found" };
        print_line(&format!(
            r#"Sample instance {what} in {folder}: {files} Parquet files, {rows} rows, one backup.

  Swagger UI  {base}/docs
  Token       {token}

Paste:

  export ARC_TOKEN='{token}'
  curl "{base}/api/v1/backup" -H "Authorization: Bearer $ARC_TOKEN"
  curl -X POST "{base}/api/v1/backup" -H "Authorization: Bearer $ARC_TOKEN"
  curl "{base}/api/v1/backup/status" -H "Authorization: Bearer $ARC_TOKEN"
  curl "{base}/api/v1/backup/{PAGE_ID}" -H "Authorization: Bearer $ARC_TOKEN"
  curl -X POST "{base}/api/v1/backup/restore" -H "Authorization: Bearer $ARC_TOKEN" \
    -H "Content-Type: application/json" -d '{{"backup_id": "{PAGE_ID}", "confirm": true}}'

arc-backup listens on http://{address}; Ctrl-C ends it."#,
            folder = folder_name(),
            files = instance.files,
            rows = instance.rows,
            token = instance.token,
        ));
    };
    serve::serve(engine, listen, signals, text).await
}

fn folder_name() -> String {
    std::env::current_dir().map_or_else(|_| ".".to_owned(), |folder| folder.display().to_string())
}
