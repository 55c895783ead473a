//! Panels as one SVG: axes, bands, lines, marks, and a legend below.
//!
//! Written by hand, since a drawing library would cost the build more than all of this crate. Text is
//! text (a reader can search it), colours are Okabe and Ito's, and lines of one colour's neighbours
//! differ in their dashes too. It leaves out axes that are not linear.

use std::fmt::Write as _;

use crate::html::Text;

/// Okabe and Ito's colours but for yellow, which white paper swallows.
const COLOURS: [&str; 7] = [
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000",
];

const DASHES: [&str; 7] = ["", "7 3", "2 3", "9 3 2 3", "12 4", "4 2 1 2", "1 2"];

/// Most panels beside each other.
const COLUMNS: usize = 3;

/// Size of a panel's frame, of what lies around it, and of a letter, in pixels.
const FRAME: (f64, f64) = (300.0, 190.0);
const LEFT: f64 = 56.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 42.0;
const BOTTOM: f64 = 42.0;
const LETTER: f64 = 6.4;
const LEGEND_LINE: f64 = 18.0;

/// One plot.
pub(super) struct Panel {
    pub(super) title: String,
    pub(super) x: Axis,
    pub(super) y: Axis,
    /// Where something begins, and what.
    pub(super) marks: Vec<(f64, String)>,
    pub(super) series: Vec<Series>,
}

/// What an axis shows.
pub(super) struct Axis {
    label: String,
    /// Shares, shown in percent.
    percent: bool,
}

impl Axis {
    pub(super) fn plain(label: &str) -> Self {
        Self {
            label: label.to_owned(),
            percent: false,
        }
    }

    pub(super) fn percent(label: &str) -> Self {
        Self {
            percent: true,
            ..Self::plain(label)
        }
    }

    fn shown(&self, value: f64) -> String {
        if self.percent {
            format!("{} %", short(100.0 * value))
        } else {
            short(value)
        }
    }
}

/// What is drawn in one colour, under one name.
pub(super) struct Series {
    pub(super) name: String,
    pub(super) colour: usize,
    pub(super) shape: Shape,
    /// Points that are joined.
    pub(super) stretches: Vec<Vec<Point>>,
}

/// How points are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// A line, with a band where there is something around it.
    Line,
    /// A thin line that ends in a ring.
    Way,
    /// Dots with their names, and bars where there is something around them.
    Marks,
}

/// A value, and what lies around it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Point {
    pub(super) x: f64,
    pub(super) y: f64,
    /// Around `y`, and around `x`.
    pub(super) around: Option<[f64; 2]>,
    pub(super) across: Option<[f64; 2]>,
    pub(super) label: Option<String>,
}

impl Point {
    pub(super) fn at(x: f64, y: f64) -> Self {
        Self {
            x,
            y,
            around: None,
            across: None,
            label: None,
        }
    }
}

/// The picture.
pub(super) fn draw(panels: &[Panel]) -> String {
    let columns = panels.len().clamp(1, COLUMNS);
    let rows = panels.len().div_ceil(columns);
    let (wide, high) = (LEFT + FRAME.0 + RIGHT, TOP + FRAME.1 + BOTTOM);
    let width = wide * columns as f64;
    let (legend, legend_height) = legend(panels, width, high * rows as f64);
    let height = high * rows as f64 + legend_height;
    let titles: Vec<&str> = panels.iter().map(|panel| panel.title.as_str()).collect();
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"Helvetica, Arial, 'Liberation Sans', 'DejaVu Sans', sans-serif\" font-size=\"12\" fill=\"#1a1d21\" role=\"img\">\n\
         <title>{}</title>\n<rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n",
        Text(&titles.join(", "))
    );
    for (at, panel) in panels.iter().enumerate() {
        let (x, y) = ((at % columns) as f64 * wide, (at / columns) as f64 * high);
        let _ = writeln!(svg, "<g transform=\"translate({x} {y})\">");
        Frame::of(panel).draw(&mut svg);
        svg.push_str("</g>\n");
    }
    svg.push_str(&legend);
    svg.push_str("</svg>\n");
    svg
}

