//! A list of networks as a longest-prefix-match trie wants it: with rules of which the longest that fits
//! decides, although the rule of the list is another one: an exclusion outweighs an inclusion.

use super::nets::NetList;
use super::nets::Network;

/// What the longest prefix that fits says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetRule {
    /// How many bits of the address, of 128.
    pub prefix_len: u32,
    /// In network byte order; IPv4 as v4-mapped, and to be looked up so.
    pub address: [u8; 16],
    /// The verdict.
    pub admit: bool,
}

impl NetRule {
    fn new(network: &Network, admit: bool) -> Self {
        Self { prefix_len: network.prefix_len(), address: network.bits().to_be_bytes(), admit }
    }
}

impl NetList {
    /// The rules, each prefix once. Where none fits, the verdict is [`admits_others`](Self::admits_others):
    /// that of an empty list, too, which has no rules.
    ///
    /// Networks are nested or disjoint. Sorted by address, then prefix, each one follows those around it,
    /// so one pass with a stack of these is enough.
    #[must_use]
    pub fn compile(&self) -> Vec<NetRule> {
        let others = self.admits_others();
        let included = self.include.iter().map(|network| (network, true));
        let mut all: Vec<_> =
            included.chain(self.exclude.iter().map(|network| (network, false))).collect();
        // IPv6 first; and an exclusion ahead of the inclusion of the same network.
        all.sort_unstable_by_key(|(network, admit)| {
            (network.is_ipv4(), network.bits(), network.prefix_len(), *admit)
        });
        let mut rules = Vec::new();
        let mut around: Vec<(&Network, bool)> = Vec::new();
        let mut covers_ipv4 = false;
        for (network, admit) in all {
            while around.last().is_some_and(|(outer, _)| !outer.contains(network)) {
                around.pop();
            }
            let verdict_around = match around.last() {
                // Nothing in an exclusion is admitted, and an inclusion in an inclusion is nothing new.
                Some((_, outer)) if !outer || admit => continue,
                Some(_) => true,
                None => others,
            };
            around.push((network, admit));
            if admit != verdict_around {
                rules.push(NetRule::new(network, admit));
                covers_ipv4 |= !network.is_ipv4() && network.covers(&Network::IPV4);
            }
        }
        // An IPv6 network that lies around the v4-mapped addresses does not mean them.
        let ipv4 = NetRule::new(&Network::IPV4, others);
        if covers_ipv4 && !rules.iter().any(|rule| is_same_prefix(rule, &ipv4)) {
            rules.push(ipv4);
        }
        rules
    }
}

