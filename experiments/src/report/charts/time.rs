//! Where the time goes: a bar a case, its parts side by side.

use super::svg::{Drawing, Figure};
use super::{Chart, WIDTH};
use crate::report::rows::parts;
use crate::report::view::ShownCase;
use crate::report::words::{At, Form, Number};

/// The least width of a part that has its name in it, by character.
const CHARACTER: f64 = 6.6;
const BAR: f64 = 18.0;

pub(super) fn chart(cases: &[ShownCase<'_>]) -> Option<Chart> {
    let timed: Vec<_> = cases
        .iter()
        .filter_map(|own| Some((own, own.case.overall.seconds_share.as_ref()?)))
        .collect();
    let title = "Time of each case";
    let mut drawing = Drawing::new(title);
    let mut x = 0.0;
    for (name, _) in parts(timed.first()?.1) {
        let y = drawing.bottom + 4.0;
        drawing.raw(&format!(
            "<rect class=\"{name}\" x=\"{x}\" y=\"{y}\" width=\"11\" height=\"11\"/>"
        ));
        drawing.text("name", (x + 16.0, y + 10.0), name);
        x += 34.0 + 6.5 * name.len() as f64;
    }
    drawing.bottom += 22.0;
    for (shown, share) in timed {
        drawing.name("name", (0.0, drawing.bottom + 14.0), &shown.name, 58);
        let top = drawing.bottom + 19.0;
        let mut left = 0.0;
        for (name, part) in parts(share) {
            let at = shown.at.to("overall/seconds_share").to(name);
            let width = part * WIDTH;
            let text = inner_text(name, part, width);
            let what = format!("{}, {name}", shown.name);
            drawing.part(&Figure::single(&what, at, part), name, [left, top, width, BAR], &text);
            left += width;
        }
        drawing.bottom = top + BAR + 3.0;
    }
    Some(Chart::new(title.to_owned(), drawing))
}

/// As much of a part's name and share as fits into it.
fn inner_text(name: &str, part: f64, width: f64) -> String {
    let share = Number { at: At::default(), value: part, form: Form::Percent }.to_string();
    let both = format!("{name} {share}");
    let fits = |text: &String| text.chars().count() as f64 * CHARACTER + 4.0 < width;
    [both, share].into_iter().find(fits).unwrap_or_default()
}
