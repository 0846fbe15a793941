//! Networks, as 10.0.0.0/8 or 2001:db8::/32, and lists of them.
//!
//! A network is 128 bits and a prefix; an IPv4 network is the one of its v4-mapped addresses. So it matches
//! what an IPv6 socket speaks of IPv4, and ::ffff:10.0.0.0/104 is just another way to write 10.0.0.0/8. An
//! IPv6 network never matches IPv4, mapped or not: ::/0 is all of IPv6, as 0.0.0.0/0 is all of IPv4.

use std::fmt;
use std::fmt::Display;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;

use super::list::Item;
use super::list::List;

/// Bits in front of the IPv4 address in a v4-mapped one.
const MAPPED_BITS: u32 = 96;

/// A network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network {
    /// Without bits behind the prefix.
    bits: u128,
    /// At most 128.
    prefix_len: u32,
}

/// Networks.
pub type NetList = List<Network>;

impl Network {
    /// All of IPv4, v4-mapped.
    pub(super) const IPV4: Self = Self { bits: 0xffff << 32, prefix_len: MAPPED_BITS };

    /// 127.0.0.0/8 and ::1.
    pub const LOOPBACK: [Self; 2] = [
        Self { bits: 0xffff_7f00_0000, prefix_len: MAPPED_BITS + 8 },
        Self { bits: 1, prefix_len: 128 },
    ];

    /// The address: in 128 bits, v4-mapped if it is IPv4.
    #[must_use]
    pub const fn bits(&self) -> u128 {
        self.bits
    }

    /// How many of the 128 bits stand for the network.
    #[must_use]
    pub const fn prefix_len(&self) -> u32 {
        self.prefix_len
    }

    /// Whether it is a network of IPv4 addresses.
    #[must_use]
    pub const fn is_ipv4(&self) -> bool {
        self.prefix_len >= MAPPED_BITS && self.bits >> 32 == 0xffff
    }

    /// Whether it holds all addresses of another one, as far as the bits go: ::/0 holds all of IPv4.
    pub(super) const fn covers(&self, other: &Self) -> bool {
        self.prefix_len <= other.prefix_len && (self.bits ^ other.bits) & mask(self.prefix_len) == 0
    }

    /// Whether it holds all addresses of another one.
    pub(super) const fn contains(&self, other: &Self) -> bool {
        self.is_ipv4() == other.is_ipv4() && self.covers(other)
    }
}

/// The bits of a prefix.
const fn mask(prefix_len: u32) -> u128 {
    // No bit at all for a prefix of 0, where the shift would be one of 128.
    match u128::MAX.checked_shl(128 - prefix_len) {
        Some(mask) => mask,
        None => 0,
    }
}

impl From<IpAddr> for Network {
    fn from(address: IpAddr) -> Self {
        let address = match address {
            IpAddr::V4(v4) => v4.to_ipv6_mapped(),
            IpAddr::V6(v6) => v6,
        };
        Self { bits: address.to_bits(), prefix_len: 128 }
    }
}

impl Item for Network {
    fn read(text: &str) -> Result<Self, String> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address
            .parse()
            .map_err(|_| "is no network, as 10.0.0.0/8 and 2001:db8::/32 are, and no address")?;
        let single = Self::from(address);
        let Some(prefix) = prefix else { return Ok(single) };
        let (before, longest) = if address.is_ipv4() { (MAPPED_BITS, 32) } else { (0, 128) };
        let prefix_len = match u32::read(prefix) {
            Ok(len) if len <= longest => before + len,
            _ => return Err(format!("has no prefix from 0 to {longest} behind the slash")),
        };
        let network = Self { bits: single.bits & mask(prefix_len), prefix_len };
        if network.bits != single.bits {
            return Err(format!("is an address in a network; the network is {network}"));
        }
        Ok(network)
    }
}

impl Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let len = if self.is_ipv4() {
            #[expect(clippy::cast_possible_truncation, reason = "the lower half is the address")]
            write!(f, "{}", Ipv4Addr::from_bits(self.bits as u32))?;
            self.prefix_len - MAPPED_BITS
        } else {
            write!(f, "{}", Ipv6Addr::from_bits(self.bits))?;
            self.prefix_len
        };
        if self.prefix_len == 128 { Ok(()) } else { write!(f, "/{len}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_read_and_written() {
        for (text, written) in [
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("192.0.2.1", "192.0.2.1"),
            ("192.0.2.1/32", "192.0.2.1"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("2001:DB8::/32", "2001:db8::/32"),
            ("::1", "::1"),
            ("::/0", "::/0"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("::ffff:0:0/96", "0.0.0.0/0"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("::fffe:0:0/95", "::fffe:0:0/95"),
        ] {
            assert_eq!(Network::read(text).expect(text).to_string(), written, "{text}");
        }
        let loopback: NetList = "127.0.0.0/8,::1".parse().expect("a list");
        assert_eq!(loopback.include, Network::LOOPBACK);
        assert_eq!(Network::read("0.0.0.0/0"), Ok(Network::IPV4));
        assert!(Network::IPV4.is_ipv4());
    }

    #[test]
    fn what_is_no_network() {
        for (bad, why) in [
            ("", "'' is no network"),
            ("10.0.0/8", "'10.0.0/8' is no network"),
            ("10.0.0.01", "is no network"),
            ("example.org", "and no address"),
            ("fe80::1%eth0", "is no network"),
            ("[::1]", "is no network"),
            ("10.0.0.0/", "prefix from 0 to 32"),
            ("10.0.0.0/33", "prefix from 0 to 32"),
            ("10.0.0.0/-1", "prefix from 0 to 32"),
            ("10.0.0.0/255.0.0.0", "prefix from 0 to 32"),
            ("2001:db8::/129", "prefix from 0 to 128"),
            (
                "::1,!10.1.2.3/8",
                "'!10.1.2.3/8' is an address in a network; the network is 10.0.0.0/8",
            ),
            ("2001:db8::1/32", "the network is 2001:db8::/32"),
            ("::ffff:10.0.0.1/104", "the network is 10.0.0.0/8"),
            ("::ffff:0:0/95", "the network is ::fffe:0:0/95"),
            ("0.0.0.1/0", "the network is 0.0.0.0/0"),
            ("::1/0", "the network is ::/0"),
        ] {
            let said = bad.parse::<NetList>().expect_err(bad);
            assert!(said.contains(why), "{bad}: {said}");
        }
    }
}