fn is_same_prefix(a: &NetRule, b: &NetRule) -> bool {
    (a.prefix_len, a.address) == (b.prefix_len, b.address)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::net::IpAddr;
    use std::net::Ipv4Addr;
    use std::net::Ipv6Addr;
    use std::time::Duration;
    use std::time::Instant;

    use proptest::collection::vec;
    use proptest::prelude::Strategy;
    use proptest::prelude::any;
    use proptest::prop_oneof;

    use super::*;

    /// The rule of the list, word for word.
    fn admits(list: &NetList, address: IpAddr) -> bool {
        let address = Network::from(address);
        let names =
            |networks: &[Network]| networks.iter().any(|network| network.contains(&address));
        !names(&list.exclude) && (list.include.is_empty() || names(&list.include))
    }

    /// What the trie says: the longest prefix that fits decides.
    fn looked_up(rules: &[NetRule], others: bool, address: IpAddr) -> bool {
        let address = Network::from(address).bits();
        rules
            .iter()
            .filter(|rule| {
                let bits = u128::from_be_bytes(rule.address) ^ address;
                bits.leading_zeros() >= rule.prefix_len
            })
            .max_by_key(|rule| rule.prefix_len)
            .map_or(others, |rule| rule.admit)
    }

    fn list(text: &str) -> NetList {
        text.parse().expect(text)
    }

    #[test]
    fn what_changes_nothing_is_left_out() {
        for (text, prefixes) in [
            ("10.0.0.0/8", &[104][..]),
            ("10.0.0.0/8,10.0.0.0/8,10.1.0.0/16", &[104]),
            ("10.0.0.0/8,!10.1.0.0/16,10.1.2.0/24", &[104, 112]),
            ("10.0.0.0/8,!10.0.0.0/8", &[]),
            ("10.0.0.0/8,!11.0.0.0/8", &[104]),
            ("!10.0.0.0/8,!10.1.0.0/16", &[104]),
            ("2001:db8::/32,!2001:db8:1::/48", &[32, 48]),
            // IPv4 does not belong to ::/0, and is told apart by one rule.
            ("::/0", &[0, 96]),
            ("!::/0", &[0, 96]),
            ("::/0,0.0.0.0/0", &[0, 96]),
            ("::/0,!0.0.0.0/0", &[0, 96]),
            ("0.0.0.0/0", &[96]),
            ("8000::/1", &[1]),
        ] {
            let rules = list(text).compile();
            let lens: Vec<u32> = rules.iter().map(|rule| rule.prefix_len).collect();
            assert_eq!(lens, prefixes, "{text}");
        }
        assert_eq!(NetList::default().compile(), []);
    }

    #[test]
    fn families_are_apart() {
        for (text, v4, v6) in [
            ("::/0", false, true),
            ("!::/0", true, false),
            ("0.0.0.0/0", true, false),
            ("!0.0.0.0/0", false, true),
            ("::/0,0.0.0.0/0", true, true),
            ("::/0,!0.0.0.0/0", false, true),
            ("0.0.0.0/0,!::/0", true, false),
            ("!0.0.0.0/0,!::/0", false, false),
            ("::/80,10.0.0.0/8", true, false),
        ] {
            let list = list(text);
            for (address, admitted) in
                [("10.1.2.3", v4), ("::ffff:10.1.2.3", v4), ("2001:db8::1", v6)]
            {
                let address = address.parse().expect("an address");
                assert_eq!(admits(&list, address), admitted, "{text}: {address}");
                let verdict = looked_up(&list.compile(), list.admits_others(), address);
                assert_eq!(verdict, admitted, "{text}: {address}");
            }
        }
    }

    #[test]
    fn many_networks_take_no_time() {
        let nested = (0..20_000_u32).map(|i| format!("10.{}.{}.0/24", i / 256 % 256, i % 256));
        let outer = ["!10.0.0.0/9".to_owned(), "10.0.0.0/8".to_owned()];
        let text = nested.chain(outer).collect::<Vec<_>>().join(",");
        let list = list(&text);
        let begun = Instant::now();
        assert_eq!(list.compile().len(), 2);
        assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    }

    /// Few different bits, so that networks lie in each other and addresses in them.
    fn address() -> impl Strategy<Value = IpAddr> {
        let few =
            || proptest::sample::select(vec![0_u32, 1, 0x8000_0000, 0x0a00_0000, 0x0a80_0001]);
        prop_oneof![
            few().prop_map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits))),
            few().prop_map(|bits| IpAddr::V6(Ipv6Addr::from_bits(u128::from(bits) << 96))),
            // Around the v4-mapped ones: 0 to ::1:ffff:….
            (0..3_u128, few()).prop_map(|(high, low)| IpAddr::V6(Ipv6Addr::from_bits(
                (high * 0xffff) << 32 | u128::from(low)
            ))),
            any::<u32>().prop_map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits))),
            any::<u128>().prop_map(|bits| IpAddr::V6(Ipv6Addr::from_bits(bits))),
        ]
    }

    fn network() -> impl Strategy<Value = Network> {
        (address(), 0..=128_u32).prop_map(|(address, len)| {
            let len = if address.is_ipv4() { len % 33 } else { len };
            let written = format!("{address}/{len}");
            match written.parse::<NetList>() {
                Ok(list) => list.include[0],
                // The error names the network.
                Err(said) => {
                    said.rsplit(' ')
                        .next()
                        .expect("a word")
                        .parse::<NetList>()
                        .expect("a network")
                        .include[0]
                }
            }
        })
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config::with_cases(500))]
        #[test]
        fn the_trie_says_what_the_list_says(
            include in vec(network(), 0..8),
            exclude in vec(network(), 0..8),
            addresses in vec(address(), 20),
        ) {
            let list = NetList { include, exclude };
            let rules = list.compile();
            let prefixes: BTreeSet<_> = rules.iter().map(|r| (r.prefix_len, r.address)).collect();
            proptest::prop_assert_eq!(prefixes.len(), rules.len(), "a prefix twice");
            // The first and the last address of each network, too.
            let edges = list.include.iter().chain(&list.exclude).flat_map(|network| {
                let last = network.bits() | u128::MAX.checked_shr(network.prefix_len()).unwrap_or(0);
                [network.bits(), last].map(|bits| IpAddr::V6(Ipv6Addr::from_bits(bits)))
            });
            for address in addresses.into_iter().chain(edges) {
                let verdict = looked_up(&rules, list.admits_others(), address);
                proptest::prop_assert_eq!(verdict, admits(&list, address), "{} in {}", address, list);
            }
        }
    }
}
