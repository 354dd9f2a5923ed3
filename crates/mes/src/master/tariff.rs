//! `[[tariff]]`: what energy costs when.

use super::meter::{carrier, place};
use super::{Index, NAME_LIMIT, is_name, limited, needed};
use crate::calendar::{Days, Minute};
use crate::energy::tariff::{PriceWindow, Tariff};
use crate::quantity::Quantity;
use andon_model::settings::Table;
use chrono::NaiveDate;
use chrono_tz::Tz;

/// The most windows of a tariff.
const WINDOWS: usize = 100;
/// The highest price of a kWh, and of a kW.
const PRICE: f64 = 1e6;

pub(super) fn read(table: &mut Table<'_, '_>, name: &str, index: &Index<'_>) -> Option<Tariff> {
    table.only(&["carrier", "at", "currency", "time_zone", "price", "demand_price", "valid_from", "window"]);
    if !is_name(name) {
        let remedy = format!("write 1 to {NAME_LIMIT} bytes without white space around them, such as \"grid-2026\"");
        table.found("name", format!("{name:?} is no name of a tariff"), &remedy);
    }
    let carrier = carrier(table);
    let at = place(table, index);
    needed(table, "currency", "write the three letters of ISO 4217: currency = \"EUR\"");
    let currency = table.text("currency", |text| {
        let is_code = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_uppercase());
        if is_code { Ok(()) } else { Err("this is no currency by ISO 4217, such as EUR, USD or CNY".to_owned()) }
    });
    let zone = zone(table);
    let price = needed_price(table);
    let demand_price = self::price(table, "demand_price");
    let date = table.text("valid_from", |_| Ok(()));
    let valid_from: Option<NaiveDate> =
        date.and_then(|text| text.parse().ok().or_else(|| table.wrong("valid_from", "a date, such as \"2026-01-01\"")));
    limited(table, "window", WINDOWS)?;
    let windows: Option<Vec<_>> = table.tables("window", window).into_iter().collect();
    Some(Tariff {
        carrier,
        at: at?,
        currency: currency?,
        zone: zone?,
        price: price?,
        windows: windows?,
        demand_price,
        valid_from,
    })
}

fn zone(table: &mut Table<'_, '_>) -> Option<Tz> {
    let zone = needed(table, "time_zone", "write one of the IANA names: time_zone = \"Europe/Berlin\"")?;
    zone.parse().ok().or_else(|| table.wrong("time_zone", "one of the IANA names, such as \"Europe/Berlin\""))
}

fn price(table: &mut Table<'_, '_>, key: &str) -> Option<Quantity> {
    table.number(key, 0.0, PRICE).and_then(|price| Quantity::from_f64(price).ok())
}

fn needed_price(table: &mut Table<'_, '_>) -> Option<Quantity> {
    if !table.map.contains_key("price") {
        table.found_here("\"price\" is missing".to_owned(), "write what a kWh costs: price = 0.21");
    }
    price(table, "price")
}

fn window(table: &mut Table<'_, '_>) -> Option<PriceWindow> {
    table.only(&["name", "days", "from", "to", "price"]);
    let name = needed(table, "name", "write what people call it: name = \"peak\"");
    if let Some(name) = name.as_deref().filter(|name| !is_name(name)) {
        let remedy = format!("write 1 to {NAME_LIMIT} bytes without white space around them");
        table.found("name", format!("{name:?} is no name of a window"), &remedy);
    }
    let mut days = Days::parse("mon-sun").ok();
    if table.map.contains_key("days") {
        days = None;
        table.text("days", |text| Days::parse(text).map(|parsed| days = Some(parsed)));
    }
    let (from, to) = (quarter(table, "from"), quarter(table, "to"));
    let price = needed_price(table);
    Some(PriceWindow { name: name?, days: days?, from: from?, to: to?, price: price? })
}

/// A time of day at which a quarter hour begins.
fn quarter(table: &mut Table<'_, '_>, key: &str) -> Option<Minute> {
    let text = needed(table, key, "write a time of day: \"06:00\"")?;
    let minute = Minute::parse(&text).filter(|minute| minute.minutes() % 15 == 0);
    minute.or_else(|| table.wrong(key, "a whole quarter hour of the day, such as \"06:00\" or \"21:15\""))
}
