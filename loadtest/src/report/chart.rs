//! Line charts as SVG, coloured by the classes of the page. Each is drawn twice, for wide and for narrow
//! screens, since a drawing that is only made smaller cannot be read.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// A line of a chart.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) name: String,
    /// Points in the units of the axes, ascending in x.
    pub(super) points: Vec<(f64, f64)>,
}

/// A vertical line that says what happened there.
#[derive(Debug, Clone)]
pub(super) struct Mark {
    pub(super) at: f64,
    pub(super) label: String,
    /// Whether something was broken there.
    pub(super) fault: bool,
}

/// A chart.
pub(super) struct Chart<'a> {
    pub(super) title: String,
    /// What the axes show, with units.
    pub(super) axes: String,
    pub(super) lines: Vec<Line>,
    /// Whether y is logarithmic.
    pub(super) log_y: bool,
    /// Whether what lies below the lines is filled.
    pub(super) filled: bool,
    pub(super) show_y: &'a dyn Fn(f64) -> String,
    pub(super) show_x: &'a dyn Fn(f64) -> String,
    /// Places on the x axis with their labels; their range is that of the chart.
    pub(super) ticks: Vec<(f64, String)>,
    pub(super) marks: Vec<Mark>,
}

/// A size to draw in.
struct Size {
    class: &'static str,
    width: f64,
    height: f64,
    /// So many ticks on the x axis have room.
    ticks: usize,
    /// Whether there is a pointer to show values to.
    pointer: bool,
}

const SIZES: [Size; 2] = [
    Size {
        class: "wide",
        width: 860.0,
        height: 250.0,
        ticks: 12,
        pointer: true,
    },
    Size {
        class: "narrow",
        width: 380.0,
        height: 230.0,
        ticks: 5,
        pointer: false,
    },
];

const LEFT: f64 = 62.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 18.0;
const BOTTOM: f64 = 26.0;
/// Places that show values; more would make the file large for nothing.
const MAX_HITS: usize = 240;

/// The axes of a chart: from values to places.
struct Scale {
    x: (f64, f64),
    y: (f64, f64),
    log_y: bool,
    width: f64,
    height: f64,
}

impl Scale {
    fn x(&self, value: f64) -> f64 {
        let (from, to) = self.x;
        LEFT + (value - from) / (to - from) * (self.width - LEFT - RIGHT)
    }

    fn y(&self, value: f64) -> f64 {
        let (bottom, top) = self.y;
        let share = if self.log_y {
            (value.max(bottom) / bottom).ln() / (top / bottom).ln()
        } else {
            (value - bottom) / (top - bottom)
        };
        self.height - BOTTOM - share * (self.height - TOP - BOTTOM)
    }
}

