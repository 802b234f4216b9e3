//! Checks an answer against the program's own OpenAPI document.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use jsonschema::{Draft, Validator};
use serde_json::{Value, json};

use super::Answer;

/// Pages that are not part of the document.
const PAGES: [&str; 2] = ["/docs", "/openapi.json"];

/// The document, with every object closed: a field that it does not name is our fault.
fn document() -> &'static Value {
    static DOCUMENT: OnceLock<Value> = OnceLock::new();
    DOCUMENT.get_or_init(|| {
        let text = include_str!("../../openapi/openapi.json");
        let mut document: Value = serde_json::from_str(text).unwrap();
        close(&mut document["components"]["schemas"]);
        document
    })
}

fn close(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(close),
        Value::Object(fields) => {
            fields.values_mut().for_each(close);
            if fields.get("type") == Some(&"object".into()) && fields.contains_key("properties") {
                fields.insert("additionalProperties".to_owned(), false.into());
            }
        }
        _ => {}
    }
}

/// Fails the test if the document does not describe such an answer to such a request.
pub fn check(method: &str, path: &str, answer: &Answer) {
    keep(method, path, answer);
    if let Err(fault) = find_fault(method, path, answer) {
        panic!(
            "{method} {path}: {fault}; openapi/openapi.json promises something else than {} {:?} {}",
            answer.status, answer.headers, answer.text
        );
    }
}

/// Writes the answer to the folder `ARC_TEST_ANSWERS`, for tests of generated clients.
fn keep(method: &str, path: &str, answer: &Answer) {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let Some(folder) = std::env::var_os("ARC_TEST_ANSWERS") else {
        return;
    };
    let Ok(body) = serde_json::from_str::<Value>(&answer.text) else {
        return;
    };
    let document = json!({"method": method, "path": path, "status": answer.status, "body": body});
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let name = format!("{}-{number}.json", std::process::id());
    let folder = Path::new(&folder);
    std::fs::create_dir_all(folder).unwrap();
    std::fs::write(folder.join(name), document.to_string()).unwrap();
}

/// Returns how the answer breaks the document.
pub fn find_fault(method: &str, path: &str, answer: &Answer) -> Result<(), String> {
    let path = path.split('?').next().unwrap_or_default();
    let path = match path.trim_end_matches('/') {
        "" => "/",
        path => path,
    };
    if answer.status == 401 && !answer.headers.contains_key("www-authenticate") {
        return Err("401 without WWW-Authenticate".to_owned());
    }
    if PAGES.contains(&path) && answer.status < 400 {
        return Ok(());
    }
    let Some(item) = item_of(path) else {
        return match answer.status {
            404 | 405 => matches_schema("ErrorBody", answer),
            other => Err(format!("{other} where the document has no such path")),
        };
    };
    let asked = match method {
        "HEAD" => "get".to_owned(),
        other => other.to_lowercase(),
    };
    let Some(operation) = item.get(&asked) else {
        if answer.status != 405 {
            return Err(format!(
                "{} where the document has no such method",
                answer.status
            ));
        }
        let allowed = answer.headers.get("allow").ok_or("405 without Allow")?;
        let named: Vec<_> = allowed.split(", ").map(str::to_lowercase).collect();
        return match item
            .as_object()
            .unwrap()
            .keys()
            .find(|m| !named.contains(m))
        {
            Some(missing) => Err(format!("Allow lacks {missing}: {allowed}")),
            None => matches_schema("ErrorBody", answer),
        };
    };
    let response = (operation["responses"].get(answer.status.to_string()))
        .ok_or_else(|| format!("the document does not name the status {}", answer.status))?;
    let headers = response["headers"].as_object();
    for (name, header) in headers.into_iter().flatten() {
        let is_there = answer.headers.contains_key(&name.to_lowercase());
        if header["required"] == true && !is_there {
            return Err(format!("{} without {name}", answer.status));
        }
    }
    if method == "HEAD" {
        return Ok(());
    }
    let content = response["content"].as_object();
    let Some(content) = content.filter(|content| !content.is_empty()) else {
        return match answer.text.is_empty() {
            true => Ok(()),
            false => Err(format!("{} with a body", answer.status)),
        };
    };
    let sent = (answer.headers.get("content-type")).ok_or("no Content-Type")?;
    let media = (content.get(sent))
        .ok_or_else(|| format!("the document does not name the Content-Type {sent}"))?;
    let schema = &media["schema"];
    if schema["format"] == "binary" {
        return Ok(());
    }
    let several = schema["oneOf"].as_array();
    let references = several.map_or_else(|| vec![schema], |several| several.iter().collect());
    let mut faults = Vec::new();
    for reference in references {
        let reference = reference["$ref"].as_str().unwrap();
        match matches_schema(reference.rsplit('/').next().unwrap(), answer) {
            Ok(()) => return Ok(()),
            Err(fault) => faults.push(fault),
        }
    }
    Err(faults.join("; or: "))
}

/// The entry of the document for a path; a fixed path wins over one with a parameter.
fn item_of(path: &str) -> Option<&'static Value> {
    let paths = document()["paths"].as_object().unwrap();
    let fits = |template: &str| {
        // The last parameter may be the rest of the path.
        if let Some(fixed) = template.strip_suffix("/{path}") {
            let above: Vec<_> = path.split('/').take(fixed.split('/').count()).collect();
            return path.split('/').count() > above.len()
                && (fixed.split('/').zip(above))
                    .all(|(wanted, given)| wanted.starts_with('{') || wanted == given);
        }
        template.split('/').count() == path.split('/').count()
            && (template.split('/').zip(path.split('/')))
                .all(|(wanted, given)| wanted.starts_with('{') || wanted == given)
    };
    paths.get(path).or_else(|| {
        (paths.iter())
            .find(|(template, _)| fits(template))
            .map(|(_, item)| item)
    })
}

fn matches_schema(name: &str, answer: &Answer) -> Result<(), String> {
    static VALIDATORS: OnceLock<Mutex<HashMap<String, Validator>>> = OnceLock::new();
    let mut validators =
        (VALIDATORS.get_or_init(Mutex::default).lock()).unwrap_or_else(PoisonError::into_inner);
    let validator = validators.entry(name.to_owned()).or_insert_with(|| {
        let schema = json!({
            "allOf": [{"$ref": format!("#/components/schemas/{name}")}],
            "components": document()["components"],
        });
        // OpenAPI 3.0 is closest to this draft. Only requests have `nullable` fields, which the
        // draft lacks.
        jsonschema::options()
            .with_draft(Draft::Draft4)
            .should_validate_formats(true)
            .build(&schema)
            .unwrap_or_else(|e| panic!("{name}: {e}"))
    });
    let body: Value = serde_json::from_str(&answer.text).map_err(|e| format!("no JSON: {e}"))?;
    let faults: Vec<_> = (validator.iter_errors(&body))
        .map(|fault| format!("{} ({})", fault, fault.instance_path()))
        .collect();
    if faults.is_empty() {
        Ok(())
    } else {
        Err(faults.join("; "))
    }
}
