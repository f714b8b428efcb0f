//! Positions as people read them: a row a position, at most 100 columns, spaces visible. It lays
//! out what the explorer found.

use super::{Candidate, Position};

const WIDTH: usize = 100;
/// Characters of a token's text, at most.
const TEXT: usize = 18;
/// Columns before the candidates.
const LABEL: usize = 5 + 1 + TEXT + 1 + 7 + 1 + 6 + 2;

/// The line above the rows.
pub fn head() -> String {
    format!("{:>5} {:<TEXT$} {:>7} {:>6}  next\n", "", "token", "rank", "p")
}

/// The row of a position; candidates that have no room go on below.
pub fn row(position: &Position) -> String {
    let rank = position.rank.map_or_else(|| "-".to_owned(), |rank| rank.to_string());
    let chance = position.logprob.map_or_else(|| "-".to_owned(), percent);
    let mark = if position.generated { '+' } else { ' ' };
    let text = shown(&position.text, position.id);
    let mut rows = String::new();
    let mut line = format!("{:>4}{mark} {text:<TEXT$} {rank:>7} {chance:>6}  ", position.index);
    let mut used = LABEL;
    for Candidate { id, text, logprob, .. } in &position.next {
        let cell = format!("{} {}", shown(text, *id), percent(*logprob));
        let width = cell.chars().count();
        if used > LABEL && used + width > WIDTH {
            rows.push_str(line.trim_end());
            rows.push('\n');
            line = " ".repeat(LABEL);
            used = LABEL;
        }
        line.push_str(&cell);
        line.push_str("  ");
        used += width + 2;
    }
    rows.push_str(line.trim_end());
    rows.push('\n');
    rows
}

/// A probability in three characters or so.
fn percent(logprob: f64) -> String {
    let percent = logprob.exp() * 100.0;
    match percent {
        _ if percent >= 9.95 => format!("{percent:.0}%"),
        _ if percent >= 0.095 => format!("{percent:.1}%"),
        _ => "<0.1%".to_owned(),
    }
}

/// A token's text with spaces visible; its id where it has none.
pub(crate) fn shown(text: &str, id: u32) -> String {
    if text.is_empty() {
        return format!("#{id}");
    }
    let mut shown = String::new();
    for character in text.chars() {
        match character {
            ' ' => shown.push('·'),
            '\n' => shown.push('↵'),
            '\t' => shown.push('→'),
            other if other.is_control() => shown.extend(other.escape_unicode()),
            other => shown.push(other),
        }
    }
    if shown.chars().count() > TEXT {
        shown = shown.chars().take(TEXT - 1).chain(['…']).collect();
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_keep_within_the_page_and_lose_no_candidate() {
        let candidate = |id: u32| Candidate {
            id,
            bytes_b64: String::new(),
            text: if id == 3 { String::new() } else { format!(" \nword{id}") },
            logprob: -f64::from(id),
        };
        let position = Position {
            index: 7,
            id: 5,
            bytes_b64: String::new(),
            text: "a\u{7}".repeat(20),
            generated: true,
            rank: Some(12),
            logprob: Some(-0.5),
            next: (0..40).map(candidate).collect(),
        };
        let rows = row(&position);
        assert!(rows.lines().all(|line| line.chars().count() <= WIDTH), "{rows}");
        assert!(rows.starts_with("   7+ a\\u{7}"), "{rows}");
        assert!(rows.contains("12    61%  ·↵word0 100%"), "{rows}");
        for id in 0..40 {
            let text = if id == 3 { "#3 ".to_owned() } else { format!("·↵word{id} ") };
            assert!(rows.contains(&text), "{text} is not in {rows}");
        }
    }
}
