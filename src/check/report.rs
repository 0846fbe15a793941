//! The report, a line a thing: what it is, and what is so.

use std::fmt::Write as _;
use std::path::Path;

use super::places::Doubt;
use crate::config::Config;
use crate::config::Destination;
use crate::config::Families;
use crate::config::FileOutput;
use crate::config::Filters;
use crate::config::List;
use crate::config::Output;
use crate::config::Remember;
use crate::config::SocketOutput;
use crate::config::show_duration;
use crate::config::show_size;
use crate::encode::Format;
use crate::event::Kind;
use crate::probe::Hooks;

/// Columns for what it is.
const WIDTH: usize = 16;

/// What `check` prints.
#[derive(Debug, Default)]
pub struct Report {
    text: String,
    refusals: Vec<String>,
}

impl Report {
    /// All lines so far.
    pub fn text(&self) -> &str {
        &self.text
    }

    fn line(&mut self, what: &str, is: &str) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "{what:WIDTH$}{is}");
    }

    /// For what a run would end at once.
    pub fn refusals(&self) -> &[String] {
        &self.refusals
    }

    fn warning(&mut self, said: &str) {
        self.line("", &format!("warning: {said}"));
    }

    fn doubts(&mut self, doubts: Vec<Doubt>) {
        for doubt in doubts {
            match doubt {
                Doubt::Warning(said) => self.warning(&said),
                Doubt::Refusal(said) => {
                    self.line("", &format!("error: {said}"));
                    self.refusals.push(said);
                }
            }
        }
    }

    /// What is asked for, without the outputs.
    pub fn configuration(&mut self, config: &Config, file: Option<&Path>) {
        if let Some(file) = file {
            self.line("configuration", &file.display().to_string());
        }
        let events: Vec<&str> = config.events.iter().copied().map(Kind::name).collect();
        self.line("events", &events.join(", "));
        self.filters(&config.filters);
        if config.mptcp_subflows {
            self.line("MPTCP subflows", "told");
        }
        if let Some(events) = config.max_events {
            self.line("stops after", &format!("{events} events"));
        }
        if let Some(duration) = config.duration {
            self.line("stops after", &show_duration(duration));
        }
        self.line("ring", &show_size(config.ring_size.into()));
        self.line("flush interval", &show_duration(config.flush_interval));
        let heartbeat = config.heartbeat.map_or_else(|| "never".to_owned(), show_duration);
        self.line("heartbeat", &heartbeat);
        if config.quiet {
            self.line("messages", "warnings and errors");
        }
        if config.verbose {
            self.line("messages", "all, and what libbpf does");
        }
    }

    fn filters(&mut self, filters: &Filters) {
        let Filters {
            pids,
            uids,
            comms,
            cgroups,
            netns,
            families,
            local_ports,
            remote_ports,
            local_nets,
            remote_nets,
            exclude_self,
        } = filters;
        let before = self.text.len();
        self.list("pid", pids);
        self.list("uid", uids);
        self.list("comm", comms);
        self.list("cgroup", cgroups);
        self.list("netns", netns);
        match families {
            Families::Both => {}
            Families::Ipv4 => self.line("  family", "IPv4"),
            Families::Ipv6 => self.line("  family", "IPv6"),
        }
        self.list("local port", local_ports);
        self.list("remote port", remote_ports);
        self.list("local net", local_nets);
        self.list("remote net", remote_nets);
        if *exclude_self {
            self.line("  not told", "the processes that read the output");
        }
        let filtered = self.text.split_off(before);
        self.line("connections", if filtered.is_empty() { "all" } else { "those with" });
        self.text.push_str(&filtered);
    }

    fn list<T: std::fmt::Display>(&mut self, what: &str, list: &List<T>) {
        if !list.is_empty() {
            self.line(&format!("  {what}"), &list.to_string());
        }
    }

    /// An output, and what stands against it.
    pub fn output(&mut self, number: usize, output: &Output, doubts: Vec<Doubt>) {
        let Output { destination, format, timestamps, on_full, queue } = output;
        self.line(&format!("output {number}"), &destination.to_string());
        let format = match (format, timestamps) {
            (Format::Ndjson, _) => "NDJSON",
            (Format::Table, false) => "a table",
            (Format::Table, true) => "a table with the time",
            (Format::Journal, _) => "fields of the journal",
        };
        self.line("  format", format);
        self.line("  queue", &format!("{queue} records; when it is full: {}", on_full.name()));
        match destination {
            Destination::File(file) => self.file(file),
            Destination::Unix(SocketOutput { send_buffer: Some(bytes), .. })
            | Destination::UnixDatagram(SocketOutput { send_buffer: Some(bytes), .. }) => {
                self.line("  send buffer", &show_size((*bytes).into()));
            }
            Destination::Unix(_)
            | Destination::UnixDatagram(_)
            | Destination::Stdout
            | Destination::Journald(_) => {}
        }
        self.doubts(doubts);
    }

    /// Where the run is remembered, and what stands against it.
    pub fn state(&mut self, remember: &Remember, doubts: Vec<Doubt>) {
        self.line("state", &remember.to_string());
        self.doubts(doubts);
    }

    fn file(&mut self, file: &FileOutput) {
        self.line("  mode", &format!("{:04o}", file.mode));
        let when = match (file.rotate, file.rotate_every) {
            (None, None) => "never".to_owned(),
            (Some(bytes), None) => format!("at {}", show_size(bytes)),
            (None, Some(age)) => format!("after {}", show_duration(age)),
            (Some(bytes), Some(age)) => {
                format!("at {} or after {}", show_size(bytes), show_duration(age))
            }
        };
        let kept =
            if file.rotates() { format!(", {} old ones kept", file.keep) } else { String::new() };
        self.line("  rotated", &format!("{when}{kept}"));
    }

    /// What this kernel has for it.
    pub fn kernel(&mut self, hooks: Hooks, doubts: &[String]) {
        let release = rustix::system::uname().release().to_string_lossy().into_owned();
        self.line("kernel", &format!("{release}, with type information and the capabilities"));
        let Hooks { state, connect, accept, io, retransmit, reset, seed } = hooks;
        self.line("hooks", "looked up, not attached");
        for (what, hook) in [
            ("state", Some(state)),
            ("connect", connect),
            ("accept", accept),
            ("io", io),
            ("retransmit", retransmit),
            ("reset", reset),
            ("seed", Some(seed)),
        ] {
            if let Some(hook) = hook {
                self.line(&format!("  {what}"), hook);
            }
        }
        for doubt in doubts {
            self.warning(doubt);
        }
    }
}
