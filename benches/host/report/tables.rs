//! The report as Markdown.

use std::fmt::Write as _;

use super::Report;
use crate::sections::growth::Axis;
use crate::sections::host::Host;
use crate::sections::idle::Idle;
use crate::sections::kernel::Kernel;
use crate::sections::latency::Distribution;
use crate::sections::latency::Latency;
use crate::sections::memory::Memory;
use crate::sections::outputs::Outputs;
use crate::statistics::Summary;

/// More lines about others than this share, and the machine was not quiet enough.
const QUIET: f64 = 0.01;

/// The report.
pub fn markdown(report: &Report) -> String {
    let mut parts = vec![head(report), targets(report)];
    parts.extend(report.host.as_ref().map(host));
    parts.extend(report.kernel.as_ref().map(|costs| kernel(costs, report.host.as_ref())));
    parts.extend(report.host.as_ref().map(user));
    parts.extend(report.idle.as_ref().map(idle));
    parts.extend(report.latency.as_ref().map(latency));
    parts.extend(report.host.as_ref().map(loss));
    parts.extend((!report.pipeline.is_empty()).then(|| pipeline(report)));
    parts.extend(report.outputs.as_ref().map(outputs));
    parts.extend(report.memory.as_ref().map(memory));
    parts.extend((!report.growth.is_empty()).then(|| growth(report)));
    parts.join("\n")
}

fn head(report: &Report) -> String {
    let machine = &report.machine;
    let mut text = format!(
        "# What connledger costs\n\n{}\n{}, {} cores{}, {:.0} GiB, Linux {}; {}. {} rounds.\n",
        machine.connledger,
        machine.processor,
        machine.cores,
        if machine.is_virtual { " (virtual)" } else { "" },
        machine.memory_gib,
        machine.kernel,
        machine.time,
        report.rounds,
    );
    if !machine.peers.is_empty() {
        let _ = writeln!(text, "Peers: {}.", machine.peers.join(", "));
    }
    if report.quick {
        text.push_str("\n**A quick run: these numbers mean little.**\n");
    }
    let noise = report.host.as_ref().map_or(0.0, |host| {
        let seen = host.tools.iter().map(|tool| &tool.seen);
        let (others, all) = seen.fold((0, 0), |(others, all), seen| {
            (others + seen.others, all + seen.written + seen.others)
        });
        others as f64 / all as f64
    });
    if noise > QUIET {
        let percent = noise * 100.0;
        let _ = writeln!(
            text,
            "\n**The machine was not quiet: {percent:.0} % of what the tools saw was not the load.**"
        );
    }
    text
}

/// The targets beside what was measured; under those that were not met, why.
pub fn targets(report: &Report) -> String {
    let rows = report.targets.iter().map(|target| {
        let measured = target.measured.clone().unwrap_or_else(|| "not measured".to_owned());
        let verdict = match target.met {
            None => "–",
            Some(true) => "met",
            Some(false) => "**not met**",
        };
        vec![target.what.to_owned(), target.wanted.to_owned(), measured, verdict.to_owned()]
    });
    let mut text =
        "## Targets\n\nWith the 95 % confidence interval of the median where there is one.\n\n"
            .to_owned()
            + &table(&["what", "target", "measured", ""], rows);
    for target in &report.targets {
        if let Some(obstacle) = target.obstacle {
            let _ = write!(text, "\n**Not met: {}.** {obstacle}\n", target.what);
        }
    }
    text
}