/// A panel with the ranges of its axes.
struct Frame<'a> {
    panel: &'a Panel,
    x: [f64; 2],
    y: [f64; 2],
}

impl<'a> Frame<'a> {
    fn of(panel: &'a Panel) -> Self {
        let points = || {
            let stretches = panel.series.iter().flat_map(|series| &series.stretches);
            stretches.flatten()
        };
        let across = points().flat_map(|p| p.across.into_iter().flatten().chain([p.x]));
        let around = points().flat_map(|p| p.around.into_iter().flatten().chain([p.y]));
        Self {
            panel,
            x: range(across, is_scattered(panel)),
            y: range(around, true),
        }
    }

    fn px(&self, x: f64) -> f64 {
        LEFT + FRAME.0 * (x - self.x[0]) / (self.x[1] - self.x[0])
    }

    fn py(&self, y: f64) -> f64 {
        TOP + FRAME.1 * (1.0 - (y - self.y[0]) / (self.y[1] - self.y[0]))
    }

    fn draw(&self, svg: &mut String) {
        self.axes(svg);
        self.marks(svg);
        for series in &self.panel.series {
            for points in &series.stretches {
                match series.shape {
                    Shape::Line => self.line(svg, series, points),
                    Shape::Way => self.way(svg, series, points),
                    Shape::Marks => self.dots(svg, series, points),
                }
            }
        }
    }

    fn axes(&self, svg: &mut String) {
        let (right, bottom) = (LEFT + FRAME.0, TOP + FRAME.1);
        let panel = self.panel;
        let _ = writeln!(
            svg,
            "<text x=\"{LEFT}\" y=\"16\" font-size=\"13\" font-weight=\"bold\">{}</text>",
            Text(&panel.title)
        );
        for at in ticks(self.y, 4) {
            let y = self.py(at);
            let _ = writeln!(
                svg,
                "<line x1=\"{LEFT}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"#dde1e6\"/><text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                LEFT - 6.0,
                y + 4.0,
                panel.y.shown(at)
            );
        }
        for at in ticks(self.x, 5) {
            let x = self.px(at);
            let _ = writeln!(
                svg,
                "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{bottom}\" y2=\"{:.1}\" stroke=\"#57606a\"/><text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                bottom + 4.0,
                bottom + 17.0,
                panel.x.shown(at)
            );
        }
        let _ = writeln!(
            svg,
            "<path d=\"M{LEFT} {TOP}V{bottom}H{right}\" fill=\"none\" stroke=\"#57606a\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            LEFT + FRAME.0 / 2.0,
            bottom + 33.0,
            Text(&panel.x.label)
        );
        if !panel.y.label.is_empty() {
            let _ = writeln!(
                svg,
                "<text x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                8.0,
                TOP - 8.0,
                Text(&panel.y.label)
            );
        }
    }

    fn marks(&self, svg: &mut String) {
        let mut free = LEFT;
        for (at, name) in &self.panel.marks {
            if *at > self.x[1] {
                continue;
            }
            let x = self.px(*at).max(LEFT);
            if x > LEFT {
                let _ = writeln!(
                    svg,
                    "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{:.1}\" y2=\"{:.1}\" stroke=\"#57606a\" stroke-dasharray=\"2 2\"/>",
                    TOP - 12.0,
                    TOP + FRAME.1
                );
            }
            let wide = LETTER * name.chars().count() as f64;
            if x >= free && x + wide <= LEFT + FRAME.0 + RIGHT {
                let _ = writeln!(
                    svg,
                    "<text x=\"{:.1}\" y=\"{:.1}\" font-size=\"11\" fill=\"#57606a\">{}</text>",
                    x + 3.0,
                    TOP - 4.0,
                    Text(name)
                );
                free = x + wide + 8.0;
            }
        }
    }

