//! From the names in a body to tags, remembered from one request to the next.
//!
//! Budget: a line with one value is found in about 50 ns, also among tens of thousands. Senders repeat themselves, so the first
//! guess is the field that followed last time, and one comparison of bytes settles it; what is compared lies in the order in
//! which it came first. The second is a look into tables.

use super::Form;
use andon_bus::PlantView;
use andon_model::access::Grant;
use andon_model::{DataType, TagId};
use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Weak};

/// The most names that are kept for the next request; when there are more, all are forgotten, which only takes time.
const MOST_NAMES: usize = 65_536;
/// The same for their bytes.
const MOST_BYTES: usize = 8 << 20;

/// A tag and what its values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) id: TagId,
    pub(crate) data_type: DataType,
}

/// A name that stands before values.
#[derive(Debug)]
struct Series {
    head: Range<usize>,
    by_name: HashMap<Box<str>, usize>,
}

/// A field of a series.
#[derive(Debug)]
struct Field {
    series: usize,
    name: Range<usize>,
    target: Target,
    /// For which grants it is known that the caller may write it.
    allowed: u64,
    /// Which field came after this one last time.
    next: usize,
}

/// Which series a row belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SeriesId(usize);

/// A field that was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FieldId(usize);

/// What is remembered of the names of one form below one branch, in one version of the plant.
#[derive(Debug)]
pub(crate) struct Names {
    form: Form,
    branch: String,
    /// Not kept alive: a plant that was replaced is large.
    plant: Weak<PlantView>,
    /// Those of the last caller, and how often they changed.
    grants: Vec<Grant>,
    changes: u64,
    by_head: HashMap<Box<str>, usize>,
    series: Vec<Series>,
    fields: Vec<Field>,
    /// All names, one behind the other.
    text: String,
    current: usize,
    /// Names and their bytes.
    names: usize,
    bytes: usize,
}

impl Names {
    pub(crate) fn new(form: Form, branch: &str) -> Self {
        Self {
            form,
            branch: branch.to_owned(),
            plant: Weak::new(),
            grants: Vec::new(),
            changes: 0,
            by_head: HashMap::new(),
            series: Vec::new(),
            fields: Vec::new(),
            text: String::new(),
            current: 0,
            names: 0,
            bytes: 0,
        }
    }

    /// The form that these names stand in.
    pub(crate) const fn form(&self) -> Form {
        self.form
    }

    /// What stands before every path.
    pub(crate) fn branch(&self) -> &str {
        &self.branch
    }

    /// From now on in this plant, for a caller with these grants; what was found in another plant is forgotten, and what others
    /// may write is asked again.
    pub(crate) fn begin(&mut self, plant: &Arc<PlantView>, grants: &[Grant]) {
        let plant = Arc::downgrade(plant);
        if !self.plant.ptr_eq(&plant) {
            *self = Self { plant, ..Self::new(self.form, &self.branch) };
        }
        if self.changes == 0 || self.grants != grants {
            self.grants = grants.to_vec();
            self.changes += 1;
        }
    }

    /// Whether there are more than are worth keeping.
    pub(crate) const fn is_too_large(&self) -> bool {
        self.names > MOST_NAMES || self.bytes > MOST_BYTES
    }

    fn text(&self, range: &Range<usize>) -> &str {
        self.text.get(range.clone()).unwrap_or_default()
    }

    /// The field that came next the last time.
    fn guess(&self) -> Option<(usize, &Field)> {
        let next = self.fields.get(self.current)?.next;
        self.fields.get(next).map(|field| (next, field))
    }

    /// The series of this head; `None`: it is not known, see [`Names::add`].
    pub(crate) fn find(&self, head: &str) -> Option<SeriesId> {
        if let Some((_, field)) = self.guess()
            && let Some(series) = self.series.get(field.series)
            && self.text(&series.head) == head
        {
            return Some(SeriesId(field.series));
        }
        self.by_head.get(head).copied().map(SeriesId)
    }

    /// The field of that name, if it was found before.
    pub(crate) fn field(&mut self, series: SeriesId, name: &str) -> Option<FieldId> {
        let guess = self.guess().filter(|(_, field)| field.series == series.0 && self.text(&field.name) == name);
        let place = match guess {
            Some((place, _)) => place,
            None => *self.series.get(series.0)?.by_name.get(name)?,
        };
        self.follow(place);
        Some(FieldId(place))
    }

