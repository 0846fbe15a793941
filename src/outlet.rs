//! An outlet: one output with its own thread, queue and encoder.
//!
//! The queue is bounded. When it is full the collector keeps the batch, stops draining the ring and waits
//! for room: the back-pressure reaches the ring, where the kernel side counts what it cannot place. An
//! outlet that has ended takes no more, and delays nobody.

use std::io;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::thread;
use std::thread::Thread;
use std::time::Instant;

use anyhow::Context as _;
use crossbeam_channel::Receiver;
use crossbeam_channel::SendTimeoutError;
use crossbeam_channel::Sender;
use crossbeam_channel::TryRecvError;
use crossbeam_channel::TrySendError;
use rustix::event::EventfdFlags;

use crate::encode::Encoder;
use crate::encode::MAX_LINE;
use crate::ledger::Entry;
use crate::privileges;
use crate::sink::Sink;

/// Entries in a batch: about 60 KiB of them, about as much when encoded, and a write each.
pub const BATCH: usize = 256;

/// Batches in an outlet's queue: with the ring, what carries a slow reader over its pauses. About 1 MiB.
const QUEUE: usize = 16;

/// Entries on their way to every outlet.
pub type Batch = Vec<Entry>;

/// Tells the collector that an outlet has room again, or has ended. One for all outlets.
#[derive(Debug)]
pub struct Notice {
    fd: OwnedFd,
    wanted: AtomicBool,
}

impl Notice {
    /// A notice that nobody waits for yet.
    ///
    /// # Errors
    /// If the system has no descriptors left.
    pub fn new() -> io::Result<Self> {
        let fd = rustix::event::eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?;
        Ok(Self { fd, wanted: AtomicBool::new(false) })
    }

    fn want(&self) {
        self.wanted.store(true, Ordering::SeqCst);
    }

    fn room(&self) {
        if self.wanted.swap(false, Ordering::SeqCst) {
            self.ring();
        }
    }

    fn ring(&self) {
        // Fails only if the counter overflows: then it has not been read for 2^64 rings, and is readable.
        let _ = rustix::io::write(&self.fd, &1u64.to_ne_bytes());
    }

    /// Takes the notice back, so that it can be given again.
    pub fn clear(&self) {
        let _ = rustix::io::read(&self.fd, &mut [0; 8]);
    }
}

impl AsFd for Notice {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// How an outlet's thread ended.
#[derive(Debug)]
pub enum End {
    /// Everything was written.
    Done,
    /// Its reader went away: no fault.
    Closed,
    /// It could not write.
    Failed(io::Error),
}

/// The collector's end of the queue. The thread at the other end parks as soon as it is empty: the channel's own
/// waiting would give up the CPU a few times before it sleeps, which the observed host would notice.
#[derive(Debug)]
struct Queue {
    // Dropped in this order: awake, the thread must find the queue closed.
    batches: Sender<Arc<Batch>>,
    sleeper: Sleeper,
}

/// The outlet's thread. Woken also when there will be no more for it.
#[derive(Debug)]
struct Sleeper(Thread);

impl Sleeper {
    /// To be called after something has changed. If the thread is awake this costs next to nothing.
    fn wake(&self) {
        self.0.unpark();
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        self.wake();
    }
}

/// The next batch, waited for; `None` if the queue is closed and empty. Whatever is queued after the look is
/// followed by a wake-up, and one that comes before the thread parks keeps it from parking.
fn next(batches: &Receiver<Arc<Batch>>) -> Option<Arc<Batch>> {
    loop {
        match batches.try_recv() {
            Ok(batch) => return Some(batch),
            Err(TryRecvError::Empty) => thread::park(),
            Err(TryRecvError::Disconnected) => return None,
        }
    }
}

/// One output.
#[derive(Debug)]
pub struct Outlet {
    name: String,
    /// `None` once the output has ended.
    queue: Option<Queue>,
    /// The batch that found no room.
    held: Option<Arc<Batch>>,
    end: Receiver<End>,
    notice: Arc<Notice>,
}

impl Outlet {
    /// Starts the thread of an output.
    ///
    /// # Errors
    /// If the system has no thread left.
    pub fn spawn(
        name: String,
        encoder: Box<dyn Encoder>,
        sink: Box<dyn Sink>,
        notice: Arc<Notice>,
    ) -> anyhow::Result<Self> {
        let (queue, batches) = crossbeam_channel::bounded(QUEUE);
        // The thread leaves one word at its end, and does not wait for it to be read.
        let (last_word, end) = crossbeam_channel::bounded(1);
        let bell = Arc::clone(&notice);
        let thread = thread::Builder::new()
            .name(format!("out-{name}"))
            .spawn(move || {
                let result = privileges::drop_all()
                    .map_err(io::Error::other)
                    .and_then(|()| write_all(&batches, encoder, sink, &bell));
                let _ = last_word.send(match result {
                    Ok(()) => End::Done,
                    Err(err) if err.kind() == io::ErrorKind::BrokenPipe => End::Closed,
                    Err(err) => End::Failed(err),
                });
                // After the last word: who finds the queue closed finds the reason too.
                drop(batches);
                bell.ring();
            })
            .with_context(|| format!("cannot start a thread for the output {name}"))?;
        let queue = Queue { batches: queue, sleeper: Sleeper(thread.thread().clone()) };
        Ok(Self { name, queue: Some(queue), held: None, end, notice })
    }

