//! What the user wants, validated: nothing that follows needs to doubt it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::encode::Format;
use crate::event::Kind;
use crate::ledger::FiltersGiven;

/// What to trace, and where to write it.
#[derive(Clone, Debug)]
pub struct Config {
    /// The kinds of events; at least one, none twice.
    pub events: Vec<Kind>,
    /// Which connections.
    pub filters: Filters,
    /// Where to write; at least one, none twice.
    pub outputs: Vec<Output>,
    /// Stop after so many events.
    pub max_events: Option<u64>,
    /// Stop after so long.
    pub duration: Option<Duration>,
    /// Size of the ring buffer in bytes: a power of two, and whole pages.
    pub ring_size: u32,
    /// How long events may wait in the ring while more of them come.
    pub flush_interval: Duration,
    /// Write the figures so often.
    pub heartbeat: Option<Duration>,
    /// Say nothing but errors.
    pub quiet: bool,
    /// Say more.
    pub verbose: bool,
}

/// One output.
#[derive(Clone, Debug)]
pub struct Output {
    /// Where to.
    pub destination: Destination,
    /// How.
    pub format: Format,
    /// A table gets a column of times.
    pub timestamps: bool,
}

/// A place to write to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Standard output.
    Stdout,
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdout => f.write_str("stdout"),
        }
    }
}

impl FromStr for Destination {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "stdout" | "-" => Ok(Self::Stdout),
            _ => Err("the only output so far is stdout".to_owned()),
        }
    }
}

/// Which connections are wanted: those that every filter admits.
#[derive(Clone, Debug, Default)]
pub struct Filters {
    /// By process id.
    pub pids: NumberList,
    /// By user id.
    pub uids: NumberList,
    /// By address family.
    pub families: Families,
}

/// The longest text of a filter that a `start` record repeats, in bytes.
const FILTER_TEXT: usize = 1024;

impl Filters {
    /// As the `start` record tells them; `None` if everything is wanted.
    #[must_use]
    pub fn given(&self) -> Option<FiltersGiven> {
        let mut cut = false;
        let mut text = |list: &NumberList| {
            (!list.is_empty()).then(|| {
                let mut text = list.to_string();
                if text.len() > FILTER_TEXT {
                    // At a comma: no number is torn, and all of it is ASCII.
                    let end = text[..FILTER_TEXT].rfind(',').unwrap_or(0);
                    text.truncate(end);
                    cut = true;
                }
                text
            })
        };
        let given = FiltersGiven {
            pid: text(&self.pids),
            uid: text(&self.uids),
            family: match self.families {
                Families::Both => None,
                Families::Ipv4 => Some("ipv4"),
                Families::Ipv6 => Some("ipv6"),
            },
            cut,
        };
        (given != FiltersGiven::default()).then_some(given)
    }
}

/// Address families.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Families {
    /// IPv4 and IPv6.
    #[default]
    Both,
    /// IPv4, v4-mapped included.
    Ipv4,
    /// IPv6.
    Ipv6,
}

/// Numbers that are included, and numbers that are excluded. With nothing included, all others are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NumberList {
    /// Only these, if there are any.
    pub include: Vec<u32>,
    /// Not these, even if included.
    pub exclude: Vec<u32>,
}

impl NumberList {
    /// How many numbers it names.
    #[must_use]
    pub fn len(&self) -> usize {
        self.include.len() + self.exclude.len()
    }

    /// Whether it names none, and so admits all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds the numbers of another list.
    pub fn extend(&mut self, other: &Self) {
        self.include.extend(&other.include);
        self.exclude.extend(&other.exclude);
    }
}

impl FromStr for NumberList {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut list = Self::default();
        for item in text.split(',') {
            let item = item.trim();
            let (numbers, digits) = match item.strip_prefix('!') {
                Some(rest) => (&mut list.exclude, rest),
                None => (&mut list.include, item),
            };
            if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
                return Err(format!("'{item}' is not a number"));
            }
            numbers.push(digits.parse().map_err(|_| format!("'{item}' is too large"))?);
        }
        Ok(list)
    }
}

impl fmt::Display for NumberList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (mark, numbers) in [("", &self.include), ("!", &self.exclude)] {
            for number in numbers {
                write!(f, "{separator}{mark}{number}")?;
                separator = ",";
            }
        }
        Ok(())
    }
}

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
    let bytes = parse_bytes(text)?;
    if !(MIN_RING..=MAX_RING).contains(&bytes) {
        return Err(bounds());
    }
    let page = rustix::param::page_size() as u64;
    u32::try_from(bytes.max(page).next_power_of_two()).map_err(|_| bounds())
}

fn parse_bytes(text: &str) -> Result<u64, String> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    let factor = match unit.trim() {
        "" | "B" => 1,
        "KiB" | "K" | "k" => 1 << 10,
        "MiB" | "M" => 1 << 20,
        "GiB" | "G" => 1 << 30,
        other => return Err(format!("'{other}' is no unit; use bytes, KiB or MiB, as in 8MiB")),
    };
    digits
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(factor))
        .ok_or_else(|| "it is not a size, as 8MiB is".to_owned())
}

/// Reads a duration: a number with ms, s, m or h; seconds without a unit. At least a millisecond.
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
        other => return Err(format!("'{other}' is no unit; use ms, s, m or h, as in 10ms")),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_lists() {
        let list: NumberList = "1, 22,!3".parse().expect("a list");
        assert_eq!(list, NumberList { include: vec![1, 22], exclude: vec![3] });
        assert_eq!(list.to_string(), "1,22,!3");
        for bad in ["", "1,", "x", "-1", "!", "1,!!2", "4294967296", "+1"] {
            assert!(bad.parse::<NumberList>().is_err(), "{bad}");
        }
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
    fn long_filters_are_cut_between_numbers() {
        let filters = Filters {
            pids: NumberList { include: (1_000_000..1_001_000).collect(), exclude: vec![] },
            ..Filters::default()
        };
        let given = filters.given().expect("filters");
        let pid = given.pid.expect("pids");
        assert!(given.cut && pid.len() <= FILTER_TEXT && pid.starts_with("1000000,"));
        assert_eq!(pid.rsplit(',').next().map(str::len), Some(7));
        assert_eq!(Filters::default().given(), None);
    }
}
