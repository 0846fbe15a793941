//! Times as text: RFC 3339, UTC, always nine digits of a second.

use jiff::Timestamp;

/// Length of `2026-11-23T07:03:04.123456789Z`.
const LEN: usize = 30;

/// Writes times; remembers the second, so that only the fraction is new most of the time.
#[derive(Debug)]
pub struct TimeWriter {
    second: Option<u64>,
    text: [u8; LEN],
}

impl Default for TimeWriter {
    fn default() -> Self {
        Self { second: None, text: *b"0000-00-00T00:00:00.000000000Z" }
    }
}

impl TimeWriter {
    /// Appends a time, given in nanoseconds since 1970.
    pub fn write(&mut self, out: &mut Vec<u8>, unix_ns: u64) {
        let (second, mut fraction) = (unix_ns / 1_000_000_000, unix_ns % 1_000_000_000);
        if self.second != Some(second) {
            self.set_second(second);
        }
        for digit in self.text[20..29].iter_mut().rev() {
            *digit = b'0' + (fraction % 10) as u8;
            fraction /= 10;
        }
        out.extend_from_slice(&self.text);
    }

    fn set_second(&mut self, second: u64) {
        self.second = Some(second);
        // u64 nanoseconds end in the year 2554, well within jiff's range.
        let timestamp = i64::try_from(second)
            .ok()
            .and_then(|second| Timestamp::from_second(second).ok())
            .unwrap_or_default();
        let text = timestamp.to_string();
        if let Some(date_and_time) = text.as_bytes().get(..19) {
            self.text[..19].copy_from_slice(date_and_time);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(writer: &mut TimeWriter, unix_ns: u64) -> String {
        let mut out = Vec::new();
        writer.write(&mut out, unix_ns);
        String::from_utf8(out).expect("ASCII")
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

    proptest::proptest! {
        #[test]
        fn agrees_with_the_library(times: Vec<u64>) {
            let mut writer = TimeWriter::default();
            for unix_ns in times {
                let timestamp = Timestamp::from_nanosecond(unix_ns.into()).expect("in range");
                proptest::prop_assert_eq!(text(&mut writer, unix_ns), format!("{timestamp:.9}"));
            }
        }
    }
}
