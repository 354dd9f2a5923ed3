//! Energy of nodes: what meters counted over a window, what it cost, what it comes to per item, and when most was drawn.
//!
//! Every number is made of shares of quarter hours of meters (`andon-mes`, `energy`). Which meters make it is told with it.

use super::Manufacturing;
use crate::energy::Followed;
use andon_api::ports::energy::{
    CarrierPeaksView, CarrierView, CostView, DemandView, ENERGY_DAYS, ENERGY_SERIES, Energy, EnergyPeaksView,
    EnergySlotView, EnergyStep, EnergyView, MeterView, Metered, MoneyView, PeakView,
};
use andon_api::ports::mes::{MesProblem, RowView, Step, WHY_ROWS, Window};
use andon_mes::energy::meter::Quarter;
use andon_mes::energy::tariff::{Tariff, cost, month_in, tariff_of};
use andon_mes::energy::trail::Drawn;
use andon_mes::energy::tree::{counted, is_metered};
use andon_mes::energy::window::{Amount, share};
use andon_mes::energy::{QUARTER_US, begin_of, quarter_of};
use andon_mes::master::{CARRIERS, MasterData};
use andon_mes::quantity::Quantity;
use andon_model::Timestamp;
use andon_model::path::is_under;
use andon_store::energy::StoredQuarter;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

/// The most quarter hours of meters that one answer is made of: fifty meters for a year.
const CELLS: i64 = 2_000_000;
/// So much of a span gets lost where it is made of shares of quarter hours, each rounded, in µs.
const ROUNDED_US: i64 = 2;

/// The meters that make the number of a carrier at a node.
struct Carrier {
    name: &'static str,
    meters: Vec<Followed>,
}

impl Carrier {
    fn numbers(&self) -> Vec<u32> {
        self.meters.iter().map(|meter| meter.number).collect()
    }
}

/// The meters that make the numbers of a node, by carrier.
fn carriers_at(followed: &[Followed], path: &str) -> Vec<Carrier> {
    let carrier = |name: &'static str| {
        let all: Vec<&Followed> = followed.iter().filter(|meter| meter.point.carrier == name).collect();
        let places: Vec<&str> = all.iter().map(|meter| meter.point.at.as_str()).collect();
        let meters: Vec<Followed> =
            counted(&places, path).into_iter().filter_map(|at| all.get(at).map(|meter| (*meter).clone())).collect();
        Carrier { name, meters }
    };
    CARRIERS.into_iter().map(carrier).filter(|carrier| !carrier.meters.is_empty()).collect()
}

fn share_of(row: &StoredQuarter, window: Window) -> Amount {
    let StoredQuarter { energy, estimated, from_us, to_us, metered_us, .. } = *row;
    let quarter = Quarter { energy, estimated, from_us, to_us, metered_us };
    share(row.quarter, &quarter, window.from.micros(), window.to.micros())
}

/// The quarter hours that a window touches: the first, and the first after them.
fn quarters_of(window: Window) -> (i64, i64) {
    (quarter_of(window.from.micros()), quarter_of(window.to.micros().saturating_sub(1)).saturating_add(1))
}

fn kwh(energy: i64) -> f64 {
    Quantity::from_millionths(energy).to_f64()
}

/// A part of a whole; `None`: there is no whole.
fn part(part: i64, whole: i64) -> Option<f64> {
    (whole != 0).then(|| kwh(part) / kwh(whole))
}

fn peak_view(quarter: i64, energy: i64, estimated: i64) -> PeakView {
    PeakView {
        from_ms: begin_of(quarter) / 1000,
        kw: kwh(energy) * 4.0,
        estimated: part(estimated, energy).unwrap_or_default(),
    }
}

/// By what something was paid: tariff, window, currency, price.
type Paid = (String, Option<String>, String, Quantity);

/// What is added up of a carrier.
#[derive(Default)]
struct Sum {
    amount: Amount,
    by_meter: HashMap<u32, i64>,
    paid: BTreeMap<Paid, (i64, Quantity)>,
    unpriced: i64,
    /// The quarter hour that is being added up, and the highest before it.
    open: (i64, i64, i64),
    peak: Option<(i64, i64, i64)>,
    slots: Vec<Amount>,
}

