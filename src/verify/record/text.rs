//! Texts that follow a rule. They are checked where they lie, and not kept: only a run's id is.

use std::fmt;
use std::marker::PhantomData;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;

use serde::Deserialize;
use serde::Deserializer;
use serde::de::Error;
use serde::de::Unexpected;
use serde::de::Visitor;

/// A rule that a text follows.
pub trait Rule {
    /// What is expected, in words.
    const EXPECTED: &'static str;
    /// Whether a text follows it.
    fn holds(text: &str) -> bool;
}

/// A text that follows a rule.
#[derive(Debug)]
pub struct Text<R>(PhantomData<R>);

impl<'de, R: Rule> Deserialize<'de> for Text<R> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Check<R>(PhantomData<R>);
        impl<R: Rule> Visitor<'_> for Check<R> {
            type Value = Text<R>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(R::EXPECTED)
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Text<R>, E> {
                if R::holds(text) {
                    return Ok(Text(PhantomData));
                }
                Err(E::invalid_value(Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_str(Check(PhantomData))
    }
}

/// Rules: a name, what is expected, and the test.
macro_rules! rules {
    ($($(#[$doc:meta])* $name:ident: $expected:literal, $holds:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name;
        impl Rule for $name {
            const EXPECTED: &'static str = $expected;
            fn holds(text: &str) -> bool {
                let holds: fn(&str) -> bool = $holds;
                holds(text)
            }
        }
    )*};
}

rules! {
    /// The id of a host or a boot.
    Id: "32 hexadecimal digits", |text| text.len() == 32 && is_hex(text);
    /// The id of a connection.
    ConnId: "an id of a connection, as d4ff911f-23a845", |text| {
        let (cookie, generation) = match behind_boot(text).and_then(|rest| rest.split_once('.')) {
            Some((cookie, generation)) => (Some(cookie), Some(generation)),
            None => (behind_boot(text), None),
        };
        cookie.is_some_and(|cookie| is_hex_number(cookie) && cookie != "0")
            && generation.is_none_or(|number| is_decimal(number) && number != "0" && number.len() <= 10)
    };
    /// The id of a process.
    ProcessId: "an id of a process, as d4ff911f-3146-e36a38c25a4", |text| {
        behind_boot(text).and_then(|rest| rest.split_once('-')).is_some_and(|(pid, start)| {
            is_decimal(pid) && pid.len() <= 10 && is_hex_number(start)
        })
    };
    /// The id of a cgroup.
    CgroupId: "a decimal number as a string", |text| {
        text.len() <= 20 && is_decimal(text) && text != "0"
    };
    /// An address.
    Ip: "an IPv4 or IPv6 address", |text| {
        text.parse::<Ipv4Addr>().is_ok() || text.parse::<Ipv6Addr>().is_ok()
    };
    /// The name of an error.
    Errno: "the name of an error, as ECONNREFUSED", |text| {
        text.strip_prefix('E').is_some_and(|rest| !rest.is_empty()
            && rest.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit()))
    };
    /// The name of a thread.
    Name: "at most 16 characters", |text| text.len() <= 16 || text.chars().count() <= 16;
    /// The bytes of a name.
    NameHex: "1 to 16 bytes in hexadecimal digits", |text| {
        (2..=32).contains(&text.len()) && text.len() % 2 == 0 && is_hex(text)
    };
    /// Any text but none.
    Given: "a text that is not empty", |text| !text.is_empty();
    /// A version of connledger.
    Version: "a version, as 1.2.3", |text| {
        let mut parts = text.splitn(3, '.');
        let numbers = parts.by_ref().take(2).filter(|part| is_digits(part)).count();
        numbers == 2 && parts.next().is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    };
    /// A hook in the kernel.
    Hook: "kind and name of a hook, as tp_btf/inet_sock_set_state", |text| {
        let mut parts = text.split('/');
        let word = |part: &str, digits: bool| !part.is_empty() && part.bytes().all(
            |byte| byte == b'_' || byte.is_ascii_lowercase() || digits && byte.is_ascii_digit());
        parts.next().is_some_and(|kind| word(kind, false))
            && text.contains('/') && parts.all(|name| word(name, true))
    };
    /// Numbers.
    NumberList: "numbers with commas between", |text| is_list(text, |number| {
        is_digits(number) && number.len() <= 10
    });
    /// Ports and ranges of them.
    PortList: "ports with commas between", |text| is_list(text, |ports| {
        let (first, last) = ports.split_once('-').unwrap_or((ports, "1"));
        [first, last].iter().all(|port| is_decimal(port) && *port != "0" && port.len() <= 5)
    });
    /// Addresses and networks.
    NetList: "networks with commas between", |text| is_list(text, |net| {
        let (ip, bits) = net.split_once('/').unwrap_or((net, "0"));
        !ip.is_empty() && ip.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b':' | b'.'))
            && is_digits(bits) && bits.len() <= 3
    });
    /// Names.
    TextList: "1 to 512 characters", |text| !text.is_empty() && is_short(text);
    /// Cgroups.
    CgroupList: "paths of cgroups with commas between", |text| {
        text.strip_prefix('!').unwrap_or(text).starts_with('/') && is_short(text)
    };
}

/// The name of an output.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OutputName(pub String);

impl OutputName {
    fn holds(text: &str) -> bool {
        let is_path = |prefix| {
            // It is one line.
            text.strip_prefix(prefix).is_some_and(|path| !path.is_empty() && !path.contains('\n'))
        };
        (matches!(text, "stdout" | "journald")
            || ["file:", "unix:", "unix-dgram:", "journald:"].into_iter().any(is_path))
            && text.chars().count() <= 300
    }
}

impl<'de> Deserialize<'de> for OutputName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if Self::holds(&text) {
            return Ok(Self(text));
        }
        Err(D::Error::invalid_value(Unexpected::Str(&text), &"the name of an output"))
    }
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Of 64 bits, without leading zeros.
fn is_hex_number(text: &str) -> bool {
    (1..=16).contains(&text.len()) && is_hex(text) && (text == "0" || !text.starts_with('0'))
}

/// Without leading zeros.
fn is_decimal(text: &str) -> bool {
    is_digits(text) && (text == "0" || !text.starts_with('0'))
}

/// What stands behind the first eight digits of the boot's id.
fn behind_boot(text: &str) -> Option<&str> {
    let (boot, rest) = text.split_at_checked(8)?;
    if is_hex(boot) { rest.strip_prefix('-') } else { None }
}

fn is_short(text: &str) -> bool {
    text.len() <= 512 || text.chars().count() <= 512
}

fn is_list(text: &str, item: impl Fn(&str) -> bool) -> bool {
    is_short(text) && text.split(',').all(|text| item(text.strip_prefix('!').unwrap_or(text)))
}

/// The id of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunId(pub u64);

impl RunId {
    /// Reads 16 hexadecimal digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let id = u64::from_str_radix(text, 16).ok()?;
        (text.len() == 16 && is_hex(text)).then_some(Self(id))
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl<'de> Deserialize<'de> for RunId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Parse;
        impl Visitor<'_> for Parse {
            type Value = RunId;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("16 hexadecimal digits")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<RunId, E> {
                RunId::parse(text).ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_str(Parse)
    }
}
