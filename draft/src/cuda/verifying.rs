//! Verification on the device: a target's pass over candidates, the rules, and one small copy to the
//! host. The rules are those of `target::verify::TokenVerifier`, of laws at a temperature: a place's
//! candidates are either all undrawn, or one that was drawn. Speed: logits of draft and target never
//! leave the device, and in a whole round what was drafted goes from draft to target there as well.
//! Not measured on a GPU yet.

use std::rc::Rc;

use super::CudaError;
use super::api::Address;
use super::arguments::{Arguments, NONE};
use super::drafting::{Drafter, Drawing, Drawn, Loop};
use super::engine::{Engine, MOST_TOKENS};
use super::gpu::{Buffer, Function, bytes_of};
use super::network::Network;
use super::plan::Plan;
use super::prefix::Prefix;
use super::program::Program;
use crate::language_model::depths;
use crate::random::{Purpose, Randomness};

/// A candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The target's id.
    pub token: u32,
    /// The candidate before it; `None` right behind the committed text.
    pub parent: Option<usize>,
    /// Whether it was drawn from the draft's law.
    pub sampled: bool,
}

/// What is decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Accepted candidates, from the root down.
    pub path: Vec<usize>,
    /// The token behind them.
    pub next: u32,
}

/// The laws and the numbers of a verification.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// The target's temperature; 0 for the most probable id always.
    pub temperature: f64,
    /// The draft's.
    pub draft_temperature: f64,
    /// The prompt's random numbers.
    pub randomness: Randomness,
    /// The position of the first candidate, emitted tokens counted from 0.
    pub start: usize,
}

/// The device's side of verification, for one target.
pub struct Judge {
    memory: Memory,
    take: Function,
    laws: Function,
    walk: Function,
    sources: Vec<u32>,
}

struct Memory {
    /// Candidates, then keys.
    nodes: Buffer,
    rows: Buffer,
    verdict: Buffer,
    sources: Buffer,
}

impl Judge {
    /// That of a target.
    pub fn new(target: &Engine) -> Result<Self, CudaError> {
        let names = ["verify_take", "verify_laws", "verify_walk"];
        let [take, laws, walk] = target.maker.functions(Program::Verify, names)?;
        let gpu = &target.gpu;
        let memory = Memory {
            nodes: gpu.allocate((16 + 24) * (MOST_TOKENS + 1))?,
            rows: gpu.allocate(16 * (2 * MOST_TOKENS + 1))?,
            verdict: gpu.allocate(4 * (2 + 2 * MOST_TOKENS))?,
            sources: gpu.allocate(4 * target.sizes.rows)?,
        };
        Ok(Self { memory, take, laws, walk, sources: Vec::new() })
    }

    /// Says which of the draft's ids a target's id is, `None` for none: by default the same.
    pub fn name(
        &mut self,
        target: &Engine,
        sources: Option<&[Option<u32>]>,
        draft_rows: usize,
    ) -> Result<(), CudaError> {
        let same = |id: usize| (id < draft_rows).then_some(id as u32);
        let rows = 0..target.sizes.rows;
        let sources: Vec<u32> = rows
            .map(|id| sources.map_or(same(id), |all| all.get(id).copied().flatten()))
            .map(|source| source.unwrap_or(NONE))
            .collect();
        if sources != self.sources {
            target.gpu.upload(&self.memory.sources, bytes_of(&sources))?;
            self.sources = sources;
        }
        Ok(())
    }

