//! Answers: what machines are in, what windows come to, and why.

use super::correct::{note_of, said_of, words};
use super::{Manufacturing, State};
use andon_api::ports::mes::{
    AmountsView, ChildrenAnswer, CorrectionView, CorrectionWish, JobBrief, KpiAnswer, KpiView, LossView, MachineView,
    Mes, MesProblem, PieceView, ReasonDefView, ReasonView, RowView, ShiftView, SlotView, Step, StopView, TermView,
    TimesView, WHY_ROWS, WhyView, Window,
};
use andon_mes::calendar::Calendar;
use andon_mes::element::{Element, Planned};
use andon_mes::floor::{KeptHour, NodeId, UnitId, past};
use andon_mes::kpi::{Better, Figure, Figures, Kpi};
use andon_mes::rollup::Totals;
use andon_mes::steps::Interval;
use andon_mes::unit::{Cause, Count, CountsAs, Made, Piece, ReasonId, Rules, Stop, UnitLog};
use andon_model::access::Principal;
use andon_model::path::is_under;
use andon_model::{BoxFuture, Timestamp};
use andon_store::orders::{JobFilter, JobRow, ListedJob, MOST_JOBS, OrderRepository};
use std::collections::HashMap;
use std::time::Duration;

/// The longest window of which every piece is looked at.
const LONGEST_IN_PIECES: Duration = Duration::from_secs(32 * 86_400);
/// The most windows of a series.
const SERIES: usize = 1_000;
/// The most hours of machines that are looked at piece by piece: a thousand machines for two days.
const LOOKED_AT: u64 = 50_000;
/// How long before a window the beginning of a stop is looked for.
const STOPS_BACK: Duration = Duration::from_secs(86_400);
/// The most stops of a machine, and the most pieces of an answer.
const LISTED: usize = 20_000;
/// The edition of the formulas.
pub const EDITION: &str = "ISO 22400-2:2014";

/// A machine's log over a window, and what is needed to tell of it.
struct Looked<'l> {
    path: &'l str,
    log: &'l UnitLog,
    rules: Rules,
    window: Window,
    counts_as: CountsAs<'l>,
    names: &'l HashMap<ReasonId, String>,
}

impl Looked<'_> {
    fn pieces(&self) -> Vec<Piece> {
        self.log.pieces(self.rules, self.counts_as, self.window.from, self.window.to)
    }

    fn reason(&self, reason: Option<ReasonId>) -> Option<String> {
        reason.and_then(|reason| self.names.get(&reason).cloned())
    }

    /// The rows behind a figure: the first ones, and how many there are in all.
    fn rows(&self, figure: Figure, pieces: &[Piece]) -> (Vec<RowView>, usize) {
        if let Some(elements) = times_of(figure) {
            let of_these = || pieces.iter().filter(|piece| elements.contains(&piece.element));
            return (of_these().take(WHY_ROWS).map(|piece| self.row(piece)).collect(), of_these().count());
        }
        let counts = self.log.recorded(self.window.from, self.window.to).counts;
        let of_these = || counts.iter().filter(|count| counts_in(figure, count.made));
        (of_these().take(WHY_ROWS).map(|count| self.counted(figure, count)).collect(), of_these().count())
    }

    #[expect(clippy::cast_precision_loss, reason = "exact for 285 years")]
    fn row(&self, piece: &Piece) -> RowView {
        let state = piece.moment.seen.state.map_or("unknown", |state| state.name());
        RowView {
            unit: self.path.to_owned(),
            from_ms: piece.from.millis(),
            to_ms: piece.to.millis(),
            what: format!("{state}: {}", element_word(piece.element)),
            amount: piece.micros() as f64 / 1e6,
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "a run time is far below 2^53 ns")]
    fn counted(&self, figure: Figure, count: &Count) -> RowView {
        let items = count.quantity.to_f64();
        let seconds = || self.log.run_time(self.rules, count.at).map_or(0.0, |ns| ns as f64 / 1e9);
        RowView {
            unit: self.path.to_owned(),
            from_ms: count.at.millis(),
            to_ms: count.at.millis(),
            what: made_word(count.made).to_owned(),
            amount: if is_work(figure) { items * seconds() } else { items },
        }
    }
}

