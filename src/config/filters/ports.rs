//! Lists of ports: 443, 8000-8999, !22.

use std::fmt;
use std::fmt::Display;

use super::list::Item;
use super::list::List;

/// Words of a map with one bit a port.
const WORDS: usize = 65_536 / 64;

/// Ports from the first to the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortRange {
    /// At least 1.
    pub first: u16,
    /// At least the first one.
    pub last: u16,
}

/// Ports, and ranges of them.
pub type PortList = List<PortRange>;

impl PortList {
    /// One bit a port, the lowest of the first word for port 0: set if the list admits the port. Port 0
    /// cannot be named and stands for "no port": only a list that includes nothing admits it.
    #[must_use]
    pub fn admitted(&self) -> Box<[u64; WORDS]> {
        let mut words = Box::new([if self.admits_others() { u64::MAX } else { 0 }; WORDS]);
        let bits = |range: &PortRange| {
            (range.first..=range.last).map(|port| (usize::from(port / 64), 1_u64 << (port % 64)))
        };
        for (word, bit) in self.include.iter().flat_map(bits) {
            words[word] |= bit;
        }
        for (word, bit) in self.exclude.iter().flat_map(bits) {
            words[word] &= !bit;
        }
        words
    }
}

impl Item for PortRange {
    fn read(text: &str) -> Result<Self, String> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let (first, last) = (port(first)?, port(last)?);
        if first > last {
            return Err(format!("is empty; the range is {last}-{first}"));
        }
        Ok(Self { first, last })
    }
}

fn port(text: &str) -> Result<u16, String> {
    let number =
        u32::read(text).map_err(|_| "is no port, as 443 is, and no range, as 8000-8999 is")?;
    match u16::try_from(number) {
        Ok(port) if port != 0 => Ok(port),
        _ => Err("is no port: they go from 1 to 65535".to_owned()),
    }
}

impl Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}-{}", self.first, self.last)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> PortList {
        text.parse().expect(text)
    }

    fn admits(words: &[u64], port: u16) -> bool {
        words[usize::from(port / 64)] >> (port % 64) & 1 == 1
    }

    #[test]
    fn ports_and_ranges() {
        let some = list("443, 8000-8999,!8080,!8500-8501,7-7");
        assert_eq!(some.to_string(), "443,8000-8999,7,!8080,!8500-8501");
        let words = some.admitted();
        for (port, admitted) in [
            (0, false),
            (7, true),
            (442, false),
            (443, true),
            (444, false),
            (7999, false),
            (8000, true),
            (8080, false),
            (8499, true),
            (8500, false),
            (8501, false),
            (8999, true),
            (9000, false),
            (65535, false),
        ] {
            assert_eq!(admits(&words[..], port), admitted, "{port}");
        }
    }

    #[test]
    fn only_exclusions_admit_all_others() {
        let words = list("!1,!65535").admitted();
        let refused = (0..=u16::MAX).filter(|&port| !admits(&words[..], port));
        assert_eq!(refused.collect::<Vec<_>>(), [1, 65535]);
    }

    #[test]
    fn all_ports() {
        let words = list("1-65535").admitted();
        assert!(!admits(&words[..], 0), "what has no port is not included");
        assert!((1..=u16::MAX).all(|port| admits(&words[..], port)));
    }

    #[test]
    fn what_is_no_port() {
        for (bad, why) in [
            ("", "'' is no port"),
            ("http", "'http' is no port"),
            ("-1", "'-1' is no port"),
            ("80-", "'80-' is no port"),
            ("1-2-3", "'1-2-3' is no port"),
            ("0", "from 1 to 65535"),
            ("0-80", "from 1 to 65535"),
            ("443,!65536", "'!65536' is no port: they go from 1 to 65535"),
            ("99999999999", "'99999999999' is no port"),
            ("9-1", "the range is 1-9"),
        ] {
            let said = bad.parse::<PortList>().expect_err(bad);
            assert!(said.contains(why), "{bad}: {said}");
        }
    }
}
