//! What the OpenAPI document says that a value must be.
//!
//! Requests are checked against the document itself, so what it promises and what is checked cannot
//! differ.

use serde_json::{Map, Value};

use crate::nearest::hint;

/// How much of a value a message has.
const SHOWN: usize = 100;

/// The document, as requests are checked against it.
#[derive(Debug)]
pub(super) struct Schema {
    document: Value,
    /// Of a body whose schema the document lacks.
    no_fields: Map<String, Value>,
}

impl Schema {
    /// Takes the document.
    pub(super) fn new(document: Value) -> Self {
        Self {
            document,
            no_fields: Map::new(),
        }
    }

    /// The fields of a schema, each with its own.
    pub(super) fn fields(&self, name: &str) -> &Map<String, Value> {
        self.document["components"]["schemas"][name]["properties"]
            .as_object()
            .unwrap_or(&self.no_fields)
    }

    /// The operation of a method and a path.
    pub(super) fn operation(&self, method: &str, path: &str) -> Option<&Value> {
        let paths = self.paths()?;
        // The router prefers a fixed part of a path to a parameter.
        let item = paths.get(path).or_else(|| {
            let found = paths.iter().find(|(template, _)| fits_path(template, path));
            found.map(|(_, item)| item)
        })?;
        let method = method.to_lowercase();
        item.get(if method == "head" { "get" } else { &method })
    }

    /// The paths, each with its methods.
    pub(super) fn paths(&self) -> Option<&Map<String, Value>> {
        self.document["paths"].as_object()
    }

    /// Says what a parameter of that name must be.
    pub(super) fn parameter_error(&self, name: &str) -> String {
        match self.parameter(name) {
            Some(schema) if schema["type"] == "array" => {
                format!("{name} must be {}", self.describe(&schema["items"]))
            }
            Some(schema) => format!("{name} must be {}", self.describe(schema)),
            None => format!("{name} is not understood"),
        }
    }

    /// Whether a parameter, which is a list, may have this value among others.
    pub(super) fn allows_item(&self, name: &str, item: &str) -> bool {
        self.parameter(name)
            .is_some_and(|schema| self.fits(&schema["items"], &item.into()))
    }

    /// The schema of a parameter: it is the same wherever there is one of that name.
    fn parameter(&self, name: &str) -> Option<&Value> {
        (self.paths().into_iter().flatten())
            .filter_map(|(_, item)| item.as_object())
            .flat_map(Map::values)
            .flat_map(|operation| operation["parameters"].as_array().into_iter().flatten())
            .find(|parameter| parameter["name"] == name)
            .map(|parameter| &parameter["schema"])
    }

    /// Whether a value has the type of a schema, and is one of its values where it names them.
    pub(super) fn fits(&self, schema: &Value, value: &Value) -> bool {
        let schema = self.resolved(schema);
        if let Some(ways) = schema["oneOf"].as_array() {
            return ways.iter().any(|way| self.fits(way, value));
        }
        match schema["type"].as_str() {
            Some("boolean") => value.is_boolean(),
            Some("integer") => value.is_u64() || value.is_i64(),
            Some("number") => value.is_number(),
            Some("string") => {
                let allowed = schema["enum"].as_array();
                value.is_string() && allowed.is_none_or(|allowed| allowed.contains(value))
            }
            Some("array") => (value.as_array())
                .is_some_and(|items| items.iter().all(|item| self.fits(&schema["items"], item))),
            Some("object") => value.is_object(),
            _ => true,
        }
    }

    /// Says what a field must be whose value does not fit; of a list, the first item that does not.
    pub(super) fn misfit(&self, name: &str, schema: &Value, value: &Value) -> String {
        let schema = self.resolved(schema);
        let items = match schema["type"].as_str() {
            Some("array") => value.as_array(),
            _ => None,
        };
        let wanted = &schema["items"];
        let bad =
            (items.into_iter().flatten().enumerate()).find(|(_, item)| !self.fits(wanted, item));
        match bad {
            Some((index, item)) => {
                let shown: String = item.to_string().chars().take(SHOWN).collect();
                format!(
                    "{name}[{index}] is {shown}, and must be {}",
                    self.describe(wanted)
                )
            }
            None => format!("{name} must be {}", self.describe(schema)),
        }
    }

    /// Says what is wrong with the first field of an object that is the value of the field `name`:
    /// it is unknown, or does not fit. An object in a request limits what is done, so that no field
    /// of it is ignored.
    pub(super) fn fault_within(&self, name: &str, schema: &Value, value: &Value) -> Option<String> {
        let known = self.resolved(schema)["properties"].as_object()?;
        let names: Vec<_> = known.keys().map(String::as_str).collect();
        value.as_object()?.iter().find_map(|(field, value)| {
            let shown: String = field.chars().take(SHOWN).collect();
            let Some(wanted) = known.get(field) else {
                let hint = hint(field, &names);
                return Some(format!("unknown field {shown:?} in {name}: {hint}"));
            };
            let fits = value.is_null() || self.fits(wanted, value);
            (!fits).then(|| self.misfit(&format!("{name}.{shown}"), wanted, value))
        })
    }

    /// What a schema asks for, for people.
    pub(super) fn describe(&self, schema: &Value) -> String {
        let schema = self.resolved(schema);
        if let Some(ways) = schema["oneOf"].as_array() {
            let ways: Vec<_> = ways.iter().map(|way| self.describe(way)).collect();
            return ways.join(", or ");
        }
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
                Some(allowed) => {
                    let allowed: Vec<_> = allowed.iter().filter_map(Value::as_str).collect();
                    match allowed[..] {
                        [only] => format!("{only:?}"),
                        _ => format!("one of {}", allowed.join(", ")),
                    }
                }
                None => "a string".to_owned(),
            },
            Some("array") => format!("a list, each {}", self.describe(&schema["items"])),
            _ => "an object".to_owned(),
        }
    }

    /// The schema that a reference names, or the schema itself.
    fn resolved<'a>(&'a self, schema: &'a Value) -> &'a Value {
        let reference = (schema["$ref"].as_str()).or_else(|| schema["allOf"][0]["$ref"].as_str());
        let name = reference.and_then(|reference| reference.rsplit('/').next());
        match name {
            Some(name) => &self.document["components"]["schemas"][name],
            None => schema,
        }
    }
}

/// The end of a template whose last parameter is the rest of the path, slashes and all.
pub(super) const REST_OF_PATH: &str = "/{path}";

/// Whether a path matches a template of the document.
pub(super) fn fits_path(template: &str, path: &str) -> bool {
    if let Some(fixed) = template.strip_suffix(REST_OF_PATH) {
        let ends = path.match_indices('/').map(|(at, _)| at);
        return ends.into_iter().any(|end| fits_path(fixed, &path[..end]));
    }
    let (mut wanted, mut given) = (template.split('/'), path.split('/'));
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return true,
            (Some(wanted), Some(given)) if wanted.starts_with('{') || wanted == given => {}
            _ => return false,
        }
    }
}

/// The names of the query parameters of an operation, and whether each may be repeated.
pub(super) fn query_parameters(operation: &Value) -> impl Iterator<Item = (&str, bool)> {
    (operation["parameters"].as_array().into_iter().flatten())
        .filter(|parameter| parameter["in"] == "query")
        .filter_map(|parameter| {
            let may_be_repeated = parameter["schema"]["type"] == "array";
            Some((parameter["name"].as_str()?, may_be_repeated))
        })
}
