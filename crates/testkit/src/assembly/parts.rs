//! What goes into a heat pump and what is measured at it: lots, deliveries, and values scattered as real ones are.
//!
//! All chance comes from one [`Random`], so that a seed repeats a shift.

/// What the line can make.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Product {
    /// 8 kW of heat.
    Hp8,
    /// 12 kW of heat.
    Hp12,
}

impl Product {
    /// The part number.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hp8 => "HP-8",
            Self::Hp12 => "HP-12",
        }
    }

    /// The product of a part number; `None`: the line cannot make it.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Hp8, Self::Hp12].into_iter().find(|product| product.name() == name)
    }
}

/// Above this a unit leaks, in grams of refrigerant a year.
pub const LEAK_LIMIT_G_A: f64 = 3.0;
/// Below this coefficient of performance a unit is not sold.
pub const COP_LIMIT: f64 = 4.2;
/// Below this resistance the insulation is not safe, in MΩ.
pub const INSULATION_LIMIT_MOHM: f64 = 2.0;
/// Valves in a lot.
pub const LOT_SIZE: u32 = 40;
/// Valves left of the lot that is open when the line is switched on.
const OPENED_LEFT: u32 = 12;
/// Which lot is the bad one, counted from 0: the first that is opened after the start.
const BAD_LOT: u64 = 1;
/// How many cycles a late delivery is late.
const LATE_CYCLES: u32 = 5;

/// Scattered numbers that are the same for the same seed (SplitMix64).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Begins with a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// 0 to 1, without the 1.
    #[expect(clippy::cast_precision_loss, reason = "53 bits")]
    fn share(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / 9_007_199_254_740_992.0
    }

    /// True in this share of all cases.
    pub fn chance(&mut self, share: f64) -> bool {
        self.share() < share
    }

    /// Evenly from `low` to `high`.
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.share()
    }

    /// Evenly one of `low` to `high`, both included.
    #[expect(clippy::cast_possible_truncation, reason = "less than the span, which has 32 bits")]
    pub fn steps(&mut self, low: u32, high: u32) -> u32 {
        let span = u64::from(high.saturating_sub(low)) + 1;
        low + (self.bits() % span) as u32
    }

    /// Bell-shaped: the sum of twelve even numbers, which never goes beyond six deviations.
    fn normal(&mut self, mean: f64, deviation: f64) -> f64 {
        let sum: f64 = (0..12).map(|_| self.share()).sum();
        mean + deviation * (sum - 6.0)
    }
}

/// A unit on its way through the line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unit {
    /// Its running number; no other unit has it.
    pub number: u64,
    /// What it is.
    pub product: Product,
    /// The number of the lot of its valve.
    pub valve_lot: u64,
    /// The running number of its compressor.
    pub compressor: u64,
    valve_is_bad: bool,
}

impl Unit {
    /// The serial number.
    #[must_use]
    pub fn serial(&self) -> String {
        format!("HP-{:09}", self.number)
    }
}

/// The parts beside `mount`: an open lot of valves, and compressors.
#[derive(Debug)]
pub struct Parts {
    first_unit: u64,
    units: u64,
    lots: u64,
    valves_left: u32,
    late_steps: u32,
    cycle: u32,
}

impl Parts {
    /// `first_unit` is the number of the first unit, from which those of lots and compressors follow; `cycle` in steps.
    #[must_use]
    pub const fn new(first_unit: u64, cycle: u32) -> Self {
        Self { first_unit, units: 0, lots: 0, valves_left: OPENED_LEFT, late_steps: 0, cycle }
    }

    /// One step further: a delivery that is late comes nearer.
    pub const fn step(&mut self) {
        self.late_steps = self.late_steps.saturating_sub(1);
    }

    /// Whether there is a valve to mount.
    #[must_use]
    pub const fn are_there(&self) -> bool {
        self.late_steps == 0
    }

    /// How many units were begun.
    #[must_use]
    pub const fn begun(&self) -> u64 {
        self.units
    }

