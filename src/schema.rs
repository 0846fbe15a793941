//! The published schema, as `connledger schema` prints it.

/// JSON Schema (2020-12) of every record.
pub const JSON_SCHEMA: &str = include_str!("../schema/connledger-1.schema.json");
