//! Tests of `kpi`.

use super::*;
use crate::element::Element;
use crate::quantity::Quantity;
use crate::sums::{Amounts, Sums};
use proptest::prelude::*;

fn figures(given: &[(Figure, f64)]) -> Figures {
    given.iter().fold(Figures::default(), |figures, (figure, value)| figures.with(*figure, *value))
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1e-12)
}

/// A shift that was added up by hand: 440 min of planned busy time, 380 of production, 35 of setup, 15 of delay, 700 items of half a minute.
#[test]
fn a_shift_as_by_hand() {
    use Figure::*;
    let given = figures(&[
        (PlannedBusy, 440.0),
        (ActualProduction, 380.0),
        (ActualSetup, 35.0),
        (ActualDelay, 15.0),
        (ActualOrderExecution, 460.0),
        (PlannedRunTimePerItem, 0.5),
        (Good, 672.0),
        (Scrap, 20.0),
        (Rework, 8.0),
    ]);
    let expected = [
        (Kpi::Availability, 380.0 / 440.0),
        (Kpi::Effectiveness, 350.0 / 380.0),
        (Kpi::QualityRatio, 0.96),
        (Kpi::Oee, 336.0 / 440.0),
        (Kpi::Nee, 415.0 / 440.0 * 350.0 / 380.0 * 0.96),
        (Kpi::SetupRatio, 35.0 / 415.0),
        (Kpi::TechnicalEfficiency, 380.0 / 395.0),
        (Kpi::AllocationEfficiency, 430.0 / 440.0),
        (Kpi::UtilizationEfficiency, 380.0 / 430.0),
        (Kpi::AllocationRatio, 430.0 / 460.0),
        (Kpi::ThroughputRate, 700.0 / 460.0),
        (Kpi::ProductionProcessRatio, 380.0 / 460.0),
        (Kpi::ScrapRatio, 2.0 / 70.0),
        (Kpi::ReworkRatio, 8.0 / 700.0),
    ];
    for (kpi, value) in expected {
        assert!(near(kpi.of(&given).and_then(|ratio| ratio.value).expect("has a value"), value), "{}", kpi.id());
    }
    let known: Vec<_> = Kpi::ALL.iter().filter(|kpi| kpi.of(&given).is_some()).collect();
    assert_eq!(known.len(), expected.len(), "what is not known is not made up: {known:?}");
}

/// A sum of products, read from left to right: enough for the formulas of the table.
struct Formula<'a> {
    words: std::iter::Peekable<std::vec::IntoIter<&'a str>>,
    figures: &'a Figures,
}

impl<'a> Formula<'a> {
    fn value(text: &str, figures: &Figures) -> f64 {
        let spaced =
            ["(", ")", ","].iter().fold(text.to_owned(), |text, mark| text.replace(mark, &format!(" {mark} ")));
        let words: Vec<&str> = spaced.split_whitespace().collect();
        Formula { words: words.into_iter().peekable(), figures }.sum()
    }

    fn sum(&mut self) -> f64 {
        let mut sum = self.product();
        while let Some(sign) = self.words.next_if(|word| matches!(*word, "+" | "-")) {
            sum += self.product() * if sign == "+" { 1.0 } else { -1.0 };
        }
        sum
    }

    fn product(&mut self) -> f64 {
        let mut product = self.factor();
        while let Some(sign) = self.words.next_if(|word| matches!(*word, "*" | "/")) {
            product = if sign == "*" { product * self.factor() } else { product / self.factor() };
        }
        product
    }

    fn factor(&mut self) -> f64 {
        match self.words.next().expect("a formula that goes on") {
            "(" => {
                let inner = self.sum();
                assert_eq!(self.words.next(), Some(")"));
                inner
            }
            "min" => {
                assert_eq!(self.words.next(), Some("("));
                let first = self.sum();
                assert_eq!(self.words.next(), Some(","));
                let second = self.sum();
                assert_eq!(self.words.next(), Some(")"));
                first.min(second)
            }
            word => word.parse().unwrap_or_else(|_| {
                let figure = Figure::ALL
                    .iter()
                    .find(|figure| figure.symbol() == word)
                    .unwrap_or_else(|| panic!("{word} is no figure"));
                self.figures.get(*figure).expect("is given")
            }),
        }
    }
}

