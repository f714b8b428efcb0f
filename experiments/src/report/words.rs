//! Sentences and cells of a report as pieces: text, and figures that know where in `report.json` they
//! stand. A layout decides how a piece looks; what it says is decided here. Knows no tables.

use std::fmt::{self, Display};

use super::{scaled, significant, whole};
use crate::bench::record::{Estimate, Figure};

/// A place in the JSON of a report, as a JSON pointer (RFC 6901).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct At(String);

impl At {
    /// A place below this one; names are joined by slashes.
    pub(crate) fn to(&self, names: &str) -> Self {
        Self(format!("{}/{names}", self.0))
    }

    /// The entry of a list.
    pub(crate) fn index(&self, index: usize) -> Self {
        Self(format!("{}/{index}", self.0))
    }

    /// The entry of a name that may hold anything.
    pub(crate) fn key(&self, name: &str) -> Self {
        Self(format!("{}/{}", self.0, name.replace('~', "~0").replace('/', "~1")))
    }

    /// The pointer.
    pub(crate) fn pointer(&self) -> &str {
        &self.0
    }
}

/// How a figure is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Three significant digits.
    Significant,
    /// The same with its sign.
    Signed,
    /// A whole number with a comma each three digits.
    Whole,
    /// A share as percentage.
    Percent,
    /// Seconds in milliseconds.
    Milliseconds,
    /// Bytes in the largest fitting unit.
    Bytes,
}

/// A figure and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Number {
    /// Its place in `report.json`.
    pub(crate) at: At,
    /// Its value there.
    pub(crate) value: f64,
    /// How it is written.
    pub(crate) form: Form,
}

impl Display for Number {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.value;
        match self.form {
            Form::Significant => out.write_str(&minus(&significant(value))),
            Form::Signed if value < 0.0 => out.write_str(&minus(&significant(value))),
            Form::Signed => write!(out, "+{}", significant(value)),
            Form::Whole => out.write_str(&whole(value as u64)),
            Form::Percent => write!(out, "{} %", minus(&significant(100.0 * value))),
            Form::Milliseconds => write!(out, "{} ms", significant(1e3 * value)),
            Form::Bytes => {
                out.write_str(&scaled(value as u64, &["B", "KiB", "MiB", "GiB"], 1024.0))
            }
        }
    }
}

/// With the sign that typesetters use; that of an exponent stays.
fn minus(text: &str) -> String {
    text.strip_prefix('-').map_or_else(|| text.to_owned(), |rest| format!("−{rest}"))
}

/// A part of a sentence or cell.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Piece {
    /// Text.
    Text(String),
    /// Text to be typed as it is.
    Code(String),
    /// A figure.
    Number(Number),
    /// The limits of the figure before it.
    Interval(Number, Number),
}

/// A sentence or a cell.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Words(pub(crate) Vec<Piece>);

impl Words {
    /// With text behind it.
    pub(crate) fn say(mut self, text: impl Into<String>) -> Self {
        let text = text.into();
        if !text.is_empty() {
            self.0.push(Piece::Text(text));
        }
        self
    }

    /// With a figure behind it; a dash for one that there is not.
    pub(crate) fn number(mut self, at: At, value: impl Into<Option<f64>>, form: Form) -> Self {
        match value.into() {
            Some(value) => self.0.push(Piece::Number(Number { at, value, form })),
            None => self.0.push(Piece::Text("-".to_owned())),
        }
        self
    }

    /// With a count behind it.
    pub(crate) fn count(self, at: At, value: u64) -> Self {
        self.number(at, value as f64, Form::Whole)
    }

    /// With other words behind it.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }
}

impl<T: Into<String>> From<T> for Words {
    fn from(text: T) -> Self {
        Self::default().say(text)
    }
}

impl Display for Words {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|piece| match piece {
            Piece::Text(text) | Piece::Code(text) => out.write_str(text),
            Piece::Number(number) => write!(out, "{number}"),
            Piece::Interval(low, high) => write!(out, " [{low}, {high}]"),
        })
    }
}

/// Text to be typed as it is.
pub(crate) fn code(text: impl Into<String>) -> Words {
    Words(vec![Piece::Code(text.into())])
}

/// A figure alone.
pub(crate) fn number(at: At, value: impl Into<Option<f64>>, form: Form) -> Words {
    Words::default().number(at, value, form)
}

/// A count alone.
pub(crate) fn count(at: At, value: u64) -> Words {
    Words::default().count(at, value)
}

