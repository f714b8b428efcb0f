//! A report as a document: sections of sentences, tables and charts, in their order. Every layout
//! (Markdown, LaTeX, HTML) lays out the same one. Knows no layout.

use super::charts::Chart;
use super::words::Words;

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A name.
    Name,
    /// Figures, set to the right.
    Figure,
    /// Text that may take several lines.
    Prose,
}

/// The head of a column.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    /// Its name.
    pub(crate) name: &'static str,
    /// What it holds.
    pub(crate) kind: Kind,
}

/// A table.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    /// What it shows, in a sentence; a name that no other table of the document has, for references.
    pub(crate) caption: String,
    /// Its columns.
    pub(crate) columns: Vec<Column>,
    /// Its rows, a cell a column.
    pub(crate) rows: Vec<Vec<Words>>,
}

impl Table {
    /// A table; the first column holds names, the others what `kinds` says.
    pub(crate) fn new<const N: usize>(
        caption: impl Into<String>,
        columns: [(&'static str, Kind); N],
        rows: impl IntoIterator<Item = [Words; N]>,
    ) -> Self {
        let columns = columns.map(|(name, kind)| Column { name, kind }).into();
        Self { caption: caption.into(), columns, rows: rows.into_iter().map(Into::into).collect() }
    }
}

/// Charts of one kind.
#[derive(Clone, Debug)]
pub(crate) struct Panel {
    /// What all of them show.
    pub(crate) title: &'static str,
    /// How to read them.
    pub(crate) note: &'static str,
    /// One, or several of different cases.
    pub(crate) charts: Vec<Chart>,
}

/// A part of a section.
#[derive(Clone, Debug)]
pub(crate) enum Block {
    /// A paragraph.
    Words(Words),
    /// Remarks, one below the other.
    List(Vec<Words>),
    /// A table.
    Table(Table),
    /// Charts, side by side where there is room.
    Charts(Vec<Panel>),
    /// Commands to be typed.
    Commands(String),
}

/// A heading and what is below it.
#[derive(Clone, Debug)]
pub(crate) struct Section {
    /// The heading.
    pub(crate) title: String,
    /// Whether it is one of many like it, which a page may fold.
    pub(crate) is_detail: bool,
    /// What is below it.
    pub(crate) blocks: Vec<Block>,
}

impl Section {
    /// A section of the document.
    pub(crate) fn new(title: impl Into<String>, blocks: Vec<Block>) -> Self {
        Self { title: title.into(), is_detail: false, blocks }
    }

    /// One of many.
    pub(crate) fn detail(title: impl Into<String>, blocks: Vec<Block>) -> Self {
        Self { is_detail: true, ..Self::new(title, blocks) }
    }
}

/// The whole.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    /// Its title.
    pub(crate) title: String,
    /// What was run, in a sentence or two.
    pub(crate) subtitle: Vec<String>,
    /// What to know before using the figures.
    pub(crate) warnings: Vec<Words>,
    /// The result in plain words.
    pub(crate) summary: Vec<Words>,
    /// The rest.
    pub(crate) sections: Vec<Section>,
}
