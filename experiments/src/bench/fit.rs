//! Prompts as both sides read them, and which of them fit: those too long for the target's context
//! and those that a tokenizer cannot express are counted by category. Runs no model.

use std::collections::BTreeMap;
use std::path::Path;

use align::{Context, Tokenizer};
use anyhow::{Context as _, Result, bail};
use target::Prompt as Pair;

use super::Plan;
use super::record::{PromptsInfo, Skipped};
use crate::cli::bench::{LongPrompts, Template};
use crate::prompts::{Prompt, PromptFile, take_evenly};
use crate::source::Loaded;
use crate::template::ChatTemplate;

/// One side that reads prompts.
#[derive(Clone, Copy)]
pub struct Reader<'a> {
    /// Its tokenizer.
    pub tokenizer: &'a Tokenizer,
    /// The folder of its model, where its chat template is.
    pub folder: &'a Path,
}

impl<'a> Reader<'a> {
    /// The side of a loaded model.
    pub fn of(model: &'a Loaded) -> Self {
        Self { tokenizer: &model.side.tokenizer, folder: &model.located.folder }
    }
}

/// A prompt that will be run.
pub struct Fitted {
    /// The prompt.
    pub prompt: Prompt,
    /// As the target and each of the drafts read it.
    pub pairs: Vec<Pair>,
}

