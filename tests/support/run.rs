//! A run that is the same every time: a fixed host, boot and run, and a clock that stands still. Everything
//! else is real: the records go through the decoder, the ledger and the encoders.

use std::sync::Arc;

use connledger::clock::WallTime;
use connledger::encode::Encoder;
use connledger::encode::Journal;
use connledger::encode::Ndjson;
use connledger::encode::Table;
use connledger::event::Kind;
use connledger::host::Identity;
use connledger::ledger::Body;
use connledger::ledger::Entry;
use connledger::ledger::Figures;
use connledger::ledger::Ledger;
use connledger::ledger::OutputFigures;
use connledger::ledger::Previous;
use connledger::ledger::Start;
use connledger::ledger::Stop;
use connledger::ledger::StopReason;
use connledger::probe::Hooks;
use connledger::wire::Raw;
use connledger::wire::cl_process;
use connledger::wire::shared::Counters;
use connledger::wire::to_bytes;

use super::records::EVENT_NS;

/// The wall clock when the host was booted: the events happen at 2026-11-23T07:03:04.123456789Z.
const BOOTED_UNIX_NS: u64 = 1_795_413_380_000_000_000;

/// The host `web-1` in its one run.
pub fn identity() -> Identity {
    Identity {
        host: "web-1".to_owned(),
        host_id: Some("0123456789abcdef0123456789abcdef".to_owned()),
        boot_id: "5e2a90c1d3b44f6a8c7e1029384756af".to_owned(),
        run: "6f1c2d3e4b5a6978".to_owned(),
        kernel: "6.18.0-1-amd64".to_owned(),
    }
}

/// A beginning with everything asked for, and no filters.
pub fn start() -> Start {
    let identity = identity();
    Start {
        version: "0.1.0",
        commit: "0123456789ab",
        host_id: identity.host_id,
        boot_id: identity.boot_id,
        kernel: identity.kernel,
        pid: 4711,
        since: WallTime(BOOTED_UNIX_NS + EVENT_NS - 1),
        previous: None,
        events: Kind::ALL.to_vec(),
        hooks: Hooks {
            state: "tp_btf/inet_sock_set_state",
            connect: Some("tracepoint/syscalls/sys_exit_connect"),
            accept: Some("tracepoint/syscalls/sys_exit_accept"),
            io: Some("tp_btf/sock_recv_length"),
            retransmit: Some("tp_btf/tcp_retransmit_skb"),
            reset: Some("tp_btf/tcp_send_reset"),
            seed: "iter/task_file",
        },
        filters: None,
        ring_size: 8 << 20,
    }
}

/// Its end, with these books.
pub fn stop(reason: StopReason, figures: Figures) -> Stop {
    Stop { reason, until: WallTime(BOOTED_UNIX_NS + EVENT_NS), figures }
}

/// The run before it, in the same boot, which was terminated.
pub fn previous() -> Previous {
    Previous {
        run: "5b1c2d3e4b5a6977".to_owned(),
        seq: 48_213,
        until: WallTime(BOOTED_UNIX_NS + EVENT_NS - 793_665_001),
        stopped: Some(StopReason::Terminated),
        boot_id: None,
        gap_us: Some(793_665),
        unwritten: 0,
    }
}

/// The books of an output that has written all that it was given.
pub fn stdout(ledger: &Figures) -> OutputFigures {
    OutputFigures {
        output: "stdout".to_owned(),
        written: ledger.written,
        lost: ledger.lost,
        causes: ledger.causes,
        ..OutputFigures::default()
    }
}

/// A ledger, and what it has entered. The wall clock's offset is the one thing that is not real.
#[derive(Debug)]
pub struct Run {
    ledger: Ledger,
    entries: Vec<Entry>,
}

impl Run {
    /// A run in which nothing has happened yet.
    pub fn new() -> Self {
        Self { ledger: Ledger::new(None), entries: Vec::new() }
    }

    /// An event comes out of the ring.
    pub fn event(&mut self, record: &impl Raw) {
        let entry = self.ledger.take(&to_bytes(record)).expect("an event becomes an entry");
        self.enter(entry);
    }

    /// The description of a process comes out of the ring.
    pub fn announce(&mut self, process: &cl_process) {
        assert!(self.ledger.take(&to_bytes(process)).is_none(), "it is no entry of its own");
    }

    /// A record comes out of the ring that is not one.
    pub fn malformed(&mut self, bytes: &[u8]) {
        assert!(self.ledger.take(bytes).is_none(), "it is no entry of its own");
    }

    /// The counters are read. What was lost is entered.
    pub fn account(&mut self, counters: &Counters) {
        if let Some(loss) = self.ledger.account(*counters) {
            self.enter(loss);
        }
    }

    /// What is not accounted for is declared lost.
    pub fn declare_unaccounted(&mut self) {
        if let Some(loss) = self.ledger.declare_unaccounted() {
            self.enter(loss);
        }
    }

    /// The ledger says something itself.
    pub fn own(&mut self, body: Body) {
        let entry = self.ledger.own(body);
        self.enter(entry);
    }

    /// The ledger tells its figures.
    pub fn heartbeat(&mut self) {
        let entry = self.ledger.heartbeat(|ledger| vec![stdout(ledger)]);
        self.enter(entry);
    }

    /// The ledger, for what is not entered.
    pub fn ledger(&mut self) -> &mut Ledger {
        &mut self.ledger
    }

    /// What has been entered.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// An entry as it is.
    pub fn enter(&mut self, mut entry: Entry) {
        let mut boot_ns = EVENT_NS;
        if let Body::Event(event) = &mut entry.body {
            boot_ns = event.time_ns;
            if let Some(owner) = &mut event.owner
                && let Some(image) = &mut owner.details
            {
                Arc::make_mut(image).started_unix_ns = BOOTED_UNIX_NS + owner.image.start_ns;
            }
        }
        entry.time_unix_ns = BOOTED_UNIX_NS + boot_ns;
        self.entries.push(entry);
    }

    /// All of it as NDJSON.
    pub fn ndjson(&self) -> Vec<u8> {
        self.encode(&mut Ndjson::new(&identity(), "stdout"))
    }

    /// All of it as a table.
    pub fn table(&self, timestamps: bool) -> Vec<u8> {
        self.encode(&mut Table::new(timestamps))
    }

    /// All of it as the journal's datagrams.
    pub fn journal(&self) -> Vec<Vec<u8>> {
        let mut encoder = Journal::new(&identity(), "stdout");
        let datagram = |entry| {
            let mut out = Vec::new();
            encoder.encode(entry, &mut out);
            out
        };
        self.entries.iter().map(datagram).collect()
    }

    fn encode(&self, encoder: &mut dyn Encoder) -> Vec<u8> {
        let mut out = Vec::new();
        encoder.begin(&mut out);
        for entry in &self.entries {
            encoder.encode(entry, &mut out);
        }
        out
    }
}
