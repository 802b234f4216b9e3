//! All endpoints, as one service that poem-openapi describes.

use poem_openapi::OpenApiService;

use super::routes::{
    ArchiveRoutes, BackupRoutes, CheckRoutes, CopyRoutes, DiffRoutes, FileRoutes, OperationRoutes,
    RehearsalRoutes, RestoreRoutes, RetentionRoutes, ScheduleRoutes, ServiceRoutes, UndoRoutes,
};

/// All endpoints.
pub(super) type Endpoints = (
    BackupRoutes,
    OperationRoutes,
    RestoreRoutes,
    RetentionRoutes,
    FileRoutes,
    DiffRoutes,
    ServiceRoutes,
    CheckRoutes,
    CopyRoutes,
    ArchiveRoutes,
    RehearsalRoutes,
    ScheduleRoutes,
    UndoRoutes,
);

const DESCRIPTION: &str = "Backs up and restores an Arc time-series database. Every endpoint except \
    `/health` and the check needs an admin token of Arc. An unknown path is answered with 404, an \
    unknown method with 405 and `Allow`, both with an `ErrorBody`. An unknown query parameter is \
    400, and so is one that is given twice, unless it is a list; `p`, Arc's parameter for the \
    token, is accepted everywhere.";

/// The endpoints, described.
pub(super) fn service() -> OpenApiService<Endpoints, ()> {
    let endpoints = (
        BackupRoutes,
        OperationRoutes,
        RestoreRoutes,
        RetentionRoutes,
        FileRoutes,
        DiffRoutes,
        ServiceRoutes,
        CheckRoutes,
        CopyRoutes,
        ArchiveRoutes,
        RehearsalRoutes,
        ScheduleRoutes,
        UndoRoutes,
    );
    OpenApiService::new(endpoints, "arc-backup", env!("CARGO_PKG_VERSION")).description(DESCRIPTION)
}
