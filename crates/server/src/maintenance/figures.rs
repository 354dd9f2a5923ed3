//! Figures of a window, from the failures of orders, the work of people, and the operating time of the shop floor.

use super::{Maintenance, refused};
use andon_api::ports::maintenance::{MaintenanceFigureView, MaintenanceFiguresView, MaintenanceProblem, ParetoView};
use andon_api::ports::mes::Window;
use andon_mes::kpi::{Better, Figure, Figures, Kpi};
use andon_mes::maintenance::Kind;
use andon_mes::maintenance::figures::{Failure, Span, count, down, length};
use andon_mes::wear::Wear;
use andon_model::Timestamp;
use andon_store::maintenance::{FailureRow, MaintenanceRepository, WorkSpan};
use std::collections::BTreeMap;
use uuid::Uuid;

/// The most failures, and the most spans of work, of a window.
const MOST: u32 = 5_000;
const MOST_WORK: u32 = 50_000;
/// The most times in which machines are within failures: what a machine did is read for each.
const MOST_DOWN: usize = 3_000;

/// The four, and what they are called.
const FIGURES: [(Kpi, &str, &str); 4] = [
    (Kpi::MeanTimeBetweenFailures, "Mean operating time between failures", "s"),
    (Kpi::MeanTimeToFailure, "Mean time to failure", "s"),
    (Kpi::MeanTimeToRestore, "Mean time to restore", "s"),
    (Kpi::CorrectiveMaintenanceRatio, "Corrective maintenance ratio", ""),
];

impl Maintenance {
    pub(super) async fn figures_of(
        &self,
        path: String,
        window: Window,
    ) -> Result<MaintenanceFiguresView, MaintenanceProblem> {
        let now = self.parts.clock.now();
        let (from, to) = (window.from, window.to.min(now).max(window.from));
        let wear = self.parts.mes.wear_below(&path, from, to).await.map_err(MaintenanceProblem::Failed)?;
        let Some(wear) = wear else {
            let remedy = "ask for a path at or below which a machine is followed";
            return Err(refused(format!("no machine is followed at or below {path:?}"), remedy));
        };
        let rows = self.parts.store.maintenance_failures(&path, from, to, MOST + 1).await?;
        let above = self.parts.store.maintenance_failures_at(above(&path), from, to, MOST + 1).await?;
        let work = self.parts.store.maintenance_work(&path, from, to, MOST_WORK + 1).await?;
        let over = |count: usize, most: u32| count > usize::try_from(most).unwrap_or(usize::MAX);
        if over(rows.len().max(above.len()), MOST) || over(work.len(), MOST_WORK) {
            let text = format!("more than {MOST} failures, or {MOST_WORK} spans of work, are in this window");
            return Err(refused(text, "ask for less time, or for less of the plant"));
        }
        let mut failures: Vec<Failure> = rows.into_iter().map(failure_of).collect();
        let counted = count(&failures, from, to);
        let operating_us = wear.operating_us();
        // A failure of the line is none of the machine's, and the machine is within it.
        failures.extend(above.into_iter().map(failure_of));
        let failed_us = self.operating_within(&path, &failures, from, to).await?;
        let (corrective_us, preventive_us) = maintained(&work, from, to);

        let mut figures = Figures::default();
        #[expect(clippy::cast_precision_loss, reason = "exact for 285 years")]
        let seconds = |micros: i64| micros as f64 / 1e6;
        #[expect(clippy::cast_precision_loss, reason = "there are at most some thousand")]
        let number = |count: u64| count as f64;
        figures.set(Figure::OperatingBetweenFailures, seconds(operating_us));
        figures.set(Figure::ToFailure, seconds(operating_us - failed_us));
        figures.set(Figure::ToRestore, seconds(counted.all.repair));
        figures.set(Figure::Failures, number(counted.all.failures));
        figures.set(Figure::Restorations, number(counted.all.restored));
        figures.set(Figure::CorrectiveMaintenance, seconds(corrective_us));
        figures.set(Figure::PlannedMaintenance, seconds(preventive_us));
        let mut pareto: Vec<ParetoView> = counted
            .codes
            .into_iter()
            .map(|(code, total)| ParetoView {
                code,
                failures: total.failures,
                restored: total.restored,
                repair_ms: total.repair / 1000,
            })
            .collect();
        pareto.sort_by_key(|row| (std::cmp::Reverse(row.repair_ms), std::cmp::Reverse(row.failures)));
        Ok(MaintenanceFiguresView {
            path,
            from_ms: from.millis(),
            to_ms: to.millis(),
            now_ms: now.millis(),
            failures: counted.all.failures,
            open_failures: counted.open,
            operating_ms: operating_us / 1000,
            repair_ms: counted.all.repair / 1000,
            corrective_ms: corrective_us / 1000,
            preventive_ms: preventive_us / 1000,
            figures: FIGURES.iter().filter_map(|figure| figure_view(figure, &figures)).collect(),
            pareto,
        })
    }

