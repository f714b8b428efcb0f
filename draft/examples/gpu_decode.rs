//! Drafting on a GPU by each loop, and plain decoding through libtorch beside it, turn by turn in one
//! run. Prints a JSON object a line: what ran, µs a step of all prefixes. With `--check` it compares
//! instead: all loops draw the same ids, each the host's own draw from the logits that came with it,
//! and a pass says what libtorch says. For `benchmarks/gpu-decode.sh` and `tests/gpu.sh`.
//!
//! `gpu_decode MODEL [--gammas 4,8] [--prefixes 1,8,32] [--turns N] [--check]`

#![expect(clippy::print_stdout, reason = "an example's output")]

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Instant;

use draft::cuda::{
    Builder, Compiler, CudaError, Drafter, Drawing, Engine, Gpu, Loop, MOST_PREFIXES, Network,
    Prefix, Tuning,
};
use draft::device::load_cuda_library;
use draft::language_model::{LanguageModel, Wanted};
use draft::{Compute, Key, Model, Purpose, Randomness, Sampling};
use serde_json::json;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Ids of each prompt.
const PROMPT: usize = 48;

const TEMPERATURES: [f64; 2] = [0.0, 0.8];

struct Plan {
    model: PathBuf,
    gammas: Vec<usize>,
    prefixes: Vec<usize>,
    turns: usize,
    check: bool,
}

impl Plan {
    fn read() -> Outcome<Self> {
        let mut arguments = std::env::args().skip(1);
        let model = arguments.next().ok_or("give a model folder")?.into();
        let (gammas, prefixes) = (vec![4, 8], vec![1, 8, 32]);
        let mut plan = Self { model, gammas, prefixes, turns: 20, check: false };
        let list = |text: String| text.split(',').map(str::parse).collect::<Result<Vec<_>, _>>();
        while let Some(flag) = arguments.next() {
            if flag == "--check" {
                plan.check = true;
                continue;
            }
            let value = arguments.next().ok_or_else(|| format!("{flag} lacks its value"))?;
            match flag.as_str() {
                "--gammas" => plan.gammas = list(value)?,
                "--prefixes" => plan.prefixes = list(value)?,
                "--turns" => plan.turns = value.parse()?,
                _ => return Err(format!("unknown flag {flag}").into()),
            }
        }
        if plan.prefixes.iter().any(|&count| count == 0 || count > MOST_PREFIXES) {
            return Err(format!("prefixes are 1 to {MOST_PREFIXES}").into());
        }
        Ok(plan)
    }
}

/// The id at a place of a prompt; the same in the Python peer.
fn prompt_ids(prompt: usize, rows: usize) -> Vec<u32> {
    (0..PROMPT).map(|place| ((place * 131 + prompt * 977 + 7) % rows) as u32).collect()
}

fn prefixes(count: usize, gamma: usize, rows: usize) -> Vec<Prefix> {
    let one = |prompt: usize| {
        let randomness = Randomness { seed: 1, prompt: prompt as u64 };
        let keys = (0..gamma).map(|draw| randomness.key(draw, Purpose::Draft(0))).collect();
        let given = prompt_ids(prompt, rows)[PROMPT - 1..].to_vec();
        Prefix { cached: PROMPT - 1, given, keys }
    };
    (0..count).map(one).collect()
}

fn main() -> Outcome<()> {
    let plan = Plan::read()?;
    load_cuda_library();
    let compute = Compute::parse("cuda", Some("bf16"))?;
    let mut libtorch =
        Model::load(&plan.model, compute.with_engine(draft::Engine::Libtorch))?.network;
    let gpu = Gpu::open(Path::new("libcuda.so.1"), 0)?;
    let most = plan.prefixes.iter().copied().max().unwrap_or(1);
    let engine = |prefixes| -> Result<Engine, CudaError> {
        let builder = Builder::Nvrtc(Compiler::find()?);
        Engine::load(&gpu, &plan.model, builder, Tuning::default(), prefixes)
    };
    let mut passes = Network::new(engine(1)?, Loop::Graph)?;
    passes.agree_with(&mut *libtorch)?;
    let mut drafter = Drafter::new(engine(most)?)?;
    let rows = drafter.engine().rows();
    for index in 0..most {
        drafter.engine().read(index, 0, &prompt_ids(index, rows)[..PROMPT - 1])?;
    }
    if plan.check {
        check_passes(&plan, &mut passes)?;
    }
    for &gamma in &plan.gammas {
        for &count in &plan.prefixes {
            for temperature in TEMPERATURES {
                let prefixes = prefixes(count, gamma, rows);
                let drawing = Drawing { temperature, names: None };
                if plan.check {
                    check_loops(&mut drafter, &prefixes, drawing)?;
                } else {
                    time_loops(&mut drafter, &prefixes, drawing, plan.turns)?;
                }
            }
        }
        if !plan.check {
            time_steps("libtorch", &mut *libtorch, gamma, plan.turns)?;
            time_steps("passes", &mut passes, gamma, plan.turns)?;
        }
    }
    Ok(())
}

