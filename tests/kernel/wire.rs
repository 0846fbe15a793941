//! A peer made by hand: the other end of a wire (a tun device of the namespace), on which the test reads
//! the kernel's segments and answers as it likes, or not at all.
//!
//! The kernel is 192.0.2.1; everyone else in 192.0.2.0/24 is the peer. A peer's socket is only in the
//! test's head: nothing of it is traced.

#![allow(unsafe_code, reason = "TUNSETIFF")]

use std::fs::File;
use std::io::Read as _;
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::net::SocketAddrV4;
use std::os::fd::AsFd as _;
use std::os::fd::AsRawFd as _;
use std::time::Duration;
use std::time::Instant;

use nix::libc;
use nix::poll::PollFd;
use nix::poll::PollFlags;
use nix::poll::PollTimeout;

use crate::namespace::ip;

pub const FIN: u8 = 0x01;
pub const SYN: u8 = 0x02;
pub const RST: u8 = 0x04;
pub const ACK: u8 = 0x10;

/// The kernel's address on the wire.
pub const HERE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
/// One of the peer's.
pub const THERE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 9);

const PATIENCE: Duration = Duration::from_secs(10);
const IPV4_HEADER: usize = 20;
const TCP_HEADER: usize = 20;

/// The other end of the wire.
pub struct Peer {
    tun: File,
}

impl Peer {
    /// Puts the device `wire0` into the calling thread's namespace.
    pub fn new() -> Self {
        let tun = File::options().read(true).write(true).open("/dev/net/tun").expect("tun");
        // SAFETY: plain data.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        for (to, from) in request.ifr_name.iter_mut().zip(b"wire0") {
            *to = from.cast_signed();
        }
        request.ifr_ifru.ifru_flags = i16::try_from(libc::IFF_TUN | libc::IFF_NO_PI).unwrap();
        // SAFETY: the kernel reads and writes an ifreq.
        let result = unsafe { libc::ioctl(tun.as_raw_fd(), libc::TUNSETIFF, &raw mut request) };
        assert_eq!(result, 0, "TUNSETIFF: {}", std::io::Error::last_os_error());
        ip(&["addr", "add", "192.0.2.1/24", "dev", "wire0"]);
        ip(&["link", "set", "wire0", "up"]);
        Self { tun }
    }

    /// An address and port of the peer.
    pub fn address() -> SocketAddr {
        SocketAddr::from((THERE, 80))
    }

    /// The next segment that the kernel sends. What is not TCP over IPv4 is passed over.
    pub fn receive(&self) -> Segment {
        self.receive_within(PATIENCE).expect("a segment")
    }

    /// The same, if it comes in time.
    pub fn receive_within(&self, patience: Duration) -> Option<Segment> {
        let deadline = Instant::now() + patience;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let timeout = PollTimeout::try_from(left).unwrap();
            let mut poll = [PollFd::new(self.tun.as_fd(), PollFlags::POLLIN)];
            if nix::poll::poll(&mut poll, timeout).unwrap() == 0 {
                return None;
            }
            let mut packet = [0; 4096];
            let length = (&self.tun).read(&mut packet).expect("read");
            if let Some(segment) = Segment::parse(&packet[..length]) {
                return Some(segment);
            }
        }
    }

    /// The next segment with this flag; others are dropped.
    pub fn receive_with(&self, flag: u8) -> Segment {
        loop {
            let segment = self.receive();
            if segment.flags & flag != 0 {
                return segment;
            }
        }
    }

    /// Sends a segment to the kernel.
    pub fn send(&self, segment: &Segment) {
        self.write(&segment.packet());
    }

    /// Tells the kernel by ICMP, as a router would, that a segment's destination is unreachable.
    pub fn send_unreachable(&self, about: &Segment, code: u8) {
        let packet = about.packet();
        // The message quotes the packet's header and its first eight bytes.
        let mut icmp = vec![3, code, 0, 0, 0, 0, 0, 0];
        icmp.extend(&packet[..IPV4_HEADER + 8]);
        let sum = checksum(&icmp);
        icmp[2..4].copy_from_slice(&sum.to_be_bytes());
        self.write(&ipv4(libc::IPPROTO_ICMP, *about.to.ip(), *about.from.ip(), &icmp));
    }

    fn write(&self, packet: &[u8]) {
        assert_eq!((&self.tun).write(packet).expect("write"), packet.len());
    }
}

