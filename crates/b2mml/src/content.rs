//! How an element's content becomes a value and back, how often it occurs, and where in the message we are.

use crate::error::{Problem, ReadError, WrongValue};
#[cfg(test)]
use crate::tests::Random;
use crate::tree::Element;
use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event};
use std::borrow::Cow;

/// An element that occurs exactly once.
pub type One<T> = T;

/// A list that has at least one entry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OneOrMore<T>(Vec<T>);

impl<T> OneOrMore<T> {
    /// One entry.
    #[must_use]
    pub fn one(entry: T) -> Self {
        Self(vec![entry])
    }

    /// All entries of a list; `None` when it is empty.
    #[must_use]
    pub fn new(entries: Vec<T>) -> Option<Self> {
        (!entries.is_empty()).then_some(Self(entries))
    }

    /// As a list.
    #[must_use]
    pub fn into_vec(self) -> Vec<T> {
        self.0
    }
}

impl<T> std::ops::Deref for OneOrMore<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<'a, T> IntoIterator for &'a OneOrMore<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

/// An element that must be there and may say that it has no value (`xsi:nil`).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Nillable<T>(pub Option<T>);

/// Elements of a message that were passed over.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LeftOut {
    /// How many, without those within them. Elements of other namespaces count.
    pub count: u32,
    /// The paths of the first [`LeftOut::NAMED`] of B2MML's own namespace.
    pub paths: Vec<String>,
}

impl LeftOut {
    /// How many are named.
    pub const NAMED: usize = 16;
}

/// Where in a message we are, and what was left out so far.
#[derive(Debug, Default)]
pub(crate) struct At {
    path: Vec<(Cow<'static, str>, Option<usize>)>,
    pub left_out: LeftOut,
}

impl At {
    pub(crate) fn new(root: String) -> Self {
        Self { path: vec![(root.into(), None)], left_out: LeftOut::default() }
    }

    /// Does something within an element; `nth` from 1 when it may occur more than once.
    pub(crate) fn within<T>(&mut self, name: &'static str, nth: Option<usize>, act: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push((name.into(), nth));
        let result = act(self);
        self.path.pop();
        result
    }

    pub(crate) fn error(&self, problem: impl Into<Problem>) -> ReadError {
        ReadError { path: self.to_string(), problem: problem.into(), application_area: None }
    }

    /// Notes the elements that are not among the known ones.
    pub(crate) fn leave_out(&mut self, element: &Element, known: &[&str]) {
        for child in element.children.iter().filter(|child| !known.contains(&&*child.name)) {
            self.left_out.count += 1;
            if self.left_out.paths.len() < LeftOut::NAMED {
                let name = WrongValue::new(&child.name, "").value;
                self.left_out.paths.push(format!("{self}/{name}"));
            }
        }
    }
}

impl std::fmt::Display for At {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, (name, nth)) in self.path.iter().enumerate() {
            let slash = if index == 0 { "" } else { "/" };
            write!(f, "{slash}{name}")?;
            if let Some(nth) = nth {
                write!(f, "[{nth}]")?;
            }
        }
        Ok(())
    }
}

/// What can be the content of an element.
pub(crate) trait Content: Sized {
    /// Its type in the edition.
    #[cfg(test)]
    const TYPE: &'static str;
    /// A text, and not elements: where one may be left out, an empty one is.
    const IS_TEXT: bool = false;

    fn read(element: &Element, at: &mut At) -> Result<Self, ReadError>;
    fn write(&self, name: &str, out: &mut Out);
    /// Anything of its kind, for tests.
    #[cfg(test)]
    fn sample(random: &mut Random) -> Self;
}

/// A value that is a text in an element.
pub(crate) trait Value: Sized {
    #[cfg(test)]
    const TYPE: &'static str;
    fn parse(text: &str) -> Result<Self, WrongValue>;
    fn text(&self) -> String;
    #[cfg(test)]
    fn sample(random: &mut Random) -> Self;
}

impl<V: Value> Content for V {
    #[cfg(test)]
    const TYPE: &'static str = <V as Value>::TYPE;
    const IS_TEXT: bool = true;