    fn line(&self, svg: &mut String, series: &Series, points: &[Point]) {
        let colour = colour(series.colour);
        let around: Vec<&Point> = points.iter().filter(|p| p.around.is_some()).collect();
        if around.len() > 1 {
            let edge = |p: &&Point, end: usize| self.place(p.x, p.around.map_or(p.y, |a| a[end]));
            let there = around.iter().map(|p| edge(p, 1));
            let back = around.iter().rev().map(|p| edge(p, 0));
            let all: Vec<String> = there.chain(back).collect();
            let _ = writeln!(
                svg,
                "<polygon points=\"{}\" fill=\"{colour}\" fill-opacity=\"0.18\"/>",
                all.join(" ")
            );
        }
        self.polyline(svg, points, series.colour, 1.8);
        if points.len() == 1 {
            self.dots(svg, series, points);
        }
    }

    fn polyline(&self, svg: &mut String, points: &[Point], number: usize, width: f64) {
        let places: Vec<String> = points.iter().map(|p| self.place(p.x, p.y)).collect();
        let dash = match DASHES[number % DASHES.len()] {
            "" => String::new(),
            dash => format!(" stroke-dasharray=\"{dash}\""),
        };
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"{width}\" stroke-linejoin=\"round\"{dash}/>",
            places.join(" "),
            colour(number)
        );
    }

    fn way(&self, svg: &mut String, series: &Series, points: &[Point]) {
        self.polyline(svg, points, series.colour, 1.0);
        if let Some(last) = points.last() {
            let _ = writeln!(
                svg,
                "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"#ffffff\" stroke=\"{}\"/>",
                self.px(last.x),
                self.py(last.y),
                colour(series.colour)
            );
        }
    }

    fn dots(&self, svg: &mut String, series: &Series, points: &[Point]) {
        let colour = colour(series.colour);
        for point in points {
            let (x, y) = (self.px(point.x), self.py(point.y));
            let bars = [
                point
                    .around
                    .map(|[low, high]| (x, x, self.py(low), self.py(high))),
                point
                    .across
                    .map(|[low, high]| (self.px(low), self.px(high), y, y)),
            ];
            for (x1, x2, y1, y2) in bars.into_iter().flatten() {
                let _ = writeln!(
                    svg,
                    "<line x1=\"{x1:.1}\" x2=\"{x2:.1}\" y1=\"{y1:.1}\" y2=\"{y2:.1}\" stroke=\"{colour}\" stroke-opacity=\"0.55\"/>"
                );
            }
            let _ = writeln!(
                svg,
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"{colour}\"/>"
            );
            if let Some(label) = &point.label {
                name(svg, label, x, y);
            }
        }
    }

    fn place(&self, x: f64, y: f64) -> String {
        format!("{:.1},{:.1}", self.px(x), self.py(y))
    }
}

/// The name of a dot, on the side where there is room.
fn name(svg: &mut String, label: &str, x: f64, y: f64) {
    let wide = LETTER * label.chars().count() as f64;
    let (x, anchor) = if x + 8.0 + wide > LEFT + FRAME.0 + RIGHT {
        (x - 7.0, "end")
    } else {
        (x + 7.0, "start")
    };
    let _ = writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{:.1}\" font-size=\"11\" text-anchor=\"{anchor}\">{}</text>",
        y - 5.0,
        Text(label)
    );
}

fn is_scattered(panel: &Panel) -> bool {
    panel
        .series
        .iter()
        .any(|series| series.shape != Shape::Line)
}

fn colour(number: usize) -> &'static str {
    COLOURS[number % COLOURS.len()]
}

/// From the least to the most of these, with some room where lines should not touch the frame.
fn range(values: impl Iterator<Item = f64>, roomy: bool) -> [f64; 2] {
    let around = |[low, high]: [f64; 2], value: f64| [low.min(value), high.max(value)];
    let [low, high] = values.fold([f64::INFINITY, f64::NEG_INFINITY], around);
    if !low.is_finite() || !high.is_finite() {
        return [0.0, 1.0];
    }
    if high <= low {
        let half = if low == 0.0 { 1.0 } else { low.abs() * 0.1 };
        return [low - half, high + half];
    }
    let room = if roomy { 0.05 * (high - low) } else { 0.0 };
    // An axis of what is never negative does not go below 0.
    let low = if low >= 0.0 {
        (low - room).max(0.0)
    } else {
        low - room
    };
    [low, high + room]
}

