//! Recording: a target writes behind prompts, alone, and what it said of each token is kept. Knows no draft.

use std::path::Path;

use anyhow::Result;
use draft::Randomness;
use target::trace::{
    Bytes, FileHash, Header, Kind, SCHEMA, Target, Text, bytes_of, record as record_text,
};
use target::{Generation, Limits, Prompt as Pair};

use super::file::{Writer, check_name};
use crate::bench::Plan;
use crate::bench::fit::{self, Fate, Fitted, Fitting, Reader};
use crate::bench::record::PromptsInfo;
use crate::doctor::torch_version;
use crate::new_file::check_free;
use crate::printer::Printer;
use crate::prompts::PromptFile;
use crate::provenance::{command_line, now};
use crate::source::{Loaded, fingerprint};
use crate::tokenizer;
use crate::train::interrupt::{Interrupted, is_asked, watch};

/// What was recorded.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The prompts.
    pub prompts: PromptsInfo,
    /// Texts.
    pub texts: usize,
    /// Tokens of all texts.
    pub tokens: usize,
}

/// What decides a recording: a plan without cases, the target's temperature, and how many of the most probable
/// tokens of each place are kept.
#[derive(Clone, Debug)]
pub struct Recording {
    /// The rest.
    pub plan: Plan,
    /// The temperature.
    pub temperature: f64,
    /// Tokens.
    pub top: usize,
}

/// Records texts in a new file.
pub fn record(recording: &Recording, out: &Path, printer: &Printer) -> Result<Recorded> {
    check_name(out)?;
    check_free(out)?;
    watch()?;
    let plan = &recording.plan;
    let prompts = PromptFile::read(plan.prompts.as_deref())?;
    let target = plan.sources.open("target", &plan.target, plan.compute)?;
    let (prompts, fitted) = fit::choose(plan, prompts, &[Reader::of(&target)], &target)?;
    let header = recording.header(&target, &prompts, printer)?;
    let fitting = Fitting::new(plan, Reader::of(&target), &[Reader::of(&target)])?;
    let mut writer = Writer::begin(out, &header)?;
    let mut at_work = AtWork { recording, target, fitting };
    let mut recorded = Recorded { prompts, texts: 0, tokens: 0 };
    let repeats = plan.repeats_at(recording.temperature);
    let turns: usize = fitted.iter().map(|own| 1 + own.prompt.later.len()).sum();
    let mut progress = printer.progress(turns as u64 * u64::from(repeats), "texts");
    for prompt in &fitted {
        for repeat in 0..repeats {
            for text in at_work.converse(prompt, repeat)? {
                recorded.texts += 1;
                recorded.tokens += text.ids.len();
                writer.add(&text)?;
            }
            progress.advance_by(1 + prompt.prompt.later.len() as u64);
        }
    }
    progress.finish();
    writer.finish()?;
    Ok(recorded)
}

/// A target that writes.
struct AtWork<'a> {
    recording: &'a Recording,
    target: Loaded,
    fitting: Fitting,
}

