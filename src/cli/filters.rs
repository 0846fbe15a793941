//! The options that say which connections are wanted.

use clap::builder::OsStringValueParser;
use clap::builder::TypedValueParser;

use crate::config::CgroupList;
use crate::config::Families;
use crate::config::Filters;
use crate::config::NameList;
use crate::config::NetList;
use crate::config::NumberList;
use crate::config::PortList;
use crate::config::parse_names;
use crate::config::parse_netns;

const HEADING: &str = "Which connections";

/// How they combine, for the long help.
pub const RULE: &str = "\
Filters:
  A connection is told if every filter that is given admits it, and each end of
  a connection within this host is judged by itself. `filtered` in the figures
  counts the events that were refused.

  A list is separated by commas, and an option that is given again adds to it.
  A list admits what it names or, if it only excludes (!), everything else; what
  is excluded stays excluded, even if it is also included, or lies in a range,
  network or cgroup that is. So --remote-net 10.0.0.0/8,!10.1.0.0/16 admits 10.x
  but for 10.1.x, and adding 10.1.2.3 changes nothing.

  What a connection does not have is not in any list: one whose process is not
  known passes -p '!1' but not -p 1, and a listener, which has no remote end,
  passes --remote-port '!22' but not --remote-port 22.

  A connection is judged once, when its process becomes known, and its close
  follows the verdict, whatever has changed until then.";

#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags")]
pub struct FilterOptions {
    /// Only these processes; `!` excludes (a list: 1,2 or '!3')
    #[arg(short, long, value_name = "PID", help_heading = HEADING, allow_hyphen_values = true)]
    pid: Vec<NumberList>,

    /// Only processes of these user ids; `!` excludes
    #[arg(short, long, value_name = "UID", help_heading = HEADING, allow_hyphen_values = true)]
    uid: Vec<NumberList>,

    /// Only threads of these names; `!` excludes (curl or '!sshd')
    ///
    /// The kernel keeps at most 15 bytes of a name; ps -L -o comm shows them. A backslash takes the next
    /// byte as it is, as in '\,' and '\!', or stands for a byte, as in '\x1b'.
    #[arg(
        long,
        value_name = "NAME",
        value_parser = OsStringValueParser::new().try_map(parse_names),
        help_heading = HEADING,
        allow_hyphen_values = true
    )]
    comm: Vec<NameList>,

    /// Only processes in these cgroups and those below; `!` excludes
    ///
    /// A path below the mount of the version 2 hierarchy, as /system.slice/nginx.service, or one of the
    /// file system, as /sys/fs/cgroup/system.slice. It must be there when tracing begins. One that is made again
    /// later is another, as a service's is when systemd restarts it: then name the slice above it.
    #[arg(long, value_name = "PATH", help_heading = HEADING, allow_hyphen_values = true)]
    cgroup: Vec<CgroupList>,

    /// Only in these network namespaces; `!` excludes
    ///
    /// An inode number, a path, as /proc/1479/ns/net, or a name that ip netns knows.
    #[arg(
        long,
        value_name = "NETNS",
        value_parser = parse_netns,
        help_heading = HEADING,
        allow_hyphen_values = true
    )]
    netns: Vec<NumberList>,

    /// Only IPv4, also where an IPv6 socket speaks it
    #[arg(short = '4', long, help_heading = HEADING, conflicts_with = "ipv6")]
    ipv4: bool,

    /// Only IPv6
    #[arg(short = '6', long, help_heading = HEADING)]
    ipv6: bool,

    /// Only these ports at this end; `!` excludes (443,8000-8999)
    #[arg(long, value_name = "PORT", help_heading = HEADING, allow_hyphen_values = true)]
    local_port: Vec<PortList>,

    /// Only these ports at the other end; `!` excludes
    #[arg(long, value_name = "PORT", help_heading = HEADING, allow_hyphen_values = true)]
    remote_port: Vec<PortList>,

    /// Only addresses of these networks at this end; `!` excludes
    ///
    /// A list of addresses and networks, as 192.0.2.1 and 2001:db8::/32. An IPv4 network matches what an
    /// IPv6 socket speaks of IPv4, too; an IPv6 network, even ::/0, matches IPv6 only.
    #[arg(long, value_name = "CIDR", help_heading = HEADING, allow_hyphen_values = true)]
    local_net: Vec<NetList>,

    /// Only addresses of these networks at the other end; `!` excludes
    #[arg(long, value_name = "CIDR", help_heading = HEADING, allow_hyphen_values = true)]
    remote_net: Vec<NetList>,

    /// Nothing from or to 127.0.0.0/8 and ::1
    ///
    /// The same as '!127.0.0.0/8,!::1' in --local-net and --remote-net.
    #[arg(long, help_heading = HEADING)]
    no_loopback: bool,

    /// Nothing of the processes that read the output
    ///
    /// They are looked for once, when tracing begins: who reads the pipe or socket that is stdout, and on
    /// along their pipes, and who listens at the sockets of unix: outputs. connledger's own connections are
    /// never told.
    #[arg(long, help_heading = HEADING)]
    exclude_self: bool,
}

impl FilterOptions {
    /// What they ask for.
    pub fn filters(self) -> Filters {
        let mut filters = Filters {
            pids: self.pid.into_iter().collect(),
            uids: self.uid.into_iter().collect(),
            comms: self.comm.into_iter().collect(),
            cgroups: self.cgroup.into_iter().collect(),
            netns: self.netns.into_iter().collect(),
            families: match (self.ipv4, self.ipv6) {
                (true, false) => Families::Ipv4,
                (false, true) => Families::Ipv6,
                _ => Families::Both,
            },
            local_ports: self.local_port.into_iter().collect(),
            remote_ports: self.remote_port.into_iter().collect(),
            local_nets: self.local_net.into_iter().collect(),
            remote_nets: self.remote_net.into_iter().collect(),
            exclude_self: self.exclude_self,
        };
        if self.no_loopback {
            filters.exclude_loopback();
        }
        filters
    }
}
