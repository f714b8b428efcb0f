//! Who drafts in a run: a model, or the text itself. Runs nothing.

use align::Vocabulary;
use anyhow::{Context, Result, bail};
use target::costs::measure;
use target::pace::Pace;
use target::propose::siblings::Siblings;
use target::propose::{Limiting, Ngram, Paced, slem};
use target::{Method, Prompt, Proposer, Reader as TargetReader};

use super::fit::Reader;
use super::record::{CaseSettings, ModelInfo};
use super::{CasePlan, Plan};
use crate::source::{Described, Loaded};

/// The name of the draft that is no model.
pub const NGRAM: &str = "ngram";

/// A draft of a run, its weights left out.
pub enum Drafting {
    /// A model.
    Model(Box<Described>),
    /// What followed the same tokens before.
    Ngram,
}

/// How candidates come about, and why so.
#[derive(Clone, Copy, Debug)]
pub struct Chosen {
    method: Option<Method>,
    /// Who or what chose the method.
    pub reason: &'static str,
}

impl Chosen {
    /// The method; `None` for n-grams.
    pub fn method(self) -> Option<Method> {
        self.method
    }

    /// The name of the method.
    pub fn name(self) -> &'static str {
        self.method.map_or(NGRAM, Method::name)
    }

    /// Whether the draft reads several texts at once.
    pub fn reads_many(self) -> bool {
        self.method.is_some_and(Method::reads_many)
    }

    /// The most candidates of a round, and what they limit, where the plan leaves their number open.
    fn most(self, plan: &CasePlan) -> Option<(usize, Limiting)> {
        let branches = self.siblings(plan).count.is_none() || self.method == Some(Method::Tree);
        if branches {
            let auto = plan.auto.nodes || plan.auto.gamma;
            return auto.then_some((plan.size.nodes, Limiting::Tree));
        }
        plan.auto.gamma.then_some((plan.gamma, Limiting::Row))
    }

    /// Candidates of each place.
    fn siblings(self, plan: &CasePlan) -> Siblings {
        self.method.map_or_else(Siblings::default, |method| method.siblings(plan.siblings))
    }

    /// What becomes of a drafted text's last token.
    fn tail_policy(self) -> &'static str {
        match self.method {
            Some(Method::Slem) => slem::TAIL_POLICY,
            _ => "none: candidates are target tokens",
        }
    }

    /// The case's settings in a report, for a draft of this name.
    pub fn settings(self, plan: &CasePlan, draft: &str) -> CaseSettings {
        CaseSettings {
            draft: draft.to_owned(),
            method: self.name().to_owned(),
            method_reason: self.reason.to_owned(),
            verification: plan.verification,
            gamma: plan.gamma,
            auto: self.most(plan).is_some(),
            tree: self.reads_many().then_some(plan.size),
            siblings: self.siblings(plan),
            temperature: plan.temperature,
            draft_temperature: plan.draft_temperature,
            tail_policy: self.tail_policy().to_owned(),
        }
    }
}

impl Drafting {
    /// Opens a draft of a plan.
    pub fn open(plan: &Plan, name: &str) -> Result<Self> {
        if name != NGRAM {
            return Ok(Self::Model(Box::new(plan.sources.describe("draft", name)?)));
        }
        let asked = plan.cases.iter().filter(|case| case.draft == NGRAM).find_map(|own| own.method);
        if let Some(method) = asked {
            bail!("--draft ngram is a method of its own; leave --method {method} away");
        }
        Ok(Self::Ngram)
    }

    /// What reads prompts on the draft's side.
    pub fn reader<'a>(&'a self, target: Reader<'a>) -> Reader<'a> {
        match self {
            Self::Model(draft) => {
                Reader { tokenizer: &draft.tokenizer, folder: &draft.located.folder }
            }
            Self::Ngram => target,
        }
    }

    /// What reports say of it.
    pub fn info(&self, target: &ModelInfo) -> Result<ModelInfo> {
        match self {
            Self::Model(draft) => draft.info().with_hashes(&draft.located.folder),
            Self::Ngram => Ok(ModelInfo {
                name: NGRAM.to_owned(),
                path: String::new(),
                source: "the text itself".to_owned(),
                note: None,
                architecture: "prompt lookup".to_owned(),
                parameters: 0,
                ..target.clone()
            }),
        }
    }

    /// The method of a case, or the one for the pair.
    pub fn choose(&self, plan: &CasePlan, target: &Vocabulary) -> Chosen {
        match (self, plan.method) {
            (Self::Ngram, _) => Chosen { method: None, reason: "the draft is no model" },
            (_, Some(method)) => Chosen { method: Some(method), reason: "asked for" },
            (Self::Model(draft), None) => {
                let (method, reason) = Method::best_for(draft.tokenizer.vocabulary(), target);
                Chosen { method: Some(method), reason }
            }
        }
    }

    /// What proposes in a case, for a target that need not be at hand.
    pub fn load(
        &self,
        chosen: Chosen,
        (plan, case): (&Plan, &CasePlan),
        target: TargetReader<'_>,
    ) -> Result<Box<dyn Proposer>> {
        let (Self::Model(draft), Some(method)) = (self, chosen.method) else {
            return Ok(Box::new(Ngram::default()));
        };
        let load = Loaded::load(&case.draft, draft.located.clone(), plan.compute);
        let side = load.with_context(|| format!("cannot load the draft `{}`", case.draft));
        Ok(method.proposer(side?.side, target, case.proposing())?)
    }

    /// What proposes in a case; at its own pace where that leaves the number of candidates open, after
    /// passes of the target behind a prompt have been timed.
    pub fn proposer(
        &self,
        chosen: Chosen,
        (plan, case): (&Plan, &CasePlan),
        target: &mut Loaded,
        prompt: &Prompt,
    ) -> Result<Box<dyn Proposer>> {
        let proposer = self.load(chosen, (plan, case), target.side.reader())?;
        let Some((most, limiting)) = chosen.most(case) else { return Ok(proposer) };
        let passes = measure(&mut target.side, prompt.target.ids(), most)?;
        Ok(Box::new(Paced::new(proposer, Pace::new(most, passes), limiting)))
    }
}
