//! `export`, `import` and `extract`.

use std::path::Path;
use std::sync::Arc;

use super::ids;
use super::inside_arguments::{ExportArguments, ExtractArguments, ImportArguments};
use super::operation::{Answer, recorded, run_and_print};
use super::signals::Signals;
use crate::operations::{
    ArcBackup, DataSelection, ExportOptions, ExportTo, ExtractOptions, ImportOptions,
    OperationKind, Request,
};
use crate::{Error, Result};

/// Stands for standard output.
const STDOUT: &str = "-";

pub(super) async fn export(
    engine: &Arc<ArcBackup>,
    arguments: ExportArguments,
    json: bool,
    signals: &Signals,
) -> Result<u8> {
    let to = match arguments.to == Path::new(STDOUT) {
        true if json => {
            return Err(Error::Invalid(
                "the archive goes to standard output (--to -): it can't be used with --json"
                    .to_owned(),
            ));
        }
        true => ExportTo::Stdout,
        false => ExportTo::File(arguments.to),
    };
    let target = arguments.target.as_deref();
    let found = ids::resolve(engine, &arguments.id, target);
    let found = recorded(engine, OperationKind::Export, target, signals, found).await?;
    let options = ExportOptions::new(found.id, to).target(found.target);
    let request = Request::Export(options).within(arguments.timeout.unwrap_or_default());
    let answer = Answer::json_or_nothing(json);
    run_and_print(engine, request, arguments.busy, answer, signals).await
}

pub(super) async fn import(
    engine: &Arc<ArcBackup>,
    arguments: ImportArguments,
    json: bool,
    signals: &Signals,
) -> Result<u8> {
    // An unknown target is wrong use, whatever the file is.
    engine.repository(arguments.target.as_deref())?;
    let read = ImportOptions::read(&arguments.file, arguments.target);
    let options = signals.or_interrupted(read).await?;
    let request = Request::Import(options).within(arguments.timeout.unwrap_or_default());
    let answer = Answer::json_or_id(json);
    run_and_print(engine, request, arguments.busy, answer, signals).await
}

pub(super) async fn extract(
    engine: &Arc<ArcBackup>,
    arguments: ExtractArguments,
    json: bool,
    signals: &Signals,
) -> Result<u8> {
    let scope = DataSelection::from(arguments.selection).to_data_scope()?;
    let target = arguments.target.as_deref();
    let found = ids::resolve(engine, &arguments.id, target);
    let found = recorded(engine, OperationKind::Extract, target, signals, found).await?;
    let options = ExtractOptions::new(found.id, arguments.to, scope).target(found.target);
    let request = Request::Extract(options).within(arguments.timeout.unwrap_or_default());
    let answer = Answer::json_or_nothing(json);
    run_and_print(engine, request, arguments.busy, answer, signals).await
}