impl Sum {
    /// Adds to a whole quarter hour; they come in order.
    fn draw(&mut self, quarter: i64, amount: Amount) {
        if quarter != self.open.0 {
            self.close();
            self.open = (quarter, 0, 0);
        }
        self.open.1 = self.open.1.saturating_add(amount.energy);
        self.open.2 = self.open.2.saturating_add(amount.estimated);
    }

    fn close(&mut self) {
        let (_, energy, _) = self.open;
        if energy > self.peak.map_or(0, |(_, highest, _)| highest) {
            self.peak = Some(self.open);
        }
    }
}

/// What is added up over a window.
struct Adding<'m> {
    window: Window,
    cuts: &'m [(Window, Option<String>)],
    /// The first cut that can touch what is to come.
    first: usize,
    /// Where each meter stands.
    places: HashMap<u32, &'m str>,
    carrier: &'static str,
    master: &'m MasterData,
    sum: Sum,
    /// Of each cut and currency.
    money: &'m mut Vec<BTreeMap<String, Quantity>>,
}

impl Adding<'_> {
    fn add(&mut self, row: &StoredQuarter) {
        let amount = share_of(row, self.window);
        self.sum.amount += amount;
        *self.sum.by_meter.entry(row.meter).or_default() += amount.energy;
        let (begin, end) = (begin_of(row.quarter), begin_of(row.quarter + 1));
        if self.window.from.micros() <= begin && end <= self.window.to.micros() {
            self.sum.draw(row.quarter, amount);
        }
        let place = self.places.get(&row.meter).copied().unwrap_or_default();
        let tariff = tariff_of(&self.master.tariffs, self.carrier, place, row.quarter);
        let price = tariff.map(|(name, tariff)| (name, tariff, tariff.price_of(row.quarter)));
        match price {
            Some((name, tariff, (window, price))) => {
                let paid = (name.to_owned(), window.map(str::to_owned), tariff.currency.clone(), price);
                let entry = self.sum.paid.entry(paid).or_default();
                *entry = (entry.0.saturating_add(amount.energy), entry.1 + cost(amount.energy, price));
            }
            None => self.sum.unpriced = self.sum.unpriced.saturating_add(amount.energy),
        }
        let is_over = |cut: &(Window, Option<String>)| cut.0.to.micros() <= begin;
        while self.cuts.get(self.first).is_some_and(is_over) {
            self.first += 1;
        }
        let touched = self.cuts.iter().enumerate().skip(self.first);
        for (at, (cut, _)) in touched.take_while(|(_, (cut, _))| cut.from.micros() < end) {
            let amount = share_of(row, *cut);
            if let Some(slot) = self.sum.slots.get_mut(at) {
                *slot += amount;
            }
            if let (Some((_, tariff, (_, price))), Some(money)) = (price, self.money.get_mut(at)) {
                let entry = money.entry(tariff.currency.clone()).or_default();
                *entry = *entry + cost(amount.energy, price);
            }
        }
    }
}

impl Manufacturing {
    /// Meters, for whoever runs them.
    pub fn meters(&self) -> &std::sync::Arc<crate::energy::Meters> {
        &self.meters
    }

    /// Refuses what is no equipment.
    fn equipment_at(&self, path: &str) -> Result<(), MesProblem> {
        let view = self.bus.plant();
        let is_there = view.plant.equipment.iter().any(|item| item.path.as_str() == path);
        if is_there { Ok(()) } else { Err(MesProblem::NoMachine(path.to_owned())) }
    }

