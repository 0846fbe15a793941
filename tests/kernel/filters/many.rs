//! Long lists: 10,000 networks and 1,000 ports, as they come from a list of blocked networks.

use super::calls::Call;
use super::calls::Ends::Active;
use super::calls::Ends::Both;
use super::calls::Ends::Neither;
use super::calls::Ends::Passive;
use super::calls::check;

/// An option, given as often as its items need: the kernel takes 128 KiB an argument.
fn option(name: &str, items: &[String]) -> Vec<String> {
    items.chunks(2000).flat_map(|items| [name.to_owned(), items.join(",")]).collect()
}

fn check_options(options: &[String], calls: &[Call<'_>]) {
    let args: Vec<&str> = options.iter().map(String::as_str).collect();
    check(&args, calls);
}

/// 5,000 networks, in each of which an upper half is excluded.
fn networks() -> Vec<String> {
    (0..5000)
        .flat_map(|i| {
            let (high, low) = (i / 256, i % 256);
            [format!("10.{high}.{low}.0/24"), format!("!10.{high}.{low}.128/25")]
        })
        .collect()
}

/// Every other port from 10001 on.
fn ports() -> Vec<String> {
    (0..1000).map(|i| (10_001 + 2 * i).to_string()).collect()
}

#[test]
fn ten_thousand_networks() {
    check_options(
        &option("--remote-net", &networks()),
        &[
            ("10.0.0.1:0", "10.0.0.127:8000", Both),
            ("10.0.0.129:0", "10.0.0.255:8000", Neither),
            ("10.7.9.1:0", "10.7.9.2:8000", Both),
            ("10.7.9.1:0", "10.7.9.200:8000", Passive),
            ("10.19.135.1:0", "10.19.135.2:8000", Both),
            ("10.19.136.1:0", "10.19.136.2:8000", Neither),
            ("[::ffff:10.7.9.1]:0", "[::ffff:10.7.9.2]:9000", Both),
        ],
    );
}

#[test]
fn ten_thousand_networks_of_ipv6_excluded() {
    let networks: Vec<String> = (0..10_000).map(|i| format!("!2001:db8:{i:x}::/48")).collect();
    check_options(
        &option("--local-net", &networks),
        &[
            ("[2001:db8:0::1]:0", "[2001:db8:0::2]:8000", Neither),
            ("[2001:db8:270f::1]:0", "[2001:db8:270f::2]:8000", Neither),
            ("[2001:db8:2710::1]:0", "[2001:db8:2710::2]:8000", Both),
            ("127.0.0.1:0", "127.0.0.1:8000", Both),
        ],
    );
}

#[test]
fn a_thousand_ports() {
    check_options(
        &option("--remote-port", &ports()),
        &[
            ("127.0.0.1:0", "127.0.0.1:10000", Neither),
            ("127.0.0.1:0", "127.0.0.1:10001", Active),
            ("127.0.0.1:0", "127.0.0.1:11000", Neither),
            ("127.0.0.1:0", "127.0.0.1:11999", Active),
            ("127.0.0.1:0", "127.0.0.1:12001", Neither),
        ],
    );
}

#[test]
fn all_of_it_together() {
    let names: Vec<String> = (0..1000).map(|i| format!("!nobody-{i}")).collect();
    let numbers: Vec<String> = (0..1000).map(|i| format!("!{}", 4_000_000_000_u32 + i)).collect();
    let options = [
        option("--remote-net", &networks()),
        option("--local-net", &networks()),
        option("--remote-port", &ports()),
        option("--comm", &names),
        option("--pid", &numbers),
        option("--uid", &numbers),
        option("--netns", &numbers),
    ];
    check_options(
        &options.concat(),
        &[
            ("10.7.9.1:0", "10.7.9.2:10001", Active),
            ("10.7.9.1:0", "10.7.9.2:10002", Neither),
            ("10.7.9.1:0", "10.7.9.200:10003", Neither),
            ("10.7.9.200:0", "10.7.9.1:10005", Neither),
        ],
    );
}
