//! What a kWh costs when.

use super::begin_of;
use crate::calendar::{Days, Minute};
use crate::quantity::Quantity;
use andon_model::path::is_under;
use chrono::{DateTime, Datelike as _, Months, NaiveDate, TimeZone as _, Timelike as _};
use chrono_tz::Tz;
use std::collections::BTreeMap;

/// A time of the week with a price of its own, by the wall clock of the tariff's zone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PriceWindow {
    /// What people call it.
    pub name: String,
    /// The days on which it begins.
    pub days: Days,
    /// When it begins: a whole quarter hour.
    pub from: Minute,
    /// When it ends; at or before its beginning: on the next day.
    pub to: Minute,
    /// What a kWh costs.
    pub price: Quantity,
}

/// What energy of a carrier costs at a place and below it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tariff {
    /// The carrier.
    pub carrier: String,
    /// The path at which it holds, and below.
    pub at: String,
    /// ISO 4217.
    pub currency: String,
    /// The zone of its windows, of its first day, and of months.
    pub zone: Tz,
    /// What a kWh costs outside all windows.
    pub price: Quantity,
    /// The first that fits counts.
    pub windows: Vec<PriceWindow>,
    /// What a kW of a month's highest quarter hour costs.
    pub demand_price: Option<Quantity>,
    /// The first day on which it holds; `None`: it always has.
    pub valid_from: Option<NaiveDate>,
}

impl Tariff {
    /// The price of a quarter hour, and the name of its window.
    #[must_use]
    pub fn price_of(&self, quarter: i64) -> (Option<&str>, Quantity) {
        let Some((day, minute)) = self.local(quarter) else { return (None, self.price) };
        let window = self.windows.iter().find(|window| window.holds(day, minute));
        window.map_or((None, self.price), |window| (Some(&*window.name), window.price))
    }

    /// Whether it holds in a quarter hour already.
    #[must_use]
    pub fn is_valid(&self, quarter: i64) -> bool {
        self.valid_from.is_none_or(|first| self.local(quarter).is_some_and(|(day, _)| first <= day))
    }

    /// The day and the minute of the day at which a quarter hour begins there.
    fn local(&self, quarter: i64) -> Option<(NaiveDate, u16)> {
        let at = DateTime::from_timestamp_micros(begin_of(quarter))?.with_timezone(&self.zone);
        Some((at.date_naive(), u16::try_from(at.hour() * 60 + at.minute()).ok()?))
    }
}

impl PriceWindow {
    fn holds(&self, day: NaiveDate, minute: u16) -> bool {
        let (from, to) = (self.from.minutes(), self.to.minutes());
        let began = |day: Option<NaiveDate>| day.is_some_and(|day| self.days.has(day.weekday()));
        if from < to {
            return began(Some(day)) && (from..to).contains(&minute);
        }
        (minute >= from && began(Some(day))) || (minute < to && began(day.pred_opt()))
    }
}

/// What an amount (mWh) costs at a price of a kWh, to a millionth of the currency, halves up.
#[must_use]
pub fn cost(energy: i64, price: Quantity) -> Quantity {
    let millionths = i128::from(energy) * i128::from(price.millionths());
    Quantity::from_millionths(i64::try_from((millionths + 500_000).div_euclid(1_000_000)).unwrap_or(i64::MAX))
}

/// The tariff by which a quarter hour of a meter is paid, of all by name: that which stands nearest above it, and of several there the newest
/// that is valid; of equal ones the first by name.
#[must_use]
pub fn tariff_of<'t>(
    tariffs: &'t BTreeMap<String, Tariff>,
    carrier: &str,
    place: &str,
    quarter: i64,
) -> Option<(&'t str, &'t Tariff)> {
    let fits = |tariff: &Tariff| tariff.carrier == carrier && is_under(place, &tariff.at) && tariff.is_valid(quarter);
    let fitting = tariffs.iter().filter(|(_, tariff)| fits(tariff)).rev();
    let found = fitting.max_by_key(|(_, tariff)| (tariff.at.len(), tariff.valid_from));
    found.map(|(name, tariff)| (name.as_str(), tariff))
}

/// When a month begins and ends in a zone, in µs since 1970; `None`: no calendar has it.
#[must_use]
pub fn month_in(zone: Tz, year: i32, month: u32) -> Option<(i64, i64)> {
    let first = NaiveDate::from_ymd_opt(year, month, 1)?;
    let begin = |day: NaiveDate| {
        let midnight = day.and_hms_opt(0, 0, 0)?;
        // Where the clock leaps over midnight, the day begins when it has leapt.
        let found = (0..=96).find_map(|quarters| {
            zone.from_local_datetime(&(midnight + chrono::Duration::minutes(15 * quarters))).earliest()
        });
        found.map(|at| at.timestamp_micros())
    };
    Some((begin(first)?, begin(first.checked_add_months(Months::new(1))?)?))
}
