//! Verification on the device: a target's pass over candidates, the rules, and one small copy to the
//! host. The rules are those of `target::verify::TokenVerifier`, of laws at a temperature: a place's
//! candidates are either all undrawn, or one that was drawn. Speed: the target's logits never leave
//! the device; of a drawn candidate's law go there the ids that have mass. Not measured on a GPU yet.

use std::rc::Rc;

use super::CudaError;
use super::arguments::{Arguments, NONE};
use super::engine::{Engine, MOST_TOKENS};
use super::gpu::{Buffer, Function, Gpu, bytes_of};
use super::plan::Plan;
use super::program::Program;
use crate::judging::{Candidate, Case, Verdict};
use crate::language_model::depths;
use crate::law::Law;
use crate::random::Purpose;

/// The device's side of verification, for one target.
pub(super) struct Judge {
    memory: Memory,
    spread: Function,
    laws: Function,
    walk: Function,
}

struct Memory {
    /// Candidates, then keys.
    nodes: Buffer,
    rows: Buffer,
    verdict: Buffer,
    /// The laws of drawn candidates as they come: where each ends, ids, log-weights.
    law_ends: Buffer,
    law_ids: Buffer,
    law_logs: Buffer,
    /// The same with a weight for every id.
    laws: Buffer,
}

