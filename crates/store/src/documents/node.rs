//! The one tree that TOML and YAML become: every key and value with its place.

use super::report::Place;
use toml_edit::{Item, TableLike, Value};

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    pub(super) at: Place,
    pub(super) data: Data,
}

/// What it is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Data {
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Table(Vec<Entry>),
    /// Something that no key takes, in words: a date, null.
    Other(&'static str),
}

/// A key with its value.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) at: Place,
    pub(super) value: Node,
}

/// Why a document is no tree: where, what, what to do.
pub(super) type Broken = (Place, String, String);

impl Node {
    /// What it is, in words.
    pub(super) const fn word(&self) -> &'static str {
        match self.data {
            Data::Bool(_) => "true or false",
            Data::Int(_) => "a whole number",
            Data::Float(_) => "a number",
            Data::Text(_) => "a text",
            Data::List(_) => "a list",
            Data::Table(_) => "a table",
            Data::Other(word) => word,
        }
    }
}

/// Reads TOML (1.0.0).
pub(super) fn tree(document: usize, text: &str) -> Result<Node, Broken> {
    let lines = Lines::new(document, text);
    let parsed = toml_edit::Document::parse(text).map_err(|error| {
        let at = error.span().map_or(Place::NONE, |span| lines.place(span.start));
        (at, format!("this is not TOML: {}", error.message()), "mend the line; strings stand in quotes".to_owned())
    })?;
    Ok(Node { at: lines.place(0), data: table(&lines, parsed.as_table()) })
}

fn table(lines: &Lines, table: &dyn TableLike) -> Data {
    let entries = table.iter().filter_map(|(key, item)| {
        let place = table.key(key).and_then(toml_edit::Key::span).or_else(|| item.span());
        let at = place.map_or(Place::NONE, |span| lines.place(span.start));
        Some(Entry { key: key.to_owned(), at, value: from_item(lines, at, item)? })
    });
    Data::Table(entries.collect())
}

/// `above` is the place of the key: an implicit table (`a.b = 1`) has none of its own.
fn from_item(lines: &Lines, above: Place, item: &Item) -> Option<Node> {
    let at = item.span().map_or(above, |span| lines.place(span.start));
    let data = match item {
        Item::None => return None,
        Item::Value(value) => from_value(lines, value),
        Item::Table(inner) => table(lines, inner),
        Item::ArrayOfTables(list) => Data::List(
            list.iter()
                .map(|inner| {
                    let at = inner.span().map_or(at, |span| lines.place(span.start));
                    Node { at, data: table(lines, inner) }
                })
                .collect(),
        ),
    };
    Some(Node { at, data })
}

fn from_value(lines: &Lines, value: &Value) -> Data {
    match value {
        Value::String(text) => Data::Text(text.value().clone()),
        Value::Integer(number) => Data::Int(*number.value()),
        Value::Float(number) => Data::Float(*number.value()),
        Value::Boolean(boolean) => Data::Bool(*boolean.value()),
        Value::Datetime(_) => Data::Other("a date"),
        Value::Array(list) => Data::List(
            list.iter()
                .map(|inner| {
                    let at = inner.span().map_or(Place::NONE, |span| lines.place(span.start));
                    Node { at, data: from_value(lines, inner) }
                })
                .collect(),
        ),
        Value::InlineTable(inner) => table(lines, inner),
    }
}

/// Turns a byte offset into line and column.
struct Lines<'t> {
    document: usize,
    text: &'t str,
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    fn new(document: usize, text: &'t str) -> Self {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { document, text, starts }
    }

    fn place(&self, offset: usize) -> Place {
        let line = self.starts.partition_point(|start| *start <= offset).max(1);
        let start = self.starts.get(line - 1).copied().unwrap_or(0);
        let before = self.text.get(start..offset).unwrap_or_default();
        Place::new(self.document, line, before.chars().count() + 1)
    }
}
