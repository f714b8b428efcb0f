//! Which law a server's log-probabilities are of, and whether that is the one that the tokens were drawn from.

use anyhow::{Result, bail};
use clap::ValueEnum;
use draft::Sampling;
use serde_json::Value;

use super::response::{Answer, Log, Said};

/// A server's stand-in for the logarithm of 0.
const NOTHING: f64 = -9000.0;

/// A rounded probability may be so much above 1, as a logarithm.
const ABOVE_ONE: f64 = 1e-4;

/// Settings that a server may have and a trace has not, with what changes nothing.
const OTHERS: [(&str, f64); 5] = [
    ("min_p", 0.0),
    ("presence_penalty", 0.0),
    ("frequency_penalty", 0.0),
    ("typical_p", 1.0),
    ("dynatemp_range", 0.0),
];

/// Which law log-probabilities are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Logprobs {
    /// The model's own, before temperature and truncation (vLLM unless told otherwise, llama.cpp's
    /// `logprob`).
    Before,
    /// The one that the token was drawn from (vLLM's `processed_logprobs`, llama.cpp's `post_sampling_probs`).
    After,
}

impl Logprobs {
    /// The name that users type.
    pub fn name(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::After => "after",
        }
    }
}

/// How a server sampled, and which law it told of.
#[derive(Clone, Copy, Debug)]
pub struct Served {
    /// How it sampled.
    pub sampling: Sampling,
    /// Which law it told of.
    pub logprobs: Logprobs,
}

impl Served {
    /// Refuses log-probabilities of another law than the one that tokens were drawn from.
    pub fn check(&self) -> Result<()> {
        let Sampling { temperature, top_k, top_p, repetition_penalty } = self.sampling;
        let truncated = top_k.is_some() || top_p.is_some_and(|p| p < 1.0);
        let same = temperature == 1.0 && !truncated && repetition_penalty == 1.0;
        if self.logprobs == Logprobs::Before && !same {
            bail!(
                "log-probabilities from before temperature and truncation are those of the tokens' law \
                 only at temperature 1 without truncation; let the server give those after them (vLLM: \
                 --logprobs-mode processed_logprobs, llama.cpp: \"post_sampling_probs\": true) and say \
                 --logprobs after; at temperature 0 none are read"
            );
        }
        Ok(())
    }

    /// The logarithms of the probabilities that an answer's tokens were drawn with.
    pub fn logs(&self, answer: &Answer) -> Result<Vec<f64>> {
        if self.sampling.is_greedy() {
            // The law is the token itself.
            return Ok(vec![0.0; answer.tokens.len()]);
        }
        answer.tokens.iter().map(|token| self.log(token)).collect()
    }

    fn log(&self, token: &Said) -> Result<f64> {
        match token.log {
            Log::Said(log) if log <= NOTHING => {
                bail!("`{}` has the log-probability {log}: nothing is known of it", token.text)
            }
            Log::Sampled(_) if self.logprobs == Logprobs::Before => {
                bail!("`prob` is of after sampling: say --logprobs after")
            }
            Log::Said(log) | Log::Sampled(log) if log > 0.0 && log < ABOVE_ONE => Ok(0.0),
            Log::Said(log) | Log::Sampled(log) => Ok(log),
        }
    }

    /// Refuses an answer that was asked for with other settings than the flags say.
    pub fn check_settings(&self, settings: &Value) -> Result<()> {
        let own = &self.sampling;
        let repetition = own.repetition_penalty;
        let known = [
            ("temperature", own.temperature),
            ("top_p", own.top_p.unwrap_or(1.0)),
            ("top_k", own.top_k.unwrap_or(0) as f64),
            ("repetition_penalty", repetition),
            ("repeat_penalty", repetition),
        ];
        // Nothing is cut off at temperature 0 that could be drawn.
        let known = if own.is_greedy() { &known[..1] } else { &known[..] };
        if let Some((name, own)) = known.iter().find(|(name, own)| differs(settings, name, *own)) {
            let said = &settings[name];
            bail!("it was asked for with {name} {said}, and the flags say {own}");
        }
        let other = OTHERS.iter().find(|(name, neutral)| differs(settings, name, *neutral));
        match other.filter(|_| self.logprobs == Logprobs::Before) {
            Some((name, _)) => bail!(
                "it was asked for with {name} {}, so that log-probabilities from before it are not those \
                 of the tokens' law",
                settings[name]
            ),
            None => Ok(()),
        }
    }
}

