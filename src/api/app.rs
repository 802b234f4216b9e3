//! The service: the endpoints, and the middleware around them.

use std::sync::Arc;
use std::time::Duration;

use poem::endpoint::BoxEndpoint;
use poem::endpoint::make_sync;
use poem::error::{ParsePathError, ReadBodyError};
use poem::http::{HeaderValue, Method, StatusCode, header};
use poem::middleware::{CatchPanic, NormalizePath, TrailingSlash};
use poem::web::Html;
use poem::{Endpoint, EndpointExt, IntoResponse, Request, Response, Route, get};
use poem_openapi::error::ParseParamError;
use poem_openapi::types::ToJSON;

use super::connections::{self, Connection};
use super::endpoints::service;
use super::error::error_body;
use super::head::note_head;
use super::idempotency::KeysInUse;
use super::methods::Methods;
use super::query;
use super::schema::Schema;
use super::shared::Shared;
use super::waiting::WaitLimit;
use crate::auth::Authenticator;
use crate::schedule::Scheduler;

/// The largest request body, in bytes.
const BODY_LIMIT: usize = 1 << 20;

/// How long a request's body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// How long the answer to a deletion waits; then it is 202, and the deletion continues.
const DELETE_WAIT: Duration = Duration::from_secs(25);

/// The OpenAPI document, as JSON.
#[must_use]
pub fn document() -> String {
    super::document::text(&service())
}

/// The whole service.
#[must_use]
pub fn app(
    scheduler: Arc<Scheduler>,
    authenticator: Arc<Authenticator>,
) -> BoxEndpoint<'static, Response> {
    app_with(scheduler, authenticator, DELETE_WAIT)
}

pub(super) fn app_with(
    scheduler: Arc<Scheduler>,
    authenticator: Arc<Authenticator>,
    delete_wait: Duration,
) -> BoxEndpoint<'static, Response> {
    let service = service();
    let (text, page) = (
        super::document::text(&service),
        super::document::page(&service),
    );
    let schema = Arc::new(Schema::new(super::document::parse(&text)));
    let methods = Arc::new(Methods::new(&schema, &["/openapi.json", "/docs"]));
    let json = make_sync(move |_| {
        text.clone()
            .with_content_type("application/json; charset=utf-8")
    });
    Route::new()
        .at("/openapi.json", get(json))
        .at("/docs", get(make_sync(move |_| Html(page.clone()))))
        .nest("/", service)
        .around(query::refuse_wrong)
        .data(Arc::new(Shared {
            engine: scheduler.engine().clone(),
            scheduler,
            authenticator,
            schema: schema.clone(),
            delete_wait,
            keys: KeysInUse::default(),
            waiting: WaitLimit::new(connections::limit()),
        }))
        .around(limit_body)
        .catch_all_error(move |error| answer_in_json(error, schema.clone()))
        .around(move |next, request| add_allow_or_challenge(next, request, methods.clone()))
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
    poem::web::Json(error_body(text).to_json())
        .with_status(status)
        .into_response()
}

/// Reads the body up to the limit. A body of GET and HEAD has no meaning, and is ignored.
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
                // The rest of the body is still to come: the connection can carry no further
                // request.
                return Ok(refusal
                    .with_header(header::CONNECTION, "close")
                    .into_response());
            }
        };
        request.set_body(bytes);
    }
    note_head(&mut request);
    let connection = request.data::<Arc<Connection>>().cloned();
    let _answering = connection.as_ref().map(Connection::answer);
    next.call(request).await.map(IntoResponse::into_response)
}

/// Answers the errors of poem itself in JSON too.
async fn answer_in_json(fault: poem::Error, schema: Arc<Schema>) -> Response {
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
            error(status, &schema.parameter_error(fault.name))
        }
        _ => error(status, &fault.to_string()),
    }
}

/// Adds `Allow` to a 405, and the kind of token to a 401.
async fn add_allow_or_challenge<E: Endpoint<Output = Response>>(
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
        StatusCode::METHOD_NOT_ALLOWED => (methods.allowed(&path))
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