    /// Decides about candidates behind `last`, the one committed token that the target has not read.
    /// Candidates that were drawn are the draft's of its last launch, the first at step `first` of
    /// its prefix `prefix`. The target's cache holds `last` and the accepted ones afterwards.
    pub fn verify(
        &mut self,
        target: &mut Network,
        last: u32,
        candidates: &[Candidate],
        rules: Rules,
        draft: Option<(&Drafter, usize, usize)>,
    ) -> Result<Verdict, CudaError> {
        check(candidates)?;
        let (engine, past) = target.parts();
        let ids: Vec<u32> = [last].into_iter().chain(candidates.iter().map(|c| c.token)).collect();
        let below = |c: &Candidate| Some(c.parent.map_or(0, |parent| parent + 1));
        let parents: Vec<_> = [None].into_iter().chain(candidates.iter().map(below)).collect();
        let is_chain = parents.iter().enumerate().all(|(at, p)| *p == at.checked_sub(1));
        let plan =
            if is_chain { Plan::chain(0, past, &ids) } else { Plan::tree(past, &ids, &parents)? };
        let drawn = draft.map(|(drafter, prefix, first)| drafter.drawn(prefix, first));
        engine.pass(&plan, 0)?;
        self.upload(engine, candidates, rules)?;
        self.decide(engine, candidates, rules, drawn)?;
        let words = self.read(engine, 2 + candidates.len())?;
        let verdict = verdict(&words)?;
        let kept: Vec<usize> =
            [0].into_iter().chain(verdict.path.iter().map(|&node| node + 1)).collect();
        engine.keep_path(past, &kept)?;
        target.append(&kept.iter().map(|&node| ids[node]).collect::<Vec<_>>());
        Ok(verdict)
    }