impl Fitted {
    /// As the target and the first draft read it.
    pub fn pair(&self) -> &Pair {
        &self.pairs[0]
    }
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

/// What becomes of a text.
pub enum Fate {
    /// It can be run.
    Fits {
        /// As the target and each of the drafts read it.
        pairs: Vec<Pair>,
        /// Whether its beginning was cut off.
        truncated: bool,
    },
    /// It is too long for the target's context.
    TooLong,
    /// It holds characters that a tokenizer lacks.
    Inexpressible,
}

/// The prompts of a file that will be run, and what reports say of them.
pub fn choose(
    plan: &Plan,
    file: PromptFile,
    drafts: &[Reader<'_>],
    target: &Loaded,
) -> Result<(PromptsInfo, Vec<Fitted>)> {
    let PromptFile { source, sha256, prompts } = file;
    let total = prompts.len();
    let mut selection = select(plan, prompts, drafts, target)?;
    if let Some(limit) = plan.limit {
        let fitted = std::mem::take(&mut selection.fitted);
        selection.fitted = take_evenly(fitted, limit, |fitted| fitted.prompt.category.clone());
    }
    if selection.fitted.is_empty() {
        bail!("none of the {total} prompts of {source} can be run: {}", reasons(&selection));
    }
    let Selection { fitted, skipped, truncated } = selection;
    let run = fitted.len();
    let info =
        PromptsInfo { source, sha256, total, run, skipped, truncated, later_turns_left_out: 0 };
    Ok((info, fitted))
}

fn reasons(selection: &Selection) -> String {
    let long: usize = selection.skipped.iter().map(|skipped| skipped.too_long).sum();
    let unknown: usize = selection.skipped.iter().map(|skipped| skipped.inexpressible).sum();
    format!(
        "{long} are too long for the target's context (lower --max-new or use --long-prompts \
         truncate-left), {unknown} hold characters that a tokenizer lacks"
    )
}

/// Encodes prompts for all sides and leaves out what does not fit.
pub fn select(
    plan: &Plan,
    prompts: Vec<Prompt>,
    drafts: &[Reader<'_>],
    target: &Loaded,
) -> Result<Selection> {
    let fitting = Fitting::new(plan, Reader::of(target), drafts)?;
    let context = target.side.session.model().context();
    let tokenizer = &target.side.tokenizer;
    let mut counts: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    let mut selection = Selection { fitted: Vec::new(), skipped: Vec::new(), truncated: 0 };
    for prompt in prompts {
        let skipped = counts.entry(prompt.category.clone()).or_default();
        match fitting.fit((tokenizer, context), drafts, &prompt, &[&prompt.text])? {
            Fate::TooLong => skipped.0 += 1,
            Fate::Inexpressible => skipped.1 += 1,
            Fate::Fits { pairs, truncated } => {
                selection.truncated += usize::from(truncated);
                selection.fitted.push(Fitted { prompt, pairs });
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

/// What decides whether a text fits.
pub struct Fitting {
    long_prompts: LongPrompts,
    max_new: usize,
    /// The target's and those of the drafts that have one, where conversations are rendered.
    templates: Option<(ChatTemplate, Vec<Option<ChatTemplate>>)>,
}

impl Fitting {
    /// The rules of a plan.
    pub fn new(plan: &Plan, target: Reader<'_>, drafts: &[Reader<'_>]) -> Result<Self> {
        let templates = match plan.template {
            Template::None => None,
            Template::Auto => {
                let own = ChatTemplate::read(target.folder)?;
                let theirs = templates_of(drafts)?;
                own.zip(theirs.iter().all(Option::is_some).then_some(theirs))
            }
            Template::Target => {
                let own = ChatTemplate::read(target.folder)?.with_context(|| {
                    let folder = target.folder.display();
                    format!("{folder} has no chat template; use --template none, or a chat model")
                })?;
                Some((own, templates_of(drafts)?))
            }
        };
        Ok(Self { long_prompts: plan.long_prompts, max_new: plan.max_new, templates })
    }

    /// What becomes of a conversation, the user's message first and last, for a target with some context.
    /// Where a side has no template, messages stand one behind the other.
    pub fn fit(
        &self,
        (target, context): (&Tokenizer, usize),
        drafts: &[Reader<'_>],
        prompt: &Prompt,
        said: &[&str],
    ) -> Result<Fate> {
        if prompt.text.is_empty() {
            bail!("the prompt `{}` is empty: there is nothing to continue; remove it", prompt.id);
        }
        let chat = self.templates.as_ref().filter(|_| prompt.is_chat);
        let room = context.saturating_sub(self.max_new);
        let mut own = read_said(target, chat.map(|templates| &templates.0), said)?;
        let length = own.context.ids().len();
        let is_long = length > room;
        let mut text = said.join(BETWEEN);
        if is_long {
            match self.long_prompts {
                LongPrompts::Skip => return Ok(Fate::TooLong),
                LongPrompts::Error => bail!(
                    "the prompt `{}` has {length} target tokens, and with --max-new {} the context \
                     of {context} leaves room for {room}; use --long-prompts skip or truncate-left",
                    prompt.id,
                    self.max_new,
                ),
                LongPrompts::TruncateLeft => {
                    let raw = read(target, None, &text)?;
                    text = cut(target, (&raw.context, &text), room, prompt)?;
                    own = read(target, None, &text)?;
                }
            }
        }
        let mut expressible = own.expressible;
        let mut pairs = Vec::new();
        for (index, draft) in drafts.iter().enumerate() {
            let chat = chat.filter(|_| !is_long);
            let reading = match chat.map(|templates| templates.1[index].as_ref()) {
                Some(Some(template)) => read_said(draft.tokenizer, Some(template), said)?,
                // The target is told that an answer begins; so is the draft.
                Some(None) => read(draft.tokenizer, None, &format!("{text}{BETWEEN}"))?,
                None => read(draft.tokenizer, None, &text)?,
            };
            expressible &= reading.expressible;
            pairs.push(Pair { target: own.context.clone(), draft: reading.context });
        }
        if !expressible {
            return Ok(Fate::Inexpressible);
        }
        Ok(Fate::Fits { pairs, truncated: is_long })
    }
}

/// The templates of the drafts that have one.
fn templates_of(drafts: &[Reader<'_>]) -> Result<Vec<Option<ChatTemplate>>> {
    drafts.iter().map(|draft| ChatTemplate::read(draft.folder)).collect()
}

/// What stands between messages where no template renders them.
pub(crate) const BETWEEN: &str = "\n\n";

/// Reads a conversation as one side does: by its chat template, or its messages one behind the other.
pub(crate) fn read_said(
    tokenizer: &Tokenizer,
    template: Option<&ChatTemplate>,
    said: &[&str],
) -> Result<Reading> {
    match template {
        Some(template) => {
            let ids = tokenizer.encode_reference(&template.render(said)?, false)?;
            Ok(Reading { context: Context::of_ids(ids), expressible: true })
        }
        None => read(tokenizer, None, &said.join(BETWEEN)),
    }
}

/// Reads a prompt as one side does: by its chat template, or as raw text.
pub fn read(tokenizer: &Tokenizer, template: Option<&ChatTemplate>, text: &str) -> Result<Reading> {
    if let Some(template) = template {
        let ids = tokenizer.encode_reference(&template.render(&[text])?, false)?;
        return Ok(Reading { context: Context::of_ids(ids), expressible: true });
    }
    let encoding = tokenizer.encode(text.as_bytes())?;
    let expressible = encoding.unknown == 0 && encoding.dropped == 0;
    let context = Context::of_encoding(tokenizer, text.as_bytes(), encoding);
    Ok(Reading { context, expressible })
}

/// The end of a raw prompt that fits into `room` target tokens, cut where a token begins.
fn cut(
    tokenizer: &Tokenizer,
    (context, text): (&Context, &str),
    room: usize,
    prompt: &Prompt,
) -> Result<String> {
    let length = context.ids().len();
    // A token more for the space that some tokenizers put in front of a text.
    let keep = room.saturating_sub(tokenizer.prefix().len() + 1);
    for first in length.saturating_sub(keep)..length {
        let start = context.start_of(first);
        if let Some(text) = text.get(start..)
            && tokenizer.prefix().len() + tokenizer.encode(text.as_bytes())?.ids.len() <= room
            && !text.is_empty()
        {
            return Ok(text.to_owned());
        }
    }
    Err(anyhow::anyhow!("no end of it fits into {room} tokens"))
        .with_context(|| format!("cannot truncate the prompt `{}`", prompt.id))
}