impl Manufacturing {
    /// The node of a path that has a machine at or below it.
    fn node(&self, path: &str) -> Result<NodeId, MesProblem> {
        let state = self.state();
        let node = state.nodes.get(path).copied();
        node.filter(|_| units_below(&state, path).next().is_some())
            .ok_or_else(|| MesProblem::NoMachine(path.to_owned()))
    }

    /// The totals of a window. Nobody keeps anything meanwhile.
    pub(super) async fn totals(&self, path: &str, window: Window) -> Result<Totals, MesProblem> {
        let node = self.node(path)?;
        let units = under(&self.state(), path);
        self.totals_of(node, units, window).await
    }

    /// The totals of a node and the machines at or below it, over a window. Nobody keeps anything meanwhile.
    pub(super) async fn totals_of(&self, node: NodeId, units: Vec<u32>, window: Window) -> Result<Totals, MesProblem> {
        let now = self.clock.now();
        let question = self.state().follower.floor().question(node, window.from, window.to, now);
        let mut sum = Totals::default();
        for totals in self.slots(node, &question.kept.slots).await?.values() {
            sum += totals;
        }
        for edge in &question.kept.edges {
            for hour in self.kept_hours_of(units.clone(), *edge).await? {
                sum += &hour.derived.totals(&hour.recorded.counts, edge.from, edge.to);
            }
        }
        let state = self.state();
        let counts_as = state.counts_as();
        Ok(state.follower.floor().answer(&question, &counts_as, sum))
    }

    /// Looks at the log of each machine at or below a path over a window, one after the other and off the threads that serve. `back`: so
    /// much before the window is looked at as well.
    async fn look<T: Send + 'static>(
        &self,
        path: &str,
        window: Window,
        back: Duration,
        look: impl Fn(&Looked<'_>) -> T + Clone + Send + 'static,
    ) -> Result<Vec<T>, MesProblem> {
        self.node(path)?;
        let machines: Vec<(String, UnitId)> = {
            let state = self.state();
            units_below(&state, path).map(|(path, unit)| (path.clone(), *unit)).collect()
        };
        let hours = window.to.since(window.from).as_secs() / 3600 + 2;
        if window.to.since(window.from) > LONGEST_IN_PIECES || hours * machines.len() as u64 > LOOKED_AT {
            let remedy = "ask for at most 32 days, for fewer machines, or for /api/mes/kpis".to_owned();
            return Err(MesProblem::Refused("the window is too long to be told piece by piece".to_owned(), remedy));
        }
        let mut seen = Vec::with_capacity(machines.len());
        for (path, unit) in machines {
            let Some(rules) = self.state().follower.floor().settings_of(unit).map(|settings| settings.rules) else {
                continue;
            };
            let margin = rules.minor_stop_under.max(Duration::from_micros(1));
            let wide = Interval { from: window.from.minus(margin + back), to: window.to.plus(margin), value: () };
            let hours: Vec<KeptHour> = self.kept_hours(unit, wide).await?;
            let corrections = self.said_of(unit, wide).await?;
            let (log, counts_as, names) = {
                let state = self.state();
                let log = past(state.follower.floor(), unit, wide, &hours, corrections);
                (log, state.counts_as(), state.reason_names.clone())
            };
            let look = look.clone();
            let work = move || {
                let looked = Looked { path: &path, log: &log, rules, window, counts_as: &counts_as, names: &names };
                look(&looked)
            };
            let done = tokio::task::spawn_blocking(work).await;
            seen.push(done.map_err(|fault| MesProblem::Failed(fault.to_string()))?);
        }
        Ok(seen)
    }

    pub(super) fn until_now(&self, window: Window) -> Window {
        Window { from: window.from, to: window.to.min(self.clock.now()) }
    }

