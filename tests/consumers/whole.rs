//! Fifty thousand records through each consumer: every one once, byte by byte, and its fields as the consumer itself
//! reads them.

use crate::balance::Balance;
use crate::balance::Ending;
use crate::consumer::Consumer;
use crate::kind::Kind;
use crate::line;
use crate::line::Record;
use crate::place::Place;
use crate::received::Received;
use crate::shipper::Shipper;
use crate::waiting::wait_until;

/// This kernel may hide a few of four each from all BPF programs.
const CONNECTIONS: usize = 12_600;
const RECORDS: usize = 50_000;

fn fifty_thousand_records(kind: Kind) {
    let Some(place) = Place::new(kind) else { return };
    let consumer = Consumer::start(&place);
    let mut shipper = Shipper::start(&place, ",on-full=block");
    let mut received = Received::at(&place);
    shipper.trace(CONNECTIONS);
    let (run, seq) = shipper.last();
    received.wait_for(&run, seq);
    let sent = shipper.stop();
    received.wait_for_all(&sent);

    let balance = Balance::of(&sent, received.lines(), Ending::Stopped);
    balance.assert_all_came();
    assert!(balance.events >= RECORDS, "{balance:?}");
    assert_eq!(balance.doubles, 0, "{balance:?}");
    assert_fields(&place, received.lines());
    assert_eq!(place.not_json(), "");
    consumer.end();
}

/// The consumer has read the fields of each line as they stand there.
fn assert_fields(place: &Place, lines: &[String]) {
    wait_until(|| place.events().lines().count() == lines.len(), "the text of each line");
    for (line, text) in lines.iter().zip(place.events().lines()) {
        assert_eq!(text, fields(&line::parse(line)));
    }
}

/// What the shipped configurations write of a record.
fn fields(record: &Record) -> String {
    let digits = record.time.split('.').nth(1).and_then(|rest| rest.strip_suffix('Z'));
    assert_eq!(digits.map(str::len), Some(9), "nanoseconds: {record:?}");
    let comm = record.process.as_ref().and_then(|process| process.comm.clone());
    let mut fields = vec![
        record.time.clone(),
        record.host.clone(),
        record.event.clone(),
        comm.unwrap_or_default(),
    ];
    for end in [&record.local, &record.remote] {
        fields.push(end.as_ref().map_or_else(String::new, |end| end.ip.clone()));
        fields.push(end.as_ref().map_or_else(String::new, |end| end.port.to_string()));
    }
    fields.join("\t")
}

each_consumer!(fifty_thousand_records);
