//! `pin` and `unpin`.

use std::sync::Arc;

use poem_openapi::types::ToJSON;

use super::actor::who;
use super::exit_code::DONE;
use super::ids;
use super::output::print_line;
use super::retention_arguments::{PinArguments, UnpinArguments};
use super::signals::Signals;
use super::waiting::while_busy;
use crate::Result;
use crate::api::types;
use crate::operations::{ArcBackup, PinRequest, PinnedBackup};

pub(super) async fn pin(
    engine: &Arc<ArcBackup>,
    arguments: PinArguments,
    json: bool,
    signals: &Signals,
) -> Result<u8> {
    let target = arguments.target.as_deref();
    let found = signals.or_interrupted(ids::resolve(engine, &arguments.id, target));
    let found = found.await?;
    let wanted = PinRequest {
        reason: arguments.reason,
        until: arguments.until,
    };
    let who = who();
    let pinned = while_busy(arguments.busy, signals, async || {
        let pinned = engine.pin(&found.id, found.target.as_deref(), wanted.clone(), &who);
        signals.or_interrupted(pinned).await
    });
    let pinned = pinned.await?;
    let until = pinned.pin.as_ref().and_then(|pin| pin.until.as_ref());
    let until = until.map_or_else(String::new, |until| format!(" until {until}"));
    print(pinned, &format!("pinned{until}"), json);
    Ok(DONE)
}

pub(super) async fn unpin(
    engine: &Arc<ArcBackup>,
    arguments: UnpinArguments,
    json: bool,
    signals: &Signals,
) -> Result<u8> {
    let target = arguments.target.as_deref();
    let found = signals.or_interrupted(ids::resolve(engine, &arguments.id, target));
    let found = found.await?;
    let who = who();
    let unpinned = while_busy(arguments.busy, signals, async || {
        let unpinned = engine.unpin(&found.id, found.target.as_deref(), &who);
        signals.or_interrupted(unpinned).await
    });
    print(unpinned.await?, "not pinned", json);
    Ok(DONE)
}

fn print(pinned: PinnedBackup, outcome: &str, json: bool) {
    if json {
        print_line(&types::PinnedBackup::from(pinned).to_json_string());
        return;
    }
    let targets = pinned.targets.join(", ");
    print_line(&format!("{} in {targets}: {outcome}", pinned.backup_id));
}