    /// What every machine is in, and which job stands on it.
    async fn all_machines(&self) -> Result<Vec<MachineView>, MesProblem> {
        let states = vec!["Running".to_owned(), "Interrupted".to_owned()];
        let begun = JobFilter { states, limit: MOST_JOBS, ..JobFilter::default() };
        let mut jobs: HashMap<String, JobBrief> = HashMap::new();
        for ListedJob { order, job } in self.store.jobs_to_make(begun).await? {
            let JobRow { id, number, title, state, equipment: Some(path), .. } = job else { continue };
            jobs.insert(path, JobBrief { id, number, order, title, state });
        }
        let now = self.clock.now();
        let view = self.bus.plant();
        let state = self.state();
        let counts_as = state.counts_as();
        let machine = |(path, unit): (&String, &UnitId)| {
            let floor = state.follower.floor();
            let (log, rules) = (floor.log_of(*unit)?, floor.settings_of(*unit)?.rules);
            let piece = log.pieces(rules, &counts_as, now, now.plus(Duration::from_micros(1))).pop()?;
            let calendar = state.master.machines.get(path)?.calendar.clone();
            let shift = calendar_of(&state, path).and_then(|calendar| calendar.shift_at(now));
            Some(MachineView {
                path: path.clone(),
                title: view
                    .plant
                    .equipment
                    .iter()
                    .find(|item| item.path.as_str() == path)
                    .map_or_else(|| path.clone(), |item| item.title.clone()),
                line: path.rsplit_once('/').map_or_else(String::new, |(line, _)| line.to_owned()),
                state: piece.moment.seen.state.map(|state| state.name().to_owned()),
                mode: piece.moment.seen.mode.map(|mode| mode.to_string()),
                since_ms: state.follower.since(*unit).map(Timestamp::millis),
                element: element_word(piece.element).to_owned(),
                reason: piece.moment.reason.and_then(|reason| state.reason_names.get(&reason).cloned()),
                planned: planned_word(piece.moment.planned).to_owned(),
                calendar,
                shift: shift.map(|shift| ShiftView {
                    name: shift.name.to_owned(),
                    from_ms: shift.from.millis(),
                    to_ms: shift.to.millis(),
                }),
                job: jobs.get(path).cloned(),
            })
        };
        Ok(state.units.iter().filter_map(machine).collect())
    }

    async fn answer(&self, path: String, window: Window) -> Result<KpiAnswer, MesProblem> {
        let _turn = self.turn.read().await;
        let window = self.until_now(window);
        let totals = self.totals(&path, window).await?;
        let energy = self.energy_of(&path, window).await?;
        let state = self.state();
        let machines = units_below(&state, &path).count();
        Ok(shape(&state, path, window, self.clock.now(), machines, &totals, energy))
    }

    async fn in_steps(&self, path: String, window: Window, step: Step) -> Result<Vec<SlotView>, MesProblem> {
        let _turn = self.turn.read().await;
        let window = self.until_now(window);
        let cuts = self.cuts(&path, window, step)?;
        if cuts.len() > SERIES {
            let text = format!("{} windows are over the limit of {SERIES}", cuts.len());
            return Err(MesProblem::Refused(text, "ask for less time, or for longer steps".to_owned()));
        }
        let mut slots = Vec::with_capacity(cuts.len());
        for (window, name) in cuts {
            let totals = self.totals(&path, window).await?;
            let figures = Figures::from(&totals.sums);
            let value = |kpi: Kpi| kpi.of(&figures).and_then(|ratio| ratio.value);
            slots.push(SlotView {
                from_ms: window.from.millis(),
                to_ms: window.to.millis(),
                name,
                oee: value(Kpi::Oee),
                availability: value(Kpi::Availability),
                effectiveness: value(Kpi::Effectiveness),
                quality_ratio: value(Kpi::QualityRatio),
                good: totals.sums.amounts.good.to_f64(),
                scrap: totals.sums.amounts.scrap.to_f64(),
            });
        }
        Ok(slots)
    }

