//! Prompts as both sides read them, and which of them fit: those too long for the target's context
//! and those that a tokenizer cannot express are counted by category. Runs no model.

use std::collections::BTreeMap;

use align::{Context, Tokenizer};
use anyhow::{Context as _, Result, bail};
use target::Prompt as Pair;

use super::Plan;
use super::record::{PromptsInfo, Skipped};
use crate::cli::bench::{LongPrompts, Template};
use crate::prompts::{Prompt, PromptFile, take_evenly};
use crate::source::Loaded;
use crate::template::ChatTemplate;

/// A prompt that will be run.
pub struct Fitted {
    /// The prompt.
    pub prompt: Prompt,
    /// As both sides read it.
    pub pair: Pair,
}

/// The prompts of a run.
pub struct Selection {
    /// Those that will be run.
    pub fitted: Vec<Fitted>,
    /// Those left out, by category.
    pub skipped: Vec<Skipped>,
    /// How many were cut to fit.
    pub truncated: usize,
}

/// One side's reading of a prompt.
pub struct Reading {
    /// Its ids and text.
    pub context: Context,
    /// Whether the tokenizer has all of its characters.
    pub expressible: bool,
}

/// What becomes of a prompt.
enum Fate {
    Fits { pair: Pair, truncated: bool },
    TooLong,
    Inexpressible,
}

/// The prompts of a file that will be run, and what reports say of them.
pub fn choose(
    plan: &Plan,
    file: PromptFile,
    draft: &Loaded,
    target: &Loaded,
) -> Result<(PromptsInfo, Vec<Fitted>)> {
    let PromptFile { source, sha256, prompts } = file;
    let total = prompts.len();
    let mut selection = select(plan, prompts, draft, target)?;
    if let Some(limit) = plan.limit {
        let fitted = std::mem::take(&mut selection.fitted);
        selection.fitted = take_evenly(fitted, limit, |fitted| fitted.prompt.category.clone());
    }
    if selection.fitted.is_empty() {
        bail!("none of the {total} prompts of {source} can be run: {}", reasons(&selection));
    }
    let Selection { fitted, skipped, truncated } = selection;
    Ok((PromptsInfo { source, sha256, total, run: fitted.len(), skipped, truncated }, fitted))
}

fn reasons(selection: &Selection) -> String {
    let long: usize = selection.skipped.iter().map(|skipped| skipped.too_long).sum();
    let unknown: usize = selection.skipped.iter().map(|skipped| skipped.inexpressible).sum();
    format!(
        "{long} are too long for the target's context (lower --max-new or use --long-prompts \
         truncate-left), {unknown} hold characters that a tokenizer lacks"
    )
}

/// Encodes prompts for a pair and leaves out what does not fit.
pub fn select(
    plan: &Plan,
    prompts: Vec<Prompt>,
    draft: &Loaded,
    target: &Loaded,
) -> Result<Selection> {
    let templates = match plan.template {
        Template::None => None,
        Template::Auto => ChatTemplate::read(&draft.located.folder)?
            .zip(ChatTemplate::read(&target.located.folder)?),
    };
    let fitting = Fitting { plan, draft, target, templates };
    let mut counts: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    let mut selection = Selection { fitted: Vec::new(), skipped: Vec::new(), truncated: 0 };
    for prompt in prompts {
        let skipped = counts.entry(prompt.category.clone()).or_default();
        match fitting.fit(&prompt)? {
            Fate::TooLong => skipped.0 += 1,
            Fate::Inexpressible => skipped.1 += 1,
            Fate::Fits { pair, truncated } => {
                selection.truncated += usize::from(truncated);
                selection.fitted.push(Fitted { prompt, pair });
            }
        }
    }
    selection.skipped = counts
        .into_iter()
        .filter(|(_, (long, inexpressible))| long + inexpressible > 0)
        .map(|(category, (too_long, inexpressible))| Skipped { category, too_long, inexpressible })
        .collect();
    Ok(selection)
}

/// What decides whether a prompt fits.
struct Fitting<'a> {
    plan: &'a Plan,
    draft: &'a Loaded,
    target: &'a Loaded,
    /// The draft's and the target's, where both have one.
    templates: Option<(ChatTemplate, ChatTemplate)>,
}

impl Fitting<'_> {
    fn fit(&self, prompt: &Prompt) -> Result<Fate> {
        if prompt.text.is_empty() {
            bail!("the prompt `{}` is empty: there is nothing to continue; remove it", prompt.id);
        }
        let chat = self.templates.as_ref().filter(|_| prompt.is_chat);
        let (for_draft, for_target) = (chat.map(|t| &t.0), chat.map(|t| &t.1));
        let tokenizer = &self.target.side.tokenizer;
        let context = self.target.side.session.model().context();
        let room = context.saturating_sub(self.plan.max_new);
        let mut target = read(tokenizer, for_target, &prompt.text)?;
        let mut text = prompt.text.clone();
        let length = target.context.ids().len();
        let is_long = length > room;
        if is_long {
            match self.plan.long_prompts {
                LongPrompts::Skip => return Ok(Fate::TooLong),
                LongPrompts::Error => bail!(
                    "the prompt `{}` has {length} target tokens, and with --max-new {} the context \
                     of {context} leaves room for {room}; use --long-prompts skip or truncate-left",
                    prompt.id,
                    self.plan.max_new,
                ),
                LongPrompts::TruncateLeft => {
                    text = cut(tokenizer, &target.context, room, prompt)?;
                    target = read(tokenizer, None, &text)?;
                }
            }
        }
        let draft = read(&self.draft.side.tokenizer, for_draft.filter(|_| !is_long), &text)?;
        if !(target.expressible && draft.expressible) {
            return Ok(Fate::Inexpressible);
        }
        let pair = Pair { target: target.context, draft: draft.context };
        Ok(Fate::Fits { pair, truncated: is_long })
    }
}

/// Reads a prompt as one side does: by its chat template, or as raw text.
pub fn read(tokenizer: &Tokenizer, template: Option<&ChatTemplate>, text: &str) -> Result<Reading> {
    if let Some(template) = template {
        let ids = tokenizer.encode_reference(&template.render(text)?, false)?;
        return Ok(Reading { context: Context::of_ids(ids), expressible: true });
    }
    let encoding = tokenizer.encode(text.as_bytes())?;
    let expressible = encoding.unknown == 0 && encoding.dropped == 0;
    let context = Context::of_encoding(tokenizer, text.as_bytes(), encoding);
    Ok(Reading { context, expressible })
}

/// The end of a raw prompt that fits into `room` target tokens, cut where a token begins.
fn cut(tokenizer: &Tokenizer, context: &Context, room: usize, prompt: &Prompt) -> Result<String> {
    let length = context.ids().len();
    // A token more for the space that some tokenizers put in front of a text.
    let keep = room.saturating_sub(tokenizer.prefix().len() + 1);
    for first in length.saturating_sub(keep)..length {
        let start = context.start_of(first);
        if let Some(text) = prompt.text.get(start..)
            && tokenizer.prefix().len() + tokenizer.encode(text.as_bytes())?.ids.len() <= room
            && !text.is_empty()
        {
            return Ok(text.to_owned());
        }
    }
    Err(anyhow::anyhow!("no end of it fits into {room} tokens"))
        .with_context(|| format!("cannot truncate the prompt `{}`", prompt.id))
}
