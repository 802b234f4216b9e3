//! The OpenAPI document: what poem-openapi derives from the types, with what types can't say.
//!
//! One enumeration has all faults, so every operation would claim all of them: here each keeps those that it can answer.
//! And each body gets an example, made of the same types as the answers are.

use std::sync::OnceLock;

use poem_openapi::OpenApiService;
use serde_json::{Value, json};

use super::app::Apis;
use super::constraints;
use super::examples::{answer, request_example};
use super::idempotency::{HEADER, KEY_LIMIT};

/// The statuses of refusal and failure that each operation can answer.
const FAULTS: [(&str, &[u16]); 14] = [
    (
        "create_backup",
        &[400, 401, 403, 408, 409, 413, 422, 500, 502, 503, 507],
    ),
    ("list_backups", &[400, 401, 403, 500]),
    ("check_backups", &[400, 401, 403, 500, 503]),
    ("get_status", &[400, 401, 403, 500]),
    (
        "restore_backup",
        &[400, 401, 403, 404, 408, 409, 413, 422, 500, 502, 503, 507],
    ),
    ("cancel_operation", &[400, 401, 403, 408, 409, 413, 500]),
    ("list_operations", &[400, 401, 403, 500]),
    ("get_operation", &[400, 401, 403, 404, 500]),
    ("get_backup", &[400, 401, 403, 404, 422, 500, 502, 503, 507]),
    (
        "delete_backup",
        &[400, 401, 403, 404, 408, 409, 413, 500, 502, 503, 507],
    ),
    ("list_files", &[400, 401, 403, 404, 422, 500, 502, 503, 507]),
    (
        "verify_backup",
        &[400, 401, 403, 404, 408, 409, 413, 422, 500, 502, 503, 507],
    ),
    ("run_doctor", &[400, 401, 403, 408, 413, 500]),
    ("get_health", &[400]),
];

/// The document, to be asked.
pub(super) fn parsed() -> &'static Value {
    static DOCUMENT: OnceLock<Value> = OnceLock::new();
    DOCUMENT.get_or_init(|| {
        serde_json::from_str(&of(&super::app::service())).expect("the document is JSON")
    })
}

/// The document for `service`, as JSON text.
pub(super) fn of(service: &OpenApiService<Apis, ()>) -> String {
    let mut document: Value =
        serde_json::from_str(&service.spec()).expect("the derived document is JSON");
    for operation in constraints::operations(&mut document) {
        complete(operation);
    }
    constraints::add_to(&mut document);
    serde_json::to_string_pretty(&document).expect("plain data is valid JSON")
}

/// The page of Swagger UI for `service`, with the whole document in it.
pub(super) fn page_of(service: &OpenApiService<Apis, ()>) -> String {
    service
        .swagger_ui_html()
        .replace(&service.spec(), &of(service))
}

fn complete(operation: &mut Value) {
    let id = operation["operationId"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let faults = FAULTS.iter().find(|(name, _)| *name == id);
    let Some(responses) = operation["responses"].as_object_mut() else {
        return;
    };
    responses.retain(|status, _| {
        let status: u16 = status.parse().unwrap_or(0);
        status < 400 || faults.is_none_or(|(_, some)| some.contains(&status))
    });
    for (status, response) in responses {
        if response["description"].as_str().is_none_or(str::is_empty) {
            response["description"] = "What was asked for.".into();
        }
        if (&*id, &**status) == ("check_backups", "503") {
            // The outcome of the check, or the service itself that is ending.
            for media in
                (response["content"].as_object_mut().into_iter()).flat_map(|all| all.values_mut())
            {
                media["schema"] = json!({"oneOf": [
                    {"$ref": "#/components/schemas/CheckReport"},
                    {"$ref": "#/components/schemas/ErrorBody"},
                ]});
            }
        }
        set_example(response, answer(&id, status));
    }
    if let Some(request) = operation.get_mut("requestBody") {
        set_example(request, request_example(&id));
        request["required"] = (id == "restore_backup").into();
        // Whatever reads a body reads the key.
        let parameters = operation
            .as_object_mut()
            .map(|operation| operation.entry("parameters").or_insert_with(|| json!([])));
        if let Some(Value::Array(parameters)) = parameters {
            parameters.push(json!({
                "name": HEADER,
                "in": "header",
                "required": false,
                "description": "A new text for each request. Sent again with the same one within 24 h, the same request is answered \
                    the same way and starts nothing; another request is 422.",
                "schema": {"type": "string", "pattern": "^[!-~]+$", "minLength": 1, "maxLength": KEY_LIMIT},
            }));
        }
    }
}

fn set_example(place: &mut Value, example: Option<Value>) {
    let Some(content) = place.get_mut("content").and_then(Value::as_object_mut) else {
        return;
    };
    for media in content.values_mut() {
        if let (Some(media), Some(example)) = (media.as_object_mut(), &example) {
            media.insert("example".to_owned(), example.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reader of the document must find every operation with its statuses and an example of each body.
    #[test]
    fn every_operation_has_its_statuses_and_examples() {
        let document: Value =
            serde_json::from_str(&of(&super::super::app::service())).expect("JSON");
        let mut seen = Vec::new();
        for operation in document["paths"].as_object().expect("paths").values() {
            for operation in operation.as_object().expect("methods").values() {
                let id = operation["operationId"].as_str().expect("an id");
                seen.push(id.to_owned());
                let (_, faults) = FAULTS
                    .iter()
                    .find(|(name, _)| *name == id)
                    .unwrap_or_else(|| panic!("{id} is in no table"));
                let responses = operation["responses"].as_object().expect("responses");
                for status in *faults {
                    assert!(
                        responses.contains_key(&status.to_string()),
                        "{id} lacks {status}"
                    );
                }
                for (status, response) in responses {
                    let example =
                        &response["content"]["application/json; charset=utf-8"]["example"];
                    assert!(
                        example.is_object(),
                        "{id} {status} has no example: {response}"
                    );
                    assert!(
                        response["description"]
                            .as_str()
                            .is_some_and(|d| !d.is_empty())
                    );
                }
                assert!(operation["summary"].is_string(), "{id} has no summary");
            }
        }
        let mut known: Vec<_> = FAULTS.iter().map(|(name, _)| (*name).to_owned()).collect();
        known.sort();
        seen.sort();
        assert_eq!(seen, known, "the table has operations that are none");
    }

    /// Swagger UI must show the same document that is served.
    #[test]
    fn the_page_has_the_whole_document() {
        let service = super::super::app::service();
        assert!(page_of(&service).contains(&of(&service)));
    }
}
