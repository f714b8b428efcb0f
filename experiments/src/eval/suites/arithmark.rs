//! ArithMark: results of small sums with one, two or three operations. The questions are made here, from
//! a seed, in the manner of the benchmark of that name which cards of small models quote, and are not its
//! own: figures stand beside those of other models that were asked by this program.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::Item;

/// What users type and read.
pub const NAME: &str = "arithmark";

/// Questions of each number of operations, unless fewer are asked for.
pub const EACH: usize = 1_000;

/// Answers to choose from.
const ANSWERS: usize = 4;

/// The parts, by the number of operations.
const GROUPS: [&str; 3] = ["one operation", "two operations", "three operations"];

/// What is behind the command line's `--seed`, so that no other draw uses the same numbers.
const STREAM: u64 = 0x4172_6974_684d_6172;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Plus,
    Minus,
    Times,
}

impl Operator {
    fn sign(self) -> char {
        match self {
            Self::Plus => '+',
            Self::Minus => '-',
            Self::Times => '*',
        }
    }

    fn of(self, left: i64, right: i64) -> i64 {
        match self {
            Self::Plus => left + right,
            Self::Minus => left - right,
            Self::Times => left * right,
        }
    }
}

/// A sum: numbers, and what stands between them.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Sum {
    numbers: Vec<i64>,
    operators: Vec<Operator>,
}

impl Sum {
    fn draw(random: &mut ChaCha8Rng, operations: usize) -> Self {
        let operators: Vec<Operator> = (0..operations)
            .map(|_| [Operator::Plus, Operator::Minus, Operator::Times][below(random, 3) as usize])
            .collect();
        let is_factor = |place: usize| {
            let around = [place.checked_sub(1), Some(place)].into_iter().flatten();
            around.filter_map(|at| operators.get(at)).any(|own| *own == Operator::Times)
        };
        let numbers = (0..=operations)
            .map(|place| 1 + below(random, if is_factor(place) { 12 } else { 99 }))
            .collect();
        Self { numbers, operators }
    }

    fn text(&self) -> String {
        let behind = self.operators.iter().zip(&self.numbers[1..]);
        let behind = behind.map(|(operator, number)| format!(" {} {number}", operator.sign()));
        self.numbers[0].to_string() + &behind.collect::<String>()
    }

    /// Products come first.
    fn value(&self) -> i64 {
        let (mut total, mut term) = (0, self.numbers[0]);
        for (operator, &number) in self.operators.iter().zip(&self.numbers[1..]) {
            if *operator == Operator::Times {
                term *= number;
            } else {
                total += term;
                term = operator.of(0, number);
            }
        }
        total + term
    }

    /// From left to right, as it should not be read.
    fn read_from_left(&self) -> i64 {
        let steps = self.operators.iter().zip(&self.numbers[1..]);
        steps.fold(self.numbers[0], |value, (operator, &number)| operator.of(value, number))
    }

    /// With one operator taken for another.
    fn mistaken(&self, random: &mut ChaCha8Rng) -> i64 {
        let mut other = self.clone();
        let place = below(random, self.operators.len() as i64) as usize;
        other.operators[place] = match self.operators[place] {
            Operator::Plus => Operator::Minus,
            Operator::Minus | Operator::Times => Operator::Plus,
        };
        other.value()
    }
}

/// A number from 0 up to a bound. The share of each differs from that of others by less than 1e-7.
fn below(random: &mut ChaCha8Rng, bound: i64) -> i64 {
    ((u64::from(random.next_u32()) * bound as u64) >> 32) as i64
}

/// Wrong results that a slip would give: a wrong order, a wrong operator, a wrong digit. All have as many
/// digits as the right one, so that no answer is probable for being short, and none comes twice.
fn answers(random: &mut ChaCha8Rng, sum: &Sum) -> (Vec<i64>, usize) {
    let right = sum.value();
    let mut wrong: Vec<i64> = Vec::new();
    let mut slips = vec![sum.read_from_left(), sum.mistaken(random)];
    while wrong.len() + 1 < ANSWERS {
        let slip = slips.pop().unwrap_or_else(|| {
            let size = [1, 2, 10, 1 + below(random, 9)][below(random, 4) as usize];
            right + if below(random, 2) == 0 { size } else { -size }
        });
        let is_like = slip >= 0 && slip.to_string().len() == right.to_string().len();
        if is_like && slip != right && !wrong.contains(&slip) {
            wrong.push(slip);
        }
    }
    let gold = below(random, ANSWERS as i64) as usize;
    wrong.insert(gold, right);
    (wrong, gold)
}

