//! An outlet alone: what its policy does when the reader is slow, and that its own stream tells what it lacks.

#![allow(clippy::expect_used, clippy::panic, reason = "tests may fail loudly")]

mod support;

use std::io;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use connledger::config::OnFull;
use connledger::encode::Ndjson;
use connledger::ledger::Body;
use connledger::ledger::Cause;
use connledger::ledger::Entry;
use connledger::ledger::Figures;
use connledger::ledger::Ledger;
use connledger::outlet::BatchPool;
use connledger::outlet::Control;
use connledger::outlet::End;
use connledger::outlet::Frames;
use connledger::outlet::Notice;
use connledger::outlet::Outlet;
use connledger::outlet::Parts;
use connledger::sink::Sink;
use connledger::sink::Written;
use connledger::wire::to_bytes;
use proptest::prelude::any;
use proptest::prop_assert;
use proptest::prop_assert_eq;
use proptest::test_runner::TestCaseResult;
use serde_json::Value;

use self::support::records::connect;
use self::support::run::identity;

const PATIENCE: Duration = Duration::from_secs(60);

/// What a reader does, and what it has got.
#[derive(Default)]
struct Reader {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    reads: bool,
    /// Whatever it is given next, it goes away.
    leaves: bool,
    /// The thread that writes to it has a bug.
    panics: bool,
    /// Records with these numbers it never takes.
    refuses: Vec<u64>,
    /// So many writes have begun.
    writes: usize,
    lines: Vec<Value>,
    reopened: usize,
}

impl Reader {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.changed.notify_all();
    }

    fn wait_until(&self, what: &str, condition: impl Fn(&State) -> bool) {
        let waited = self.changed.wait_timeout_while(self.state(), PATIENCE, |s| !condition(s));
        let timed_out = waited.unwrap_or_else(PoisonError::into_inner).1.timed_out();
        assert!(!timed_out, "{what}");
    }
}

/// Writes to the reader, when it reads.
struct ToReader(Arc<Reader>);

impl Sink for ToReader {
    fn write(&mut self, frames: Frames<'_>) -> io::Result<Written> {
        self.0.set(|state| state.writes += 1);
        let state = self.0.changed.wait_while(self.0.state(), |state| !state.reads);
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        assert!(!state.panics, "as a bug would");
        if state.leaves {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        for (frame, line) in frames.iter().enumerate() {
            assert_eq!(line.last(), Some(&b'\n'));
            let line: Value = serde_json::from_slice(line).expect("a line is JSON");
            let seq = line["seq"].as_u64().expect("a number");
            if line["event"] != "loss" && state.refuses.contains(&seq) {
                return Ok(Written::Refused { frame, cause: Cause::TooLarge });
            }
            state.lines.push(line);
        }
        drop(state);
        self.0.changed.notify_all();
        Ok(Written::All)
    }

    fn reopen(&mut self) -> io::Result<()> {
        self.0.set(|state| state.reopened += 1);
        Ok(())
    }
}

/// A ledger, an outlet and its reader.
struct Scene {
    ledger: Ledger,
    outlet: Outlet,
    reader: Arc<Reader>,
    pool: BatchPool,
}

impl Scene {
    fn new(on_full: OnFull, queue: usize) -> Self {
        let reader = Arc::new(Reader::default());
        let parts = Parts {
            control: Control::new("unix:/run/x".to_owned(), true),
            on_full,
            queue,
            encoder: Box::new(Ndjson::new(&identity(), "unix:/run/x")),
            sink: Box::new(ToReader(Arc::clone(&reader))),
        };
        let notice = Arc::new(Notice::new().expect("a descriptor"));
        let outlet = Outlet::spawn(parts, notice).expect("a thread");
        Self { ledger: Ledger::new(None), outlet, reader, pool: BatchPool::default() }
    }

    fn events(&mut self, count: usize) {
        let record = to_bytes(&connect());
        let mut batch: Vec<Entry> =
            (0..count).map(|_| self.ledger.take(&record).expect("an event")).collect();
        self.outlet.offer(self.pool.share(&mut batch));
    }

    /// Events that its thread has in hand when this returns: it makes no room by taking them later.
    fn hand_a_batch(&mut self, count: usize) {
        self.events(count);
        self.reader.wait_until("the thread has a batch in hand", |state| state.writes > 0);
    }

    fn own(&mut self, body: Body) {
        let mut batch = vec![self.ledger.own(body)];
        self.outlet.offer(self.pool.share(&mut batch));
    }

