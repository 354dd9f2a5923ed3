//! From the names in a body to tags, remembered from one request to the next.
//!
//! Budget: a line with one value is found in about 50 ns. Senders repeat themselves, so the first guess is the name that
//! followed last time, and one comparison of bytes settles it; the second is a look into the table of names.

use super::Form;
use andon_bus::PlantView;
use andon_model::{DataType, TagId};
use std::collections::HashMap;
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

/// A name that stands before values, and the tags of its fields.
#[derive(Debug)]
struct Series {
    head: Box<str>,
    fields: Vec<(Box<str>, Target)>,
    /// Which series came after this one last time.
    next: usize,
}

/// Which series a row belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SeriesId(usize);

/// What is remembered of the names of one form below one branch, in one version of the plant.
#[derive(Debug)]
pub(crate) struct Names {
    form: Form,
    branch: String,
    /// Not kept alive: a plant that was replaced is large.
    plant: Weak<PlantView>,
    by_head: HashMap<Box<str>, usize>,
    series: Vec<Series>,
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
            by_head: HashMap::new(),
            series: Vec::new(),
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

    /// From now on in this plant; what was found in another one is forgotten.
    pub(crate) fn begin(&mut self, plant: &Arc<PlantView>) {
        let plant = Arc::downgrade(plant);
        if !self.plant.ptr_eq(&plant) {
            *self = Self { plant, ..Self::new(self.form, &self.branch) };
        }
    }

    /// Whether there are more than are worth keeping.
    pub(crate) const fn is_too_large(&self) -> bool {
        self.names > MOST_NAMES || self.bytes > MOST_BYTES
    }

    /// The series of this head; `None`: it is not known, see [`Names::add`].
    pub(crate) fn find(&mut self, head: &str) -> Option<SeriesId> {
        let guess = self.series.get(self.current).map_or(0, |series| series.next);
        let place = match self.series.get(guess) {
            Some(series) if *series.head == *head => guess,
            _ => *self.by_head.get(head)?,
        };
        self.follow(place);
        Some(SeriesId(place))
    }

    fn follow(&mut self, place: usize) {
        if let Some(before) = self.series.get_mut(self.current) {
            before.next = place;
        }
        self.current = place;
    }

    /// The tag of the field, if it was found before. `place` is the place of the field in its row, where it usually stands.
    pub(crate) fn field(&self, series: SeriesId, place: usize, name: &str) -> Option<Target> {
        let fields = &self.series.get(series.0)?.fields;
        match fields.get(place) {
            Some((known, target)) if **known == *name => Some(*target),
            _ => fields.iter().find(|(known, _)| **known == *name).map(|(_, target)| *target),
        }
    }

    /// Remembers a tag; within a request at most as many as it has readings.
    pub(crate) fn add(&mut self, head: &str, name: &str, target: Target) {
        let place = match self.by_head.get(head) {
            Some(place) => *place,
            None => {
                let place = self.series.len();
                self.series.push(Series { head: head.into(), fields: Vec::new(), next: place + 1 });
                self.by_head.insert(head.into(), place);
                self.names += 1;
                self.bytes += 2 * head.len();
                place
            }
        };
        if let Some(series) = self.series.get_mut(place) {
            series.fields.push((name.into(), target));
            self.names += 1;
            self.bytes += name.len();
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
        let mut found = |head: &str, place, field: &str| {
            let series = names.find(head)?;
            names.field(series, place, field).map(|target| target.id.0)
        };
        for _ in 0..3 {
            assert_eq!(found("c", 0, ""), Some(3));
            assert_eq!(found("a", 0, "y"), Some(1), "a field out of its place");
            assert_eq!(found("b", 5, "x"), Some(2));
            assert_eq!(found("a", 0, "x"), Some(0));
            assert_eq!((found("d", 0, "x"), found("b", 0, "y")), (None, None));
        }
    }

    #[test]
    fn names_belong_to_one_plant_and_too_many_are_not_kept() {
        let (one, two) = (Arc::new(PlantView::default()), Arc::new(PlantView::default()));
        let mut names = Names::new(Form::Csv, "works");
        names.begin(&one);
        names.add("a", "x", target(1));
        names.begin(&one);
        assert!(names.find("a").is_some());
        names.begin(&two);
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
}
