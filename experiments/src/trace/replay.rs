//! The texts of a trace as drafts read their prompts, and which of them they can read. Runs no model.

use std::collections::BTreeMap;
use std::path::Path;

use align::Context;
use anyhow::{Context as _, Result, bail};
use target::Prompt as Pair;
use target::trace::Text;

use super::file::Trace;
use super::written::Written;
use crate::bench::fit::{BETWEEN, Reader, Reading, read, read_said};
use crate::bench::record::{ModelInfo, PromptsInfo, Skipped, TraceInfo};
use crate::prompts::take_evenly;
use crate::template::ChatTemplate;

/// A text that will be replayed.
pub struct Ready {
    /// The text.
    pub text: Text,
    /// Its prompt as the target and each of the drafts read it.
    pub pairs: Vec<Pair>,
}

/// The texts of a trace that all drafts can read, at most `limit` prompts evenly from the categories, and what
/// reports say of them.
pub fn choose(
    trace: Trace,
    written: &Written,
    drafts: &[Reader<'_>],
    limit: Option<usize>,
) -> Result<(PromptsInfo, Vec<Ready>)> {
    let Trace { path, header, texts, .. } = trace;
    let readers = Readers::new(written, drafts)?;
    let mut prompts: BTreeMap<usize, Vec<Text>> = BTreeMap::new();
    for text in texts {
        prompts.entry(text.prompt_index).or_default().push(text);
    }
    let total = prompts.len();
    let mut found: Vec<Vec<Ready>> = Vec::new();
    let mut skipped: BTreeMap<String, usize> = BTreeMap::new();
    let mut later_turns_left_out = 0;
    for texts in prompts.into_values() {
        let mut ready = Vec::new();
        for text in texts {
            let named = || format!("{}, prompt `{}`", path.display(), text.prompt_id);
            match readers.pairs(&text).with_context(named)? {
                Some(pairs) => ready.push(Ready { text, pairs }),
                None if text.turn > 0 => later_turns_left_out += 1,
                None => *skipped.entry(text.category).or_default() += 1,
            }
        }
        if !ready.is_empty() {
            found.push(ready);
        }
    }
    if let Some(limit) = limit {
        found = take_evenly(found, limit, |ready| ready[0].text.category.clone());
    }
    if found.is_empty() {
        bail!("none of the {total} prompts of {} can be read by the draft", path.display());
    }
    let skipped = skipped.into_iter().map(|(category, inexpressible)| Skipped {
        category,
        too_long: 0,
        inexpressible,
    });
    let info = PromptsInfo {
        source: header.prompts,
        sha256: header.prompts_sha256,
        total,
        run: found.len(),
        skipped: skipped.collect(),
        truncated: 0,
        later_turns_left_out,
    };
    Ok((info, found.into_iter().flatten().collect()))
}

/// All that read prompts.
struct Readers<'a> {
    written: &'a Written,
    drafts: Vec<(Reader<'a>, Option<ChatTemplate>)>,
}

impl<'a> Readers<'a> {
    fn new(written: &'a Written, drafts: &[Reader<'a>]) -> Result<Self> {
        let with_template = |draft: &Reader<'a>| Ok((*draft, ChatTemplate::read(draft.folder)?));
        let drafts = drafts.iter().map(with_template).collect::<Result<_>>()?;
        Ok(Self { written, drafts })
    }

    /// A text's prompt as all read it; `None` where a draft's tokenizer lacks some of it.
    fn pairs(&self, text: &Text) -> Result<Option<Vec<Pair>>> {
        let target = self.target(text)?;
        let mut pairs = Vec::new();
        for (draft, template) in &self.drafts {
            let Reading { context, expressible } = if text.rendered.is_none() {
                read(draft.tokenizer, None, &text.said.join(BETWEEN))?
            } else {
                let Some(template) = template else {
                    bail!(
                        "a chat template rendered it for the target, and beside the draft's tokenizer in \
                         {} there is none; record with --template none",
                        draft.folder.display()
                    );
                };
                let said: Vec<&str> = text.said.iter().map(String::as_str).collect();
                read_said(draft.tokenizer, Some(template), &said)?
            };
            if !expressible {
                return Ok(None);
            }
            pairs.push(Pair { target: target.clone(), draft: context });
        }
        Ok(Some(pairs))
    }

    /// The prompt as the target read it.
    fn target(&self, text: &Text) -> Result<Context> {
        if text.rendered.is_some() {
            return Ok(Context::of_ids(text.prompt_ids.clone()));
        }
        let reader = self.written.reader();
        let context = read(reader.tokenizer, None, &text.said.join(BETWEEN))?.context;
        if context.ids() != text.prompt_ids {
            bail!("the tokenizer in {} reads it as other ids", self.written.place.display());
        }
        Ok(context)
    }
}

impl Trace {
    /// What reports say of it.
    pub fn info(&self) -> TraceInfo {
        TraceInfo { path: self.path.display().to_string(), sha256: self.sha256.clone() }
    }

    /// What reports say of its target.
    pub fn target(&self) -> ModelInfo {
        let target = self.header.target.clone();
        // A folder is known by its own name, as of a model at hand.
        let folder = Path::new(&target.path).file_name().filter(|_| target.name.contains('/'));
        let is_folder = ["folder", "imported"].contains(&target.source.as_str());
        let own = folder.filter(|_| is_folder).map(|own| own.to_string_lossy().into_owned());
        ModelInfo {
            name: own.unwrap_or(target.name),
            path: target.path,
            source: target.source,
            note: target.note,
            architecture: target.architecture.unwrap_or_else(|| "unknown".to_owned()),
            parameters: target.parameters.unwrap_or(0),
            vocabulary: target.vocabulary,
            context: target.context,
            tokenizer: target.tokenizer,
            weights_sha256: target.weights_sha256,
            tokenizer_sha256: target.tokenizer_sha256,
        }
    }
}
