//! Several candidates from one law: drawn one after the other without replacement, or the most probable
//! ones and one that is drawn from the rest. Says of each how it came about; knows no model.

use std::fmt;
use std::str::FromStr;

use draft::Law;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::known::Drawing;
use crate::proposal::{Origin, Proposal};

/// How the candidates of a place are chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Rule {
    /// All are drawn, each without those before it.
    #[default]
    Drawn,
    /// All but one are the most probable ones; the last is drawn from the rest.
    Greedy,
}

/// How many candidates a place has, and how they are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Siblings {
    /// At least 1; only the first of several goes on. `None` for as many at each place as are worth it in
    /// a tree of some size, of which each goes on.
    pub count: Option<usize>,
    /// The rule.
    pub rule: Rule,
}

impl Default for Siblings {
    fn default() -> Self {
        Self { count: Some(1), rule: Rule::Drawn }
    }
}

impl Rule {
    /// The name that users type.
    pub fn name(self) -> &'static str {
        match self {
            Self::Drawn => "drawn",
            Self::Greedy => "greedy",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for Rule {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        [Self::Drawn, Self::Greedy]
            .into_iter()
            .find(|rule| rule.name() == name)
            .ok_or_else(|| format!("unknown rule `{name}`; it is drawn or greedy"))
    }
}

impl Siblings {
    /// Adds candidates of `law` behind `parent`, at most `room`. Gives the one that the draft goes on
    /// from: the first that was drawn, or the most probable one.
    pub(super) fn place(
        self,
        proposal: &mut Proposal,
        (parent, room): (Option<usize>, usize),
        law: Law,
        drawing: Drawing<'_>,
    ) -> usize {
        let first = proposal.len();
        self.rule.place(proposal, (parent, self.count.unwrap_or(1).min(room).max(1)), law, drawing);
        first
    }
}

impl Rule {
    /// Adds `count` candidates of `law` behind `parent`, or fewer where fewer have mass.
    pub(super) fn place(
        self,
        proposal: &mut Proposal,
        (parent, count): (Option<usize>, usize),
        law: Law,
        drawing: Drawing<'_>,
    ) {
        let chosen = match self {
            Self::Greedy => law.largest(count - 1),
            Self::Drawn => Vec::new(),
        };
        for &token in &chosen {
            proposal.branch(parent, token, Origin::Deterministic);
        }
        let rest = if chosen.is_empty() { law } else { law.without(&chosen) };
        let drawn = drawing.draws(&rest, (proposal, parent), count - chosen.len());
        for (index, &token) in drawn.iter().enumerate() {
            let law = if index == 0 { rest.clone() } else { rest.without(&drawn[..index]) };
            proposal.branch(parent, token, Origin::Sampled(law));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use draft::Key;

    fn law() -> Law {
        Law::dense([0.1f64, 0.4, 0.2, 0.3].map(f64::ln).to_vec())
    }

    fn placed(siblings: Siblings, key: u64) -> Proposal {
        let mut proposal = Proposal::default();
        assert_eq!(siblings.place(&mut proposal, (None, 9), law(), Drawing::by(Key(key))), 0);
        proposal
    }

    #[test]
    fn each_candidate_is_given_with_the_law_that_it_was_drawn_from() {
        let proposal = placed(Siblings { count: Some(3), rule: Rule::Drawn }, 5);
        let tokens: Vec<u32> = proposal.nodes().iter().map(|node| node.token).collect();
        assert_eq!(tokens[0], law().draw(Key(5)), "one candidate alone would be the same");
        for (index, node) in proposal.nodes().iter().enumerate() {
            assert_eq!(node.origin, Origin::Sampled(law().without(&tokens[..index])));
            assert!(!tokens[..index].contains(&node.token));
        }
    }

    #[test]
    fn the_most_probable_ones_come_first_and_the_rest_is_drawn() {
        let proposal = placed(Siblings { count: Some(3), rule: Rule::Greedy }, 1);
        let nodes = proposal.nodes();
        assert_eq!((nodes[0].token, nodes[1].token), (1, 3));
        assert_eq!(nodes[0].origin, Origin::Deterministic);
        assert_eq!(nodes[2].origin, Origin::Sampled(law().without(&[1, 3])));
    }

    #[test]
    fn a_law_with_fewer_ids_gives_fewer_candidates() {
        let mut proposal = Proposal::default();
        let siblings = Siblings { count: Some(3), rule: Rule::Greedy };
        siblings.place(&mut proposal, (None, 9), Law::Point(4), Drawing::by(Key(1)));
        assert_eq!(proposal.len(), 1);
    }
}
