//! The service: routes, and what goes around them.

use std::sync::Arc;
use std::time::Duration;

use poem::endpoint::BoxEndpoint;
use poem::endpoint::make_sync;
use poem::error::{ParsePathError, ReadBodyError};
use poem::http::{HeaderValue, Method, StatusCode, header};
use poem::middleware::{CatchPanic, NormalizePath, TrailingSlash};
use poem::web::Html;
use poem::{Endpoint, EndpointExt, IntoResponse, Request, Response, Route, get};
use poem_openapi::OpenApiService;
use poem_openapi::error::ParseParamError;
use poem_openapi::types::ToJSON;

use super::check::CheckApi;
use super::connections::{self, Connection};
use super::faults::body;
use super::idempotency::KeysInUse;
use super::methods::Methods;
use super::query;
use super::routes::{Api, api};
use super::schema::parameter_fault;
use super::waiting::Waiting;
use crate::auth::Authenticator;
use crate::operations::ArcBackup;

/// The largest request body, in bytes.
const BODY_LIMIT: usize = 1 << 20;

/// How long a request's body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// What every request may use.
pub(super) struct Shared {
    pub(super) engine: Arc<ArcBackup>,
    pub(super) authenticator: Arc<Authenticator>,
    /// How long the answer to a deletion waits for its end.
    pub(super) delete_wait: Duration,
    /// The keys of requests that are being answered.
    pub(super) keys: KeysInUse,
    /// The answers that wait for the end of an operation.
    pub(super) waiting: Waiting,
}

/// How long a deletion is waited for; then it is 202, and goes on.
const DELETE_WAIT: Duration = Duration::from_secs(25);

/// All endpoints.
pub(super) type Apis = (Api, CheckApi);

pub(super) fn service() -> OpenApiService<Apis, ()> {
    OpenApiService::new((api(), CheckApi), "arc-backup", env!("CARGO_PKG_VERSION"))
        .description("Backs up and restores an Arc time-series database. Every endpoint but `/health` and the check needs an admin token of Arc. \
             A path that is none answers 404, a method that a path does not have 405 with `Allow`, both with an `ErrorBody`. \
             A query parameter that an endpoint does not have is 400; `p`, Arc's parameter for the token, is known everywhere.")
}

/// The OpenAPI document, as JSON.
#[must_use]
pub fn document() -> String {
    super::document::of(&service())
}

/// The whole service.
#[must_use]
pub fn app(
    engine: Arc<ArcBackup>,
    authenticator: Arc<Authenticator>,
) -> BoxEndpoint<'static, Response> {
    app_with(engine, authenticator, DELETE_WAIT)
}

pub(super) fn app_with(
    engine: Arc<ArcBackup>,
    authenticator: Arc<Authenticator>,
    delete_wait: Duration,
) -> BoxEndpoint<'static, Response> {
    let service = service();
    let (document, page) = (
        super::document::of(&service),
        super::document::page_of(&service),
    );
    let methods = Arc::new(Methods::new(
        super::document::parsed(),
        &["/openapi.json", "/docs"],
    ));
    let json = make_sync(move |_| {
        document
            .clone()
            .with_content_type("application/json; charset=utf-8")
    });
    Route::new()
        .at("/openapi.json", get(json))
        .at("/docs", get(make_sync(move |_| Html(page.clone()))))
        .nest("/", service)
        .around(query::refuse_unknown)
        .data(Arc::new(Shared {
            engine,
            authenticator,
            delete_wait,
            keys: KeysInUse::default(),
            waiting: Waiting::new(connections::limit()),
        }))
        .around(limit_body)
        .catch_all_error(in_json)
        .around(move |next, request| name_what_is_missing(next, request, methods.clone()))
        .with(
            CatchPanic::new().with_handler(|_| {
                error(StatusCode::INTERNAL_SERVER_ERROR, "Internal server error")
            }),
        )
        .with(NormalizePath::new(TrailingSlash::Trim))
        .around(add_headers)
        .map_to_response()
        .boxed()
}

fn error(status: StatusCode, text: &str) -> Response {
    poem::web::Json(body(text).to_json())
        .with_status(status)
        .into_response()
}

/// Reads the body, however it is sent, up to the limit. GET and HEAD have none that means anything.
async fn limit_body<E: Endpoint>(next: Arc<E>, mut request: Request) -> poem::Result<Response> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let body = request.take_body().into_bytes_limit(BODY_LIMIT);
        let bytes = match tokio::time::timeout(BODY_TIMEOUT, body).await {
            Ok(Ok(bytes)) => bytes,
            Ok(Err(ReadBodyError::PayloadTooLarge)) => {
                return Ok(error(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    "Request body is larger than 1 MiB",
                ));
            }
            Ok(Err(_)) => return Ok(error(StatusCode::BAD_REQUEST, "Invalid request body")),
            Err(_) => {
                let refusal = error(
                    StatusCode::REQUEST_TIMEOUT,
                    "Request body did not arrive within 30 s",
                );
                // The rest of the body is still to come: the connection can carry no further request.
                return Ok(refusal
                    .with_header(header::CONNECTION, "close")
                    .into_response());
            }
        };
        request.set_body(bytes);
    }
    let connection = request.data::<Arc<Connection>>().cloned();
    let _answering = connection.as_ref().map(Connection::answer);
    next.call(request).await.map(IntoResponse::into_response)
}

/// What poem itself refuses is answered in JSON too.
async fn in_json(fault: poem::Error) -> Response {
    if fault.is_from_response() {
        return fault.into_response();
    }
    let status = fault.status();
    match status {
        StatusCode::NOT_FOUND => error(status, "Not Found"),
        StatusCode::METHOD_NOT_ALLOWED => error(status, "Method Not Allowed"),
        StatusCode::BAD_REQUEST if fault.is::<ParsePathError>() => {
            error(status, "Invalid backup ID format")
        }
        _ if let Some(fault) = fault.downcast_ref::<ParseParamError>() => {
            error(status, &parameter_fault(fault.name))
        }
        _ => error(status, &fault.to_string()),
    }
}

/// A 405 names the methods that there are, a 401 the kind of token that it takes.
async fn name_what_is_missing<E: Endpoint<Output = Response>>(
    next: Arc<E>,
    request: Request,
    methods: Arc<Methods>,
) -> poem::Result<Response> {
    let path = request.uri().path().to_owned();
    let mut response = next.call(request).await?;
    let named = match response.status() {
        StatusCode::UNAUTHORIZED => Some((
            header::WWW_AUTHENTICATE,
            HeaderValue::from_static("Bearer realm=\"arc-backup\""),
        )),
        StatusCode::METHOD_NOT_ALLOWED => (methods.of(&path))
            .and_then(|methods| HeaderValue::from_str(methods).ok())
            .map(|methods| (header::ALLOW, methods)),
        _ => None,
    };
    if let Some((name, value)) = named {
        response.headers_mut().insert(name, value);
    }
    Ok(response)
}

async fn add_headers<E: Endpoint>(next: Arc<E>, request: Request) -> poem::Result<Response> {
    let docs = request.uri().path().starts_with("/docs");
    let mut response = next.get_response(request).await;
    let headers = response.headers_mut();
    // Swagger UI is one page with its script and style inline.
    let policy = if docs {
        "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; connect-src 'self'; \
         frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    } else {
        "default-src 'none'; frame-ancestors 'none'"
    };
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(policy),
    );
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}