    fn figures(&self) -> Figures {
        Figures { written: self.ledger.written(), ..Figures::default() }
    }

    /// Lets the reader read, and waits until nothing is on its way. Gives its books: written, lost.
    fn settle(&mut self) -> (u64, u64) {
        self.reader.set(|state| state.reads = true);
        let deadline = Instant::now() + PATIENCE;
        while !self.outlet.is_idle(self.ledger.written()) {
            assert!(Instant::now() < deadline, "it does not settle");
            self.outlet.retry();
            thread::sleep(Duration::from_millis(1));
        }
        let figures = self.outlet.figures(&self.figures());
        assert_eq!(figures.in_flight, 0);
        (figures.written, figures.lost)
    }

    /// What the reader has got, after the outlet has ended in order.
    fn end(mut self) -> Vec<Value> {
        self.outlet.hang_up();
        let end = self.outlet.last_word(Instant::now() + PATIENCE);
        assert!(matches!(end, Some(End::Done)), "{end:?}");
        std::mem::take(&mut self.reader.state().lines)
    }
}

/// Events and losses of a stream, if it is complete: each number once, or within a loss that says so.
fn books(lines: &[Value]) -> Result<(u64, u64), String> {
    let number = |line: &Value, field: &str| line[field].as_u64().unwrap_or(0);
    let (mut next, mut events, mut lost) = (1, 0, 0);
    for line in lines {
        if number(line, "seq") != next {
            return Err(format!("{next} does not come: {line}"));
        }
        match line["event"].as_str() {
            Some("loss") => {
                next = number(line, "last_seq") + 1;
                let causes = line["causes"].as_object().ok_or("no causes")?;
                let of_cause = |cause: &Value| cause.as_u64().unwrap_or(0);
                if causes.values().map(of_cause).sum::<u64>() != number(line, "count") {
                    return Err(format!("the causes are not the count: {line}"));
                }
                lost += number(line, "count") - number(&line["causes"], "own_record");
            }
            Some("connect") => {
                next += 1;
                events += 1;
            }
            _ => next += 1,
        }
    }
    Ok((events, lost))
}

#[test]
fn a_full_queue_that_blocks_holds_its_batch_and_loses_nothing() {
    let mut scene = Scene::new(OnFull::Block, 10);
    let mut handed = 0;
    // The thread has a batch in hand; the queue takes ten more records.
    while !scene.outlet.is_full() {
        scene.events(5);
        handed += 5;
        assert!(handed <= 20, "it is bounded");
    }
    assert_eq!(scene.outlet.in_flight(handed), handed);
    scene.reader.set(|state| state.reads = true);
    scene.outlet.flush(Instant::now() + PATIENCE);
    assert!(!scene.outlet.is_full());
    assert_eq!(scene.settle(), (handed, 0));
    assert_eq!(books(&scene.end()), Ok((handed, 0)));
}

/// A queue is full, and its thread ends as `change` has it. How, it says.
fn ended_with_a_full_queue(change: impl FnOnce(&mut State)) -> Option<End> {
    let mut scene = Scene::new(OnFull::Block, 10);
    scene.hand_a_batch(5);
    while !scene.outlet.is_full() {
        scene.events(5);
    }
    scene.reader.set(|state| {
        state.reads = true;
        change(state);
    });
    let begun = Instant::now();
    scene.outlet.flush(begun + PATIENCE);
    assert!(!scene.outlet.is_open());
    assert!(begun.elapsed() < PATIENCE, "it was waited for");
    scene.outlet.ended()
}

#[test]
fn a_full_queue_whose_reader_leaves_is_not_waited_for() {
    let end = ended_with_a_full_queue(|state| state.leaves = true);
    assert!(matches!(end, Some(End::Closed)));
}

#[test]
fn a_thread_that_panics_is_not_waited_for() {
    let end = ended_with_a_full_queue(|state| state.panics = true);
    assert!(
        matches!(&end, Some(End::Failed(err)) if err.to_string().contains("panicked")),
        "{end:?}"
    );
}

#[test]
fn a_full_queue_that_drops_tells_what_is_missing_as_soon_as_there_is_room() {
    let mut scene = Scene::new(OnFull::Drop, 10);
    scene.hand_a_batch(5);
    for _ in 1..20 {
        scene.events(5);
        assert!(!scene.outlet.is_full(), "the collector is never held up");
    }
    scene.own(Body::Ready);
    let lost = scene.outlet.own_losses();
    assert!(lost.events() >= 80, "{lost:?}");
    assert_eq!(lost.total() - lost.events(), 1, "a record of the ledger's own");
    // Nothing else is to be said: the loss comes all the same.
    assert_eq!(scene.settle(), (100 - lost.events(), lost.events()));
    let lines = scene.end();
    let told = lines.last().expect("a line");
    assert_eq!(told["event"], "loss");
    assert_eq!(told["causes"]["output_full"], lost.events());
    assert_eq!(told["causes"]["own_record"], 1);
    assert_eq!(books(&lines), Ok((100 - lost.events(), lost.events())));
}

#[test]
fn batches_of_one_do_not_fill_a_queue() {
    let mut scene = Scene::new(OnFull::Drop, 1000);
    (0..1000).for_each(|_| scene.events(1));
    assert_eq!(scene.outlet.own_losses().total(), 0);
    assert_eq!(scene.settle(), (1000, 0));
}

#[test]
fn a_batch_that_is_larger_than_the_queue_goes_alone() {
    for on_full in [OnFull::Block, OnFull::Drop] {
        let mut scene = Scene::new(on_full, 10);
        scene.reader.set(|state| state.reads = true);
        scene.events(300);
        assert_eq!(scene.settle(), (300, 0));
        assert_eq!(books(&scene.end()), Ok((300, 0)));
    }
}

#[test]
fn a_loss_stands_in_the_place_of_what_a_sink_refuses() {
    let mut scene = Scene::new(OnFull::Block, 100);
    scene.reader.set(|state| state.refuses = vec![1, 4, 5, 10]);
    scene.events(10);
    assert_eq!(scene.settle(), (6, 4));
    let figures = scene.outlet.figures(&scene.figures());
    assert_eq!(figures.causes.map(|causes| causes.total()), Some(4));
    let lines = scene.end();
    assert_eq!(books(&lines), Ok((6, 4)));
    assert_eq!(lines[3]["causes"]["too_large"], 1, "{}", lines[3]);
}

#[test]
fn an_idle_one_reopens_at_once() {
    let scene = Scene::new(OnFull::Block, 100);
    scene.outlet.reopen();
    scene.reader.wait_until("it was asked to reopen", |state| state.reopened == 1);
}

#[test]
fn what_the_ledger_lost_is_missing_everywhere() {
    let mut scene = Scene::new(OnFull::Drop, 10);
    scene.events(3);
    let mut figures = scene.figures();
    let mut causes = connledger::ledger::Losses::default();
    causes.add(Cause::RingFull, 7);
    figures.causes = Some(causes);
    // On its way to the ledger.
    figures.in_flight = Some(2);
    scene.settle();
    let books = scene.outlet.figures(&figures);
    assert_eq!((books.written, books.lost, books.in_flight, books.closed), (3, 7, 2, false));
}

#[test]
fn the_books_balance_at_any_moment() {
    let mut scene = Scene::new(OnFull::Block, 1 << 20);
    scene.reader.set(|state| state.reads = true);
    let deadline = Instant::now() + PATIENCE;
    for _ in 0..200 {
        (0..100).for_each(|_| scene.events(1));
        let handed = scene.ledger.written();
        loop {
            let own = scene.outlet.figures(&scene.figures());
            assert_eq!(own.written + own.lost + own.in_flight, handed);
            if own.in_flight == 0 {
                break;
            }
            assert!(Instant::now() < deadline, "it takes too long");
        }
    }
}

/// Offers batches to an outlet that drops, whose reader reads now and then.
fn a_stream_is_complete(queue: usize, steps: &[(u8, bool)]) -> TestCaseResult {
    let mut scene = Scene::new(OnFull::Drop, queue);
    for (i, (count, reads)) in steps.iter().enumerate() {
        scene.reader.set(|state| state.reads = *reads);
        match i % 7 {
            6 => scene.own(Body::Ready),
            _ => scene.events(usize::from(*count)),
        }
        scene.outlet.retry();
    }
    let handed = scene.ledger.written();
    let (written, lost) = scene.settle();
    prop_assert_eq!(written + lost, handed);
    let told = books(&scene.end());
    prop_assert!(told == Ok((written, lost)), "{:?} for {} and {}", told, written, lost);
    Ok(())
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config { cases: 200, ..Default::default() })]
    #[test]
    fn any_stream_is_complete(
        queue in 1..400_usize,
        steps in proptest::collection::vec(any::<(u8, bool)>(), 1..60),
    ) {
        a_stream_is_complete(queue, &steps)?;
    }
}
