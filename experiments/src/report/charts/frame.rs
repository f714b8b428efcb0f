//! The frame of a chart: scales, their ticks and their names. Knows numbers and coordinates.

use super::WIDTH;
use super::svg::{Bar, Drawing};
use crate::bench::record::Estimate;

/// From numbers to coordinates.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    from: f64,
    to: f64,
    begin: f64,
    end: f64,
}

impl Scale {
    /// Numbers from `from` to `to` on the coordinates from `begin` to `end`.
    pub(super) fn new((from, to): (f64, f64), (begin, end): (f64, f64)) -> Self {
        Self { from, to: if to > from { to } else { from + 1.0 }, begin, end }
    }

    /// The coordinate of a number, which is held within the frame.
    pub(super) fn at(&self, value: f64) -> f64 {
        let share = ((value - self.from) / (self.to - self.from)).clamp(0.0, 1.0);
        self.begin + share * (self.end - self.begin)
    }

    /// Round numbers within, at most so many steps apart.
    pub(super) fn ticks(&self, most: usize) -> Vec<f64> {
        let step = step(self.to - self.from, most);
        let first = (self.from / step - 1e-9).ceil() as i64;
        let last = (self.to / step + 1e-9).floor() as i64;
        (first..=last).map(|index| index as f64 * step).collect()
    }
}

/// The smallest of 1, 2 and 5 times a power of ten of which at most so many fit.
fn step(range: f64, most: usize) -> f64 {
    let power = 10_f64.powf((range / most as f64).log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power);
    steps.into_iter().find(|step| range / step <= most as f64 + 1e-9).unwrap_or(10.0 * power)
}

/// The round number above a value at which a scale ends.
pub(super) fn ceiling(value: f64) -> f64 {
    let value = if value > 0.0 && value.is_finite() { value } else { 1.0 };
    let step = step(value, 5);
    (value / step - 1e-9).ceil() * step
}

/// The largest number that estimates reach, intervals included.
pub(super) fn reach<'a>(estimates: impl Iterator<Item = &'a Estimate>) -> f64 {
    estimates.flat_map(|own| [own.value, own.high]).flatten().fold(0.0, f64::max)
}

/// A tick's text: no digits that say nothing.
pub(super) fn label(value: f64) -> String {
    let text = format!("{value:.6}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

/// A frame with both scales.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub(super) x: Scale,
    pub(super) y: Scale,
    bottom: f64,
}

const LEFT: f64 = 40.0;
const RIGHT: f64 = WIDTH - 10.0;
const HEIGHT: f64 = 190.0;

impl Frame {
    /// A frame below what was drawn; the vertical scale begins at 0, and its name stands above it.
    pub(super) fn new(
        drawing: &mut Drawing,
        (x, across): ((f64, f64), &str),
        (most, up): (f64, &str),
    ) -> Self {
        let top = drawing.bottom + 24.0;
        let bottom = top + HEIGHT;
        drawing.text("", (0.0, top - 10.0), up);
        let frame = Self {
            x: Scale::new(x, (LEFT, RIGHT)),
            y: Scale::new((0.0, most), (bottom, top)),
            bottom,
        };
        for value in frame.y.ticks(5) {
            let y = frame.y.at(value);
            drawing.line(if value == 0.0 { "axis" } else { "grid" }, (LEFT, y), (RIGHT, y));
            drawing.text("tick end", (LEFT - 6.0, y + 4.0), &label(value));
        }
        drawing.text("mid", (f64::midpoint(LEFT, RIGHT), bottom + 33.0), across);
        drawing.bottom = bottom + 36.0;
        frame
    }

    /// Ticks of the horizontal scale.
    pub(super) fn mark_across(&self, drawing: &mut Drawing, values: &[f64]) {
        for &value in values {
            let x = self.x.at(value);
            drawing.line("axis", (x, self.bottom), (x, self.bottom + 4.0));
            drawing.text("tick mid", (x, self.bottom + 16.0), &label(value));
        }
    }

    /// A line across at a number that others are compared with.
    pub(super) fn rule(&self, drawing: &mut Drawing, value: f64) {
        let y = self.y.at(value);
        drawing.line("rule", (LEFT, y), (RIGHT, y));
    }

    /// The diagonal of equal numbers.
    pub(super) fn diagonal(&self, drawing: &mut Drawing, to: f64) {
        drawing.line("rule", (self.x.at(0.0), self.y.at(0.0)), (self.x.at(to), self.y.at(to)));
    }

    /// The bar of an interval at a place across.
    pub(super) fn bar(&self, x: f64, own: &Estimate) -> Option<Bar> {
        let (low, high) = own.low.zip(own.high)?;
        Some(Bar { from: (x, self.y.at(low)), to: (x, self.y.at(high)), pale: false })
    }
}

/// Whole numbers of a range of which not too many are marked.
pub(super) fn whole_ticks(from: usize, to: usize) -> Vec<f64> {
    let step = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000]
        .into_iter()
        .find(|step| (to - from) / step <= 10)
        .unwrap_or(1000);
    let first = from.div_ceil(step) * step;
    (first..=to).step_by(step).map(|own| own as f64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_within() {
        let ticks = |from, to| {
            let scale = Scale::new((from, to), (0.0, 1.0));
            scale.ticks(5).into_iter().map(label).collect::<Vec<_>>()
        };
        assert_eq!(ticks(0.0, 1.0), ["0", "0.2", "0.4", "0.6", "0.8", "1"]);
        assert_eq!(ticks(0.0, 0.06), ["0", "0.02", "0.04", "0.06"]);
        assert_eq!(ticks(0.0, 7.0), ["0", "2", "4", "6"]);
        for (value, end) in [(0.57, 0.6), (1.0, 1.0), (0.0, 1.0), (0.083, 0.1)] {
            assert!((ceiling(value) - end).abs() < 1e-9, "{value}");
        }
        assert_eq!(whole_ticks(1, 6), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        assert_eq!(whole_ticks(0, 64), [0.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0]);
        assert_eq!(label(-0.0), "0");
    }

    #[test]
    fn nothing_leaves_the_frame() {
        let scale = Scale::new((0.0, 2.0), (10.0, 20.0));
        assert_eq!([-1.0, 0.0, 1.0, 3.0].map(|own| scale.at(own)), [10.0, 10.0, 15.0, 20.0]);
        assert!(Scale::new((1.0, 1.0), (0.0, 1.0)).at(1.0).is_finite());
    }
}
