//! Batches, made and taken back.

use std::mem;
use std::sync::Arc;

use super::BATCH;
use super::Batch;

/// So many batches are kept for another use. More are on their way only if an output is slow.
const KEPT: usize = 18;

/// Makes batches, and takes them back when all outlets are through with them: under load nothing is allocated.
#[derive(Debug)]
pub struct BatchPool {
    lent: Vec<Arc<Batch>>,
}

impl Default for BatchPool {
    fn default() -> Self {
        Self { lent: Vec::with_capacity(KEPT) }
    }
}

impl BatchPool {
    /// Puts `entries` into a shared batch, and leaves them empty.
    pub fn share(&mut self, entries: &mut Batch) -> Arc<Batch> {
        // A queue holds so many records, in whatever batches they come: a batch of few takes the memory of few.
        // They come seldom, once in a flush interval.
        if entries.len() < BATCH {
            let mut few = Vec::with_capacity(entries.len());
            few.append(entries);
            return Arc::new(few);
        }
        // Of those that are back the one lent last: the caches have it still.
        let free = self.lent.iter().rposition(|batch| Arc::strong_count(batch) == 1);
        let mut batch = match free {
            Some(at) => self.lent.remove(at),
            None => Arc::new(Vec::with_capacity(BATCH + 1)),
        };
        match Arc::get_mut(&mut batch) {
            Some(buffer) => {
                buffer.clear();
                mem::swap(buffer, entries);
            }
            // Nobody else can have a handle to it: the pool's was the only one.
            None => batch = Arc::new(mem::take(entries)),
        }
        if self.lent.len() < KEPT {
            self.lent.push(Arc::clone(&batch));
        }
        batch
    }
}