    /// A window in steps; the first and the last as far as they lie in it.
    pub(super) fn cuts(
        &self,
        path: &str,
        window: Window,
        step: Step,
    ) -> Result<Vec<(Window, Option<String>)>, MesProblem> {
        let within = |from: Timestamp, to: Timestamp| Window { from: from.max(window.from), to: to.min(window.to) };
        let even = |length: i64, begins: i64| {
            let first = (window.from.micros() - begins).div_euclid(length);
            let cut = |n: i64| {
                let from = Timestamp::from_micros(begins + (first + n) * length);
                let to = Timestamp::from_micros(begins + (first + n + 1) * length);
                (from < window.to).then(|| (within(from, to), None))
            };
            (0..=i64::try_from(SERIES).unwrap_or(i64::MAX)).map_while(cut).collect::<Vec<_>>()
        };
        Ok(match step {
            Step::Hour => even(3_600_000_000, 0),
            Step::Day => even(86_400_000_000, window.from.micros()),
            Step::Shift => {
                let state = self.state();
                let calendars = units_below(&state, path).map(|(path, _)| calendar_of(&state, path));
                let first = calendars.flatten().next().ok_or_else(|| {
                    MesProblem::Refused(
                        "no machine here has a calendar".to_owned(),
                        "name one in the [[machine]]: calendar = \"…\"".to_owned(),
                    )
                })?;
                let shifts = first.shifts(window.from, window.to).into_iter();
                shifts.map(|shift| (within(shift.from, shift.to), Some(shift.name.to_owned()))).collect()
            }
        })
    }

    async fn pieces(&self, path: String, window: Window) -> Result<Vec<PieceView>, MesProblem> {
        let _turn = self.turn.read().await;
        let window = self.until_now(window);
        if !self.state().units.contains_key(&path) {
            return Err(MesProblem::NoMachine(path));
        }
        let of_this = path.clone();
        let told = move |looked: &Looked<'_>| {
            let pieces = if looked.path == of_this { looked.pieces() } else { Vec::new() };
            (pieces.len(), pieces.iter().take(LISTED).map(|piece| piece_view(looked, piece)).collect::<Vec<_>>())
        };
        let told = self.look(&path, window, Duration::ZERO, told).await?;
        let (count, pieces) = told.into_iter().find(|(count, _)| *count > 0).unwrap_or_default();
        if count > LISTED {
            let text = format!(
                "the machine was in {count} different things in this window, which is over the limit of {LISTED}"
            );
            return Err(MesProblem::Refused(text, "ask for less time".to_owned()));
        }
        Ok(pieces)
    }

    async fn all_stops(&self, path: String, window: Window) -> Result<Vec<StopView>, MesProblem> {
        let _turn = self.turn.read().await;
        let window = self.until_now(window);
        // Stops are told from their beginning, be it before the window.
        let mut stops: Vec<StopView> =
            self.look(&path, window, STOPS_BACK, stops_of).await?.into_iter().flatten().collect();
        stops.sort_by_key(|stop| (stop.reason.is_some(), stop.minor, stop.from_ms - stop.to_ms));
        Ok(stops)
    }

    async fn reason_of_kpi(&self, path: String, id: String, window: Window) -> Result<WhyView, MesProblem> {
        let _turn = self.turn.read().await;
        let window = self.until_now(window);
        let kpi = Kpi::ALL.iter().copied().find(|kpi| kpi.id() == id).ok_or_else(|| {
            let known: Vec<_> = Kpi::ALL.iter().map(|kpi| kpi.id()).collect();
            MesProblem::Refused(format!("there is no KPI {id:?}"), format!("known are: {}", known.join(", ")))
        })?;
        let symbols = symbols(kpi.formula());
        let mut figures = Figures::from(&self.totals(&path, window).await?.sums);
        if let Some(energy) = self.energy_of(&path, window).await? {
            figures.set(Figure::Energy, energy);
        }
        let metered = symbols.iter().position(|figure| *figure == Figure::Energy);
        let mut terms: Vec<TermView> = symbols.iter().map(|figure| term(*figure, &figures)).collect();
        let of_each = move |looked: &Looked<'_>| {
            let pieces = looked.pieces();
            symbols.iter().map(|figure| looked.rows(*figure, &pieces)).collect::<Vec<_>>()
        };
        for machine in self.look(&path, window, Duration::ZERO, of_each).await? {
            for (term, (rows, count)) in terms.iter_mut().zip(machine) {
                term.rows.extend(rows);
                term.more += count;
            }
        }
        if let Some(term) = metered.and_then(|at| terms.get_mut(at)) {
            let (rows, count) = self.energy_rows(&path, window).await?;
            (term.rows, term.more) = (rows, count);
        }
        for term in &mut terms {
            term.rows.sort_by_key(|row| row.from_ms);
            term.rows.truncate(WHY_ROWS);
            term.more -= term.rows.len();
        }
        let target = self.state().master.targets.get(&path).and_then(|target| target.of(kpi));
        Ok(WhyView { kpi: kpi_view(kpi, &figures, target), edition: EDITION.to_owned(), terms })
    }
}

