//! Logs of whole runs, by the real ledger and the real encoder.

use std::sync::LazyLock;

use connledger::encode::Encoder as _;
use connledger::encode::Ndjson;
use connledger::host::Identity;
use connledger::ledger::Body;
use connledger::ledger::Entry;
use connledger::ledger::Ledger;
use connledger::ledger::Previous;
use connledger::ledger::Start;
use connledger::ledger::StopReason;
use connledger::wire::shared::Counters;

use crate::support::busy::BusyHost;
use crate::support::run::identity;
use crate::support::run::start;
use crate::support::run::stdout;
use crate::support::run::stop;

/// What happens in every run, again and again.
static HOST: LazyLock<BusyHost> = LazyLock::new(|| BusyHost::new(1000, 2000));

/// A run that is being written.
pub struct Writer {
    ledger: Ledger,
    counters: Counters,
    encoder: Ndjson,
    time_unix_ns: u64,
    /// That of the next events in the host's.
    next: usize,
}

impl Writer {
    /// A run with an id of its own, that begins at a second of a day.
    pub fn new(run: &str, second: u64) -> Self {
        let mut ledger = Ledger::new(None);
        for bytes in HOST.announcements.iter() {
            assert!(ledger.take(bytes).is_none());
        }
        let identity = Identity { run: run.to_owned(), ..identity() };
        Self {
            ledger,
            counters: Counters::default(),
            encoder: Ndjson::new(&identity, "stdout"),
            time_unix_ns: (1_795_413_600 + second) * 1_000_000_000,
            next: 0,
        }
    }

    fn write(&mut self, entry: Entry, out: &mut Vec<u8>) {
        self.time_unix_ns += 10_000;
        self.encoder.encode(&Entry { time_unix_ns: self.time_unix_ns, ..entry }, out);
    }

    /// `start` and `ready`.
    pub fn begin(&mut self, out: &mut Vec<u8>) {
        self.begin_after(None, out);
    }

    /// The same, after a run that is remembered.
    pub fn begin_after(&mut self, previous: Option<Previous>, out: &mut Vec<u8>) {
        let start = Start { previous, ..start() };
        for body in [Body::Start(Box::new(start)), Body::Ready] {
            let entry = self.ledger.own(body);
            self.write(entry, out);
        }
    }

    /// So many events.
    pub fn events(&mut self, count: usize, out: &mut Vec<u8>) {
        let host = &*HOST;
        let mut left = count;
        while left > 0 {
            for bytes in host.events.iter().skip(self.next % host.events.len()).take(left) {
                let entry = self.ledger.take(bytes).expect("an event becomes an entry");
                self.write(entry, out);
                self.next += 1;
                left -= 1;
            }
        }
        self.counters.observed[0] += count as u64;
    }

    /// So many events find no room in the ring.
    pub fn lose(&mut self, count: u64, out: &mut Vec<u8>) {
        self.counters.observed[0] += count;
        self.counters.ring_full[0] += count;
        let loss = self.ledger.account(self.counters).expect("a loss");
        self.write(loss, out);
    }

    /// The figures so far.
    pub fn heartbeat(&mut self, out: &mut Vec<u8>) {
        assert!(self.ledger.account(self.counters).is_none());
        let entry = self.ledger.heartbeat(|ledger| vec![stdout(ledger)]);
        self.write(entry, out);
    }

    /// `stop`.
    pub fn end(&mut self, out: &mut Vec<u8>) {
        assert!(self.ledger.account(self.counters).is_none());
        let mut figures = self.ledger.figures();
        figures.outputs = vec![stdout(&figures)];
        let stop = stop(StopReason::Terminated, figures);
        let entry = self.ledger.own(Body::Stop(Box::new(stop)));
        self.write(entry, out);
    }
}

/// A whole run with so many events, half of them before a heartbeat: lines with their newlines.
pub fn run(id: &str, second: u64, events: usize) -> Vec<String> {
    run_after(None, id, second, events)
}

/// The same, after a run that is remembered.
pub fn run_after(previous: Option<Previous>, id: &str, second: u64, events: usize) -> Vec<String> {
    let mut out = Vec::new();
    let mut writer = Writer::new(id, second);
    writer.begin_after(previous, &mut out);
    writer.events(events / 2, &mut out);
    writer.heartbeat(&mut out);
    writer.events(events - events / 2, &mut out);
    writer.end(&mut out);
    lines(&out)
}

/// Lines with their newlines.
pub fn lines(log: &[u8]) -> Vec<String> {
    let text = str::from_utf8(log).expect("UTF-8");
    text.split_inclusive('\n').map(str::to_owned).collect()
}
