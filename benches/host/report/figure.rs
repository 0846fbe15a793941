//! The growth as a figure: what each cost does along each axis.

use crate::plot::Dot;
use crate::plot::Figure;
use crate::plot::Row;
use crate::sections::growth::Axis;
use crate::sections::growth::Point;
use crate::statistics::Summary;

/// The figure of these points.
pub fn of(points: &[Point]) -> Figure {
    let row = |title, cost: fn(&Point) -> Summary| {
        let panel = |axis| {
            let dots = points.iter().filter(|point| point.axis == axis).map(|point| {
                let Summary { median, min, max, .. } = cost(point);
                Dot { x: point.amount, y: median, low: min, high: max }
            });
            dots.collect()
        };
        Row { title, panels: Axis::ALL.into_iter().map(panel).collect() }
    };
    Figure {
        columns: Axis::ALL.into_iter().map(Axis::title).collect(),
        rows: vec![
            row("BPF programs, µs a connection (both ends)", |point| point.kernel_ns.scaled(1e-3)),
            row("CPU of the whole process, µs a record", |point| point.cpu_us),
            row("event to line, p99, ms", |point| point.p99_us.scaled(1e-3)),
        ],
    }
}