/// A term without its rows.
fn term(figure: Figure, figures: &Figures) -> TermView {
    let unit = match figure {
        Figure::Energy => "kWh",
        figure if times_of(figure).is_some() || is_work(figure) => "s",
        _ => "items",
    };
    let (symbol, unit) = (figure.symbol().to_owned(), unit.to_owned());
    TermView { symbol, value: figures.get(figure), unit, rows: Vec::new(), more: 0 }
}

/// Whether a figure is items at their planned run time.
const fn is_work(figure: Figure) -> bool {
    matches!(figure, Figure::WorkGood | Figure::WorkProduced)
}

/// The stops of a machine: all that nobody has explained, and of the others the longest, at most [`LISTED`].
fn stops_of(looked: &Looked<'_>) -> Vec<StopView> {
    let stops = looked.log.stops(looked.rules, looked.counts_as, looked.window.from, looked.window.to);
    let view = |stop: &Stop| StopView {
        unit: looked.path.to_owned(),
        from_ms: stop.from.millis(),
        to_ms: stop.to.millis(),
        open: stop.goes_on,
        state: stop.state.map(|state| state.name().to_owned()),
        reason: looked.reason(stop.reason),
        cause: stop.cause.map(|cause| match cause {
            Cause::Inside => "inside".to_owned(),
            Cause::Outside => "outside".to_owned(),
        }),
        minor: stop.is_minor,
    };
    let mut stops: Vec<StopView> = stops.iter().map(view).collect();
    stops.sort_by_key(|stop| (stop.reason.is_some(), stop.minor, stop.from_ms - stop.to_ms));
    stops.truncate(LISTED);
    stops
}

/// The figures that a formula names. PRI stands with an amount: the work of what was made.
fn symbols(formula: &str) -> Vec<Figure> {
    let formula = formula.replace("PRI * GQ", "PRI*GQ").replace("PRI * PQ", "PRI*PQ");
    let words = formula.split(|c: char| c.is_whitespace() || "()/,+-".contains(c)).filter(|word| !word.is_empty());
    words.filter_map(|word| Figure::ALL.iter().copied().find(|figure| figure.symbol() == word)).collect()
}

/// The times that a figure adds up; `None`: it is no time of a unit.
fn times_of(figure: Figure) -> Option<Vec<Element>> {
    use Element as E;
    let busy = || E::ALL.into_iter().filter(|element| element.is_busy()).collect();
    Some(match figure {
        Figure::CalendarTime => E::ALL.to_vec(),
        Figure::PlannedOperation => E::ALL.into_iter().filter(|element| *element != E::OffShift).collect(),
        Figure::PlannedBusy => busy(),
        Figure::ActualProduction => vec![E::Production],
        Figure::ActualSetup => vec![E::Setup],
        Figure::ActualProcessing => vec![E::Production, E::Setup],
        Figure::ActualDelay => vec![E::Delay, E::MinorStop],
        Figure::ActualBusy => vec![E::Production, E::Setup, E::Delay, E::MinorStop],
        Figure::ActualDown => vec![E::Idle],
        _ => return None,
    })
}

const fn counts_in(figure: Figure, made: Made) -> bool {
    match figure {
        Figure::Produced | Figure::WorkProduced => true,
        Figure::Good | Figure::WorkGood => matches!(made, Made::Good),
        Figure::Scrap => matches!(made, Made::Scrap),
        Figure::Rework => matches!(made, Made::Rework),
        _ => false,
    }
}

const fn made_word(made: Made) -> &'static str {
    match made {
        Made::Good => "good",
        Made::Scrap => "scrap",
        Made::Rework => "rework",
    }
}

/// The machines at or below a path.
pub(super) fn units_below<'s>(state: &'s State, path: &str) -> impl Iterator<Item = (&'s String, &'s UnitId)> {
    state.units.iter().filter(move |(unit, _)| is_under(unit, path))
}

/// Numbers of everything at or below a path, also of machines that are followed no more: what is kept of them counts.
pub(super) fn under(state: &State, path: &str) -> Vec<u32> {
    state.nodes.iter().filter(|(node, _)| is_under(node, path)).map(|(_, node)| node.0).collect()
}

