//! The ids that begin and end texts on both sides, and what each is for the other side. Says what the
//! methods do with them; decides nothing.

use align::{Entry, Overlap, Tokenizer};
use serde::{Deserialize, Serialize};

use super::opened::Opened;

/// What an id is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// It begins a text.
    Bos,
    /// It ends a text, and stands for the other ends.
    Eos,
    /// It ends a text, too, such as the end of a turn.
    Eot,
}

/// A special id of one side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Special {
    pub(super) role: Role,
    pub(super) id: u32,
    pub(super) text: String,
    /// The id of the other side that it becomes; `None` where it becomes none.
    pub(super) mapped_to: Option<u32>,
}

/// The special ids of both sides.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Specials {
    pub(super) draft: Vec<Special>,
    pub(super) target: Vec<Special>,
}

/// The id that begins a side's texts.
fn bos(side: &Opened) -> Option<u32> {
    let is_special = |id: &u32| side.tokenizer.vocabulary().is_special(*id);
    side.tokenizer.prefix().iter().copied().find(is_special).or_else(|| side.tokenizer.bos())
}

/// The name of a special, or what an id adds to a text.
pub(super) fn text_of(tokenizer: &Tokenizer, id: u32) -> String {
    match tokenizer.vocabulary().entry(id) {
        Entry::Special(name) => name.to_string(),
        _ => String::from_utf8_lossy(&tokenizer.vocabulary().decode(&[id])).into_owned(),
    }
}

impl Specials {
    pub(super) fn of(draft: &Opened, target: &Opened) -> Self {
        let (begins, ends) = ((bos(draft), bos(target)), (&draft.ends, &target.ends));
        // An end that is drafted is the target's first; of the target's ends only that is drafted.
        let for_draft = |_| ends.1.first().copied();
        let for_target = |index| ends.0.first().copied().filter(|_| index == 0);
        Self {
            draft: list(draft, (begins.0, begins.1), for_draft),
            target: list(target, (begins.1, begins.0), for_target),
        }
    }

    /// `(role, draft id, target id)` of specials that mean the same.
    pub(super) fn pairs(&self) -> Vec<(Role, u32, u32)> {
        let both = |own: &Special| Some((own.role, own.id, own.mapped_to?));
        self.draft.iter().filter(|own| own.role != Role::Eot).filter_map(both).collect()
    }

    /// The intersection with the two ends of text, as token-level methods have it.
    pub(super) fn with_ends(&self, overlap: &Overlap) -> Overlap {
        let ends = self.pairs().into_iter().find(|(role, ..)| *role == Role::Eos);
        match ends {
            Some((_, ours, theirs)) => overlap.clone().with_pair(ours, theirs),
            None => overlap.clone(),
        }
    }
}

fn list(
    side: &Opened,
    (begin, others): (Option<u32>, Option<u32>),
    end: impl Fn(usize) -> Option<u32>,
) -> Vec<Special> {
    let special = |role, id, mapped_to| {
        let text = text_of(&side.tokenizer, id);
        Special { role, id, text, mapped_to }
    };
    let role = |index| if index == 0 { Role::Eos } else { Role::Eot };
    let begin = begin.map(|id| special(Role::Bos, id, others));
    let ends = side.ends.iter().enumerate();
    let ends = ends.map(|(index, &id)| special(role(index), id, end(index)));
    begin.into_iter().chain(ends).collect()
}
