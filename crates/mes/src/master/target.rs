//! `[[target]]`: what KPIs of a machine, a line, an area or a site are to come to.

use super::index::Index;
use crate::kpi::Kpi;
use andon_model::settings::Table;

/// The highest target: an effectiveness over 1 is to be seen, and one over 2 is a misprint of 85 for 0.85.
const MOST: f64 = 2.0;
/// The highest target of what is no ratio: energy of an item, in kWh.
const MOST_ENERGY: f64 = 1e9;

/// What KPIs are to come to, each as a ratio: 0.85 for 85 %; energy per item in kWh.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Target(Vec<(Kpi, f64)>);

impl Target {
    /// What a KPI is to come to; `None`: nothing is said of it.
    #[must_use]
    pub fn of(&self, kpi: Kpi) -> Option<f64> {
        self.0.iter().find(|(known, _)| *known == kpi).map(|(_, value)| *value)
    }
}

pub(super) fn read(table: &mut Table<'_, '_>, equipment: &str, index: &Index<'_>) -> Target {
    table.only(&Kpi::OF_MACHINES.map(Kpi::id));
    if let Err((message, remedy)) = index.equipment(equipment) {
        table.found("equipment", message, &remedy);
    }
    let most = |kpi| if kpi == Kpi::EnergyConsumption { MOST_ENERGY } else { MOST };
    let values: Vec<_> =
        Kpi::OF_MACHINES.into_iter().filter_map(|kpi| Some((kpi, table.number(kpi.id(), 0.0, most(kpi))?))).collect();
    if values.is_empty() && table.map.is_empty() {
        table.found_here("this names no KPI".to_owned(), "write for instance `oee_index = 0.85` for 85 %");
    }
    Target(values)
}
