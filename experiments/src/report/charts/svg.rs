//! Elements of an SVG: text, lines, marks and their intervals. Knows coordinates, no scales.

use std::fmt::Write;

use super::WIDTH;
use crate::bench::record::Estimate;
use crate::report::words::{At, Form, Words, estimate};

/// Text that is no markup.
pub(crate) fn escaped(text: &str) -> String {
    let visible = text.chars().filter(|own| !own.is_control());
    visible.fold(String::new(), |mut out, own| {
        match own {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            own => out.push(own),
        }
        out
    })
}

/// A coordinate, to a hundredth.
pub(super) fn at(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

/// The first so many characters of a name.
pub(super) fn cut(name: &str, most: usize) -> String {
    match name.char_indices().nth(most) {
        None => name.to_owned(),
        Some(_) => name.chars().take(most - 1).chain(['…']).collect(),
    }
}

/// A figure that is drawn: what it is of, where it stands, itself.
pub(super) struct Figure<'a> {
    pub(super) what: &'a str,
    pub(super) at: At,
    pub(super) own: Estimate,
}

impl<'a> Figure<'a> {
    /// A figure without an interval, which stands in `report.json` by itself.
    pub(super) fn single(what: &'a str, at: At, value: f64) -> Self {
        Self { what, at, own: Estimate { value: Some(value), low: None, high: None } }
    }

    fn attributes(&self) -> String {
        let mut text = format!("data-path=\"{}\"", escaped(self.at.pointer()));
        let Estimate { value, low, high } = self.own;
        for (name, value) in [("value", value), ("low", low), ("high", high)] {
            if let Some(value) = value {
                let _ = write!(text, " data-{name}=\"{value}\"");
            }
        }
        text
    }

    fn title(&self) -> String {
        let own: Words = estimate(&self.at, &self.own, Form::Significant);
        format!("<title>{}: {}</title>", escaped(self.what), escaped(&own.to_string()))
    }
}

/// A chart that is being drawn, from top to bottom.
pub(super) struct Drawing {
    text: String,
    /// Where what was drawn ends.
    pub(super) bottom: f64,
}

impl Drawing {
    /// With a heading.
    pub(super) fn new(head: &str) -> Self {
        let mut drawing = Self { text: String::new(), bottom: 18.0 };
        drawing.text("head", (0.0, 14.0), head);
        drawing
    }

    /// The height and the elements.
    pub(super) fn finish(self) -> (f64, String) {
        (at(self.bottom + 8.0), self.text)
    }

    pub(super) fn raw(&mut self, element: &str) {
        self.text.push_str(element);
    }

    pub(super) fn text(&mut self, class: &str, (x, y): (f64, f64), text: &str) {
        let (x, y, text) = (at(x), at(y), escaped(text));
        let _ = write!(self.text, "<text class=\"{class}\" x=\"{x}\" y=\"{y}\">{text}</text>");
    }

    /// A name that is cut where it is long, and whole where a pointer rests on it.
    pub(super) fn name(&mut self, class: &str, place: (f64, f64), name: &str, most: usize) {
        if name.chars().count() <= most {
            return self.text(class, place, name);
        }
        let _ = write!(self.text, "<g><title>{}</title>", escaped(name));
        self.text(class, place, &cut(name, most));
        self.text.push_str("</g>");
    }

    pub(super) fn line(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        let [x1, y1, x2, y2] = [from.0, from.1, to.0, to.1].map(at);
        let _ = write!(
            self.text,
            "<line class=\"{class}\" x1=\"{x1}\" y1=\"{y1}\" x2=\"{x2}\" y2=\"{y2}\"/>"
        );
    }

    pub(super) fn path(&mut self, class: &str, points: &[(f64, f64)]) {
        if points.len() < 2 {
            return;
        }
        let points: Vec<String> =
            points.iter().map(|(x, y)| format!("{} {}", at(*x), at(*y))).collect();
        let _ = write!(self.text, "<path class=\"{class}\" d=\"M{}\"/>", points.join("L"));
    }

    pub(super) fn open(&mut self, class: &str) {
        let _ = write!(self.text, "<g class=\"{class}\">");
    }

    pub(super) fn close(&mut self) {
        self.text.push_str("</g>");
    }

