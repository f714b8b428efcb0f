//! Chat templates of model folders: Jinja, as transformers renders it. Knows messages and text, no
//! ids.

use std::path::Path;

use anyhow::{Context, Result, anyhow};
use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, Error, ErrorKind, context};
use serde_json::Value;

/// A model's own way to write a conversation down.
#[derive(Clone, Debug)]
pub struct ChatTemplate {
    source: String,
    bos: String,
    eos: String,
}

impl ChatTemplate {
    /// Reads the template of a model folder, where it has one.
    pub fn read(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join("tokenizer_config.json");
        let config: Value = match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .with_context(|| format!("{} is no JSON", path.display()))?,
            Err(_) => Value::Null,
        };
        let beside = std::fs::read_to_string(folder.join("chat_template.jinja")).ok();
        let Some(source) = beside.or_else(|| in_config(&config["chat_template"])) else {
            return Ok(None);
        };
        let token = |name: &str| {
            let value = &config[name];
            value.as_str().or_else(|| value["content"].as_str()).unwrap_or_default().to_owned()
        };
        Ok(Some(Self { source, bos: token("bos_token"), eos: token("eos_token") }))
    }

    /// The template's own text.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Renders a conversation, the user's message first and last, with the beginning of the answer.
    pub fn render(&self, messages: &[&str]) -> Result<String> {
        let mut environment = Environment::new();
        environment
            .set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
        environment
            .set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_function("raise_exception", |message: String| -> Result<String, Error> {
            Err(Error::new(ErrorKind::InvalidOperation, message))
        });
        let roles = ["user", "assistant"].into_iter().cycle();
        let said = messages.iter().copied().zip(roles);
        let messages: Vec<_> =
            said.map(|(content, role)| context! { role => role, content => content }).collect();
        environment
            .render_str(
                &self.source,
                context! {
                    messages => messages,
                    add_generation_prompt => true,
                    bos_token => self.bos.as_str(),
                    eos_token => self.eos.as_str(),
                },
            )
            .map_err(|error| anyhow!("the model's chat template cannot be rendered: {error:#}"))
    }
}

/// The template in `tokenizer_config.json`: a string, or a list of named ones.
fn in_config(value: &Value) -> Option<String> {
    let named = |value: &Value| value["name"].as_str() == Some("default");
    value.as_str().map(str::to_owned).or_else(|| {
        let default = value.as_array()?.iter().find(|entry| named(entry))?;
        default["template"].as_str().map(str::to_owned)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_rendered_as_transformers_does() {
        let folder = tempfile::tempdir().unwrap();
        let template = "{{ bos_token }}{% for message in messages %}\n<|{{ message.role }}|>\n\
                        {{ message['content'].strip() }}\n{% endfor %}\n\
                        {% if add_generation_prompt %}\n<|assistant|>\n{% endif %}";
        let config = serde_json::json!({"chat_template": template, "bos_token": "<s>"});
        std::fs::write(folder.path().join("tokenizer_config.json"), config.to_string()).unwrap();
        let template = ChatTemplate::read(folder.path()).unwrap().unwrap();
        assert_eq!(template.render(&[" hi "]).unwrap(), "<s><|user|>\nhi\n<|assistant|>\n");
        assert_eq!(
            template.render(&["hi", "you", "bye"]).unwrap(),
            "<s><|user|>\nhi\n<|assistant|>\nyou\n<|user|>\nbye\n<|assistant|>\n"
        );
    }

    #[test]
    fn a_folder_without_one_is_no_error() {
        let folder = tempfile::tempdir().unwrap();
        assert!(ChatTemplate::read(folder.path()).unwrap().is_none());
    }
}
