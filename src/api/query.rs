//! Refuses unknown query parameters: with a misspelt one ignored, the answer would be to another
//! question.

use std::sync::Arc;

use poem::{Endpoint, IntoResponse, Request, Response};
use poem_openapi::payload::Json;

use super::error::{ApiError, ErrorBody, error_body};
use super::extract::has_no_token;
use super::schema::query_parameters;
use super::shared::Shared;
use crate::nearest::hint;

/// Arc's parameter for the token, accepted everywhere.
const TOKEN: &str = "p";

/// Refuses a request with a query parameter that the document does not name for it. A missing
/// token is answered first.
pub(super) async fn refuse_unknown<E: Endpoint>(
    next: Arc<E>,
    request: Request,
) -> poem::Result<Response> {
    if let Some(refusal) = refusal(&request) {
        if let Some(denied) = has_no_token(&request).await {
            return Err(ApiError::denied(&denied).into());
        }
        return Err(ApiError::BadRequest(Json(refusal)).into());
    }
    next.call(request).await.map(IntoResponse::into_response)
}

fn refusal(request: &Request) -> Option<ErrorBody> {
    request.uri().query()?;
    let schema = &request.data::<Arc<Shared>>()?.schema;
    let operation = schema.operation(request.method().as_str(), request.uri().path())?;
    let mut known: Vec<_> = query_parameters(operation).collect();
    known.push(TOKEN);
    let given: Vec<(String, String)> = request.params().unwrap_or_default();
    let (name, _) = given
        .iter()
        .find(|(name, _)| !known.contains(&name.as_str()))?;
    let name: String = name.chars().take(100).collect();
    Some(ErrorBody {
        detail: Some(hint(&name, &known)),
        ..error_body(format!("Unknown query parameter {name:?}"))
    })
}
