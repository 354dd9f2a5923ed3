//! The plant model with this node's tag numbers.

use andon_model::plant::{Plant, TagDef};
use andon_model::{TagId, TagPath};
use std::collections::HashMap;
use std::sync::Arc;

/// One version of the plant model, to be held for as long as one piece of work takes.
#[derive(Debug, Default)]
pub struct PlantView {
    /// The model.
    pub plant: Arc<Plant>,
    /// The number of every tag.
    pub by_path: HashMap<TagPath, TagId>,
    /// For `plant.tags`, in the same order.
    ids: Vec<TagId>,
    /// From a number to its place in `plant.tags`.
    places: Vec<Option<u32>>,
}

impl PlantView {
    /// `ids` in the order of `plant.tags`. A tag without a number is left out of the live plant.
    #[must_use]
    pub fn new(plant: Arc<Plant>, ids: Vec<TagId>) -> Self {
        if ids.len() != plant.tags.len() {
            tracing::error!(tags = plant.tags.len(), ids = ids.len(), "tags and their numbers do not match");
        }
        let len = ids.iter().map(|id| id.0 as usize + 1).max().unwrap_or(0);
        let mut places = vec![None; len];
        let mut by_path = HashMap::with_capacity(plant.tags.len());
        for (place, (tag, id)) in (0_u32..).zip(plant.tags.iter().zip(&ids)) {
            by_path.insert(tag.path.clone(), *id);
            if let Some(slot) = places.get_mut(id.0 as usize) {
                *slot = Some(place);
            }
        }
        Self { plant, by_path, ids, places }
    }

    /// The definition of a tag, `None` if it is not (or no longer) in the plant.
    #[must_use]
    pub fn tag(&self, id: TagId) -> Option<&TagDef> {
        let place = (*self.places.get(id.0 as usize)?)?;
        self.plant.tags.get(place as usize)
    }

    /// The number of the tag at `path`.
    #[must_use]
    pub fn id_of(&self, path: &str) -> Option<TagId> {
        self.by_path.get(&TagPath::parse(path).ok()?).copied()
    }

    /// Every tag with its number, in the order of the plant model.
    pub fn tags(&self) -> impl Iterator<Item = (TagId, &TagDef)> {
        self.ids.iter().copied().zip(&self.plant.tags)
    }

    /// One more than the highest tag number.
    #[must_use]
    pub fn id_bound(&self) -> usize {
        self.places.len()
    }
}
