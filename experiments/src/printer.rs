//! The only place that prints: data to standard output, talk to standard error. Progress is hidden
//! where standard error is no terminal; a line every half minute takes its place there.

use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How often a run without a terminal says where it is.
const HEARTBEAT: Duration = Duration::from_secs(30);

/// Prints.
#[derive(Debug, Default)]
pub struct Printer {
    _private: (),
}

impl Printer {
    /// Writes data to standard output.
    pub fn data(&self, text: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        if !text.ends_with('\n') {
            out.write_all(b"\n")?;
        }
        out.flush()
    }

    /// Writes a piece of data to standard output at once, exactly as it is.
    pub fn piece(&self, text: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()
    }

    /// Standard output for data that is too much to be held as one text; to be flushed at its end.
    pub fn stream(&self) -> BufWriter<StdoutLock<'static>> {
        BufWriter::with_capacity(1 << 16, io::stdout().lock())
    }

    /// Says something on standard error. That nobody listens is no error.
    pub fn say(&self, text: &str) {
        let _ = writeln!(io::stderr().lock(), "{text}");
    }

    /// Says in one line what went wrong.
    pub fn error(&self, error: &anyhow::Error) {
        let line = format!("{error:#}").split_whitespace().collect::<Vec<_>>().join(" ");
        self.say(&format!("spec: {line}"));
    }

    /// Begins a count up to `total`.
    pub fn progress(&self, total: u64, what: &str) -> Progress {
        Progress::begin(Unit::Items, (0, total), what)
    }

    /// Begins a count of bytes of which `done` are there and `missing` are not.
    pub fn bytes(&self, done: u64, missing: u64, what: &str) -> Progress {
        Progress::begin(Unit::Bytes, (done, done + missing), what)
    }
}

/// What a count counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Items,
    Bytes,
}

impl Unit {
    fn style(self) -> &'static str {
        match self {
            Self::Items => "{msg} {wide_bar} {pos}/{len}, {eta} left",
            Self::Bytes => {
                "{msg} {wide_bar} {bytes}/{total_bytes}, {decimal_bytes_per_sec}, {eta} left"
            }
        }
    }

    fn text(self, count: u64) -> String {
        match self {
            Self::Items => count.to_string(),
            Self::Bytes => HumanBytes(count).to_string(),
        }
    }

    /// So many a second, where that says something.
    fn rate(self, each_second: f64) -> String {
        match self {
            Self::Items => String::new(),
            Self::Bytes => format!(", {:.1} MB/s", each_second / 1e6),
        }
    }
}

/// A count on standard error.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    unit: Unit,
    /// Whether it is said in lines, because no terminal shows the bar.
    heard: bool,
    started: Instant,
    begin: u64,
    last: Instant,
    what: String,
}

impl Progress {
    fn begin(unit: Unit, (begin, total): (u64, u64), what: &str) -> Self {
        let target = ProgressDrawTarget::stderr();
        let bar = ProgressBar::with_draw_target(Some(total), target).with_position(begin);
        if let Ok(style) = ProgressStyle::with_template(unit.style()) {
            bar.set_style(style);
        }
        bar.set_message(what.to_owned());
        let now = Instant::now();
        let (heard, what) = (!io::stderr().is_terminal(), what.to_owned());
        Self { bar, unit, heard, started: now, begin, last: now, what }
    }

    /// Counts one more.
    pub fn advance(&mut self) {
        self.advance_by(1);
    }

    /// Counts more.
    pub fn advance_by(&mut self, count: u64) {
        self.bar.inc(count);
        if self.heard && self.last.elapsed() >= HEARTBEAT {
            self.last = Instant::now();
            let (done, total) = (self.bar.position(), self.bar.length().unwrap_or(0));
            let rate =
                (done - self.begin).max(1) as f64 / self.started.elapsed().as_secs_f64().max(1e-9);
            let left = total.saturating_sub(done) as f64 / rate;
            let (done, total) = (self.unit.text(done), self.unit.text(total));
            let rate = self.unit.rate(rate);
            Printer::default()
                .say(&format!("{} {done}/{total}{rate}, about {left:.0} s left", self.what));
        }
    }

    /// Ends the count.
    pub fn finish(self) {
        self.bar.finish_and_clear();
    }
}

/// Whether an error only says that nobody reads standard output any more.
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    })
}
