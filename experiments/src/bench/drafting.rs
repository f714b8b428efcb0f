//! Who drafts in a run: a model, or the text itself. Runs nothing.

use anyhow::{Result, bail};
use target::costs::measure;
use target::pace::Pace;
use target::propose::siblings::Siblings;
use target::propose::{Limiting, Ngram, Paced, slem};
use target::{Method, Proposer};

use super::Plan;
use super::fit::Fitted;
use super::record::ModelInfo;
use crate::source::Loaded;

/// The name of the draft that is no model.
pub const NGRAM: &str = "ngram";

/// The draft of a run.
pub enum Drafting {
    /// A model.
    Model(Box<Loaded>),
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
    /// The name of the method.
    pub fn name(self) -> &'static str {
        self.method.map_or(NGRAM, Method::name)
    }

    /// Whether the draft reads several texts at once.
    pub fn reads_many(self) -> bool {
        self.method.is_some_and(Method::reads_many)
    }

    /// The most candidates of a round, and what they limit, where the plan leaves their number open.
    pub fn most(self, plan: &Plan) -> Option<(usize, Limiting)> {
        let branches = self.siblings(plan).count.is_none() || self.method == Some(Method::Tree);
        if branches {
            let auto = plan.auto.nodes || plan.auto.gamma;
            return auto.then_some((plan.size.nodes, Limiting::Tree));
        }
        plan.auto.gamma.then_some((plan.gamma, Limiting::Row))
    }

    /// Candidates of each place.
    pub fn siblings(self, plan: &Plan) -> Siblings {
        self.method.map_or_else(Siblings::default, |method| method.siblings(plan.siblings))
    }

    /// What becomes of a drafted text's last token.
    pub fn tail_policy(self) -> &'static str {
        match self.method {
            Some(Method::Slem) => slem::TAIL_POLICY,
            _ => "none: candidates are target tokens",
        }
    }
}

impl Drafting {
    /// Opens the draft of a plan.
    pub fn open(plan: &Plan) -> Result<Self> {
        if plan.draft != NGRAM {
            let draft = plan.sources.open("draft", &plan.draft, plan.compute)?;
            return Ok(Self::Model(Box::new(draft)));
        }
        if let Some(method) = plan.method {
            bail!("--draft ngram is a method of its own; leave --method {method} away");
        }
        Ok(Self::Ngram)
    }

    /// What reads prompts on the draft's side.
    pub fn reader<'a>(&'a self, target: &'a Loaded) -> &'a Loaded {
        match self {
            Self::Model(draft) => draft,
            Self::Ngram => target,
        }
    }

    /// What reports say of it.
    pub fn info(&self, target: &Loaded) -> ModelInfo {
        match self {
            Self::Model(draft) => draft.info.clone(),
            Self::Ngram => ModelInfo {
                name: NGRAM.to_owned(),
                path: String::new(),
                source: "the text itself".to_owned(),
                note: None,
                architecture: "prompt lookup".to_owned(),
                parameters: 0,
                ..target.info.clone()
            },
        }
    }

    /// The method of a plan, or the one for the pair.
    pub fn choose(&self, plan: &Plan, target: &Loaded) -> Chosen {
        match (self, plan.method) {
            (Self::Ngram, _) => Chosen { method: None, reason: "the draft is no model" },
            (_, Some(method)) => Chosen { method: Some(method), reason: "asked for" },
            (Self::Model(draft), None) => {
                let (method, reason) = Method::best_for(&draft.side, &target.side);
                Chosen { method: Some(method), reason }
            }
        }
    }

    /// What proposes; at its own pace where the plan leaves the number of candidates open, after passes of
    /// the target behind a prompt have been timed.
    pub fn proposer(
        self,
        chosen: Chosen,
        plan: &Plan,
        target: &mut Loaded,
        prompt: &Fitted,
    ) -> Result<Box<dyn Proposer>> {
        let proposer: Box<dyn Proposer> = match (self, chosen.method) {
            (Self::Model(draft), Some(method)) => {
                method.proposer(draft.side, &target.side, plan.proposing())?
            }
            _ => Box::new(Ngram::default()),
        };
        let Some((most, limiting)) = chosen.most(plan) else { return Ok(proposer) };
        let passes = measure(&mut target.side, prompt.pair.target.ids(), most)?;
        Ok(Box::new(Paced::new(proposer, Pace::new(most, passes), limiting)))
    }
}
