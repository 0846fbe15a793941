//! From the kernel's boot-time clock to the wall clock.
//!
//! Events carry CLOCK_BOOTTIME, which never jumps. The offset to the wall clock is measured again and
//! again: slow drift is followed in silence, a step is kept for the ledger to tell.
//!
//! CLOCK_BOOTTIME is here always the host's, as in the kernel's records. In a time namespace (time_namespaces(7)) the
//! one that a process reads is shifted, and that is taken back.

use std::fmt;
use std::fs;
use std::sync::LazyLock;

use jiff::Timestamp;
use rustix::time::ClockId;
use rustix::time::clock_gettime;
use serde::Serialize;
use serde::Serializer;

/// Reading two clocks one after the other is uncertain by about this; smaller changes are noise.
const NOISE_NS: u64 = 50_000;

/// A larger change than this between two looks is somebody setting the clock.
const STEP_NS: u64 = 100_000_000;

/// A time of the wall clock, nanoseconds since 1970; as text it is RFC 3339, in UTC, with nine digits of a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct WallTime(pub u64);

impl fmt::Display for WallTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // u64 nanoseconds end in the year 2554, well within jiff's range.
        let timestamp = Timestamp::from_nanosecond(self.0.into()).unwrap_or_default();
        write!(f, "{timestamp:.9}")
    }
}

impl Serialize for WallTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A moment by both clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// Nanoseconds of CLOCK_BOOTTIME: good for spans within one boot.
    pub boot_ns: u64,
    /// By the wall clock.
    pub wall: WallTime,
}

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
    /// Looks at both clocks again. True if the wall clock was set.
    pub fn follow(&mut self) -> bool {
        self.adopt(measure_offset())
    }

    fn adopt(&mut self, offset_ns: i64) -> bool {
        let change = offset_ns - self.offset_ns;
        if change.unsigned_abs() <= NOISE_NS {
            return false;
        }
        let is_step = change.unsigned_abs() > STEP_NS;
        if is_step {
            self.step_ns += change;
        }
        self.offset_ns = offset_ns;
        is_step
    }

    /// Nanoseconds since 1970 of a moment of CLOCK_BOOTTIME.
    #[must_use]
    pub fn unix_ns(&self, boot_ns: u64) -> u64 {
        boot_ns.saturating_add_signed(self.offset_ns)
    }

    /// A moment of CLOCK_BOOTTIME by both clocks.
    #[must_use]
    pub fn moment(&self, boot_ns: u64) -> Moment {
        Moment { boot_ns, wall: WallTime(self.unix_ns(boot_ns)) }
    }

    /// How far the wall clock was set since the last call, if it was.
    pub fn take_step_ns(&mut self) -> Option<i64> {
        let step = std::mem::take(&mut self.step_ns);
        (step != 0).then_some(step)
    }
}

/// By how much this process's time namespace shifts CLOCK_BOOTTIME, nanoseconds. It does not change later.
static SHIFT_NS: LazyLock<i64> = LazyLock::new(|| {
    // Without time namespaces there is no such file.
    let offsets = fs::read_to_string("/proc/self/timens_offsets").unwrap_or_default();
    shift_ns(&offsets).unwrap_or(0)
});

/// Reads it from lines of a clock, seconds and nanoseconds.
fn shift_ns(offsets: &str) -> Option<i64> {
    let shift = offsets.lines().find_map(|line| line.strip_prefix("boottime"))?;
    let mut numbers = shift.split_whitespace().map(str::parse);
    let (seconds, nanoseconds): (i64, i64) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
    seconds.checked_mul(1_000_000_000)?.checked_add(nanoseconds)
}

/// Now, in nanoseconds of CLOCK_BOOTTIME.
#[must_use]
pub fn boottime_ns() -> u64 {
    u64::try_from(read_boottime()).unwrap_or(0)
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
        let before = read_boottime();
        let wall = read(ClockId::Realtime);
        let after = read_boottime();
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

fn read_boottime() -> i64 {
    read(ClockId::Boottime) - *SHIFT_NS
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
        assert!(!clock.adopt(1_000_040_000));
        assert_eq!(clock.unix_ns(5), 1_000_000_005, "noise is ignored");
        assert!(!clock.adopt(1_000_060_000));
        assert_eq!(clock.unix_ns(5), 1_000_060_005, "drift is followed");
        assert_eq!(clock.take_step_ns(), None);
        assert!(clock.adopt(4_000_060_000));
        assert!(clock.adopt(3_500_060_000));
        assert_eq!(clock.unix_ns(5), 3_500_060_005);
        assert_eq!(clock.take_step_ns(), Some(2_500_000_000));
        assert_eq!(clock.take_step_ns(), None);
    }

    #[test]
    fn a_shift_is_read() {
        assert_eq!(shift_ns("monotonic  1  0\nboottime  -3  500000000\n"), Some(-2_500_000_000));
        assert_eq!(shift_ns("monotonic           0         0\n"), None);
        assert_eq!(shift_ns(""), None);
    }

    #[test]
    fn times_are_text_with_nine_digits() {
        assert_eq!(WallTime(0).to_string(), "1970-01-01T00:00:00.000000000Z");
        assert_eq!(WallTime(u64::MAX).to_string(), "2554-07-21T23:34:33.709551615Z");
    }

    #[test]
    fn agrees_with_the_system_clock() {
        let clock = WallClock::default();
        let ours = clock.unix_ns(boottime_ns());
        let theirs = Timestamp::now().as_nanosecond();
        assert!((theirs - i128::from(ours)).abs() < 50_000_000);
    }
}
