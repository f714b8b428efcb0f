//! Whether decoding with a draft is lossless, shown on a user's own pair: loads it once for each
//! method, and has `check` compare the loop with the target alone. Decides which methods are checked on
//! which prompts; prints progress and nothing else.

pub mod check;
mod kept;
pub mod report;
mod rounds;
#[cfg(test)]
mod tests;

use anyhow::{Context, Result};
use draft::Sampling;
use serde::Serialize;
use target::propose::Settings;
use target::{Limits, Method, Proposer, Side, SpeculateError};

use crate::bench;
use crate::bench::fit::{Fitted, Reader, choose};
use crate::printer::Printer;
use crate::prompts::PromptFile;
use crate::source::{Loaded, Located};
use check::{FirstToken, Identity, Subject};
use kept::Kept;
use report::{Header, Report};

/// Everything that decides what is checked.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The pair, the prompts and how to decode; the temperature is that of the checks with draws.
    pub bench: bench::Plan,
    /// The methods; empty for all that the pair allows.
    pub methods: Vec<Method>,
    /// Draws of the first token.
    pub draws: u64,
    /// Prompts whose first token is drawn; none leaves that check out.
    pub draw_prompts: usize,
}

impl Plan {
    fn limits(&self, max_new: usize, sampling: Sampling) -> Limits {
        let ignore_eos = self.bench.ignore_eos;
        Limits { gamma: self.case().gamma, max_new, ignore_eos, sampling }
    }

    /// How the pair decodes, whatever the method.
    fn case(&self) -> &bench::CasePlan {
        &self.bench.cases[0]
    }

    /// The law of the checks with draws.
    fn sampling(&self) -> Sampling {
        self.bench.sampling_at(self.case().temperature)
    }

    /// As many tokens as a first round of full length needs: the prefill's, all its candidates, and the
    /// one behind them.
    fn first_round(&self) -> Limits {
        self.limits(self.case().gamma + 2, self.sampling())
    }
}

/// What was found of a method.
#[derive(Clone, Debug, Serialize)]
pub struct Checked {
    /// The method.
    pub method: Method,
    /// Why it cannot be run on this pair.
    pub refused: Option<String>,
    /// Ids at temperature 0.
    pub greedy: Option<Identity>,
    /// Ids of the same seed; `None` where they need not be the target's.
    pub same_seed: Option<Identity>,
    /// The first token of a round, by prompt.
    pub first_token: Vec<FirstToken>,
}

impl Checked {
    fn new(method: Method) -> Self {
        Self { method, refused: None, greedy: None, same_seed: None, first_token: Vec::new() }
    }

    /// Whether nothing speaks against it.
    pub fn holds(&self) -> bool {
        self.greedy.iter().chain(&self.same_seed).all(Identity::holds)
            && self.first_token.iter().all(FirstToken::holds)
    }
}

/// Checks the methods of a plan.
pub fn run(plan: &Plan, printer: &Printer) -> Result<Report> {
    let bench = &plan.bench;
    let file = PromptFile::read(bench.prompts.as_deref())?;
    let draft = bench.sources.open("draft", &plan.case().draft, bench.compute)?;
    let target = bench.sources.open("target", &bench.target, bench.compute)?;
    let (prompts, fitted) = choose(bench, file, &[Reader::of(&draft)], &target)?;
    let header = Header::begin(plan, [&draft.info, &target.info], prompts);
    let mut run = Run { plan, printer, draft: draft.located, target: target.side, fitted };
    let methods = if plan.methods.is_empty() { &Method::ALL[..] } else { &plan.methods[..] };
    let mut checked = Vec::with_capacity(methods.len());
    for &method in methods {
        checked.push(match run.whole_texts(method) {
            Err(error) if plan.methods.is_empty() && is_refusal(&error) => {
                Checked { refused: Some(error.to_string()), ..Checked::new(method) }
            }
            other => other?,
        });
    }
    // From here on a prompt that is read again costs one id.
    run.target = Kept::side(run.target);
    for own in checked.iter_mut().filter(|own| own.refused.is_none()) {
        run.first_tokens(own)?;
    }
    Ok(Report::new(header, checked))
}

