//! A `tokenizer.json` and a `tokenizer_config.json` rewritten for fewer ids. Knows the fields of both
//! that hold ids or tokens; which ids are kept is decided in [`super::trim`].

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::merges::pair;

/// Old ids to new ones: those kept, in their order.
#[derive(Clone, Debug, Default)]
pub struct Renumbering {
    new: BTreeMap<u32, u32>,
}

impl Renumbering {
    /// Of the ids kept.
    pub fn new(kept: &BTreeSet<u32>) -> Self {
        Self { new: kept.iter().zip(0..).map(|(&old, new)| (old, new)).collect() }
    }

    /// The old id of each new one.
    pub fn old_ids(&self) -> Vec<u32> {
        self.new.keys().copied().collect()
    }

    fn of(&self, id: &Value) -> Option<Value> {
        let id = u32::try_from(id.as_u64()?).ok()?;
        self.new.get(&id).map(|&new| new.into())
    }

    /// Gives a number in place its new id.
    fn apply(&self, id: &mut Value) {
        if let Some(new) = self.of(id) {
            *id = new;
        }
    }

    /// The small `tokenizer.json`.
    pub fn tokenizer(&self, large: &Value) -> Value {
        let mut small = large.clone();
        let vocab: Map<String, Value> = (large["model"]["vocab"].as_object().into_iter().flatten())
            .filter_map(|(token, id)| Some((token.clone(), self.of(id)?)))
            .collect();
        let has = |token: &str| vocab.contains_key(token);
        if let Some(merges) = small["model"]["merges"].as_array_mut() {
            merges.retain(|rule| {
                pair(rule).is_some_and(|(left, right)| {
                    has(left) && has(right) && has(&format!("{left}{right}"))
                })
            });
        }
        if small["model"]["unk_token"].as_str().is_some_and(|unknown| !has(unknown)) {
            small["model"]["unk_token"] = Value::Null;
        }
        small["model"]["vocab"] = Value::Object(vocab);
        if let Some(added) = small["added_tokens"].as_array_mut() {
            added.retain(|token| self.of(&token["id"]).is_some());
            for token in added {
                self.apply(&mut token["id"]);
            }
        }
        match self.of(&large["padding"]["pad_id"]) {
            Some(new) => small["padding"]["pad_id"] = new,
            None => small["padding"] = Value::Null,
        }
        self.post_processor(&mut small["post_processor"]);
        small
    }

    /// Renumbers what is put around a text.
    fn post_processor(&self, processor: &mut Value) {
        let Some(fields) = processor.as_object_mut() else { return };
        let specials = fields.get_mut("special_tokens").and_then(Value::as_object_mut);
        for special in specials.into_iter().flat_map(|specials| specials.values_mut()) {
            for id in special["ids"].as_array_mut().into_iter().flatten() {
                self.apply(id);
            }
        }
        for name in ["sep", "cls"] {
            if let Some(id) = fields.get_mut(name).and_then(|special| special.get_mut(1)) {
                self.apply(id);
            }
        }
        let parts = fields.get_mut("processors").and_then(Value::as_array_mut);
        parts.into_iter().flatten().for_each(|part| self.post_processor(part));
    }

    /// The small `tokenizer_config.json`.
    pub fn config(&self, large: &Value) -> Value {
        let mut small = large.clone();
        let Some(fields) = small.as_object_mut() else { return small };
        fields.remove("vocab_size");
        for name in ["bos_token_id", "eos_token_id", "pad_token_id", "unk_token_id"] {
            if let Some(id) = fields.get_mut(name) {
                *id = self.of(id).unwrap_or(Value::Null);
            }
        }
        if let Some(added) = fields.get_mut("added_tokens_decoder").and_then(Value::as_object_mut) {
            *added = std::mem::take(added)
                .into_iter()
                .filter_map(|(id, token)| {
                    let new = self.new.get(&id.parse().ok()?)?;
                    Some((new.to_string(), token))
                })
                .collect();
        }
        small
    }
}

/// Ids of the tokens that a `tokenizer.json` puts around a text.
pub fn surrounding(processor: &Value) -> BTreeSet<u32> {
    let id = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
    let mut ids = BTreeSet::new();
    for (_, special) in processor["special_tokens"].as_object().into_iter().flatten() {
        ids.extend(special["ids"].as_array().into_iter().flatten().filter_map(id));
    }
    ids.extend(["sep", "cls"].iter().filter_map(|name| id(&processor[name][1])));
    for part in processor["processors"].as_array().into_iter().flatten() {
        ids.extend(surrounding(part));
    }
    ids
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_field_with_ids_is_renumbered() {
        let large = json!({
            "added_tokens": [{"id": 9, "content": "<s>"}, {"id": 8, "content": "<gone>"}],
            "padding": {"pad_id": 9},
            "post_processor": {"type": "Sequence", "processors": [
                {"special_tokens": {"<s>": {"id": "<s>", "ids": [9], "tokens": ["<s>"]}}},
                {"sep": ["<s>", 9], "cls": ["<s>", 9]},
            ]},
            "model": {"unk_token": "c", "vocab": {"a": 0, "b": 2, "c": 3, "ab": 4, "abc": 5},
                "merges": ["a b", ["ab", "c"]]},
        });
        assert_eq!(surrounding(&large["post_processor"]), BTreeSet::from([9]));
        let renumbering = Renumbering::new(&BTreeSet::from([0, 2, 4, 9]));
        assert_eq!(renumbering.old_ids(), [0, 2, 4, 9]);
        let small = renumbering.tokenizer(&large);
        assert_eq!(
            small,
            json!({
                "added_tokens": [{"id": 3, "content": "<s>"}],
                "padding": {"pad_id": 3},
                "post_processor": {"type": "Sequence", "processors": [
                    {"special_tokens": {"<s>": {"id": "<s>", "ids": [3], "tokens": ["<s>"]}}},
                    {"sep": ["<s>", 3], "cls": ["<s>", 3]},
                ]},
                "model": {"unk_token": null, "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"]},
            })
        );
        let config = json!({"eos_token": "<s>", "eos_token_id": 9, "bos_token_id": 8, "vocab_size": 10,
            "added_tokens_decoder": {"9": {"content": "<s>"}, "8": {"content": "<gone>"}}});
        assert_eq!(
            renumbering.config(&config),
            json!({"eos_token": "<s>", "eos_token_id": 3,
            "bos_token_id": null, "added_tokens_decoder": {"3": {"content": "<s>"}}})
        );
    }
}
