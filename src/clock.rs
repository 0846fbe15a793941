//! From the kernel's boot-time clock to the wall clock.
//!
//! Events carry CLOCK_BOOTTIME, which never jumps. The offset to the wall clock is measured again and
//! again: slow drift is followed in silence, a step is kept for the ledger to tell.

use rustix::time::ClockId;
use rustix::time::clock_gettime;

/// Reading two clocks one after the other is uncertain by about this; smaller changes are noise.
const NOISE_NS: u64 = 50_000;

/// A larger change than this between two looks is somebody setting the clock.
const STEP_NS: u64 = 100_000_000;

/// The offset from CLOCK_BOOTTIME to the wall clock, followed.
#[derive(Debug)]
pub struct WallClock {
    offset_ns: i64,
    step_ns: i64,
}

impl Default for WallClock {
    fn default() -> Self {
        Self { offset_ns: measure_offset(), step_ns: 0 }
    }
}

impl WallClock {
    /// Looks at both clocks again.
    pub fn follow(&mut self) {
        self.adopt(measure_offset());
    }

    fn adopt(&mut self, offset_ns: i64) {
        let change = offset_ns - self.offset_ns;
        if change.unsigned_abs() <= NOISE_NS {
            return;
        }
        if change.unsigned_abs() > STEP_NS {
            self.step_ns += change;
        }
        self.offset_ns = offset_ns;
    }

    /// Nanoseconds since 1970 of a moment of CLOCK_BOOTTIME.
    #[must_use]
    pub fn unix_ns(&self, boot_ns: u64) -> u64 {
        boot_ns.saturating_add_signed(self.offset_ns)
    }

    /// How far the wall clock was set since the last call, if it was.
    pub fn take_step_ns(&mut self) -> Option<i64> {
        let step = std::mem::take(&mut self.step_ns);
        (step != 0).then_some(step)
    }
}

/// Now, in nanoseconds of CLOCK_BOOTTIME.
#[must_use]
pub fn boottime_ns() -> u64 {
    u64::try_from(read(ClockId::Boottime)).unwrap_or(0)
}

/// Now by the wall clock, in nanoseconds since 1970.
#[must_use]
pub fn now_unix_ns() -> u64 {
    u64::try_from(read(ClockId::Realtime)).unwrap_or(0)
}

/// The wall clock is read between two readings of the other one, and the closest of a few tries counts:
/// the thread may be interrupted in between.
fn measure_offset() -> i64 {
    let mut best = (i64::MAX, 0);
    for _ in 0..8 {
        let before = read(ClockId::Boottime);
        let wall = read(ClockId::Realtime);
        let after = read(ClockId::Boottime);
        let width = after - before;
        if width < best.0 {
            best = (width, wall - i64::midpoint(before, after));
        }
        if width < 1_000 {
            break;
        }
    }
    best.1
}

fn read(clock: ClockId) -> i64 {
    let now = clock_gettime(clock);
    now.tv_sec * 1_000_000_000 + now.tv_nsec
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_drift_and_tells_steps() {
        let mut clock = WallClock { offset_ns: 1_000_000_000, step_ns: 0 };
        clock.adopt(1_000_040_000);
        assert_eq!(clock.unix_ns(5), 1_000_000_005, "noise is ignored");
        clock.adopt(1_000_060_000);
        assert_eq!(clock.unix_ns(5), 1_000_060_005, "drift is followed");
        assert_eq!(clock.take_step_ns(), None);
        clock.adopt(4_000_060_000);
        clock.adopt(3_500_060_000);
        assert_eq!(clock.unix_ns(5), 3_500_060_005);
        assert_eq!(clock.take_step_ns(), Some(2_500_000_000));
        assert_eq!(clock.take_step_ns(), None);
    }

    #[test]
    fn agrees_with_the_system_clock() {
        let clock = WallClock::default();
        let ours = clock.unix_ns(boottime_ns());
        let theirs = jiff::Timestamp::now().as_nanosecond();
        assert!((theirs - i128::from(ours)).abs() < 50_000_000);
    }
}