    /// A figure's mark, and its interval as a bar with ends where there is one.
    pub(super) fn figure(&mut self, figure: &Figure<'_>, mark: &Mark, ends: Option<Bar>) {
        let _ = write!(self.text, "<g {}>{}", figure.attributes(), figure.title());
        if let Some(Bar { from: (x1, y1), to: (x2, y2), pale }) = ends {
            let class = if pale { "whisker pale" } else { "whisker" };
            self.line(class, (x1, y1), (x2, y2));
            let (dx, dy) = if x1 == x2 { (2.5, 0.0) } else { (0.0, 2.5) };
            for (x, y) in [(x1, y1), (x2, y2)] {
                self.line(class, (x - dx, y - dy), (x + dx, y + dy));
            }
        }
        mark.draw(&mut self.text);
        self.text.push_str("</g>");
    }

    /// A filled box that is a figure, with text in it.
    pub(super) fn part(&mut self, figure: &Figure<'_>, class: &str, place: [f64; 4], text: &str) {
        let [x, y, width, height] = place.map(at);
        let _ = write!(
            self.text,
            "<g {}>{}<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\"/>",
            figure.attributes(),
            figure.title()
        );
        if !text.is_empty() {
            self.text("part mid", (x + width / 2.0, y + height / 2.0 + 4.0), text);
        }
        self.text.push_str("</g>");
    }

    /// Names of series with their marks, in as many columns as there is room for.
    pub(super) fn legend<'a>(&mut self, names: impl Iterator<Item = &'a str>) {
        let names: Vec<&str> = names.collect();
        let longest = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
        let columns: usize = if longest <= 16 {
            3
        } else if longest <= 25 {
            2
        } else {
            1
        };
        let step = WIDTH / columns as f64;
        let most = (step / 6.6) as usize - 3;
        for (index, name) in names.iter().enumerate() {
            let x = (index % columns) as f64 * step;
            let y = self.bottom + 13.0 + (index / columns) as f64 * 17.0;
            self.open(&format!("s{index}"));
            Mark::of(index, (x + 5.0, y - 4.0), 4.0).draw(&mut self.text);
            self.close();
            self.name("name", (x + 14.0, y), name, most);
        }
        self.bottom += names.len().div_ceil(columns) as f64 * 17.0 + 3.0;
    }
}

/// The bar of an interval.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bar {
    pub(super) from: (f64, f64),
    pub(super) to: (f64, f64),
    /// Whether it stands back behind the others.
    pub(super) pale: bool,
}

/// Shapes that tell series apart without colour.
#[derive(Clone, Copy, Debug)]
enum Shape {
    Circle,
    Square,
    Triangle,
    Diamond,
    Down,
    Plus,
}

/// A mark at a place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    shape: Shape,
    place: (f64, f64),
    size: f64,
    class: &'static str,
}

impl Mark {
    /// The mark of a series.
    pub(super) fn of(series: usize, place: (f64, f64), size: f64) -> Self {
        let shapes = [
            Shape::Circle,
            Shape::Square,
            Shape::Triangle,
            Shape::Diamond,
            Shape::Down,
            Shape::Plus,
        ];
        Self { shape: shapes[series % shapes.len()], place, size, class: "mark" }
    }

    /// The same, not filled.
    pub(super) fn hollow(self) -> Self {
        Self { class: "open", ..self }
    }

    fn draw(&self, out: &mut String) {
        let Self { shape, place: (x, y), size, class } = *self;
        let points = |points: &[(f64, f64)]| {
            let points = points.iter().map(|(dx, dy)| (at(x + dx * size), at(y + dy * size)));
            points.map(|(x, y)| format!("{x},{y}")).collect::<Vec<_>>().join(" ")
        };
        let points = match shape {
            Shape::Circle => {
                let (x, y, r) = (at(x), at(y), at(size));
                let _ = write!(out, "<circle class=\"{class}\" cx=\"{x}\" cy=\"{y}\" r=\"{r}\"/>");
                return;
            }
            Shape::Square => points(&[(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)]),
            Shape::Triangle => points(&[(0.0, -1.2), (1.1, 0.9), (-1.1, 0.9)]),
            Shape::Diamond => points(&[(0.0, -1.25), (1.25, 0.0), (0.0, 1.25), (-1.25, 0.0)]),
            Shape::Down => points(&[(0.0, 1.2), (1.1, -0.9), (-1.1, -0.9)]),
            Shape::Plus => {
                let (a, b) = (0.4, 1.2);
                points(&[
                    (-a, -b),
                    (a, -b),
                    (a, -a),
                    (b, -a),
                    (b, a),
                    (a, a),
                    (a, b),
                    (-a, b),
                    (-a, a),
                    (-b, a),
                    (-b, -a),
                    (-a, -a),
                ])
            }
        };
        let _ = write!(out, "<polygon class=\"{class}\" points=\"{points}\"/>");
    }
}