/// What a formula says is what is computed, of the figures that it names and no others.
#[test]
fn a_kpi_is_what_its_formula_says() {
    for kpi in Kpi::ALL {
        let names = |figure: &Figure| {
            kpi.formula().split(|c: char| !c.is_ascii_alphanumeric()).any(|word| word == figure.symbol())
        };
        let named: Vec<_> = Figure::ALL.iter().copied().filter(names).collect();
        let give = |figures: &[Figure]| {
            figures
                .iter()
                .fold(Figures::default(), |all, figure| all.with(*figure, 3.0 + f64::from(*figure as u8) * 0.37))
        };
        // OEE and its like have no value where a factor has none: those need APT and PQ beside what the short formula names.
        let factors = if matches!(kpi, Kpi::Oee | Kpi::Nee | Kpi::Teep) {
            &[Figure::ActualProduction, Figure::Produced][..]
        } else {
            &[]
        };
        let all = give(&[&named, factors].concat());
        let value = kpi
            .of(&all)
            .and_then(|ratio| ratio.value)
            .unwrap_or_else(|| panic!("{} needs more than {}", kpi.id(), kpi.formula()));
        assert!(near(value, Formula::value(kpi.formula(), &all)), "{} is not {}", kpi.id(), kpi.formula());
        for missing in &named {
            let others: Vec<_> = named.iter().copied().filter(|figure| figure != missing).collect();
            assert!(kpi.of(&give(&others)).is_none(), "{} is made up without {}", kpi.id(), missing.symbol());
        }
    }
}

#[test]
fn a_zero_below_the_line_is_no_value() {
    for kpi in Kpi::ALL {
        let zero = Figure::ALL.iter().fold(Figures::default(), |all, figure| all.with(*figure, 0.0));
        assert_eq!(kpi.of(&zero).map(|ratio| ratio.value), Some(None), "{}", kpi.id());
    }
    // It stood all shift: availability is 0, and what it would have made is not known.
    let stood = figures(&[
        (Figure::PlannedBusy, 480.0),
        (Figure::ActualProduction, 0.0),
        (Figure::PlannedRunTimePerItem, 0.5),
        (Figure::Produced, 0.0),
        (Figure::Good, 0.0),
    ]);
    let value = |kpi: Kpi| kpi.of(&stood).expect("is known").value;
    assert_eq!(
        (value(Kpi::Availability), value(Kpi::Effectiveness), value(Kpi::QualityRatio), value(Kpi::Oee)),
        (Some(0.0), None, None, None)
    );
}

#[test]
fn more_than_all_is_shown_as_it_is() {
    let fast = figures(&[
        (Figure::PlannedBusy, 480.0),
        (Figure::ActualProduction, 450.0),
        (Figure::PlannedRunTimePerItem, 1.0),
        (Figure::Produced, 500.0),
        (Figure::Good, 500.0),
    ]);
    assert!(near(Kpi::Effectiveness.of(&fast).and_then(|ratio| ratio.value).expect("has a value"), 500.0 / 450.0));
    assert!(near(Kpi::Oee.of(&fast).and_then(|ratio| ratio.value).expect("has a value"), 500.0 / 480.0));
}

#[test]
fn what_has_no_planned_run_time_makes_oee_unknown_rather_than_low() {
    let made = Amounts { good: Quantity::from_millionths(5_000_000), ..Amounts::default() };
    let time = Sums::of_time(Element::Production, 10_000_000);
    let known = time + Sums::of_amounts(made, Some(1_000_000_000));
    assert_eq!(Kpi::Oee.of(&Figures::from(&known)).and_then(|oee| oee.value), Some(0.5));
    let unknown = known + Sums::of_amounts(made, None);
    assert_eq!(Kpi::Oee.of(&Figures::from(&unknown)), None);
    assert_eq!(Kpi::QualityRatio.of(&Figures::from(&unknown)).and_then(|ratio| ratio.value), Some(1.0));
}