    /// A whole round: `prefix` drafts as many tokens as it has keys, and the target, which has read all
    /// but `last`, decides about them. Gives what was drafted, as the target's ids, and the verdict;
    /// that is the one copy to the host. Both models are on the same device.
    pub fn round(
        &mut self,
        target: &mut Network,
        drafter: &mut Drafter,
        (prefix, last): (&Prefix, u32),
        (drawing, how): (Drawing<'_>, Loop),
        rules: Rules,
    ) -> Result<(Vec<u32>, Verdict), CudaError> {
        if !Rc::ptr_eq(&target.parts().0.gpu, &drafter.engine().gpu) {
            return Err(CudaError::Unsupported("draft and target are on two devices".to_owned()));
        }
        let count = prefix.keys.len();
        let drawn_as =
            |index: usize| Candidate { token: 0, parent: index.checked_sub(1), sampled: true };
        let candidates: Vec<Candidate> = (0..count).map(drawn_as).collect();
        check(&candidates)?;
        drafter.start(std::slice::from_ref(prefix), count, drawing, how)?;
        let drawn = drafter.drawn(0, prefix.given.len() - 1);
        let (engine, past) = target.parts();
        engine.place(&Plan::chain(0, past, &[&[last][..], &vec![0; count]].concat()))?;
        self.upload(engine, &candidates, rules)?;
        let arguments = Arguments {
            base: drawn.first as u32,
            ..self.arguments(engine, count, rules, Some(drawn))
        };
        engine.gpu.launch(self.take, engine.launch(1, 0), &arguments)?;
        engine.run_placed(count + 1, 0)?;
        self.decide(engine, &candidates, rules, Some(drawn))?;
        let words = self.read(engine, 2 + 2 * count)?;
        let verdict = verdict(&words)?;
        let drafted = words[2 + count..].to_vec();
        target.append(&[&[last], &drafted[..verdict.path.len()]].concat());
        Ok((drafted, verdict))
    }

    fn upload(
        &self,
        engine: &Engine,
        candidates: &[Candidate],
        rules: Rules,
    ) -> Result<(), CudaError> {
        let parents: Vec<Option<usize>> = candidates.iter().map(|c| c.parent).collect();
        let depths = depths(&parents);
        let parent = |parent: Option<usize>| parent.map_or(NONE, |parent| parent as u32);
        let words: Vec<u32> = candidates
            .iter()
            .zip(&depths)
            .flat_map(|(c, &depth)| [c.token, parent(c.parent), depth as u32, c.sampled.into()])
            .collect();
        let Rules { randomness, start, .. } = rules;
        let places = depths.iter().max().map_or(1, |deepest| deepest + 2);
        let purposes = [Purpose::Target, Purpose::Accept(start), Purpose::Residual(start)];
        let key = |place: usize, purpose| randomness.key(start + place, purpose).0;
        let keys: Vec<u64> =
            (0..places).flat_map(|place| purposes.map(|purpose| key(place, purpose))).collect();
        engine.gpu.upload(&self.memory.nodes, &[bytes_of(&words), bytes_of(&keys)].concat())
    }

    fn arguments(
        &self,
        engine: &Engine,
        count: usize,
        rules: Rules,
        drawn: Option<Drawn>,
    ) -> Arguments {
        let scale = |temperature: f64| if temperature == 0.0 { 0.0 } else { 1.0 / temperature };
        let or_none = |part: fn(Drawn) -> Address| drawn.map_or(0, part);
        Arguments {
            chosen: or_none(|drawn| drawn.chosen),
            names: or_none(|drawn| drawn.names),
            draft_logits: or_none(|drawn| drawn.logits),
            draft_rows: drawn.map_or(0, |drawn| drawn.stride) as u32,
            drafted: drawn.map_or(0, |_| count) as u32,
            sources: self.memory.sources.address(),
            nodes: self.memory.nodes.address(),
            place_keys: self.memory.nodes.address() + 16 * count as u64,
            rows: self.memory.rows.address(),
            verdict: self.memory.verdict.address(),
            scale: scale(rules.temperature),
            draft_scale: scale(rules.draft_temperature),
            ..engine.arguments(count)
        }
    }

    /// Computes the laws of all rows and walks along the accepted candidates.
    fn decide(
        &self,
        engine: &Engine,
        candidates: &[Candidate],
        rules: Rules,
        drawn: Option<Drawn>,
    ) -> Result<(), CudaError> {
        let sampled = candidates.iter().filter(|candidate| candidate.sampled).count();
        if sampled > 0 && drawn.is_none() {
            return Err(CudaError::Unsupported("drawn candidates without their draft".to_owned()));
        }
        let count = candidates.len();
        let rows = (count + 1 + sampled) as u32;
        let arguments = self.arguments(engine, count, rules, drawn);
        let shared = 24 * engine.tuning.threads / 32;
        engine.gpu.launch(self.laws, engine.launch(rows, shared), &arguments)?;
        engine.gpu.launch(self.walk, engine.launch(1, shared), &arguments)
    }

    fn read(&self, engine: &Engine, words: usize) -> Result<Vec<u32>, CudaError> {
        engine.gpu.download(&self.memory.verdict, 0, words)
    }
}

/// Candidates that fit in one pass, of which drawn ones stand alone at their places, in a chain.
fn check(candidates: &[Candidate]) -> Result<(), CudaError> {
    let unsupported = |reason: &str| Err(CudaError::Unsupported(reason.to_owned()));
    if candidates.len() >= MOST_TOKENS {
        return unsupported("more candidates than one pass reads");
    }
    let sampled = candidates.iter().any(|candidate| candidate.sampled);
    let chain = |(at, c): (usize, &Candidate)| c.sampled && c.parent == at.checked_sub(1);
    if sampled && !candidates.iter().enumerate().all(chain) {
        return unsupported("candidates that were drawn and are no chain");
    }
    let known = |(at, c): (usize, &Candidate)| c.parent.is_none_or(|parent| parent < at);
    if !candidates.iter().enumerate().all(known) {
        return unsupported("a candidate before its parent");
    }
    Ok(())
}

fn verdict(words: &[u32]) -> Result<Verdict, CudaError> {
    if words[0] == NONE {
        let reason = "a candidate's own law excludes it, so it was not drawn from it";
        return Err(CudaError::Unsupported(reason.to_owned()));
    }
    let path = words[2..][..words[0] as usize].iter().map(|&node| node as usize).collect();
    Ok(Verdict { path, next: words[1] })
}