    async fn energy_view(&self, path: String, window: Window, step: EnergyStep) -> Result<EnergyView, MesProblem> {
        self.equipment_at(&path)?;
        let window = self.until_now(window);
        let window = Window { from: window.from.min(window.to), to: window.to };
        if window.to.since(window.from) > Duration::from_secs(ENERGY_DAYS * 86_400) {
            let text = format!("the window is over the limit of {ENERGY_DAYS} days");
            return Err(MesProblem::Refused(text, "ask for less time".to_owned()));
        }
        let cuts = self.energy_cuts(&path, window, step)?;
        let master = self.master_data();
        let carriers = carriers_at(&self.meters.followed(), &path);
        bounded(&carriers, window)?;
        let mut money = vec![BTreeMap::new(); cuts.len()];
        let mut sums = Vec::with_capacity(carriers.len());
        let (from, to) = quarters_of(window);
        for carrier in &carriers {
            let places = carrier.meters.iter().map(|meter| (meter.number, meter.point.at.as_str())).collect();
            let sum = Sum { slots: vec![Amount::default(); cuts.len()], ..Sum::default() };
            let (name, master) = (carrier.name, &*master);
            let mut adding =
                Adding { window, cuts: &cuts, first: 0, places, carrier: name, master, sum, money: &mut money };
            self.meters.quarters(&carrier.numbers(), from, to, |row| adding.add(row)).await?;
            adding.sum.close();
            sums.push(adding.sum);
        }
        let produced = self.sums_below(&path, window.from, window.to).await.map_err(MesProblem::Failed)?;
        let produced = produced.map(|sums| sums.amounts.produced().to_f64());
        let places: Vec<&str> =
            carriers.iter().flat_map(|carrier| &carrier.meters).map(|meter| meter.point.at.as_str()).collect();
        let unmetered =
            self.machines_below(&path).into_iter().filter(|machine| !is_metered(&places, machine)).collect();
        let mut all = Amount::default();
        sums.iter().for_each(|sum| all += sum.amount);
        let is_heard = all.metered_us > 0;
        let all = (!carriers.is_empty()).then(|| kwh(all.energy));
        let mut costs: BTreeMap<String, Quantity> = BTreeMap::new();
        for ((_, _, currency, _), (_, cost)) in sums.iter().flat_map(|sum| &sum.paid) {
            let entry = costs.entry(currency.clone()).or_default();
            *entry = *entry + *cost;
        }
        let slots = slots_of(&cuts, &sums, &money, &costs);
        Ok(EnergyView {
            path,
            from_ms: window.from.millis(),
            to_ms: window.to.millis(),
            now_ms: self.clock.now().millis(),
            kwh: all,
            costs: costs.iter().map(|(currency, cost)| money_view(currency, *cost)).collect(),
            carriers: carriers.iter().zip(&sums).map(|(carrier, sum)| carrier_view(carrier, sum, window)).collect(),
            produced,
            kwh_per_item: all
                .zip(produced.filter(|produced| is_heard && *produced > 0.0))
                .map(|(kwh, produced)| kwh / produced),
            unmetered,
            slots,
        })
    }

    fn energy_cuts(
        &self,
        path: &str,
        window: Window,
        step: EnergyStep,
    ) -> Result<Vec<(Window, Option<String>)>, MesProblem> {
        let cuts = match step {
            EnergyStep::Quarter => {
                let (from, to) = quarters_of(window);
                // One more than there may be is enough to be refused.
                let most = i64::try_from(ENERGY_SERIES).unwrap_or(i64::MAX);
                let cut = |quarter: i64| {
                    let at = |quarter| Timestamp::from_micros(begin_of(quarter));
                    let cut = Window { from: at(quarter).max(window.from), to: at(quarter + 1).min(window.to) };
                    (cut, None)
                };
                (from..to.min(from.saturating_add(most + 1))).map(cut).collect()
            }
            EnergyStep::Hour => self.cuts(path, window, Step::Hour)?,
            EnergyStep::Shift => self.cuts(path, window, Step::Shift)?,
            EnergyStep::Day => self.cuts(path, window, Step::Day)?,
        };
        if cuts.len() > ENERGY_SERIES {
            let text = format!("the window has more than {ENERGY_SERIES} steps");
            return Err(MesProblem::Refused(text, "ask for less time, or for longer steps".to_owned()));
        }
        Ok(cuts)
    }