impl Chart<'_> {
    /// The figure, or nothing if there is nothing to draw.
    pub(super) fn draw(&self) -> String {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let (Some(first), Some(last)) = (self.ticks.first(), self.ticks.last()) else {
            return String::new();
        };
        if points().next().is_none() || last.0 <= first.0 {
            return String::new();
        }
        let highest = points().map(|point| point.1).fold(0.0, f64::max);
        let positive = points().map(|point| point.1).filter(|y| *y > 0.0);
        let lowest = positive.fold(f64::INFINITY, f64::min).min(highest.max(1.0));
        let grid = if self.log_y {
            log_steps(lowest, highest)
        } else {
            steps(highest)
        };
        let (Some(bottom), Some(top)) = (grid.first().copied(), grid.last().copied()) else {
            return String::new();
        };
        let mut out = format!(
            "<figure><figcaption><span>{} <small>{}</small></span><span class=legend>",
            escape(&self.title),
            escape(&self.axes)
        );
        for (at, line) in self.lines.iter().enumerate() {
            // Writing to a string never fails.
            let _ = write!(out, "<span class=k{}>{}</span>", at % 6, escape(&line.name));
        }
        out.push_str("</span></figcaption>");
        for size in &SIZES {
            let scale = Scale {
                x: (first.0, last.0),
                y: (bottom, top),
                log_y: self.log_y,
                width: size.width,
                height: size.height,
            };
            let _ = self.draw_in(&mut out, size, &scale, &grid);
        }
        out.push_str("</figure>");
        out
    }

    fn draw_in(
        &self,
        out: &mut String,
        size: &Size,
        scale: &Scale,
        grid: &[f64],
    ) -> std::fmt::Result {
        let (right, bottom) = (size.width - RIGHT, size.height - BOTTOM);
        write!(
            out,
            "<svg class={} viewBox=\"0 0 {} {}\" role=img aria-label=\"{}\">",
            size.class,
            size.width,
            size.height,
            escape(&self.title)
        )?;
        for value in grid {
            let at = scale.y(*value);
            write!(
                out,
                "<line class=grid x1={LEFT} x2={right} y1={at:.1} y2={at:.1} /><text x={} y={:.1} text-anchor=end>{}</text>",
                LEFT - 8.0,
                at + 4.0,
                escape(&(self.show_y)(*value))
            )?;
        }
        // Long labels need more room.
        let longest = self.ticks.iter().map(|tick| tick.1.chars().count()).max();
        let room = size.ticks * 7 / longest.unwrap_or(0).max(7);
        let every = self.ticks.len().div_ceil(room.max(2)).max(1);
        for (value, label) in self.ticks.iter().step_by(every) {
            let at = scale.x(*value);
            // One at the edge would be cut off.
            let anchor = if at > right - 12.0 { "end" } else { "middle" };
            let x = if at > right - 12.0 {
                size.width - 2.0
            } else {
                at
            };
            write!(
                out,
                "<line class=tick x1={at:.1} x2={at:.1} y1={bottom} y2={:.1} /><text x={x:.1} y={} text-anchor={anchor}>{}</text>",
                bottom + 4.0,
                size.height - 8.0,
                escape(label)
            )?;
        }
        for (row, mark) in self.marks.iter().enumerate() {
            let at = scale.x(mark.at.clamp(scale.x.0, scale.x.1));
            let (side, anchor) = if at > size.width / 2.0 {
                (-4.0, "end")
            } else {
                (4.0, "start")
            };
            let room = if size.pointer { 40 } else { 18 };
            let mut label: String = mark.label.chars().take(room).collect();
            if label.len() < mark.label.trim_end().len() {
                label.push('…');
            }
            let class = if mark.fault { "fault" } else { "mark" };
            // Neighbours would stand on each other.
            let y = 12 + 12 * (row % 2);
            write!(
                out,
                "<line class={class} x1={at:.1} x2={at:.1} y1=6 y2={bottom} /><text class={class} x={:.1} y={y} text-anchor={anchor}>{}</text>",
                at + side,
                escape(&label)
            )?;
        }
        for (at, line) in self.lines.iter().enumerate() {
            let mut path = String::new();
            for (x, y) in &line.points {
                let letter = if path.is_empty() { 'M' } else { 'L' };
                write!(path, "{letter}{:.1} {:.1}", scale.x(*x), scale.y(*y))?;
            }
            if self.filled
                && let (Some(first), Some(last)) = (line.points.first(), line.points.last())
            {
                let (from, to) = (scale.x(first.0), scale.x(last.0));
                write!(
                    out,
                    "<path class=\"f{}\" d=\"{path}L{to:.1} {bottom}L{from:.1} {bottom}Z\" />",
                    at % 6
                )?;
            }
            // A line of one point would not be seen.
            if line.points.len() == 1 {
                path.push_str("h2");
            }
            write!(out, "<path class=s{} d=\"{path}\" />", at % 6)?;
        }
        if size.pointer {
            self.hits(out, scale, bottom)?;
        }
        out.push_str("</svg>");
        Ok(())
    }

    /// Strips that say, under a pointer, what the values are.
    fn hits(&self, out: &mut String, scale: &Scale, bottom: f64) -> std::fmt::Result {
        let mut columns: BTreeMap<i64, Vec<(usize, f64, f64)>> = BTreeMap::new();
        let strip = (scale.width - LEFT - RIGHT) / MAX_HITS as f64;
        for (at, line) in self.lines.iter().enumerate() {
            for (x, y) in &line.points {
                let column = (scale.x(*x) / strip) as i64;
                let values = columns.entry(column).or_default();
                if !values.iter().any(|(known, ..)| *known == at) {
                    values.push((at, *x, *y));
                }
            }
        }
        let places: Vec<f64> = columns
            .values()
            .map(|values| scale.x(values[0].1))
            .collect();
        for (at, values) in columns.values().enumerate() {
            // Half way to the neighbours.
            let before = at.checked_sub(1).map_or(LEFT, |at| places[at]);
            let after = places.get(at + 1).copied().unwrap_or(scale.width - RIGHT);
            let (from, to) = ((before + places[at]) / 2.0, (after + places[at]) / 2.0);
            let x = (self.show_x)(values[0].1);
            write!(
                out,
                "<rect class=hit x={from:.1} y={TOP} width={:.1} height={:.1}><title>{}",
                (to - from).max(1.0),
                bottom - TOP,
                escape(&x)
            )?;
            for (line, _, y) in values {
                let name = escape(&self.lines[*line].name);
                write!(out, "\n{name}: {}", escape(&(self.show_y)(*y)))?;
            }
            out.push_str("</title></rect>");
        }
        Ok(())
    }
}

