//! --local-net, --remote-net and --no-loopback.

use super::calls::Call;
use super::calls::Ends;
use super::calls::Ends::Active;
use super::calls::Ends::Both;
use super::calls::Ends::Neither;
use super::calls::Ends::Passive;
use super::calls::check;

/// From and to 10.1 and 10.2, and the same in IPv6.
fn between(one_one: Ends, one_two: Ends, two_one: Ends, two_two: Ends) -> [Call<'static>; 4] {
    [
        ("10.1.0.1:0", "10.1.0.2:8000", one_one),
        ("10.1.0.1:0", "10.2.0.2:8000", one_two),
        ("10.2.0.1:0", "10.1.0.2:8000", two_one),
        ("10.2.0.1:0", "10.2.0.2:8000", two_two),
    ]
}

#[test]
fn remote_net_included() {
    check(&["--remote-net", "10.1.0.0/16"], &between(Both, Passive, Active, Neither));
}

#[test]
fn remote_net_excluded() {
    check(&["--remote-net", "!10.1.0.0/16"], &between(Neither, Active, Passive, Both));
}

#[test]
fn local_net_included() {
    check(&["--local-net", "10.1.0.0/16"], &between(Both, Active, Passive, Neither));
}

#[test]
fn local_net_excluded() {
    check(&["--local-net", "!10.1.0.0/16"], &between(Neither, Passive, Active, Both));
}

#[test]
fn local_and_remote_together() {
    let args = ["--local-net", "10.1.0.0/16", "--remote-net", "10.2.0.0/16"];
    check(&args, &between(Neither, Active, Passive, Neither));
    let args = ["--local-net", "!10.1.0.0/16", "--remote-net", "!10.1.0.0/16"];
    check(&args, &between(Neither, Neither, Neither, Both));
}

#[test]
fn ipv6_networks() {
    let calls = |one_two, two_one, v4| {
        [
            ("[2001:db8:1::1]:0", "[2001:db8:2::2]:8000", one_two),
            ("[2001:db8:2::2]:0", "[2001:db8:1::1]:8000", two_one),
            ("10.1.0.1:0", "10.1.0.2:8000", v4),
        ]
    };
    check(&["--remote-net", "2001:db8:1::/48"], &calls(Passive, Active, Neither));
    check(&["--remote-net", "!2001:db8:1::/48"], &calls(Active, Passive, Both));
    check(&["--local-net", "2001:db8:1::/48"], &calls(Active, Passive, Neither));
    check(&["--local-net", "!2001:db8:1::/48"], &calls(Passive, Active, Both));
}

#[test]
fn single_addresses() {
    check(
        &["--remote-net", "10.1.0.2,2001:db8::2"],
        &[
            ("10.1.0.1:0", "10.1.0.2:8000", Active),
            ("10.1.0.1:0", "10.1.0.3:8000", Neither),
            ("10.1.0.2:0", "10.1.0.3:8000", Passive),
            ("[2001:db8::1]:0", "[2001:db8::2]:8000", Active),
            ("[2001:db8::1]:0", "[2001:db8::3]:8000", Neither),
        ],
    );
}

/// IPv4 sockets, and IPv6 sockets that speak IPv4 on one end or both.
fn mapped(ends: Ends) -> [Call<'static>; 4] {
    [
        ("10.1.0.1:0", "10.1.0.2:8000", ends),
        ("[::ffff:10.1.0.1]:0", "10.1.0.2:8000", ends),
        ("10.1.0.1:0", "[::ffff:10.1.0.2]:9000", ends),
        ("[::ffff:10.1.0.1]:0", "[::ffff:10.1.0.2]:9000", ends),
    ]
}

#[test]
fn ipv4_networks_match_v4_mapped_addresses() {
    for (net, ends) in [
        ("10.1.0.0/16", Both),
        ("!10.1.0.0/16", Neither),
        ("!10.2.0.0/16", Both),
        ("::ffff:10.1.0.0/112", Both),
        ("!::ffff:10.1.0.0/112", Neither),
    ] {
        check(&["--remote-net", net], &mapped(ends));
        check(&["--local-net", net], &mapped(ends));
    }
}

