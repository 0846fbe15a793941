//! A busy host: what its ring buffer holds while processes connect to each other. Of each connection connect,
//! accept and both closes; every other one is IPv6.

use connledger::wire::Raw;
use connledger::wire::cl_accept;
use connledger::wire::cl_attribution;
use connledger::wire::cl_close;
use connledger::wire::cl_conn;
use connledger::wire::cl_connect;
use connledger::wire::cl_header;
use connledger::wire::cl_owner;
use connledger::wire::to_bytes;

use super::records::AF_INET;
use super::records::AF_INET6;
use super::records::EVENT_NS;
use super::records::accept;
use super::records::close;
use super::records::comm;
use super::records::connect;
use super::records::curl;
use super::records::incoming;
use super::records::ipv4;
use super::records::ipv6;
use super::records::nginx;
use super::records::outgoing;
use super::records::process;
use super::records::tied;

/// Between two records: 100,000 a second.
const PACE_NS: u64 = 10_000;

/// Records one behind the other, as they lie in the ring buffer.
#[derive(Debug, Default)]
pub struct Records {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Records {
    fn push(&mut self, record: &impl Raw) {
        self.bytes.extend(to_bytes(record));
        self.ends.push(self.bytes.len());
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> + Clone {
        let begins = [0].into_iter().chain(self.ends.iter().copied());
        begins.zip(&self.ends).map(|(begin, &end)| &self.bytes[begin..end])
    }
}

/// What a busy host tells.
#[derive(Debug, Default)]
pub struct BusyHost {
    /// The descriptions of its processes, which come first.
    pub announcements: Records,
    /// Four of each connection.
    pub events: Records,
}

impl BusyHost {
    /// A host with so many processes, half of them clients, that make so many connections.
    pub fn new(processes: u32, connections: u32) -> Self {
        let mut host = Self::default();
        for number in 0..processes {
            host.announcements.push(&process(&owner(number)));
        }
        for number in 0..connections {
            let client = 2 * number % processes;
            let server = (2 * (number / 3) + 1) % processes;
            host.connection(number, &owner(client), &owner(server));
        }
        host
    }

    fn connection(&mut self, number: u32, client: &cl_owner, server: &cl_owner) {
        let (out, back) = ends(number);
        let client = tied(cl_attribution::CL_BY_CONNECT, *client);
        let server = tied(cl_attribution::CL_BY_ACCEPT, *server);
        let bytes = u64::from(number % 5000);
        let opened = connect();
        self.events.push(&cl_connect {
            header: self.now(opened.header),
            conn: out,
            owner: client,
            begun_ns: self.now_ns() - 41_234,
            ..opened
        });
        self.events.push(&cl_accept {
            header: self.now(accept().header),
            conn: back,
            owner: server,
            established_ns: self.now_ns() - 12_345,
        });
        for (conn, owner) in [(out, client), (back, server)] {
            let whole = close();
            self.events.push(&cl_close {
                header: self.now(whole.header),
                conn,
                owner,
                established_ns: self.now_ns() - 1_234_567,
                bytes_sent: bytes,
                bytes_received: 3 * bytes,
                ..whole
            });
        }
    }

    fn now_ns(&self) -> u64 {
        EVENT_NS + PACE_NS * self.events.len() as u64
    }

    fn now(&self, header: cl_header) -> cl_header {
        cl_header { time_ns: self.now_ns(), ..header }
    }
}

/// Process number so and so.
fn owner(number: u32) -> cl_owner {
    let server = number % 2 == 1;
    let base = if server { nginx() } else { curl() };
    let name = format!("{}-{number}", if server { "nginx" } else { "curl" });
    cl_owner {
        pid: 1000 + number,
        tid: 1000 + number + number % 3,
        start_ns: base.start_ns - u64::from(number) * 1_000_003,
        cgroup_id: 7000 + u64::from(number % 100),
        comm: comm(name.as_bytes()),
        ..base
    }
}

/// As the wire has it.
fn port(number: u32) -> u16 {
    u16::try_from(number).expect("a port has 16 bits").to_be()
}

/// A connection on the loopback device, as its two ends see it.
fn ends(number: u32) -> (cl_conn, cl_conn) {
    let near = port(32768 + number % 28_000);
    let far = port(8000 + number % 7);
    let host = 1 + number % 9;
    let (family, ip) = if number.is_multiple_of(2) {
        (AF_INET, ipv4(&format!("127.0.0.{host}")))
    } else {
        (AF_INET6, ipv6(&format!("2001:db8:85a3::8a2e:370:{host}")))
    };
    let cookie = 0x10_0000 + 2 * u64::from(number);
    let both = cl_conn { local_ip: ip, remote_ip: ip, family, ..outgoing() };
    let out = cl_conn { cookie, local_port: near, remote_port: far, ..both };
    let back = cl_conn {
        cookie: cookie + 1,
        local_port: far,
        remote_port: near,
        opened_by: incoming().opened_by,
        ..both
    };
    (out, back)
}
