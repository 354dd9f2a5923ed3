//! XML to a tree of elements, for texts that nobody vouches for: the one place that knows the XML library.
//!
//! Bounded: bytes, depth, elements, attributes of an element, namespaces declared at a time. A DOCTYPE is refused, and with it every
//! entity but XML's own five and numbered characters, so that a text never grows while it is read. Elements of other namespaces (the
//! edition's extensions among them) are counted and left out with all that is in them.

use crate::error::{Problem, WrongValue};
use andon_model::text::shown;
use quick_xml::XmlVersion;
use quick_xml::events::{BytesDecl, BytesRef, BytesStart, Event};
use quick_xml::name::{Namespace, ResolveResult};
use quick_xml::reader::NsReader;

/// The most bytes of a message.
pub const MAX_BYTES: usize = 16 << 20;
/// How deep elements may stand in each other, the outermost being 1.
pub const MAX_DEPTH: usize = 48;
/// The most elements of a message.
pub const MAX_ELEMENTS: usize = 400_000;
/// The most attributes of an element.
pub const MAX_ATTRIBUTES: usize = 64;
/// The most namespaces that are declared at a time.
const MAX_NAMESPACES: usize = 64;

const XSI: Namespace<'static> = Namespace("http://www.w3.org/2001/XMLSchema-instance");
/// The attributes that mean something to us; all others are passed over.
const ATTRIBUTES: [&str; 4] = ["OtherValue", "actionCode", "acknowledgeCode", "responseCode"];

/// An element of B2MML's namespace.
#[derive(Debug, Default)]
pub(crate) struct Element {
    /// Its name without the prefix.
    pub name: Box<str>,
    /// Those that mean something to us.
    pub attributes: Vec<(&'static str, String)>,
    /// Whether `xsi:nil` says that it has no value.
    pub nil: bool,
    /// All its text, joined.
    pub text: String,
    /// The elements in it.
    pub children: Vec<Element>,
}

impl Element {
    pub(crate) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }
}

/// A whole message.
#[derive(Debug)]
pub(crate) struct Tree {
    pub root: Element,
    /// How many elements of other namespaces it has, without those within them.
    pub foreign: u32,
}

/// Reads a message; `namespace` is the one of its elements.
pub(crate) fn parse(bytes: &[u8], namespace: &str) -> Result<Tree, Problem> {
    if bytes.len() > MAX_BYTES {
        return Err(Problem::TooLong(bytes.len()));
    }
    let text = utf8(bytes)?;
    let mut reader = NsReader::from_str(text);
    reader.config_mut().expand_empty_elements = true;
    reader.resolver_mut().set_max_namespace_bindings(MAX_NAMESPACES);
    Parser { text, reader, namespace, open: Vec::new(), root: None, elements: 0, outside: 0, foreign: 0 }.run()
}

fn utf8(bytes: &[u8]) -> Result<&str, Problem> {
    if bytes.starts_with(&[0xFE, 0xFF]) || bytes.starts_with(&[0xFF, 0xFE]) {
        return Err(Problem::NotUtf8("it begins as UTF-16 does".to_owned()));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let at = error.valid_up_to();
        // What the text says of itself tells the sender more.
        let declared = std::str::from_utf8(&bytes[..at]).ok().and_then(declared_as_other);
        declared.unwrap_or_else(|| Problem::NotUtf8(format!("the byte at {at} does not fit")))
    })?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// The encoding that a text says it has, if that is another one.
fn declared_as_other(text: &str) -> Option<Problem> {
    match NsReader::from_str(text).read_event() {
        Ok(Event::Decl(declaration)) => other_encoding(&declaration),
        _ => None,
    }
}

fn other_encoding(declaration: &BytesDecl<'_>) -> Option<Problem> {
    let encoding = declaration.encoding()?.ok()?;
    let other = !encoding.eq_ignore_ascii_case("utf-8");
    other.then(|| Problem::NotUtf8(WrongValue::new(&encoding, "is declared").to_string()))
}

struct Parser<'a> {
    text: &'a str,
    reader: NsReader<&'a [u8]>,
    namespace: &'a str,
    open: Vec<Element>,
    root: Option<Element>,
    elements: usize,
    /// How deep we are within an element of another namespace; 0: not at all.
    outside: usize,
    foreign: u32,
}

