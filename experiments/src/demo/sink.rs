//! The way from the work to the one who asked: lines of JSON, or a refusal in place of the first. Work
//! that nobody waits for any more ends at its next line.

use anyhow::Result;
use serde::Serialize;
use tokio::sync::mpsc::UnboundedSender;

use super::limits::Refusal;

/// What is on the way.
#[derive(Debug)]
pub(super) enum Message {
    /// A line, its end included.
    Line(String),
    /// Nothing was done.
    Refused(Refusal),
}

/// Nobody waits any more.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the client has left")]
pub(super) struct Left;

/// One end of the way.
pub(super) struct Sink {
    to: UnboundedSender<Message>,
    begun: bool,
}

/// A line that ends badly.
#[derive(Serialize)]
struct Failed<'a> {
    event: &'static str,
    message: &'a str,
}

impl Sink {
    pub(super) fn new(to: UnboundedSender<Message>) -> Self {
        Self { to, begun: false }
    }

    /// An error where nobody waits any more.
    pub(super) fn check(&self) -> Result<(), Left> {
        if self.to.is_closed() { Err(Left) } else { Ok(()) }
    }

    /// Sends a line.
    pub(super) fn line(&mut self, line: &impl Serialize) -> Result<()> {
        let text = serde_json::to_string(line)? + "\n";
        self.begun = true;
        Ok(self.to.send(Message::Line(text)).map_err(|_| Left)?)
    }

    /// Sends why it went no further: a refusal where nothing was sent yet, else a last line.
    pub(super) fn fail(&mut self, error: &anyhow::Error) {
        let message = format!("{error:#}").split_whitespace().collect::<Vec<_>>().join(" ");
        // That nobody hears of it any more is no error.
        if self.begun {
            let _ = self.line(&Failed { event: "error", message: &message });
            return;
        }
        let refusal = match error.downcast_ref::<Refusal>() {
            Some(own) => own.clone(),
            None => Refusal::unprocessable(message),
        };
        let _ = self.to.send(Message::Refused(refusal));
    }
}
