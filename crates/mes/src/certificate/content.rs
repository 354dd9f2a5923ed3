//! What a birth certificate tells of a unit. Every type here checks what it holds, whether it was made here or read from a file.

use super::decimal::Decimal;
use super::json::WHOLE_MAX;
use super::key::PublicKey;
use super::words::{Gtin, Id, Name, Sha256};
use crate::element::Element;
use crate::sums::Sums;
use andon_model::Timestamp;
use andon_model::path::EquipmentPath;
use andon_model::unit::Unit;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use uuid::Uuid;

/// All that a certificate tells. [`super::Certificate::new`] checks how much of it there is.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Content {
    /// Whose certificate it is.
    pub unit: SerialUnit,
    /// What the unit shows when it connects as a device; `None`: it never does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,
    /// Who says all this.
    pub issuer: Issuer,
    /// When it was said.
    #[serde(with = "rfc3339")]
    pub issued_at: Timestamp,
    /// The job order that made it; `None`: none ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_order: Option<Id>,
    /// What it was built of.
    pub parts: Vec<Part>,
    /// What was measured of it.
    pub tests: Vec<TestValue>,
    /// What runs in it.
    pub firmware: Vec<Firmware>,
    /// What the people who built it saw.
    pub documents: Vec<Document>,
    /// Who did what, by ids.
    pub roles: Vec<Role>,
    /// How the work units that made it spent their time on it.
    pub states: Vec<StateTimes>,
    /// What it took.
    pub energy: Vec<Energy>,
}

/// One unit of a product.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SerialUnit {
    /// Unique within the product.
    pub serial: Id,
    /// What it is.
    pub product: Product,
}

/// A product in one of its revisions.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(try_from = "ProductText", into = "ProductText")]
pub struct Product {
    /// Which one.
    pub id: ProductId,
    /// In which revision.
    pub revision: Id,
}

/// What a product is known by.
#[derive(Clone, PartialEq, Debug)]
pub enum ProductId {
    /// All over the world.
    Gtin(Gtin),
    /// Where it is made.
    Own(Id),
}

/// What a unit shows when it connects as a device.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Identity {
    /// That it has the private half of this key.
    PublicKey(PublicKey),
    /// This id, with a credential that is not told here.
    Id(Id),
}

/// Who issues a certificate.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Issuer {
    /// The site.
    pub site: EquipmentPath,
    /// The node's own id.
    pub node_id: Uuid,
    /// The key that signs.
    pub key_id: PublicKey,
}

/// A component as it was built in.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(try_from = "PartText", into = "PartText")]
pub struct Part {
    /// What it is.
    pub component: Name,
    /// Which one, or out of which lot.
    pub trace: Trace,
    /// How much of it, in `unit`; more than nothing.
    pub quantity: Decimal,
    /// The unit of the quantity; `1` for pieces.
    pub unit: Unit,
    /// Where in the unit it is.
    pub position: Option<Id>,
}

/// How a component is traced.
#[derive(Clone, PartialEq, Debug)]
pub enum Trace {
    /// By the lot that it came out of.
    Lot(Id),
    /// By its own serial.
    Serial(Id),
}

/// A measured characteristic.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(try_from = "TestText", into = "TestText")]
pub struct TestValue {
    /// What was measured.
    pub characteristic: Name,
    /// What came, in `unit`.
    pub value: Decimal,
    /// The unit of value and limits.
    pub unit: Unit,
    /// Between what it should be.
    pub limits: Limits,
}

/// Between what a value should be; a limit itself is still within.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Limits {
    lower: Option<Decimal>,
    upper: Option<Decimal>,
}

/// What comes of a value and its limits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The value is within its limits.
    Pass,
    /// It is not.
    Fail,
    /// It has none: it was only written down.
    NoLimits,
}

/// A program in the unit.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Firmware {
    /// What it runs on.
    pub component: Name,
    /// Its version.
    pub version: Id,
    /// Of the file that was loaded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Sha256>,
}

/// A document that somebody worked by.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// What it is called.
    pub name: Name,
    /// In which revision.
    pub revision: Id,
    /// Of what was on the screen.
    pub sha256: Sha256,
}

/// What somebody was in the making of the unit. A certificate leaves the house, so there is an id here and never a name.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Role {
    /// The role, such as `inspector`.
    pub role: Id,
    /// Who, as the house knows them.
    pub person: Uuid,
}

/// How a work unit spent the time between two moments.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(try_from = "StateTimesText", into = "StateTimesText")]
pub struct StateTimes {
    work_unit: EquipmentPath,
    from: Timestamp,
    to: Timestamp,
    /// µs; none is zero, and together they are as long as from `from` to `to`.
    times_us: BTreeMap<Element, u64>,
}

/// What the making took of a kind of energy.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Energy {
    /// Its kind, such as `electricity`.
    pub carrier: Id,
    /// How much, in `unit`; not less than nothing.
    pub quantity: Decimal,
    /// The unit of the quantity.
    pub unit: Unit,
    /// How it is known: `metered` at the machines between beginning and end of each stay; `estimated` where a part of it is a share of what was
    /// counted over a longer time. `None`: whoever issued it does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basis: Option<Id>,
}

