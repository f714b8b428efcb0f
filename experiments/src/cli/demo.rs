//! `spec demo`: flags to an address and a stage, both to [`crate::demo`].

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};

use anyhow::{Context, Result, bail};

use super::flags::{ComputeFlags, DownloadFlags, SourceFlags, check_at_least_one};
use crate::demo::Opening;
use crate::demo::limits::Limits;
use crate::demo::server::Server;
use crate::printer::Printer;

/// Flags of `spec demo`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The draft: a folder, a registry name (stentor2, stentor, er, …) or a Hub id.
    #[arg(long, value_name = "MODEL", default_value = "stentor2")]
    draft: String,
    /// The target: likewise [default: as for `spec bench`].
    #[arg(long, value_name = "MODEL")]
    target: Option<String>,
    /// A further model for the modes with one model and for comparisons; may be given several times.
    #[arg(long = "model", value_name = "MODEL")]
    models: Vec<String>,
    /// The address to listen at: localhost, or one of this machine's.
    #[arg(long, default_value = "localhost", value_name = "ADDRESS")]
    host: String,
    /// The port to listen at; 0 takes a free one.
    #[arg(long, default_value_t = 7860)]
    port: u16,
    /// Let others than this machine in. There is no password: whoever reaches the address may use it.
    #[arg(long)]
    public: bool,
    /// A name by which browsers may call the server beside its addresses; may be given several times.
    #[arg(long, value_name = "NAME")]
    allow_host: Vec<String>,
    /// Tokens that one request may ask for, over all of its texts.
    #[arg(long, default_value_t = 2000, value_name = "N")]
    max_tokens: usize,
    /// Requests that may be at work or wait at once; further ones are told that it is busy.
    #[arg(long, default_value_t = 4, value_name = "N")]
    at_once: usize,
    /// Seed of requests that name none.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    source: SourceFlags,
    #[command(flatten)]
    downloads: DownloadFlags,
    #[command(flatten)]
    compute: ComputeFlags,
}

impl Args {
    /// Runs the command.
    pub fn run(&self, printer: &Printer) -> Result<()> {
        self.compute.check()?;
        check_at_least_one(&[("--max-tokens", self.max_tokens), ("--at-once", self.at_once)])?;
        let address = SocketAddr::new(self.address()?, self.port);
        let listener = TcpListener::bind(address).with_context(|| {
            format!("cannot listen at {address}; name another --host, or --port 0 for a free port")
        })?;
        let sources = self.source.open();
        let target = match &self.target {
            Some(target) => target.clone(),
            None => sources.default_target(self.downloads.max_download, printer)?.to_owned(),
        };
        let opening = Opening {
            sources,
            draft: self.draft.clone(),
            target,
            others: self.models.clone(),
            limits: Limits { tokens: self.max_tokens, at_once: self.at_once },
            seed: self.seed,
        };
        let compute = self.compute.clone();
        let access = (self.public, self.allow_host.clone());
        let server = Server::open(listener, opening, move || compute.set_up(), access)?;
        printer.data(&format!("http://{}/", server.address()?))?;
        printer.say("open it in a browser; Ctrl-C ends it");
        server.run()
    }

    /// The address by that name; one that others reach has to be wanted.
    fn address(&self) -> Result<IpAddr> {
        let address = match self.host.as_str() {
            "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
            other => other.parse().with_context(|| {
                format!("--host {other} is no address; name one such as 127.0.0.1")
            })?,
        };
        if !address.is_loopback() && !self.public {
            bail!(
                "--host {address} lets other machines in, and there is no password; add --public if that \
                 is wanted"
            );
        }
        Ok(address)
    }
}