impl Parser<'_> {
    fn run(mut self) -> Result<Tree, Problem> {
        loop {
            let event = self.reader.read_event().map_err(|error| self.no_xml(error.to_string()))?;
            match event {
                Event::Decl(declaration) => {
                    if let Some(problem) = other_encoding(&declaration) {
                        return Err(problem);
                    }
                }
                Event::DocType(_) => return Err(self.entities("there is a DOCTYPE".to_owned())),
                Event::Start(start) => self.start(&start)?,
                Event::End(_) => self.end(),
                Event::Text(text) => self.add(&text.xml10_content())?,
                Event::CData(text) => self.add(&text.xml10_content())?,
                Event::GeneralRef(reference) => self.reference(&reference)?,
                Event::Comment(_) | Event::PI(_) | Event::Empty(_) => {}
                Event::Eof => break,
            }
        }
        if let Some(open) = self.open.last() {
            return Err(self.no_xml(format!("{} is not closed", open.name)));
        }
        let root = self.root.take().ok_or_else(|| self.no_xml("there is no element".to_owned()))?;
        Ok(Tree { root, foreign: self.foreign })
    }

    fn start(&mut self, start: &BytesStart<'_>) -> Result<(), Problem> {
        self.elements += 1;
        if self.elements > MAX_ELEMENTS {
            return Err(self.too_many(MAX_ELEMENTS, "elements"));
        }
        if self.open.len() + self.outside >= MAX_DEPTH {
            return Err(self.too_many(MAX_DEPTH, "elements in each other"));
        }
        if self.root.is_some() {
            return Err(self.no_xml("there is a second outermost element".to_owned()));
        }
        let (namespace, name) = self.reader.resolver().resolve_element(start.name());
        let ours = matches!(namespace, ResolveResult::Bound(Namespace(bound)) if bound == self.namespace);
        if self.open.is_empty() && !ours {
            return Err(Problem::Namespace(match namespace {
                ResolveResult::Bound(Namespace(bound)) => WrongValue::new(bound, "").value,
                ResolveResult::Unbound => "no namespace".to_owned(),
                ResolveResult::Unknown(prefix) => {
                    format!("the undeclared namespace {}", WrongValue::new(&prefix, "").value)
                }
            }));
        }
        let mut element = Element { name: name.into_inner().into(), ..Element::default() };
        self.attributes(start, &mut element)?;
        if self.outside > 0 || !ours {
            self.foreign += u32::from(self.outside == 0);
            self.outside += 1;
        } else {
            self.open.push(element);
        }
        Ok(())
    }

    fn attributes(&self, start: &BytesStart<'_>, element: &mut Element) -> Result<(), Problem> {
        for (index, attribute) in start.attributes().enumerate() {
            if index == MAX_ATTRIBUTES {
                return Err(self.too_many(MAX_ATTRIBUTES, "attributes of one element"));
            }
            let attribute = attribute.map_err(|error| self.no_xml(error.to_string()))?;
            let (namespace, name) = self.reader.resolver().resolve_attribute(attribute.key);
            let known = ATTRIBUTES.into_iter().find(|known| *known == attribute.key.0);
            let nil = namespace == ResolveResult::Bound(XSI) && name.into_inner() == "nil";
            if known.is_none() && !nil {
                continue;
            }
            let value = attribute
                .normalized_value(XmlVersion::Implicit1_0)
                .map_err(|error| self.entities(format!("in the attribute {}: {error}", name.into_inner())))?;
            if let Some(known) = known {
                element.attributes.push((known, value.into_owned()));
            } else {
                element.nil = matches!(value.trim(), "true" | "1");
            }
        }
        Ok(())
    }

    fn end(&mut self) {
        if self.outside > 0 {
            self.outside -= 1;
        } else if let Some(closed) = self.open.pop() {
            match self.open.last_mut() {
                Some(parent) => parent.children.push(closed),
                None => self.root = Some(closed),
            }
        }
    }

    fn reference(&mut self, reference: &BytesRef<'_>) -> Result<(), Problem> {
        let character = reference.resolve_char_ref().map_err(|error| self.no_xml(error.to_string()))?;
        let name = reference.xml10_content();
        let character = character.or(match &*name {
            "lt" => Some('<'),
            "gt" => Some('>'),
            "amp" => Some('&'),
            "apos" => Some('\''),
            "quot" => Some('"'),
            _ => None,
        });
        let Some(character) = character else {
            let what = format!("there is the entity {}", WrongValue::new(&name, "").value);
            return Err(self.entities(what));
        };
        self.add(character.encode_utf8(&mut [0; 4]))
    }

    fn add(&mut self, text: &str) -> Result<(), Problem> {
        match self.open.last_mut() {
            Some(_) if self.outside > 0 => {}
            Some(element) => element.text.push_str(text),
            None if text.trim().is_empty() => {}
            None => return Err(self.no_xml("there is text outside of the outermost element".to_owned())),
        }
        Ok(())
    }

    /// The line that the parser is in, from 1.
    fn line(&self) -> usize {
        let at = usize::try_from(self.reader.buffer_position()).unwrap_or(usize::MAX).min(self.text.len());
        1 + self.text.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count()
    }

    fn no_xml(&self, why: String) -> Problem {
        // The parser quotes what it met, which may be as long as the message.
        let why: String = why.chars().take(200).collect();
        Problem::NoXml { line: self.line(), why: shown(&why).into_owned() }
    }

    fn entities(&self, what: String) -> Problem {
        Problem::Entities { line: self.line(), what }
    }

    fn too_many(&self, most: usize, of: &'static str) -> Problem {
        Problem::TooMany { line: self.line(), most, of }
    }
}