fn a_sum() -> impl Strategy<Value = Sums> {
    let amounts = (0i64..1_000_000_000_000, 0i64..1_000_000_000, 0i64..1_000_000_000);
    let of = |(good, scrap, rework): (i64, i64, i64), run_time| {
        let quantity = Quantity::from_millionths;
        Sums::of_amounts(
            Amounts { good: quantity(good), scrap: quantity(scrap), rework: quantity(rework) },
            Some(run_time),
        )
    };
    let times = proptest::array::uniform8(0i64..86_400_000_000);
    (times, proptest::collection::vec((amounts, 1u64..100_000_000_000), 0..4)).prop_map(move |(times, made)| {
        let time = Element::ALL.into_iter().zip(times).map(|(element, micros)| Sums::of_time(element, micros));
        let made = made.into_iter().map(|(amounts, run_time)| of(amounts, run_time));
        time.chain(made).sum()
    })
}

proptest! {
    /// OEE = PRI × GQ / PBT, and for one product that is availability × effectiveness × quality; NEE = PRI × GQ × AUPT / (PBT × APT).
    #[test]
    fn the_identities_of_the_standard_hold(
        pbt in 1.0f64..1e6, apt in 1.0f64..1e6, aust in 0.0f64..1e5, pri in 1e-3f64..1e3, good in 0.0f64..1e6, bad in 0.0f64..1e6,
    ) {
        prop_assume!(good + bad > 0.0);
        let given = figures(&[
            (Figure::PlannedBusy, pbt), (Figure::ActualProduction, apt), (Figure::ActualSetup, aust), (Figure::PlannedRunTimePerItem, pri),
            (Figure::Good, good), (Figure::Scrap, bad), (Figure::Rework, 0.0),
        ]);
        let value = |kpi: Kpi| kpi.of(&given).and_then(|ratio| ratio.value).expect("has a value");
        prop_assert!(near(value(Kpi::Oee), value(Kpi::Availability) * value(Kpi::Effectiveness) * value(Kpi::QualityRatio)));
        prop_assert!(near(value(Kpi::Oee), pri * good / pbt));
        prop_assert!(near(value(Kpi::Nee), pri * good * (apt + aust) / (pbt * apt)));
        prop_assert!(near(value(Kpi::Nee), value(Kpi::Oee) * (apt + aust) / apt));
        prop_assert!(near(value(Kpi::SetupRatio) + apt / (apt + aust), 1.0));
    }

    /// A KPI of many comes from what was added up, in whatever order, and taking something out again leaves what was there.
    #[test]
    fn sums_are_the_same_however_they_are_put_together(mut parts in proptest::collection::vec(a_sum(), 1..12), at in 0usize..12) {
        let all: Sums = parts.iter().copied().sum();
        let split = at.min(parts.len());
        let halves = parts[..split].iter().copied().sum::<Sums>() + parts[split..].iter().copied().sum::<Sums>();
        prop_assert_eq!(all, halves);
        prop_assert_eq!(all - parts[0] + parts[0], all);
        prop_assert_eq!(all - parts[0], parts[1..].iter().copied().sum::<Sums>());
        parts.reverse();
        prop_assert_eq!(all, parts.iter().copied().sum::<Sums>());
        prop_assert_eq!(all.all_micros(), parts.iter().map(Sums::all_micros).sum::<i64>());

        let figures = Figures::from(&all);
        let busy = parts.iter().map(Sums::busy_micros).sum::<i64>();
        prop_assert!(near(figures.get(Figure::PlannedBusy).expect("is known"), busy as f64 / 1e6));
        if let Some(oee) = Kpi::Oee.of(&figures).and_then(|oee| oee.value) {
            prop_assert!(near(oee, parts.iter().map(Sums::work_good_s).sum::<f64>() / (busy as f64 / 1e6)));
        }
    }
}