/// Whether a setting is said and is another.
fn differs(settings: &Value, name: &str, own: f64) -> bool {
    let Some(said) = settings[name].as_f64() else { return false };
    // −1 is vLLM's word for no limit.
    let said = if name == "top_k" { said.max(0.0) } else { said };
    (said - own).abs() > 1e-6
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn served(sampling: Sampling, logprobs: Logprobs) -> Served {
        Served { sampling, logprobs }
    }

    #[test]
    fn logprobs_from_before_are_refused_unless_nothing_was_changed() {
        let one = Sampling::at(1.0);
        let changed = [
            Sampling::at(0.7),
            Sampling::GREEDY,
            Sampling { top_p: Some(0.9), ..one },
            Sampling { top_k: Some(40), ..one },
            Sampling { repetition_penalty: 1.1, ..one },
        ];
        for sampling in changed {
            let message = served(sampling, Logprobs::Before).check().unwrap_err().to_string();
            assert!(message.contains("only at temperature 1 without truncation"), "{message}");
            assert!(served(sampling, Logprobs::After).check().is_ok());
        }
        let whole = Sampling { top_p: Some(1.0), ..one };
        assert!(served(one, Logprobs::Before).check().is_ok());
        assert!(served(whole, Logprobs::Before).check().is_ok());
    }

    #[test]
    fn what_was_asked_for_otherwise_is_refused() {
        let hot = served(Sampling::at(1.0), Logprobs::Before);
        let refusal = |settings: Value| hot.check_settings(&settings).unwrap_err().to_string();
        assert!(
            refusal(json!({"temperature": 0.7})).contains("temperature 0.7, and the flags say 1")
        );
        assert!(refusal(json!({"top_k": 40})).contains("top_k 40, and the flags say 0"));
        assert!(refusal(json!({"min_p": 0.05})).contains("min_p 0.05"));
        let neutral = json!({"temperature": 1, "top_p": 1.0, "top_k": -1, "min_p": 0.0});
        assert!(hot.check_settings(&neutral).is_ok());
        let after = served(Sampling::at(1.0), Logprobs::After);
        assert!(after.check_settings(&json!({"min_p": 0.05})).is_ok());
        let greedy = served(Sampling::GREEDY, Logprobs::After);
        assert!(greedy.check_settings(&json!({"temperature": 0, "top_p": 0.5})).is_ok());
    }

    #[test]
    fn what_is_known_of_a_token_is_its_logarithm() {
        let token = |log| Said { id: Some(0), text: "a".to_owned(), bytes: None, log };
        let answer = |log| Answer { tokens: vec![token(log)], text: None };
        let (before, after) = (
            served(Sampling::at(1.0), Logprobs::Before),
            served(Sampling::at(1.0), Logprobs::After),
        );
        assert_eq!(before.logs(&answer(Log::Said(-0.5))).unwrap(), [-0.5]);
        assert_eq!(before.logs(&answer(Log::Said(1e-6))).unwrap(), [0.0]);
        assert!(before.logs(&answer(Log::Said(-9999.0))).is_err());
        assert!(before.logs(&answer(Log::Sampled(-0.5))).is_err());
        assert_eq!(after.logs(&answer(Log::Sampled(-0.5))).unwrap(), [-0.5]);
        let greedy = served(Sampling::GREEDY, Logprobs::After);
        assert_eq!(greedy.logs(&answer(Log::Said(-0.7))).unwrap(), [0.0]);
    }
}
