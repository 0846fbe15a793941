//! Lines of NDJSON from files, and taken apart with their keys in the order in which they stand: a
//! serde_json::Value forgets that, and that a key stood twice.

use std::fmt;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

use serde::Deserialize;
use serde::Deserializer;
use serde::de::IgnoredAny;
use serde::de::MapAccess;
use serde::de::SeqAccess;
use serde::de::Visitor;
use serde_json::Value;

/// A line, and where it stands.
#[derive(Debug)]
pub struct Line {
    /// File and number.
    pub place: String,
    /// Without its newline.
    pub text: String,
    /// What it means.
    pub value: Value,
}

impl Line {
    /// The kind of the record.
    pub fn event(&self) -> &str {
        self.value["event"].as_str().expect("every record has an event")
    }
}

/// A folder of this package.
pub fn folder(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The names of the files in a folder of this package, sorted.
pub fn file_names(path: &str) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder(path))
        .expect("the folder exists")
        .map(|entry| entry.expect("readable").file_name().into_string().expect("UTF-8"))
        .collect();
    names.sort();
    names
}

/// Every line of every `*.ndjson` in a folder of this package.
pub fn lines_in(path: &str) -> Vec<Line> {
    let files = file_names(path).into_iter().filter(|name| name.ends_with(".ndjson"));
    let lines: Vec<Line> = files
        .flat_map(|name| {
            let text = fs::read_to_string(folder(path).join(&name)).expect("UTF-8");
            assert!(text.ends_with('\n'), "{name} ends in the middle of a line");
            text.lines()
                .enumerate()
                .map(|(i, line)| Line {
                    place: format!("{path}/{name}:{}", i + 1),
                    text: line.to_owned(),
                    value: serde_json::from_str(line).expect("JSON"),
                })
                .collect::<Vec<_>>()
        })
        .collect();
    assert!(!lines.is_empty(), "{path} has no lines");
    lines
}

/// The keys of a line in the order in which they stand, those of inner objects as `outer.inner`.
pub fn keys(line: &str) -> Vec<String> {
    let tree: Tree = serde_json::from_str(line).expect("JSON");
    let mut keys = Vec::new();
    tree.walk("", &mut keys);
    keys
}

/// The objects of a JSON text: keys and what is behind them.
struct Tree(Vec<(String, Self)>);

impl Tree {
    fn walk(&self, prefix: &str, keys: &mut Vec<String>) {
        for (key, inner) in &self.0 {
            let path = format!("{prefix}{key}");
            keys.push(path.clone());
            inner.walk(&format!("{path}."), keys);
        }
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

/// What is no object has no keys.
macro_rules! leaves {
    ($($visit:ident: $ty:ty),*) => {
        $(fn $visit<E>(self, _: $ty) -> Result<Tree, E> {
            Ok(Tree(Vec::new()))
        })*
    };
}

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    leaves! { visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree(Vec::new()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Tree, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Tree(Vec::new()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Tree(entries))
    }
}
