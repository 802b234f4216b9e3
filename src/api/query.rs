//! Refuses unknown query parameters, and those given twice: with one ignored, the answer would be
//! to another question.

use std::collections::BTreeSet;
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

/// Refuses a request with a query parameter that the document does not name for it, or with two of
/// one that it has once. A missing token is answered first.
pub(super) async fn refuse_wrong<E: Endpoint>(
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
    let parameters: Vec<_> = query_parameters(operation)
        .chain([(TOKEN, false)])
        .collect();
    let given: Vec<(String, String)> = request.params().unwrap_or_default();
    let find = |name: &str| parameters.iter().find(|(known, _)| *known == name);
    if let Some((name, _)) = given.iter().find(|(name, _)| find(name).is_none()) {
        let name: String = name.chars().take(100).collect();
        let known: Vec<_> = parameters.iter().map(|(known, _)| *known).collect();
        return Some(ErrorBody {
            detail: Some(hint(&name, &known)),
            ..error_body(format!("Unknown query parameter {name:?}"))
        });
    }
    let is_once = |name: &str| find(name).is_some_and(|(_, may_be_repeated)| !may_be_repeated);
    let mut seen = BTreeSet::new();
    let (twice, _) = given
        .iter()
        .find(|(name, _)| is_once(name) && !seen.insert(name))?;
    Some(ErrorBody {
        detail: Some("give it once".to_owned()),
        ..error_body(format!("Query parameter {twice:?} is given more than once"))
    })
}
