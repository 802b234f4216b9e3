//! Query parameters that an endpoint does not have are refused: a misspelt one would be as one that was never given, and its
//! answer that to another question.

use std::sync::Arc;

use poem::{Endpoint, IntoResponse, Request, Response};
use poem_openapi::payload::Json;

use super::extract::has_no_token;
use super::faults::{ErrorBody, Fault, body};
use super::schema;
use crate::nearest::hint;

/// Arc's parameter for the token, known everywhere.
const TOKEN: &str = "p";

/// Refuses a request with a query parameter that the document does not name for it. Who has no token is told that first.
pub(super) async fn refuse_unknown<E: Endpoint>(
    next: Arc<E>,
    request: Request,
) -> poem::Result<Response> {
    if let Some(refusal) = fault(&request) {
        if let Some(denied) = has_no_token(&request).await {
            return Err(Fault::denied(&denied).into());
        }
        return Err(Fault::BadRequest(Json(refusal)).into());
    }
    next.call(request).await.map(IntoResponse::into_response)
}

fn fault(request: &Request) -> Option<ErrorBody> {
    request.uri().query()?;
    let operation = schema::operation(request.method().as_str(), request.uri().path())?;
    let mut known: Vec<_> = schema::query_parameters(operation).collect();
    known.push(TOKEN);
    let given: Vec<(String, String)> = request.params().unwrap_or_default();
    let (name, _) = given
        .iter()
        .find(|(name, _)| !known.contains(&name.as_str()))?;
    let name: String = name.chars().take(100).collect();
    Some(ErrorBody {
        detail: Some(hint(&name, &known)),
        ..body(format!("Unknown query parameter {name:?}"))
    })
}
