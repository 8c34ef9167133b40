//! Line charts as SVG, coloured by the classes of the page.

use std::fmt::Write as _;

/// A line of a chart.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) name: &'static str,
    /// Points in the units of the axes, ascending in x.
    pub(super) points: Vec<(f64, f64)>,
}

/// A chart.
pub(super) struct Chart<'a> {
    pub(super) title: &'a str,
    pub(super) lines: Vec<Line>,
    /// Whether y is logarithmic.
    pub(super) log_y: bool,
    pub(super) show_y: &'a dyn Fn(f64) -> String,
    /// Places on the x axis with their labels; their range is that of the chart.
    pub(super) ticks: Vec<(f64, String)>,
    /// Vertical marks.
    pub(super) marks: Vec<(f64, String)>,
}

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 250.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 34.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 26.0;

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
            decades(lowest, highest)
        } else {
            steps(highest)
        };
        let (Some(bottom), Some(top)) = (grid.first().copied(), grid.last().copied()) else {
            return String::new();
        };
        let x = |value: f64| LEFT + (value - first.0) / (last.0 - first.0) * (WIDTH - LEFT - RIGHT);
        let y = |value: f64| {
            let share = if self.log_y {
                (value.max(bottom) / bottom).ln() / (top / bottom).ln()
            } else {
                (value - bottom) / (top - bottom)
            };
            HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)
        };
        let mut out = format!(
            "<figure><figcaption>{}<span class=legend>",
            escape(self.title)
        );
        for (at, line) in self.lines.iter().enumerate() {
            // Writing to a string never fails.
            let _ = write!(out, "<span class=k{at}>{}</span>", escape(line.name));
        }
        let _ = write!(
            out,
            "</span></figcaption><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=img aria-label=\"{}\">",
            escape(self.title)
        );
        for value in &grid {
            let at = y(*value);
            let _ = write!(
                out,
                "<line class=grid x1={LEFT} x2={} y1={at:.1} y2={at:.1} /><text x={} y={:.1} text-anchor=end>{}</text>",
                WIDTH - RIGHT,
                LEFT - 8.0,
                at + 4.0,
                escape(&(self.show_y)(*value))
            );
        }
        for (value, label) in &self.ticks {
            let _ = write!(
                out,
                "<text x={:.1} y={} text-anchor=middle>{}</text>",
                x(*value),
                HEIGHT - 8.0,
                escape(label)
            );
        }
        for (value, label) in &self.marks {
            let at = x(value.clamp(first.0, last.0));
            let _ = write!(
                out,
                "<line class=mark x1={at:.1} x2={at:.1} y1={TOP} y2={} ><title>{}</title></line>",
                HEIGHT - BOTTOM,
                escape(label)
            );
        }
        for (at, line) in self.lines.iter().enumerate() {
            let mut path = String::new();
            for (px, py) in &line.points {
                let letter = if path.is_empty() { 'M' } else { 'L' };
                let _ = write!(path, "{letter}{:.1} {:.1}", x(*px), y(*py));
            }
            // A line of one point would not be seen.
            if line.points.len() == 1 {
                path.push_str("h2");
            }
            let _ = write!(out, "<path class=s{at} d=\"{path}\" />");
        }
        out.push_str("</svg></figure>");
        out
    }
}

/// Powers of ten around a range.
fn decades(lowest: f64, highest: f64) -> Vec<f64> {
    let from = lowest.max(1.0).log10().floor() as i32;
    let to = (highest.max(1.0).log10().ceil() as i32).max(from + 1);
    (from..=to).map(|power| 10f64.powi(power)).collect()
}

/// Some five round steps from zero.
fn steps(highest: f64) -> Vec<f64> {
    let raw = highest.max(1.0) / 4.0;
    let power = 10f64.powf(raw.log10().floor());
    let step = [1.0, 2.0, 2.5, 5.0, 10.0]
        .into_iter()
        .find(|factor| factor * power >= raw);
    let step = step.unwrap_or(10.0) * power;
    let count = (highest.max(1.0) / step).ceil() as u32;
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
        assert_eq!(steps(0.0).first(), Some(&0.0));
        assert_eq!(decades(120.0, 45_000.0), [100.0, 1e3, 1e4, 1e5]);
        assert_eq!(decades(0.0, 0.0), [1.0, 10.0]);
    }

    #[test]
    fn text_cannot_become_markup() {
        assert_eq!(escape("<a b='c'>&"), "&lt;a b=&#39;c&#39;&gt;&amp;");
    }
}