    async fn peaks_view(&self, path: String, month: (i32, u32), limit: usize) -> Result<EnergyPeaksView, MesProblem> {
        self.equipment_at(&path)?;
        let (year, number) = month;
        let master = self.master_data();
        let above = master.tariffs.values().filter(|tariff| is_under(&path, &tariff.at));
        let zone = above.max_by_key(|tariff| tariff.at.len()).map(|tariff| tariff.zone.name());
        let zone = zone.or_else(|| master.calendar_at(&path).map(andon_mes::calendar::Calendar::zone)).unwrap_or("UTC");
        let (from, to) = zone.parse().ok().and_then(|zone| month_in(zone, year, number)).ok_or_else(|| {
            let text = format!("there is no month {year:04}-{number:02}");
            MesProblem::Refused(text, "write a month, such as 2026-06".to_owned())
        })?;
        let month_window = Window { from: Timestamp::from_micros(from), to: Timestamp::from_micros(to) };
        let followed = self.meters.followed();
        let carriers = carriers_at(&followed, &path);
        bounded(&carriers, month_window)?;
        let mut views = Vec::with_capacity(carriers.len());
        for carrier in &carriers {
            let peaks = self.highest(carrier, from, to, limit).await?;
            views.push(CarrierPeaksView { carrier: carrier.name.to_owned(), peaks });
        }
        let mut demand = Vec::new();
        for (name, tariff, price) in demands(&master, &path, year, number) {
            let Some((from, to)) = month_in(tariff.zone, year, number) else { continue };
            let carriers = carriers_at(&followed, &tariff.at);
            let Some(carrier) = carriers.into_iter().find(|carrier| carrier.name == tariff.carrier) else { continue };
            bounded(std::slice::from_ref(&carrier), month_window)?;
            let peak = self.highest(&carrier, from, to, 1).await?.pop();
            demand.push(DemandView {
                tariff: name.to_owned(),
                at: tariff.at.clone(),
                carrier: tariff.carrier.clone(),
                peak,
                price: price.to_f64(),
                currency: tariff.currency.clone(),
                cost: peak.map(|peak| peak.kw * price.to_f64()),
            });
        }
        Ok(EnergyPeaksView {
            path,
            month: format!("{year:04}-{number:02}"),
            time_zone: zone.to_owned(),
            from_ms: from / 1000,
            to_ms: to / 1000,
            carriers: views,
            demand,
        })
    }

    /// The highest quarter hours of a carrier that are over, the highest first.
    async fn highest(&self, carrier: &Carrier, from: i64, to: i64, limit: usize) -> Result<Vec<PeakView>, MesProblem> {
        let to = quarter_of(to.min(self.clock.now().micros()));
        // By energy and earliness, so that the first of them is the least.
        let mut highest: BTreeSet<(i64, std::cmp::Reverse<i64>, i64)> = BTreeSet::new();
        let mut keep = |(quarter, energy, estimated): (i64, i64, i64)| {
            if energy > 0 {
                highest.insert((energy, std::cmp::Reverse(quarter), estimated));
            }
            if highest.len() > limit {
                highest.pop_first();
            }
        };
        let mut open = (i64::MIN, 0i64, 0i64);
        let add = |row: &StoredQuarter| {
            if row.quarter != open.0 {
                keep(open);
                open = (row.quarter, 0, 0);
            }
            open = (open.0, open.1.saturating_add(row.energy), open.2.saturating_add(row.estimated));
        };
        self.meters.quarters(&carrier.numbers(), quarter_of(from), to, add).await?;
        keep(open);
        let view = |(energy, quarter, estimated): &(i64, std::cmp::Reverse<i64>, i64)| {
            peak_view(quarter.0, *energy, *estimated)
        };
        Ok(highest.iter().rev().map(view).collect())
    }

    /// All energy of a node over a window, in kWh; `None`: no meter stands at or below it, or none was heard.
    pub(super) async fn energy_of(&self, path: &str, window: Window) -> Result<Option<f64>, MesProblem> {
        let carriers = carriers_at(&self.meters.followed(), path);
        if carriers.is_empty() {
            return Ok(None);
        }
        let numbers: Vec<u32> = carriers.iter().flat_map(Carrier::numbers).collect();
        let all = self.amounts(&numbers, window).await?;
        let mut sum = Amount::default();
        all.values().for_each(|amount| sum += *amount);
        Ok((sum.metered_us > 0).then(|| kwh(sum.energy)))
    }

    /// What each meter counted in a window.
    async fn amounts(&self, numbers: &[u32], window: Window) -> Result<BTreeMap<u32, Amount>, MesProblem> {
        if window.to <= window.from {
            return Ok(BTreeMap::new());
        }
        let (from, to) = quarters_of(window);
        // Whole quarter hours are added up where they lie; those that the window cuts are looked at.
        let whole = (
            quarter_of(window.from.micros().saturating_add(QUARTER_US - 1)),
            quarter_of(window.to.micros()).max(quarter_of(window.from.micros().saturating_add(QUARTER_US - 1))),
        );
        let mut all = self.meters.sums(numbers, whole.0, whole.1).await?;
        for (begin, end) in [(from, whole.0.min(to)), (whole.1.max(whole.0.min(to)), to)] {
            let add = |row: &StoredQuarter| *all.entry(row.meter).or_default() += share_of(row, window);
            self.meters.quarters(numbers, begin, end, add).await?;
        }
        Ok(all)
    }

