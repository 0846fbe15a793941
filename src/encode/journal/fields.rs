//! The pieces of the native protocol: `NAME=value` and a newline; or, for a value that has newlines itself, the name, a
//! newline, the value's length as 64 bits, least significant byte first, the value and a newline.

use crate::encode::json::push_text;
use crate::encode::number::push_hex_bytes;
use crate::encode::number::push_u64;

/// Numbers are capped as in JSON, so that every format has the same.
pub use crate::encode::json::MAX_EXACT;

/// A field of a record up to its value: `CONNLEDGER_NAME=`.
macro_rules! field {
    ($name:literal) => {
        concat!("CONNLEDGER_", $name, "=")
    };
}
pub(super) use field;

/// Appends a field with a text of ours, which has no newline.
#[inline]
pub fn push_word(out: &mut Vec<u8>, field: &str, word: &str) {
    push_text(out, field);
    push_text(out, word);
    out.push(b'\n');
}

/// Appends a field with a number.
#[inline]
pub fn push_number(out: &mut Vec<u8>, field: &str, number: u64) {
    push_text(out, field);
    push_u64(out, number);
    out.push(b'\n');
}

/// Appends a field with a count, as far as it is exact.
#[inline]
pub fn push_count(out: &mut Vec<u8>, field: &str, count: u64) {
    push_number(out, field, count.min(MAX_EXACT));
}

/// Appends a field with any text.
pub fn push_value(out: &mut Vec<u8>, field: &str, value: &str) {
    if value.contains('\n') {
        push_binary(out, field, |out| push_text(out, value));
    } else {
        push_word(out, field, value);
    }
}

/// Appends a field with a name and, if the name is not UTF-8, a field with its bytes: as NDJSON has it.
pub fn push_name(out: &mut Vec<u8>, field: &str, hex_field: &str, name: &[u8]) {
    let mut valid = true;
    if name.contains(&b'\n') {
        push_binary(out, field, |out| valid = push_lossy(out, name));
    } else {
        push_text(out, field);
        valid = push_lossy(out, name);
        out.push(b'\n');
    }
    if !valid {
        push_text(out, hex_field);
        push_hex_bytes(out, name);
        out.push(b'\n');
    }
}

fn push_binary(out: &mut Vec<u8>, field: &str, push: impl FnOnce(&mut Vec<u8>)) {
    push_text(out, field.trim_end_matches('='));
    out.push(b'\n');
    let length_at = out.len();
    let value_at = length_at + size_of::<u64>();
    out.resize(value_at, 0);
    push(out);
    let length = (out.len() - value_at) as u64;
    out[length_at..value_at].copy_from_slice(&length.to_le_bytes());
    out.push(b'\n');
}

/// Appends bytes as text, and says whether all of them were UTF-8. What is not becomes U+FFFD.
fn push_lossy(out: &mut Vec<u8>, bytes: &[u8]) -> bool {
    let mut valid = true;
    for chunk in bytes.utf8_chunks() {
        push_text(out, chunk.valid());
        if !chunk.invalid().is_empty() {
            push_text(out, "\u{fffd}");
            valid = false;
        }
    }
    valid
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values() {
        let value = |value: &str| {
            let mut out = Vec::new();
            push_value(&mut out, field!("X"), value);
            out
        };
        assert_eq!(value("a=b\x1b"), b"CONNLEDGER_X=a=b\x1b\n");
        assert_eq!(value("\u{e9}\n"), b"CONNLEDGER_X\n\x03\0\0\0\0\0\0\0\xc3\xa9\n\n");
        assert_eq!(value(""), b"CONNLEDGER_X=\n");
    }

    #[test]
    fn names() {
        let name = |name: &[u8]| {
            let mut out = Vec::new();
            push_name(&mut out, field!("X"), field!("X_HEX"), name);
            out
        };
        assert_eq!(name(b"curl"), b"CONNLEDGER_X=curl\n");
        assert_eq!(name(b"a\xffb"), b"CONNLEDGER_X=a\xef\xbf\xbdb\nCONNLEDGER_X_HEX=61ff62\n");
        assert_eq!(
            name(b"\n\xff"),
            b"CONNLEDGER_X\n\x04\0\0\0\0\0\0\0\n\xef\xbf\xbd\nCONNLEDGER_X_HEX=0aff\n"
        );
    }
}
