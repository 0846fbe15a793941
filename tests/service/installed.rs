//! connledger installed in a machine as its packages do it, and what systemd says of it.

use std::fs::File;
use std::io::Read as _;
use std::io::Write as _;
use std::net::TcpListener;
use std::net::TcpStream;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::thread;

use nix::sched::CloneFlags;

use crate::machine::Machine;
use crate::machine::wait_until;
use crate::namespace::v4;

pub const LOG: &str = "/var/log/connledger/events.ndjson";
pub const CONFIGURATION: &str = "/etc/connledger/connledger.toml";

/// The shipped line with the output.
const OUTPUT: &str =
    r#"{ to = "file:/var/log/connledger/events.ndjson", rotate = "100MiB", keep = 10 },"#;

/// A machine with connledger in it, not started.
pub struct Installed {
    pub machine: Machine,
    netns: u64,
}

impl Installed {
    /// Boots a machine and installs it there.
    pub fn new() -> Option<Self> {
        let machine = Machine::boot()?;
        for (from, inside) in [
            ("packaging/connledger.toml", CONFIGURATION),
            ("packaging/logrotate/connledger", "/etc/logrotate.d/connledger"),
            ("packaging/systemd/connledger.service", "/usr/lib/systemd/system/connledger.service"),
            ("packaging/systemd/connledger.sysusers", "/usr/lib/sysusers.d/connledger.conf"),
            ("packaging/systemd/connledger.tmpfiles", "/usr/lib/tmpfiles.d/connledger.conf"),
        ] {
            machine.copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join(from), inside);
        }
        machine.copy(Path::new(env!("CARGO_BIN_EXE_connledger")), "/usr/bin/connledger");
        machine.run("systemd-sysusers && systemd-tmpfiles --create connledger.conf");
        machine.run("systemctl daemon-reload");
        let netns = machine.path("/proc/1/ns/net").metadata().unwrap().ino();
        Some(Self { machine, netns })
    }

    /// Runs a shell's commands inside that must succeed.
    pub fn run(&self, commands: &str) -> String {
        self.machine.run(commands)
    }

    /// A property of the service, as `systemctl show` has it.
    pub fn property(&self, name: &str) -> String {
        self.run(&format!("systemctl show --property={name} --value connledger")).trim().to_owned()
    }

    /// Waits until a property is this.
    pub fn wait_until_property(&self, name: &str, value: &str) {
        wait_until(&format!("{name} is {value}"), || self.property(name) == value);
    }

    /// The process id inside.
    pub fn pid(&self) -> String {
        self.property("MainPID")
    }

    /// Puts another line in the place of the shipped output.
    pub fn write_to(&self, output: &str) {
        let shipped = include_str!("../../packaging/connledger.toml");
        assert!(shipped.contains(OUTPUT));
        self.machine.write(CONFIGURATION, &shipped.replace(OUTPUT, output));
    }

    /// Adds to the unit.
    pub fn add_to_unit(&self, text: &str) {
        self.machine.write("/etc/systemd/system/connledger.service.d/test.conf", text);
        self.run("systemctl daemon-reload");
    }

    /// Makes connections on the machine's loopback, each to its end. Returns the port of their listener.
    pub fn connect(&self, connections: usize) -> u16 {
        let namespace = File::open(self.machine.path("/proc/1/ns/net")).unwrap();
        let in_it = move || {
            nix::sched::setns(namespace, CloneFlags::CLONE_NEWNET).unwrap();
            let listener = TcpListener::bind(v4()).unwrap();
            let address = listener.local_addr().unwrap();
            for _ in 0..connections {
                let mut here = TcpStream::connect(address).unwrap();
                let (mut there, _) = listener.accept().unwrap();
                here.write_all(b"?").unwrap();
                drop(here);
                assert_eq!(there.read(&mut [0; 2]).unwrap(), 1);
            }
            address.port()
        };
        thread::scope(|scope| scope.spawn(in_it).join().unwrap())
    }

    /// Makes a connection and waits until its beginning is in this log.
    pub fn connect_and_find(&self, log: &str) {
        let port = self.connect(1);
        let netns = format!("\"netns\":{}", self.netns);
        let remote = format!("\"remote\":{{\"ip\":\"127.0.0.1\",\"port\":{port}}}");
        wait_until(&format!("a connection in {log}"), || {
            self.log(log).lines().any(|line| {
                [r#""event":"connect","outcome":"established""#, &netns, &remote]
                    .iter()
                    .all(|part| line.contains(part))
            })
        });
    }

    /// What is in a log; nothing if there is none.
    pub fn log(&self, path: &str) -> String {
        let mut text = Vec::new();
        if let Ok(mut file) = File::open(self.machine.path(path)) {
            file.read_to_end(&mut text).unwrap();
        }
        String::from_utf8(text).unwrap()
    }

    /// The records of one kind in a log.
    pub fn records(&self, path: &str, event: &str) -> Vec<serde_json::Value> {
        let log = self.log(path);
        let wanted = format!("\"event\":\"{event}\"");
        let lines = log.lines().filter(|line| line.contains(&wanted));
        lines.map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}
