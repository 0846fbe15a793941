//! What can become of a record: what is dropped, set, edited, taken from another record, or added.

use std::sync::LazyLock;

use proptest::prelude::BoxedStrategy;
use proptest::prelude::Just;
use proptest::prelude::Strategy;
use proptest::prelude::any;
use proptest::prop_oneof;
use proptest::sample::Index;
use proptest::sample::select;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use crate::support::lines::lines_in;

/// Every field of every golden line, with the object that it stands in: what a record of another kind has.
static FIELDS: LazyLock<Vec<(String, String, Value)>> = LazyLock::new(|| {
    let mut fields = Vec::new();
    for line in lines_in("tests/golden") {
        for path in paths(&line.value) {
            let (outer, name) = path.rsplit_once('/').expect("a pointer");
            let value = line.value.pointer(&path).expect("it is there").clone();
            let field = (outer.to_owned(), name.to_owned(), value);
            if !fields.contains(&field) {
                fields.push(field);
            }
        }
    }
    fields
});

/// The paths of all fields of a record, those in arrays included.
pub fn paths(record: &Value) -> Vec<String> {
    fn walk(value: &Value, path: &str, paths: &mut Vec<String>) {
        let mut inner = |name: &str, value: &Value, is_field: bool| {
            let path = format!("{path}/{name}");
            if is_field {
                paths.push(path.clone());
            }
            walk(value, &path, paths);
        };
        match value {
            Value::Object(fields) => fields.iter().for_each(|(key, value)| inner(key, value, true)),
            Value::Array(items) => {
                items.iter().enumerate().for_each(|(i, item)| inner(&i.to_string(), item, false));
            }
            _ => {}
        }
    }
    let mut paths = Vec::new();
    walk(record, "", &mut paths);
    paths
}

/// What can become of a record.
#[derive(Clone, Debug)]
pub enum Change {
    /// A field goes.
    Drop(Index),
    /// A field becomes another value.
    Set(Index, Value),
    /// A text changes by a letter.
    Edit(Index, Index, Edit),
    /// A field comes from another record.
    Take(Index),
    /// A field comes that nobody knows.
    Add(Index, Value),
}

/// What becomes of a text.
#[derive(Clone, Debug)]
pub enum Edit {
    Delete,
    Insert(char),
    Replace(char),
}

fn other_value() -> BoxedStrategy<Value> {
    let texts =
        ["", "?", "0", "1", "a", "unknown", "null", "::1", "1.2.3.4", "E1", "!1,2", "tcp", "mptcp"];
    let max = (1_u64 << 53) - 1;
    let numbers =
        [0, 1, 2, 4095, 65_535, 65_536, 1 << 30, u64::from(u32::MAX), 1 << 32, max, max + 1];
    prop_oneof![
        select(texts.to_vec()).prop_map(Value::from),
        select(numbers.to_vec()).prop_map(Value::from),
        select(vec![-1, i64::MIN, -(1 << 53), 1 - (1 << 53)]).prop_map(Value::from),
        select(vec![
            json!(null),
            json!(0.5),
            json!(1e300),
            json!(true),
            json!(false),
            json!([]),
            json!({}),
            json!([null]),
            json!({"ip": "::1"}),
            json!({"ring_full": 1}),
            json!(["connect"]),
            json!(["::1", 1, 1]),
            json!("x".repeat(17)),
            json!("é".repeat(16)),
            json!("1,".repeat(256) + "1"),
        ]),
        any::<u32>().prop_map(Value::from),
    ]
    .boxed()
}

fn edit() -> BoxedStrategy<Edit> {
    let letter = || select("019afgAEZ-_./!,: é\n\"\\\0".chars().collect::<Vec<_>>());
    prop_oneof![
        Just(Edit::Delete),
        letter().prop_map(Edit::Insert),
        letter().prop_map(Edit::Replace)
    ]
    .boxed()
}

/// Any change.
pub fn change() -> BoxedStrategy<Change> {
    let field = any::<Index>;
    prop_oneof![
        field().prop_map(Change::Drop),
        (field(), other_value()).prop_map(|(field, value)| Change::Set(field, value)),
        (field(), field(), edit())
            .prop_map(|(field, place, edit)| Change::Edit(field, place, edit)),
        field().prop_map(Change::Take),
        (field(), other_value()).prop_map(|(object, value)| Change::Add(object, value)),
    ]
    .boxed()
}

fn object<'a>(record: &'a mut Value, pointer: &str) -> Option<&'a mut Map<String, Value>> {
    record.pointer_mut(pointer).and_then(Value::as_object_mut)
}

/// Changes a record.
pub fn apply(record: &mut Value, change: Change) {
    let paths = paths(record);
    if paths.is_empty() {
        return;
    }
    match change {
        Change::Drop(field) => {
            let (outer, name) = field.get::<String>(&paths).rsplit_once('/').expect("a pointer");
            object(record, outer).and_then(|fields| fields.remove(name));
        }
        Change::Set(field, value) => {
            *record.pointer_mut(field.get::<String>(&paths)).expect("it is there") = value;
        }
        Change::Edit(field, place, edit) => {
            let value = record.pointer_mut(field.get::<String>(&paths)).expect("it is there");
            if let Value::String(text) = value {
                *text = edited(text, place, &edit);
            }
        }
        Change::Take(field) => {
            let (outer, name, value) = field.get(&FIELDS).clone();
            if let Some(fields) = object(record, &outer) {
                fields.insert(name, value);
            }
        }
        Change::Add(place, value) => {
            let mut objects: Vec<&str> = paths
                .iter()
                .map(String::as_str)
                .filter(|path| record.pointer(path).is_some_and(Value::is_object))
                .collect();
            objects.push("");
            let fields = object(record, place.get::<&str>(&objects)).expect("it is there");
            fields.insert("of_a_later_version".to_owned(), value);
        }
    }
}

fn edited(text: &str, place: Index, edit: &Edit) -> String {
    let mut letters: Vec<char> = text.chars().collect();
    match edit {
        Edit::Insert(letter) => letters.insert(place.index(letters.len() + 1), *letter),
        Edit::Delete | Edit::Replace(_) if letters.is_empty() => {}
        Edit::Delete => {
            letters.remove(place.index(letters.len()));
        }
        Edit::Replace(letter) => {
            let place = place.index(letters.len());
            letters[place] = *letter;
        }
    }
    letters.into_iter().collect()
}
