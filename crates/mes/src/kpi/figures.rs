//! What KPIs are made of, by the standard's names.

use crate::element::Element;
use crate::sums::Sums;

macro_rules! figures {
    ($($(#[$doc:meta])* $name:ident = $symbol:literal,)*) => {
        /// A figure that a KPI is made of. Times are all in one unit, which [`Figures`] does not know; amounts in the item's own.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
        pub enum Figure {
            $($(#[$doc])* $name,)*
        }

        impl Figure {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The standard's symbol, or ours where it has none.
            #[must_use]
            pub const fn symbol(self) -> &'static str {
                match self { $(Self::$name => $symbol,)* }
            }
        }
    };
}

figures! {
    /// Calendar time: all there is. Not of the standard; for TEEP.
    CalendarTime = "CT",
    /// Planned operation time.
    PlannedOperation = "POT",
    /// Planned busy time.
    PlannedBusy = "PBT",
    /// Actual production time.
    ActualProduction = "APT",
    /// Actual unit setup time.
    ActualSetup = "AUST",
    /// Actual unit processing time: APT + AUST.
    ActualProcessing = "AUPT",
    /// Actual unit delay time.
    ActualDelay = "ADET",
    /// Actual unit busy time: AUPT + ADET.
    ActualBusy = "AUBT",
    /// Actual unit down time.
    ActualDown = "ADOT",
    /// Actual transport time.
    ActualTransport = "ATT",
    /// Actual queuing time.
    ActualQueuing = "AQT",
    /// Actual order execution time: AUBT + ATT + AQT.
    ActualOrderExecution = "AOET",
    /// Actual personnel work time.
    PersonnelWork = "APWT",
    /// Actual personnel attendance time.
    PersonnelAttendance = "APAT",
    /// Planned run time per item.
    PlannedRunTimePerItem = "PRI",
    /// Produced quantity.
    Produced = "PQ",
    /// Good quantity.
    Good = "GQ",
    /// Scrap quantity.
    Scrap = "SQ",
    /// Rework quantity.
    Rework = "RQ",
    /// Planned scrap quantity.
    PlannedScrap = "PSQ",
    /// Good parts at the first time.
    GoodFirstTime = "GP",
    /// Inspected parts.
    Inspected = "IP",
    /// Produced quantity of the first operation of a sequence.
    FirstProduced = "PQ1",
    /// Scrap quantity that the first operation of a sequence has caused.
    FirstScrap = "SQ1",
    /// Consumed material.
    Consumed = "CM",
    /// Integrated good quantity.
    IntegratedGood = "IGQ",
    /// Production loss.
    ProductionLoss = "PL",
    /// Storage and transport loss.
    StorageLoss = "STL",
    /// Other loss.
    OtherLoss = "OL",
    /// Equipment production capacity.
    Capacity = "EPC",
    /// Throughput of an inventory.
    Throughput = "TH",
    /// Average inventory.
    AverageInventory = "AI",
    /// Energy of all carriers in one unit.
    Energy = "E",
    /// Operating time between failures, added up.
    OperatingBetweenFailures = "TBF",
    /// Time to failure, added up.
    ToFailure = "TTF",
    /// Time to restore, added up.
    ToRestore = "TTR",
    /// Failure events.
    Failures = "FE",
    /// Restorations.
    Restorations = "RE",
    /// Corrective maintenance time.
    CorrectiveMaintenance = "CMT",
    /// Planned maintenance time.
    PlannedMaintenance = "PMT",
    /// Upper specification limit.
    UpperLimit = "USL",
    /// Lower specification limit.
    LowerLimit = "LSL",
    /// Mean of what was measured.
    Mean = "MEAN",
    /// Standard deviation of a short run.
    Deviation = "S",
    /// Estimated standard deviation of the process.
    ProcessDeviation = "SIGMA",
    /// Σ PRI × PQ over products with different planned run times.
    WorkProduced = "PRI*PQ",
    /// Σ PRI × GQ.
    WorkGood = "PRI*GQ",
}

/// Figures of a unit or many, of an order, of a window. What is not there is not known.
#[derive(Clone, PartialEq, Debug)]
pub struct Figures {
    of: Vec<Option<f64>>,
}

impl Default for Figures {
    fn default() -> Self {
        Self { of: vec![None; Figure::ALL.len()] }
    }
}

impl Figures {
    /// Notes a figure; returns `self`, for a chain.
    #[must_use]
    pub fn with(mut self, figure: Figure, value: f64) -> Self {
        self.set(figure, value);
        self
    }

    /// Notes a figure.
    pub fn set(&mut self, figure: Figure, value: f64) {
        if let Some(slot) = self.of.get_mut(figure as usize) {
            *slot = Some(value);
        }
    }

    /// A figure: as it was noted or, where that says all, from others (AUPT = APT + AUST, AUBT = AUPT + ADET, AOET = AUBT + ATT + AQT,
    /// PQ = GQ + SQ + RQ, and PRI × PQ). `None`: not known.
    #[must_use]
    pub fn get(&self, figure: Figure) -> Option<f64> {
        let noted = |figure: Figure| self.of.get(figure as usize).copied().flatten();
        noted(figure).or_else(|| match figure {
            Figure::ActualProcessing => Some(noted(Figure::ActualProduction)? + noted(Figure::ActualSetup)?),
            Figure::ActualBusy => Some(self.get(Figure::ActualProcessing)? + noted(Figure::ActualDelay)?),
            Figure::ActualOrderExecution => {
                Some(self.get(Figure::ActualBusy)? + noted(Figure::ActualTransport)? + noted(Figure::ActualQueuing)?)
            }
            Figure::Produced => Some(noted(Figure::Good)? + noted(Figure::Scrap)? + noted(Figure::Rework)?),
            Figure::WorkProduced => Some(noted(Figure::PlannedRunTimePerItem)? * self.get(Figure::Produced)?),
            Figure::WorkGood => Some(noted(Figure::PlannedRunTimePerItem)? * noted(Figure::Good)?),
            _ => None,
        })
    }
}

impl From<&Sums> for Figures {
    /// Times in seconds. Where only a part of the amounts has a planned run time, the work is of that part, and effectiveness and OEE
    /// are not known: what is missing would count as lost.
    fn from(sums: &Sums) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "exact for 285 years")]
        let seconds = |element| sums.micros(element) as f64 / 1e6;
        let amounts = sums.amounts;
        let mut figures = Self::default()
            .with(Figure::CalendarTime, Element::ALL.into_iter().map(seconds).sum())
            .with(
                Figure::PlannedOperation,
                Element::ALL.into_iter().filter(|element| *element != Element::OffShift).map(seconds).sum(),
            )
            .with(Figure::PlannedBusy, Element::ALL.into_iter().filter(|element| element.is_busy()).map(seconds).sum())
            .with(Figure::ActualProduction, seconds(Element::Production))
            .with(Figure::ActualSetup, seconds(Element::Setup))
            .with(Figure::ActualDelay, seconds(Element::Delay) + seconds(Element::MinorStop))
            .with(Figure::ActualDown, seconds(Element::Idle))
            .with(Figure::Produced, amounts.produced().to_f64())
            .with(Figure::Good, amounts.good.to_f64())
            .with(Figure::Scrap, amounts.scrap.to_f64())
            .with(Figure::Rework, amounts.rework.to_f64());
        if sums.planned == amounts {
            figures.set(Figure::WorkProduced, sums.work_produced_s());
            figures.set(Figure::WorkGood, sums.work_good_s());
        }
        figures
    }
}
