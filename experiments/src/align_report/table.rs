//! The panel as people read it: labelled lines of at most 100 columns, and the target's unreachable
//! tokens as a table. It lays out what was counted.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use super::encoded::RoundTrip;
use super::specials::{Role, Special};
use super::{Report, SideInfo, Unreachable};
use crate::explore::table::shown;
use crate::report::table::labelled;
use crate::report::{estimate, percent, significant, whole};

/// Hexadecimal digits of a checksum that people compare.
const DIGITS: usize = 12;

/// The report as plain text, each line ended.
pub fn render(report: &Report) -> String {
    let mut lines = Vec::new();
    let mut say = |label: &str, text: String| lines.extend(labelled(label, &text));
    say("draft", side(&report.draft));
    say("target", side(&report.target));
    let text = &report.text;
    let (documents, bytes) = (whole(text.documents as u64), whole(text.bytes));
    let sha256 = &text.sha256[..DIGITS];
    say(
        "text",
        format!("{}: documents {documents}, bytes {bytes}, SHA-256 {sha256}…", text.source),
    );
    say("", String::new());
    let panel = &report.vocabulary;
    say("vocabulary", crate::report::vocabulary(panel));
    for (label, text) in coverage(report) {
        say(label, text);
    }
    say("", String::new());
    for (label, side) in
        [("draft reads back", &report.draft), ("target reads back", &report.target)]
    {
        say(label, read_back(side));
    }
    say("", String::new());
    let sides = [("draft", &report.specials.draft), ("target", &report.specials.target)];
    for (name, own) in sides {
        for special in own {
            say(&format!("{name} {}", role(special.role)), mapped(special));
        }
    }
    if !report.unreachable.is_empty() {
        say("", String::new());
        say("target tokens of the text that are not in M, the most frequent first", String::new());
        lines.extend(unreachable(&report.unreachable));
    }
    lines.iter().flat_map(|line| [line.trim_end(), "\n"]).collect()
}

fn side(side: &SideInfo) -> String {
    let note = side.note.as_ref().map_or(String::new(), |note| format!("; {note}"));
    let identity = &side.identity;
    let rows = whole(identity.rows as u64);
    format!("{}: {rows} ids ({}){note}", identity.name, identity.tokenizer)
}

fn coverage(report: &Report) -> Vec<(&'static str, String)> {
    let own = &report.coverage;
    let of = |shared: u64, all: u64, side: &str| {
        format!("{} of {} {side} tokens of the text", whole(shared), whole(all))
    };
    let line = |share: f64, note: String| format!("{:<22} {note}", percent(share));
    let mass = match (&report.mass, &report.mass_missing) {
        (Some(mass), _) => format!(
            "{:<22} mean over {} places of {} documents; interval over {}",
            estimate(&mass.estimate),
            whole(mass.places as u64),
            whole(mass.documents as u64),
            mass.over
        ),
        (None, reason) => format!("not available: {}", reason.as_deref().unwrap_or("-")),
    };
    let target = of(own.target_tokens_shared, own.target_tokens, "target");
    let draft = of(own.draft_tokens_shared, own.draft_tokens, "draft");
    let length = |value: f64, note: &str| format!("{:<22} {note}", significant(value));
    vec![
        ("target tokens in M", line(own.share_of_target_tokens, target)),
        ("draft tokens in M", line(own.share_of_draft_tokens, draft)),
        ("E[p(M)]", mass),
        ("bytes a token, draft", length(report.draft.bytes_per_token, "of the text")),
        ("bytes a token, target", length(report.target.bytes_per_token, "of the text")),
        (
            "draft tokens",
            length(report.draft_tokens_per_target_token, "for each target token of the text"),
        ),
    ]
}

fn read_back(side: &SideInfo) -> String {
    let RoundTrip { documents, identical, first_difference, share } = &side.round_trip;
    let first = match &side.normalisation[..] {
        [] => "normalises nothing".to_owned(),
        steps => format!("normalises: {}", steps.join(", ")),
    };
    let back = format!("{identical} of {documents} documents come back byte for byte");
    let mut parts = vec![first, format!("{back} ({})", percent(*share))];
    if side.unknown + side.dropped > 0 {
        let (unknown, dropped) = (whole(side.unknown), whole(side.dropped));
        parts.push(format!("unknown tokens: {unknown}, bytes without a token: {dropped}"));
    }
    if let Some(first) = first_difference {
        parts.push(format!(
            "the first difference is at byte {} of document {}: “{}” comes back as “{}”",
            whole(first.byte as u64),
            first.document,
            escaped(&first.text),
            escaped(&first.decoded)
        ));
    }
    parts.join("; ")
}

/// Text in which marks that stand over the character before them can be told from that.
fn escaped(text: &str) -> String {
    text.chars().flat_map(char::escape_debug).collect()
}

fn role(role: Role) -> &'static str {
    match role {
        Role::Bos => "bos",
        Role::Eos => "eos",
        Role::Eot => "eot",
    }
}

fn mapped(special: &Special) -> String {
    let Special { id, text, mapped_to, role } = special;
    let becomes = match (mapped_to, role) {
        (None, Role::Bos) => "which the other side has none of".to_owned(),
        (None, _) => "which is never drafted".to_owned(),
        (Some(other), Role::Bos) => format!("beside the other side's {other}"),
        (Some(other), _) => format!("mapped to {other}"),
    };
    format!("{:<22} {becomes}", format!("{id} {text}"))
}

fn unreachable(tokens: &[Unreachable]) -> Vec<String> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["id", "count", "of all", "token", "as the draft spells it"]);
    for token in tokens {
        let pieces = token.draft_ids.iter().flatten().zip(&token.draft_pieces);
        let pieces: Vec<String> = pieces.map(|(&id, piece)| shown(piece, id)).collect();
        let spelled = if pieces.is_empty() { "it cannot".to_owned() } else { pieces.join(" ") };
        table.add_row([
            token.id.to_string(),
            whole(token.count),
            percent(token.share),
            shown(&token.text, token.id),
            clipped(&spelled),
        ]);
    }
    for (place, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if place < 3 {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect()
}

/// At most as many characters as there is room for in a line.
fn clipped(text: &str) -> String {
    const ROOM: usize = 48;
    match text.char_indices().nth(ROOM) {
        None => text.to_owned(),
        Some(_) => text.chars().take(ROOM - 1).chain(['…']).collect(),
    }
}
