//! Addresses as text: RFC 5952 for IPv6.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::ops::Range;

use super::number::DIGITS;
use super::number::push_first;
use super::number::push_hex_u16;

/// Each octet in decimal with a dot behind it, and how long that is.
const OCTETS: [([u8; 4], u8); 256] = {
    let mut octets = [([0; 4], 0); 256];
    let mut i = 0;
    while i < 256 {
        let [a, b, c] = [DIGITS[i / 100], DIGITS[i / 10 % 10], DIGITS[i % 10]];
        octets[i] = match i {
            0..10 => ([c, b'.', 0, 0], 2),
            10..100 => ([b, c, b'.', 0], 3),
            _ => ([a, b, c, b'.'], 4),
        };
        i += 1;
    }
    octets
};

/// Appends an address.
pub fn write_ip(out: &mut Vec<u8>, ip: IpAddr) {
    match ip {
        IpAddr::V4(ip) => write_v4(out, ip),
        IpAddr::V6(ip) => write_v6(out, ip),
    }
}

fn write_v4(out: &mut Vec<u8>, ip: Ipv4Addr) {
    for octet in ip.octets() {
        let (text, len) = &OCTETS[usize::from(octet)];
        push_first(out, text, usize::from(*len));
    }
    out.pop();
}

/// Lower case, no leading zeros, the longest run of two or more zero groups as `::`, the first of equals
/// (RFC 5952 §4); the last 32 bits as IPv4 behind a prefix that says so (§5).
fn write_v6(out: &mut Vec<u8>, ip: Ipv6Addr) {
    let groups = ip.segments();
    let (hex_groups, embedded) = match embedded_v4(&groups) {
        Some(v4) => (&groups[..6], Some(v4)),
        None => (&groups[..], None),
    };
    let zeros = longest_zero_run(hex_groups);
    // A colon goes before each group, but for the first one and the one behind the double colon.
    let mut separate = false;
    for (i, &group) in hex_groups.iter().enumerate() {
        if zeros.contains(&i) {
            if i == zeros.start {
                out.extend_from_slice(b"::");
            }
            separate = false;
            continue;
        }
        if separate {
            out.push(b':');
        }
        push_hex_u16(out, group);
        separate = true;
    }
    if let Some(v4) = embedded {
        if separate {
            out.push(b':');
        }
        write_v4(out, v4);
    }
}

/// The IPv4 address in the last 32 bits, behind a well-known prefix: ::ffff:0:0/96 (mapped, RFC 4291),
/// ::ffff:0:0:0/96 (translated, RFC 2765), 64:ff9b::/96 (NAT64, RFC 6052).
fn embedded_v4(groups: &[u16; 8]) -> Option<Ipv4Addr> {
    match groups[..6] {
        [0, 0, 0, 0, 0, 0xffff] | [0, 0, 0, 0, 0xffff, 0] | [0x64, 0xff9b, 0, 0, 0, 0] => {
            let [a, b] = groups[6].to_be_bytes();
            let [c, d] = groups[7].to_be_bytes();
            Some(Ipv4Addr::new(a, b, c, d))
        }
        _ => None,
    }
}