    /// The meters behind the energy of a node that were heard, as the rows of a KPI's term; and how many there are.
    pub(super) async fn energy_rows(&self, path: &str, window: Window) -> Result<(Vec<RowView>, usize), MesProblem> {
        let mut rows = Vec::new();
        for carrier in carriers_at(&self.meters.followed(), path) {
            let amounts = self.amounts(&carrier.numbers(), window).await?;
            for meter in &carrier.meters {
                let Some(amount) = amounts.get(&meter.number).filter(|amount| amount.metered_us > 0) else { continue };
                rows.push(RowView {
                    unit: meter.point.at.clone(),
                    from_ms: window.from.millis(),
                    to_ms: window.to.millis(),
                    what: format!("meter {}: {}", meter.name, carrier.name),
                    amount: kwh(amount.energy),
                });
            }
        }
        let count = rows.len();
        rows.truncate(WHY_ROWS);
        Ok((rows, count))
    }

    /// What each carrier came to at a machine between two moments. `None`: it is not known, for a meter was not heard all the time, or the
    /// beginning is not known; what is missing would be told as nothing.
    /// # Errors
    /// The records cannot be read.
    pub(crate) async fn energy_between(
        &self,
        machine: &str,
        from: Option<Timestamp>,
        to: Timestamp,
    ) -> Result<Vec<(&'static str, Option<Drawn>)>, MesProblem> {
        let mut all = Vec::new();
        for carrier in carriers_at(&self.meters.followed(), machine) {
            let mut sum = from.map(|_| Drawn { is_known: true, ..Drawn::default() });
            for meter in &carrier.meters {
                let (Some(from), Some(sofar)) = (from, sum) else { break };
                sum = self.drawn(meter, Window { from, to }).await?.map(|drawn| sofar.and(drawn));
            }
            all.push((carrier.name, sum));
        }
        Ok(all)
    }

    /// What a meter counted in a window; `None`: it was not heard all the time. By its readings; where these are not remembered, by shares of
    /// quarter hours.
    async fn drawn(&self, meter: &Followed, window: Window) -> Result<Option<Drawn>, MesProblem> {
        let (from, to) = (window.from.micros(), window.to.micros());
        if meter.until_us.is_none_or(|until| until < to) {
            return Ok(None);
        }
        let drawn = match self.meters.between(meter.number, from, to) {
            Some(drawn) => drawn,
            None => {
                let amount = self.amounts(&[meter.number], window).await?.remove(&meter.number).unwrap_or_default();
                Drawn { amount, is_known: from % QUARTER_US == 0 && to % QUARTER_US == 0 }
            }
        };
        let is_heard = drawn.amount.metered_us.saturating_add(ROUNDED_US) >= to.saturating_sub(from);
        Ok(is_heard.then_some(drawn))
    }
}

/// Refuses what would be made of too many quarter hours.
fn bounded(carriers: &[Carrier], window: Window) -> Result<(), MesProblem> {
    let (from, to) = quarters_of(window);
    let meters = carriers.iter().map(|carrier| carrier.meters.len()).sum::<usize>();
    let cells = i64::try_from(meters).unwrap_or(i64::MAX).saturating_mul(to.saturating_sub(from));
    if cells <= CELLS {
        return Ok(());
    }
    let text = format!("{cells} quarter hours of {meters} meters are over the limit of {CELLS}");
    Err(MesProblem::Refused(text, "ask for less time, or for less of the plant".to_owned()))
}