    fn read(element: &Element, at: &mut At) -> Result<Self, ReadError> {
        at.leave_out(element, &[]);
        if element.text.trim().is_empty() {
            return Err(at.error(Problem::Empty));
        }
        V::parse(&element.text).map_err(|wrong| at.error(wrong))
    }

    fn write(&self, name: &str, out: &mut Out) {
        out.text(name, &[], &self.text());
    }

    #[cfg(test)]
    fn sample(random: &mut Random) -> Self {
        <V as Value>::sample(random)
    }
}

impl<T: Content> Content for Nillable<T> {
    #[cfg(test)]
    const TYPE: &'static str = T::TYPE;

    fn read(element: &Element, at: &mut At) -> Result<Self, ReadError> {
        let none = element.nil || element.text.trim().is_empty();
        if none {
            at.leave_out(element, &[]);
        }
        Ok(Self(if none { None } else { Some(T::read(element, at)?) }))
    }

    fn write(&self, name: &str, out: &mut Out) {
        match &self.0 {
            Some(value) => value.write(name, out),
            None => out.text(name, &[("xsi:nil", "true")], ""),
        }
    }

    #[cfg(test)]
    fn sample(random: &mut Random) -> Self {
        Self((random.below(4) > 0).then(|| T::sample(random)))
    }
}

/// The elements in an element, taken by their names. Their order is not asked about: it says nothing that the names do not.
pub(crate) struct Parts<'a> {
    element: &'a Element,
}

impl<'a> Parts<'a> {
    /// Notes those that are not among the `known`.
    pub(crate) fn of(element: &'a Element, known: &[&str], at: &mut At) -> Self {
        at.leave_out(element, known);
        Self { element }
    }

