//! What the API needs of lots, serial units and their certificates.

use crate::ports::NotDone;
use andon_model::access::Principal;
use andon_model::{BoxFuture, Timestamp};
use serde::Serialize;
use serde_json::{Map, Value as Json};
use utoipa::ToSchema;
use uuid::Uuid;

/// A lot, a serial unit or a container. Quantities in the material's unit.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ItemView {
    /// Its id.
    pub id: Uuid,
    /// `lot`, `sublot`, `unit`, `container`.
    pub kind: String,
    /// The part number of what it is; `unknown`: nobody knows.
    pub material: String,
    /// Its revision.
    pub revision: Option<String>,
    /// Its lot or serial number.
    pub number: String,
    /// How much there was of it; `null`: nobody has said.
    pub quantity: Option<f64>,
    /// How much is left; below zero: more was used than there was.
    pub remaining: Option<f64>,
    /// `Released`, `Quarantine`, `Hold`, `Scrapped`, `Shipped`.
    pub state: String,
    /// Where all of it lies; `null`: nobody knows, or in several places.
    pub place: Option<String>,
    /// When it was made or came, in ms since 1970.
    pub made_ms: i64,
    /// The job order it was made under.
    pub job: Option<Uuid>,
}

/// A page of items, the newest first.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ItemsPage {
    /// They.
    pub items: Vec<ItemView>,
    /// Send it as `before` for the next page; `null`: this is the last one.
    pub next: Option<Uuid>,
}

/// The certificate of a unit that holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct HoldingCertificateView {
    /// Its number: under it the file is fetched.
    pub number: String,
    /// SHA-256 of the file, in lower-case hex.
    pub sha256: String,
    /// When it was issued, in ms since 1970.
    pub issued_ms: i64,
}

/// A serial unit that was made under an order.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct OrderUnitView {
    /// Its id.
    pub id: Uuid,
    /// The part number of what it is.
    pub material: String,
    /// Its revision.
    pub revision: Option<String>,
    /// Its serial number.
    pub number: String,
    /// `Released`, `Quarantine`, `Hold`, `Scrapped`, `Shipped`.
    pub state: String,
    /// When it was made, in ms since 1970.
    pub made_ms: i64,
    /// The job order it was made under.
    pub job: Option<Uuid>,
    /// When it was finished; `null`: it is not.
    pub finished_ms: Option<i64>,
    /// `due`, `issued`, `not_possible`; `null`: it is not finished.
    pub certificate_state: Option<String>,
    /// The certificate that holds.
    pub certificate: Option<HoldingCertificateView>,
}

/// A page of units of an order, the newest first.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct OrderUnitsPage {
    /// They.
    pub units: Vec<OrderUnitView>,
    /// Send it as `before` for the next page; `null`: this is the last one.
    pub next: Option<Uuid>,
}

/// Which kind of items is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "each says what it is")]
pub enum Listed {
    #[default]
    Lots,
    Units,
    Containers,
}

/// Which items.
#[derive(Debug, Clone, Default)]
pub struct ItemsQuery {
    /// Of which kind.
    pub kind: Listed,
    /// Of this material.
    pub material: Option<String>,
    /// In this state.
    pub state: Option<String>,
    /// Whose number begins so.
    pub text: Option<String>,
    /// With just this number.
    pub number: Option<String>,
    /// The last of the page before.
    pub before: Option<Uuid>,
    /// How many.
    pub limit: u32,
}

/// A unit at a station.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct PassView {
    /// The path of the station.
    pub equipment: String,
    /// When, in ms since 1970.
    pub at_ms: i64,
    /// The job order that ran there.
    pub job: Option<Uuid>,
    /// Its operation.
    pub operation: Option<String>,
    /// Whether it was good; `null`: nobody has said.
    pub passed: Option<bool>,
    /// What was measured, by characteristic.
    #[schema(value_type = Object)]
    pub measures: Map<String, Json>,
    /// Which programs were loaded, by what they run on.
    pub firmware: Vec<FirmwareView>,
}

/// A program that was loaded into a unit, as far as it was told.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct FirmwareView {
    /// What it runs on.
    pub component: String,
    /// Its version.
    pub version: Option<String>,
    /// The SHA-256 of the file, in hexadecimal digits.
    pub sha256: Option<String>,
}