/// The tariffs at or below a path with a price for the highest quarter hour: of each place and carrier that which is in force when the month begins.
fn demands<'m>(master: &'m MasterData, path: &str, year: i32, month: u32) -> Vec<(&'m str, &'m Tariff, Quantity)> {
    let places: BTreeSet<(&str, &str)> = master
        .tariffs
        .values()
        .filter(|tariff| is_under(&tariff.at, path))
        .map(|tariff| (tariff.at.as_str(), tariff.carrier.as_str()))
        .collect();
    let in_force = |(at, carrier): &(&str, &str)| {
        let here = || master.tariffs.iter().filter(|(_, tariff)| tariff.at == *at && tariff.carrier == *carrier);
        let valid = here().rev().filter(|(_, tariff)| {
            month_in(tariff.zone, year, month).is_some_and(|(begin, _)| tariff.is_valid(quarter_of(begin)))
        });
        let (name, tariff) = valid.max_by_key(|(_, tariff)| tariff.valid_from)?;
        Some((name.as_str(), tariff, tariff.demand_price?))
    };
    places.iter().filter_map(in_force).collect()
}

fn money_view(currency: &str, cost: Quantity) -> MoneyView {
    MoneyView { currency: currency.to_owned(), cost: cost.to_f64() }
}

fn carrier_view(carrier: &Carrier, sum: &Sum, window: Window) -> CarrierView {
    let meters = u32::try_from(carrier.meters.len()).unwrap_or(u32::MAX);
    let length = window.to.since(window.from).as_secs_f64() * f64::from(meters);
    let metered = Duration::from_micros(u64::try_from(sum.amount.metered_us).unwrap_or_default()).as_secs_f64();
    let cost_view = |((tariff, window, currency, price), (energy, cost)): (&Paid, &(i64, Quantity))| CostView {
        tariff: tariff.clone(),
        window: window.clone(),
        currency: currency.clone(),
        price: price.to_f64(),
        kwh: kwh(*energy),
        cost: cost.to_f64(),
    };
    let meter_view = |meter: &Followed| MeterView {
        name: meter.name.clone(),
        title: meter.point.title.clone(),
        at: meter.point.at.clone(),
        tag: meter.point.tag.to_string(),
        reads: meter.point.rule.reads.word().to_owned(),
        kwh: kwh(sum.by_meter.get(&meter.number).copied().unwrap_or_default()),
        until_ms: meter.until_us.map(|until| until.div_euclid(1000)),
    };
    CarrierView {
        carrier: carrier.name.to_owned(),
        kwh: kwh(sum.amount.energy),
        estimated: part(sum.amount.estimated, sum.amount.energy),
        metered: if length > 0.0 { metered / length } else { 0.0 },
        costs: sum.paid.iter().map(cost_view).collect(),
        unpriced_kwh: kwh(sum.unpriced),
        peak: sum.peak.map(|(quarter, energy, estimated)| peak_view(quarter, energy, estimated)),
        meters: carrier.meters.iter().map(meter_view).collect(),
    }
}

fn slots_of(
    cuts: &[(Window, Option<String>)],
    sums: &[Sum],
    money: &[BTreeMap<String, Quantity>],
    costs: &BTreeMap<String, Quantity>,
) -> Vec<EnergySlotView> {
    let slot = |(at, (window, name)): (usize, &(Window, Option<String>))| {
        let amounts = || sums.iter().map(|sum| sum.slots.get(at).copied().unwrap_or_default());
        let (energy, estimated) = amounts().fold((0i64, 0i64), |(energy, estimated), amount| {
            (energy.saturating_add(amount.energy), estimated.saturating_add(amount.estimated))
        });
        let cost = |currency| money.get(at).and_then(|money| money.get(currency)).copied().unwrap_or_default();
        EnergySlotView {
            from_ms: window.from.millis(),
            to_ms: window.to.millis(),
            name: name.clone(),
            kwh: amounts().map(|amount| (amount.metered_us > 0).then(|| kwh(amount.energy))).collect(),
            estimated: part(estimated, energy).unwrap_or_default(),
            costs: costs.keys().map(|currency| cost(currency).to_f64()).collect(),
        }
    };
    cuts.iter().enumerate().map(slot).collect()
}

impl Energy for Manufacturing {
    fn energy(&self, path: String, window: Window, step: EnergyStep) -> Metered<'_, EnergyView> {
        Box::pin(self.energy_view(path, window, step))
    }

    fn energy_peaks(&self, path: String, month: (i32, u32), limit: usize) -> Metered<'_, EnergyPeaksView> {
        Box::pin(self.peaks_view(path, month, limit))
    }
}
