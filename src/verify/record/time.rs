//! Times as they stand in a record: RFC 3339, UTC, nine digits of a second. Their texts sort as they do.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Deserialize;
use serde::Deserializer;
use serde::de::Error;
use serde::de::Unexpected;
use serde::de::Visitor;

/// Length of `2026-11-23T07:03:04.123456789Z`.
const LEN: usize = 30;

/// A time of a record.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time([u8; LEN]);

impl Time {
    /// Reads one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes: [u8; LEN] = text.as_bytes().try_into().ok()?;
        let form = b"0000-00-00T00:00:00.000000000Z";
        let formed = bytes.iter().zip(form).all(|(byte, like)| match like {
            b'0' => byte.is_ascii_digit(),
            _ => byte == like,
        });
        if !formed {
            return None;
        }
        let two = |at: usize| (bytes[at] - b'0') * 10 + (bytes[at + 1] - b'0');
        let (month, day) = (two(5), two(8));
        // Up to the 28th, which is mostly so, every day of every month is one.
        let is_date = matches!(month, 1..=12) && matches!(day, 1..=28)
            || Date::new(
                i16::from(two(0)) * 100 + i16::from(two(2)),
                month.cast_signed(),
                day.cast_signed(),
            )
            .is_ok();
        (is_date && two(11) < 24 && two(14) < 60 && two(17) < 60).then_some(Self(bytes))
    }

    /// Its text.
    #[must_use]
    pub fn text(&self) -> &str {
        // It was made from text, and is ASCII.
        str::from_utf8(&self.0).unwrap_or_default()
    }

    /// Microseconds from an earlier time to this one; negative if that is later.
    #[must_use]
    pub fn micros_since(&self, earlier: &Self) -> i64 {
        let at = |time: &Self| time.text().parse::<Timestamp>().map(Timestamp::as_microsecond);
        match (at(self), at(earlier)) {
            (Ok(later), Ok(earlier)) => later.saturating_sub(earlier),
            _ => 0,
        }
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Parse;
        impl Visitor<'_> for Parse {
            type Value = Time;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time as 2026-11-23T07:03:04.123456789Z")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Time, E> {
                Time::parse(text).ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_str(Parse)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_of_the_calendar() {
        for (text, good) in [
            ("2026-11-23T07:03:04.123456789Z", true),
            ("2028-02-29T23:59:59.999999999Z", true),
            ("2026-02-29T00:00:00.000000000Z", false),
            ("2026-11-31T00:00:00.000000000Z", false),
            ("2026-12-31T00:00:00.000000000Z", true),
            ("2026-00-10T00:00:00.000000000Z", false),
            ("2026-10-00T00:00:00.000000000Z", false),
            ("2026-10-10T24:00:00.000000000Z", false),
            ("2026-10-10T00:00:60.000000000Z", false),
            ("2026-10-10T00:00:00.00000000Z", false),
            ("2026-10-10T00:00:00.000000000z", false),
            ("+026-10-10T00:00:00.000000000Z", false),
        ] {
            assert_eq!(Time::parse(text).is_some(), good, "{text}");
        }
    }

    #[test]
    fn spans() {
        let time = |text: &str| Time::parse(text).expect("a time");
        let (a, b) =
            (time("2026-11-30T23:59:59.999999000Z"), time("2026-12-01T00:00:00.000001000Z"));
        assert_eq!((b.micros_since(&a), a.micros_since(&b)), (2, -2));
        assert!(a < b);
    }
}
