//! An outlet: one output with its own thread, queue, policy and encoder.
//!
//! The queue is bounded. When it is full, an output with the policy `block` keeps the batch, and the collector stops
//! draining the ring and waits for room: the back-pressure reaches the ring, where the kernel side counts what it
//! cannot place. An output with the policy `drop` goes without: what it misses is told by a `loss` record in its own
//! stream, and delays nobody. So does an outlet that has ended.

mod control;
mod frames;
mod missed;
mod notice;
mod pool;
mod queue;
mod writer;

use std::io;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use crossbeam_channel::Receiver;
use crossbeam_channel::Sender;

pub use self::control::Control;
pub use self::control::Tally;
pub use self::frames::FrameBuffer;
pub use self::frames::Frames;
pub use self::frames::Subject;
pub use self::missed::Missed;
pub use self::notice::Notice;
pub use self::pool::BatchPool;
use self::queue::Depth;
use self::queue::Item;
use self::queue::Queue;
use self::queue::Queued;
use self::writer::Writer;
use crate::config::OnFull;
use crate::encode::Encoder;
use crate::ledger::Cause;
use crate::ledger::Entry;
use crate::ledger::Figures;
use crate::ledger::Losses;
use crate::ledger::OutputFigures;
use crate::privileges;
use crate::sink::Sink;

/// Entries in a batch: about 60 KiB of them, about twice as much when encoded, and a write each.
pub const BATCH: usize = 256;

/// Entries on their way to every outlet.
pub type Batch = Vec<Entry>;

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

/// How a thread takes its leave, also if it panics: nobody waits for it then.
struct Farewell {
    last_word: Option<Sender<End>>,
    items: Option<Receiver<Item>>,
    depth: Arc<Depth>,
    notice: Arc<Notice>,
}

impl Farewell {
    /// Says how it has ended, unless that is said.
    fn say(&mut self, end: End) {
        let _ = self.last_word.take().map(|last_word| last_word.send(end));
    }
}

impl Drop for Farewell {
    fn drop(&mut self) {
        self.say(End::Failed(io::Error::other("its thread has panicked")));
        // After the last word: who finds the queue closed finds the reason too.
        self.items = None;
        self.depth.end();
        self.notice.give();
    }
}

/// What an outlet is made of.
pub struct Parts {
    /// What it has in common with its thread.
    pub control: Control,
    /// What happens when its queue is full.
    pub on_full: OnFull,
    /// So many records may wait.
    pub queue: usize,
    /// Its format.
    pub encoder: Box<dyn Encoder>,
    /// Its way out.
    pub sink: Box<dyn Sink>,
}

/// One output.
#[derive(Debug)]
pub struct Outlet {
    control: Control,
    on_full: OnFull,
    /// `None` once the output has ended.
    queue: Option<Queue>,
    /// The batch that found no room, of one that blocks.
    held: Option<Arc<Batch>>,
    /// What found no room, of one that drops.
    missed: Option<Box<Missed>>,
    /// All that it has dropped.
    dropped: Losses,
    /// Of which causes it was said on stderr.
    losses_told: Losses,
    end: Receiver<End>,
    notice: Arc<Notice>,
}

impl Outlet {
    /// Starts the thread of an output. When this returns, that holds no capability any more.
    ///
    /// # Errors
    /// If the system has no thread left, or the thread cannot give up its capabilities.
    pub fn spawn(parts: Parts, notice: Arc<Notice>) -> anyhow::Result<Self> {
        let Parts { control, on_full, queue, encoder, sink } = parts;
        let (sender, items, depth) = Queue::channel(queue);
        // The thread leaves one word at its end, and does not wait for it to be read.
        let (last_word, end) = crossbeam_channel::bounded(1);
        let mut farewell = Farewell {
            last_word: Some(last_word),
            items: Some(items.clone()),
            depth: Arc::clone(&depth),
            notice: Arc::clone(&notice),
        };
        let own_notice = Arc::clone(&notice);
        let writer = Writer {
            items,
            depth: Arc::clone(&depth),
            notice,
            encoder,
            sink,
            control: control.clone(),
        };
        let name = control.output();
        let work = move || {
            farewell.say(match writer.run() {
                Ok(()) => End::Done,
                Err(err) if err.kind() == io::ErrorKind::BrokenPipe => End::Closed,
                Err(err) => End::Failed(err),
            });
        };
        let thread = privileges::spawn_without(format!("out-{name}"), work)
            .with_context(|| format!("cannot start a thread for the output {name}"))?;
        let queue = Some(Queue::to(sender, thread, depth));
        let dropped = Losses::default();
        Ok(Self {
            control,
            on_full,
            queue,
            held: None,
            missed: None,
            dropped,
            losses_told: Losses::default(),
            end,
            notice: own_notice,
        })
    }

    /// As the user named it.
    #[must_use]
    pub fn name(&self) -> &str {
        self.control.output()
    }

    /// Whether it has a line of this run: its `start`, or that it is missing.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.control.tally().has_begun()
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

    /// Whether all that it was given is on its way, or written.
    #[must_use]
    pub fn is_idle(&self, handed: u64) -> bool {
        !self.is_open() || (!self.is_full() && self.missed.is_none() && self.in_flight(handed) == 0)
    }

