//! Sizes and durations as people write them: 8MiB, 10ms.

use std::time::Duration;

/// The smallest ring: one page on most machines.
const MIN_RING: u64 = 4096;
/// The largest one that makes sense: the kernel takes it from memory that cannot be swapped.
const MAX_RING: u64 = 1 << 30;

/// Reads a size: a number of bytes, or of KiB or MiB. The kernel wants a power of two and whole pages: it
/// is rounded up.
///
/// # Errors
/// If it is none, or out of bounds.
pub fn parse_ring_size(text: &str) -> Result<u32, String> {
    let bounds = || "it must lie between 4KiB and 1024MiB".to_owned();
    let bytes = parse_size(text)?;
    if !(MIN_RING..=MAX_RING).contains(&bytes) {
        return Err(bounds());
    }
    let page = rustix::param::page_size() as u64;
    u32::try_from(bytes.max(page).next_power_of_two()).map_err(|_| bounds())
}

/// The ring of a host with so many CPUs, in bytes: each can fill its share at its highest rate for a tenth of a
/// second (about 60,000 events of 160 bytes a second, measured), in which connledger is sure to come round.
#[must_use]
pub fn default_ring_size(cpus: u32) -> u32 {
    const MIB: u32 = 1 << 20;
    cpus.clamp(8, 128).next_power_of_two() * MIB
}

/// The smallest ring of a host with so many CPUs, in bytes: it must hold more than what all of them can be writing
/// at one moment, two records each, so that there is room to wake the collector (ARCHITECTURE.md).
#[must_use]
pub fn smallest_ring_size(cpus: u32) -> u32 {
    const OF_A_CPU: u32 = 512;
    (cpus * OF_A_CPU).next_power_of_two()
}

/// Reads a size: a number of bytes, or of KiB, MiB or GiB.
///
/// # Errors
/// If it is none.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    let factor = match unit.trim() {
        "" | "B" => 1,
        "KiB" | "K" | "k" => 1 << 10,
        "MiB" | "M" => 1 << 20,
        "GiB" | "G" => 1 << 30,
        other => {
            return Err(format!("'{other}' is no unit; use bytes, KiB, MiB or GiB, as in 8MiB"));
        }
    };
    digits
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(factor))
        .ok_or_else(|| "it is not a size, as 8MiB is".to_owned())
}

/// Reads a duration: a number with ms, s, m, h or d; seconds without a unit. At least a millisecond.
///
/// # Errors
/// If it is none.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    let seconds_each = match unit.trim() {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        "d" => 86400.0,
        other => return Err(format!("'{other}' is no unit; use ms, s, m, h or d, as in 10ms")),
    };
    let seconds =
        digits.parse::<f64>().map_err(|_| "it is not a duration, as 10s is".to_owned())?
            * seconds_each;
    match Duration::try_from_secs_f64(seconds) {
        Ok(duration) if duration < Duration::from_millis(1) => {
            Err("it must be at least 1ms".to_owned())
        }
        // Longer ones cannot be added to a clock.
        Ok(duration) if duration <= Duration::from_secs(10 * 365 * 86400) => Ok(duration),
        _ => Err("it is too long".to_owned()),
    }
}

/// Writes a size as [`parse_size`] reads it, in the largest unit that leaves a whole number.
#[must_use]
pub fn show_size(bytes: u64) -> String {
    let units = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    let whole = |(_, factor): &(&str, u64)| bytes != 0 && bytes.is_multiple_of(*factor);
    match units.into_iter().find(whole) {
        Some((unit, factor)) => format!("{}{unit}", bytes / factor),
        None => bytes.to_string(),
    }
}

/// Writes a duration as [`parse_duration`] reads it, in the largest unit that leaves a whole number.
#[must_use]
pub fn show_duration(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    let units = [("d", 86400 * 1000), ("h", 3600 * 1000), ("m", 60 * 1000), ("s", 1000), ("ms", 1)];
    let units = units.map(|(unit, millis)| (unit, millis * 1_000_000));
    match units.into_iter().find(|(_, factor)| nanos != 0 && nanos.is_multiple_of(*factor)) {
        Some((unit, factor)) => format!("{}{unit}", nanos / factor),
        None => format!("{}s", duration.as_secs_f64()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_grows_with_the_host() {
        assert_eq!(default_ring_size(1), 8 << 20);
        assert_eq!(default_ring_size(8), 8 << 20);
        assert_eq!(default_ring_size(96), 128 << 20);
        assert_eq!(default_ring_size(1024), 128 << 20);
        assert_eq!(smallest_ring_size(2), 1 << 10);
        assert_eq!(smallest_ring_size(96), 64 << 10);
    }

    #[test]
    fn ring_sizes() {
        for (text, bytes) in
            [("4096", 4096), ("4KiB", 4096), ("5000", 8192), ("8MiB", 8 << 20), ("1GiB", 1 << 30)]
        {
            assert_eq!(parse_ring_size(text), Ok(bytes), "{text}");
        }
        for bad in
            ["", "0", "4095", "2GiB", "8 MB", "eight", "8TiB", "99999999999999999999MiB", "-1"]
        {
            assert!(parse_ring_size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn durations() {
        for (text, millis) in
            [("1", 1000), ("10ms", 10), ("1.5s", 1500), ("2m", 120_000), ("1h", 3_600_000)]
        {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for bad in ["", "0", "0.1ms", "s", "1 week", "1e3", "-1", "..", "999999999h"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_shown_can_be_read() {
        for (bytes, shown) in
            [(0, "0"), (5000, "5000"), (64 << 10, "64KiB"), (8 << 20, "8MiB"), (3 << 30, "3GiB")]
        {
            assert_eq!(show_size(bytes), shown);
            assert_eq!(parse_size(shown), Ok(bytes));
        }
        for (micros, shown) in [
            (1_500, "0.0015s"),
            (10_000, "10ms"),
            (1_500_000, "1500ms"),
            (60_000_000, "1m"),
            (86_400_000_000, "1d"),
        ] {
            let duration = Duration::from_micros(micros);
            assert_eq!(show_duration(duration), shown);
            assert_eq!(parse_duration(shown), Ok(duration));
        }
    }
}
