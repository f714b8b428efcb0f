//! A run's curves: `training_curves.csv` with the columns of Stentor2's card, and a picture of it.
//! Knows records only.

use std::fmt::Write;

use anyhow::{Result, anyhow};
use plotters::prelude::*;

use super::metrics::Record;

/// The picture, in pixels.
const SIZE: (u32, u32) = (900, 540);

/// One row of the table.
struct Row {
    step: u64,
    epoch: f64,
    train_loss: Option<f64>,
    eval: Option<(f64, Option<f64>)>,
    note: &'static str,
}

/// Training losses, averaged over `every` steps, and evaluations, by step. `steps_an_epoch` may be
/// a fraction.
fn rows(records: &[Record], every: u64, steps_an_epoch: f64) -> Vec<Row> {
    let best = best(records);
    let mut rows: Vec<Row> = Vec::new();
    let (mut sum, mut count) = (0.0, 0u32);
    for record in records {
        let step = record.step();
        let epoch = step as f64 / steps_an_epoch;
        match record {
            Record::Step(done) => {
                (sum, count) = (sum + done.loss, count + 1);
                if step.is_multiple_of(every) {
                    let train_loss = Some(sum / f64::from(count));
                    rows.push(Row { step, epoch, train_loss, eval: None, note: "" });
                    (sum, count) = (0.0, 0);
                }
            }
            Record::Evaluated(found) => {
                let eval = Some((found.eval_loss, found.eval_perplexity));
                let note = if best == Some(step) { "best" } else { "" };
                match rows.last_mut().filter(|row| row.step == step) {
                    Some(row) => (row.eval, row.note) = (eval, note),
                    None => rows.push(Row { step, epoch, train_loss: None, eval, note }),
                }
            }
        }
    }
    rows
}

/// The step of the evaluation with the lowest loss.
fn best(records: &[Record]) -> Option<u64> {
    let evaluated = records.iter().filter_map(|record| match record {
        Record::Evaluated(found) => Some((found.eval_loss, found.step)),
        Record::Step(_) => None,
    });
    evaluated.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, step)| step)
}

/// The table.
pub fn csv(records: &[Record], every: u64, steps_an_epoch: f64) -> String {
    let mut text = "step,epoch,train_loss,eval_loss,eval_ppl,note\n".to_owned();
    let number = |value: Option<f64>| value.map_or(String::new(), |value| format!("{value:.4}"));
    for row in rows(records, every, steps_an_epoch) {
        let (loss, perplexity) = (row.eval.map(|eval| eval.0), row.eval.and_then(|eval| eval.1));
        let _ = writeln!(
            text,
            "{},{:.4},{},{},{},{}",
            row.step,
            row.epoch,
            number(row.train_loss),
            number(loss),
            perplexity.map_or(String::new(), |value| format!("{value:.2}")),
            row.note,
        );
    }
    text
}

/// The picture; nothing while there are fewer than two points.
pub fn svg(records: &[Record], every: u64, title: &str) -> Result<Option<String>> {
    let rows = rows(records, every, 1.0);
    let points = |value: fn(&Row) -> Option<f64>| -> Vec<(f64, f64)> {
        rows.iter().filter_map(|row| Some((row.step as f64, value(row)?))).collect()
    };
    let train = points(|row| row.train_loss);
    let eval = points(|row| row.eval.map(|eval| eval.0));
    let all = || train.iter().chain(&eval);
    if all().count() < 2 {
        return Ok(None);
    }
    let low = all().map(|point| point.1).fold(f64::INFINITY, f64::min);
    let high = all().map(|point| point.1).fold(f64::NEG_INFINITY, f64::max);
    let last = all().map(|point| point.0).fold(0.0, f64::max);
    let margin = (0.05 * (high - low)).max(1e-3);
    let mut picture = String::new();
    draw(&mut picture, (title, last, low - margin..high + margin), &train, &eval)
        .map_err(|error| anyhow!("cannot draw the curves: {error}"))?;
    Ok(Some(picture))
}

fn draw(
    picture: &mut String,
    (title, last, losses): (&str, f64, std::ops::Range<f64>),
    train: &[(f64, f64)],
    eval: &[(f64, f64)],
) -> Result<(), Box<dyn std::error::Error>> {
    let (blue, orange) = (RGBColor(0x1f, 0x77, 0xb4), RGBColor(0xd6, 0x5f, 0x0e));
    let area = SVGBackend::with_string(picture, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption(title, ("sans-serif", 18))
        .margin(16)
        .x_label_area_size(40)
        .y_label_area_size(56)
        .build_cartesian_2d(0.0..last, losses)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(BLACK.mix(0.12))
        .x_desc("step")
        .y_desc("loss")
        .x_label_formatter(&|step| format!("{step:.0}"))
        .y_label_formatter(&|loss| format!("{loss:.2}"))
        .draw()?;
    chart
        .draw_series(LineSeries::new(train.iter().copied(), blue.stroke_width(2)))?
        .label("training")
        .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], blue.stroke_width(2)));
    chart
        .draw_series(LineSeries::new(eval.iter().copied(), orange.stroke_width(2)).point_size(3))?
        .label("evaluation")
        .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], orange.stroke_width(2)));
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .background_style(WHITE.mix(0.9))
        .border_style(BLACK.mix(0.3))
        .draw()?;
    area.present()?;
    Ok(())
}
