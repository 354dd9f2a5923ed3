//! YAML 1.2 into the same tree as TOML: the core schema, one document per file.
//!
//! Anchors, aliases and tags are refused: nothing in a plant model needs them, and an alias can make a small file huge.

use super::node::{Broken, Data, Entry, Node};
use super::report::Place;
use saphyr_parser::{Event, Parser, ScalarStyle, Span};

/// The deepest nesting.
const DEPTH_LIMIT: usize = 64;

/// Reads YAML.
pub(super) fn tree(document: usize, text: &str) -> Result<Node, Broken> {
    let mut reader = Reader { document, open: Vec::new(), root: None };
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| {
            let at = Place::new(document, error.marker().line(), error.marker().col() + 1);
            let remedy = "mend the line; look at the indentation and at quotes";
            (at, format!("this is not YAML: {}", error.info()), remedy.to_owned())
        })?;
        reader.take(event, span)?;
    }
    let empty = Node { at: Place::new(document, 1, 1), data: Data::Table(Vec::new()) };
    Ok(reader.root.filter(|node| !matches!(node.data, Data::Other(_))).unwrap_or(empty))
}

struct Reader {
    document: usize,
    open: Vec<Open>,
    root: Option<Node>,
}

/// A list or table that has begun. A table waits for a key or, once it has one, for its value.
enum Open {
    List(Place, Vec<Node>),
    Table(Place, Vec<Entry>, Option<(String, Place)>),
}

impl Reader {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Broken> {
        let at = Place::new(self.document, span.start.line(), span.start.col() + 1);
        match event {
            Event::Alias(_) => Err(refused(at, "an alias", "write the value out")),
            Event::Scalar(_, _, anchor, _) | Event::SequenceStart(anchor, _) | Event::MappingStart(anchor, _)
                if anchor > 0 =>
            {
                Err(refused(at, "an anchor", "write the value out"))
            }
            Event::Scalar(_, _, _, Some(_)) | Event::SequenceStart(_, Some(_)) | Event::MappingStart(_, Some(_)) => {
                Err(refused(at, "a YAML tag", "leave it out; put texts in quotes"))
            }
            Event::DocumentStart(_) if self.root.is_some() => {
                Err(refused(at, "a second YAML document", "put it into a file of its own"))
            }
            Event::Scalar(text, style, ..) => self.scalar(at, &text, style),
            Event::SequenceStart(..) => self.begin(Open::List(at, Vec::new()), at),
            Event::MappingStart(..) => self.begin(Open::Table(at, Vec::new(), None), at),
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(Open::List(at, nodes)) => self.put(Node { at, data: Data::List(nodes) }),
                Some(Open::Table(at, entries, _)) => self.put(Node { at, data: Data::Table(entries) }),
                None => Ok(()),
            },
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd => {
                Ok(())
            }
        }
    }

    fn begin(&mut self, open: Open, at: Place) -> Result<(), Broken> {
        if let Some(Open::Table(_, _, key @ None)) = self.open.last_mut() {
            let _ = key;
            return Err((at, "a key is a word, not a list or a table".to_owned(), "write `key: value`".to_owned()));
        }
        if self.open.len() >= DEPTH_LIMIT {
            return Err((at, format!("nested deeper than {DEPTH_LIMIT}"), "flatten it".to_owned()));
        }
        self.open.push(open);
        Ok(())
    }

    fn scalar(&mut self, at: Place, text: &str, style: ScalarStyle) -> Result<(), Broken> {
        if let Some(Open::Table(_, entries, key @ None)) = self.open.last_mut() {
            if let Some(first) = entries.iter().find(|entry| entry.key == text) {
                let first = first.at.line();
                return Err((
                    at,
                    format!("the key \"{text}\" stands here twice, first in line {first}"),
                    "keep one".to_owned(),
                ));
            }
            *key = Some((text.to_owned(), at));
            return Ok(());
        }
        let data = if style == ScalarStyle::Plain { plain(text) } else { Data::Text(text.to_owned()) };
        self.put(Node { at, data })
    }

    fn put(&mut self, node: Node) -> Result<(), Broken> {
        match self.open.last_mut() {
            Some(Open::List(_, nodes)) => nodes.push(node),
            Some(Open::Table(_, entries, key)) => {
                if let Some((key, at)) = key.take() {
                    entries.push(Entry { key, at, value: node });
                }
            }
            None => self.root = Some(node),
        }
        Ok(())
    }
}

fn refused(at: Place, what: &str, remedy: &str) -> Broken {
    (at, format!("{what} is not taken in documents"), remedy.to_owned())
}

/// A plain scalar by the core schema (YAML 1.2.2 §10.3.2).
fn plain(text: &str) -> Data {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Data::Other("an empty value"),
        "true" | "True" | "TRUE" => return Data::Bool(true),
        "false" | "False" | "FALSE" => return Data::Bool(false),
        _ => {}
    }
    let based =
        |prefix: &str, radix| text.strip_prefix(prefix).and_then(|digits| i64::from_str_radix(digits, radix).ok());
    if let Some(number) = based("0x", 16).or_else(|| based("0o", 8)) {
        return Data::Int(number);
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if !unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return Data::Text(text.to_owned());
    }
    if unsigned.bytes().all(|b| b.is_ascii_digit())
        && let Ok(number) = text.parse()
    {
        return Data::Int(number);
    }
    let is_number = unsigned.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'));
    match text.parse() {
        Ok(number) if is_number => Data::Float(number),
        _ => Data::Text(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::{plain, tree};
    use crate::documents::node::Data;

    #[test]
    fn plain_words_follow_the_core_schema() {
        for (text, wanted) in [
            ("12", Data::Int(12)),
            ("-12", Data::Int(-12)),
            ("0x1F", Data::Int(31)),
            ("1.5", Data::Float(1.5)),
            ("1e3", Data::Float(1000.0)),
            ("true", Data::Bool(true)),
            ("yes", Data::Text("yes".into())),
            ("5m", Data::Text("5m".into())),
            ("1.2.3", Data::Text("1.2.3".into())),
            ("infinity", Data::Text("infinity".into())),
            ("~", Data::Other("an empty value")),
        ] {
            assert_eq!(plain(text), wanted, "{text}");
        }
    }

    #[test]
    fn aliases_anchors_tags_and_second_documents_are_refused() {
        for bad in ["a: &x 1\nb: *x", "a: !!int 1", "a: 1\n---\nb: 2", "? [a]\n: 1", "a: 1\na: 2", "a: [1"] {
            assert!(tree(0, bad).is_err(), "{bad}");
        }
        assert!(tree(0, &"[".repeat(10_000)).is_err());
        assert_eq!(tree(0, "").map(|node| node.data), Ok(Data::Table(vec![])));
        assert_eq!(tree(0, "# nothing\n").map(|node| node.data), Ok(Data::Table(vec![])));
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[ \\n\\[\\]{}:,\\-a-b0-9\"'#&*!|>%@`?~\\t\u{85}é]{0,60}") {
            let _ = tree(0, &text);
        }
    }
}
