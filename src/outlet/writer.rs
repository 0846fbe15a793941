//! An outlet's thread: encodes and writes batch after batch until the queue is closed and empty.

use std::io;
use std::sync::Arc;
use std::thread;

use crossbeam_channel::Receiver;
use crossbeam_channel::TryRecvError;

use super::BATCH;
use super::Batch;
use super::control::Control;
use super::frames::FrameBuffer;
use super::missed::Missed;
use super::notice::Notice;
use super::queue::Depth;
use super::queue::Item;
use crate::clock;
use crate::encode::Encoder;
use crate::encode::MAX_LINE;
use crate::ledger::Body;
use crate::ledger::Cause;
use crate::ledger::Entry;
use crate::sink::Sink;
use crate::sink::Written;

/// Room for an encoded batch of ordinary records.
const BATCH_BYTES: usize = BATCH * 600 + MAX_LINE;

/// The number of `start`.
const FIRST: u64 = 1;

/// All that the thread has.
pub struct Writer {
    pub items: Receiver<Item>,
    pub depth: Arc<Depth>,
    pub notice: Arc<Notice>,
    pub encoder: Box<dyn Encoder>,
    pub sink: Box<dyn Sink>,
    pub control: Control,
}

/// What there is to do next.
enum Work {
    Write(Item),
    Reopen,
    End,
}

impl Writer {
    /// Until the queue is closed and empty.
    pub fn run(mut self) -> io::Result<()> {
        let mut buffer = FrameBuffer::with_capacity(BATCH + 1, BATCH_BYTES);
        let mut own = FrameBuffer::default();
        buffer.push(None, |out| self.encoder.begin(out));
        loop {
            match self.next() {
                Work::Write(item) => {
                    self.encode(&item, &mut buffer);
                    self.write(&item, &buffer, &mut own)?;
                    buffer.clear();
                }
                Work::Reopen => self.sink.reopen()?,
                Work::End => return Ok(()),
            }
        }
    }

    /// Waits for work. Whatever is asked after the look is followed by a wake-up, and one that comes before the
    /// thread parks keeps it from parking.
    fn next(&self) -> Work {
        loop {
            let reopen = self.control.next_reopen();
            if reopen.fulfilled {
                self.notice.give();
            }
            if reopen.wanted {
                return Work::Reopen;
            }
            match self.items.try_recv() {
                Ok(item) => {
                    if self.depth.remove(item.batch.len(), self.items.len()) {
                        self.notice.give();
                    }
                    return Work::Write(item);
                }
                Err(TryRecvError::Empty) => thread::park(),
                Err(TryRecvError::Disconnected) => return Work::End,
            }
        }
    }

    fn encode(&mut self, item: &Item, buffer: &mut FrameBuffer) {
        if let Some(missed) = &item.missed {
            buffer.push(None, |out| self.encoder.encode(&missed.entry(clock::now_unix_ns()), out));
        }
        for (i, entry) in item.batch.iter().enumerate() {
            buffer.push(Some((i, entry)), |out| self.encoder.encode(entry, out));
        }
    }

    /// Writes all frames; for one that the sink never can, a `loss` in its place.
    fn write(
        &mut self,
        item: &Item,
        buffer: &FrameBuffer,
        own: &mut FrameBuffer,
    ) -> io::Result<()> {
        let frames = buffer.frames();
        let mut from = 0;
        let mut refused = 0;
        // Whatever stands in the place of `start`: there is a line of this run.
        let mut begins = item.batch.first().is_some_and(|first| first.seq == FIRST);
        // Whether `own` comes first, with the loss.
        let mut telling = false;
        while telling || from < frames.len() {
            let outcome =
                self.sink.write(if telling { own.frames() } else { frames.from(from) })?;
            let missed = match outcome {
                Written::All if telling => {
                    telling = false;
                    continue;
                }
                Written::All => break,
                Written::Refused { .. } if telling => {
                    begins = false;
                    None
                }
                Written::Refused { frame, cause } => {
                    let entry = buffer.entry_of(from + frame);
                    from += frame + 1;
                    let entry = entry.and_then(|entry| item.batch.get(entry));
                    refused += u64::from(entry.is_some_and(is_event));
                    entry.map(|entry| Missed::new(entry, cause))
                }
                Written::GivenUp { subject, next } => {
                    from += if telling { 0 } else { next };
                    match item.batch.first() {
                        _ if !subject.is_event => {}
                        Some(first) if first.seq <= subject.seq => refused += 1,
                        _ => self.control.tally().take_back_written(),
                    }
                    Some(Missed::of(subject, Cause::Refused))
                }
            };
            own.clear();
            telling = missed.is_some();
            match missed {
                Some(missed) => {
                    self.control.tally().add_lost(missed.own());
                    // The collector says it, though nothing else may wake it.
                    self.notice.give();
                    let entry = missed.entry(clock::now_unix_ns());
                    own.push(None, |out| self.encoder.encode(&entry, out));
                }
                None => self.control.warn("what is missing could not be told to its reader"),
            }
        }
        self.control.tally().add_written(events_in(&item.batch) - refused);
        if begins {
            self.control.tally().set_begun();
            // The collector has that remembered, though nothing else may wake it.
            self.notice.give();
        }
        Ok(())
    }
}

fn is_event(entry: &Entry) -> bool {
    matches!(entry.body, Body::Event(_))
}

fn events_in(batch: &Batch) -> u64 {
    batch.iter().filter(|entry| is_event(entry)).count() as u64
}
