//! What is run for every prompt: plain decoding at each temperature, and each case. Decides no order.

use align::Vocabulary;
use anyhow::Result;
use target::propose::Nothing;
use target::trace::check_replayable;
use target::{Proposer, Reader};

use super::case::{Case, named};
use super::drafting::{Chosen, Drafting};
use super::fit::Fitted;
use super::record::{CaseSettings, Header};
use super::{CasePlan, Plan};
use crate::source::Loaded;

/// A case with what runs it.
pub(super) struct Slot {
    pub(super) case: Case,
    /// What plain decoding has not.
    speculative: Option<Speculative>,
    pub(super) proposer: Box<dyn Proposer>,
}

struct Speculative {
    /// Which of the drafts.
    draft: usize,
    chosen: Chosen,
    plan: CasePlan,
}

/// All of a plan, what is the same twice once; nothing is loaded yet. A target that is not at hand does not
/// decode by itself.
pub(super) fn slots(
    plan: &Plan,
    drafts: &[Drafting],
    target: &Vocabulary,
    header: &Header,
) -> Vec<Slot> {
    let temperatures = plan.temperatures().into_iter().filter(|_| header.trace.is_none());
    let plain = temperatures.map(|own| (CaseSettings::plain(own), None));
    let typed = plan.drafts();
    let speculative = plan.cases.iter().map(|case| {
        let draft = typed.iter().position(|name| *name == case.draft).unwrap_or(0);
        let chosen = drafts[draft].choose(case, target);
        let settings = chosen.settings(case, &header.drafts[draft].name);
        (settings, Some(Speculative { draft, chosen, plan: case.clone() }))
    });
    let (settings, own): (Vec<_>, Vec<_>) = plain.chain(speculative).unzip();
    let slot = |(case, speculative): (Option<Case>, _)| {
        Some(Slot { case: case?, speculative, proposer: Box::new(Nothing) })
    };
    named(settings, header).into_iter().zip(own).filter_map(slot).collect()
}

impl Slot {
    /// Loads its draft.
    pub(super) fn open(
        &mut self,
        plan: &Plan,
        drafts: &[Drafting],
        target: &mut Loaded,
        prompt: &Fitted,
    ) -> Result<()> {
        if let Some(Speculative { draft, chosen, plan: case }) = &self.speculative {
            let pair = &prompt.pairs[*draft];
            self.proposer = drafts[*draft].proposer(*chosen, (plan, case), target, pair)?;
        }
        Ok(())
    }

    /// The same for a target of which a trace is at hand.
    pub(super) fn open_on_trace(
        &mut self,
        plan: &Plan,
        drafts: &[Drafting],
        target: Reader<'_>,
    ) -> Result<()> {
        if let Some(Speculative { draft, chosen, plan: case }) = &self.speculative {
            if let Some(method) = chosen.method() {
                check_replayable(method, case.proposing())?;
            }
            self.proposer = drafts[*draft].load(*chosen, (plan, case), target)?;
        }
        Ok(())
    }

    /// Its draft's place among those that read prompts.
    pub(super) fn draft(&self) -> usize {
        self.speculative.as_ref().map_or(0, |own| own.draft)
    }

    /// Whether it decodes with the target alone.
    pub(super) fn is_plain(&self) -> bool {
        self.speculative.is_none()
    }

    /// Temperature of the target.
    pub(super) fn temperature(&self) -> f64 {
        self.case.settings.temperature
    }

    /// Candidates of a round, at most.
    pub(super) fn most(&self) -> usize {
        self.case.settings.most()
    }
}