/// Something that went into something.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct PartView {
    /// What went in, as it is now.
    pub item: ItemView,
    /// How much.
    pub quantity: f64,
    /// Where in it.
    pub position: String,
    /// When, in ms since 1970.
    pub at_ms: i64,
    /// When it was taken out again.
    pub removed_ms: Option<i64>,
    /// What came in its place.
    pub replaced_by: Option<Uuid>,
    /// The station.
    pub equipment: Option<String>,
}

/// What is known of a certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct CertificateView {
    /// Its number: under it the file is fetched.
    pub number: String,
    /// When it was issued, in ms since 1970.
    pub issued_ms: i64,
    /// SHA-256 of the file, in lower-case hex.
    pub sha256: String,
    /// The public key that verifies it, in lower-case hex.
    pub key_id: String,
    /// The number of the one that took its place.
    pub superseded_by: Option<String>,
}

/// A finished unit, and what became of its certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FinishedView {
    /// When, in ms since 1970.
    pub at_ms: i64,
    /// The path of the last station.
    pub equipment: String,
    /// `due`, `issued`, `not_possible`.
    pub certificate: String,
    /// Why it is not possible, and what to do.
    pub why: Option<String>,
}

/// A unit: where it was, what it is made of, its certificates.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct UnitView {
    /// The unit.
    #[serde(flatten)]
    pub item: ItemView,
    /// Where it was, in order of time.
    pub passes: Vec<PassView>,
    /// What it was built of: all that was put in until it was finished.
    pub as_built: Vec<PartView>,
    /// What is in it now.
    pub as_maintained: Vec<PartView>,
    /// Since it passed a last station.
    pub finished: Option<FinishedView>,
    /// Its certificates, the oldest first; the last one holds.
    pub certificates: Vec<CertificateView>,
    /// When it was given a credential to connect with.
    pub identity_given_ms: Option<i64>,
    /// What its passes hold more than can be told at once.
    pub cut: bool,
}

/// Where some of a lot lies.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct StockView {
    /// The place.
    pub place: String,
    /// How much; below zero: more was taken away than was known to be there.
    pub quantity: f64,
}

/// What somebody decided about an item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct DecisionView {
    /// `Released`, `Quarantine`, …
    pub state: String,
    /// When, in ms since 1970.
    pub at_ms: i64,
    /// Who, by the account's id.
    pub by: Option<Uuid>,
    /// Why.
    pub reason: String,
}

/// A lot, where it lies and what was decided about it.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct LotView {
    /// The lot.
    #[serde(flatten)]
    pub item: ItemView,
    /// Where it lies.
    pub stock: Vec<StockView>,
    /// What was decided, the oldest first.
    pub decisions: Vec<DecisionView>,
}

/// An item that was reached.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ReachedView {
    /// The item, as it is now.
    #[serde(flatten)]
    pub item: ItemView,
    /// By how many steps; 0: the item that was asked about.
    pub depth: u32,
}

/// What went into what.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct LinkView {
    /// What went in.
    pub from: Uuid,
    /// What it went into.
    pub to: Uuid,
    /// How much.
    pub quantity: f64,
    /// Where in it.
    pub position: String,
    /// When, in ms since 1970.
    pub at_ms: i64,
    /// When it was taken out again.
    pub removed_ms: Option<i64>,
    /// The station.
    pub equipment: Option<String>,
}

/// What an item hangs together with.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct TraceView {
    /// The items, the one that was asked about first.
    pub items: Vec<ReachedView>,
    /// What went into what among them.
    pub links: Vec<LinkView>,
    /// There is more than this: `depth` or `items`; `null`: this is all.
    pub cut: Option<String>,
}

/// One to be called back.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct RecallRowView {
    /// The unit or lot.
    #[serde(flatten)]
    pub item: ItemView,
    /// By how many steps it was reached.
    pub depth: u32,
    /// Where it lies.
    pub stock: Vec<StockView>,
    /// The containers it lies in, from the inside out.
    pub packed_in: Vec<String>,
}

/// What has to be called back.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct RecallView {
    /// What it is about.
    pub root: ItemView,
    /// How many items hang together with it, itself too.
    pub reached: usize,
    /// The outermost units.
    pub units: Vec<RecallRowView>,
    /// Lots of which there is still something.
    pub lots: Vec<RecallRowView>,
    /// There is more than this: `depth` or `items`; `null`: this is all.
    pub cut: Option<String>,
}