fn host(host: &Host) -> String {
    let untraced = vec![
        "(untraced)".to_owned(),
        middle(host.untraced),
        "1".to_owned(),
        String::new(),
        reach(host.untraced),
    ];
    let tools = host.tools.iter().map(|tool| {
        vec![
            tool.name.clone(),
            middle(tool.rate),
            format!("**{:.3}**", tool.ratio.median),
            format!("{:.3} to {:.3}", tool.ratio.low, tool.ratio.high),
            reach(tool.rate),
        ]
    });
    let refused = host.refused.iter().map(|(name, reason)| {
        vec![
            name.clone(),
            format!("does not attach: {reason}"),
            String::new(),
            String::new(),
            String::new(),
        ]
    });
    let mut text = "## The host's loss\n\nConnections a second, and how many of those that are made unwatched \
        just before and after.\n\n"
        .to_owned();
    let header = ["tool", "connections/s", "of untraced", "95 % interval", "spread, connections/s"];
    text += &table(&header, std::iter::once(untraced).chain(tools).chain(refused));
    if let Some(over) = host.over_tcplife {
        let _ = writeln!(
            text,
            "\nconnledger over tcplife: {:.2} ({:.2} to {:.2}).",
            over.median, over.low, over.high
        );
    }
    text.push('\n');
    for tool in &host.tools {
        let _ = writeln!(text, "- {}: `{}`", tool.name, tool.command);
    }
    text
}

fn kernel(kernel: &Kernel, host: Option<&Host>) -> String {
    let mut rows = Vec::new();
    for tool in &kernel.tools {
        rows.push(vec![
            format!("**{}**", tool.name),
            String::new(),
            String::new(),
            format!("**{}**", middle(tool.ns_a_connection)),
            interval(tool.ns_a_connection),
        ]);
        rows.extend(tool.programs.iter().map(|program| {
            vec![
                format!("`{}`", program.name),
                middle(program.ns_a_run),
                middle(program.runs_a_connection),
                middle(program.ns_a_connection),
                interval(program.ns_a_connection),
            ]
        }));
    }
    // Who does not attach is told above.
    let told = |name: &String| {
        host.is_some_and(|host| host.refused.iter().any(|(refused, _)| refused == name))
    };
    rows.extend(kernel.refused.iter().filter(|(name, _)| !told(name)).map(|(name, reason)| {
        vec![name.clone(), reason.clone(), String::new(), String::new(), String::new()]
    }));
    let header = ["program", "ns a run", "runs a connection", "ns a connection", "95 % interval"];
    format!(
        "## Kernel cost\n\nAs the kernel counts it, both ends of a connection together. The counting is part of it: \
         a program that does nothing takes {} ns a run.\n\n{}",
        middle(kernel.nothing_ns),
        table(&header, rows)
    )
}

fn user(host: &Host) -> String {
    let rows = host.tools.iter().map(|tool| {
        vec![
            tool.name.clone(),
            with_interval(tool.user.us_a_line),
            with_interval(tool.user.system_us_a_line),
            with_interval(tool.user.us_a_connection),
            middle(tool.user.anonymous_kib),
            middle(tool.user.switches_a_second),
        ]
    });
    let header = [
        "under load",
        "user µs a line",
        "system µs a line",
        "µs a connection",
        "anonymous KiB, most",
        "context switches/s",
    ];
    format!("## User cost\n\n{}", table(&header, rows))
}

fn idle(idle: &Idle) -> String {
    let rows = idle.tools.iter().map(|tool| {
        vec![
            tool.name.clone(),
            tool.wake_ups.to_string(),
            number(tool.cpu_us),
            tool.anonymous_kib.to_string(),
        ]
    });
    let header = ["idle", "wake-ups", "CPU µs", "anonymous KiB"];
    let mut text =
        format!("In {:.0} s in which nothing happens:\n\n{}", idle.seconds, table(&header, rows));
    if let Some(own) = idle.tools.first()
        && own.lines > 0
    {
        let _ = writeln!(text, "\nOthers were not idle: it told {} events of theirs.", own.lines);
    }
    text
}

fn latency(latency: &Latency) -> String {
    let row = |name: &str, of: &Distribution| {
        vec![
            name.to_owned(),
            number(of.p50),
            number(of.p99),
            number(of.max),
            interval(of.p99_of_sessions),
            of.count.to_string(),
        ]
    };
    let rows = [
        row("first line after idle", &latency.after_idle),
        row("every line under load", &latency.under_load),
    ];
    let header = ["µs", "p50", "p99", "max", "p99 of a session, 95 % interval", "lines"];
    "## Latency\n\nFrom the event to the arrival of its line in a pipe.\n\n".to_owned()
        + &table(&header, rows)
}