/// All loops draw the same, and each draw is the host's own.
fn check_loops(drafter: &mut Drafter, prefixes: &[Prefix], drawing: Drawing<'_>) -> Outcome<()> {
    let (rows, gamma) = (drafter.engine().rows(), prefixes[0].keys.len());
    let sampling = Sampling::at(drawing.temperature);
    let mut first: Option<Vec<Vec<u32>>> = None;
    for how in Loop::ALL {
        let ids = drafter.draft(prefixes, gamma, drawing, how)?;
        for (index, prefix) in prefixes.iter().enumerate() {
            let logits = drafter.logits(index, prefix.given.len(), gamma)?;
            for (draw, row) in logits.chunks_exact(rows).enumerate() {
                if sampling.law(row, &[]).draw(prefix.keys[draw]) != ids[index][draw] {
                    return Err(format!("{how:?}: a draw is not the host's").into());
                }
            }
        }
        if *first.get_or_insert_with(|| ids.clone()) != ids {
            return Err(format!("{how:?} drew other ids than the graph").into());
        }
        let (count, temperature) = (prefixes.len(), drawing.temperature);
        println!(
            "{}",
            json!({"what": "draws hold", "by": format!("{how:?}"), "prefixes": count,
                "gamma": gamma, "temperature": temperature})
        );
    }
    Ok(())
}

/// A pass says what libtorch says in 32-bit floats, up to what two bytes a cached element make of it.
fn check_passes(plan: &Plan, passes: &mut Network) -> Outcome<()> {
    let compute = Compute::parse("cuda", Some("fp32"))?;
    let mut exact = Model::load(&plan.model, compute.with_engine(draft::Engine::Libtorch))?.network;
    let ids = prompt_ids(0, exact.rows());
    let ours = passes.extend(&ids, Wanted::All)?;
    let theirs = exact.extend(&ids, Wanted::All)?;
    let largest = theirs.iter().flatten().fold(0.0f32, |top, logit| top.max(logit.abs()));
    let pairs = ours.iter().zip(theirs.iter()).flat_map(|(a, b)| a.iter().zip(b));
    let far = pairs.map(|(a, b)| (a - b).abs()).fold(0.0f32, f32::max) / largest;
    println!("{}", json!({"what": "a pass beside libtorch in fp32", "off_by": far}));
    if far < 0.03 { Ok(()) } else { Err("a pass is far from libtorch in fp32".into()) }
}

fn print(by: &str, (prefixes, gamma): (usize, usize), temperature: f64, begin: Instant) {
    let micros = begin.elapsed().as_secs_f64() * 1e6 / gamma as f64;
    println!(
        "{}",
        json!({"what": "draft", "by": by, "prefixes": prefixes, "gamma": gamma,
            "temperature": temperature, "micros_a_step": micros})
    );
}

/// Loops take turns, so that what else happens on the machine meets all of them. What is timed ends
/// with the drawn ids on the host.
fn time_loops(
    drafter: &mut Drafter,
    prefixes: &[Prefix],
    drawing: Drawing<'_>,
    turns: usize,
) -> Outcome<()> {
    let (count, gamma) = (prefixes.len(), prefixes[0].keys.len());
    for turn in 0..=turns {
        for how in Loop::ALL {
            let begin = Instant::now();
            drafter.draft(prefixes, gamma, drawing, how)?;
            // The first turn is a warm-up.
            if turn > 0 {
                print(&format!("{how:?}"), (count, gamma), drawing.temperature, begin);
            }
        }
    }
    Ok(())
}

/// Greedy steps through the interface that all models have.
fn time_steps(by: &str, model: &mut dyn LanguageModel, gamma: usize, turns: usize) -> Outcome<()> {
    let ids = prompt_ids(0, model.rows());
    model.truncate(0);
    model.extend(&ids[..PROMPT - 1], Wanted::Last)?;
    for turn in 0..=turns {
        model.truncate(PROMPT - 1);
        let (begin, mut next) = (Instant::now(), ids[PROMPT - 1]);
        for draw in 0..gamma {
            let logits = model.extend(&[next], Wanted::Last)?;
            next = Sampling::GREEDY.law(logits.last(), &[]).draw(Key(draw as u64));
        }
        if turn > 0 {
            print(by, (1, gamma), 0.0, begin);
        }
    }
    Ok(())
}
