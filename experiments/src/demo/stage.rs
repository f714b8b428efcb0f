//! The models of a server, on the one thread that works with them. Requests come one after the other; what a
//! panic leaves behind is forgotten, for every mode begins with empty caches.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Sender, channel};
use std::thread;

use anyhow::{Result, anyhow};
use draft::Compute;
use serde::Serialize;
use target::{Method, Side};

use super::lent::Lent;
use super::limits::{Limits, Refusal};
use crate::source::{Loaded, Sources};

/// What a server is made of.
#[derive(Clone, Debug)]
pub struct Opening {
    /// Where models come from.
    pub sources: Sources,
    /// The draft, as typed.
    pub draft: String,
    /// The target, as typed.
    pub target: String,
    /// Further models, as typed.
    pub others: Vec<String>,
    /// What requests may ask for.
    pub limits: Limits,
    /// Seed of requests that name none.
    pub seed: u64,
}

/// The models, loaded once.
pub struct Stage {
    pub(super) opening: Opening,
    pub(super) compute: Compute,
    /// By these names, the draft first, then the target.
    names: Vec<String>,
    models: Vec<Loaded>,
    lent: Lent,
}

/// What the page is told before anything is asked for.
#[derive(Debug, Serialize)]
pub(super) struct About {
    version: &'static str,
    models: Vec<AboutModel>,
    draft: String,
    target: String,
    /// The method for the pair, and why.
    method: &'static str,
    method_reason: &'static str,
    methods: Vec<&'static str>,
    limits: Limits,
    seed: u64,
    device: String,
    dtype: &'static str,
}

#[derive(Debug, Serialize)]
struct AboutModel {
    name: String,
    parameters: u64,
    vocabulary: usize,
    tokenizer: String,
    context: usize,
    note: Option<String>,
}

impl Stage {
    /// Loads the models; on the thread that will work with them.
    pub(super) fn open(opening: Opening, compute: Compute) -> Result<Self> {
        let typed = [&opening.draft, &opening.target].into_iter().chain(&opening.others);
        let roles = ["draft", "target"].into_iter().chain(std::iter::repeat("model"));
        let (mut names, mut models): (Vec<String>, Vec<Loaded>) = Default::default();
        for (role, typed) in roles.zip(typed) {
            let mut loaded = opening.sources.open(role, typed, compute)?;
            let shown = loaded.info.name.clone();
            let taken = (2..).map(|count| format!("{shown} ({count})"));
            let free = [shown.clone()].into_iter().chain(taken).find(|own| !names.contains(own));
            loaded.info.name = free.unwrap_or(shown);
            names.push(loaded.info.name.clone());
            models.push(loaded);
        }
        let draft = models.remove(0);
        let Side { tokenizer, session, eos } = draft.side;
        let lent = Lent::new(session);
        let side = Side { tokenizer, session: lent.session(), eos };
        models.insert(0, Loaded { side, ..draft });
        Ok(Self { opening, compute, names, models, lent })
    }

    pub(super) fn about(&self) -> About {
        let [draft, target] = [0, 1].map(|index| self.models[index].side.tokenizer.vocabulary());
        let (method, reason) = Method::best_for(draft, target);
        let model = |own: &Loaded| AboutModel {
            name: own.info.name.clone(),
            parameters: own.info.parameters,
            vocabulary: own.info.vocabulary,
            tokenizer: own.info.tokenizer.clone(),
            context: own.info.context,
            note: own.info.note.clone(),
        };
        About {
            version: env!("CARGO_PKG_VERSION"),
            models: self.models.iter().map(model).collect(),
            draft: self.names[0].clone(),
            target: self.names[1].clone(),
            method: method.name(),
            method_reason: reason,
            methods: Method::ALL.map(Method::name).to_vec(),
            limits: self.opening.limits,
            seed: self.opening.seed,
            device: self.compute.device_name(),
            dtype: self.compute.dtype_name(),
        }
    }

    fn index(&self, name: &str) -> Result<usize, Refusal> {
        self.names.iter().position(|own| own == name).ok_or_else(|| {
            let names = self.names.join(", ");
            Refusal::unprocessable(format!("no model `{name}` is loaded here; there are {names}"))
        })
    }

    /// A model by its name.
    pub(super) fn model(&mut self, name: &str) -> Result<&mut Loaded, Refusal> {
        let index = self.index(name)?;
        Ok(&mut self.models[index])
    }

    /// Two models by their names.
    pub(super) fn two(&mut self, names: &[String; 2]) -> Result<[&mut Loaded; 2], Refusal> {
        let places = [self.index(&names[0])?, self.index(&names[1])?];
        self.models.get_disjoint_mut(places).map_err(|_| {
            Refusal::unprocessable(format!("both models are `{}`; choose two", names[0]))
        })
    }

    /// The draft, the target, and the draft's model to be lent.
    pub(super) fn pair(&mut self) -> (&Loaded, &mut Loaded, Lent) {
        let (first, rest) = self.models.split_at_mut(1);
        (&first[0], &mut rest[0], self.lent.clone())
    }

    /// Empties the caches of all models.
    fn clear(&mut self) {
        for model in &mut self.models {
            model.side.session.reset();
        }
        self.lent.clear();
    }
}

/// Work for the thread with the models.
pub(super) type Job = Box<dyn FnOnce(&mut Stage) + Send>;

/// Starts that thread; gives where work goes and what there is, as JSON.
pub(super) fn start(
    opening: Opening,
    set_up: impl FnOnce() -> Result<Compute> + Send + 'static,
) -> Result<(Sender<Job>, String)> {
    let (jobs, queue) = channel::<Job>();
    let (ready, opened) = channel();
    let work = move || {
        // Threads of a device are the thread's that asks for them.
        let mut stage = match set_up().and_then(|compute| Stage::open(opening, compute)) {
            Ok(stage) => stage,
            Err(error) => {
                let _ = ready.send(Err(error));
                return;
            }
        };
        let about = serde_json::to_string(&stage.about()).map_err(Into::into);
        if ready.send(about).is_err() {
            return;
        }
        for job in queue {
            stage.clear();
            if catch_unwind(AssertUnwindSafe(|| job(&mut stage))).is_err() {
                tracing::error!("a request ended in a panic");
            }
        }
    };
    thread::Builder::new().name("models".to_owned()).spawn(work)?;
    let about = opened.recv().map_err(|_| anyhow!("the models could not be loaded"))??;
    Ok((jobs, about))
}