/// Something that cannot be right, for people to look into.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FindingView {
    /// Later than all before it.
    pub number: i64,
    /// `not_known`, `overdrawn`, `not_released`, `elsewhere`, `finished`, `not_there`, `unseen`, `overfull`, `other_material`,
    /// `refused`.
    pub what: String,
    /// Of when it is, in ms since 1970.
    pub at_ms: i64,
    /// What it is about.
    pub item: Option<Uuid>,
    /// What that went into, or was to go into.
    pub other: Option<Uuid>,
    /// In words.
    pub text: String,
}

/// A lot that comes.
#[derive(Debug, Clone, PartialEq)]
pub struct ReceiptWish {
    /// Stands for this one receipt.
    pub key: Uuid,
    /// The part number.
    pub material: String,
    /// Its revision.
    pub revision: Option<String>,
    /// The lot number.
    pub number: String,
    /// How much.
    pub quantity: f64,
    /// Where it is put.
    pub place: Option<String>,
    /// What may be done with it.
    pub state: String,
}

/// A decision about an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecisionWish {
    /// Stands for this one decision.
    pub key: Uuid,
    /// What may be done with it.
    pub state: String,
    /// Why.
    pub reason: String,
}

/// The credential of a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitCredential {
    /// The device's account.
    pub device: Uuid,
    /// Its user name and client identifier: the unit's id.
    pub user: String,
    /// Its password, told this once.
    pub password: String,
    /// What it may publish and subscribe to.
    pub topics: String,
}

/// A file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFile {
    /// The serial number, for the name of the file.
    pub serial: String,
    /// As it was signed.
    pub bytes: Vec<u8>,
}

/// What a label is printed as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LabelForm {
    /// A QR code for screens.
    Svg,
    /// For printers.
    Zpl,
}

/// An answer.
pub type Traced<'a, T> = BoxFuture<'a, Result<T, NotDone>>;

/// Whether somebody who sees these paths may look at lots and units. There is no part of them that one sees and another that one does not:
/// whoever sees a station sees them all. What was made stays, also where the stations have been taken down: then it is for who has the
/// whole plant.
#[must_use]
pub fn sees_lots(stations: &[String], sees: impl Fn(&str) -> bool) -> bool {
    if stations.is_empty() { sees("") } else { stations.iter().any(|path| sees(path)) }
}

/// Lots, units and certificates. What a caller may do is looked at before.
pub trait Traces: Send + Sync + 'static {
    /// The paths of the stations: whoever sees one may look, whoever operates one may decide.
    fn stations(&self) -> Vec<String>;
    /// Items, the newest first.
    fn items(&self, query: ItemsQuery) -> Traced<'_, ItemsPage>;
    /// Units that were made under any of these job orders, the newest first.
    fn units_of(&self, jobs: Vec<Uuid>, before: Option<Uuid>, limit: u32) -> Traced<'_, OrderUnitsPage>;
    /// A unit.
    fn unit(&self, id: Uuid) -> Traced<'_, UnitView>;
    /// A lot, or any other item.
    fn lot(&self, id: Uuid) -> Traced<'_, LotView>;
    /// A lot comes.
    fn receive(&self, wish: ReceiptWish, by: Principal) -> Traced<'_, LotView>;
    /// Somebody decides about an item.
    fn decide(&self, id: Uuid, wish: DecisionWish, by: Principal) -> Traced<'_, LotView>;
    /// What an item went into, or what went into it; `at` a date, or ever.
    fn trace(&self, id: Uuid, forward: bool, at: Option<Timestamp>) -> Traced<'_, TraceView>;
    /// What has to be called back if an item is bad; `at` a date, or ever.
    fn recall(&self, id: Uuid, at: Option<Timestamp>) -> Traced<'_, RecallView>;
    /// What cannot be right, the newest first.
    fn findings(&self, before: Option<i64>, limit: u32) -> Traced<'_, Vec<FindingView>>;
    /// A certificate by its number.
    fn certificate(&self, number: String) -> Traced<'_, CertificateFile>;
    /// The certificate of a finished unit is made anew.
    fn certify(&self, id: Uuid, by: Principal) -> Traced<'_, UnitView>;
    /// The public key that verifies certificates, in PEM.
    fn public_key(&self) -> String;
    /// Gives a unit the credential to connect with, once.
    fn identify(&self, id: Uuid, by: Principal) -> Traced<'_, UnitCredential>;
    /// A label of an item.
    fn label(&self, id: Uuid, form: LabelForm) -> Traced<'_, String>;
}
