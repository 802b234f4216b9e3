//! What the OpenAPI document says that a value must be.
//!
//! Requests are checked against the document itself: what it promises and what is checked cannot differ.

use serde_json::{Map, Value};

use super::document::parsed;

/// The fields of a schema, each with what it must be.
pub(super) fn fields(name: &str) -> &'static Map<String, Value> {
    static NONE: std::sync::OnceLock<Map<String, Value>> = std::sync::OnceLock::new();
    (parsed()["components"]["schemas"][name]["properties"].as_object())
        .unwrap_or_else(|| NONE.get_or_init(Map::new))
}

/// The operation of a method and a path, as the document has it.
pub(super) fn operation(method: &str, path: &str) -> Option<&'static Value> {
    let paths = parsed()["paths"].as_object()?;
    // The router prefers a fixed part of a path to a parameter.
    let item = paths.get(path).or_else(|| {
        let found = paths.iter().find(|(template, _)| fits_path(template, path));
        found.map(|(_, item)| item)
    })?;
    let method = method.to_lowercase();
    item.get(if method == "head" { "get" } else { &method })
}

/// Whether a path is one of those that a template of the document stands for.
pub(super) fn fits_path(template: &str, path: &str) -> bool {
    let (mut wanted, mut given) = (template.split('/'), path.split('/'));
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return true,
            (Some(wanted), Some(given)) if wanted.starts_with('{') || wanted == given => {}
            _ => return false,
        }
    }
}

/// The names of the query parameters of an operation.
pub(super) fn query_parameters(operation: &'static Value) -> impl Iterator<Item = &'static str> {
    (operation["parameters"].as_array().into_iter().flatten())
        .filter(|parameter| parameter["in"] == "query")
        .filter_map(|parameter| parameter["name"].as_str())
}

/// What a parameter of that name must be, in words.
pub(super) fn parameter_fault(name: &str) -> String {
    match parameter(name) {
        Some(schema) if schema["type"] == "array" => {
            format!("{name} must be {}", words(&schema["items"]))
        }
        Some(schema) => format!("{name} must be {}", words(schema)),
        None => format!("{name} is not understood"),
    }
}

/// Whether a word is one of those that a parameter, a list, may have.
pub(super) fn is_word_of(name: &str, word: &str) -> bool {
    parameter(name).is_some_and(|schema| fits(&schema["items"], &word.into()))
}

/// What a parameter of that name must be: it is the same wherever there is one.
fn parameter(name: &str) -> Option<&'static Value> {
    (parsed()["paths"].as_object().into_iter().flatten())
        .filter_map(|(_, item)| item.as_object())
        .flat_map(Map::values)
        .flat_map(|operation| operation["parameters"].as_array().into_iter().flatten())
        .find(|parameter| parameter["name"] == name)
        .map(|parameter| &parameter["schema"])
}

/// Whether a value is of the type that a schema says, and one of its words.
pub(super) fn fits(schema: &Value, value: &Value) -> bool {
    let schema = resolved(schema);
    match schema["type"].as_str() {
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.is_u64() || value.is_i64(),
        Some("number") => value.is_number(),
        Some("string") => {
            let words = schema["enum"].as_array();
            value.is_string() && words.is_none_or(|words| words.contains(value))
        }
        Some("array") => (value.as_array())
            .is_some_and(|items| items.iter().all(|item| fits(&schema["items"], item))),
        Some("object") => value.is_object(),
        _ => true,
    }
}

/// What a schema asks for, in words.
pub(super) fn words(schema: &Value) -> String {
    let schema = resolved(schema);
    let bounds = (&schema["minimum"], &schema["maximum"]);
    match schema["type"].as_str() {
        Some("boolean") => "true or false".to_owned(),
        Some("integer") => match bounds {
            (Value::Number(least), Value::Number(most)) => format!("from {least} to {most}"),
            (Value::Number(least), _) => format!("a whole number, at least {least}"),
            _ => "a whole number".to_owned(),
        },
        Some("number") => "a number".to_owned(),
        Some("string") => match schema["enum"].as_array() {
            Some(words) => {
                let words: Vec<_> = words.iter().filter_map(Value::as_str).collect();
                format!("one of {}", words.join(", "))
            }
            None => "a string".to_owned(),
        },
        Some("array") => format!("a list, each {}", words(&schema["items"])),
        _ => "an object".to_owned(),
    }
}

/// The schema that is meant by a reference to one.
fn resolved(schema: &Value) -> &Value {
    let reference = (schema["$ref"].as_str()).or_else(|| schema["allOf"][0]["$ref"].as_str());
    let name = reference.and_then(|reference| reference.rsplit('/').next());
    match name {
        Some(name) => &parsed()["components"]["schemas"][name],
        None => schema,
    }
}
