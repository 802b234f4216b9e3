//! The OpenAPI document: derived by poem-openapi from the types, completed here.
//!
//! All errors are one enum, so poem-openapi lists all of them for each operation; here each
//! operation keeps those that it can answer. Each body gets an example, made of the types of the
//! answers.

use poem_openapi::{OpenApi, OpenApiService};
use serde_json::{Value, json};

use super::constraints;
use super::examples::{answer, request_example};
use super::idempotency::{HEADER, KEY_LIMIT};
use super::schema::REST_OF_PATH;

/// The error statuses that each operation can answer.
const ERRORS: &[(&str, &[u16])] = &[
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
    (
        "undo_restore",
        &[400, 401, 403, 404, 408, 409, 413, 422, 500, 502, 503, 507],
    ),
    ("list_set_aside", &[400, 401, 403, 500, 502, 503]),
    (
        "remove_set_aside",
        &[400, 401, 403, 404, 408, 409, 413, 500, 502, 503, 507],
    ),
    ("cancel_operation", &[400, 401, 403, 408, 409, 413, 500]),
    ("list_operations", &[400, 401, 403, 500]),
    ("get_operation", &[400, 401, 403, 404, 500]),
    ("get_backup", &[400, 401, 403, 404, 422, 500, 502, 503, 507]),
    (
        "delete_backup",
        &[400, 401, 403, 404, 408, 409, 413, 422, 500, 502, 503, 507],
    ),
    (
        "label_backup",
        &[400, 401, 403, 404, 408, 409, 413, 422, 500, 502, 503, 507],
    ),
    (
        "prune_backups",
        &[400, 401, 403, 408, 409, 413, 422, 500, 502, 503, 507],
    ),
    (
        "pin_backup",
        &[400, 401, 403, 404, 408, 409, 413, 422, 500, 502, 503, 507],
    ),
    (
        "unpin_backup",
        &[400, 401, 403, 404, 408, 409, 413, 422, 500, 502, 503, 507],
    ),
    ("list_files", &[400, 401, 403, 404, 422, 500, 502, 503, 507]),
    (
        "diff_backups",
        &[400, 401, 403, 404, 422, 500, 502, 503, 507],
    ),
    (
        "get_file",
        &[400, 401, 403, 404, 409, 416, 422, 500, 502, 503, 507],
    ),
    (
        "verify_backup",
        &[400, 401, 403, 404, 408, 409, 413, 422, 500, 502, 503, 507],
    ),
    (
        "rehearse_backup",
        &[400, 401, 403, 404, 408, 409, 413, 422, 500, 502, 503, 507],
    ),
    (
        "copy_backup",
        &[400, 401, 403, 404, 408, 409, 413, 422, 500, 502, 503, 507],
    ),
    (
        "export_backup",
        &[400, 401, 403, 404, 408, 409, 413, 422, 500, 502, 503, 507],
    ),
    (
        "import_backup",
        &[400, 401, 403, 408, 409, 413, 422, 500, 502, 503, 507],
    ),
    (
        "extract_files",
        &[400, 401, 403, 404, 408, 409, 413, 422, 500, 502, 503, 507],
    ),
    ("list_schedules", &[400, 401, 403, 500]),
    ("get_schedule", &[400, 401, 403, 404, 500]),
    ("preview_schedule", &[400, 401, 403, 404, 500]),
    (
        "run_schedule",
        &[400, 401, 403, 404, 408, 409, 413, 500, 502, 503, 507],
    ),
    ("pause_schedule", &[400, 401, 403, 404, 408, 413, 500, 507]),
    ("resume_schedule", &[400, 401, 403, 404, 408, 413, 500, 507]),
    ("run_doctor", &[400, 401, 403, 408, 413, 500]),
    ("get_health", &[400]),
];

/// The operations whose body has a field that is required.
const WITH_BODY: [&str; 6] = [
    "restore_backup",
    "copy_backup",
    "undo_restore",
    "export_backup",
    "import_backup",
    "extract_files",
];

/// How the router writes the parameter that is the rest of a path.
const REST_IN_ROUTER: &str = "/*path";

/// Reads the text of the document.
pub(super) fn parse(text: &str) -> Value {
    serde_json::from_str(text).expect("the document is JSON")
}