/// Steps of 1, 2 and 5 around a range, or powers of ten if these are too many.
fn log_steps(lowest: f64, highest: f64) -> Vec<f64> {
    let (lowest, highest) = (lowest.max(1.0), highest.max(1.0));
    let powers = lowest.log10().floor() as i32..=highest.log10().ceil() as i32 + 1;
    let between = |factors: &[f64]| -> Vec<f64> {
        let all: Vec<f64> = powers
            .clone()
            .flat_map(|power| factors.iter().map(move |factor| factor * 10f64.powi(power)))
            .collect();
        let from = all
            .iter()
            .rposition(|step| *step <= lowest * 1.0001)
            .unwrap_or(0);
        let to = all.iter().position(|step| *step >= highest * 0.9999);
        let to = to.unwrap_or(all.len() - 1).max(from + 1);
        all[from..=to.min(all.len() - 1)].to_vec()
    };
    let fine = between(&[1.0, 2.0, 5.0]);
    if fine.len() <= 8 {
        fine
    } else {
        between(&[1.0])
    }
}

/// Some five round steps from zero.
fn steps(highest: f64) -> Vec<f64> {
    let raw = if highest > 0.0 { highest } else { 1.0 } / 4.0;
    let power = 10f64.powf(raw.log10().floor());
    let step = [1.0, 2.0, 2.5, 5.0, 10.0]
        .into_iter()
        .find(|factor| factor * power >= raw * 0.9999);
    let step = step.unwrap_or(10.0) * power;
    let count = (raw * 4.0 / step * 0.9999).ceil().max(1.0) as u32;
    (0..=count).map(|number| f64::from(number) * step).collect()
}

/// Text between tags or in an attribute.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            letter => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_are_round_and_hold_everything() {
        assert_eq!(steps(930.0), [0.0, 250.0, 500.0, 750.0, 1000.0]);
        assert_eq!(steps(0.0), [0.0, 0.25, 0.5, 0.75, 1.0]);
        assert_eq!(log_steps(120.0, 45_000.0), [100.0, 1e3, 1e4, 1e5]);
        assert_eq!(log_steps(120.0, 450.0), [100.0, 200.0, 500.0]);
        assert_eq!(log_steps(0.0, 0.0), [1.0, 2.0]);
        for (low, high) in [(1.0, 3.6e9), (999.0, 1001.0), (2.0, 2.0), (5e8, 3e9)] {
            let steps = log_steps(low, high);
            let (first, last) = (steps[0], steps[steps.len() - 1]);
            assert!(first <= low && last >= high && first < last, "{low} {high}");
        }
    }

    #[test]
    fn text_cannot_become_markup() {
        assert_eq!(escape("<a b='c'>&"), "&lt;a b=&#39;c&#39;&gt;&amp;");
    }
}
