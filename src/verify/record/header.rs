//! What every record has. connledger writes it before all else, and so it can be read in one pass; what another
//! program has put into another order is put back first.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::Deserializer;
use serde::de::DeserializeSeed as _;
use serde::de::Error;
use serde::de::IgnoredAny;
use serde::de::MapAccess;
use serde::de::Unexpected;
use serde::de::Visitor;
use serde_json::value::RawValue;

use super::Body;
use super::Record;
use super::body;
use super::number::Number;
use super::number::Seq;
use super::text::RunId;
use super::time::Time;
use crate::encode::SCHEMA_VERSION;

/// The names of the fields, in the order in which they are written.
pub const NAMES: [&str; 6] = ["schema", "run", "seq", "time", "host", "event"];

/// A field of the header, or one that is behind it.
#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "lowercase")]
enum Key {
    Schema,
    Run,
    Seq,
    Time,
    Host,
    Event,
    #[serde(other)]
    Other,
}

/// The kinds of records.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Event {
    Connect,
    Accept,
    Close,
    Open,
    Listen,
    Retransmit,
    Reset,
    Start,
    Ready,
    Loss,
    Heartbeat,
    Stop,
    /// One of a newer minor.
    #[serde(other)]
    Unknown,
}

/// A minor of this major.
struct Minor(u16);

impl<'de> Deserialize<'de> for Minor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <Cow<'_, str>>::deserialize(deserializer)?;
        minor(&text).map(Self).ok_or_else(|| {
            Error::invalid_value(Unexpected::Str(&text), &"connledger/1. and a number")
        })
    }
}

/// The number of the minor in the name of a schema of this major.
fn minor(schema: &str) -> Option<u16> {
    let major = SCHEMA_VERSION.trim_end_matches(|c: char| c.is_ascii_digit());
    let digits = schema.strip_prefix(major)?;
    let number = digits.parse::<u16>().ok()?;
    // Neither a sign nor leading zeros, and at most four digits.
    (number < 10_000 && digits.len() == number.checked_ilog10().map_or(1, |log| log as usize + 1))
        .then_some(number)
}

/// What every record has.
pub struct Header<'a> {
    minor: u16,
    run: RunId,
    /// The record's number.
    pub seq: u64,
    time: Time,
    host: Cow<'a, str>,
    /// Its kind.
    pub event: Event,
}

impl Header<'_> {
    /// Whether the record is of a newer minor than this program writes.
    pub fn is_newer(&self) -> bool {
        minor(SCHEMA_VERSION).is_some_and(|ours| self.minor > ours)
    }
}

/// Reads a record whose header stands first.
pub fn read(text: &str) -> serde_json::Result<Record<'_>> {
    let mut json = serde_json::Deserializer::from_str(text);
    let record = Line.deserialize(&mut json)?;
    json.end()?;
    Ok(record)
}

/// A line, for serde.
pub struct Line;

impl<'de> serde::de::DeserializeSeed<'de> for Line {
    type Value = Record<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

/// Text that is borrowed where it can be.
#[derive(Deserialize)]
struct Borrowed<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Visitor<'de> for Line {
    type Value = Record<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a record: an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Record<'de>, A::Error> {
        let header = read_header(&mut map)?;
        let body = body(map, &header)?;
        Ok(Record {
            run: header.run,
            seq: header.seq,
            time: header.time,
            newer: header.is_newer(),
            host: header.host,
            body,
        })
    }
}

/// The header's fields, as far as they have been read.
type Found<'a> =
    (Option<Minor>, Option<RunId>, Option<Seq>, Option<Time>, Option<Borrowed<'a>>, Option<Event>);

/// Reads fields until all of the header are there.
fn read_header<'de, A: MapAccess<'de>>(map: &mut A) -> Result<Header<'de>, A::Error> {
    let (mut schema, mut run, mut seq, mut time, mut host, mut event): Found<'de> =
        (None, None, None, None, None, None);
    while let Some(key) = map.next_key()? {
        match key {
            Key::Schema => once(&mut schema, "schema", map)?,
            Key::Run => once(&mut run, "run", map)?,
            Key::Seq => once(&mut seq, "seq", map)?,
            Key::Time => once(&mut time, "time", map)?,
            Key::Host => once(&mut host, "host", map)?,
            Key::Event => once(&mut event, "event", map)?,
            Key::Other => break,
        }
        if let (
            Some(Minor(minor)),
            Some(run),
            Some(Number(seq)),
            Some(time),
            Some(_),
            Some(event),
        ) = (&schema, run, seq, time, &host, event)
        {
            let host = host.map(|Borrowed(host)| host).unwrap_or_default();
            return Ok(Header { minor: *minor, run, seq, time, host, event });
        }
    }
    let there = [
        schema.is_some(),
        run.is_some(),
        seq.is_some(),
        time.is_some(),
        host.is_some(),
        event.is_some(),
    ];
    let missing = NAMES.iter().zip(there).find(|(_, there)| !there);
    Err(Error::missing_field(missing.map_or("event", |(name, _)| name)))
}

fn once<'de, T: Deserialize<'de>, A: MapAccess<'de>>(
    field: &mut Option<T>,
    name: &'static str,
    map: &mut A,
) -> Result<(), A::Error> {
    if field.replace(map.next_value()?).is_some() {
        return Err(Error::duplicate_field(name));
    }
    Ok(())
}

/// Reads a record of a kind that is not known: a newer minor may have one.
pub fn pass_over<'de, A: MapAccess<'de>>(
    mut map: A,
    header: &Header<'_>,
) -> Result<Body, A::Error> {
    if !header.is_newer() {
        return Err(Error::custom("event is none of those that there are"));
    }
    while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
    Ok(Body::Unknown)
}

/// The fields of an object as they stand, doubles included.
struct Raw<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Raw<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Walk;
        impl<'de> Visitor<'de> for Walk {
            type Value = Raw<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw<'de>, A::Error> {
                let mut fields = Vec::new();
                while let Some((Borrowed(key), value)) = map.next_entry()? {
                    fields.push((key, value));
                }
                Ok(Raw(fields))
            }
        }
        deserializer.deserialize_map(Walk)
    }
}

/// The same record with its header in front; `None` if it stood there already.
pub fn in_order(text: &str) -> Option<String> {
    let Raw(mut fields) = serde_json::from_str(text).ok()?;
    let behind = |(key, _): &(Cow<'_, str>, &RawValue)| !NAMES.contains(&key.as_ref());
    if fields.is_sorted_by_key(behind) {
        return None;
    }
    fields.sort_by_key(behind);
    let fields = fields
        .iter()
        .map(|(key, value)| format!("{}:{}", serde_json::Value::from(key.as_ref()), value.get()));
    Some(format!("{{{}}}", fields.collect::<Vec<_>>().join(",")))
}
