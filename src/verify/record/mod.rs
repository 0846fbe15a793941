//! A line as a record, held against the schema: types, ranges, patterns, what is required, and what goes with
//! what. `schema/connledger-1.schema.json` in Rust, property-tested against it.
//!
//! A line of this schema's minor is taken strictly: a field or a value that is not described is a fault. A newer
//! minor may have added some; they are passed over (`newer.rs`). Three things JSON Schema cannot say, and are
//! checked here too: a key stands once, a time is one of the calendar, and a loss adds up. And two it would
//! allow that connledger never writes, and this refuses: a number with a fraction or an exponent, as 1.0, and
//! null in a field of a newer minor.

mod causes;
mod connection;
mod fault;
mod figures;
mod header;
mod newer;
mod number;
mod object;
mod own;
mod text;
mod time;

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::MapAccess;
use serde::de::value::MapAccessDeserializer;

pub use self::causes::Causes;
use self::connection::Accept;
use self::connection::Close;
use self::connection::Connect;
use self::connection::Listen;
use self::connection::Open;
use self::connection::Reset;
use self::connection::Retransmit;
pub use self::fault::Fault;
pub use self::fault::Torn;
pub use self::figures::Account;
pub use self::figures::Figures;
use self::figures::Heartbeat;
pub use self::figures::Stop;
use self::figures::StopFields;
use self::header::Event;
use self::header::Header;
use self::newer::Newer;
pub use self::number::MAX as MAX_EXACT;
pub use self::object::Object;
pub use self::own::Loss;
pub use self::own::Previous;
pub use self::own::Start;
pub use self::text::OutputName;
pub use self::text::RunId;
pub use self::time::Time;

/// What a record says, as far as it matters for the books.
#[derive(Debug)]
pub struct Record<'a> {
    /// The run that it belongs to.
    pub run: RunId,
    /// Its number in the run.
    pub seq: u64,
    /// When it happened.
    pub time: Time,
    /// The host's name.
    pub host: Cow<'a, str>,
    /// Whether it is of a newer minor than this program writes.
    pub newer: bool,
    /// The rest.
    pub body: Body,
}

/// What is told of each kind.
#[derive(Debug)]
pub enum Body {
    /// An event of a connection.
    Event,
    /// A run begins.
    Start(Box<Start>),
    /// What was open is known.
    Ready,
    /// Records are missing.
    Loss(Loss),
    /// The figures so far.
    Heartbeat(Box<Figures>),
    /// A run ends.
    Stop(Box<Stop>),
    /// A kind of a newer minor.
    Unknown,
}

/// Decodes a line, without its newline.
///
/// # Errors
/// What is wrong with it, first of all.
pub fn decode(line: &[u8]) -> Result<Record<'_>, Fault> {
    let text = str::from_utf8(line).map_err(|err| fault::not_text(line, err))?;
    let record = header::read(text).map_err(|err| fault::explain(text, &err));
    match record {
        Err(Fault::Order(text)) => match header::read(&text) {
            Ok(record) => judge(text.as_bytes(), record).map(Record::into_owned),
            Err(err) => Err(fault::explain(&text, &err)),
        },
        record => judge(line, record?),
    }
}

/// What the shape alone does not show.
fn judge<'a>(line: &[u8], record: Record<'a>) -> Result<Record<'a>, Fault> {
    // "Absent, never null": serde would take null for absent. The word is rare, so it is looked for first. And it
    // does not see a key twice if it does not know it.
    if (record.newer || memchr::memmem::find(line, b"null").is_some())
        && let Some(oddity) = fault::oddity(line)
    {
        return Err(Fault::Schema(oddity));
    }
    Ok(record)
}

impl Record<'_> {
    fn into_owned(self) -> Record<'static> {
        Record { host: Cow::Owned(self.host.into_owned()), ..self }
    }
}

/// What is wrong between fields that are right by themselves.
type Verdict = Result<(), &'static str>;

/// The fields of a kind, behind those that every record has.
trait Fields<'de>: Deserialize<'de> {
    /// Checks what goes with what. `strict`: a value of an enumeration that is not known is wrong.
    fn check(&self, header: &Header<'_>, strict: bool) -> Verdict;
}

/// Reads the fields of a kind, and checks them.
fn fields<'de, T: Fields<'de>, A: MapAccess<'de>>(
    map: A,
    header: &Header<'_>,
) -> Result<T, A::Error> {
    let map = MapAccessDeserializer::new(map);
    let newer = header.is_newer();
    let fields = if newer { T::deserialize(Newer(map)) } else { T::deserialize(map) }?;
    fields.check(header, !newer).map_err(serde::de::Error::custom)?;
    Ok(fields)
}

/// Reads the rest of a record.
fn body<'de, A: MapAccess<'de>>(map: A, header: &Header<'_>) -> Result<Body, A::Error> {
    Ok(match header.event {
        Event::Connect => fields::<Connect, A>(map, header).map(|_| Body::Event)?,
        Event::Accept => fields::<Accept, A>(map, header).map(|_| Body::Event)?,
        Event::Close => fields::<Close, A>(map, header).map(|_| Body::Event)?,
        Event::Open => fields::<Open, A>(map, header).map(|_| Body::Event)?,
        Event::Listen => fields::<Listen, A>(map, header).map(|_| Body::Event)?,
        Event::Retransmit => fields::<Retransmit, A>(map, header).map(|_| Body::Event)?,
        Event::Reset => fields::<Reset, A>(map, header).map(|_| Body::Event)?,
        Event::Start => Body::Start(fields(map, header)?),
        Event::Ready => fields::<own::Ready, A>(map, header).map(|_| Body::Ready)?,
        Event::Loss => Body::Loss(fields(map, header)?),
        Event::Heartbeat => {
            Body::Heartbeat(Box::new(fields::<Heartbeat, A>(map, header)?.figures()))
        }
        Event::Stop => Body::Stop(Box::new(fields::<StopFields, A>(map, header)?.stop())),
        Event::Unknown => header::pass_over(map, header)?,
    })
}
