//! Small multiples as SVG: a row for each cost, a column for each thing that grows. Light, with a ground of its
//! own, so that it can be read on a dark page, too.

use std::fmt::Write as _;

/// A point, and how far its measurements reached.
#[derive(Clone, Copy, Debug)]
pub struct Dot {
    /// How much there is of what grows.
    pub x: f64,
    /// What it costs.
    pub y: f64,
    /// The least that was measured.
    pub low: f64,
    /// The most.
    pub high: f64,
}

/// A row: one cost, with one scale.
#[derive(Clone, Debug)]
pub struct Row {
    /// What it shows, and its unit.
    pub title: &'static str,
    /// The points of each column.
    pub panels: Vec<Vec<Dot>>,
}

/// A figure.
#[derive(Clone, Debug)]
pub struct Figure {
    /// What each column shows.
    pub columns: Vec<&'static str>,
    /// From top to bottom.
    pub rows: Vec<Row>,
}

const PANEL: (f64, f64) = (160.0, 104.0);
const GAP: (f64, f64) = (26.0, 58.0);
/// Room left of the first column, and above the first row's title.
const MARGIN: (f64, f64) = (58.0, 18.0);
const TITLE: f64 = 26.0;

/// Room before the first and behind the last point, in decades.
const ROOM: f64 = 0.15;

const STYLE: &str = "text { font: 11px system-ui, 'Segoe UI', Helvetica, Arial, sans-serif; fill: #57606a; } \
    .title { font-size: 13px; font-weight: 600; fill: #1f2328; } \
    .grid { stroke: #e4e8ec; } .frame { fill: none; stroke: #c5ccd3; } \
    .reach { stroke: #7fb0e0; stroke-width: 4; stroke-linecap: round; } \
    .line { fill: none; stroke: #1f6feb; stroke-width: 1.6; stroke-linejoin: round; } .dot { fill: #1f6feb; }";

impl Figure {
    /// The figure as SVG.
    pub fn svg(&self) -> String {
        let columns = self.columns.len() as f64;
        let rows = self.rows.len() as f64;
        let width = MARGIN.0 + columns * (PANEL.0 + GAP.0);
        let height = MARGIN.1 + rows * (TITLE + PANEL.1 + GAP.1);
        let mut svg = String::new();
        // Writing to a string does not fail.
        let _ = writeln!(
            svg,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" \
             width=\"{width:.0}\" height=\"{height:.0}\" role=\"img\">\n\
             <title>What a connection costs as there is more of everything</title>\n\
             <style>{STYLE}</style>\n\
             <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"#ffffff\"/>"
        );
        for (index, row) in self.rows.iter().enumerate() {
            let top = MARGIN.1 + index as f64 * (TITLE + PANEL.1 + GAP.1);
            self.draw_row(&mut svg, row, top);
        }
        svg.push_str("</svg>\n");
        svg
    }

    fn draw_row(&self, svg: &mut String, row: &Row, top: f64) {
        text(svg, (14.0, top + 10.0), "title", "start", row.title);
        let highest = row.panels.iter().flatten().map(|dot| dot.high).fold(0.0, f64::max);
        let ticks = ticks(highest);
        for (index, (dots, column)) in row.panels.iter().zip(&self.columns).enumerate() {
            let left = MARGIN.0 + index as f64 * (PANEL.0 + GAP.0);
            let panel = Panel::new((left, top + TITLE), dots, &ticks);
            panel.draw_scales(svg, &ticks, index == 0);
            panel.draw_dots(svg, dots);
            let middle = left + PANEL.0 / 2.0;
            text(svg, (middle, top + TITLE + PANEL.1 + 32.0), "", "middle", column);
        }
    }
}

/// Where one panel is, and its scales: logarithmic to the right, its ends in decades; linear from 0 upwards.
struct Panel {
    corner: (f64, f64),
    decades: (f64, f64),
    top: f64,
}

