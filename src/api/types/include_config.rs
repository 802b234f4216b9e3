//! Whether a backup has `arc.toml`.

use std::borrow::Cow;

use poem_openapi::registry::{MetaSchema, MetaSchemaRef};
use poem_openapi::types::{ParseError, ParseFromJSON, ParseResult, ToJSON, Type};
use serde_json::Value;

use crate::config;

/// Whether a backup has `arc.toml`: `true`, `false`, or `redacted`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::api) struct IncludeConfig(config::IncludeConfig);

impl From<IncludeConfig> for config::IncludeConfig {
    fn from(wanted: IncludeConfig) -> Self {
        wanted.0
    }
}

// By hand: a union of poem-openapi is one of objects.
impl Type for IncludeConfig {
    const IS_REQUIRED: bool = true;

    type RawValueType = Self;

    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        "boolean or redacted".into()
    }

    fn schema_ref() -> MetaSchemaRef {
        let boolean = MetaSchema::new("boolean");
        let word = MetaSchema {
            enum_items: vec![config::IncludeConfig::REDACTED.into()],
            ..MetaSchema::new("string")
        };
        let one_of = [boolean, word].map(|schema| MetaSchemaRef::Inline(Box::new(schema)));
        MetaSchemaRef::Inline(Box::new(MetaSchema {
            one_of: one_of.into(),
            ..MetaSchema::ANY
        }))
    }

    fn as_raw_value(&self) -> Option<&Self::RawValueType> {
        Some(self)
    }

    fn raw_element_iter<'a>(
        &'a self,
    ) -> Box<dyn Iterator<Item = &'a Self::RawElementValueType> + 'a> {
        Box::new(self.as_raw_value().into_iter())
    }
}

impl ParseFromJSON for IncludeConfig {
    fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
        match value.unwrap_or_default() {
            Value::Bool(true) => Ok(Self(config::IncludeConfig::Whole)),
            Value::Bool(false) => Ok(Self(config::IncludeConfig::Omitted)),
            Value::String(text) if text == config::IncludeConfig::REDACTED => {
                Ok(Self(config::IncludeConfig::Redacted))
            }
            value => Err(ParseError::expected_type(value)),
        }
    }
}

impl ToJSON for IncludeConfig {
    fn to_json(&self) -> Option<Value> {
        Some(match self.0 {
            config::IncludeConfig::Omitted => false.into(),
            config::IncludeConfig::Redacted => config::IncludeConfig::REDACTED.into(),
            config::IncludeConfig::Whole | config::IncludeConfig::ByTarget => true.into(),
        })
    }
}