    /// As the user named it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it takes batches still.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.queue.is_some()
    }

    /// Whether it holds a batch that found no room: it must get rid of that before the next one.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.held.is_some()
    }

    /// Queues a batch, or holds it until there is room. Not to be called while one is held.
    pub fn offer(&mut self, batch: Arc<Batch>) {
        debug_assert!(self.held.is_none());
        self.held = Some(batch);
        self.retry();
    }

    /// Tries to queue the batch that is held.
    pub fn retry(&mut self) {
        if self.try_queue() {
            return;
        }
        // Whoever makes room after this sees that it is wanted; whoever did before left room.
        self.notice.want();
        self.try_queue();
    }

    /// True if nothing is held any more.
    fn try_queue(&mut self) -> bool {
        let (Some(batch), Some(queue)) = (self.held.take(), &self.queue) else {
            return true;
        };
        match queue.batches.try_send(batch) {
            Ok(()) => {
                queue.sleeper.wake();
                true
            }
            Err(TrySendError::Full(batch)) => {
                self.held = Some(batch);
                false
            }
            Err(TrySendError::Disconnected(_)) => {
                self.queue = None;
                true
            }
        }
    }

    /// Queues the batch that is held, waiting for room until `deadline`. False if there was none.
    #[must_use]
    pub fn flush(&mut self, deadline: Instant) -> bool {
        let (Some(batch), Some(queue)) = (self.held.take(), &self.queue) else {
            return true;
        };
        match queue.batches.send_deadline(batch, deadline) {
            Ok(()) => {
                queue.sleeper.wake();
                true
            }
            Err(SendTimeoutError::Timeout(batch)) => {
                self.held = Some(batch);
                false
            }
            Err(SendTimeoutError::Disconnected(_)) => {
                self.queue = None;
                true
            }
        }
    }

    /// Stops sending to it: its reader went away.
    pub fn hang_up(&mut self) {
        self.queue = None;
        self.held = None;
    }

    /// The thread's last word, if it has ended by itself.
    #[must_use]
    pub fn ended(&mut self) -> Option<End> {
        let end = self.end.try_recv().ok()?;
        self.hang_up();
        Some(end)
    }

    /// Closes the queue and waits until the rest is written. `None` if that is not so at the `deadline`,
    /// or if the thread has given its last word before.
    #[must_use]
    pub fn close(&mut self, deadline: Instant) -> Option<End> {
        self.hang_up();
        self.end.recv_deadline(deadline).ok()
    }
}

/// The thread: encodes and writes batch after batch until the queue is closed and empty.
fn write_all(
    batches: &Receiver<Arc<Batch>>,
    mut encoder: Box<dyn Encoder>,
    mut sink: Box<dyn Sink>,
    notice: &Notice,
) -> io::Result<()> {
    let mut lines = Vec::with_capacity(BATCH * 600 + MAX_LINE);
    encoder.begin(&mut lines);
    while let Some(batch) = next(batches) {
        notice.room();
        for entry in batch.iter() {
            encoder.encode(entry, &mut lines);
        }
        // Given back before the write, which may wait: the collector uses it again.
        drop(batch);
        sink.write(&lines)?;
        lines.clear();
    }
    Ok(())
}

/// Makes batches, and takes them back when all outlets are through with them: in the steady state nothing
/// is allocated.
#[derive(Debug)]
pub struct BatchPool {
    lent: Vec<Arc<Batch>>,
}

impl Default for BatchPool {
    fn default() -> Self {
        // Those in a queue, one being encoded, one held.
        Self { lent: Vec::with_capacity(QUEUE + 2) }
    }
}

impl BatchPool {
    /// Puts `entries` into a shared batch, and an empty buffer in their place.
    pub fn share(&mut self, entries: &mut Batch) -> Arc<Batch> {
        // Of those that are back the one lent last: the caches have it still.
        let free = self.lent.iter().rposition(|batch| Arc::strong_count(batch) == 1);
        let mut batch = match free {
            Some(at) => self.lent.remove(at),
            None => Arc::new(Vec::with_capacity(BATCH + 1)),
        };
        match Arc::get_mut(&mut batch) {
            Some(buffer) => {
                buffer.clear();
                std::mem::swap(buffer, entries);
            }
            // Nobody else can have a handle to it: the pool's was the only one.
            None => batch = Arc::new(std::mem::take(entries)),
        }
        if self.lent.len() < QUEUE + 2 {
            self.lent.push(Arc::clone(&batch));
        }
        batch
    }
}
