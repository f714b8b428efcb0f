//! What each name in the panel means.

use std::collections::BTreeMap;

/// Names with their meanings.
pub(super) fn all() -> BTreeMap<&'static str, &'static str> {
    DEFINITIONS.into()
}

const DEFINITIONS: [(&str, &str); 11] = [
    (
        "vocabulary",
        "M, the intersection: text tokens that add the same bytes where the draft's decoder is in its \
         clean state, each id in one pair at most; shares are of the text tokens of each side",
    ),
    (
        "target_tokens_shared",
        "ids of the text, as the target's tokenizer encodes it, that have a draft id in M",
    ),
    (
        "draft_tokens_shared",
        "ids of the text, as the draft's tokenizer encodes it, that have a target id in the \
         intersection of the decoder state before them, from which tli draws there",
    ),
    (
        "mass",
        "E[p(M)]: the target's probability of the ids in M and of its end of text (where both sides \
         have one), its own law at temperature 1, as a mean over the places before tokens of the \
         text; each document is read in pieces by itself, behind the tokenizer's prefix or an end of \
         text, the first pieces of all documents first",
    ),
    (
        "low, high",
        "95 % interval, null where fewer than five clusters inform it: BCa bootstrap over what `over` \
         names",
    ),
    ("bytes_per_token", "bytes of the text / ids of the text"),
    ("draft_tokens_per_target_token", "draft ids of the text / target ids of the text"),
    (
        "unreachable",
        "target ids of the text that are not in M, with their counts, and the draft ids that say \
         their bytes from a clean state to a clean state",
    ),
    (
        "mapped_to",
        "the id of the other side that means the same: texts begin with each side's own bos; an end \
         that is drafted is the target's eos, and other ends of the target are never drafted",
    ),
    ("normalisation", "what a tokenizer does to a text before it cuts it into tokens, in order"),
    (
        "round_trip",
        "documents that come back byte for byte when they are encoded and decoded, and the first \
         place where one does not",
    ),
];
