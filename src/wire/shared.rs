//! The memory that the kernel side and user space map together: what each CPU counted, and the words
//! with which user space says what would wake it.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::sync::atomic::fence;

use crate::event::KINDS;
use crate::probe::skel::types::bss;
use crate::probe::skel::types::cl_counters;
use crate::probe::skel::types::cl_shared;
use crate::probe::skel::types::cl_wake;

const _: () = assert!(size_of::<cl_shared>() == 64, "wire layout");
const _: () = assert!(size_of::<cl_counters>() == 320, "wire layout");

/// What would wake the consumer of the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// Nothing: it is awake, or has no room for events.
    Never,
    /// A filling ring: it looks by itself before long.
    AtWatermark,
    /// The next event.
    AtOnce,
}

/// What the kernel side has counted since it was loaded, summed over all CPUs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Events that were asked for and happened, by kind.
    pub observed: [u64; KINDS],
    /// Events that a filter refused, by kind.
    pub filtered: [u64; KINDS],
    /// Events for which the ring had no room, by kind.
    pub ring_full: [u64; KINDS],
    /// Events whose hook the kernel skipped, by kind.
    pub nested: [u64; KINDS],
    /// Accepts whose descriptor was closed before it could be followed.
    pub descriptor_gone: u64,
    /// Times that socket or task storage could not be had: something is missing in an event.
    pub storage_failed: u64,
    /// Accepts without a waiting time, because the table of waiting connections was full.
    pub accept_queue_full: u64,
    /// Closes attributed to the listener's owner, because the table of acceptors was full.
    pub acceptors_full: u64,
    /// Descriptions of process images that found no room in the ring.
    pub process_ring_full: u64,
    /// Transitions that only the second program saw: no loss, but a sign of nesting.
    pub recovered: u64,
    /// Connections found open that an accept may tell of once more, because a table was full.
    pub told_full: u64,
    /// Entries of the table of acceptors; a moment's reading may be below 0.
    pub acceptors_held: i64,
}

/// A view of the kernel side's `.bss` while the object is loaded.
#[derive(Debug)]
pub struct Shared<'obj> {
    memory: *const bss,
    cpus: usize,
    /// Keeps the mapping's borrow: nobody else has a reference to this memory.
    _object: std::marker::PhantomData<&'obj mut bss>,
}

impl<'obj> Shared<'obj> {
    /// Takes the mapped memory over. All CPUs have numbers below `cpus`.
    pub fn new(memory: &'obj mut bss, cpus: usize) -> Self {
        Self {
            cpus: cpus.min(memory.counters.len()),
            memory: std::ptr::from_mut(memory).cast_const(),
            _object: std::marker::PhantomData,
        }
    }

    fn wake_word(&self) -> &AtomicU32 {
        // SAFETY: valid and aligned while 'obj lives; both sides access it atomically only.
        unsafe { AtomicU32::from_ptr((&raw const (*self.memory).shared.wake).cast_mut()) }
    }

    fn generation_word(&self) -> &AtomicU32 {
        // SAFETY: as above.
        unsafe {
            AtomicU32::from_ptr((&raw const (*self.memory).shared.process_generation).cast_mut())
        }
    }

    /// Says what would wake the consumer. A full barrier follows, so that a look into the ring after this
    /// call comes after it for the kernel side too.
    pub fn request_wake(&self, wake: Wake) {
        let word = match wake {
            Wake::Never => cl_wake::CL_WAKE_NEVER,
            Wake::AtWatermark => cl_wake::CL_WAKE_AT_WATERMARK,
            Wake::AtOnce => cl_wake::CL_WAKE_AT_ONCE,
        };
        self.wake_word().store(word.0, Ordering::SeqCst);
        fence(Ordering::SeqCst);
    }

    /// Whether the last request still stands; the kernel side takes it back when it serves it.
    #[must_use]
    pub fn wake_stands(&self) -> bool {
        self.wake_word().load(Ordering::SeqCst) != cl_wake::CL_WAKE_NEVER.0
    }

    fn listing_word(&self) -> &AtomicU32 {
        // SAFETY: as above.
        unsafe { AtomicU32::from_ptr((&raw const (*self.memory).shared.listing).cast_mut()) }
    }

    /// What was open at start has been listed.
    pub fn end_listing(&self) {
        self.listing_word().store(0, Ordering::SeqCst);
    }

    fn want_io_word(&self) -> &AtomicU32 {
        // SAFETY: as above.
        unsafe { AtomicU32::from_ptr((&raw const (*self.memory).shared.want_io).cast_mut()) }
    }

    /// There is a reason to follow reads and writes.
    pub fn want_io(&self) {
        self.want_io_word().store(1, Ordering::SeqCst);
    }

    /// Whether one of the two sides has found a reason to follow reads and writes.
    #[must_use]
    pub fn wants_io(&self) -> bool {
        self.want_io_word().load(Ordering::SeqCst) != 0
    }

    /// Images announced under an older number are announced again.
    pub fn set_process_generation(&self, generation: u32) {
        self.generation_word().store(generation, Ordering::Release);
    }

    /// Reads all counters. `observed` is read last: an event that is under way on another CPU then shows
    /// as observed and not yet accounted for, never the other way round.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let mut sum = Counters::default();
        for cpu in 0..self.cpus {
            // SAFETY: cpu is within the array, whose memory is valid while 'obj lives.
            let from = unsafe { &raw const (*self.memory).counters[cpu] };
            macro_rules! add {
                ($($field:ident),*) => {
                    // SAFETY: valid and aligned; the kernel side writes it atomically.
                    $(sum.$field += unsafe { load(&raw const (*from).$field) };)*
                };
            }
            macro_rules! add_kinds {
                ($($field:ident),*) => {
                    $(for kind in 0..KINDS {
                        // SAFETY: as above, within the array of KINDS.
                        sum.$field[kind] += unsafe { load(&raw const (*from).$field[kind]) };
                    })*
                };
            }
            add_kinds!(filtered, ring_full, nested);
            add!(
                descriptor_gone,
                storage_failed,
                accept_queue_full,
                acceptors_full,
                process_ring_full,
                recovered,
                told_full
            );
            // SAFETY: as above.
            let held = unsafe { load(&raw const (*from).acceptors_held) };
            sum.acceptors_held = sum.acceptors_held.wrapping_add(held.cast_signed());
        }
        fence(Ordering::SeqCst);
        for cpu in 0..self.cpus {
            for kind in 0..KINDS {
                // SAFETY: as above.
                sum.observed[kind] +=
                    unsafe { load(&raw const (*self.memory).counters[cpu].observed[kind]) };
            }
        }
        sum
    }
}

/// # Safety
/// `word` must be valid and aligned, and written atomically by whoever else writes it.
unsafe fn load(word: *const u64) -> u64 {
    // SAFETY: by the contract above.
    unsafe { AtomicU64::from_ptr(word.cast_mut()) }.load(Ordering::Acquire)
}
