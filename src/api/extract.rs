//! Reads tokens and bodies from requests.
//!
//! poem-openapi's own extractors answer a missing `Content-Type` with 415 and lose a checker's 403.

use std::sync::Arc;

use poem::http::StatusCode;
use poem::{FromRequest, Request, RequestBody, Result};
use poem_openapi::payload::{Json, Payload};
use poem_openapi::registry::{
    MetaMediaType, MetaRequest, MetaSchemaRef, MetaSecurityScheme, Registry,
};
use poem_openapi::types::{ParseFromJSON, Type};
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};
use serde_json::Value;

use super::error::ApiError;
use super::idempotency::Key;
use super::shared::Shared;
use crate::auth::{Denied, Identity, fingerprint, token_from_parts};
use crate::nearest::hint;
use crate::secret::Secret;

/// The holder of an admin token, and that token.
pub(super) struct Admin(pub(super) Identity, pub(super) Option<Secret>);

/// The holder of a token that may read the check: an admin's, one with `read`, or the monitoring
/// token.
pub(super) struct Reader;

/// Who may read the status: an admin, and the token that started the operation, even when a
/// restored database no longer knows that token.
pub(super) struct Watcher;

fn token(request: &Request) -> Option<String> {
    let header = |name: &str| {
        request
            .headers()
            .get(name)
            .and_then(|value| value.to_str().ok())
    };
    let parameters: Vec<(String, String)> = request.params().unwrap_or_default();
    let parameter = parameters
        .into_iter()
        .find(|(name, _)| name == "p")
        .map(|(_, value)| value);
    token_from_parts(
        header("authorization"),
        header("x-api-key"),
        parameter.as_deref(),
    )
}

async fn check(request: &Request) -> (Option<String>, Result<Identity, Denied>) {
    let token = token(request);
    let checked = match request.data::<Arc<Shared>>() {
        Some(shared) => shared.authenticator.check(token.as_deref()).await,
        None => Err(Denied::Invalid),
    };
    (token, checked)
}

async fn check_reader(request: &Request) -> Result<Identity, Denied> {
    let token = token(request);
    match request.data::<Arc<Shared>>() {
        Some(shared) => shared.authenticator.check_reader(token.as_deref()).await,
        None => Err(Denied::Invalid),
    }
}

fn register_schemes(registry: &mut Registry) {
    registry.create_security_scheme(
        "bearer",
        MetaSecurityScheme {
            ty: "http",
            description: Some(
                "An admin token of Arc. `Authorization: Token …`, a bare `Authorization` value, `x-api-key` and the \
                 query parameter `p` are taken too, in this order.",
            ),
            name: None,
            key_in: None,
            scheme: Some("bearer"),
            bearer_format: None,
            flows: None,
            openid_connect_url: None,
        },
    );
}

/// The part that all extractors of a token have in common: the scheme in the document.
macro_rules! bearer {
    () => {
        const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];
        type ParamType = ();
        type ParamRawType = ();

        fn register(registry: &mut Registry) {
            register_schemes(registry);
        }

        fn security_schemes() -> Vec<&'static str> {
            vec!["bearer"]
        }
    };
}

impl<'a> ApiExtractor<'a> for Admin {
    bearer!();

    async fn from_request(
        request: &'a Request,
        _body: &mut RequestBody,
        _options: ExtractParamOptions<()>,
    ) -> Result<Self> {
        let (token, checked) = check(request).await;
        match checked {
            Ok(identity) => Ok(Self(identity, token.map(Secret::new))),
            Err(denied) => Err(ApiError::denied(&denied).into()),
        }
    }
}

impl<'a> ApiExtractor<'a> for Reader {
    bearer!();

    async fn from_request(
        request: &'a Request,
        _body: &mut RequestBody,
        _options: ExtractParamOptions<()>,
    ) -> Result<Self> {
        match check_reader(request).await {
            Ok(_) => Ok(Self),
            Err(denied) => Err(ApiError::denied(&denied).into()),
        }
    }
}

impl<'a> ApiExtractor<'a> for Watcher {
    bearer!();

