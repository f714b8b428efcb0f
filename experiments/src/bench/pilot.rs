//! What a pilot run foretells of a longer one: how many prompts an interval needs to be so narrow, or to
//! tell a difference of some size from none. Reads records; runs nothing, and leaves the arithmetic to
//! `statistics`.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context, Result, anyhow, bail};
use serde::Serialize;

use super::compare::{Compared, Named, Run, cases, label};
use super::paired::{common, difference, quotient, sums};
use super::record::SCHEMA;
use crate::report::{significant, whole};
use crate::statistics::{Clusters, Spread, Statistic};

/// Numbers of prompts for which a table is made, beside the pilot's own.
const NUMBERS: [usize; 6] = [30, 60, 120, 240, 480, 960];

/// A size, by itself or as a share of a figure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Amount {
    /// In the figure's own unit.
    Absolute(f64),
    /// A share of the first case's figure.
    Relative(f64),
}

impl FromStr for Amount {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (number, share) = match text.strip_suffix('%') {
            Some(number) => (number, true),
            None => (text, false),
        };
        let value: f64 = number.trim().parse().unwrap_or(f64::NAN);
        if !(value > 0.0 && value.is_finite()) {
            return Err(format!("`{text}` is no size above 0, such as 0.1 or 5%"));
        }
        Ok(if share { Self::Relative(value / 100.0) } else { Self::Absolute(value) })
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absolute(value) => write!(formatter, "{value}"),
            Self::Relative(share) => write!(formatter, "{}%", share * 100.0),
        }
    }
}

/// What is asked of a pilot.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The figure, as a report names it.
    pub figure: &'a str,
    /// The size of the difference, or of the half-width of one case's interval.
    pub size: Amount,
    /// The probability with which a true difference of that size is to be shown.
    pub power: f64,
}

/// A number of prompts, and between which limits it lies as far as the pilot can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Needed {
    /// Prompts; `None` where no number will do.
    pub prompts: Option<usize>,
    /// With the smallest spread that the pilot leaves open.
    pub low: Option<usize>,
    /// With the largest one.
    pub high: Option<usize>,
}

/// What some number of prompts is good for.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Outlook {
    /// Prompts.
    pub prompts: usize,
    /// Half the width of the 95 % interval.
    pub half_width: f64,
    /// The smallest true difference that it leaves zero out for, with the wanted probability; `None` for
    /// one case.
    pub smallest_shown: Option<f64>,
}

/// What a pilot foretells.
#[derive(Clone, Debug, Serialize)]
pub struct Pilot {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The first case.
    pub a: Compared,
    /// The second one, where two are compared.
    pub b: Option<Compared>,
    /// The figure, as a report names it.
    pub figure: String,
    /// The first case's figure.
    pub value_a: f64,
    /// The second one's.
    pub value_b: Option<f64>,
    /// Prompts of the pilot.
    pub prompts: usize,
    /// Prompts of its file.
    pub prompts_of_file: usize,
    /// Strata: categories, small ones merged.
    pub strata: usize,
    /// The standard error of the figure, or of the difference, in the pilot.
    pub standard_error: f64,
    /// The size that was asked for.
    pub size: f64,
    /// The wanted probability of showing a difference.
    pub power: f64,
    /// Prompts that show a true difference of that size; `None` for one case.
    pub to_show: Option<Needed>,
    /// Prompts that narrow the interval to that size on each side.
    pub to_narrow: Needed,
    /// What other numbers are good for.
    pub outlook: Vec<Outlook>,
}

/// What a pilot says of one case, or of two on the same prompts.
pub fn foretell(
    (a, first): (&Run, Option<&str>),
    second: Option<(&Run, Option<&str>)>,
    question: Question<'_>,
) -> Result<Pilot> {
    match second {
        Some((b, second)) => {
            let [first, second] = cases((a, first), (b, second))?;
            if std::ptr::eq(a, b) && first.0 == second.0 {
                bail!("{}: `{}` against itself; name two cases, as RUN:CASE", a.path, first.0);
            }
            two((a, first), (b, second), question)
        }
        None => match (first, &a.cases()[..]) {
            (Some(name), _) => one(a, a.case(name)?, question),
            (None, [only]) => one(a, *only, question),
            (None, [first, second]) => two((a, *first), (a, *second), question),
            (None, cases) => {
                let names: Vec<&str> = cases.iter().map(|(name, _)| *name).collect();
                bail!(
                    "{} has several cases; name one or two, as RUN:CASE: {}",
                    a.path,
                    names.join(", ")
                )
            }
        },
    }
}