impl Panel {
    fn new(corner: (f64, f64), dots: &[Dot], ticks: &[f64]) -> Self {
        let least = dots.iter().map(|dot| dot.x).fold(f64::INFINITY, f64::min).max(1.0);
        let most = dots.iter().map(|dot| dot.x).fold(1.0, f64::max);
        let (from, to) = (least.min(most).log10(), most.log10().max(least.log10() + 1.0));
        Self {
            corner,
            decades: (from - ROOM, to + ROOM),
            top: ticks.last().copied().unwrap_or(1.0),
        }
    }

    fn x(&self, value: f64) -> f64 {
        let (from, to) = self.decades;
        self.corner.0 + PANEL.0 * (value.max(1.0).log10() - from) / (to - from)
    }

    fn y(&self, value: f64) -> f64 {
        self.corner.1 + PANEL.1 * (1.0 - value / self.top)
    }

    fn draw_scales(&self, svg: &mut String, ticks: &[f64], labelled: bool) {
        let (left, top) = self.corner;
        let (right, bottom) = (left + PANEL.0, top + PANEL.1);
        for &tick in ticks {
            let y = self.y(tick);
            line(svg, "grid", (left, y), (right, y));
            if labelled {
                text(svg, (left - 7.0, y + 4.0), "", "end", &short(tick));
            }
        }
        let mut decade = self.decades.0.ceil();
        while decade <= self.decades.1 {
            let value = 10_f64.powf(decade);
            let x = self.x(value);
            line(svg, "grid", (x, top), (x, bottom));
            text(svg, (x, bottom + 15.0), "", "middle", &short(value));
            decade += 1.0;
        }
        let (width, height) = PANEL;
        let _ = writeln!(
            svg,
            "<rect class=\"frame\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"/>"
        );
    }

    fn draw_dots(&self, svg: &mut String, dots: &[Dot]) {
        for dot in dots {
            let x = self.x(dot.x);
            line(svg, "reach", (x, self.y(dot.low)), (x, self.y(dot.high)));
        }
        let points: Vec<String> =
            dots.iter().map(|dot| format!("{:.1},{:.1}", self.x(dot.x), self.y(dot.y))).collect();
        let _ = writeln!(svg, "<polyline class=\"line\" points=\"{}\"/>", points.join(" "));
        for dot in dots {
            let (x, y) = (self.x(dot.x), self.y(dot.y));
            let _ = writeln!(svg, "<circle class=\"dot\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.8\"/>");
        }
    }
}

/// Values for a scale from 0 to at least `highest`: some four steps of 1, 2, 2.5 or 5 times a power of ten.
pub fn ticks(highest: f64) -> Vec<f64> {
    if highest.is_nan() || highest <= 0.0 {
        return vec![0.0, 1.0];
    }
    let rough = highest / 4.0;
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 2.5, 5.0, 10.0]
        .into_iter()
        .map(|factor| factor * power)
        .find(|step| *step >= rough * 0.999_999)
        .unwrap_or(10.0 * power);
    let steps = (highest / step).ceil() as u32;
    (0..=steps).map(|index| f64::from(index) * step).collect()
}

/// A number as a scale has it: 10, 2.5, 100k, 1M.
pub fn short(value: f64) -> String {
    let (scaled, suffix) = match value {
        value if value >= 1e6 => (value / 1e6, "M"),
        value if value >= 1e4 => (value / 1e3, "k"),
        value => (value, ""),
    };
    let text = format!("{scaled:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    format!("{text}{suffix}")
}

fn line(svg: &mut String, class: &str, from: (f64, f64), to: (f64, f64)) {
    let _ = writeln!(
        svg,
        "<line class=\"{class}\" x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\"/>",
        from.0, from.1, to.0, to.1
    );
}

fn text(svg: &mut String, at: (f64, f64), class: &str, anchor: &str, text: &str) {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(
        svg,
        "<text class=\"{class}\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{text}</text>",
        at.0, at.1
    );
}