fn loss(host: &Host) -> String {
    let rows = host.tools.iter().map(|tool| {
        vec![
            tool.name.clone(),
            tool.seen.connections.to_string(),
            tool.seen.expected.to_string(),
            tool.seen.written.to_string(),
            tool.seen.lost().to_string(),
            tool.seen.reported_lost.to_string(),
        ]
    });
    let header =
        ["tool", "connections", "lines due", "written", "missing", "lost, as it says itself"];
    "## Loss\n\nOf the load above, from its first connection to its last.\n\n".to_owned()
        + &table(&header, rows)
}

fn pipeline(report: &Report) -> String {
    let rows = report.pipeline.iter().map(|stage| {
        let rate = format!("{:.2}", stage.records_a_second / 1e6);
        vec![format!("`{}`", stage.name), stage.processes.clone(), rate]
    });
    "## The pipeline alone\n\nGenerated records (benches/pipeline.rs): one thread; with an outlet, two.\n\n".to_owned()
        + &table(&["stage", "processes", "M records/s"], rows)
}

fn outputs(outputs: &Outputs) -> String {
    let rows = outputs.kinds.iter().map(|kind| {
        let millions = kind.lines_a_second.scaled(1e-6);
        vec![format!("`{}`", kind.name), with_interval(millions), with_interval(kind.cpu_ns_a_line)]
    });
    let header = ["output", "M lines/s", "CPU ns a line, of its thread"];
    format!(
        "## The outputs alone\n\nNDJSON, encoding included, each thread on a core of its own; {} lines a round. What reads \
         a socket does nothing with it; the file is in memory.\n\n{}\nThe collector takes {} ns of CPU for a record \
         with one output; with two, {} of that.\n",
        outputs.lines,
        table(&header, rows),
        with_interval(outputs.collector_with_one_ns),
        with_interval(outputs.two_over_one),
    )
}

fn memory(memory: &Memory) -> String {
    let rows = memory
        .anonymous_kib
        .iter()
        .map(|(connections, kib)| vec![connections.to_string(), kib.to_string()]);
    format!(
        "## Memory\n\nAnonymous memory of connledger, defaults, after connections from {} processes. Lost: {}.\n\n{}",
        memory.processes,
        memory.lost,
        table(&["connections", "KiB"], rows)
    )
}

fn growth(report: &Report) -> String {
    let mut text =
        "## Growth\n\n![What a connection costs as there is more of everything](growth.svg)\n"
            .to_owned();
    for axis in Axis::ALL {
        let points = report.growth.iter().filter(|point| point.axis == axis);
        let rows = points.map(|point| {
            vec![
                number(point.amount),
                number(point.kernel_ns.median),
                number(point.cpu_us.median),
                number(point.p99_us.median),
                point.lost.to_string(),
            ]
        });
        let header =
            [axis.title(), "kernel ns a connection", "CPU µs a record", "latency p99 µs", "lost"];
        let _ = write!(text, "\n{}", table(&header, rows));
    }
    text
}

fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut text = format!("| {} |\n|{}\n", header.join(" | "), " --- |".repeat(header.len()));
    for row in rows {
        let _ = writeln!(text, "| {} |", row.join(" | "));
    }
    text
}

fn middle(summary: Summary) -> String {
    number(summary.median)
}

fn interval(summary: Summary) -> String {
    format!("{} to {}", number(summary.low), number(summary.high))
}

fn with_interval(summary: Summary) -> String {
    format!("{} ({})", middle(summary), interval(summary))
}

fn reach(summary: Summary) -> String {
    format!("{} to {}", number(summary.min), number(summary.max))
}

/// A number with three digits that count.
fn number(value: f64) -> String {
    let digits = match value.abs() {
        value if value >= 100.0 => 0,
        value if value >= 10.0 => 1,
        value if value >= 1.0 => 2,
        _ => 3,
    };
    format!("{value:.digits$}")
}
