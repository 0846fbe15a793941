//! Datagrams of the journal's native protocol taken apart, and what NDJSON says, told in their way.

use std::collections::BTreeMap;

use serde_json::Value;

/// A record's fields by name.
pub type Fields = BTreeMap<String, Vec<u8>>;

/// The fields of a datagram. Fails on what journald would not take, and on a field that stands twice.
pub fn parse(mut datagram: &[u8]) -> Fields {
    let mut fields = Fields::new();
    while !datagram.is_empty() {
        let line_end = datagram.iter().position(|&b| b == b'\n').expect("a newline at the end");
        let (line, rest) = (&datagram[..line_end], &datagram[line_end + 1..]);
        let (name, value);
        (name, value, datagram) = match line.iter().position(|&b| b == b'=') {
            Some(at) => (&line[..at], &line[at + 1..], rest),
            None => {
                let (length, rest) = rest.split_first_chunk::<8>().expect("a length");
                let length = usize::try_from(u64::from_le_bytes(*length)).expect("a length");
                assert_eq!(rest[length], b'\n', "{}", rest.escape_ascii());
                (line, &rest[..length], &rest[length + 1..])
            }
        };
        let name = String::from_utf8(name.to_vec()).expect("UTF-8");
        assert_name(&name);
        assert!(fields.insert(name.clone(), value.to_vec()).is_none(), "{name} stands twice");
    }
    fields
}

/// Any other name journald drops without a word.
pub fn assert_name(name: &str) {
    let sound = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    assert!(name.starts_with(|c: char| c.is_ascii_uppercase()), "{name}");
    assert!(name.len() <= 64 && name.chars().all(sound), "{name}");
}

/// The name of a field by its path in the schema, as `local.ip`.
pub fn name_of(path: &str) -> String {
    format!("CONNLEDGER_{}", path.to_ascii_uppercase().replace('.', "_"))
}

/// Fails unless the fields say what a line of NDJSON says, and nothing else.
pub fn assert_same(fields: &Fields, line: &str) {
    let record: Value = serde_json::from_str(line).expect("JSON");
    let mut expected = BTreeMap::new();
    flatten("", &record, &mut expected);
    let own = fields.iter().filter(|(name, _)| name.starts_with("CONNLEDGER_"));
    let own: BTreeMap<String, Value> = own
        .map(|(name, value)| {
            let text = String::from_utf8(value.clone()).expect("UTF-8");
            let as_expected = match expected.get(name) {
                Some(Value::String(_)) | None => Value::String(text),
                Some(_) => serde_json::from_str(&text).expect("JSON"),
            };
            (name.clone(), as_expected)
        })
        .collect();
    assert_eq!(own, expected, "{line}");
}

fn flatten(prefix: &str, value: &Value, fields: &mut BTreeMap<String, Value>) {
    for (key, value) in value.as_object().expect("an object") {
        let path = format!("{prefix}{key}");
        if value.is_object() {
            flatten(&format!("{path}."), value, fields);
        } else {
            fields.insert(name_of(&path), value.clone());
        }
    }
}

/// What every entry has beside the record: what the journal itself looks at.
pub fn assert_journals_own(fields: &Fields) {
    let text = |name: &str| {
        let value = fields.get(name).unwrap_or_else(|| panic!("no {name}"));
        String::from_utf8(value.clone()).expect("UTF-8")
    };
    assert_eq!(text("SYSLOG_IDENTIFIER"), "connledger");
    let id = text("MESSAGE_ID");
    assert!(id.len() == 32 && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')), "{id}");
    assert!(matches!(text("PRIORITY").as_str(), "4" | "5" | "6"));
    let message = text("MESSAGE");
    assert!(!message.is_empty() && message.bytes().all(|b| matches!(b, b' '..=b'~')), "{message}");
    let own = fields.keys().filter(|name| !name.starts_with("CONNLEDGER_"));
    assert_eq!(own.count(), 4, "{:?}", fields.keys());
}