fn calendar_of<'s>(state: &'s State, path: &str) -> Option<&'s Calendar> {
    state.master.calendars.get(state.master.machines.get(path)?.calendar.as_ref()?)
}

const fn element_word(element: Element) -> &'static str {
    match element {
        Element::Production => "production",
        Element::Setup => "setup",
        Element::Delay => "delay",
        Element::MinorStop => "minor_stop",
        Element::Idle => "idle",
        Element::Unknown => "unknown",
        Element::PlannedDown => "planned_down",
        Element::OffShift => "off_shift",
    }
}

const fn planned_word(planned: Planned) -> &'static str {
    match planned {
        Planned::Off => "off",
        Planned::Busy => "busy",
        Planned::Break => "break",
        Planned::Maintenance => "maintenance",
    }
}

fn piece_view(looked: &Looked<'_>, piece: &Piece) -> PieceView {
    let moment = &piece.moment;
    PieceView {
        from_ms: piece.from.millis(),
        to_ms: piece.to.millis(),
        element: element_word(piece.element).to_owned(),
        state: moment.seen.state.map(|state| state.name().to_owned()),
        mode: moment.seen.mode.map(|mode| mode.to_string()),
        reason: looked.reason(moment.reason),
        planned: planned_word(moment.planned).to_owned(),
        corrected: moment.corrected,
    }
}

fn kpi_view(kpi: Kpi, figures: &Figures, target: Option<f64>) -> KpiView {
    let ratio = kpi.of(figures);
    KpiView {
        id: kpi.id().to_owned(),
        value: ratio.and_then(|ratio| ratio.value),
        numerator: ratio.map(|ratio| ratio.numerator),
        denominator: ratio.map(|ratio| ratio.denominator),
        target,
        formula: kpi.formula().to_owned(),
        better: match kpi.better() {
            Better::Up => "up".to_owned(),
            Better::Down => "down".to_owned(),
        },
    }
}

#[expect(clippy::cast_precision_loss, reason = "exact for 285 years")]
pub(super) fn shape(
    state: &State,
    path: String,
    window: Window,
    now: Timestamp,
    machines: usize,
    totals: &Totals,
    energy: Option<f64>,
) -> KpiAnswer {
    let sums = &totals.sums;
    let ms = |element: Element| sums.micros(element) as f64 / 1e3;
    let mut figures = Figures::from(sums);
    if let Some(energy) = energy {
        figures.set(Figure::Energy, energy);
    }
    let target = state.master.targets.get(&path);
    let amounts = sums.amounts;
    // Speed and quality are told in time only where every item has a planned run time.
    let good_ms = figures.get(Figure::WorkGood).map(|seconds| seconds * 1e3);
    let losses = figures.get(Figure::WorkProduced).zip(good_ms).map(|(produced, good)| {
        let produced = produced * 1e3;
        let lost = [
            Element::OffShift,
            Element::PlannedDown,
            Element::Unknown,
            Element::Idle,
            Element::Delay,
            Element::MinorStop,
            Element::Setup,
        ];
        let mut losses: Vec<_> =
            lost.map(|element| LossView { id: element_word(element).to_owned(), ms: ms(element) }).to_vec();
        losses.push(LossView { id: "speed".to_owned(), ms: ms(Element::Production) - produced });
        let share = |part: f64| if amounts.produced().to_f64() == 0.0 { 0.0 } else { (produced - good) * part };
        let bad = amounts.scrap.to_f64() + amounts.rework.to_f64();
        let of_bad = |amount: f64| if bad == 0.0 { 0.0 } else { amount / bad };
        losses.push(LossView { id: "scrap".to_owned(), ms: share(of_bad(amounts.scrap.to_f64())) });
        losses.push(LossView { id: "rework".to_owned(), ms: share(of_bad(amounts.rework.to_f64())) });
        losses
    });
    let mut reasons: Vec<_> = totals
        .reasons()
        .map(|(element, reason, total)| ReasonView {
            element: element_word(element).to_owned(),
            reason: reason.and_then(|reason| state.reason_names.get(&reason).cloned()),
            ms: total.micros / 1000,
            stops: total.stops,
        })
        .collect();
    reasons.sort_by(|a, b| b.ms.cmp(&a.ms).then_with(|| a.reason.cmp(&b.reason)));
    let busy = Element::ALL.into_iter().filter(|element| element.is_busy()).map(ms).sum();
    let operation = Element::ALL.into_iter().filter(|element| *element != Element::OffShift).map(ms).sum();
    KpiAnswer {
        path,
        from_ms: window.from.millis(),
        to_ms: window.to.millis(),
        now_ms: now.millis(),
        machines,
        times: TimesView {
            production_ms: ms(Element::Production),
            setup_ms: ms(Element::Setup),
            delay_ms: ms(Element::Delay),
            minor_stop_ms: ms(Element::MinorStop),
            idle_ms: ms(Element::Idle),
            unknown_ms: ms(Element::Unknown),
            planned_down_ms: ms(Element::PlannedDown),
            off_shift_ms: ms(Element::OffShift),
            pbt_ms: busy,
            pot_ms: operation,
        },
        amounts: AmountsView {
            produced: amounts.produced().to_f64(),
            good: amounts.good.to_f64(),
            scrap: amounts.scrap.to_f64(),
            rework: amounts.rework.to_f64(),
        },
        kpis: Kpi::OF_MACHINES
            .into_iter()
            .map(|kpi| kpi_view(kpi, &figures, target.and_then(|target| target.of(kpi))))
            .collect(),
        losses: losses.unwrap_or_default(),
        good_ms,
        reasons,
    }
}