/// A TCP segment.
#[derive(Clone, Debug)]
pub struct Segment {
    pub from: SocketAddrV4,
    pub to: SocketAddrV4,
    pub seq: u32,
    pub ack: u32,
    pub flags: u8,
    pub window: u16,
    pub data: Vec<u8>,
}

impl Segment {
    /// The first segment of a connection.
    pub fn syn(from: SocketAddrV4, to: SocketAddrV4) -> Self {
        Self { from, to, seq: 1000, ack: 0, flags: SYN, window: u16::MAX, data: Vec::new() }
    }

    /// The next segment of who received this one, which acknowledges it.
    pub fn answer(&self, flags: u8) -> Self {
        // Who has not said anything yet begins at 1000.
        let seq = if self.flags & ACK != 0 { self.ack } else { 1000 };
        let ack = self.seq.wrapping_add(self.length());
        Self { from: self.to, to: self.from, seq, ack, flags, window: u16::MAX, data: Vec::new() }
    }

    /// The sequence numbers that it takes.
    fn length(&self) -> u32 {
        let marks = u32::from(self.flags & SYN != 0) + u32::from(self.flags & FIN != 0);
        marks + u32::try_from(self.data.len()).unwrap()
    }

    fn parse(packet: &[u8]) -> Option<Self> {
        let is_tcp = packet.first()? >> 4 == 4 && i32::from(*packet.get(9)?) == libc::IPPROTO_TCP;
        let tcp = packet.get(usize::from(packet[0] & 15) * 4..).filter(|_| is_tcp)?;
        let address = |at: usize, port: usize| {
            let octets: [u8; 4] = packet[at..at + 4].try_into().unwrap();
            SocketAddrV4::new(octets.into(), u16::from_be_bytes([tcp[port], tcp[port + 1]]))
        };
        let number = |at: usize| u32::from_be_bytes(tcp[at..at + 4].try_into().unwrap());
        Some(Self {
            from: address(12, 0),
            to: address(16, 2),
            seq: number(4),
            ack: number(8),
            flags: tcp[13],
            window: u16::from_be_bytes([tcp[14], tcp[15]]),
            data: tcp[usize::from(tcp[12] >> 4) * 4..].to_vec(),
        })
    }

    /// As it stands on the wire, without options.
    fn packet(&self) -> Vec<u8> {
        let mut tcp = Vec::with_capacity(TCP_HEADER + self.data.len());
        tcp.extend(self.from.port().to_be_bytes());
        tcp.extend(self.to.port().to_be_bytes());
        tcp.extend(self.seq.to_be_bytes());
        tcp.extend(self.ack.to_be_bytes());
        tcp.extend([5 << 4, self.flags]);
        tcp.extend(self.window.to_be_bytes());
        tcp.extend([0, 0, 0, 0]);
        tcp.extend(&self.data);
        // The checksum is over the addresses, the protocol and the length too.
        let mut summed = Vec::new();
        summed.extend(self.from.ip().octets());
        summed.extend(self.to.ip().octets());
        summed.extend([0, 6]);
        summed.extend(u16::try_from(tcp.len()).unwrap().to_be_bytes());
        summed.extend(&tcp);
        let sum = checksum(&summed);
        tcp[16..18].copy_from_slice(&sum.to_be_bytes());
        ipv4(libc::IPPROTO_TCP, *self.from.ip(), *self.to.ip(), &tcp)
    }
}

fn ipv4(protocol: i32, from: Ipv4Addr, to: Ipv4Addr, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(IPV4_HEADER + content.len()).unwrap().to_be_bytes();
    let protocol = u8::try_from(protocol).unwrap();
    let mut packet = vec![0x45, 0, length[0], length[1], 0, 0, 0x40, 0, 64, protocol, 0, 0];
    packet.extend(from.octets());
    packet.extend(to.octets());
    let sum = checksum(&packet);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet.extend(content);
    packet
}

/// The Internet's checksum (RFC 1071).
fn checksum(bytes: &[u8]) -> u16 {
    let mut sum: u32 = bytes
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)))
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap()
}
