//! Which connections are wanted. Each kind of list has a file: what it looks like, and what the kernel side
//! needs of it.

mod cgroups;
mod given;
mod list;
mod names;
mod netns;
mod nets;
mod ports;
mod trie;

pub use self::cgroups::Cgroup;
pub use self::cgroups::CgroupList;
pub use self::list::List;
pub use self::list::NumberList;
pub use self::names::Name;
pub use self::names::NameList;
pub use self::names::parse_names;
pub use self::netns::parse_netns;
pub use self::nets::NetList;
pub use self::nets::Network;
pub use self::ports::PortList;
pub use self::ports::PortRange;
pub use self::trie::NetRule;

/// Which connections are wanted: those that every filter admits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filters {
    /// By process id.
    pub pids: NumberList,
    /// By user id.
    pub uids: NumberList,
    /// By the name of the thread.
    pub comms: NameList,
    /// By control group; what is below it belongs to it.
    pub cgroups: CgroupList,
    /// By network namespace, its inode number.
    pub netns: NumberList,
    /// By address family.
    pub families: Families,
    /// By this host's port.
    pub local_ports: PortList,
    /// By the peer's port.
    pub remote_ports: PortList,
    /// By this host's address.
    pub local_nets: NetList,
    /// By the peer's address.
    pub remote_nets: NetList,
    /// Not those of the processes that read the output: [`consumers`](crate::consumers) finds them.
    pub exclude_self: bool,
}

impl Filters {
    /// Excludes what stays on the loopback device.
    pub fn exclude_loopback(&mut self) {
        for nets in [&mut self.local_nets, &mut self.remote_nets] {
            nets.exclude.extend(Network::LOOPBACK);
        }
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
