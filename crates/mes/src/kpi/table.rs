//! The table of KPIs: what each is called, made of, and good for.

use super::{Figure, Figures, Ratio};
use Figure as F;

/// Which way a KPI should go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Better {
    /// The higher, the better.
    Up,
    /// The lower, the better.
    Down,
}

macro_rules! kpis {
    ($($(#[$doc:meta])* $name:ident = $id:literal, $formula:literal, $better:ident;)*) => {
        /// A KPI of ISO 22400-2:2014, or one of ours where the standard has none.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
        pub enum Kpi {
            $($(#[$doc])* $name,)*
        }

        impl Kpi {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Its name in files and in the API.
            #[must_use]
            pub const fn id(self) -> &'static str {
                match self { $(Self::$name => $id,)* }
            }

            /// How it is made, in the standard's symbols.
            #[must_use]
            pub const fn formula(self) -> &'static str {
                match self { $(Self::$name => $formula,)* }
            }

            /// Which way it should go.
            #[must_use]
            pub const fn better(self) -> Better {
                match self { $(Self::$name => Better::$better,)* }
            }
        }
    };
}

kpis! {
    /// How much of their attendance people work on orders.
    WorkerEfficiency = "worker_efficiency", "APWT / APAT", Up;
    /// How much of an order's time units are busy with it. More than 1 where operations overlap.
    AllocationRatio = "allocation_ratio", "AUBT / AOET", Up;
    /// Items per time of the order.
    ThroughputRate = "throughput_rate", "PQ / AOET", Up;
    /// How much of the planned busy time a unit is busy.
    AllocationEfficiency = "allocation_efficiency", "AUBT / PBT", Up;
    /// How much of the busy time is production.
    UtilizationEfficiency = "utilization_efficiency", "APT / AUBT", Up;
    /// How much of the planned busy time is production.
    Availability = "availability", "APT / PBT", Up;
    /// How long the items should have taken, of how long they took.
    Effectiveness = "effectiveness", "PRI * PQ / APT", Up;
    /// How much of what was produced is good.
    QualityRatio = "quality_ratio", "GQ / PQ", Up;
    /// Availability × effectiveness × quality. Over different products each counts with its planned run time.
    Oee = "oee_index", "PRI * GQ / PBT", Up;
    /// As OEE, but setup is not a loss.
    Nee = "nee_index", "AUPT / PBT * PRI * GQ / APT", Up;
    /// Ours, not of the edition of 2014: OEE of the whole calendar.
    Teep = "teep", "PRI * GQ / CT", Up;
    /// How much of the processing is setup.
    SetupRatio = "setup_ratio", "AUST / AUPT", Down;
    /// Production, of production and delays.
    TechnicalEfficiency = "technical_efficiency", "APT / (APT + ADET)", Up;
    /// How much of an order's time is production.
    ProductionProcessRatio = "production_process_ratio", "APT / AOET", Up;
    /// Scrap, of the scrap that was planned.
    ActualToPlannedScrapRatio = "actual_to_planned_scrap_ratio", "SQ / PSQ", Down;
    /// How much was good at the first time.
    FirstPassYield = "first_pass_yield", "GP / IP", Up;
    /// How much of what was produced is scrap.
    ScrapRatio = "scrap_ratio", "SQ / PQ", Down;
    /// How much of what was produced needs rework.
    ReworkRatio = "rework_ratio", "RQ / PQ", Down;
    /// Scrap over a sequence, of what its first operation produced.
    FallOffRatio = "fall_off_ratio", "SQ1 / PQ1", Down;
    /// Cm: tolerance over the spread of a short run.
    MachineCapability = "machine_capability", "(USL - LSL) / (6 * S)", Up;
    /// Cmk: the nearer limit over half the spread of a short run.
    CriticalMachineCapability = "critical_machine_capability", "min(USL - MEAN, MEAN - LSL) / (3 * S)", Up;
    /// Cp: tolerance over the spread of the process.
    ProcessCapability = "process_capability", "(USL - LSL) / (6 * SIGMA)", Up;
    /// Cpk: the nearer limit over half the spread of the process.
    CriticalProcessCapability = "critical_process_capability", "min(USL - MEAN, MEAN - LSL) / (3 * SIGMA)", Up;
    /// Energy per item.
    EnergyConsumption = "comprehensive_energy_consumption", "E / PQ", Down;
    /// How often an inventory turns.
    InventoryTurns = "inventory_turns", "TH / AI", Up;
    /// Good items, of the material.
    FinishedGoodsRatio = "finished_goods_ratio", "GQ / CM", Up;
    /// Integrated good items, of the material.
    IntegratedGoodsRatio = "integrated_goods_ratio", "IGQ / CM", Up;
    /// Material lost in production.
    ProductionLossRatio = "production_loss_ratio", "PL / CM", Down;
    /// Material lost in storage and transport.
    StorageLossRatio = "storage_and_transport_loss_ratio", "STL / CM", Down;
    /// Material lost otherwise.
    OtherLossRatio = "other_loss_ratio", "OL / CM", Down;
    /// What was produced, of what could be.
    EquipmentLoadRatio = "equipment_load_ratio", "PQ / EPC", Up;
    /// Mean operating time between failures.
    MeanTimeBetweenFailures = "mtbf", "TBF / FE", Up;
    /// Mean time to failure.
    MeanTimeToFailure = "mttf", "TTF / FE", Up;
    /// Mean time to restore.
    MeanTimeToRestore = "mttr", "TTR / RE", Down;
    /// How much of the maintenance is corrective.
    CorrectiveMaintenanceRatio = "corrective_maintenance_ratio", "CMT / (CMT + PMT)", Down;
}

impl Kpi {
    /// The KPI of these figures; `None`: a figure that it is made of is not known.
    #[must_use]
    pub fn of(self, figures: &Figures) -> Option<Ratio> {
        let over = |numerator, denominator| Some(Ratio::new(figures.get(numerator)?, figures.get(denominator)?));
        let part_of = |part, other| {
            let (part, other) = (figures.get(part)?, figures.get(other)?);
            Some(Ratio::new(part, part + other))
        };
        let tolerance = |deviation| {
            let (upper, lower) = (figures.get(F::UpperLimit)?, figures.get(F::LowerLimit)?);
            Some(Ratio::new(upper - lower, 6.0 * figures.get(deviation)?))
        };
        let nearer = |deviation| {
            let mean = figures.get(F::Mean)?;
            let (upper, lower) = (figures.get(F::UpperLimit)?, figures.get(F::LowerLimit)?);
            Some(Ratio::new((upper - mean).min(mean - lower), 3.0 * figures.get(deviation)?))
        };
        let factors = || [Self::Effectiveness.of(figures), Self::QualityRatio.of(figures)];
        match self {
            Self::WorkerEfficiency => over(F::PersonnelWork, F::PersonnelAttendance),
            Self::AllocationRatio => over(F::ActualBusy, F::ActualOrderExecution),
            Self::ThroughputRate => over(F::Produced, F::ActualOrderExecution),
            Self::AllocationEfficiency => over(F::ActualBusy, F::PlannedBusy),
            Self::UtilizationEfficiency => over(F::ActualProduction, F::ActualBusy),
            Self::Availability => over(F::ActualProduction, F::PlannedBusy),
            Self::Effectiveness => over(F::WorkProduced, F::ActualProduction),
            Self::QualityRatio => over(F::Good, F::Produced),
            Self::Oee => over(F::WorkGood, F::PlannedBusy).map(|oee| oee.only_with(factors())),
            Self::Teep => over(F::WorkGood, F::CalendarTime).map(|teep| teep.only_with(factors())),
            Self::Nee => {
                let (work, processing) = (figures.get(F::WorkGood)?, figures.get(F::ActualProcessing)?);
                let nee =
                    Ratio::new(work * processing, figures.get(F::PlannedBusy)? * figures.get(F::ActualProduction)?);
                Some(nee.only_with(factors()))
            }
            Self::SetupRatio => over(F::ActualSetup, F::ActualProcessing),
            Self::TechnicalEfficiency => part_of(F::ActualProduction, F::ActualDelay),
            Self::ProductionProcessRatio => over(F::ActualProduction, F::ActualOrderExecution),
            Self::ActualToPlannedScrapRatio => over(F::Scrap, F::PlannedScrap),
            Self::FirstPassYield => over(F::GoodFirstTime, F::Inspected),
            Self::ScrapRatio => over(F::Scrap, F::Produced),
            Self::ReworkRatio => over(F::Rework, F::Produced),
            Self::FallOffRatio => over(F::FirstScrap, F::FirstProduced),
            Self::MachineCapability => tolerance(F::Deviation),
            Self::CriticalMachineCapability => nearer(F::Deviation),
            Self::ProcessCapability => tolerance(F::ProcessDeviation),
            Self::CriticalProcessCapability => nearer(F::ProcessDeviation),
            Self::EnergyConsumption => over(F::Energy, F::Produced),
            Self::InventoryTurns => over(F::Throughput, F::AverageInventory),
            Self::FinishedGoodsRatio => over(F::Good, F::Consumed),
            Self::IntegratedGoodsRatio => over(F::IntegratedGood, F::Consumed),
            Self::ProductionLossRatio => over(F::ProductionLoss, F::Consumed),
            Self::StorageLossRatio => over(F::StorageLoss, F::Consumed),
            Self::OtherLossRatio => over(F::OtherLoss, F::Consumed),
            Self::EquipmentLoadRatio => over(F::Produced, F::Capacity),
            Self::MeanTimeBetweenFailures => over(F::OperatingBetweenFailures, F::Failures),
            Self::MeanTimeToFailure => over(F::ToFailure, F::Failures),
            Self::MeanTimeToRestore => over(F::ToRestore, F::Restorations),
            Self::CorrectiveMaintenanceRatio => part_of(F::CorrectiveMaintenance, F::PlannedMaintenance),
        }
    }
}
