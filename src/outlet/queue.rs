//! The way from the collector to an outlet's thread: bounded by the records in it.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::thread::Thread;

use crossbeam_channel::Receiver;
use crossbeam_channel::Sender;
use crossbeam_channel::TrySendError;

use super::Batch;
use super::missed::Missed;

/// So many batches find room, too: at the lowest rates each has a single record. 24 bytes each.
const SLOTS: usize = 4096;

/// What goes through the queue.
#[derive(Debug)]
pub struct Item {
    /// What the output goes without, right before the batch.
    pub missed: Option<Box<Missed>>,
    pub batch: Arc<Batch>,
}

/// How many records are in a queue, and whether the collector waits for room.
#[derive(Debug)]
pub struct Depth {
    records: AtomicUsize,
    most: usize,
    wanted: AtomicBool,
    ended: AtomicBool,
}

impl Depth {
    /// Takes records out, and leaves so many batches behind. True if the collector is to be told that there is
    /// room: half of the queue, so that it is not told for every batch.
    pub fn remove(&self, records: usize, batches_left: usize) -> bool {
        self.records.fetch_sub(records, Ordering::SeqCst);
        self.is_half_empty(batches_left) && self.wanted.swap(false, Ordering::SeqCst)
    }

    /// The thread has ended. There is room now: who offers something finds the queue closed, not full for ever.
    pub fn end(&self) {
        self.ended.store(true, Ordering::SeqCst);
    }

    fn has_room(&self, records: usize) -> bool {
        let queued = self.records.load(Ordering::SeqCst);
        // A batch that is larger than the queue goes alone.
        queued == 0 || queued + records <= self.most || self.ended.load(Ordering::SeqCst)
    }

    fn is_half_empty(&self, batches: usize) -> bool {
        batches <= SLOTS / 2 && self.records.load(Ordering::SeqCst) <= self.most / 2
    }
}

/// The collector's end. The thread at the other end parks as soon as the queue is empty: the channel's own waiting
/// would give up the CPU a few times before it sleeps, which the observed host would notice.
#[derive(Debug)]
pub struct Queue {
    // Dropped in this order: awake, the thread must find the queue closed.
    items: Sender<Item>,
    sleeper: Sleeper,
    depth: Arc<Depth>,
}

/// What became of an item.
#[derive(Debug)]
pub enum Queued {
    Yes,
    /// There is no room for it.
    Full(Item),
    /// The thread has ended.
    Closed,
}

impl Queue {
    /// A queue for `most` records, without its thread.
    pub fn channel(most: usize) -> (Sender<Item>, Receiver<Item>, Arc<Depth>) {
        let (items, received) = crossbeam_channel::bounded(SLOTS);
        let depth = Depth {
            records: AtomicUsize::new(0),
            most,
            wanted: AtomicBool::new(false),
            ended: AtomicBool::new(false),
        };
        (items, received, Arc::new(depth))
    }

    pub fn to(items: Sender<Item>, thread: Thread, depth: Arc<Depth>) -> Self {
        Self { items, sleeper: Sleeper(thread), depth }
    }

    /// Puts an item in, if there is room.
    pub fn offer(&self, item: Item) -> Queued {
        let records = item.batch.len();
        if !self.depth.has_room(records) {
            return Queued::Full(item);
        }
        // Before the item, or the thread could take out more than there is.
        self.depth.records.fetch_add(records, Ordering::SeqCst);
        match self.items.try_send(item) {
            Ok(()) => {
                self.sleeper.wake();
                Queued::Yes
            }
            Err(TrySendError::Full(item)) => {
                self.depth.records.fetch_sub(records, Ordering::SeqCst);
                Queued::Full(item)
            }
            Err(TrySendError::Disconnected(_)) => Queued::Closed,
        }
    }

    /// Asks for a notice when half of the queue is free. To be followed by one more look: whoever made room before
    /// has given none.
    pub fn want_room(&self) {
        self.depth.wanted.store(true, Ordering::SeqCst);
    }

    /// Whether half of it is free.
    pub fn is_half_empty(&self) -> bool {
        self.depth.is_half_empty(self.items.len())
    }

    /// Makes the thread look what there is to do.
    pub fn wake(&self) {
        self.sleeper.wake();
    }
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