    /// Those of one name that are not left out by being empty.
    fn named<T: Content>(&self, name: &'static str) -> Vec<&'a Element> {
        let children = self.element.children.iter().filter(|child| &*child.name == name);
        children.filter(|child| !T::IS_TEXT || !child.text.trim().is_empty()).collect()
    }

    pub(crate) fn optional<T: Content>(&self, name: &'static str, at: &mut At) -> Result<Option<T>, ReadError> {
        match &self.named::<T>(name)[..] {
            [] => Ok(None),
            [one] => at.within(name, None, |at| T::read(one, at)).map(Some),
            more => at.within(name, None, |at| Err(at.error(Problem::Repeated(more.len())))),
        }
    }

    pub(crate) fn one<T: Content>(&self, name: &'static str, at: &mut At) -> Result<T, ReadError> {
        match self.optional(name, at)? {
            Some(value) => Ok(value),
            None if self.has(name) => at.within(name, None, |at| Err(at.error(Problem::Empty))),
            None => Err(at.error(Problem::Missing(name))),
        }
    }

    pub(crate) fn many<T: Content>(&self, name: &'static str, at: &mut At) -> Result<Vec<T>, ReadError> {
        let found = self.named::<T>(name).into_iter().enumerate();
        found.map(|(index, child)| at.within(name, Some(index + 1), |at| T::read(child, at))).collect()
    }

    /// The one element of that name, for those that are read in another way.
    pub(crate) fn element(&self, name: &'static str, at: &mut At) -> Result<&'a Element, ReadError> {
        let mut children = self.element.children.iter().filter(|child| &*child.name == name);
        match (children.next(), children.count()) {
            (Some(one), 0) => Ok(one),
            (Some(_), more) => at.within(name, None, |at| Err(at.error(Problem::Repeated(more + 1)))),
            (None, _) => Err(at.error(Problem::Missing(name))),
        }
    }

    fn has(&self, name: &str) -> bool {
        self.element.children.iter().any(|child| &*child.name == name)
    }
}

/// How often an element occurs, as a type: [`One`], [`Option`], [`Vec`], [`OneOrMore`].
pub(crate) trait Occurs<T>: Sized {
    fn take(parts: &Parts<'_>, name: &'static str, at: &mut At) -> Result<Self, ReadError>;
    fn put(&self, name: &str, out: &mut Out);
    #[cfg(test)]
    fn sample(random: &mut Random) -> Self;
}

impl<T: Content> Occurs<T> for T {
    fn take(parts: &Parts<'_>, name: &'static str, at: &mut At) -> Result<Self, ReadError> {
        parts.one(name, at)
    }
    fn put(&self, name: &str, out: &mut Out) {
        self.write(name, out);
    }
    #[cfg(test)]
    fn sample(random: &mut Random) -> Self {
        T::sample(random)
    }
}

impl<T: Content> Occurs<T> for Option<T> {
    fn take(parts: &Parts<'_>, name: &'static str, at: &mut At) -> Result<Self, ReadError> {
        parts.optional(name, at)
    }
    fn put(&self, name: &str, out: &mut Out) {
        if let Some(value) = self {
            value.write(name, out);
        }
    }
    #[cfg(test)]
    fn sample(random: &mut Random) -> Self {
        random.wants_more().then(|| T::sample(random))
    }
}

impl<T: Content> Occurs<T> for Vec<T> {
    fn take(parts: &Parts<'_>, name: &'static str, at: &mut At) -> Result<Self, ReadError> {
        parts.many(name, at)
    }
    fn put(&self, name: &str, out: &mut Out) {
        self.iter().for_each(|value| value.write(name, out));
    }
    #[cfg(test)]
    fn sample(random: &mut Random) -> Self {
        let mut values = Self::new();
        while values.len() < 3 && random.wants_more() {
            values.push(T::sample(random));
        }
        values
    }
}

impl<T: Content> Occurs<T> for OneOrMore<T> {
    fn take(parts: &Parts<'_>, name: &'static str, at: &mut At) -> Result<Self, ReadError> {
        Self::new(parts.many(name, at)?).ok_or_else(|| at.error(Problem::Missing(name)))
    }
    fn put(&self, name: &str, out: &mut Out) {
        self.0.put(name, out);
    }
    #[cfg(test)]
    fn sample(random: &mut Random) -> Self {
        let mut values = vec![T::sample(random)];
        values.append(&mut <Vec<T> as Occurs<T>>::sample(random));
        Self(values)
    }
}

/// Writes elements, indented by two spaces.
pub(crate) struct Out {
    writer: Writer<Vec<u8>>,
    /// A start that is not written yet: if nothing follows in it, it is an empty element.
    begun: Option<BytesStart<'static>>,
}

/// What the library's writer says when its target is memory.
const IN_MEMORY: &str = "writing to memory does not fail";

impl Out {
    pub(crate) fn new() -> Self {
        let mut out = Self { writer: Writer::new_with_indent(Vec::new(), b' ', 2), begun: None };
        out.event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)));
        out
    }

    /// An element with elements in it.
    pub(crate) fn element(&mut self, name: &str, attributes: &[(&str, &str)], inside: impl FnOnce(&mut Self)) {
        self.begin(name, attributes);
        inside(self);
        self.end(name);
    }

    /// An element with a text in it.
    pub(crate) fn text(&mut self, name: &str, attributes: &[(&str, &str)], text: &str) {
        self.begin(name, attributes);
        if !text.is_empty() {
            self.event(Event::Text(BytesText::new(text)));
        }
        self.end(name);
    }

    fn begin(&mut self, name: &str, attributes: &[(&str, &str)]) {
        let start = BytesStart::new(name).with_attributes(attributes.iter().copied()).into_owned();
        if let Some(outer) = self.begun.replace(start) {
            self.writer.write_event(Event::Start(outer)).expect(IN_MEMORY);
        }
    }

    fn end(&mut self, name: &str) {
        match self.begun.take() {
            Some(empty) => self.event(Event::Empty(empty)),
            None => self.event(Event::End(BytesEnd::new(name))),
        }
    }

    fn event(&mut self, event: Event<'_>) {
        if let Some(outer) = self.begun.take() {
            self.writer.write_event(Event::Start(outer)).expect(IN_MEMORY);
        }
        self.writer.write_event(event).expect(IN_MEMORY);
    }

    pub(crate) fn finish(self) -> String {
        let mut text = String::from_utf8(self.writer.into_inner()).expect("texts were written");
        text.push('\n');
        text
    }
}

/// An attribute that may be left out.
pub(crate) fn attribute<V: Value>(element: &Element, name: &str, at: &At) -> Result<Option<V>, ReadError> {
    let value = element.attribute(name).filter(|value| !value.trim().is_empty());
    value.map(|value| V::parse(value).map_err(|wrong| at.error(wrong))).transpose()
}