#[test]
fn all_of_a_family() {
    for (net, v4, v6) in [
        ("0.0.0.0/0", Both, Neither),
        ("!0.0.0.0/0", Neither, Both),
        ("::/0", Neither, Both),
        ("!::/0", Both, Neither),
        ("0.0.0.0/0,::/0", Both, Both),
        ("::/0,10.1.0.0/16", Both, Both),
        ("::/0,!10.1.0.0/16", Neither, Both),
        ("0.0.0.0/0,::/0,!10.1.0.0/16", Neither, Both),
    ] {
        let v6 = ("[2001:db8::1]:0", "[2001:db8::2]:8000", v6);
        check(&["--remote-net", net], &[&mapped(v4)[..], &[v6]].concat());
    }
}

/// Both ends in the same network.
fn within(ends: [Ends; 4]) -> [Call<'static>; 4] {
    [
        ("10.1.2.1:0", "10.1.2.2:8000", ends[0]),
        ("10.1.3.1:0", "10.1.3.2:8000", ends[1]),
        ("10.2.0.1:0", "10.2.0.2:8000", ends[2]),
        ("11.0.0.1:0", "11.0.0.2:8000", ends[3]),
    ]
}

#[test]
fn an_exclusion_in_an_inclusion() {
    let calls = within([Neither, Neither, Both, Neither]);
    check(&["--remote-net", "10.0.0.0/8,!10.1.0.0/16"], &calls);
    check(&["--local-net", "!10.1.0.0/16", "--local-net", "10.0.0.0/8"], &calls);
    // What lies in it is not admitted again, although its prefix is the longest.
    check(&["--remote-net", "10.0.0.0/8,!10.1.0.0/16,10.1.2.0/24,10.1.3.1"], &calls);
}

#[test]
fn an_inclusion_in_an_exclusion() {
    let nothing = within([Neither; 4]);
    check(&["--remote-net", "!10.0.0.0/8,10.1.0.0/16"], &nothing);
    check(&["--remote-net", "!10.0.0.0/8,10.0.0.0/8"], &nothing);
    let only = within([Neither, Neither, Neither, Both]);
    check(&["--remote-net", "!10.0.0.0/8,10.1.0.0/16,11.0.0.0/8"], &only);
}

#[test]
fn no_loopback() {
    check(
        &["--no-loopback"],
        &[
            ("127.0.0.1:0", "127.0.0.1:8000", Neither),
            ("127.0.0.1:0", "127.255.1.2:8000", Neither),
            ("[::1]:0", "[::1]:8000", Neither),
            ("[::ffff:127.0.0.1]:0", "127.0.0.1:8000", Neither),
            ("127.0.0.1:0", "10.1.0.1:8000", Neither),
            ("10.1.0.1:0", "127.0.0.1:8000", Neither),
            ("10.1.0.1:0", "10.1.0.1:8000", Both),
            ("[2001:db8::1]:0", "[2001:db8::1]:8000", Both),
        ],
    );
}

#[test]
fn no_loopback_with_an_inclusion() {
    check(
        &["--no-loopback", "--remote-net", "127.0.0.0/8,10.1.0.0/16"],
        &[
            ("127.0.0.1:0", "127.0.0.1:8000", Neither),
            ("10.1.0.1:0", "10.1.0.2:8000", Both),
            ("10.2.0.1:0", "10.2.0.2:8000", Neither),
        ],
    );
}

#[test]
fn ports_and_networks_together() {
    check(
        &["--remote-port", "8000", "--remote-net", "10.1.0.0/16", "-4"],
        &[
            ("10.2.0.1:0", "10.1.0.2:8000", Active),
            ("10.2.0.1:0", "10.1.0.2:8001", Neither),
            ("10.1.0.1:0", "10.2.0.2:8000", Neither),
        ],
    );
}