/// Why a part of a certificate cannot be.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum ContentError {
    /// Both or none of two that exclude each other.
    #[error("either `{0}` or `{1}` is needed, and not both")]
    Either(&'static str, &'static str),
    /// No value can be within.
    #[error("the lower limit {lower} is above the upper limit {upper}")]
    Limits {
        /// The lower one.
        lower: Decimal,
        /// The upper one.
        upper: Decimal,
    },
    /// The file says another verdict than its own value and limits.
    #[error("\"{characteristic}\" says {claimed}, but {value} with {limits} is {computed}")]
    Verdict {
        /// What was measured.
        characteristic: Name,
        /// What the file says.
        claimed: Verdict,
        /// The value.
        value: Decimal,
        /// Its limits.
        limits: Limits,
        /// What comes of them.
        computed: Verdict,
    },
    /// The times do not fill the window.
    #[error("the times of {work_unit} are {sum} µs together, but from {from} to {to} is {window} µs")]
    Times {
        /// Whose.
        work_unit: EquipmentPath,
        /// The times together.
        sum: i128,
        /// The begin of the window.
        from: Timestamp,
        /// Its end.
        to: Timestamp,
        /// Its length.
        window: i128,
    },
    /// A window that ends before it begins, or is longer than 285 years, or outside the calendar.
    #[error("from {from} to {to} is no time in which a unit is made")]
    Window {
        /// The begin.
        from: Timestamp,
        /// The end.
        to: Timestamp,
    },
}

impl Limits {
    /// Checks limits; `None`: it is open to that side.
    ///
    /// # Errors
    /// The lower one is above the upper one.
    pub fn new(lower: Option<Decimal>, upper: Option<Decimal>) -> Result<Self, ContentError> {
        match (lower, upper) {
            (Some(lower), Some(upper)) if lower > upper => Err(ContentError::Limits { lower, upper }),
            _ => Ok(Self { lower, upper }),
        }
    }

    /// The lower one.
    #[must_use]
    pub const fn lower(self) -> Option<Decimal> {
        self.lower
    }

    /// The upper one.
    #[must_use]
    pub const fn upper(self) -> Option<Decimal> {
        self.upper
    }

    /// What comes of a value.
    #[must_use]
    pub fn verdict(self, value: Decimal) -> Verdict {
        match (self.lower, self.upper) {
            (None, None) => Verdict::NoLimits,
            (Some(lower), _) if value < lower => Verdict::Fail,
            (_, Some(upper)) if value > upper => Verdict::Fail,
            _ => Verdict::Pass,
        }
    }
}

impl TestValue {
    /// What comes of value and limits. It is computed and never kept.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        self.limits.verdict(self.value)
    }
}

impl StateTimes {
    /// The times of a work unit over a window, as its log gives them.
    ///
    /// # Errors
    /// The window is none, or the times do not fill it exactly.
    pub fn new(work_unit: EquipmentPath, from: Timestamp, to: Timestamp, times: &Sums) -> Result<Self, ContentError> {
        let times = Element::ALL.map(|element| (element, times.micros(element)));
        Self::checked(work_unit, from, to, times.into_iter().filter(|(_, micros)| *micros != 0))
    }

    fn checked(
        work_unit: EquipmentPath,
        from: Timestamp,
        to: Timestamp,
        times: impl Iterator<Item = (Element, i64)> + Clone,
    ) -> Result<Self, ContentError> {
        let window = i128::from(to.micros()) - i128::from(from.micros());
        if !(0..=i128::from(WHOLE_MAX)).contains(&window) || !from.has_date() || !to.has_date() {
            return Err(ContentError::Window { from, to });
        }
        let sum = times.clone().map(|(_, micros)| i128::from(micros)).sum();
        let counted: Result<_, _> =
            times.map(|(element, micros)| u64::try_from(micros).map(|micros| (element, micros))).collect();
        match counted {
            Ok(times_us) if sum == window => Ok(Self { work_unit, from, to, times_us }),
            _ => Err(ContentError::Times { work_unit, sum, from, to, window }),
        }
    }

    /// Which work unit.
    #[must_use]
    pub const fn work_unit(&self) -> &EquipmentPath {
        &self.work_unit
    }

    /// Begin and end of the window.
    #[must_use]
    pub const fn window(&self) -> (Timestamp, Timestamp) {
        (self.from, self.to)
    }

    /// µs of an element.
    #[must_use]
    pub fn micros(&self, element: Element) -> u64 {
        self.times_us.get(&element).copied().unwrap_or(0)
    }
}

impl fmt::Display for ProductId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gtin(gtin) => write!(f, "GTIN {gtin}"),
            Self::Own(id) => write!(f, "{id}"),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::NoLimits => "no_limits",
        })
    }
}