/// The run of zero groups that `::` stands for: empty if there is none of two or more.
fn longest_zero_run(groups: &[u16]) -> Range<usize> {
    let mut longest = 0..0;
    let mut run = 0..0;
    for (i, &group) in groups.iter().enumerate() {
        if group != 0 {
            run = i + 1..i + 1;
            continue;
        }
        run.end = i + 1;
        if run.len() > longest.len() {
            longest = run.clone();
        }
    }
    if longest.len() > 1 { longest } else { 0..0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(ip: impl Into<IpAddr>) -> String {
        let mut out = Vec::new();
        write_ip(&mut out, ip.into());
        String::from_utf8(out).expect("ASCII")
    }

    /// What RFC 5952 shows, section by section: the text given, and the text that it recommends.
    const RFC_5952: &[(&str, &str)] = &[
        // 1: one address, many texts
        ("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"),
        ("2001:0db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"),
        ("2001:db8::1:0:0:1", "2001:db8::1:0:0:1"),
        ("2001:db8::0:1:0:0:1", "2001:db8::1:0:0:1"),
        ("2001:0db8::1:0:0:1", "2001:db8::1:0:0:1"),
        ("2001:db8:0:0:1::1", "2001:db8::1:0:0:1"),
        ("2001:db8:0000:0:1::1", "2001:db8::1:0:0:1"),
        ("2001:DB8:0:0:1::1", "2001:db8::1:0:0:1"),
        // 2: what section 4 of RFC 4291 leaves open
        ("2001:db8:aaaa:bbbb:cccc:dddd:eeee:0001", "2001:db8:aaaa:bbbb:cccc:dddd:eeee:1"),
        ("2001:db8:aaaa:bbbb:cccc:dddd:0:1", "2001:db8:aaaa:bbbb:cccc:dddd:0:1"),
        ("2001:db8:0:0:0::1", "2001:db8::1"),
        ("2001:db8::aaaa:0:0:1", "2001:db8::aaaa:0:0:1"),
        ("2001:db8:0:0:aaaa::1", "2001:db8::aaaa:0:0:1"),
        ("2001:db8:aaaa:bbbb:cccc:dddd:eeee:AaAa", "2001:db8:aaaa:bbbb:cccc:dddd:eeee:aaaa"),
        // 4.1: leading zeros
        ("2001:0db8::0001", "2001:db8::1"),
        // 4.2.1: shorten as much as possible
        ("2001:db8:0:0:0:0:2:1", "2001:db8::2:1"),
        ("2001:db8::0:1", "2001:db8::1"),
        // 4.2.2: not for one group
        ("2001:db8::1:1:1:1:1", "2001:db8:0:1:1:1:1:1"),
        // 4.2.3: the longest run; of equals the first
        ("2001:0:0:1:0:0:0:1", "2001:0:0:1::1"),
        ("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"),
        // 4.3: lower case
        ("2001:DB8::ABCD:EF", "2001:db8::abcd:ef"),
        // 5: embedded IPv4
        ("0:0:0:0:0:ffff:192.0.2.1", "::ffff:192.0.2.1"),
        ("::ffff:c000:201", "::ffff:192.0.2.1"),
        ("::ffff:0:c000:201", "::ffff:0:192.0.2.1"),
        ("64:ff9b::c000:221", "64:ff9b::192.0.2.33"),
        ("64:ff9b:1::c000:221", "64:ff9b:1::c000:221"),
    ];

    #[test]
    fn rfc_5952() {
        for (given, recommended) in RFC_5952 {
            let ip: Ipv6Addr = given.parse().expect(given);
            assert_eq!(text(ip), *recommended, "{given}");
        }
    }

    #[test]
    fn ends() {
        for ip in [
            "::",
            "::1",
            "1::",
            "::2:3:4:5:6:7:8",
            "0:2:3:4:5:6:7:8",
            "1:2:3:4:5:6:7::",
            "1:2:3:4:5:6:7:0",
            "1:2:3:4:5:6::",
            "fe80::1",
            "ff02::1:ff00:0",
        ] {
            let ip: Ipv6Addr = ip.parse().expect(ip);
            assert_eq!(text(ip), ip.to_string());
        }
        assert_eq!(text(Ipv4Addr::new(0, 10, 200, 255)), "0.10.200.255");
    }

    proptest::proptest! {
        /// The standard library follows section 4, and of section 5 the mapped addresses.
        #[test]
        fn agrees_with_the_standard_library(groups: [u16; 8], zeroed: u8) {
            let mut groups = groups;
            for (i, group) in groups.iter_mut().enumerate() {
                if zeroed >> i & 1 == 1 { *group = 0; }
            }
            let ip = Ipv6Addr::from(groups);
            if embedded_v4(&groups).is_none() {
                proptest::prop_assert_eq!(text(ip), ip.to_string());
            }
            proptest::prop_assert_eq!(text(ip).parse::<Ipv6Addr>().ok(), Some(ip));
        }
    }
}
