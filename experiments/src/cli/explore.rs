//! `spec explore`: flags to a request, the request to [`crate::explore`], positions to standard
//! output.

use anyhow::{Result, anyhow, bail};
use draft::{Compute, Sampling};

use super::flags::{ComputeFlags, SamplingFlags, SourceFlags, read_prompt};
use crate::explore::json::{Head, Stream};
use crate::explore::spelling::Spelling;
use crate::explore::{Request, check_ids, explore, table};
use crate::printer::Printer;

/// Flags of `spec explore`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The model: a folder, a registry name (stentor2, stentor, er, …) or a Hub id.
    #[arg(long, value_name = "MODEL")]
    model: String,
    /// The text.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    prompt: Option<String>,
    /// The text as ids, used exactly as given; needs no tokenizer.
    #[arg(long, value_name = "1,2,3")]
    ids: Option<String>,
    /// Next tokens to show at each position; 0 is all.
    #[arg(long, default_value_t = 10, value_name = "N")]
    top: usize,
    #[command(flatten)]
    sampling: SamplingFlags,
    /// Append K tokens: the most probable ones, or drawn where a temperature is given.
    #[arg(long, default_value_t = 0, value_name = "K")]
    generate: usize,
    /// Seed of the tokens that are drawn.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    source: SourceFlags,
    #[command(flatten)]
    compute: ComputeFlags,
    /// Print a JSON object instead of the table.
    #[arg(long)]
    json: bool,
}

impl Args {
    /// Runs the command.
    pub fn run(&self, printer: &Printer) -> Result<()> {
        let given = self.given()?;
        let compute = self.compute.set_up()?;
        let bare = self.source.open().open_bare("model", &self.model, compute)?;
        let (ids, tokenizer) = match given {
            Given::Ids(ids) => {
                let say = |error: &anyhow::Error| printer.say(&format!("no text: {error:#}"));
                (ids, bare.tokenizer.inspect_err(say).ok())
            }
            Given::Text(text) => {
                let tokenizer = bare.tokenizer?;
                (read_prompt(&tokenizer, text, printer)?, Some(tokenizer))
            }
        };
        let (mut session, spelling) = (bare.session, Spelling::new(tokenizer.as_ref()));
        check_ids(&session, &ids)?;
        let request = Request {
            ids,
            top: self.top,
            shape: self.shape(),
            choice: self.sampling.over(Sampling::GREEDY),
            generate: self.generate,
            eos: bare.eos,
            seed: self.seed,
        };
        if !self.json {
            let mut head = table::head();
            explore(&mut session, spelling, &request, &mut |position| {
                Ok(printer.piece(&(std::mem::take(&mut head) + &table::row(&position)))?)
            })?;
            return Ok(());
        }
        let head = self.head((&bare.name, bare.note.as_deref()), &request, compute);
        let mut stream = Stream::new(printer.stream(), &head)?;
        let outcome =
            explore(&mut session, spelling, &request, &mut |position| stream.position(&position))?;
        stream.end(&outcome)
    }

    /// What was typed, checked before anything is loaded.
    fn given(&self) -> Result<Given<'_>> {
        self.sampling.check()?;
        self.compute.check()?;
        match (&self.prompt, &self.ids) {
            (Some(text), None) => Ok(Given::Text(text)),
            (None, Some(ids)) => Ok(Given::Ids(parse_ids(ids)?)),
            (None, None) => bail!("there is no text: give --prompt TEXT or --ids 1,2,3"),
            (Some(_), Some(_)) => bail!("--prompt and --ids are two texts: give one of them"),
        }
    }

    /// The law to show: the model's own, unless a setting says otherwise. Temperature 0 is a way to
    /// choose and no law.
    fn shape(&self) -> Option<Sampling> {
        let mut shape = self.sampling.over(Sampling::at(1.0));
        if shape.is_greedy() {
            shape.temperature = 1.0;
        }
        (shape != Sampling::at(1.0)).then_some(shape)
    }

    fn head<'a>(
        &'a self,
        (name, note): (&'a str, Option<&'a str>),
        request: &'a Request,
        compute: Compute,
    ) -> Head<'a> {
        Head {
            model: name,
            note,
            device: compute.device_name(),
            dtype: compute.dtype_name(),
            seed: self.seed,
            sampling: request.shape,
            greedy: request.choice.is_greedy(),
            prompt: self.prompt.as_deref(),
            prompt_ids: &request.ids,
        }
    }
}

/// The text as it was typed.
enum Given<'a> {
    Text(&'a str),
    Ids(Vec<u32>),
}

fn parse_ids(text: &str) -> Result<Vec<u32>> {
    if text.trim().is_empty() {
        bail!("--ids holds no id: give whole numbers with commas between, such as --ids 1,2,3");
    }
    text.split(',')
        .map(|part| {
            part.trim().parse().map_err(|_| {
                anyhow!(
                    "`{part}` in --ids is no id: give whole numbers with commas between, such as \
                     --ids 1,2,3"
                )
            })
        })
        .collect()
}
