//! The KPIs of ISO 22400-2:2014, each as one numerator over one denominator.
//!
//! [`Figures`] are what a KPI is made of, [`Kpi::of`] makes it and keeps what it was made of, so that every number can be traced.
//!
//! # Invariants
//! - **A zero denominator is "no value"**, never 0 and never 100 %. A figure that nobody has is "not known", which is something else.
//! - **Nothing is clamped**: an effectiveness of 111 % says that the planned run time is wrong, and is worth seeing.
//! - **A KPI over many units, products or hours comes from added numerators and denominators**, never from averaged ratios.

mod figures;
mod table;

pub use figures::{Figure, Figures};
pub use table::{Better, Kpi};

impl Kpi {
    /// Those that a window of machines has: made of their times, of what they produced, and of the energy that went into it.
    pub const OF_MACHINES: [Self; 13] = [
        Self::Oee,
        Self::Availability,
        Self::Effectiveness,
        Self::QualityRatio,
        Self::Nee,
        Self::Teep,
        Self::AllocationEfficiency,
        Self::UtilizationEfficiency,
        Self::TechnicalEfficiency,
        Self::SetupRatio,
        Self::ScrapRatio,
        Self::ReworkRatio,
        Self::EnergyConsumption,
    ];
}

/// A KPI, and what it was made of.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Ratio {
    /// What stands above the line.
    pub numerator: f64,
    /// What stands below it.
    pub denominator: f64,
    /// The ratio; `None`: the denominator, or a factor's, is zero, and there is no value.
    pub value: Option<f64>,
}

impl Ratio {
    /// Numerator over denominator.
    #[must_use]
    pub fn new(numerator: f64, denominator: f64) -> Self {
        let value = (denominator != 0.0).then(|| numerator / denominator).filter(|value| value.is_finite());
        Self { numerator, denominator, value }
    }

    /// The same without a value unless all these have one.
    fn only_with(self, factors: [Option<Self>; 2]) -> Self {
        let all = factors.into_iter().flatten().all(|factor| factor.value.is_some());
        Self { value: self.value.filter(|_| all), ..self }
    }
}

#[cfg(test)]
mod tests;