/// Whether a method has said that it does not go with this pair.
fn is_refusal(error: &anyhow::Error) -> bool {
    use SpeculateError::{TooManyTexts, VocabulariesDiffer};
    matches!(error.downcast_ref(), Some(VocabulariesDiffer | TooManyTexts { .. }))
}

/// A run on its way.
struct Run<'a> {
    plan: &'a Plan,
    printer: &'a Printer,
    draft: Located,
    target: Side,
    fitted: Vec<Fitted>,
}

impl Run<'_> {
    fn load(&self) -> Result<Side> {
        let bench = &self.plan.bench;
        let name = &self.plan.case().draft;
        let load = || format!("cannot load the draft `{name}`");
        let draft = Loaded::load(name, self.draft.clone(), bench.compute);
        Ok(draft.with_context(load)?.side)
    }

    fn proposer(
        &self,
        method: Method,
        draft: Side,
        temperature: f64,
    ) -> Result<Box<dyn Proposer>, SpeculateError> {
        let settings = Settings { temperature, ..self.plan.case().proposing() };
        method.proposer(draft, &self.target, settings)
    }

    /// Greedy ids, and ids of the same seed.
    fn whole_texts(&mut self, method: Method) -> Result<Checked> {
        let (plan, printer) = (self.plan, self.printer);
        let bench = &plan.bench;
        let mut checked = Checked::new(method);
        let mut proposer = self.proposer(method, self.load()?, 0.0)?;
        let mut drawing = self.proposer(method, self.load()?, plan.case().draft_temperature)?;
        let limits = plan.limits(bench.max_new, plan.sampling());
        let count = self.fitted.len() as u64;
        let verifier = plan.case().verification.verifier();
        let target = &mut self.target;
        let mut progress = printer.progress(count, &format!("{method}, greedy ids"));
        let mut advance = || progress.advance();
        let mut subject = Subject { target, proposer: proposer.as_mut(), verifier };
        checked.greedy = Some(subject.greedy(&self.fitted, &limits, &mut advance)?);
        progress.finish();
        let mut progress = printer.progress(count, &format!("{method}, ids of the same seed"));
        let mut advance = || progress.advance();
        subject.proposer = drawing.as_mut();
        let seed = bench.seed;
        checked.same_seed = subject.same_seed(&self.fitted, &limits, seed, &mut advance)?;
        progress.finish();
        Ok(checked)
    }

    /// The law of the first token that a round decides.
    fn first_tokens(&mut self, checked: &mut Checked) -> Result<()> {
        let plan = self.plan;
        let (draft, method) = (Kept::side(self.load()?), checked.method);
        let mut proposer = self.proposer(method, draft, plan.case().draft_temperature)?;
        let verifier = plan.case().verification.verifier();
        let limits = plan.first_round();
        for place in self.places(method)? {
            let mut progress = self.printer.progress(plan.draws, &format!("{method}, draws"));
            let mut advance = || progress.advance();
            let (target, proposer) = (&mut self.target, proposer.as_mut());
            let mut subject = Subject { target, proposer, verifier };
            let (prompt, draws) = (&self.fitted[place], (plan.bench.seed, plan.draws));
            checked.first_token.push(subject.first_token(prompt, &limits, draws, &mut advance)?);
            progress.finish();
        }
        Ok(())
    }

    /// The prompts whose first token is drawn: of those behind which the first greedy round accepts a
    /// candidate, those with the most tokens that can be compared.
    fn places(&mut self, method: Method) -> Result<Vec<usize>> {
        if self.plan.draw_prompts == 0 {
            return Ok(Vec::new());
        }
        let mut proposer = self.proposer(method, self.load()?, 0.0)?;
        let verifier = self.plan.case().verification.verifier();
        let limits = self.plan.first_round();
        let (target, proposer) = (&mut self.target, proposer.as_mut());
        let mut subject = Subject { target, proposer, verifier };
        let promise = |prompt| subject.promise(prompt, &limits, self.plan.draws);
        let promises: Vec<(bool, usize)> =
            self.fitted.iter().map(promise).collect::<Result<_>>()?;
        let mut places: Vec<usize> = (0..promises.len()).collect();
        places.sort_by_key(|&place| (std::cmp::Reverse(promises[place]), place));
        places.truncate(self.plan.draw_prompts);
        Ok(places)
    }
}