impl AtWork<'_> {
    /// All turns of a prompt that fit.
    fn converse(&mut self, prompt: &Fitted, repeat: u32) -> Result<Vec<Text>> {
        let mut texts: Vec<Text> = Vec::new();
        let mut said = vec![prompt.prompt.text.clone()];
        let mut pair = prompt.pair().clone();
        loop {
            if is_asked() {
                return Err(Interrupted::TRACE.into());
            }
            let turn = texts.len() as u32;
            let text = self.write(prompt, (repeat, turn), &said, &pair)?;
            let answer = text.bytes.iter().flat_map(|Bytes(bytes)| bytes).copied();
            let answer = String::from_utf8_lossy(&answer.collect::<Vec<_>>()).into_owned();
            texts.push(text);
            let Some(message) = prompt.prompt.later.get(turn as usize) else { return Ok(texts) };
            said.extend([answer, message.clone()]);
            let said: Vec<&str> = said.iter().map(String::as_str).collect();
            let side = &self.target.side;
            let target = (&side.tokenizer, side.session.model().context());
            let reader = [Reader::of(&self.target)];
            match self.fitting.fit(target, &reader, &prompt.prompt, &said)? {
                Fate::Fits { pairs, .. } => pair = pairs[0].clone(),
                Fate::TooLong | Fate::Inexpressible => return Ok(texts),
            }
        }
    }

    fn write(
        &mut self,
        prompt: &Fitted,
        (repeat, turn): (u32, u32),
        said: &[String],
        pair: &Pair,
    ) -> Result<Text> {
        let Recording { plan, temperature, top } = self.recording;
        let prompt = &prompt.prompt;
        let key = prompt.index as u64 | u64::from(repeat) << 32 | u64::from(turn) << 56;
        let randomness = Randomness { seed: plan.seed, prompt: key };
        let limits = Limits {
            gamma: 1,
            max_new: plan.max_new,
            ignore_eos: plan.ignore_eos,
            sampling: plan.sampling_at(*temperature),
        };
        let side = &mut self.target.side;
        let (Generation { ids, finish, .. }, heard) =
            record_text(side, pair, &limits, randomness, *top)?;
        let prompt_ids = pair.target.ids().to_vec();
        // A prompt that no template rendered stands in the context's text, cut where it was too long.
        let raw = pair.target.text();
        let rendered = || Bytes(side.tokenizer.vocabulary().decode(&prompt_ids));
        Ok(Text {
            kind: Kind::Text,
            prompt_index: prompt.index,
            prompt_id: prompt.id.clone(),
            category: prompt.category.clone(),
            repeat,
            turn,
            said: match raw {
                [] => said.to_vec(),
                raw => vec![String::from_utf8_lossy(raw).into_owned()],
            },
            rendered: raw.is_empty().then(rendered),
            bytes: bytes_of(&prompt_ids, &ids, side.reader()),
            prompt_ids,
            ids,
            logprobs: heard.iter().map(|heard| heard.log).collect(),
            top: (*top > 0).then(|| heard.into_iter().map(|heard| heard.top).collect()),
            finish,
        })
    }
}

impl Recording {
    fn header(&self, target: &Loaded, prompts: &PromptsInfo, printer: &Printer) -> Result<Header> {
        let plan = &self.plan;
        Ok(Header {
            schema: SCHEMA,
            kind: Kind::Trace,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            command_line: command_line(),
            started: now(),
            target: identity(&plan.target, target, printer)?,
            sampling: plan.sampling_at(self.temperature),
            max_new: plan.max_new,
            ignore_eos: plan.ignore_eos,
            template: plan.template.name().to_owned(),
            prompts: prompts.source.clone(),
            prompts_sha256: prompts.sha256.clone(),
            repeats: plan.repeats_at(self.temperature),
            top: self.top,
            seed: plan.seed,
            device: Some(plan.compute.device_name()),
            dtype: Some(plan.compute.dtype_name().to_owned()),
            threads: Some(tch::get_num_threads() as usize),
            torch: Some(torch_version()),
            imported: None,
        })
    }
}

/// What is said of a target, so that its texts can be read without it.
fn identity(name: &str, target: &Loaded, printer: &Printer) -> Result<Target> {
    let Loaded { side, info, located, .. } = target;
    printer.say("hashing the target's files");
    let info = info.clone().with_hashes(&located.folder)?;
    let path = located.folder.canonicalize().unwrap_or_else(|_| located.folder.clone());
    Ok(Target {
        name: name.to_owned(),
        path: path.display().to_string(),
        source: info.source,
        note: info.note,
        architecture: Some(info.architecture),
        parameters: Some(info.parameters),
        rows: side.session.model().rows(),
        vocabulary: info.vocabulary,
        context: side.session.model().context(),
        tokenizer: info.tokenizer,
        eos: side.eos.clone(),
        prefix: side.tokenizer.prefix().to_vec(),
        vocabulary_file: hash_of(&tokenizer::file(name, &located.folder, printer)?)?,
        tokenizer_sha256: info.tokenizer_sha256,
        weights_sha256: info.weights_sha256,
    })
}

/// A file and what it holds.
pub(super) fn hash_of(path: &Path) -> Result<FileHash> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(FileHash { name, sha256: fingerprint::of_file(path)? })
}
