//! The report: everything that was measured in one run, as JSON, as Markdown, and the growth as a figure.

mod figure;
mod tables;

use std::fs;

use anyhow::Context as _;
use serde::Serialize;

use crate::machine::Machine;
use crate::options::Options;
use crate::pipeline::Stage;
use crate::scene::Scene;
use crate::sections::growth::Point;
use crate::sections::host::Host;
use crate::sections::idle::Idle;
use crate::sections::kernel::Kernel;
use crate::sections::latency::Latency;
use crate::sections::memory::Memory;
use crate::sections::outputs::Outputs;
use crate::targets;
use crate::targets::Figures;
use crate::targets::Target;

/// The generated host of the pipeline's benchmark that is judged: the larger one, which no cache holds.
const MANY_PROCESSES: &str = "10000";

/// Everything that was measured in one run. What was not is absent.
#[derive(Debug, Serialize)]
pub struct Report {
    /// What it was measured on.
    pub machine: Machine,
    /// Rounds of each measurement.
    pub rounds: usize,
    /// Whether its sizes were small: its numbers mean little.
    pub quick: bool,
    /// What is wanted, beside what was measured.
    pub targets: Vec<Target>,
    /// The host's loss.
    pub host: Option<Host>,
    /// Kernel cost.
    pub kernel: Option<Kernel>,
    /// What is done when nothing happens.
    pub idle: Option<Idle>,
    /// From the event to the line.
    pub latency: Option<Latency>,
    /// The pipeline alone.
    pub pipeline: Vec<Stage>,
    /// The outputs alone.
    pub outputs: Option<Outputs>,
    /// What it allocates in the long run.
    pub memory: Option<Memory>,
    /// What it costs as there is more of everything.
    pub growth: Vec<Point>,
}

impl Report {
    /// An empty report.
    pub fn new(options: &Options) -> Self {
        Self {
            machine: Machine::this(),
            rounds: options.rounds,
            quick: options.quick,
            targets: Vec::new(),
            host: None,
            kernel: None,
            idle: None,
            latency: None,
            pipeline: Vec::new(),
            outputs: None,
            memory: None,
            growth: Vec::new(),
        }
    }

    /// Writes what there is so far.
    pub fn write(&mut self, scene: &Scene) -> anyhow::Result<()> {
        self.targets = targets::judge(&self.figures());
        let write = |name: &str, contents: &[u8]| {
            let path = scene.report_path(name);
            fs::write(&path, contents).with_context(|| path.display().to_string())
        };
        write("report.json", &serde_json::to_vec_pretty(self)?)?;
        write("report.md", tables::markdown(self).as_bytes())?;
        if !self.growth.is_empty() {
            write("growth.svg", figure::of(&self.growth).svg().as_bytes())?;
        }
        Ok(())
    }

    /// The targets beside what was measured, as they stand in the report.
    pub fn targets(&self) -> String {
        tables::targets(self)
    }

    /// What is judged.
    fn figures(&self) -> Figures {
        let own = self.host.as_ref().and_then(|host| host.tools.first());
        let own_idle = self.idle.as_ref().and_then(|idle| idle.tools.first());
        let own_kernel = self.kernel.as_ref().and_then(|kernel| kernel.tools.first());
        let encoded = self
            .pipeline
            .iter()
            .find(|stage| stage.name == "encode_ndjson" && stage.processes == MANY_PROCESSES);
        let output = |name| {
            let kinds = self.outputs.as_ref()?.kinds.iter();
            kinds.clone().find(|kind| kind.name == name).map(|kind| kind.lines_a_second)
        };
        Figures {
            file_lines: output("file"),
            unix_lines: output("unix"),
            two_over_one: self.outputs.as_ref().map(|outputs| outputs.two_over_one),
            ratio: own.map(|own| own.ratio),
            over_tcplife: self.host.as_ref().and_then(|host| host.over_tcplife),
            kernel_ns: own_kernel.map(|own| own.ns_a_connection),
            user_us: own.map(|own| own.user.us_a_line),
            encoded_a_second: encoded.map(|stage| stage.records_a_second),
            idle_wake_ups: own_idle.map(|own| own.wake_ups),
            idle_p99_us: self.latency.as_ref().map(|latency| latency.after_idle.p99),
            load_p99_us: self.latency.as_ref().map(|latency| latency.under_load.p99),
            memory_kib: self
                .memory
                .as_ref()
                .map(|memory| (memory.most_kib(), memory.late_growth_kib())),
            lost: own.map(|own| (own.seen.lost(), own.seen.expected)),
        }
    }
}