/// Whether candidates fit in one pass, and drawn ones stand alone at their places, in a chain.
pub(super) fn can_judge(candidates: &[Candidate<'_>]) -> bool {
    let is_drawn = |candidate: &Candidate<'_>| candidate.law.is_some();
    let is_chain = |(at, c): (usize, &Candidate<'_>)| is_drawn(c) && c.parent == at.checked_sub(1);
    let known = |(at, c): (usize, &Candidate<'_>)| c.parent.is_none_or(|parent: usize| parent < at);
    candidates.len() < MOST_TOKENS
        && candidates.iter().enumerate().all(known)
        && (!candidates.iter().any(is_drawn) || candidates.iter().enumerate().all(is_chain))
}

impl Judge {
    /// That of a target.
    pub(super) fn new(target: &Engine) -> Result<Self, CudaError> {
        let names = ["verify_spread", "verify_laws", "verify_walk"];
        let [spread, laws, walk] = target.maker.functions(Program::Verify, names)?;
        let gpu = &target.gpu;
        let memory = Memory {
            nodes: gpu.allocate((16 + 24) * (MOST_TOKENS + 1))?,
            rows: gpu.allocate(16 * (2 * MOST_TOKENS + 1))?,
            verdict: gpu.allocate(4 * (2 + MOST_TOKENS))?,
            law_ends: gpu.allocate(4 * MOST_TOKENS)?,
            law_ids: gpu.allocate(0)?,
            law_logs: gpu.allocate(0)?,
            laws: gpu.allocate(0)?,
        };
        Ok(Self { memory, spread, laws, walk })
    }

    /// Decides about candidates, of which [`can_judge`] holds, behind the `past` ids that the target
    /// has read. Its cache holds the last committed id and the accepted ones afterwards.
    pub(super) fn verify(
        &mut self,
        engine: &mut Engine,
        past: usize,
        case: &Case<'_>,
    ) -> Result<Verdict, CudaError> {
        let Case { last, candidates, .. } = *case;
        let ids: Vec<u32> = [last].into_iter().chain(candidates.iter().map(|c| c.token)).collect();
        let below = |c: &Candidate<'_>| Some(c.parent.map_or(0, |parent| parent + 1));
        let parents: Vec<_> = [None].into_iter().chain(candidates.iter().map(below)).collect();
        let is_chain = parents.iter().enumerate().all(|(at, p)| *p == at.checked_sub(1));
        let plan =
            if is_chain { Plan::chain(0, past, &ids) } else { Plan::tree(past, &ids, &parents)? };
        engine.pass(&plan, 0)?;
        self.upload(engine, case)?;
        let drawn = self.upload_laws(engine, candidates)?;
        self.decide(engine, case, drawn)?;
        let words: Vec<u32> = engine.gpu.download(&self.memory.verdict, 0, 2 + candidates.len())?;
        let verdict = verdict(&words)?;
        let kept: Vec<usize> =
            [0].into_iter().chain(verdict.path.iter().map(|&node| node + 1)).collect();
        engine.keep_path(past, &kept)?;
        Ok(verdict)
    }

    fn upload(&self, engine: &Engine, case: &Case<'_>) -> Result<(), CudaError> {
        let Case { candidates, randomness, start, .. } = *case;
        let parents: Vec<Option<usize>> = candidates.iter().map(|c| c.parent).collect();
        let depths = depths(&parents);
        let parent = |parent: Option<usize>| parent.map_or(NONE, |parent| parent as u32);
        let words: Vec<u32> = candidates
            .iter()
            .zip(&depths)
            .flat_map(|(c, &depth)| {
                [c.token, parent(c.parent), depth as u32, c.law.is_some().into()]
            })
            .collect();
        let places = depths.iter().max().map_or(1, |deepest| deepest + 2);
        let purposes = [Purpose::Target, Purpose::Accept(start), Purpose::Residual(start)];
        let key = |place: usize, purpose| randomness.key(start + place, purpose).0;
        let keys: Vec<u64> =
            (0..places).flat_map(|place| purposes.map(|purpose| key(place, purpose))).collect();
        engine.gpu.upload(&self.memory.nodes, &[bytes_of(&words), bytes_of(&keys)].concat())
    }

    /// Brings the laws of drawn candidates to the device; gives how many there are.
    fn upload_laws(
        &mut self,
        engine: &Engine,
        candidates: &[Candidate<'_>],
    ) -> Result<usize, CudaError> {
        let laws: Vec<&Law> = candidates.iter().filter_map(|candidate| candidate.law).collect();
        let (gpu, rows) = (&engine.gpu, engine.sizes.rows);
        let (mut ids, mut logs, mut ends) = (Vec::new(), Vec::new(), Vec::new());
        for law in &laws {
            for (id, log) in law.logs().filter(|&(id, log)| (id as usize) < rows && log.is_finite())
            {
                ids.push(id);
                logs.push(log);
            }
            ends.push(ids.len() as u32);
        }
        if !laws.is_empty() {
            make_room(gpu, &mut self.memory.law_ids, 4 * ids.len())?;
            make_room(gpu, &mut self.memory.law_logs, 8 * logs.len())?;
            make_room(gpu, &mut self.memory.laws, 8 * rows * laws.len())?;
            gpu.upload(&self.memory.law_ends, bytes_of(&ends))?;
            gpu.upload(&self.memory.law_ids, bytes_of(&ids))?;
            gpu.upload(&self.memory.law_logs, bytes_of(&logs))?;
        }
        Ok(laws.len())
    }

    fn arguments(&self, engine: &Engine, case: &Case<'_>) -> Arguments {
        let count = case.candidates.len();
        let Memory { nodes, rows, verdict, law_ends, law_ids, law_logs, laws } = &self.memory;
        Arguments {
            law_ids: law_ids.address(),
            law_logs: law_logs.address(),
            law_ends: law_ends.address(),
            laws: laws.address(),
            nodes: nodes.address(),
            place_keys: nodes.address() + 16 * count as u64,
            rows: rows.address(),
            verdict: verdict.address(),
            scale: if case.temperature == 0.0 { 0.0 } else { 1.0 / case.temperature },
            ..engine.arguments(count)
        }
    }

    /// Computes the laws of all rows and walks along the accepted candidates.
    fn decide(&self, engine: &Engine, case: &Case<'_>, drawn: usize) -> Result<(), CudaError> {
        let arguments = self.arguments(engine, case);
        let shared = 24 * engine.tuning.threads / 32;
        let gpu = &engine.gpu;
        if drawn > 0 {
            gpu.launch(self.spread, engine.launch(drawn as u32, 0), &arguments)?;
        }
        let rows = (case.candidates.len() + 1 + drawn) as u32;
        gpu.launch(self.laws, engine.launch(rows, shared), &arguments)?;
        gpu.launch(self.walk, engine.launch(1, shared), &arguments)
    }
}

/// Makes a buffer hold so many bytes at least; what was in it is lost where it did not.
fn make_room(gpu: &Rc<Gpu>, buffer: &mut Buffer, bytes: usize) -> Result<(), CudaError> {
    if buffer.bytes() < bytes {
        *buffer = gpu.allocate(bytes.next_power_of_two())?;
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