/// `1.31 [1.20, 1.42]`, or what there is of it.
pub(crate) fn estimate(at: &At, estimate: &Estimate, form: Form) -> Words {
    let mut words = number(at.to("value"), estimate.value, form);
    if let (Some(_), Some([low, high])) = (estimate.value, limits(at, estimate, form)) {
        words.0.push(Piece::Interval(low, high));
    }
    words
}

/// The limits of an interval.
pub(crate) fn limits(at: &At, estimate: &Estimate, form: Form) -> Option<[Number; 2]> {
    let of = |name, value| Number { at: at.to(name), value, form };
    Some([of("low", estimate.low?), of("high", estimate.high?)])
}

/// What the speed-up says, in words.
pub(crate) fn speedup_in_words(at: &At, speedup: &Estimate) -> Words {
    match (speedup.value, speedup.low, speedup.high) {
        (None, ..) => "not measured".into(),
        (_, Some(low), _) if low > 1.0 => "faster than plain decoding".into(),
        (_, _, Some(high)) if high < 1.0 => "slower than plain decoding".into(),
        _ => match limits(at, speedup, Form::Significant) {
            Some(limits) => none_shown(limits),
            None => "no interval, so no claim".into(),
        },
    }
}

/// A paired difference in words: `+0.12 [+0.05, +0.19]`, or that none is shown. `at` is where the figure
/// stands.
pub(crate) fn difference(at: &At, figure: &Figure) -> Words {
    let at = at.to("difference");
    let own = &figure.difference;
    match (own.value, limits(&at, own, Form::Significant)) {
        (Some(_), Some(_)) if figure.is_shown() => estimate(&at, own, Form::Signed),
        (Some(_), Some(limits)) => none_shown(limits),
        _ => "too few prompts for an interval".into(),
    }
}

fn none_shown([low, high]: [Number; 2]) -> Words {
    let words = Words::from("no difference shown (95 % interval ");
    let then = |words: Words, limit: Number| words.number(limit.at, limit.value, limit.form);
    then(then(words, low).say(" to "), high).say(")")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(value: f64, low: f64, high: f64) -> Figure {
        let difference = Estimate { value: Some(value), low: Some(low), high: Some(high) };
        Figure { name: String::new(), a: None, b: None, difference }
    }

    #[test]
    fn pointers_find_any_name() {
        let value = serde_json::json!({"by": {"a/b~c": [1, 2]}});
        let at = At::default().to("by").key("a/b~c").index(1);
        assert_eq!(value.pointer(at.pointer()), Some(&serde_json::json!(2)));
    }

    #[test]
    fn what_is_not_shown_is_said() {
        let at = At::default();
        let words = |value, low, high| difference(&at, &figure(value, low, high)).to_string();
        assert_eq!(
            words(0.01, -0.03, 0.05),
            "no difference shown (95 % interval −0.0300 to 0.0500)"
        );
        assert_eq!(words(-0.1, -0.2, -0.05), "−0.100 [−0.200, −0.0500]");
        assert_eq!(words(0.1, 0.05, 0.2), "+0.100 [+0.0500, +0.200]");
        let none = Figure { difference: Estimate::default(), ..figure(0.0, 0.0, 0.0) };
        assert_eq!(difference(&at, &none).to_string(), "too few prompts for an interval");
    }

    #[test]
    fn the_speedup_says_what_it_shows() {
        let words = |value, low, high| {
            speedup_in_words(&At::default(), &Estimate { value, low, high }).to_string()
        };
        let no_difference = "no difference shown (95 % interval 0.970 to 1.03)";
        assert_eq!(words(Some(1.0), Some(0.97), Some(1.03)), no_difference);
        assert_eq!(words(Some(1.3), Some(1.2), Some(1.4)), "faster than plain decoding");
        assert_eq!(words(Some(0.7), Some(0.6), Some(0.8)), "slower than plain decoding");
        assert_eq!(words(Some(1.3), None, None), "no interval, so no claim");
        assert_eq!(words(None, None, None), "not measured");
    }

    #[test]
    fn forms() {
        let text = |value, form| Number { at: At::default(), value, form }.to_string();
        for (value, form, expected) in [
            (-1.5e-9, Form::Significant, "−1.50e-9"),
            (0.4321, Form::Percent, "43.2 %"),
            (12_345.0, Form::Whole, "12,345"),
            (0.0123, Form::Milliseconds, "12.3 ms"),
            (1_610_612_736.0, Form::Bytes, "1.50 GiB"),
            (0.0, Form::Signed, "+0"),
        ] {
            assert_eq!(text(value, form), expected);
        }
    }
}