    async fn from_request(
        request: &'a Request,
        _body: &mut RequestBody,
        _options: ExtractParamOptions<()>,
    ) -> Result<Self> {
        let (token, checked) = check(request).await;
        let started = async || {
            let engine = &request.data::<Arc<Shared>>()?.engine;
            let fingerprint = fingerprint(token.as_deref()?);
            // The token first: without one, nothing is looked up.
            if !engine.was_started_with(fingerprint) {
                return None;
            }
            // Its own operation only: as the status, or by its id.
            let path = request.uri().path().trim_end_matches('/');
            let shown = match path.split_once("/operations/") {
                Some((_, id)) => id.to_owned(),
                None => engine.status().await.ok()??.operation_id,
            };
            Some(engine.running(&shown)?.who.fingerprint == Some(fingerprint))
        };
        match checked {
            Ok(_) => Ok(Self),
            Err(_) if started().await == Some(true) => Ok(Self),
            Err(denied) => Err(ApiError::denied(&denied).into()),
        }
    }
}

/// Whether a request that needs a token has none.
pub(super) async fn has_no_token(request: &Request) -> Option<Denied> {
    let schema = &request.data::<Arc<Shared>>()?.schema;
    let needs_one = schema
        .operation(request.method().as_str(), request.uri().path())
        .is_some_and(|operation| operation["security"].is_array());
    if !needs_one {
        return None;
    }
    let (_, checked) = check(request).await;
    checked
        .err()
        .filter(|denied| matches!(denied, Denied::Missing))
}

/// The fields of a request's body. The document says which there are, and what each must be.
pub(super) trait Fields: ParseFromJSON {
    /// What happens to a request with an unknown field.
    const UNKNOWN: UnknownFields;
}

/// What happens to a request with an unknown field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UnknownFields {
    /// It is accepted, and a warning in the answer names the field.
    Warn,
    /// It is refused: it overwrites data, and a misspelt field may be the one that limits which.
    Refuse,
}

/// A JSON body, whatever its `Content-Type`. No body and `null` are an empty object.
pub(super) struct Body<T> {
    pub(super) fields: T,
    pub(super) warnings: Vec<String>,
    /// The key of the request, where it has one.
    pub(super) key: Option<Key>,
}

impl<'a, T: Fields + 'a> ApiExtractor<'a> for Body<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        Some(MetaRequest {
            description: Some(match T::UNKNOWN {
                UnknownFields::Warn => {
                    "JSON, whatever the `Content-Type`. Unknown fields come back in `warnings`."
                }
                UnknownFields::Refuse => {
                    "JSON, whatever the `Content-Type`. A request with unknown fields is refused."
                }
            }),
            content: vec![MetaMediaType {
                content_type: <Json<T> as Payload>::CONTENT_TYPE,
                schema: schema_of::<T>(),
            }],
            required: false,
        })
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _options: ExtractParamOptions<()>,
    ) -> Result<Self> {
        let key = Key::text_of(request)?;
        let bytes = <Vec<u8> as FromRequest<'a>>::from_request(request, body).await?;
        let refuse = |detail: String| ApiError::bad("Invalid request body", detail);
        let mut value = if bytes.trim_ascii().is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&bytes).map_err(|e| refuse(e.to_string()))?
        };
        if value.is_null() {
            value = Value::Object(serde_json::Map::new());
        }
        let Value::Object(object) = &value else {
            return Err(refuse("expected a JSON object".to_owned()).into());
        };
        let Some(shared) = request.data::<Arc<Shared>>() else {
            return Err(poem::Error::from_status(StatusCode::INTERNAL_SERVER_ERROR));
        };
        let schema = &shared.schema;
        let known = schema.fields(&T::name());
        for (name, value) in object {
            let Some(wanted) = known.get(name) else {
                continue;
            };
            // poem-openapi's own messages do not name the field.
            if !(value.is_null() || schema.fits(wanted, value)) {
                return Err(refuse(schema.misfit(name, wanted, value)).into());
            }
            if let Some(fault) = schema.fault_within(name, wanted, value) {
                return Err(refuse(fault).into());
            }
        }
        let names: Vec<_> = known.keys().map(String::as_str).collect();
        let mut warnings = Vec::new();
        for name in object.keys().filter(|name| !known.contains_key(*name)) {
            let shown: String = name.chars().take(100).collect();
            let hint = hint(name, &names);
            match T::UNKNOWN {
                UnknownFields::Refuse => {
                    return Err(refuse(format!("unknown field {shown:?}: {hint}")).into());
                }
                UnknownFields::Warn => {
                    warnings.push(format!("unknown field {shown:?} was ignored: {hint}"));
                }
            }
        }
        let key = key.map(|text| Key::new(text, request.uri().path(), &value));
        let fields = T::parse_from_json(Some(value)).map_err(|e| refuse(e.into_message()))?;
        Ok(Self {
            fields,
            warnings,
            key,
        })
    }
}

fn schema_of<T: Type>() -> MetaSchemaRef {
    T::schema_ref()
}