impl Mes for Manufacturing {
    fn machines(&self) -> BoxFuture<'_, Result<Vec<MachineView>, MesProblem>> {
        Box::pin(self.all_machines())
    }

    fn reasons(&self) -> Vec<ReasonDefView> {
        let state = self.state();
        let reason = |(name, reason): (&String, &andon_mes::master::Reason)| ReasonDefView {
            name: name.clone(),
            counts_as: element_word(reason.counts_as).to_owned(),
            cause: if reason.is_outside { "outside" } else { "inside" }.to_owned(),
            action: reason.action.clone(),
        };
        state.master.reasons.iter().map(reason).collect()
    }

    fn kpis(&self, path: String, window: Window) -> BoxFuture<'_, Result<KpiAnswer, MesProblem>> {
        Box::pin(self.answer(path, window))
    }

    fn children(
        &self,
        path: String,
        window: Window,
        branches: Vec<String>,
    ) -> BoxFuture<'_, Result<ChildrenAnswer, MesProblem>> {
        Box::pin(self.one_below(path, window, branches))
    }

    fn series(&self, path: String, window: Window, step: Step) -> BoxFuture<'_, Result<Vec<SlotView>, MesProblem>> {
        Box::pin(self.in_steps(path, window, step))
    }

    fn states(&self, path: String, window: Window) -> BoxFuture<'_, Result<Vec<PieceView>, MesProblem>> {
        Box::pin(self.pieces(path, window))
    }

    fn stops(&self, path: String, window: Window) -> BoxFuture<'_, Result<Vec<StopView>, MesProblem>> {
        Box::pin(self.all_stops(path, window))
    }

    fn why(&self, path: String, kpi: String, window: Window) -> BoxFuture<'_, Result<WhyView, MesProblem>> {
        Box::pin(self.reason_of_kpi(path, kpi, window))
    }

    fn correct(&self, wish: CorrectionWish, by: Principal) -> BoxFuture<'_, Result<u32, MesProblem>> {
        Box::pin(self.put_right(wish, by))
    }

    fn corrections(&self, path: String, window: Window) -> BoxFuture<'_, Result<Vec<CorrectionView>, MesProblem>> {
        Box::pin(async move {
            let made = self.put_right_in(&path, Interval { from: window.from, to: window.to, value: () }).await?;
            let view = |made: andon_store::floor::StoredCorrection| CorrectionView {
                number: made.number,
                from_ms: made.from.millis(),
                to_ms: made.to.millis(),
                says: said_of(&made.change).as_ref().map(words).unwrap_or_default(),
                note: note_of(&made.change),
                by: made.by,
                at_ms: made.at.millis(),
            };
            Ok(made.into_iter().map(view).collect())
        })
    }
}