/// As many questions of one, two and three operations each, no question twice.
pub fn items(seed: u64, each: usize) -> Vec<Item> {
    let mut items = Vec::new();
    for (index, group) in GROUPS.into_iter().enumerate() {
        let mut random = ChaCha8Rng::seed_from_u64(seed ^ STREAM);
        random.set_stream(index as u64);
        let mut seen = std::collections::HashSet::new();
        while seen.len() < each {
            let sum = Sum::draw(&mut random, index + 1);
            if sum.value() < 0 || !seen.insert(sum.text()) {
                continue;
            }
            let (answers, gold) = answers(&mut random, &sum);
            let answers: Vec<String> = answers.iter().map(i64::to_string).collect();
            items.push(Item {
                place: format!("{group}, question {}", seen.len() - 1),
                contexts: vec![format!("{} =", sum.text())],
                continuations: answers.iter().map(|own| format!(" {own}")).collect(),
                lengths: answers.iter().map(String::len).collect(),
                gold,
                group: Some(group),
            });
        }
    }
    items
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The value of a sum as it is written, by recursive descent over its last sign.
    fn value(text: &str) -> i64 {
        if let Some(at) = text.rfind([' ', '+', '-']).and_then(|_| text.rfind(['+', '-'])) {
            let (left, right) = (value(text[..at].trim()), value(text[at + 1..].trim()));
            return if text.as_bytes()[at] == b'+' { left + right } else { left - right };
        }
        text.split('*').map(|own| own.trim().parse::<i64>().unwrap()).product()
    }

    #[test]
    fn the_right_answer_is_right_and_the_others_are_not() {
        let items = items(0, 300);
        assert_eq!(items.len(), 900);
        for item in &items {
            let sum = item.contexts[0].strip_suffix(" =").unwrap();
            let answers: Vec<i64> =
                item.continuations.iter().map(|own| own[1..].parse().unwrap()).collect();
            for (place, &answer) in answers.iter().enumerate() {
                assert_eq!(answer == value(sum), place == item.gold, "{item:?}");
                assert!(answer >= 0 && item.lengths[place] == item.lengths[0]);
            }
            assert_eq!(answers.len(), ANSWERS);
        }
        for (index, group) in GROUPS.iter().enumerate() {
            let own: Vec<_> = items.iter().filter(|item| item.group == Some(group)).collect();
            let signs = |text: &str| text.matches(['+', '-', '*']).count();
            assert!(own.iter().all(|item| signs(&item.contexts[0]) == index + 1));
            let mut golds = [0; ANSWERS];
            for item in &own {
                golds[item.gold] += 1;
            }
            assert!(golds.iter().all(|&count| (45..110).contains(&count)), "{golds:?}");
        }
    }

    #[test]
    fn the_seed_decides_and_fewer_questions_are_the_first() {
        let (some, more) = (items(0, 3), items(0, 5));
        for group in GROUPS {
            let first = |items: &[Item], count| {
                let own = items.iter().filter(|item| item.group == Some(group));
                own.take(count).cloned().collect::<Vec<_>>()
            };
            assert_eq!(first(&some, 3), first(&more, 3));
        }
        assert_eq!(some, items(0, 3));
        assert_ne!(some, items(1, 3));
    }

    #[test]
    fn products_come_first() {
        let sum = Sum {
            numbers: vec![2, 3, 4, 5],
            operators: vec![Operator::Plus, Operator::Times, Operator::Minus],
        };
        assert_eq!(
            (sum.text().as_str(), sum.value(), sum.read_from_left()),
            ("2 + 3 * 4 - 5", 9, 15)
        );
    }
}
