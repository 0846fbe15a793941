//! The wake-up scheme as a model: every interleaving of producers and consumer is walked through, and none may end
//! with an event in the ring, everybody done, and the consumer asleep. The steps are those of wake_consumer() in
//! bpf/emit.bpf.h and of Collector::sleep(); what a step reads or writes in shared memory it does at once, for the
//! real ones have full barriers between them. Each part of the scheme is left out once: then there is such an end.
//! tests/kernel/wakeups.rs is about the real thing.

#![allow(clippy::expect_used, clippy::panic, reason = "tests may fail loudly")]

use std::collections::HashMap;
use std::iter;

/// What would wake the consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Request {
    Never,
    AtWatermark,
    AtOnce,
}

/// A record in the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Slot {
    /// Reserved by this producer. The consumer stops in front of it.
    Busy(usize),
    Event,
    /// The description of a process: nobody waits for it.
    Description,
    /// What carried a wake-up.
    Discarded,
}

/// What a producer does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Producer {
    Reserve,
    Submit,
    /// With what it has read too early.
    SubmitLate(Request),
    ReadRequest,
    /// It has read this.
    ReserveCarrier(Request),
    TakeRequest(Request),
    /// The other order: the request is taken, and there is no carrier yet.
    TakeFirst(Request),
    ReserveLate(Request),
    PutBack(Request),
    /// The carrier goes, and wakes the consumer.
    Discard,
    Done,
}

/// What the consumer does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Consumer {
    /// When it has woken, and whenever it looks once more.
    AskForWatermark,
    /// Takes the next record, if it is complete. Whether it has taken one since it woke.
    Drain(bool),
    /// The other order: it asks when it has drained.
    AskLate,
    DozeIfRequestStands,
    /// Until its timer, which may be a long one, or a wake-up.
    Doze,
    AskForAtOnce,
    LookBeforeSleeping(bool),
    IsRingEmpty,
    SleepIfRequestStands,
    /// For a moment, because something in the ring is not complete.
    Nap,
    /// Until it is woken.
    Sleep,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    request: Request,
    ring: Vec<Slot>,
    /// The producers, and how many records each has still to write.
    producers: Vec<(Producer, usize)>,
    consumer: Consumer,
    /// A wake-up was asked for, and will come: the kernel delivers it from an interrupt.
    interrupt: bool,
    /// It has come, and was not looked at: epoll looks then whether there is something in the ring.
    woken: bool,
}

/// The scheme, with what can be left out of it.
#[derive(Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "each part can be left out by itself")]
struct Scheme {
    producers: usize,
    /// Records that each of them writes.
    records: usize,
    /// The first record of the last producer is a description, after which nobody is woken.
    describes: bool,
    capacity: usize,
    watermark: usize,
    submits_first: bool,
    reserves_first: bool,
    asks_before_draining: bool,
    looks_before_sleeping: bool,
    asks_whether_empty: bool,
    reads_request_again: bool,
}

const SCHEME: Scheme = Scheme {
    producers: 2,
    records: 2,
    describes: false,
    capacity: 4,
    watermark: 2,
    submits_first: true,
    reserves_first: true,
    asks_before_draining: true,
    looks_before_sleeping: true,
    asks_whether_empty: true,
    reads_request_again: true,
};

/// No ring is so full.
const NONE: usize = usize::MAX;

/// How it can end badly.
#[derive(Debug, PartialEq, Eq)]
enum Bad {
    /// The consumer sleeps over an event.
    SleptOver,
    /// It dozes over a ring that is past the watermark.
    DozedOver,
}

impl Scheme {
    /// Walks through everything that can happen. Says how many states there are, or how it comes to a bad end.
    fn explore(self) -> Result<usize, (Bad, Vec<State>)> {
        let first = State {
            request: Request::Never,
            ring: Vec::new(),
            producers: vec![(Producer::Reserve, self.records); self.producers],
            consumer: Consumer::AskForWatermark,
            interrupt: false,
            woken: false,
        };
        // Each state with one that comes before it.
        let mut seen = HashMap::from([(first.clone(), None)]);
        let mut left = vec![first];
        while let Some(state) = left.pop() {
            if let Some(bad) = self.bad(&state) {
                let before = |state: &State| seen[state].clone();
                let mut path: Vec<State> = iter::successors(Some(state), before).collect();
                path.reverse();
                return Err((bad, path));
            }
            for next in self.next(&state) {
                if !seen.contains_key(&next) {
                    seen.insert(next.clone(), Some(state.clone()));
                    left.push(next);
                }
            }
        }
        Ok(seen.len())
    }

    fn bad(self, state: &State) -> Option<Bad> {
        let nobody_acts = state.producers.iter().all(|(step, _)| *step == Producer::Done);
        let nothing_comes = !state.interrupt && !state.woken;
        if !nobody_acts || !nothing_comes || !state.ring.contains(&Slot::Event) {
            return None;
        }
        match state.consumer {
            Consumer::Sleep => Some(Bad::SleptOver),
            // A description may hide so much, unlikely as that is: the doze ends by itself.
            Consumer::Doze if state.ring.len() >= self.watermark && !self.describes => {
                Some(Bad::DozedOver)
            }
            _ => None,
        }
    }

