//! Lines as the real encoder writes them, of arbitrary records.

use std::sync::Arc;

use connledger::encode::Encoder as _;
use connledger::encode::Ndjson;
use connledger::event::Image;
use connledger::event::Record;
use connledger::host::Identity;
use connledger::ledger::Body;
use connledger::ledger::Entry;
use connledger::ledger::Loss;
use connledger::wire::Raw;
use connledger::wire::decode;
use connledger::wire::to_bytes;
use proptest::prelude::BoxedStrategy;
use proptest::prelude::Strategy;
use proptest::prop_oneof;

use crate::support::arbitrary;
use crate::support::run::identity;

fn text(identity: &Identity, entry: &Entry) -> String {
    let mut line = Vec::new();
    Ndjson::new(identity, "stdout").encode(entry, &mut line);
    assert_eq!(line.pop(), Some(b'\n'));
    String::from_utf8(line).expect("UTF-8")
}

/// Lines of one kind of event.
fn events(record: impl Strategy<Value = impl Raw> + 'static) -> BoxedStrategy<String> {
    (record, arbitrary::surroundings())
        .prop_filter_map("it is no record", |(record, (seq, time, host, image))| {
            event(&to_bytes(&record), seq, time, host, image)
        })
        .boxed()
}

fn event(
    bytes: &[u8],
    seq: u64,
    time_unix_ns: u64,
    host: String,
    image: Option<Image>,
) -> Option<String> {
    let Ok(Record::Event(mut event)) = decode(bytes) else { return None };
    if let Some(owner) = &mut event.owner {
        owner.details = image.map(Arc::new);
    }
    let entry = Entry { seq, time_unix_ns, body: Body::Event(event) };
    Some(text(&Identity { host, ..identity() }, &entry))
}

/// Lines of the ledger's own. A loss is made to add up: an arbitrary one does not.
fn own() -> BoxedStrategy<String> {
    (1..=u64::MAX, arbitrary::number(), arbitrary::host(), arbitrary::own())
        .prop_filter_map("a loss within bounds", |(seq, time_unix_ns, host, body)| {
            let (seq, body) = match body {
                Body::Loss(loss) => {
                    let count =
                        loss.causes.iter().try_fold(0, |sum: u64, (_, n)| sum.checked_add(n))?;
                    let first_seq = seq % (1 << 52) + 1;
                    let last_seq =
                        first_seq.checked_add(count - 1).filter(|last| *last < 1 << 53)?;
                    (first_seq, Body::Loss(Loss { first_seq, last_seq, count, ..loss }))
                }
                body => (seq, body),
            };
            Some(text(&Identity { host, ..identity() }, &Entry { seq, time_unix_ns, body }))
        })
        .boxed()
}

/// Any line that connledger can write.
pub fn line() -> BoxedStrategy<String> {
    prop_oneof![
        events(arbitrary::connect()),
        events(arbitrary::accept()),
        events(arbitrary::close()),
        events(arbitrary::open()),
        events(arbitrary::listen()),
        events(arbitrary::retransmit()),
        events(arbitrary::reset()),
        own(),
        own(),
    ]
    .boxed()
}
