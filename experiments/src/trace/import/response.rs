//! What a server answered, out of the forms that servers have for it: completions and chat completions as
//! `OpenAI`'s, with what vLLM adds, and llama.cpp's own. Knows JSON; no tokenizer.

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// A question and its answers.
#[derive(Clone, Debug, PartialEq)]
pub struct Exchange {
    /// The question.
    pub asked: Asked,
    /// The prompt's ids, where the server says them.
    pub prompt_ids: Option<Vec<u32>>,
    /// The answers.
    pub answers: Vec<Answer>,
    /// Name and category of the prompt, where the line has them.
    pub labels: (Option<String>, Option<String>),
    /// What was asked for, and what the server says it was, where they are there.
    pub settings: Vec<Value>,
}

/// What the target was to go on from.
#[derive(Clone, Debug, PartialEq)]
pub enum Asked {
    /// A text.
    Text(String),
    /// Its ids.
    Ids(Vec<u32>),
    /// One message of a user, which the server rendered.
    Message(String),
}

/// A text that the target wrote.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// Its tokens.
    pub tokens: Vec<Said>,
    /// The text as the server gives it.
    pub text: Option<String>,
}

/// A token.
#[derive(Clone, Debug, PartialEq)]
pub struct Said {
    /// Its id.
    pub id: Option<u32>,
    /// How the server writes it.
    pub text: String,
    /// Its bytes.
    pub bytes: Option<Vec<u8>>,
    /// The logarithm of its probability.
    pub log: Log,
}

/// A probability, as a logarithm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Log {
    /// As the server gives it.
    Said(f64),
    /// Of a probability that llama.cpp's server gives after sampling.
    Sampled(f64),
}

impl Exchange {
    /// Reads a line: a response with the `prompt` beside it, or `{"request": …, "response": …}`.
    pub fn parse(line: &str) -> Result<Self> {
        let line: Value = serde_json::from_str(line).context("no JSON")?;
        let apart = line["response"].is_object();
        let (request, response) =
            if apart { (&line["request"], &line["response"]) } else { (&line, &line) };
        let asked = asked(request).or_else(|error| asked(response).map_err(|_| error))?;
        let label = |name: &str| line[name].as_str().map(str::to_owned);
        let choice = &response["choices"][0];
        let prompt_ids =
            ids_of(&choice["prompt_token_ids"]).or_else(|| ids_of(&response["prompt_token_ids"]));
        let settings = [request.clone(), response["generation_settings"].clone()];
        Ok(Self {
            asked,
            prompt_ids,
            answers: answers(response)?,
            labels: (label("id"), label("category")),
            settings: settings.into_iter().filter(Value::is_object).collect(),
        })
    }
}

fn asked(request: &Value) -> Result<Asked> {
    let prompt = &request["prompt"];
    let one = prompt.as_array().filter(|list| list.len() == 1).map(|list| &list[0]);
    if let Some(text) = prompt.as_str().or_else(|| one?.as_str()) {
        return Ok(Asked::Text(text.to_owned()));
    }
    if let Some(ids) = ids_of(prompt).or_else(|| ids_of(one?)) {
        return Ok(Asked::Ids(ids));
    }
    let Some(messages) = request["messages"].as_array() else {
        bail!(
            "no prompt: a line is a response with a \"prompt\" (or \"messages\") beside it, or \
             {{\"request\": …, \"response\": …}}"
        );
    };
    match &messages[..] {
        [message] if message["role"] == "user" => {
            let content = &message["content"];
            let text = content.as_str().or_else(|| content[0]["text"].as_str());
            Ok(Asked::Message(text.context("the message's `content` is no text")?.to_owned()))
        }
        _ => bail!("only conversations of one message, the user's, can be imported"),
    }
}

/// A list of ids.
fn ids_of(value: &Value) -> Option<Vec<u32>> {
    let id = |id: &Value| id.as_u64().and_then(|id| u32::try_from(id).ok());
    value.as_array().filter(|list| !list.is_empty())?.iter().map(id).collect()
}

fn answers(response: &Value) -> Result<Vec<Answer>> {
    if let Some(list) = response["completion_probabilities"].as_array() {
        let tokens = with_ids(tokens(list)?, &response["tokens"])?;
        return Ok(vec![Answer { tokens, text: text_of(&response["content"]) }]);
    }
    let choices = response["choices"].as_array();
    let choices = choices.context("no response of an OpenAI-style server: it has no `choices`")?;
    choices.iter().map(answer).collect()
}

fn answer(choice: &Value) -> Result<Answer> {
    let logprobs = &choice["logprobs"];
    let tokens = if let Some(list) = logprobs["content"].as_array() {
        tokens(list)?
    } else if let Some(list) = logprobs["tokens"].as_array() {
        let logs = logprobs["token_logprobs"].as_array();
        let logs = logs.filter(|logs| logs.len() == list.len());
        let logs = logs.context("`token_logprobs` are not as many as `tokens`")?;
        let token = |(token, log): (&Value, &Value)| {
            let text = token.as_str().context("a token is no text")?.to_owned();
            let log = log.as_f64().with_context(|| format!("`{text}` has no log-probability"))?;
            Ok(Said { id: None, text, bytes: None, log: Log::Said(log) })
        };
        list.iter().zip(logs).map(token).collect::<Result<_>>()?
    } else {
        bail!("no log-probabilities; ask the server for them (\"logprobs\")");
    };
    let text = text_of(&choice["text"]).or_else(|| text_of(&choice["message"]["content"]));
    Ok(Answer { tokens: with_ids(tokens, &choice["token_ids"])?, text })
}