    /// Whatever can happen next.
    fn next(self, state: &State) -> Vec<State> {
        let mut next = Vec::new();
        for producer in 0..self.producers {
            if state.producers[producer].0 != Producer::Done {
                let mut after = state.clone();
                self.produce(&mut after, producer);
                next.push(after);
            }
        }
        if state.interrupt {
            next.push(State { interrupt: false, woken: true, ..state.clone() });
        }
        self.consume(state, &mut next);
        next
    }

    fn produce(self, state: &mut State, producer: usize) {
        let (step, left) = state.producers[producer];
        let full = state.ring.len() >= self.capacity;
        let describes = self.describes && producer + 1 == self.producers && left == self.records;
        let after_reading =
            if self.reserves_first { Producer::ReserveCarrier } else { Producer::TakeFirst };
        let next = match step {
            // The record is lost, and counted; a carrier that finds no room leaves the request to those who have it.
            Producer::Reserve | Producer::ReserveCarrier(_) if full => Producer::Done,
            Producer::Reserve => {
                state.ring.push(Slot::Busy(producer));
                if self.submits_first || describes {
                    Producer::Submit
                } else {
                    Producer::SubmitLate(state.request)
                }
            }
            Producer::Submit if describes => {
                state.complete(producer, Slot::Description);
                Producer::Done
            }
            Producer::Submit => {
                state.complete(producer, Slot::Event);
                Producer::ReadRequest
            }
            Producer::SubmitLate(request) => {
                state.complete(producer, Slot::Event);
                self.weigh(state, request).map_or(Producer::Done, after_reading)
            }
            Producer::ReadRequest => {
                self.weigh(state, state.request).map_or(Producer::Done, after_reading)
            }
            Producer::ReserveCarrier(request) => {
                state.ring.push(Slot::Busy(producer));
                Producer::TakeRequest(request)
            }
            Producer::TakeRequest(request) => {
                state.take(request);
                Producer::Discard
            }
            Producer::TakeFirst(request) if state.take(request) => Producer::ReserveLate(request),
            Producer::ReserveLate(request) if full => Producer::PutBack(request),
            Producer::ReserveLate(_) => {
                state.ring.push(Slot::Busy(producer));
                Producer::Discard
            }
            Producer::PutBack(request) => {
                if state.request == Request::Never {
                    state.request = request;
                }
                Producer::Done
            }
            Producer::Discard => {
                state.complete(producer, Slot::Discarded);
                state.interrupt = true;
                Producer::Done
            }
            Producer::TakeFirst(_) | Producer::Done => Producer::Done,
        };
        state.producers[producer] = match (next, left) {
            (Producer::Done, 2..) => (Producer::Reserve, left - 1),
            (next, left) => (next, left),
        };
    }

    /// What a producer makes of the request that it has read: `None` if there is nothing to be done.
    fn weigh(self, state: &State, request: Request) -> Option<Request> {
        match request {
            Request::Never => None,
            Request::AtWatermark if state.ring.len() < self.watermark => None,
            request => Some(request),
        }
    }

    fn consume(self, state: &State, next: &mut Vec<State>) {
        let mut after = state.clone();
        after.consumer = match state.consumer {
            Consumer::AskForWatermark => {
                after.request =
                    if self.asks_before_draining { Request::AtWatermark } else { Request::Never };
                Consumer::Drain(false)
            }
            Consumer::Drain(some) => match (after.take_record(), some) {
                (Some(record), some) => Consumer::Drain(some || record != Slot::Discarded),
                (None, true) if self.asks_before_draining => Consumer::DozeIfRequestStands,
                (None, true) => Consumer::AskLate,
                (None, false) => Consumer::AskForAtOnce,
            },
            Consumer::AskLate => {
                after.request = Request::AtWatermark;
                Consumer::Doze
            }
            Consumer::DozeIfRequestStands if state.request == Request::Never => {
                Consumer::AskForWatermark
            }
            Consumer::DozeIfRequestStands => Consumer::Doze,
            Consumer::AskForAtOnce => {
                after.request = Request::AtOnce;
                if self.looks_before_sleeping {
                    Consumer::LookBeforeSleeping(false)
                } else {
                    Consumer::IsRingEmpty
                }
            }
            Consumer::LookBeforeSleeping(some) => match (after.take_record(), some) {
                (Some(record), some) => {
                    Consumer::LookBeforeSleeping(some || record != Slot::Discarded)
                }
                (None, true) => Consumer::AskForWatermark,
                (None, false) => Consumer::IsRingEmpty,
            },
            Consumer::IsRingEmpty if self.asks_whether_empty && !state.ring.is_empty() => {
                Consumer::Nap
            }
            Consumer::IsRingEmpty => Consumer::SleepIfRequestStands,
            Consumer::SleepIfRequestStands
                if self.reads_request_again && state.request == Request::Never =>
            {
                Consumer::AskForWatermark
            }
            Consumer::SleepIfRequestStands => Consumer::Sleep,
            Consumer::Doze | Consumer::Nap | Consumer::Sleep => {
                if state.woken {
                    after.woken = false;
                    // epoll looks into the ring when it is woken, and finds it empty or not.
                    if !state.ring.is_empty() {
                        after.consumer = Consumer::AskForWatermark;
                    }
                    next.push(after);
                }
                if state.consumer != Consumer::Sleep {
                    next.push(State { consumer: Consumer::AskForWatermark, ..state.clone() });
                }
                return;
            }
        };
        next.push(after);
    }
}