impl fmt::Display for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.lower, self.upper) {
            (None, None) => f.write_str("no limits"),
            (Some(lower), None) => write!(f, "the lower limit {lower}"),
            (None, Some(upper)) => write!(f, "the upper limit {upper}"),
            (Some(lower), Some(upper)) => write!(f, "the limits {lower} and {upper}"),
        }
    }
}

/// As it stands in the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProductText {
    #[serde(skip_serializing_if = "Option::is_none")]
    gtin: Option<Gtin>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<Id>,
    revision: Id,
}

impl TryFrom<ProductText> for Product {
    type Error = ContentError;
    fn try_from(text: ProductText) -> Result<Self, ContentError> {
        let id = match (text.gtin, text.id) {
            (Some(gtin), None) => ProductId::Gtin(gtin),
            (None, Some(id)) => ProductId::Own(id),
            _ => return Err(ContentError::Either("gtin", "id")),
        };
        Ok(Self { id, revision: text.revision })
    }
}

impl From<Product> for ProductText {
    fn from(Product { id, revision }: Product) -> Self {
        let (gtin, id) = match id {
            ProductId::Gtin(gtin) => (Some(gtin), None),
            ProductId::Own(id) => (None, Some(id)),
        };
        Self { gtin, id, revision }
    }
}

/// As it stands in the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PartText {
    component: Name,
    #[serde(skip_serializing_if = "Option::is_none")]
    lot: Option<Id>,
    #[serde(skip_serializing_if = "Option::is_none")]
    serial: Option<Id>,
    quantity: Decimal,
    unit: Unit,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<Id>,
}

impl TryFrom<PartText> for Part {
    type Error = ContentError;
    fn try_from(text: PartText) -> Result<Self, ContentError> {
        let trace = match (text.lot, text.serial) {
            (Some(lot), None) => Trace::Lot(lot),
            (None, Some(serial)) => Trace::Serial(serial),
            _ => return Err(ContentError::Either("lot", "serial")),
        };
        let PartText { component, quantity, unit, position, .. } = text;
        Ok(Self { component, trace, quantity, unit, position })
    }
}

impl From<Part> for PartText {
    fn from(Part { component, trace, quantity, unit, position }: Part) -> Self {
        let (lot, serial) = match trace {
            Trace::Lot(lot) => (Some(lot), None),
            Trace::Serial(serial) => (None, Some(serial)),
        };
        Self { component, lot, serial, quantity, unit, position }
    }
}

/// As it stands in the file, with the verdict for whoever reads it without a program.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TestText {
    characteristic: Name,
    value: Decimal,
    unit: Unit,
    #[serde(skip_serializing_if = "Option::is_none")]
    lower: Option<Decimal>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upper: Option<Decimal>,
    verdict: Verdict,
}

impl TryFrom<TestText> for TestValue {
    type Error = ContentError;
    fn try_from(text: TestText) -> Result<Self, ContentError> {
        let TestText { characteristic, value, unit, lower, upper, verdict: claimed } = text;
        let limits = Limits::new(lower, upper)?;
        let computed = limits.verdict(value);
        if claimed != computed {
            return Err(ContentError::Verdict { characteristic, claimed, value, limits, computed });
        }
        Ok(Self { characteristic, value, unit, limits })
    }
}

impl From<TestValue> for TestText {
    fn from(test: TestValue) -> Self {
        let verdict = test.verdict();
        let TestValue { characteristic, value, unit, limits: Limits { lower, upper } } = test;
        Self { characteristic, value, unit, lower, upper, verdict }
    }
}

/// As it stands in the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StateTimesText {
    work_unit: EquipmentPath,
    #[serde(with = "rfc3339")]
    from: Timestamp,
    #[serde(with = "rfc3339")]
    to: Timestamp,
    times_us: BTreeMap<Element, u64>,
}

impl TryFrom<StateTimesText> for StateTimes {
    type Error = ContentError;
    fn try_from(text: StateTimesText) -> Result<Self, ContentError> {
        // The file has no number beyond i64; a zero would be a second way to say nothing.
        let times = text.times_us.iter().filter(|(_, micros)| **micros != 0);
        let times = times.map(|(element, micros)| (*element, i64::try_from(*micros).unwrap_or(i64::MAX)));
        Self::checked(text.work_unit, text.from, text.to, times)
    }
}

impl From<StateTimes> for StateTimesText {
    fn from(StateTimes { work_unit, from, to, times_us }: StateTimes) -> Self {
        Self { work_unit, from, to, times_us }
    }
}

/// A time as RFC 3339 in UTC, in the one way in which [`Timestamp`] writes it.
mod rfc3339 {
    use super::Timestamp;
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(time)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        let text = String::deserialize(deserializer)?;
        let time = Timestamp::parse_rfc3339(&text).filter(|time| time.to_string() == text);
        time.ok_or_else(|| {
            D::Error::custom(format!(
                "{text:?} is no time as it stands in a certificate, such as \"2026-11-27T15:33:58.120Z\""
            ))
        })
    }
}
