//! What the pipeline takes from the allocator: nothing for a record once it runs, and no more than its bounds,
//! however many processes come and go.

#![allow(clippy::expect_used, clippy::panic, reason = "tests may fail loudly")]

mod support;

use std::alloc::GlobalAlloc;
use std::alloc::Layout;
use std::alloc::System;
use std::cell::Cell;
use std::io;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use connledger::config::OnFull;
use connledger::config::Remember;
use connledger::encode::Encoder;
use connledger::encode::Format;
use connledger::encode::Ndjson;
use connledger::ledger::Ledger;
use connledger::ledger::Position;
use connledger::outlet::BATCH;
use connledger::outlet::Batch;
use connledger::outlet::BatchPool;
use connledger::outlet::Control;
use connledger::outlet::Frames;
use connledger::outlet::Notice;
use connledger::outlet::Outlet;
use connledger::outlet::Parts;
use connledger::sink::Sink;
use connledger::sink::Written;
use connledger::state::State;
use connledger::wire::cl_owner;
use connledger::wire::to_bytes;

use self::support::busy::BusyHost;
use self::support::records::curl;
use self::support::records::process;
use self::support::run::identity;

thread_local! {
    /// Those of one thread: the test harness has threads of its own.
    static OWN_CALLS: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator, counted.
struct Counting;

static CALLS: AtomicUsize = AtomicUsize::new(0);
static LIVE_BYTES: AtomicUsize = AtomicUsize::new(0);

// SAFETY: all of it is the system's allocator's.
#[allow(unsafe_code, reason = "there is no other way to count")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.fetch_add(1, Ordering::Relaxed);
        OWN_CALLS.set(OWN_CALLS.get() + 1);
        LIVE_BYTES.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        LIVE_BYTES.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What is counted over all threads is of one test at a time.
static ALONE: Mutex<()> = Mutex::new(());

fn calls() -> usize {
    CALLS.load(Ordering::Relaxed)
}

fn live_bytes() -> usize {
    LIVE_BYTES.load(Ordering::Relaxed)
}

/// The way of a record, on one thread.
struct Pipeline {
    ledger: Ledger,
    batch: Batch,
    pool: BatchPool,
    encoder: Box<dyn Encoder>,
    lines: Vec<u8>,
    bytes: usize,
}

impl Pipeline {
    fn new(format: Format) -> Self {
        Self {
            ledger: Ledger::new(None),
            batch: Vec::with_capacity(BATCH + 1),
            pool: BatchPool::default(),
            encoder: format.encoder(&identity(), "stdout", true),
            lines: Vec::with_capacity(BATCH * 1024),
            bytes: 0,
        }
    }

    fn take(&mut self, record: &[u8]) {
        self.batch.extend(self.ledger.take(record));
        if self.batch.len() == BATCH {
            for entry in self.pool.share(&mut self.batch).iter() {
                self.encoder.encode(entry, &mut self.lines);
            }
            self.bytes += self.lines.len();
            self.lines.clear();
        }
    }

    fn take_all(&mut self, host: &BusyHost) {
        host.events.iter().for_each(|record| self.take(record));
    }
}

#[test]
fn a_record_allocates_nothing() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let formats = [Format::Ndjson, Format::Table, Format::Journal];
    for (processes, format) in [8, 10_000].into_iter().flat_map(|n| formats.map(|f| (n, f))) {
        let host = BusyHost::new(processes, processes.max(1000));
        let mut pipeline = Pipeline::new(format);
        host.announcements.iter().for_each(|record| pipeline.take(record));
        pipeline.take_all(&host);
        let (before, bytes) = (OWN_CALLS.get(), pipeline.bytes);
        pipeline.take_all(&host);
        assert_eq!(OWN_CALLS.get() - before, 0, "{format:?}, {processes} processes");
        assert!(pipeline.bytes - bytes > 100 * host.events.len() / 2, "it was encoded");
    }
}

/// Takes lines and forgets them.
struct Nowhere;

impl Sink for Nowhere {
    fn write(&mut self, _lines: Frames<'_>) -> io::Result<Written> {
        Ok(Written::All)
    }
}

#[test]
fn nor_does_its_way_through_an_outlet() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let soon = || Instant::now() + Duration::from_secs(60);
    let host = BusyHost::new(8, 10_000);
    let mut ledger = Ledger::new(None);
    host.announcements.iter().for_each(|record| assert!(ledger.take(record).is_none()));
    let notice = Arc::new(Notice::new().expect("a descriptor"));
    let encoder = Box::new(Ndjson::new(&identity(), "stdout"));
    let parts = Parts {
        control: Control::new("nowhere".to_owned(), true),
        on_full: OnFull::Block,
        queue: OnFull::Block.default_queue(),
        encoder,
        sink: Box::new(Nowhere),
    };
    let mut outlet = Outlet::spawn(parts, notice).expect("a thread");
    let mut batch = Vec::with_capacity(BATCH + 1);
    let mut pool = BatchPool::default();
    let mut pass = |outlet: &mut Outlet| {
        for record in host.events.iter() {
            batch.extend(ledger.take(record));
            if batch.len() == BATCH {
                outlet.offer(pool.share(&mut batch));
                outlet.flush(soon());
                assert!(!outlet.is_full(), "it takes everything");
            }
        }
    };
    // How many batches are on their way at once depends on the threads; the pool has them all before long.
    let allocating = (0..10)
        .filter(|_| {
            let before = calls();
            pass(&mut outlet);
            calls() != before
        })
        .count();
    assert!(allocating < 10, "every time");
    outlet.hang_up();
    assert!(outlet.last_word(soon()).is_some(), "it ends");
}

#[test]
fn nor_does_writing_down_where_the_run_stands() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().expect("a folder");
    let place = Remember::At { path: folder.path().join("state"), asked: true };
    let opened = State::open(&place, &identity()).expect("it is made");
    let mut state = opened.state.expect("a state");
    let until = Ledger::new(None).now();
    let before = OWN_CALLS.get();
    for seq in 1..1000 {
        state.note(Position { seq, until });
    }
    assert_eq!(OWN_CALLS.get() - before, 0);
}

#[test]
fn memory_is_bounded() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let host = BusyHost::new(10_000, 10_000);
    let before = live_bytes();
    let mut pipeline = Pipeline::new(Format::Ndjson);
    host.announcements.iter().for_each(|record| pipeline.take(record));
    pipeline.take_all(&host);
    let first = live_bytes() - before;
    for _ in 0..10 {
        pipeline.take_all(&host);
    }
    // The harness may take a little in the meantime; a byte a record would be 400,000.
    let later = live_bytes() - before;
    assert!(
        later < first + 50_000,
        "{first} bytes for 10,000 processes, {later} with more connections"
    );
    // Ever new images, which never call: all of them together would be three times as much.
    let mut most = first;
    for exec_id in 0..200_000 {
        pipeline.take(&to_bytes(&process(&cl_owner { exec_id, ..curl() })));
        most = most.max(live_bytes() - before);
    }
    assert!(most < 6 << 20, "{first} bytes for 10,000 processes, {most} with ever new ones");
    println!("{first} bytes for 10,000 processes, {most} with ever new ones");
}
