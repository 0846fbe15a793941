//! The pipeline alone, on generated records: decoding, the ledger, encoding, output; each by itself, and the
//! whole of it. `cargo bench --bench pipeline`; the hosts have few processes, and more than a cache holds.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a benchmark may fail loudly")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::fs::File;
use std::io;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use connledger::config::OnFull;
use connledger::config::Remember;
use connledger::encode::Encoder;
use connledger::encode::Format;
use connledger::encode::MAX_LINE;
use connledger::ledger::Entry;
use connledger::ledger::Ledger;
use connledger::ledger::Position;
use connledger::outlet::BATCH;
use connledger::outlet::BatchPool;
use connledger::outlet::Control;
use connledger::outlet::FrameBuffer;
use connledger::outlet::Frames;
use connledger::outlet::Notice;
use connledger::outlet::Outlet;
use connledger::outlet::Parts;
use connledger::sink::Sink;
use connledger::sink::Written;
use connledger::state::State;
use connledger::wire;
use divan::Bencher;
use divan::black_box;
use divan::counter::BytesCount;
use divan::counter::ItemsCount;

use self::support::busy::BusyHost;
use self::support::run::identity;

/// How many processes the hosts have.
const PROCESSES: [u32; 2] = [8, 10_000];

fn main() {
    divan::main();
}

/// So many connections that each process takes part in some, and that no queue holds them all.
fn host(processes: u32) -> BusyHost {
    BusyHost::new(processes, processes.max(4096))
}

/// A ledger that knows the host's processes.
fn ledger(host: &BusyHost) -> Ledger {
    let mut ledger = Ledger::new(None);
    for bytes in host.announcements.iter() {
        assert!(ledger.take(bytes).is_none());
    }
    ledger
}

fn entries(host: &BusyHost) -> Vec<Entry> {
    let mut ledger = ledger(host);
    host.events.iter().filter_map(|bytes| ledger.take(bytes)).collect()
}

fn lines() -> Vec<u8> {
    Vec::with_capacity(BATCH * 600 + MAX_LINE)
}

/// Encodes in batches, as an outlet does; gives the number of bytes.
fn encode(encoder: &mut dyn Encoder, entries: &[Entry], lines: &mut Vec<u8>) -> usize {
    let mut bytes = 0;
    for batch in entries.chunks(BATCH) {
        for entry in batch {
            encoder.encode(entry, lines);
        }
        bytes += black_box(&*lines).len();
        lines.clear();
    }
    bytes
}

#[divan::bench(args = PROCESSES)]
fn decode(bencher: Bencher<'_, '_>, processes: u32) {
    let host = host(processes);
    bencher.counter(ItemsCount::new(host.events.len())).bench_local(|| {
        for bytes in host.events.iter() {
            black_box(wire::decode(black_box(bytes)).is_ok());
        }
    });
}

#[divan::bench(args = PROCESSES)]
fn decode_and_enter(bencher: Bencher<'_, '_>, processes: u32) {
    let host = host(processes);
    let mut ledger = ledger(&host);
    let mut batch = Vec::with_capacity(BATCH + 1);
    bencher.counter(ItemsCount::new(host.events.len())).bench_local(|| {
        for bytes in host.events.iter() {
            batch.extend(ledger.take(bytes));
            if batch.len() == BATCH {
                black_box(&batch);
                batch.clear();
            }
        }
    });
}

fn encode_as(format: Format, bencher: Bencher<'_, '_>, processes: u32) {
    let entries = entries(&host(processes));
    let mut encoder = format.encoder(&identity(), "null", true);
    let mut lines = lines();
    let bytes = encode(&mut *encoder, &entries, &mut lines);
    bencher
        .counter(ItemsCount::new(entries.len()))
        .counter(BytesCount::new(bytes))
        .bench_local(|| encode(&mut *encoder, &entries, &mut lines));
}

#[divan::bench(args = PROCESSES)]
fn encode_ndjson(bencher: Bencher<'_, '_>, processes: u32) {
    encode_as(Format::Ndjson, bencher, processes);
}

#[divan::bench(args = PROCESSES)]
fn encode_table(bencher: Bencher<'_, '_>, processes: u32) {
    encode_as(Format::Table, bencher, processes);
}

/// From the ring's bytes to /dev/null, all on one thread: what a record costs.
#[divan::bench(args = PROCESSES)]
fn whole_on_one_thread(bencher: Bencher<'_, '_>, processes: u32) {
    let host = host(processes);
    let mut ledger = ledger(&host);
    let mut encoder = Format::Ndjson.encoder(&identity(), "null", false);
    let mut output = Null::open();
    let mut batch = Vec::with_capacity(BATCH + 1);
    let mut lines = FrameBuffer::with_capacity(BATCH, BATCH * 600 + MAX_LINE);
    bencher.counter(ItemsCount::new(host.events.len())).bench_local(|| {
        for bytes in host.events.iter() {
            batch.extend(ledger.take(bytes));
            if batch.len() == BATCH {
                for (i, entry) in batch.iter().enumerate() {
                    lines.push(Some((i, entry)), |out| encoder.encode(entry, out));
                }
                output.write(lines.frames()).unwrap();
                lines.clear();
                batch.clear();
            }
        }
    });
}

/// The same through an outlet with its thread and queue: how fast it goes.
#[divan::bench(args = PROCESSES)]
fn whole_with_an_outlet(bencher: Bencher<'_, '_>, processes: u32) {
    let host = host(processes);
    let mut ledger = ledger(&host);
    let encoder = Format::Ndjson.encoder(&identity(), "null", false);
    let notice = Arc::new(Notice::new().unwrap());
    let parts = Parts {
        control: Control::new("null".to_owned(), true),
        on_full: OnFull::Block,
        queue: OnFull::Block.default_queue(),
        encoder,
        sink: Box::new(Null::open()),
    };
    let mut outlet = Outlet::spawn(parts, notice).unwrap();
    let mut pool = BatchPool::default();
    let mut batch = Vec::with_capacity(BATCH + 1);
    bencher.counter(ItemsCount::new(host.events.len())).bench_local(|| {
        for bytes in host.events.iter() {
            batch.extend(ledger.take(bytes));
            if batch.len() == BATCH {
                outlet.offer(pool.share(&mut batch));
                outlet.flush(Instant::now() + Duration::from_secs(10));
                assert!(!outlet.is_full());
            }
        }
    });
    outlet.hang_up();
    assert!(outlet.last_word(Instant::now() + Duration::from_secs(10)).is_some());
}

/// Where the run stands is posted before each batch: what that costs, to be held against what a batch of so
/// many events costs as a whole.
#[divan::bench]
fn note_where_it_stands(bencher: Bencher<'_, '_>) {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let place = Remember::At { path: folder.path().join("state"), asked: true };
    let mut state = State::open(&place, &identity()).unwrap().state.unwrap();
    let ledger = ledger(&host(8));
    let position = ledger.position();
    let mut seq = position.seq;
    bencher.counter(ItemsCount::new(BATCH)).bench_local(|| {
        seq += BATCH as u64;
        let until = ledger.position().until;
        state.note(Position { seq, until });
    });
}

/// /dev/null: as cheap as a write can be.
struct Null(File);

impl Null {
    fn open() -> Self {
        Self(File::options().write(true).open("/dev/null").unwrap())
    }
}

impl Sink for Null {
    fn write(&mut self, lines: Frames<'_>) -> io::Result<Written> {
        self.0.write_all(lines.bytes())?;
        Ok(Written::All)
    }
}