    /// What keeps its thread from writing, if anything does.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.control.trouble()
    }

    /// Queues a batch; if there is no room, holds it or goes without it. Not to be called while one is held.
    pub fn offer(&mut self, batch: Arc<Batch>) {
        debug_assert!(self.held.is_none());
        match self.on_full {
            OnFull::Block => self.held = Some(batch),
            OnFull::Drop => {
                if !self.may_resume() {
                    self.miss(&batch);
                } else if let Some(batch) = self.put(batch) {
                    self.miss(&batch);
                }
            }
        }
        self.retry();
    }

    /// Tries to queue what is held, or to tell what was missed.
    pub fn retry(&mut self) {
        if !self.is_waiting() || self.try_again() {
            return;
        }
        // Whoever makes room after this sees that it is wanted; whoever did before left room.
        if let Some(queue) = &self.queue {
            queue.want_room();
        }
        self.try_again();
    }

    /// Whether there is something that found no room, or that it is still to be told that it goes without.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.held.is_some() || self.missed.is_some()
    }

    /// True if nothing waits any more.
    fn try_again(&mut self) -> bool {
        if let Some(batch) = self.held.take() {
            self.held = self.put(batch);
        } else if self.missed.is_some() && self.may_resume() {
            // As soon as there is room, not when there is something else to say.
            let _ = self.put(Arc::new(Batch::new()));
        }
        !self.is_waiting()
    }

    /// One that has missed something goes on when half of its queue is free: a slow reader gets few long gaps, not
    /// many short ones.
    fn may_resume(&self) -> bool {
        self.missed.is_none() || self.queue.as_ref().is_some_and(Queue::is_half_empty)
    }

    /// Queues a batch, and ahead of it what was missed before. Gives it back if there is no room.
    fn put(&mut self, batch: Arc<Batch>) -> Option<Arc<Batch>> {
        let queue = self.queue.as_ref()?;
        match queue.offer(Item { missed: self.missed.take(), batch }) {
            Queued::Yes => None,
            Queued::Full(item) => {
                self.missed = item.missed;
                Some(item.batch)
            }
            Queued::Closed => {
                self.queue = None;
                None
            }
        }
    }

    fn miss(&mut self, batch: &Batch) {
        if self.queue.is_none() {
            return;
        }
        for entry in batch {
            let one = Missed::new(entry, Cause::OutputFull);
            self.dropped.merge(one.own());
            match &mut self.missed {
                Some(missed) => missed.append(&one),
                None => self.missed = Some(Box::new(one)),
            }
        }
    }

    /// Queues what is held, or what was missed, waiting for room until `deadline`.
    pub fn flush(&mut self, deadline: Instant) {
        while self.is_open() && self.is_waiting() {
            self.retry();
            let left = deadline.saturating_duration_since(Instant::now());
            if !self.is_waiting() || left.is_zero() {
                return;
            }
            self.notice.wait(left);
        }
    }

    /// Asks its thread to open its file again, or to try its peer at once.
    pub fn reopen(&self) {
        self.control.ask_reopen();
        if let Some(queue) = &self.queue {
            queue.wake();
        }
    }

    /// Whether it has not done so yet.
    #[must_use]
    pub fn is_reopening(&self) -> bool {
        self.is_open() && self.control.is_reopening()
    }

    /// Tells its thread that the program ends: what cannot be written now need not be waited for.
    pub fn give_up(&self) {
        self.control.close();
    }

    /// Stops sending to it: its reader went away.
    pub fn hang_up(&mut self) {
        self.queue = None;
        self.held = None;
        self.missed = None;
    }

    /// The thread's last word, if it has ended by itself.
    #[must_use]
    pub fn ended(&mut self) -> Option<End> {
        let end = self.end.try_recv().ok()?;
        self.hang_up();
        Some(end)
    }

    /// After [`Outlet::hang_up`] waits until the rest is written. `None` if that is not so at the `deadline`, or if
    /// the thread has given its last word before.
    #[must_use]
    pub fn last_word(&self, deadline: Instant) -> Option<End> {
        self.end.recv_deadline(deadline).ok()
    }

    /// Events of those `handed` to the outputs that it has neither written nor lost.
    #[must_use]
    pub fn in_flight(&self, handed: u64) -> u64 {
        handed.saturating_sub(self.control.tally().written() + self.own_losses().events())
    }

    /// What it has lost itself.
    #[must_use]
    pub fn own_losses(&self) -> Losses {
        let mut losses = self.dropped;
        losses.merge(&self.control.tally().lost());
        losses
    }

    /// Says once per cause that it loses records.
    pub fn warn_of_losses(&mut self) {
        let news = self.own_losses().not_in(&mut self.losses_told);
        for (cause, count) in news.filter(|(cause, _)| *cause != Cause::OwnRecord) {
            self.control.warn(&format!("warning: {count} events lost: {}", cause.advice()));
        }
    }

    /// Its books, by those of the ledger: what is on its way to the ledger is on its way to the output.
    #[must_use]
    pub fn figures(&self, ledger: &Figures) -> OutputFigures {
        // Each counter is read once, as its thread goes on counting, and the losses first: an event that it gives up
        // moves from `written` to them.
        let own_losses = self.own_losses();
        let written = self.control.tally().written();
        let waiting = ledger.written.saturating_sub(written + own_losses.events());
        let mut causes = own_losses.without(Cause::OwnRecord);
        causes.merge(&ledger.causes.unwrap_or_default());
        OutputFigures {
            output: self.name().to_owned(),
            written,
            lost: causes.total(),
            in_flight: waiting + ledger.in_flight.unwrap_or(0),
            resent: self.control.tally().resent(),
            closed: !self.is_open(),
            causes: (causes.total() != 0).then_some(causes),
        }
    }
}
