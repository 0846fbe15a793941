//! The published schema, its strict form, and what it says of each field.
//!
//! The published schema admits unknown fields, so that a line of a later version is valid too. The strict
//! form closes every object of it: then a field that is not described is an error.

use std::collections::BTreeMap;

use jsonschema::ValidationError;
use jsonschema::Validator;
use serde_json::Map;
use serde_json::Value;

/// The schema as it is published.
pub fn published() -> Value {
    serde_json::from_str(connledger::schema::JSON_SCHEMA).expect("the schema is JSON")
}

/// The schema with every object closed: the record itself, and what stands in a field.
pub fn strict() -> Value {
    let mut schema = published();
    close(&mut schema);
    close_fields(&mut schema);
    schema
}

/// Has no effect on what is no object. Unlike additionalProperties it sees through $ref and then.
fn close(schema: &mut Value) {
    schema["unevaluatedProperties"] = Value::Bool(false);
}

fn close_fields(schema: &mut Value) {
    match schema {
        Value::Object(keywords) => {
            for (keyword, value) in keywords {
                if keyword == "properties" {
                    let fields = value.as_object_mut().expect("properties is an object");
                    fields.values_mut().for_each(close);
                }
                close_fields(value);
            }
        }
        Value::Array(schemas) => schemas.iter_mut().for_each(close_fields),
        _ => {}
    }
}

/// A validator that checks formats too.
pub fn validator(schema: &Value) -> Validator {
    jsonschema::options().should_validate_formats(true).build(schema).expect("the schema is valid")
}

/// What is wrong with a record, a line for each fault; empty if nothing is.
pub fn complaints(validator: &Validator, record: &Value) -> String {
    let complaint = |err: ValidationError<'_>| format!("{}: {err}", err.instance_path());
    validator.iter_errors(record).map(complaint).collect::<Vec<_>>().join("\n")
}

/// The kinds of records, in the order of the schema.
pub fn kinds(schema: &Value) -> Vec<String> {
    let kinds = schema["properties"]["event"]["enum"].as_array().expect("an enumeration");
    kinds.iter().map(|kind| kind.as_str().expect("a name").to_owned()).collect()
}

/// Every field that a record of a kind can have, as `outer.inner`, with all that the schema says of it.
pub fn fields<'a>(schema: &'a Value, kind: &str) -> BTreeMap<String, Vec<&'a Value>> {
    let mut walk = Walk { root: schema, fields: BTreeMap::new() };
    walk.properties(&schema["properties"], "");
    let mut described = 0;
    for condition in schema["allOf"].as_array().expect("a condition for each kind") {
        if condition["if"]["properties"]["event"]["const"] == kind {
            walk.schema(&condition["then"], "");
            described += 1;
        }
    }
    assert_eq!(described, 1, "the schema describes {kind} once");
    walk.fields
}

struct Walk<'a> {
    root: &'a Value,
    fields: BTreeMap<String, Vec<&'a Value>>,
}

impl<'a> Walk<'a> {
    /// Conditions (`if`) describe nothing, and are left out.
    fn schema(&mut self, schema: &'a Value, prefix: &str) {
        if let Some(reference) = schema["$ref"].as_str() {
            let pointer = reference.strip_prefix('#').expect("a reference within the schema");
            let target = self.root.pointer(pointer).expect("the reference has a target");
            self.schema(target, prefix);
        }
        for inner in schema["allOf"].as_array().into_iter().flatten() {
            self.schema(inner, prefix);
        }
        self.properties(&schema["properties"], prefix);
        self.properties(&schema["then"]["properties"], prefix);
    }

    fn properties(&mut self, properties: &'a Value, prefix: &str) {
        for (name, schema) in properties.as_object().into_iter().flat_map(Map::iter) {
            let path = format!("{prefix}{name}");
            self.schema(schema, &format!("{path}."));
            self.fields.entry(path).or_default().push(schema);
        }
    }
}
