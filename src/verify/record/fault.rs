//! What is wrong with a line. That is told from a second look: the first one only finds that something is.

use std::fmt;
use std::str::Utf8Error;

use serde::Deserialize;
use serde::Deserializer;
use serde::de::DeserializeSeed as _;
use serde::de::Error;
use serde::de::MapAccess;
use serde::de::SeqAccess;
use serde::de::Visitor;
use serde_json::error::Category;

use super::header;
use super::header::Line;
use super::number::MAX;
use super::text::RunId;
use crate::encode::SCHEMA_VERSION;

/// How every line begins that connledger writes.
const BEGINNING: &str = "{\"schema\":\"connledger/";

/// What is wrong with a line.
#[derive(Debug)]
pub enum Fault {
    /// It ends in the middle.
    Torn(Torn),
    /// It is no JSON.
    NoJson(String),
    /// It is of another major version of the schema: which.
    Major(String),
    /// It is not as the schema has it: what is wrong.
    Schema(String),
    /// Its fields stand in another order; the same line with its header in front.
    Order(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Torn(Torn { run: Some(run), seq: Some(seq) }) => {
                write!(f, "run {run}: {seq} ends in the middle")
            }
            Self::Torn(_) => f.write_str("ends in the middle"),
            Self::NoJson(what) => write!(f, "no JSON: {what}"),
            Self::Major(schema) => {
                write!(
                    f,
                    "schema {schema}: this connledger reads {SCHEMA_VERSION} and newer minors"
                )
            }
            Self::Schema(what) => f.write_str(what),
            Self::Order(_) => f.write_str("the fields stand in another order"),
        }
    }
}

/// What can still be read of a line that ends in the middle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Torn {
    /// The run.
    pub run: Option<RunId>,
    /// The number; only if the run is known, too.
    pub seq: Option<u64>,
}

impl Torn {
    fn read(text: &str) -> Self {
        let behind = |key: &str| text.split_once(key).map(|(_, rest)| rest);
        let run = behind("\"run\":\"").and_then(|rest| RunId::parse(rest.get(..16)?));
        let seq = behind("\"seq\":").and_then(|rest| {
            // Only a whole number counts: one with something behind it.
            let (digits, _) = rest.split_once(',')?;
            digits.parse().ok().filter(|seq| (1..=MAX).contains(seq))
        });
        Self { run, seq: seq.filter(|_| run.is_some()) }
    }
}

/// What is wrong with bytes that are no UTF-8.
pub fn not_text(line: &[u8], err: Utf8Error) -> Fault {
    let valid = str::from_utf8(&line[..err.valid_up_to()]).unwrap_or_default();
    // A line can be torn within a character, too.
    if err.error_len().is_none() && begins_as_ours(valid) {
        return Fault::Torn(Torn::read(valid));
    }
    Fault::NoJson(format!("byte {} is no UTF-8", valid.len() + 1))
}

/// What is wrong with a line that could not be read.
pub fn explain(text: &str, err: &serde_json::Error) -> Fault {
    if text.is_empty() {
        return Fault::NoJson("the line is empty".to_owned());
    }
    match err.classify() {
        Category::Eof if begins_as_ours(text) => Fault::Torn(Torn::read(text)),
        Category::Data => explain_data(text),
        _ => Fault::NoJson(without_line(err)),
    }
}

fn begins_as_ours(text: &str) -> bool {
    let len = BEGINNING.len().min(text.len());
    len != 0 && text.as_bytes()[..len] == BEGINNING.as_bytes()[..len]
}

fn explain_data(text: &str) -> Fault {
    /// The one field that says whether the others can be understood.
    #[derive(Deserialize)]
    struct Schema {
        schema: String,
    }
    if let Some(line) = header::in_order(text) {
        return Fault::Order(line);
    }
    // What is wrong before the end may hide that it is no JSON further on.
    if let Err(err) = serde_json::from_str::<serde::de::IgnoredAny>(text) {
        return if err.is_eof() && begins_as_ours(text) {
            Fault::Torn(Torn::read(text))
        } else {
            Fault::NoJson(without_line(&err))
        };
    }
    if let Ok(Schema { schema }) = serde_json::from_str(text)
        && is_other_major(&schema)
    {
        return Fault::Major(schema);
    }
    let mut json = serde_json::Deserializer::from_str(text);
    let mut track = serde_path_to_error::Track::new();
    let tracked = serde_path_to_error::Deserializer::new(&mut json, &mut track);
    let what = match Line.deserialize(tracked) {
        Ok(_) => "more than one object".to_owned(),
        Err(err) => without_line(&err),
    };
    let path = track.path().to_string();
    Fault::Schema(if path == "." { what } else { format!("{path}: {what}") })
}

/// Another major, if it is one of connledger's at all.
fn is_other_major(schema: &str) -> bool {
    let major = |name: &str| {
        let (major, minor) = name.strip_prefix("connledger/")?.split_once('.')?;
        minor.parse::<u32>().ok()?;
        major.parse::<u32>().ok()
    };
    major(schema).is_some_and(|theirs| Some(theirs) != major(SCHEMA_VERSION))
}

/// Every line is the first one for serde; the column is what helps.
fn without_line(err: &serde_json::Error) -> String {
    let text = err.to_string();
    match text.rsplit_once(" at line ") {
        Some((what, _)) if err.is_data() => what.to_owned(),
        Some((what, _)) => format!("{what} at column {}", err.column()),
        None => text,
    }
}

/// What no line may have, wherever it is: a null, or a key that stands twice.
pub fn oddity(line: &[u8]) -> Option<String> {
    let mut found = None;
    let walked = serde_json::Deserializer::from_slice(line).deserialize_any(Walk(&mut found));
    walked.ok().and(found)
}

/// Looks at whatever comes; keeps the first oddity.
struct Walk<'a>(&'a mut Option<String>);

/// Whether a value is null.
struct IsNull(bool);

impl<'de> serde::de::DeserializeSeed<'de> for Walk<'_> {
    type Value = IsNull;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<IsNull, D::Error> {
        deserializer.deserialize_any(self)
    }
}

/// What is not null.
macro_rules! not_null {
    ($($method:ident: $type:ty),*) => {
        $(fn $method<E: Error>(self, _: $type) -> Result<IsNull, E> {
            Ok(IsNull(false))
        })*
    };
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = IsNull;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    not_null! { visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str }

    fn visit_unit<E: Error>(self) -> Result<IsNull, E> {
        Ok(IsNull(true))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<IsNull, A::Error> {
        while let Some(IsNull(is_null)) = items.next_element_seed(Walk(self.0))? {
            if is_null {
                self.0.get_or_insert_with(|| "an item of an array is null".to_owned());
            }
        }
        Ok(IsNull(false))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<IsNull, A::Error> {
        let mut keys: Vec<String> = Vec::new();
        while let Some(key) = fields.next_key::<String>()? {
            let IsNull(is_null) = fields.next_value_seed(Walk(self.0))?;
            if is_null {
                self.0.get_or_insert_with(|| format!("{key} is null; what is unknown is absent"));
            }
            if keys.contains(&key) {
                self.0.get_or_insert_with(|| format!("{key} stands twice"));
            }
            keys.push(key);
        }
        Ok(IsNull(false))
    }
}