    /// The parts of one more unit. The last valve of a lot opens the next, which now and then is late.
    pub fn next_unit(&mut self, product: Product, random: &mut Random) -> Unit {
        let number = self.first_unit + self.units;
        self.units += 1;
        let unit = Unit {
            number,
            product,
            // A lot lasts for 40 units, so that lots counted in sixtieths of units never meet those of an earlier start.
            valve_lot: self.first_unit / 60 + self.lots,
            // Compressors come from a maker with numbers of its own.
            compressor: 700_000_000 + number,
            valve_is_bad: self.lots == BAD_LOT,
        };
        self.valves_left -= 1;
        if self.valves_left == 0 {
            self.lots += 1;
            self.valves_left = LOT_SIZE;
            self.late_steps = if random.chance(0.1) { LATE_CYCLES * self.cycle } else { 0 };
        }
        unit
    }
}

/// What a test found.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Measured {
    /// At `mount`.
    Mount {
        /// Of the compressor's screws, in N·m.
        torque: f64,
    },
    /// At `leak`.
    Leak {
        /// In g/a.
        leak_rate: f64,
    },
    /// At `eol`.
    Eol {
        /// Electrical, in W.
        power: f64,
        /// Heat out by power in.
        cop: f64,
        /// Of the insulation, in MΩ.
        insulation: f64,
    },
    /// At `pack`.
    Pack {
        /// With its carton, in kg.
        weight: f64,
    },
}

impl Measured {
    /// Whether the unit is good.
    #[must_use]
    pub fn passes(&self) -> bool {
        match *self {
            Self::Mount { .. } | Self::Pack { .. } => true,
            Self::Leak { leak_rate } => leak_rate <= LEAK_LIMIT_G_A,
            Self::Eol { cop, insulation, .. } => cop >= COP_LIMIT && insulation >= INSULATION_LIMIT_MOHM,
        }
    }
}

/// The torque of the screws.
pub fn mount(random: &mut Random) -> Measured {
    Measured::Mount { torque: round(random.normal(12.0, 0.15), 2) }
}

/// The leak test. One joint in a hundred is not tight at first; of those that were brazed again, one in four. A valve of
/// the bad lot is near the limit however often it is tried.
pub fn leak(unit: &Unit, again: bool, random: &mut Random) -> Measured {
    let valve = if unit.valve_is_bad { random.normal(2.6, 0.2) } else { random.normal(0.8, 0.2).max(0.05) };
    let joint = if random.chance(if again { 0.25 } else { 0.01 }) { random.between(4.0, 20.0) } else { 0.0 };
    Measured::Leak { leak_rate: round(valve + joint, 2) }
}

/// The electrical test at the end of the line. One unit in 125 is weak and one in 250 badly insulated; a repair helps
/// two of three.
pub fn eol(product: Product, again: bool, random: &mut Random) -> Measured {
    let (power, cop) = match product {
        Product::Hp8 => (random.normal(1750.0, 20.0), random.normal(4.6, 0.06)),
        Product::Hp12 => (random.normal(2730.0, 30.0), random.normal(4.45, 0.05)),
    };
    let weak = random.chance(if again { 0.2 } else { 0.008 });
    let bare = random.chance(if again { 0.1 } else { 0.004 });
    let cop = if weak { random.between(3.5, 4.1) } else { cop };
    let insulation = if bare { random.between(0.1, 1.5) } else { random.normal(480.0, 50.0) };
    Measured::Eol { power: round(power, 0), cop: round(cop, 2), insulation: round(insulation, 1) }
}

/// The scales under the carton: they show that nothing was left out.
pub fn pack(product: Product, random: &mut Random) -> Measured {
    let weight = match product {
        Product::Hp8 => 128.0,
        Product::Hp12 => 151.0,
    };
    Measured::Pack { weight: round(random.normal(weight, 0.2), 1) }
}

fn round(value: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    (value * scale).round() / scale
}