    /// How long machines operated within failures, in µs.
    async fn operating_within(
        &self,
        path: &str,
        failures: &[Failure],
        from: Timestamp,
        to: Timestamp,
    ) -> Result<i64, MaintenanceProblem> {
        let mut all: i64 = 0;
        for (unit, (begin, end)) in all_down(self.parts.mes.machines_below(path), failures, from, to)? {
            let (begin, end) = (Timestamp::from_micros(begin), Timestamp::from_micros(end));
            let wear = self.parts.mes.wear_below(&unit, begin, end).await.map_err(MaintenanceProblem::Failed)?;
            all = all.saturating_add(wear.as_ref().map_or(0, Wear::operating_us));
        }
        Ok(all)
    }
}

fn failure_of(row: FailureRow) -> Failure {
    Failure { path: row.equipment, code: row.code, failed: row.failed, restored: row.restored }
}

/// What a path stands under, the highest first.
fn above(path: &str) -> Vec<String> {
    path.match_indices('/').map(|(at, _)| path[..at].to_owned()).collect()
}

/// When machines were within failures, at most [`MOST_DOWN`] times.
pub(super) fn all_down(
    units: Vec<String>,
    failures: &[Failure],
    from: Timestamp,
    to: Timestamp,
) -> Result<Vec<(String, Span)>, MaintenanceProblem> {
    let mut all = Vec::new();
    for unit in units {
        all.extend(down(&unit, failures, from, to).into_iter().map(|span| (unit.clone(), span)));
        if all.len() > MOST_DOWN {
            let text = format!("machines were within failures more than {MOST_DOWN} times in this window");
            return Err(refused(text, "ask for less time, or for less of the plant"));
        }
    }
    Ok(all)
}

/// How long somebody worked on corrective orders, and on all others, as far as that lies in the window: each order for itself.
fn maintained(work: &[WorkSpan], from: Timestamp, to: Timestamp) -> (i64, i64) {
    let mut by_order: BTreeMap<(bool, Uuid), Vec<(i64, i64)>> = BTreeMap::new();
    for span in work {
        let end = span.to.map_or(to, |end| end.min(to));
        let corrective = span.kind == Kind::Corrective.word();
        by_order.entry((corrective, span.order)).or_default().push((span.from.max(from).micros(), end.micros()));
    }
    by_order.into_iter().fold((0, 0), |(corrective, other), ((is_corrective, _), spans)| {
        let worked = length(spans);
        if is_corrective { (corrective + worked, other) } else { (corrective, other + worked) }
    })
}

fn figure_view((kpi, title, unit): &(Kpi, &str, &str), figures: &Figures) -> Option<MaintenanceFigureView> {
    let ratio = kpi.of(figures)?;
    Some(MaintenanceFigureView {
        id: kpi.id().to_owned(),
        title: (*title).to_owned(),
        value: ratio.value,
        unit: (*unit).to_owned(),
        numerator: ratio.numerator,
        denominator: ratio.denominator,
        formula: kpi.formula().to_owned(),
        better: if kpi.better() == Better::Up { "up" } else { "down" }.to_owned(),
    })
}
