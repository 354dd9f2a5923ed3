//! What the API needs of what lies where: movements, containers, stock, passes, parts that are exchanged.

use super::trace::{ItemView, LotView, Traced, UnitView};
use andon_model::Timestamp;
use andon_model::access::Principal;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// Something that is carried.
#[derive(Debug, Clone, PartialEq)]
pub struct MoveWish {
    /// Stands for this one movement.
    pub key: Uuid,
    /// How much of a lot; nothing of what is carried as a whole.
    pub quantity: Option<f64>,
    /// From where; `None`: from outside.
    pub from: Option<String>,
    /// To where; `None`: to outside.
    pub to: Option<String>,
}

/// A container that there is from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerWish {
    /// Stands for this one container.
    pub key: Uuid,
    /// What kind of container it is: the part number of a box, a pallet.
    pub material: String,
    /// Its number.
    pub number: String,
    /// Where it stands.
    pub place: Option<String>,
}

/// Something that is put into a container, or taken out of it.
#[derive(Debug, Clone, PartialEq)]
pub struct PackWish {
    /// Stands for this one change.
    pub key: Uuid,
    /// What.
    pub item: Uuid,
    /// How much of a lot; `None` of what is packed as a whole, and for all that lies in there.
    pub quantity: Option<f64>,
}

/// A part of a unit that is taken out, with or without another in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExchangeWish {
    /// Stands for this one exchange.
    pub key: Uuid,
    /// What is taken out.
    pub part: Uuid,
    /// Where in the unit.
    pub position: String,
    /// When it was put in, in ms since 1970.
    pub put_in_ms: i64,
    /// What comes in its place.
    pub with: Option<Uuid>,
    /// Why.
    pub reason: String,
}

/// What lies in a container.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ContentView {
    /// The lot, unit or container.
    pub item: ItemView,
    /// How much of it.
    pub quantity: f64,
    /// When something of it was packed last, in ms since 1970.
    pub packed_ms: i64,
}

/// A container: where it stands, what was decided about it, what lies in it.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ContainerView {
    /// The container.
    #[serde(flatten)]
    pub lot: LotView,
    /// What lies in it itself, what was recorded last first.
    pub contents: Vec<ContentView>,
    /// Send it as `after` for more of what lies in it; `null`: this is all.
    pub next: Option<Uuid>,
}

/// A place where something lies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct PlaceView {
    /// The place.
    pub place: String,
    /// How many lots, units and containers lie there.
    pub items: i64,
}

/// The places where something lies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct PlacesView {
    /// They, in the order of their names.
    pub places: Vec<PlaceView>,
    /// There are more.
    pub truncated: bool,
}

/// How much of a material lies in a place.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct MaterialStockView {
    /// Its part number.
    pub material: String,
    /// Its unit; `null`: the master data does not say.
    pub unit: Option<String>,
    /// How much, packed or loose.
    pub quantity: f64,
    /// How much of that is `Released`.
    pub released: f64,
    /// How many lots, units and containers.
    pub items: i64,
}

/// An item in a place.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct LyingView {
    /// The lot, unit or container.
    pub item: ItemView,
    /// How much of it lies there; below zero: more was taken away than was known to be there.
    pub quantity: f64,
}

/// What lies in a place.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct StockPage {
    /// The place.
    pub place: String,
    /// All that lies there, by material.
    pub materials: Vec<MaterialStockView>,
    /// A page of what lies there, what was recorded last first.
    pub items: Vec<LyingView>,
    /// Send it as `after` for the next page; `null`: this is the last one.
    pub next: Option<Uuid>,
    /// There are more materials.
    pub truncated: bool,
}

/// A movement.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct MoveView {
    /// When, in ms since 1970.
    pub at_ms: i64,
    /// From where; `null`: from outside.
    pub from: Option<String>,
    /// To where; `null`: to outside.
    pub to: Option<String>,
    /// How much.
    pub quantity: f64,
    /// Who, by the account's id.
    pub by: Option<Uuid>,
    /// Who, by name.
    pub by_name: Option<String>,
}

/// Movements of an item, the newest first.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct MovesPage {
    /// They.
    pub moves: Vec<MoveView>,
    /// Send it as `after` for the next page; `null`: this is the last one.
    pub next: Option<String>,
}

/// A unit that passed a station.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct UnitPassView {
    /// The unit.
    pub unit: Uuid,
    /// When, in ms since 1970.
    pub at_ms: i64,
    /// The job order that ran there.
    pub job: Option<Uuid>,
    /// Its operation.
    pub operation: Option<String>,
    /// Whether it was good; `null`: nobody has said.
    pub passed: Option<bool>,
}

/// Units that passed a station, the newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct PassesPage {
    /// They.
    pub passes: Vec<UnitPassView>,
    /// Send it as `after` for the next page; `null`: this is the last one.
    pub next: Option<String>,
}

/// Where things lie, and how that changes. What a caller may do is looked at before.
pub trait Stock: Send + Sync + 'static {
    /// Carries an item from one place to another, a container with all that lies in it.
    fn carry(&self, id: Uuid, wish: MoveWish, by: Principal) -> Traced<'_, LotView>;
    /// A container is there from now on.
    fn make_container(&self, wish: ContainerWish, by: Principal) -> Traced<'_, ContainerView>;
    /// A container, and a page of what lies in it.
    fn container(&self, id: Uuid, after: Option<Uuid>) -> Traced<'_, ContainerView>;
    /// Puts an item into a container.
    fn pack(&self, container: Uuid, wish: PackWish, by: Principal) -> Traced<'_, ContainerView>;
    /// Takes an item out of a container.
    fn unpack(&self, container: Uuid, wish: PackWish, by: Principal) -> Traced<'_, ContainerView>;
    /// The places where something lies.
    fn places(&self) -> Traced<'_, PlacesView>;
    /// What lies in a place.
    fn lying(&self, place: String, after: Option<Uuid>, limit: u32) -> Traced<'_, StockPage>;
    /// Movements of an item, after the `next` of the page before.
    fn moves(&self, item: Uuid, after: Option<String>, limit: u32) -> Traced<'_, MovesPage>;
    /// Units that passed a station in a window, after the `next` of the page before.
    fn passes(
        &self,
        equipment: String,
        window: (Timestamp, Timestamp),
        after: Option<String>,
        limit: u32,
    ) -> Traced<'_, PassesPage>;
    /// Takes a part out of a unit, with or without another in its place.
    fn exchange(&self, unit: Uuid, wish: ExchangeWish, by: Principal) -> Traced<'_, UnitView>;
}
