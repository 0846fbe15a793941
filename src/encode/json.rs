//! The pieces of JSON, appended to a buffer without formatting machinery; and a formatter for serde_json
//! that keeps the same rules.

use std::io;

use serde_json::ser::Formatter;

use super::number::push_hex_bytes;
use super::number::push_u64;
use super::number::two_hex_digits;

/// JSON numbers are exact up to here in jq and JavaScript; a larger one is written as this.
pub const MAX_EXACT: u64 = (1 << 53) - 1;

/// Appends bytes as the inside of a JSON string, and says whether all of them were UTF-8. What is not
/// becomes U+FFFD. Control characters are escaped, those of ISO 8859 and DEL too: a line of a log must
/// not drive a terminal.
pub fn push_escaped(out: &mut Vec<u8>, bytes: &[u8]) -> bool {
    // Nearly every name is printable ASCII.
    if bytes.iter().all(|&b| matches!(b, b' '..=b'~') && b != b'"' && b != b'\\') {
        out.extend_from_slice(bytes);
        return true;
    }
    let mut valid = true;
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            push_escaped_char(out, c);
        }
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
            valid = false;
        }
    }
    valid
}

fn push_escaped_char(out: &mut Vec<u8>, c: char) {
    match c {
        '"' => out.extend_from_slice(b"\\\""),
        '\\' => out.extend_from_slice(b"\\\\"),
        '\n' => out.extend_from_slice(b"\\n"),
        '\r' => out.extend_from_slice(b"\\r"),
        '\t' => out.extend_from_slice(b"\\t"),
        _ if c.is_control() => {
            // None is above U+009F.
            out.extend_from_slice(b"\\u00");
            out.extend_from_slice(&two_hex_digits(c as u8));
        }
        _ => {
            let mut utf8 = [0; 4];
            out.extend_from_slice(c.encode_utf8(&mut utf8).as_bytes());
        }
    }
}

/// A field of a record with a comma before it, as far as its value: `,"name":`. A text of its own, so that it
/// is appended in one copy of a fixed size.
macro_rules! key {
    ($name:literal) => {
        concat!(",\"", $name, "\":")
    };
}
pub(super) use key;

/// Appends a text of ours, which needs no escaping.
#[inline]
pub fn push_text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

/// Appends a count, as far as it is exact.
#[inline]
pub fn push_count(out: &mut Vec<u8>, count: u64) {
    push_u64(out, count.min(MAX_EXACT));
}

/// Appends a field with a number.
#[inline]
pub fn push_number_field(out: &mut Vec<u8>, key: &str, number: u64) {
    push_text(out, key);
    push_u64(out, number);
}

/// Appends a field with a text of ours, which needs no escaping.
#[inline]
pub fn push_word_field(out: &mut Vec<u8>, key: &str, word: &str) {
    push_text(out, key);
    out.push(b'"');
    push_text(out, word);
    out.push(b'"');
}

/// Appends a field with a name and, if the name is not UTF-8, a field with its bytes.
pub fn push_name_field(out: &mut Vec<u8>, key: &str, hex_key: &str, value: &[u8]) {
    push_text(out, key);
    out.push(b'"');
    let valid = push_escaped(out, value);
    out.push(b'"');
    if !valid {
        push_text(out, hex_key);
        out.push(b'"');
        push_hex_bytes(out, value);
        out.push(b'"');
    }
}

/// How serde_json writes what goes through it: with exact numbers, and without control characters.
#[derive(Debug)]
pub struct LogFormatter;

impl Formatter for LogFormatter {
    fn write_u64<W: ?Sized + io::Write>(&mut self, writer: &mut W, number: u64) -> io::Result<()> {
        write!(writer, "{}", number.min(MAX_EXACT))
    }

    fn write_i64<W: ?Sized + io::Write>(&mut self, writer: &mut W, number: i64) -> io::Result<()> {
        let max = MAX_EXACT.cast_signed();
        write!(writer, "{}", number.clamp(-max, max))
    }

    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        // serde_json has escaped what JSON demands; DEL and the controls of ISO 8859 are left.
        let mut escaped = Vec::with_capacity(fragment.len());
        push_escaped(&mut escaped, fragment.as_bytes());
        writer.write_all(&escaped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(push: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        push(&mut out);
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn names() {
        let field =
            |bytes: &[u8]| text(|out| push_name_field(out, key!("comm"), key!("comm_hex"), bytes));
        assert_eq!(field(b"curl"), r#","comm":"curl""#);
        assert_eq!(field(b"a\"b\\c\nd\te\x1b[31m"), r#","comm":"a\"b\\c\nd\te\u001b[31m""#);
        assert_eq!(field("\u{9b}x\u{7f}é".as_bytes()), r#","comm":"\u009bx\u007fé""#);
        assert_eq!(field(b"\xff\xfe!"), ",\"comm\":\"\u{fffd}\u{fffd}!\",\"comm_hex\":\"fffe21\"");
        assert_eq!(field(b"caf\xc3"), ",\"comm\":\"caf\u{fffd}\",\"comm_hex\":\"636166c3\"");
        assert_eq!(field(b""), r#","comm":"""#);
    }

    #[test]
    fn what_goes_through_serde_keeps_the_rules() {
        let value = (u64::MAX, i64::MIN, 7, "a\"\u{9b}\u{7f}\u{1b}é");
        let json = text(|out| {
            let mut serializer = serde_json::Serializer::with_formatter(out, LogFormatter);
            serde::Serialize::serialize(&value, &mut serializer).expect("it fits into memory");
        });
        assert_eq!(json, r#"[9007199254740991,-9007199254740991,7,"a\"\u009b\u007f\u001bé"]"#);
    }

    proptest::proptest! {
        #[test]
        fn escaped_strings_are_json_and_keep_their_value(bytes: Vec<u8>) {
            let json = text(|out| { out.push(b'"'); push_escaped(out, &bytes); out.push(b'"'); });
            let back: String = serde_json::from_str(&json).expect("valid JSON");
            proptest::prop_assert_eq!(back, String::from_utf8_lossy(&bytes));
            proptest::prop_assert!(!json.chars().any(char::is_control));
        }
    }
}
