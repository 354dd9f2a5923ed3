//! What the API needs of energy: what meters counted, what it cost, and when most was drawn.

use super::mes::{MesProblem, Window};
use andon_model::BoxFuture;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The most windows of a series.
pub const ENERGY_SERIES: usize = 1_000;
/// The longest window that is asked for, in days.
pub const ENERGY_DAYS: u64 = 400;
/// The most quarter hours that are told of a month's highest.
pub const ENERGY_PEAKS: usize = 100;

/// How a window is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum EnergyStep {
    /// By quarter hours UTC.
    Quarter,
    /// By whole hours UTC.
    Hour,
    /// By shifts of the machines' calendar.
    Shift,
    /// By days of 24 hours from the window's beginning.
    Day,
}

/// A meter that made a number.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct MeterView {
    /// Its name.
    pub name: String,
    /// What it is called.
    pub title: String,
    /// The path of the equipment at which it stands.
    pub at: String,
    /// The path of its tag.
    pub tag: String,
    /// `energy`: the tag counts; `power`: it is added up over time.
    pub reads: String,
    /// What it counted in the window, in kWh.
    pub kwh: f64,
    /// Until when it has been heard, in ms since 1970; `null`: never.
    pub until_ms: Option<i64>,
}

/// What was drawn at most in a quarter hour.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub struct PeakView {
    /// The beginning of the quarter hour, in ms since 1970.
    pub from_ms: i64,
    /// The mean power of the quarter hour, in kW: four times its kWh.
    pub kw: f64,
    /// How much of it is estimated, 0 to 1.
    pub estimated: f64,
}

/// What the energy of a window cost by one price.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct CostView {
    /// The tariff.
    pub tariff: String,
    /// The window of the tariff; `null`: its price at all other times.
    pub window: Option<String>,
    /// The currency, by ISO 4217.
    pub currency: String,
    /// The price of a kWh.
    pub price: f64,
    /// How many kWh.
    pub kwh: f64,
    /// What they cost.
    pub cost: f64,
}

/// What a carrier came to.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct CarrierView {
    /// `electricity`, `gas`, …
    pub carrier: String,
    /// How much, in kWh.
    pub kwh: f64,
    /// How much of it is estimated, 0 to 1; `null`: nothing was counted.
    pub estimated: Option<f64>,
    /// For how much of the window its meters were heard, 0 to 1: the mean of the meters.
    pub metered: f64,
    /// What it cost, by tariff and window.
    pub costs: Vec<CostView>,
    /// How many kWh no tariff has a price for.
    pub unpriced_kwh: f64,
    /// The highest whole quarter hour of the window; `null`: nothing was counted in one.
    pub peak: Option<PeakView>,
    /// Which meters made these numbers: those at the node, or the highest below it.
    pub meters: Vec<MeterView>,
}

/// A window of the series.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct EnergySlotView {
    /// The first instant, in ms since 1970.
    pub from_ms: i64,
    /// The first instant after it.
    pub to_ms: i64,
    /// The shift's name.
    pub name: Option<String>,
    /// kWh of each carrier, in the order of `carriers`; `null`: nothing was heard of it.
    pub kwh: Vec<Option<f64>>,
    /// How much of all of them is estimated, 0 to 1.
    pub estimated: f64,
    /// What it cost in each currency, in the order of `currencies`.
    pub costs: Vec<f64>,
}

/// What something cost in a currency.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct MoneyView {
    /// The currency, by ISO 4217.
    pub currency: String,
    /// How much.
    pub cost: f64,
}

/// Energy of a window.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct EnergyView {
    /// The path.
    pub path: String,
    /// The first instant, in ms since 1970.
    pub from_ms: i64,
    /// The first instant after it; at the latest now.
    pub to_ms: i64,
    /// Now, in ms since 1970.
    pub now_ms: i64,
    /// All carriers together, in kWh; `null`: no meter stands at or below the path.
    pub kwh: Option<f64>,
    /// What it cost, by currency.
    pub costs: Vec<MoneyView>,
    /// By carrier.
    pub carriers: Vec<CarrierView>,
    /// What was produced (PQ); `null`: no machine is followed there.
    pub produced: Option<f64>,
    /// kWh per item; `null`: nothing was made, or no meter was heard.
    pub kwh_per_item: Option<f64>,
    /// Machines at or below the path whose energy is in none of these numbers.
    pub unmetered: Vec<String>,
    /// The series.
    pub slots: Vec<EnergySlotView>,
}

/// What the highest quarter hour of a month costs at the place of a tariff.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct DemandView {
    /// The tariff.
    pub tariff: String,
    /// The path at which it holds: what is drawn there at once is what counts.
    pub at: String,
    /// The carrier.
    pub carrier: String,
    /// The highest quarter hour there; `null`: nothing was counted.
    pub peak: Option<PeakView>,
    /// The price of a kW in a month.
    pub price: f64,
    /// The currency, by ISO 4217.
    pub currency: String,
    /// What it costs; `null`: nothing was counted.
    pub cost: Option<f64>,
}

/// The highest quarter hours of a carrier.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct CarrierPeaksView {
    /// The carrier.
    pub carrier: String,
    /// The highest first; of equal ones the earlier first.
    pub peaks: Vec<PeakView>,
}

/// The highest quarter hours of a month.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct EnergyPeaksView {
    /// The path.
    pub path: String,
    /// The month, `2026-06`.
    pub month: String,
    /// In which zone the month begins and ends: that of the tariff there, or of a calendar there, or UTC.
    pub time_zone: String,
    /// The month's first instant, in ms since 1970.
    pub from_ms: i64,
    /// The first instant after it.
    pub to_ms: i64,
    /// By carrier.
    pub carriers: Vec<CarrierPeaksView>,
    /// What the highest costs, by each tariff at or below the path that has a price for it.
    pub demand: Vec<DemandView>,
}

/// An answer, later.
pub type Metered<'a, T> = BoxFuture<'a, Result<T, MesProblem>>;

/// What meters counted.
pub trait Energy: Send + Sync + 'static {
    /// What a window of a node came to; at most [`ENERGY_DAYS`] and [`ENERGY_SERIES`] steps.
    fn energy(&self, path: String, window: Window, step: EnergyStep) -> Metered<'_, EnergyView>;
    /// The highest quarter hours of a month (year, and 1 to 12), at most `limit` of each carrier.
    fn energy_peaks(&self, path: String, month: (i32, u32), limit: usize) -> Metered<'_, EnergyPeaksView>;
}
