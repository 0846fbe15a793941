//! The ledger's own records, which are rare: they go through serde, and are flattened.

use serde::Serialize;
use serde_json::Value;

use super::fields::MAX_EXACT;
use super::fields::push_value;
use crate::encode::json::LogFormatter;

/// Appends the fields of one of the ledger's own records.
pub fn push_own(out: &mut Vec<u8>, record: &impl Serialize) {
    // Only an out-of-memory or a map with other than string keys could fail; there is neither. If it did, the record
    // would stand without these fields.
    if let Ok(record) = serde_json::to_value(record) {
        push(out, "CONNLEDGER", &record);
    }
}

fn push(out: &mut Vec<u8>, name: &str, value: &Value) {
    let text = match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                push(out, &format!("{name}_{}", key.to_ascii_uppercase()), value);
            }
            return;
        }
        Value::String(text) => text.clone(),
        Value::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(number), _) => number.min(MAX_EXACT).to_string(),
            (None, Some(number)) => number.max(-MAX_EXACT.cast_signed()).to_string(),
            (None, None) => number.to_string(),
        },
        Value::Array(_) | Value::Bool(_) | Value::Null => json(value),
    };
    push_value(out, &format!("{name}="), &text);
}

/// A value as it stands in NDJSON.
fn json(value: &Value) -> String {
    let mut text = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut text, LogFormatter);
    // As above.
    let _ = value.serialize(&mut serializer);
    String::from_utf8_lossy(&text).into_owned()
}