/// Round numbers in a range, about this many.
fn ticks([low, high]: [f64; 2], about: usize) -> Vec<f64> {
    let rough = (high - low) / about as f64;
    let power = 10f64.powf(rough.log10().floor());
    let sizes = [1.0, 2.0, 2.5, 5.0, 10.0].map(|times| times * power);
    let step = sizes
        .into_iter()
        .find(|size| *size >= rough)
        .unwrap_or(rough);
    let first = (low / step - 1e-9).ceil() as i64;
    let last = (high / step + 1e-9).floor() as i64;
    (first..=last).map(|at| at as f64 * step).collect()
}

/// As many digits as a tick needs.
fn short(value: f64) -> String {
    let size = value.abs();
    if size >= 1e6 || (size != 0.0 && size < 1e-3) {
        return format!("{value:.1e}");
    }
    let text = format!("{value:.4}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    text.replace('-', "\u{2212}")
}

/// Every name once, in rows, and how high they are. One line alone needs no legend.
fn legend(panels: &[Panel], width: f64, top: f64) -> (String, f64) {
    let mut entries: Vec<&Series> = Vec::new();
    for series in panels.iter().flat_map(|panel| &panel.series) {
        if !entries.iter().any(|known| known.name == series.name) {
            entries.push(series);
        }
    }
    let mut svg = String::new();
    let (mut x, mut y) = (LEFT, top + 12.0);
    for series in &entries {
        let wide = 34.0 + LETTER * series.name.chars().count() as f64 + 20.0;
        if x > LEFT && x + wide > width {
            (x, y) = (LEFT, y + LEGEND_LINE);
        }
        sample(&mut svg, series, x, y);
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{y:.1}\">{}</text>",
            x + 34.0,
            Text(&series.name)
        );
        x += wide;
    }
    let height = if entries.is_empty() {
        0.0
    } else {
        y - top + LEGEND_LINE - 6.0
    };
    (svg, height)
}

fn sample(svg: &mut String, series: &Series, x: f64, y: f64) {
    let (colour, y) = (colour(series.colour), y - 4.0);
    if series.shape == Shape::Marks {
        let _ = writeln!(
            svg,
            "<circle cx=\"{:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"{colour}\"/>",
            x + 14.0
        );
        return;
    }
    let width = if series.shape == Shape::Way { 1.0 } else { 1.8 };
    let _ = writeln!(
        svg,
        "<line x1=\"{x:.1}\" x2=\"{:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"{colour}\" stroke-width=\"{width}\" stroke-dasharray=\"{}\"/>",
        x + 28.0,
        DASHES[series.colour % DASHES.len()]
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round() {
        assert_eq!(ticks([0.0, 100.0], 5), [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]);
        let near = |a: &[f64], b: &[f64]| {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-12)
        };
        assert!(near(&ticks([-0.07, 0.11], 4), &[-0.05, 0.0, 0.05, 0.1]));
        assert_eq!(short(-0.05), "\u{2212}0.05");
    }

    #[test]
    fn a_range_without_width_has_room() {
        assert_eq!(range([2.0, 2.0].into_iter(), true), [1.8, 2.2]);
        assert_eq!(range(std::iter::empty(), true), [0.0, 1.0]);
    }

    #[test]
    fn names_are_text() {
        let series = Series {
            name: "</text><script>".into(),
            colour: 0,
            shape: Shape::Marks,
            stretches: vec![vec![Point {
                label: Some("<b>".into()),
                ..Point::at(1.0, 1.0)
            }]],
        };
        let panel = Panel {
            title: "a & b".into(),
            x: Axis::plain("<x>"),
            y: Axis::percent("y"),
            marks: vec![(0.5, "<i>".into())],
            series: vec![series],
        };
        let svg = draw(&[panel]);
        assert!(
            !svg.contains("<script")
                && !svg.contains("<b>")
                && !svg.contains("<x>")
                && !svg.contains("<i>")
        );
        assert!(svg.contains("a &amp; b"));
    }
}