impl State {
    fn complete(&mut self, producer: usize, as_what: Slot) {
        let mine = self.ring.iter_mut().find(|slot| **slot == Slot::Busy(producer));
        *mine.expect("reserved before") = as_what;
    }

    fn take(&mut self, request: Request) -> bool {
        let taken = self.request == request;
        if taken {
            self.request = Request::Never;
        }
        taken
    }

    /// The oldest record, if it is complete.
    fn take_record(&mut self) -> Option<Slot> {
        let complete = self.ring.first().is_some_and(|slot| !matches!(slot, Slot::Busy(_)));
        complete.then(|| self.ring.remove(0))
    }
}

/// With several numbers of producers and records.
fn variants(scheme: Scheme) -> impl Iterator<Item = Scheme> {
    let sizes = [(1, 3, 2), (2, 2, 2), (2, 2, 3), (3, 1, 2)];
    sizes.into_iter().flat_map(move |(producers, records, watermark)| {
        // At the watermark there must be room still for a record and a carrier of every producer.
        let capacity = watermark + 2 * producers;
        [false, true].map(|describes| Scheme {
            producers,
            records,
            describes,
            capacity,
            watermark,
            ..scheme
        })
    })
}

#[test]
fn no_event_is_slept_over() {
    let mut states = 0;
    for scheme in variants(SCHEME) {
        states += scheme.explore().unwrap_or_else(|(bad, path)| {
            let path: Vec<String> = path.iter().map(|state| format!("{state:?}")).collect();
            panic!("{bad:?}:\n{}", path.join("\n"))
        });
    }
    println!("{states} states");
}

#[track_caller]
fn assert_bad(scheme: Scheme, bad: &Bad) {
    let found = |scheme: Scheme| scheme.explore().is_err_and(|(found, _)| found == *bad);
    assert!(variants(scheme).any(found));
}

/// Whether the ring is empty is left out as well: that covers it, for a record that was reserved before the request
/// was read is in the ring. With one producer it is all that it covers.
#[test]
fn the_request_is_read_after_the_submit() {
    let scheme = Scheme { producers: 1, capacity: 8, asks_whether_empty: false, ..SCHEME };
    scheme.explore().expect("no bad end");
    let (bad, _) = Scheme { submits_first: false, ..scheme }.explore().expect_err("a bad end");
    assert_eq!(bad, Bad::SleptOver);
}

#[test]
fn the_consumer_looks_after_it_has_asked() {
    assert_bad(
        Scheme { looks_before_sleeping: false, asks_whether_empty: false, ..SCHEME },
        &Bad::SleptOver,
    );
}

#[test]
fn the_consumer_reads_its_request_again() {
    assert_bad(Scheme { reads_request_again: false, ..SCHEME }, &Bad::SleptOver);
}

/// What is not complete hides what is behind it, and may fill the ring meanwhile.
#[test]
fn the_consumer_sleeps_only_if_the_ring_is_empty() {
    assert_bad(Scheme { asks_whether_empty: false, ..SCHEME }, &Bad::SleptOver);
}

/// Otherwise whoever has taken the request may find, when it comes to it, that others have filled the ring.
#[test]
fn the_carrier_is_reserved_before_the_request_is_taken() {
    let scheme = Scheme { records: 4, capacity: 4, watermark: NONE, ..SCHEME };
    scheme.explore().expect("no bad end");
    let (bad, _) = Scheme { reserves_first: false, ..scheme }.explore().expect_err("a bad end");
    assert_eq!(bad, Bad::SleptOver);
}

#[test]
fn the_consumer_asks_before_it_drains() {
    assert_bad(Scheme { asks_before_draining: false, ..SCHEME }, &Bad::DozedOver);
}

/// A ring that is full when all producers have reserved a record has no room for any carrier.
#[test]
fn the_ring_holds_more_than_a_record_of_every_producer() {
    let scheme = Scheme { producers: 3, records: 1, capacity: 3, watermark: NONE, ..SCHEME };
    let (bad, _) = scheme.explore().expect_err("a bad end");
    assert_eq!(bad, Bad::SleptOver);
    Scheme { capacity: 4, ..scheme }.explore().expect("no bad end");
}
