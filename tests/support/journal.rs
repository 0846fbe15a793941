//! The journal's fields taken apart, and put together again as the record that they are of.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::LazyLock;

use serde_json::Map;
use serde_json::Value;

use super::schema::fields;
use super::schema::kinds;
use super::schema::published;

/// An entry's fields by name.
pub type Fields = BTreeMap<String, Vec<u8>>;

/// The entries of a text in the native protocol, or in that of `journalctl -o export`, which has an empty line behind
/// each. The journal's own fields, whose names begin with `_`, are left out. Fails on what journald would not take.
pub fn entries(mut text: &[u8]) -> Vec<Fields> {
    let mut entries = Vec::new();
    let mut fields = Fields::new();
    while !text.is_empty() {
        let end = text.iter().position(|&b| b == b'\n').expect("a newline at the end");
        let (line, rest) = (&text[..end], &text[end + 1..]);
        text = rest;
        if line.is_empty() {
            entries.push(std::mem::take(&mut fields));
            continue;
        }
        let (name, value) = if let Some(at) = line.iter().position(|&b| b == b'=') {
            (&line[..at], &line[at + 1..])
        } else {
            let (length, rest) = rest.split_first_chunk::<8>().expect("a length");
            let length = usize::try_from(u64::from_le_bytes(*length)).expect("a length");
            assert_eq!(rest[length], b'\n', "{}", rest.escape_ascii());
            text = &rest[length + 1..];
            (line, &rest[..length])
        };
        if !name.starts_with(b"_") {
            let name = String::from_utf8(name.to_vec()).expect("UTF-8");
            assert_name(&name);
            assert!(
                fields.insert(name, value.to_vec()).is_none(),
                "twice: {}",
                line.escape_ascii()
            );
        }
    }
    entries.extend((!fields.is_empty()).then_some(fields));
    entries
}

/// Any other name journald drops without a word.
pub fn assert_name(name: &str) {
    let sound = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    assert!(name.starts_with(|c: char| c.is_ascii_uppercase()), "{name}");
    assert!(name.len() <= 64 && name.chars().all(sound), "{name}");
}

/// What every entry has beside the record: what the journal itself looks at.
pub fn assert_journals_own(fields: &Fields) {
    assert_eq!(text(fields, "SYSLOG_IDENTIFIER"), "connledger");
    let id = text(fields, "MESSAGE_ID");
    assert!(id.len() == 32 && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')), "{id}");
    assert!(matches!(text(fields, "PRIORITY").as_str(), "4" | "5" | "6"));
    let message = text(fields, "MESSAGE");
    assert!(!message.is_empty() && message.bytes().all(|b| matches!(b, b' '..=b'~')), "{message}");
    let own = fields.keys().filter(|name| !name.starts_with(PREFIX));
    assert_eq!(own.count(), 4, "{:?}", fields.keys());
}

/// A field as text.
pub fn text(fields: &Fields, name: &str) -> String {
    let value = fields.get(name).unwrap_or_else(|| panic!("no {name}"));
    String::from_utf8(value.clone()).expect("UTF-8")
}

/// The record that the fields are of: as NDJSON would have it.
pub fn record(fields: &Fields) -> Value {
    let mut record = Map::new();
    for name in fields.keys().filter(|name| name.starts_with(PREFIX)) {
        let leaf = LEAVES.get(name).unwrap_or_else(|| panic!("{name} is not in the schema"));
        let value = text(fields, name);
        let value = if leaf.is_text {
            Value::String(value)
        } else {
            serde_json::from_str(&value).expect("JSON")
        };
        let (mut object, mut path) = (&mut record, leaf.path.as_str());
        while let Some((outer, inner)) = path.split_once('.') {
            let entry = object.entry(outer).or_insert_with(|| Value::Object(Map::new()));
            (object, path) = (entry.as_object_mut().expect("an object"), inner);
        }
        object.insert(path.to_owned(), value);
    }
    Value::Object(record)
}

/// The names of all fields that the schema leads to.
pub fn all_names() -> BTreeSet<&'static str> {
    LEAVES.keys().map(String::as_str).collect()
}

const PREFIX: &str = "CONNLEDGER_";

/// A field of the schema that is no object.
struct Leaf {
    path: String,
    is_text: bool,
}

/// By the names of the journal's fields: the path in upper case.
static LEAVES: LazyLock<BTreeMap<String, Leaf>> = LazyLock::new(|| {
    let schema = published();
    let mut leaves: BTreeMap<String, Leaf> = BTreeMap::new();
    for kind in kinds(&schema) {
        let fields = fields(&schema, &kind);
        for (path, described) in &fields {
            let inner = format!("{path}.");
            if fields.keys().any(|path| path.starts_with(&inner)) {
                continue;
            }
            let name = format!("{PREFIX}{}", path.to_ascii_uppercase().replace('.', "_"));
            assert_name(&name);
            let is_text = described.iter().any(|described| is_text(&schema, described));
            let leaf = Leaf { path: path.clone(), is_text };
            if let Some(other) = leaves.insert(name, leaf) {
                assert_eq!(other.path, *path, "two fields have one name");
            }
        }
    }
    leaves
});

fn is_text(root: &Value, described: &Value) -> bool {
    let target = described["$ref"].as_str().and_then(|reference| root.pointer(&reference[1..]));
    described["type"] == "string"
        || described["enum"][0].is_string()
        || target.is_some_and(|target| is_text(root, target))
}