fn one(run: &Run, case: Named<'_>, question: Question<'_>) -> Result<Pilot> {
    let rows =
        sums(&run.records, case.0).into_values().map(|(category, sums)| (category, sums.into()));
    let clusters = Clusters::new(rows);
    let statistic = quotient(question.figure).with_context(|| unknown(question.figure))?;
    let value = statistic.value(&clusters.totals());
    pilot(&clusters, &statistic, (run, case), (value, None), question)
}

fn two(
    (a, first): (&Run, Named<'_>),
    (b, second): (&Run, Named<'_>),
    question: Question<'_>,
) -> Result<Pilot> {
    let rows = common(sums(&a.records, first.0), sums(&b.records, second.0));
    if rows.is_empty() {
        bail!("{} and {} have no prompt in common", a.path, b.path);
    }
    let clusters = Clusters::new(rows);
    let statistic = difference(question.figure).with_context(|| unknown(question.figure))?;
    let totals = clusters.totals();
    let values = (statistic.from.value(&totals), statistic.to.value(&totals));
    let own = pilot(&clusters, &statistic, (a, first), values, question)?;
    Ok(Pilot { b: Some(b.compared(second)), ..own })
}

fn unknown(figure: &str) -> String {
    format!("no figure `{figure}` is compared")
}

fn pilot(
    clusters: &Clusters,
    statistic: &impl Statistic,
    (run, case): (&Run, Named<'_>),
    (a, b): (Option<f64>, Option<f64>),
    question: Question<'_>,
) -> Result<Pilot> {
    let Question { figure, size, power } = question;
    let spread = Spread::of(clusters, statistic);
    let (Some(spread), Some(value)) = (spread, a) else {
        return Err(anyhow!(
            "{}: {} prompts are too few to tell how {} varies from prompt to prompt; run more",
            run.path,
            clusters.count(),
            label(figure)
        ));
    };
    let size = match size {
        Amount::Absolute(size) => size,
        Amount::Relative(share) => share * value.abs(),
    };
    let paired = b.is_some();
    let needed = |count: &dyn Fn(&Spread) -> Option<usize>| {
        let [low, high] = spread.limits().map_or([None; 2], |limits| limits.map(|own| count(&own)));
        Needed { prompts: count(&spread), low, high }
    };
    let mut numbers = NUMBERS.to_vec();
    numbers.push(spread.clusters);
    numbers.retain(|number| *number > spread.strata);
    numbers.sort_unstable();
    numbers.dedup();
    let outlook = |prompts| Outlook {
        prompts,
        half_width: spread.half_width(prompts),
        smallest_shown: paired.then(|| spread.smallest_shown(prompts, power)),
    };
    Ok(Pilot {
        schema: SCHEMA,
        a: run.compared(case),
        b: None,
        figure: figure.to_owned(),
        value_a: value,
        value_b: b,
        prompts: spread.clusters,
        prompts_of_file: run.report.header.prompts.total,
        strata: spread.strata,
        standard_error: spread.standard_error(spread.clusters),
        size,
        power,
        to_show: paired.then(|| needed(&|own| own.clusters_for(size, power))),
        to_narrow: needed(&|own| own.clusters_for_half_width(size)),
        outlook: numbers.into_iter().map(outlook).collect(),
    })
}

/// In words, and a table.
pub fn render(pilot: &Pilot) -> String {
    let Pilot { a, b, figure, prompts, strata, .. } = pilot;
    let name = label(figure);
    let side = |name: &str, own: &Compared| {
        format!("{name}: {} drafts for {}: {} ({})", own.draft, own.target, own.case, own.path)
    };
    let mut lines = vec![side("A", a)];
    lines.extend(b.iter().map(|b| side("B", b)));
    lines.push(match strata {
        1 => format!("pilot: {prompts} prompts in one stratum"),
        strata => format!("pilot: {prompts} prompts in {strata} strata"),
    });
    let value_a = significant(pilot.value_a);
    lines.push(match pilot.value_b {
        None => format!("{name}: {value_a}"),
        Some(b) => {
            let (value_b, difference) = (significant(b), significant(b - pilot.value_a));
            format!("{name}: A {value_a}, B {value_b}, B - A {difference}")
        }
    });
    lines.push(String::new());
    lines.extend(answers(pilot));
    lines.push(String::new());
    lines.extend(table(pilot));
    lines.push(String::new());
    lines.push(
        "for prompts of the same kind, in the same proportions of categories; 95 % intervals"
            .to_owned(),
    );
    lines.join("\n") + "\n"
}

fn answers(pilot: &Pilot) -> Vec<String> {
    let size = significant(pilot.size);
    let what = if pilot.b.is_some() { "difference" } else { label(&pilot.figure) };
    let to_show = pilot.to_show.iter().map(|needed| {
        format!(
            "to show a true difference of {size} with a chance of {}: {}",
            chance(pilot.power),
            in_words(needed, pilot)
        )
    });
    let to_narrow =
        format!("to know the {what} to within ±{size}: {}", in_words(&pilot.to_narrow, pilot));
    to_show.chain([to_narrow]).collect()
}

fn table(pilot: &Pilot) -> Vec<String> {
    let shown = match pilot.b {
        Some(_) => format!("   shown with {}", chance(pilot.power)),
        None => String::new(),
    };
    let row = |own: &Outlook| {
        let width = format!("±{}", significant(own.half_width));
        let shown = own.smallest_shown.map(|own| format!("   {:>10}", significant(own)));
        let mark = if own.prompts == pilot.prompts { "   the pilot" } else { "" };
        format!("{:>8}   {width:>8}{}{mark}", own.prompts, shown.unwrap_or_default())
    };
    let header = format!(" prompts   interval{shown}");
    [header].into_iter().chain(pilot.outlook.iter().map(row)).collect()
}

/// `about 140 prompts (a pilot of 36: 92 to 240)`.
fn in_words(needed: &Needed, pilot: &Pilot) -> String {
    let number = |own: usize| whole(rounded(own) as u64);
    let Some(prompts) = needed.prompts else {
        return "no number of prompts will do".to_owned();
    };
    let about = format!("about {} prompts", number(prompts));
    let limits = match (needed.low, needed.high) {
        (Some(low), Some(high)) => {
            format!(
                " (a pilot of {} leaves {} to {} open)",
                pilot.prompts,
                number(low),
                number(high)
            )
        }
        _ => format!(" (a pilot of {})", pilot.prompts),
    };
    let file = match pilot.prompts_of_file {
        file if file < prompts => format!("; the prompt file has {}", whole(file as u64)),
        _ => String::new(),
    };
    about + &limits + &file
}

/// `80 %`, to a tenth.
fn chance(power: f64) -> String {
    format!("{} %", (power * 1000.0).round() / 10.0)
}

/// Up to two digits.
fn rounded(number: usize) -> usize {
    let unit = 10_usize.pow(number.checked_ilog10().unwrap_or(0).saturating_sub(1));
    number.div_ceil(unit) * unit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        assert_eq!("0.1".parse(), Ok(Amount::Absolute(0.1)));
        assert_eq!("5%".parse(), Ok(Amount::Relative(0.05)));
        for text in ["", "0", "-1", "nan", "%", "1 token"] {
            assert!(text.parse::<Amount>().is_err(), "{text}");
        }
    }

    #[test]
    fn numbers_are_said_in_two_digits() {
        assert_eq!([1, 9, 36, 137, 1_401].map(rounded), [1, 9, 36, 140, 1_500]);
    }
}
