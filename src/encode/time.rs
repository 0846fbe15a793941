//! Times as text: RFC 3339, UTC, always nine digits of a second.

use jiff::Timestamp;
use jiff::tz::Offset;

use super::number::eight_digits;
use super::number::two_digits;

/// Length of `2026-11-23T07:03:04.123456789Z`.
const LEN: usize = 30;

const DAY_SECONDS: u64 = 86_400;

/// Writes times; keeps the text of the last one, and makes anew only what differs: mostly the fraction.
#[derive(Debug)]
pub struct TimeWriter {
    /// That the text tells; since 1970.
    second: Option<u64>,
    /// That the text tells; since 1970.
    day: Option<u64>,
    text: [u8; LEN],
}

impl Default for TimeWriter {
    fn default() -> Self {
        Self { second: None, day: None, text: *b"0000-00-00T00:00:00.000000000Z" }
    }
}

impl TimeWriter {
    /// Appends a time, given in nanoseconds since 1970.
    #[inline]
    pub fn write(&mut self, out: &mut Vec<u8>, unix_ns: u64) {
        let (second, fraction) = (unix_ns / 1_000_000_000, unix_ns % 1_000_000_000);
        if self.second != Some(second) {
            self.set_second(second);
        }
        self.text[20..28].copy_from_slice(&eight_digits(fraction / 10));
        self.text[28] = b'0' + (fraction % 10) as u8;
        out.extend_from_slice(&self.text);
    }

    fn set_second(&mut self, second: u64) {
        let (day, of_day) = (second / DAY_SECONDS, second % DAY_SECONDS);
        if self.day != Some(day) {
            self.set_day(day);
        }
        self.text[11..13].copy_from_slice(&two_digits(of_day / 3600));
        self.text[14..16].copy_from_slice(&two_digits(of_day / 60 % 60));
        self.text[17..19].copy_from_slice(&two_digits(of_day % 60));
        self.second = Some(second);
    }

    fn set_day(&mut self, day: u64) {
        // u64 nanoseconds end in the year 2554, well within jiff's range.
        let midnight = i64::try_from(day * DAY_SECONDS)
            .ok()
            .and_then(|second| Timestamp::from_second(second).ok())
            .unwrap_or_default();
        let date = Offset::UTC.to_datetime(midnight).date();
        let part = |number: i16| two_digits(u64::from(number.unsigned_abs()));
        self.text[0..2].copy_from_slice(&part(date.year() / 100));
        self.text[2..4].copy_from_slice(&part(date.year() % 100));
        self.text[5..7].copy_from_slice(&part(date.month().into()));
        self.text[8..10].copy_from_slice(&part(date.day().into()));
        self.day = Some(day);
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::Just;
    use proptest::prelude::Strategy;
    use proptest::prelude::any;
    use proptest::prop_oneof;

    use super::*;

    fn text(writer: &mut TimeWriter, unix_ns: u64) -> String {
        let mut out = Vec::new();
        writer.write(&mut out, unix_ns);
        String::from_utf8(out).expect("ASCII")
    }

    fn expected(unix_ns: u64) -> String {
        let timestamp = Timestamp::from_nanosecond(unix_ns.into()).expect("in range");
        format!("{timestamp:.9}")
    }

    #[test]
    fn always_nine_digits() {
        let mut writer = TimeWriter::default();
        assert_eq!(text(&mut writer, 0), "1970-01-01T00:00:00.000000000Z");
        assert_eq!(text(&mut writer, 1), "1970-01-01T00:00:00.000000001Z");
        assert_eq!(text(&mut writer, 1_795_417_384_120_000_000), "2026-11-23T07:03:04.120000000Z");
        assert_eq!(text(&mut writer, 1_795_417_384_999_999_999), "2026-11-23T07:03:04.999999999Z");
        assert_eq!(text(&mut writer, 1_795_417_385_000_000_000), "2026-11-23T07:03:05.000000000Z");
        assert_eq!(text(&mut writer, u64::MAX), "2554-07-21T23:34:33.709551615Z");
    }

    #[test]
    fn over_midnight_leap_days_and_back() {
        let mut writer = TimeWriter::default();
        for date in ["2028-02-29", "2027-03-01", "2100-03-01", "2000-03-01", "2027-01-01"] {
            let midnight: Timestamp = format!("{date}T00:00:00Z").parse().expect("a time");
            let midnight = u64::try_from(midnight.as_nanosecond()).expect("after 1970");
            for unix_ns in [midnight - 1, midnight, midnight - 86_400_000_000_000, midnight + 1] {
                assert_eq!(text(&mut writer, unix_ns), expected(unix_ns));
            }
        }
    }

    /// From one time to the next: by a little or a lot, forth and back.
    fn step() -> impl Strategy<Value = i64> {
        let sizes: [i64; 6] = [1, 1_000_000_000, 60, 60, 24, 366];
        let unit = (0..sizes.len()).prop_map(move |n| sizes[..=n].iter().product::<i64>());
        prop_oneof![Just(0), (unit, -70..70_i64).prop_map(|(unit, n)| unit.saturating_mul(n))]
    }

    proptest::proptest! {
        #[test]
        fn agrees_with_the_library(first: u64, steps in vec(step(), 0..50), times in vec(any::<u64>(), 0..3)) {
            let mut writer = TimeWriter::default();
            let mut now = first;
            proptest::prop_assert_eq!(text(&mut writer, now), expected(now));
            for step in steps {
                now = now.saturating_add_signed(step);
                proptest::prop_assert_eq!(text(&mut writer, now), expected(now));
            }
            for time in times {
                proptest::prop_assert_eq!(text(&mut writer, time), expected(time));
            }
        }
    }
}
