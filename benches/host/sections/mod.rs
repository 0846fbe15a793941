//! The parts of the report, in the order in which they are measured.

pub mod growth;
pub mod host;
pub mod idle;
pub mod kernel;
pub mod latency;
pub mod memory;
pub mod outputs;

use std::fmt;
use std::fmt::Display;
use std::fs;

use anyhow::Context as _;

use crate::options::Options;
use crate::pipeline;
use crate::report::Report;
use crate::scene::Scene;

/// A part of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// What the host loses: connections a second. What is seen and lost, and what it costs in user space, comes
    /// from the same sessions.
    Host,
    /// What the BPF programs cost.
    Kernel,
    /// What is done when nothing happens.
    Idle,
    /// From the event to the line.
    Latency,
    /// The pipeline alone: what benches/pipeline.rs has left in a file. It needs no root, this does.
    Pipeline,
    /// The outputs alone.
    Outputs,
    /// What it allocates in the long run.
    Memory,
    /// What it costs as there is more of everything.
    Growth,
}

impl Section {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Host,
        Self::Kernel,
        Self::Idle,
        Self::Latency,
        Self::Pipeline,
        Self::Outputs,
        Self::Memory,
        Self::Growth,
    ];

    /// The one of this name.
    pub fn named(name: &str) -> anyhow::Result<Self> {
        Self::ALL.into_iter().find(|section| section.name() == name).with_context(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("ONLY={name}: there are {names}")
        })
    }

    fn name(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Kernel => "kernel",
            Self::Idle => "idle",
            Self::Latency => "latency",
            Self::Pipeline => "pipeline",
            Self::Outputs => "outputs",
            Self::Memory => "memory",
            Self::Growth => "growth",
        }
    }

    /// Measures it.
    pub fn measure(
        self,
        options: &Options,
        scene: &Scene,
        report: &mut Report,
    ) -> anyhow::Result<()> {
        match self {
            Self::Host => report.host = Some(host::measure(options, scene)?),
            Self::Kernel => report.kernel = Some(kernel::measure(options, scene)?),
            Self::Idle => report.idle = Some(idle::measure(options, scene)?),
            Self::Latency => report.latency = Some(latency::measure(options, scene)?),
            Self::Pipeline => {
                let output = fs::read_to_string(scene.report_path("pipeline.txt"));
                report.pipeline = output.map_or_else(|_| Vec::new(), |text| pipeline::parse(&text));
            }
            Self::Outputs => report.outputs = Some(outputs::measure(options, scene)?),
            Self::Memory => report.memory = Some(memory::measure(options, scene)?),
            Self::Growth => report.growth = growth::measure(options, scene)?,
        }
        Ok(())
    }
}

impl Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
