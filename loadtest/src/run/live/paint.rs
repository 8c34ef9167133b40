//! Some lines at the bottom of a terminal, painted over again and again.

use std::io::Write as _;

/// Colours, of which a terminal has its own idea.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Colour {
    Plain,
    Dim,
    Green,
    Cyan,
    Red,
}

/// Text of several colours.
#[derive(Debug, Clone, Default)]
pub(super) struct Line(Vec<(Colour, String)>);

impl Line {
    pub(super) fn push(&mut self, colour: Colour, text: &str) {
        // Servers have a say in causes of errors, but none in the terminal.
        let text = text.chars().map(|letter| match letter {
            '·' | '━' | '─' | 'µ' | '▁'..='█' | ' '..='~' => letter,
            _ => '?',
        });
        self.0.push((colour, text.collect()));
    }

    fn len(&self) -> usize {
        self.0.iter().map(|(_, text)| text.chars().count()).sum()
    }

    /// The text, at most `width` letters of it, and how many these are.
    fn render(&self, width: usize, colours: bool) -> (String, usize) {
        let mut out = String::new();
        let mut left = width;
        for (colour, text) in &self.0 {
            let shown: String = text.chars().take(left).collect();
            left -= shown.chars().count();
            let code = match colour {
                Colour::Plain => "",
                Colour::Dim => "\x1b[2m",
                Colour::Green => "\x1b[32m",
                Colour::Cyan => "\x1b[36m",
                Colour::Red => "\x1b[31m",
            };
            if colours && !code.is_empty() && !shown.is_empty() {
                out.push_str(&format!("{code}{shown}\x1b[0m"));
            } else {
                out.push_str(&shown);
            }
        }
        (out, width - left)
    }
}

/// A bar of a third of the width.
pub(super) fn bar(line: &mut Line, width: usize, share: f64, colour: Colour) {
    let length = (width / 3).clamp(10, 40);
    let full = (length as f64 * share.clamp(0.0, 1.0)).round() as usize;
    line.push(colour, &"━".repeat(full));
    line.push(Colour::Dim, &"─".repeat(length - full));
}

/// Small bars of the last values, as far as there is room.
pub(super) fn sparks(line: &mut Line, width: usize, values: &[f64]) {
    const HEIGHTS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let room = width.saturating_sub(line.len() + 1);
    let shown = &values[values.len().saturating_sub(room)..];
    let most = shown.iter().copied().fold(0.0, f64::max);
    if most <= 0.0 {
        return;
    }
    let height = |value: &f64| HEIGHTS[((value / most * 7.0).round() as usize).min(7)];
    line.push(Colour::Green, &shown.iter().map(height).collect::<String>());
}

/// Paints lines, and takes them away again.
#[derive(Debug)]
pub(super) struct Painter {
    colours: bool,
    lines: Vec<Line>,
    /// How wide each line that stands on the terminal is.
    drawn: Vec<usize>,
}

impl Painter {
    pub(super) fn new() -> Self {
        Self {
            // <https://no-color.org>
            colours: std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
            lines: Vec::new(),
            drawn: Vec::new(),
        }
    }

    /// Columns of the terminal, as it is now.
    pub(super) fn width(&self) -> usize {
        let size = rustix::termios::tcgetwinsize(std::io::stderr());
        let columns = size.map_or(0, |size| usize::from(size.ws_col));
        if columns == 0 { 80 } else { columns }
    }

    /// Replaces what is painted.
    pub(super) fn paint(&mut self, lines: Vec<Line>) {
        self.lines = lines;
        self.redraw(None);
    }

    pub(super) fn replace_first(&mut self, line: Line) {
        if let Some(first) = self.lines.first_mut() {
            *first = line;
            self.redraw(None);
        }
    }

    /// Writes a line that stays above what is painted.
    pub(super) fn above(&mut self, text: &str) {
        self.redraw(Some(text));
    }

    fn redraw(&mut self, above: Option<&str>) {
        let width = self.width();
        let mut out = String::new();
        // A terminal that has become narrower has broken what was wider than it.
        let rows: usize = self
            .drawn
            .iter()
            .map(|drawn| drawn.div_ceil(width).max(1))
            .sum();
        if rows > 0 {
            out.push_str(&format!("\x1b[{rows}A\r\x1b[J"));
        }
        if let Some(text) = above {
            let mut line = Line::default();
            line.push(Colour::Plain, text);
            out.push_str(&line.render(usize::MAX, false).0);
            out.push('\n');
        }
        self.drawn.clear();
        for line in &self.lines {
            // One column is left: some terminals break a line that fills the last.
            let (text, drawn) = line.render(width.saturating_sub(1), self.colours);
            out.push_str(&text);
            out.push('\n');
            self.drawn.push(drawn);
        }
        // Nobody is there to be told of an error.
        let _ = std::io::stderr().write_all(out.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_and_foreign_signs_kept_off() {
        let mut line = Line::default();
        line.push(Colour::Red, "ab\x1b[2Jc");
        line.push(Colour::Plain, "defg");
        assert_eq!(line.render(9, false), ("ab?[2Jcde".to_owned(), 9));
        assert_eq!(line.render(2, true), ("\x1b[31mab\x1b[0m".to_owned(), 2));
    }

    #[test]
    fn bars_and_sparks_fit() {
        for width in [1, 20, 80, 300] {
            let mut line = Line::default();
            bar(&mut line, width, 0.5, Colour::Green);
            let bar = line.len();
            assert!((10..=40).contains(&bar), "{width}: {bar}");
            sparks(&mut line, width, &[1.0, 2.0, 0.0, 8.0]);
            assert!(line.len() <= width.max(bar), "{width}");
        }
        let mut line = Line::default();
        sparks(&mut line, 80, &[0.0, 4.0, 8.0]);
        assert_eq!(line.render(80, false).0, "▁▅█");
    }
}