/// The document for `service`, as JSON text.
pub(super) fn text<T: OpenApi>(service: &OpenApiService<T, ()>) -> String {
    let mut document = parse(&service.spec());
    name_rest_of_path(&mut document);
    for operation in constraints::operations(&mut document) {
        complete(operation);
    }
    constraints::add_to(&mut document);
    serde_json::to_string_pretty(&document).expect("plain data is valid JSON")
}

/// Names the parameter that is the rest of a path: poem-openapi leaves `*path` as it is.
fn name_rest_of_path(document: &mut Value) {
    let Some(paths) = document["paths"].as_object_mut() else {
        return;
    };
    let with_rest: Vec<_> = (paths.keys())
        .filter(|path| path.ends_with(REST_IN_ROUTER))
        .cloned()
        .collect();
    for path in with_rest {
        let Some(mut item) = paths.remove(&path) else {
            continue;
        };
        for operation in item
            .as_object_mut()
            .into_iter()
            .flat_map(|all| all.values_mut())
        {
            if let Some(parameters) = operation["parameters"].as_array_mut() {
                parameters.insert(1, json!({
                    "name": "path",
                    "in": "path",
                    "required": true,
                    "deprecated": false,
                    "explode": true,
                    "description": "The path of the file in the backup, with its slashes: `data/iot/cpu/a.parquet`.",
                    "schema": {"type": "string"},
                }));
            }
        }
        paths.insert(path.replace(REST_IN_ROUTER, REST_OF_PATH), item);
    }
}

/// The page of Swagger UI for `service`, with the whole document in it.
pub(super) fn page<T: OpenApi>(service: &OpenApiService<T, ()>) -> String {
    service
        .swagger_ui_html()
        .replace(&service.spec(), &text(service))
}

fn complete(operation: &mut Value) {
    let id = operation["operationId"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let errors = ERRORS.iter().find(|(name, _)| *name == id);
    let Some(responses) = operation["responses"].as_object_mut() else {
        return;
    };
    responses.retain(|status, _| {
        let status: u16 = status.parse().unwrap_or(0);
        status < 400 || errors.is_none_or(|(_, some)| some.contains(&status))
    });
    for (status, response) in responses {
        if response["description"].as_str().is_none_or(str::is_empty) {
            response["description"] = "The answer.".into();
        }
        if (&*id, &**status) == ("check_backups", "503") {
            // Either the check found something, or the service is ending.
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
    let starts_something = operation["responses"].get("202").is_some();
    if let Some(request) = operation.get_mut("requestBody") {
        set_example(request, request_example(&id));
        request["required"] = WITH_BODY.contains(&&*id).into();
        // What starts an operation accepts a key.
        let parameters = (operation.as_object_mut().filter(|_| starts_something))
            .map(|operation| operation.entry("parameters").or_insert_with(|| json!([])));
        if let Some(Value::Array(parameters)) = parameters {
            parameters.push(json!({
                "name": HEADER,
                "in": "header",
                "required": false,
                "description": "A new text for each request. The same request with the same key within 24 h gets the same \
                    answer and starts nothing. Another request with that key is 422.",
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
    use super::super::endpoints::service;
    use super::*;

    /// Guards against: an operation without its statuses, or a body without an example.
    #[test]
    fn every_operation_has_its_statuses_and_examples() {
        let document = parse(&text(&service()));
        let mut seen = Vec::new();
        for operation in document["paths"].as_object().expect("paths").values() {
            for operation in operation.as_object().expect("methods").values() {
                let id = operation["operationId"].as_str().expect("an id");
                seen.push(id.to_owned());
                let (_, errors) = ERRORS
                    .iter()
                    .find(|(name, _)| *name == id)
                    .unwrap_or_else(|| panic!("{id} is not in the table"));
                let responses = operation["responses"].as_object().expect("responses");
                for status in *errors {
                    assert!(
                        responses.contains_key(&status.to_string()),
                        "{id} lacks {status}"
                    );
                }
                for (status, response) in responses {
                    let example =
                        &response["content"]["application/json; charset=utf-8"]["example"];
                    let is_file = id == "get_file" && ["200", "206", "304"].contains(&&**status);
                    assert!(
                        is_file || example.is_object(),
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
        let mut known: Vec<_> = ERRORS.iter().map(|(name, _)| (*name).to_owned()).collect();
        known.sort();
        seen.sort();
        assert_eq!(seen, known, "the table names operations that do not exist");
    }

    /// Guards against: Swagger UI that shows another document than the one that is served.
    #[test]
    fn the_page_has_the_whole_document() {
        let service = service();
        assert!(page(&service).contains(&text(&service)));
    }
}