    /// The tag of a field.
    pub(crate) fn target(&self, field: FieldId) -> Option<Target> {
        self.fields.get(field.0).map(|field| field.target)
    }

    /// Whether it is known that the caller may write the field's tag.
    pub(crate) fn is_allowed(&self, field: FieldId) -> bool {
        self.fields.get(field.0).is_some_and(|field| field.allowed == self.changes)
    }

    /// The caller may write it.
    pub(crate) fn allow(&mut self, field: FieldId) {
        let changes = self.changes;
        if let Some(field) = self.fields.get_mut(field.0) {
            field.allowed = changes;
        }
    }

    fn follow(&mut self, place: usize) {
        if let Some(before) = self.fields.get_mut(self.current) {
            before.next = place;
        }
        self.current = place;
    }

    /// Puts a name behind the others.
    fn keep(&mut self, name: &str) -> Range<usize> {
        let start = self.text.len();
        self.text.push_str(name);
        self.names += 1;
        self.bytes += 2 * name.len();
        start..self.text.len()
    }

    /// Remembers a tag that the caller may write; within a request at most as many as it has readings.
    pub(crate) fn add(&mut self, head: &str, name: &str, target: Target) {
        let series = match self.by_head.get(head) {
            Some(series) => *series,
            None => {
                let place = self.series.len();
                let head_range = self.keep(head);
                self.series.push(Series { head: head_range, by_name: HashMap::new() });
                self.by_head.insert(head.into(), place);
                place
            }
        };
        let place = self.fields.len();
        let range = self.keep(name);
        self.fields.push(Field { series, name: range, target, allowed: self.changes, next: place + 1 });
        if let Some(series) = self.series.get_mut(series) {
            series.by_name.insert(name.into(), place);
        }
        self.follow(place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn target(id: u32) -> Target {
        Target { id: TagId(id), data_type: DataType::Double }
    }

    #[test]
    fn names_are_found_in_any_order() {
        let mut names = Names::new(Form::Lines, "");
        for (id, (head, field)) in (0..).zip([("a", "x"), ("a", "y"), ("b", "x"), ("c", "")]) {
            names.add(head, field, target(id));
        }
        let mut found = |head: &str, field: &str| {
            let series = names.find(head)?;
            let field = names.field(series, field)?;
            names.target(field).map(|target| target.id.0)
        };
        for _ in 0..3 {
            assert_eq!(found("c", ""), Some(3));
            assert_eq!(found("a", "y"), Some(1), "a field before the first of its series");
            assert_eq!(found("b", "x"), Some(2));
            assert_eq!(found("a", "x"), Some(0));
            assert_eq!((found("d", "x"), found("b", "y")), (None, None));
        }
    }

    #[test]
    fn names_belong_to_one_plant_and_too_many_are_not_kept() {
        let (one, two) = (Arc::new(PlantView::default()), Arc::new(PlantView::default()));
        let mut names = Names::new(Form::Csv, "works");
        names.begin(&one, &[]);
        names.add("a", "x", target(1));
        names.begin(&one, &[]);
        assert!(names.find("a").is_some());
        names.begin(&two, &[]);
        assert!(names.find("a").is_none() && names.branch() == "works");
        let memory = super::super::Memory::default();
        names.add("a", "x", target(1));
        memory.give_back(names);
        let mut names = memory.take(Form::Csv, "works");
        assert!(names.find("a").is_some());
        for n in 0..=MOST_NAMES {
            names.add(&n.to_string(), "x", target(1));
        }
        memory.give_back(names);
        assert!(memory.take(Form::Csv, "works").find("a").is_none());
    }

    #[test]
    fn what_one_caller_may_write_is_asked_again_for_another() {
        let grant = |branch: &str| Grant { role: andon_model::access::Role::Operator, branch: branch.to_owned() };
        let plant = Arc::new(PlantView::default());
        let mut names = Names::new(Form::Lines, "");
        names.begin(&plant, &[grant("a")]);
        names.add("a", "x", target(1));
        let field = names.find("a").and_then(|series| names.field(series, "x")).expect("added");
        assert!(names.is_allowed(field), "it was asked before it was added");
        for (grants, known) in
            [(vec![grant("a")], true), (vec![grant("b")], false), (vec![grant("a")], false), (Vec::new(), false)]
        {
            names.begin(&plant, &grants);
            assert_eq!(names.is_allowed(field), known, "{grants:?}");
        }
        names.allow(field);
        assert!(names.is_allowed(field));
    }
}