fn text_of(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

/// Tokens that are objects.
fn tokens(list: &[Value]) -> Result<Vec<Said>> {
    list.iter()
        .map(|token| {
            let text = token["token"].as_str().context("a token has no `token`")?.to_owned();
            let log = match (token["logprob"].as_f64(), token["prob"].as_f64()) {
                (Some(log), _) => Log::Said(log),
                (None, Some(probability)) => Log::Sampled(probability.ln()),
                (None, None) => bail!("`{text}` has neither `logprob` nor `prob`"),
            };
            let byte = |byte: &Value| byte.as_u64().and_then(|byte| u8::try_from(byte).ok());
            let bytes = token["bytes"].as_array();
            let bytes = bytes.and_then(|bytes| bytes.iter().map(byte).collect());
            let id = token["id"].as_u64().and_then(|id| u32::try_from(id).ok());
            Ok(Said { id, text, bytes, log })
        })
        .collect()
}

/// Tokens with ids that stand in a list of their own, where there is one.
fn with_ids(mut tokens: Vec<Said>, list: &Value) -> Result<Vec<Said>> {
    let Some(ids) = ids_of(list) else { return Ok(tokens) };
    if ids.len() != tokens.len() {
        bail!("there are {} ids and {} log-probabilities", ids.len(), tokens.len());
    }
    for (token, id) in tokens.iter_mut().zip(ids) {
        token.id = Some(id);
    }
    Ok(tokens)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parse(line: &Value) -> Result<Exchange> {
        Exchange::parse(&line.to_string())
    }

    fn refusal(line: &Value) -> String {
        format!("{:#}", parse(line).unwrap_err())
    }

    #[test]
    fn completions_are_read_with_and_without_ids() {
        let line = json!({"prompt": "a", "id": "p", "choices": [{"text": "bc", "finish_reason": "stop",
            "logprobs": {"tokens": ["b", "c"], "token_logprobs": [-0.5, -1.0], "text_offset": [0, 1],
                "top_logprobs": [{"b": -0.5}, {"c": -1.0}]}}]});
        let found = parse(&line).unwrap();
        assert_eq!(found.asked, Asked::Text("a".to_owned()));
        assert_eq!(found.labels, (Some("p".to_owned()), None));
        let tokens = &found.answers[0].tokens;
        assert_eq!((tokens[1].text.as_str(), tokens[1].id), ("c", None));
        assert_eq!(tokens[1].log, Log::Said(-1.0));
        let mut vllm = line.clone();
        vllm["choices"][0]["token_ids"] = json!([5, 6]);
        vllm["choices"][0]["prompt_token_ids"] = json!([1, 2]);
        let found = parse(&json!({"request": {"prompt": [1, 2]}, "response": vllm})).unwrap();
        assert_eq!((found.asked, found.prompt_ids), (Asked::Ids(vec![1, 2]), Some(vec![1, 2])));
        assert_eq!(found.answers[0].tokens[0].id, Some(5));
        vllm["choices"][0]["token_ids"] = json!([5]);
        assert!(refusal(&vllm).contains("1 ids and 2 log-probabilities"));
    }

    #[test]
    fn chats_and_llama_cpp_are_read() {
        let content = json!([{"token": "h", "logprob": -0.1, "bytes": [104], "top_logprobs": []}]);
        let response = json!({"choices": [{"message": {"content": "h"}, "logprobs": {"content": content}},
            {"message": {"content": "h"}, "logprobs": {"content": content}}]});
        let request = json!({"messages": [{"role": "user", "content": "hi"}], "temperature": 1.0});
        let found = parse(&json!({"request": request, "response": response})).unwrap();
        assert_eq!(found.asked, Asked::Message("hi".to_owned()));
        assert_eq!(found.answers.len(), 2);
        assert_eq!(found.answers[0].tokens[0].bytes, Some(vec![104]));
        assert_eq!(found.settings[0]["temperature"], 1.0);
        let native = json!({"prompt": "a", "content": " b", "generation_settings": {"temperature": 0.5},
            "completion_probabilities": [{"id": 7, "token": " b", "bytes": [32, 98], "prob": 0.5}]});
        let found = parse(&native).unwrap();
        let token = &found.answers[0].tokens[0];
        assert_eq!((token.id, token.log), (Some(7), Log::Sampled(0.5f64.ln())));
        assert_eq!(found.settings[1]["temperature"], 0.5);
    }

    #[test]
    fn what_is_missing_is_named() {
        assert!(refusal(&json!({"choices": []})).contains("no prompt"));
        assert!(refusal(&json!({"prompt": "a"})).contains("no `choices`"));
        let without = json!({"prompt": "a", "choices": [{"text": "b", "logprobs": null}]});
        assert!(refusal(&without).contains("no log-probabilities"));
        let system = json!({"messages": [{"role": "system", "content": "s"},
            {"role": "user", "content": "u"}], "choices": []});
        assert!(refusal(&system).contains("one message"));
        let null = json!({"prompt": "a", "choices": [{"logprobs": {"tokens": ["b"],
            "token_logprobs": [null]}}]});
        assert!(refusal(&null).contains("`b` has no log-probability"));
    }
}
