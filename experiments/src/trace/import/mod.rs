//! Traces out of a server's answers: an OpenAI-style server says of each token of its text how probable it
//! was. What it says is of use only where that is the law that the token was drawn from.

mod known;
pub mod law;
pub mod response;
pub mod tokens;

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use sha2::{Digest, Sha256};
use target::Finish;
use target::trace::{Header, Imported, Kind, SCHEMA, Text, bytes_of};

use self::known::Known;
use self::law::Served;
use self::response::{Answer, Exchange};
use super::file::{Writer, check_name};
use super::record::Recorded;
use crate::bench::record::PromptsInfo;
use crate::new_file::check_free;
use crate::prompts::hex;
use crate::provenance::{command_line, now};
use crate::source::Sources;

/// What is to be imported, and what is known of it.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The server's answers, a JSON object a line.
    pub input: PathBuf,
    /// The new trace.
    pub out: PathBuf,
    /// The target's tokenizer: a folder, a file or a name.
    pub tokenizer: String,
    /// Where it comes from.
    pub sources: Sources,
    /// How the server sampled, and which law it told of.
    pub served: Served,
    /// Whether an end of text was a token like any other.
    pub ignore_eos: bool,
}

/// Makes a trace of a server's answers.
pub fn import(plan: &Plan) -> Result<Recorded> {
    plan.served.check()?;
    check_name(&plan.out)?;
    check_free(&plan.out)?;
    let named = || format!("cannot use the answers {}", plan.input.display());
    let known = Known::open(&plan.sources, &plan.tokenizer)?;
    let bytes = std::fs::read_to_string(&plan.input).with_context(named)?;
    let mut texts = Vec::new();
    let (mut most, mut total) = (0, 0);
    for (index, line) in bytes.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let read = || -> Result<(usize, Vec<Text>)> {
            let exchange = Exchange::parse(line)?;
            let asked = exchange.settings.iter().filter_map(max_tokens).max().unwrap_or(0);
            Ok((asked, plan.texts(&known, &exchange, total)?))
        };
        let read = read().with_context(|| format!("line {}", index + 1));
        let (asked, read) = read.with_context(named)?;
        (most, total) = (most.max(asked), total + 1);
        texts.extend(read);
    }
    if texts.is_empty() {
        bail!("{} holds no answer", plan.input.display());
    }
    let prompts = PromptsInfo {
        source: plan.input.display().to_string(),
        sha256: hex(&Sha256::digest(bytes.as_bytes())),
        total,
        run: total,
        skipped: Vec::new(),
        truncated: 0,
        later_turns_left_out: 0,
    };
    let header = plan.header(&known, &texts, (&prompts, most))?;
    let mut writer = Writer::begin(&plan.out, &header)?;
    for text in &texts {
        let checked = text.check(&header).with_context(|| format!("prompt {}", text.prompt_id));
        checked.with_context(named)?;
        writer.add(text)?;
    }
    writer.finish()?;
    let tokens = texts.iter().map(|text| text.ids.len()).sum();
    Ok(Recorded { prompts, texts: texts.len(), tokens })
}

fn max_tokens(settings: &Value) -> Option<usize> {
    let names = ["max_completion_tokens", "max_tokens", "n_predict"];
    names.into_iter().find_map(|name| settings[name].as_u64()).map(|most| most as usize)
}

impl Plan {
    /// The texts of a line.
    fn texts(&self, known: &Known, exchange: &Exchange, index: usize) -> Result<Vec<Text>> {
        for settings in &exchange.settings {
            self.served.check_settings(settings)?;
        }
        let (prompt, prompt_ids, rendered) = known.prompt(exchange)?;
        let (id, category) = exchange.labels.clone();
        let text = |(repeat, answer): (usize, &Answer)| -> Result<Text> {
            let ids = tokens::ids(answer, &known.tokenizer)?;
            let ends = ids.last().is_some_and(|last| known.eos.contains(last)) && !self.ignore_eos;
            Ok(Text {
                kind: Kind::Text,
                prompt_index: index,
                prompt_id: id.clone().unwrap_or_else(|| index.to_string()),
                category: category.clone().unwrap_or_else(|| "all".to_owned()),
                repeat: repeat as u32,
                turn: 0,
                said: vec![prompt.clone()],
                prompt_ids: prompt_ids.clone(),
                rendered: rendered.clone(),
                bytes: bytes_of(&prompt_ids, &ids, known.reader()),
                logprobs: self.served.logs(answer)?,
                ids,
                top: None,
                // Where a server stopped at its end of text and does not show it, the rest is unknown.
                finish: if ends { Finish::Eos } else { Finish::Length },
            })
        };
        exchange.answers.iter().enumerate().map(text).collect()
    }

    fn header(
        &self,
        known: &Known,
        texts: &[Text],
        (prompts, most): (&PromptsInfo, usize),
    ) -> Result<Header> {
        let longest = texts.iter().map(|text| text.ids.len()).max().unwrap_or(0);
        let whole = texts.iter().map(|text| text.prompt_ids.len() + text.ids.len()).max();
        let rendered = texts.iter().any(|text| text.rendered.is_some());
        Ok(Header {
            schema: SCHEMA,
            kind: Kind::Trace,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            command_line: command_line(),
            started: now(),
            target: known.identity(whole.unwrap_or(0))?,
            sampling: self.served.sampling,
            max_new: most.max(longest),
            ignore_eos: self.ignore_eos,
            template: if rendered { "auto" } else { "none" }.to_owned(),
            prompts: prompts.source.clone(),
            prompts_sha256: prompts.sha256.clone(),
            repeats: texts.iter().map(|text| text.repeat + 1).max().unwrap_or(1),
            top: 0,
            seed: 0,
            device: None,
            dtype: None,
            threads: None,
            torch: None,
            imported: Some(Imported {
                format: "openai".to_owned(),
                logprobs: self.served.logprobs.name().to_owned(),
            }),
        })
    }
}
