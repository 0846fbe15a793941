//! connledger with its output in a pipe that we read: when did each line arrive?
//!
//! The reader stamps what it reads and puts it away; it takes the lines apart only when all is over, so as not
//! to be what they wait for.

use std::fs::File;
use std::io;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::process::Child;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::thread;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context as _;
use anyhow::bail;
use rustix::time::ClockId;
use serde::Deserialize;

use crate::contestant::Contestant;
use crate::load::PORT;
use crate::tool;

/// What the reader takes at once; the pipe holds as much, if the system lets it.
const CHUNK: usize = 1 << 20;

const START: Duration = Duration::from_secs(20);

/// What the reader keeps if it is told to forget: the last lines, and some more.
const KEPT: usize = 64 << 10;

/// Bytes, and when which of them had arrived.
#[derive(Debug, Default)]
struct Stream {
    /// Whether only the end is kept.
    forgets: bool,
    bytes: Vec<u8>,
    /// The end of what a read gave, and when it did, in ns of the wall clock.
    reads: Vec<(usize, i128)>,
}

/// A running connledger whose lines we read.
#[derive(Debug)]
pub struct Tap {
    child: Child,
    stream: Arc<Mutex<Stream>>,
    reader: Option<JoinHandle<io::Result<()>>>,
}

/// A line about a connection of the load.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// What it tells.
    pub event: String,
    /// From the event to the arrival of the line, in µs.
    pub latency_us: f64,
}

/// What stands in all that was read.
#[derive(Debug, Default)]
pub struct Arrivals {
    /// The load's lines, as they came.
    pub of_load: Vec<Arrival>,
    /// Lines about connections of others.
    pub others: u64,
    /// Events that connledger says it lost.
    pub lost: u64,
}

impl Tap {
    /// Starts connledger with these options, and waits until it is ready.
    pub fn start(options: &[String]) -> anyhow::Result<Self> {
        Self::start_with(options, Stream::default())
    }

    /// Starts connledger with its defaults, and keeps only the end of what it writes.
    pub fn start_forgetful() -> anyhow::Result<Self> {
        Self::start_with(&[], Stream { forgets: true, ..Stream::default() })
    }

    fn start_with(options: &[String], stream: Stream) -> anyhow::Result<Self> {
        let mut child = tool::command(&Contestant::connledger_with(options))
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start connledger")?;
        let pipe = File::from(OwnedFd::from(child.stdout.take().context("its output")?));
        // An unprivileged user may not have as much: then it is as it is.
        let _ = rustix::pipe::fcntl_setpipe_size(&pipe, CHUNK);
        let stream = Arc::new(Mutex::new(stream));
        let reader = {
            let stream = Arc::clone(&stream);
            thread::spawn(move || read(pipe, &stream))
        };
        let tap = Self { child, stream, reader: Some(reader) };
        tap.wait_until_ready()?;
        Ok(tap)
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    fn wait_until_ready(&self) -> anyhow::Result<()> {
        let ready: &[u8] = b"\"event\":\"ready\"";
        let deadline = Instant::now() + START;
        let mut looked_at = 0;
        while Instant::now() < deadline {
            {
                let stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
                let new = stream.bytes.get(looked_at..).unwrap_or_default();
                if new.windows(ready.len()).any(|window| window == ready) {
                    return Ok(());
                }
                looked_at = stream.bytes.len().saturating_sub(ready.len());
            }
            thread::sleep(Duration::from_millis(10));
        }
        bail!("connledger is not ready within {} s", START.as_secs())
    }

    /// Stops it, and tells what had arrived when.
    pub fn stop(mut self) -> anyhow::Result<Arrivals> {
        tool::interrupt(&mut self.child).context("connledger does not stop")?;
        if let Some(reader) = self.reader.take() {
            reader.join().ok().context("the reader")??;
        }
        let stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
        stream.arrivals()
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        // After a failure; otherwise it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read(mut pipe: File, stream: &Mutex<Stream>) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK];
    loop {
        let read = pipe.read(&mut chunk)?;
        let now = rustix::time::clock_gettime(ClockId::Realtime);
        if read == 0 {
            return Ok(());
        }
        let mut stream = stream.lock().unwrap_or_else(PoisonError::into_inner);
        stream.bytes.extend_from_slice(&chunk[..read]);
        if stream.forgets {
            let forgotten = stream.bytes.len().saturating_sub(KEPT);
            stream.bytes.drain(..forgotten);
            continue;
        }
        let end = stream.bytes.len();
        let stamp = i128::from(now.tv_sec) * 1_000_000_000 + i128::from(now.tv_nsec);
        stream.reads.push((end, stamp));
    }
}

/// What we look at of a line.
#[derive(Deserialize)]
struct Line<'a> {
    event: &'a str,
    time: &'a str,
    local: Option<End>,
    remote: Option<End>,
    lost: Option<u64>,
}

#[derive(Deserialize)]
struct End {
    port: Option<u16>,
}

impl Stream {
    fn arrivals(&self) -> anyhow::Result<Arrivals> {
        let mut arrivals = Arrivals::default();
        if self.forgets {
            let last = self.bytes.trim_ascii_end().rsplit(|&byte| byte == b'\n').next();
            arrivals.add(last.unwrap_or_default(), 0)?;
        }
        let mut reads = self.reads.iter().peekable();
        let mut end = 0;
        for line in self.bytes.split_inclusive(|&byte| byte == b'\n') {
            end += line.len();
            // The read that brought its last byte.
            while reads.next_if(|(read_to, _)| *read_to < end).is_some() {}
            let Some((_, arrived)) = reads.peek() else { break };
            arrivals.add(line, *arrived)?;
        }
        Ok(arrivals)
    }
}

impl Arrivals {
    fn add(&mut self, line: &[u8], arrived: i128) -> anyhow::Result<()> {
        let line: Line<'_> = serde_json::from_slice(line).context("a line of connledger's")?;
        if line.event == "stop" {
            self.lost = line.lost.unwrap_or(0);
        }
        let (Some(local), Some(remote)) = (line.local, line.remote) else { return Ok(()) };
        if local.port != Some(PORT) && remote.port != Some(PORT) {
            self.others += 1;
            return Ok(());
        }
        let happened: jiff::Timestamp = line.time.parse()?;
        self.of_load.push(Arrival {
            event: line.event.to_owned(),
            latency_us: (arrived - happened.as_nanosecond()) as f64 / 1000.0,
        });
        Ok(())
    }

    /// The latencies of those that are wanted, in their order.
    pub fn sorted_latencies(&self, wanted: impl Fn(&Arrival) -> bool) -> Vec<f64> {
        let wanted = self.of_load.iter().filter(|arrival| wanted(arrival));
        crate::statistics::sorted(&wanted.map(|arrival| arrival.latency_us).collect::<Vec<_>>())
    }

    /// The latencies of all from the `first` on, in their order.
    pub fn sorted_latencies_from(&self, first: usize) -> Vec<f64> {
        let late = self.of_load.iter().skip(first);
        crate::statistics::sorted(&late.map(|arrival| arrival.latency_us).collect::<Vec<_>>())
    }
}
