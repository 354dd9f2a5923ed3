//! Which of the standard's times a moment of a work unit belongs to (ISO 22400-2:2014; OPC 40001-1 annex C.2).

use crate::packml::{Mode, State};
use serde::{Deserialize, Serialize};

/// A time of ISO 22400-2 or, where it has none, one of ours. Every moment of a work unit belongs to exactly one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Element {
    /// APT: it makes products.
    Production,
    /// AUST: it is set up for an order.
    Setup,
    /// ADET: an order is held up.
    Delay,
    /// ADET too, but shorter than the unit's limit for a minor stop.
    MinorStop,
    /// ADOT: it could work, and has no order.
    Idle,
    /// In PBT, and nobody knows what it did. Not a time of the standard: it is shown for itself, never as something else.
    Unknown,
    /// In POT and not in PBT: a break, planned maintenance.
    PlannedDown,
    /// Outside POT: nobody means to use it.
    OffShift,
}

impl Element {
    /// How many there are.
    pub const COUNT: usize = 8;
    /// All of them.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Production,
        Self::Setup,
        Self::Delay,
        Self::MinorStop,
        Self::Idle,
        Self::Unknown,
        Self::PlannedDown,
        Self::OffShift,
    ];

    /// The standard's name of the time; `None`: it has none.
    #[must_use]
    pub const fn symbol(self) -> Option<&'static str> {
        match self {
            Self::Production => Some("APT"),
            Self::Setup => Some("AUST"),
            Self::Delay | Self::MinorStop => Some("ADET"),
            Self::Idle => Some("ADOT"),
            Self::Unknown | Self::PlannedDown | Self::OffShift => None,
        }
    }

    /// Whether it is a part of PBT, the planned busy time.
    #[must_use]
    pub const fn is_busy(self) -> bool {
        !matches!(self, Self::PlannedDown | Self::OffShift)
    }

    /// Its place in arrays, `0..COUNT`.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// What a calendar says of a moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Planned {
    /// Nobody means to use the unit.
    Off,
    /// It is to work.
    #[default]
    Busy,
    /// A break.
    Break,
    /// Maintenance that was planned.
    Maintenance,
}

/// What is known of a machine at a moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Seen {
    /// Its state; `None`: nothing is known of it.
    pub state: Option<State>,
    /// Its mode; `None`: it has not said, and is taken to produce.
    pub mode: Option<Mode>,
}

impl Seen {
    /// Nothing is known.
    pub const NOTHING: Self = Self { state: None, mode: None };

    /// A state in production.
    #[must_use]
    pub const fn producing(state: State) -> Self {
        Self { state: Some(state), mode: Some(Mode::Production) }
    }
}

/// How the acting states around Execute count while an order is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StartUp {
    /// Starting, Resetting and Completing are the order's setup.
    #[default]
    Setup,
    /// They hold the order up.
    Delay,
}

/// How a unit's moments are counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counting {
    /// The acting states around Execute.
    pub start_up: StartUp,
    /// The unit works without orders: it counts as if it always had one.
    pub without_orders: bool,
}

/// Which time a moment belongs to. `reason` is what its reason says, given by a person or by the machine; it outranks the state.
///
/// What a machine makes in a break or outside its shift is production all the same, and the moment is then a part of PBT: so that APT is
/// never more than PBT.
#[must_use]
pub fn element(counting: Counting, seen: Seen, reason: Option<Element>, has_order: bool, planned: Planned) -> Element {
    let produces = seen.state == Some(State::Execute) && !matches!(seen.mode, Some(Mode::Maintenance | Mode::Manual));
    match planned {
        _ if produces && reason.is_none() => return Element::Production,
        Planned::Off => return Element::OffShift,
        Planned::Break | Planned::Maintenance => return Element::PlannedDown,
        Planned::Busy => {}
    }
    if let Some(element) = reason {
        return element;
    }
    let Some(state) = seen.state else { return Element::Unknown };
    let ordered = has_order || counting.without_orders;
    match (seen.mode, state) {
        // Servicing that nobody planned: it holds the order up, or keeps the unit from getting one.
        (Some(Mode::Maintenance | Mode::Manual), _) => {
            if ordered {
                Element::Delay
            } else {
                Element::Idle
            }
        }
        (_, State::Starting | State::Resetting | State::Completing) if ordered => match counting.start_up {
            StartUp::Setup => Element::Setup,
            StartUp::Delay => Element::Delay,
        },
        (_, State::Complete | State::Idle | State::Stopped) if !ordered => Element::Idle,
        _ if ordered => Element::Delay,
        _ => Element::Idle,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(seen: Seen, has_order: bool, planned: Planned) -> Element {
        element(Counting::default(), seen, None, has_order, planned)
    }

    #[test]
    fn a_state_counts_as_the_standard_says() {
        use State::*;
        let table = [
            (&[Execute][..], Element::Production, Element::Production),
            (&[Starting, Resetting, Completing], Element::Setup, Element::Idle),
            (
                &[
                    Holding,
                    Held,
                    Unholding,
                    Suspending,
                    Suspended,
                    Unsuspending,
                    Stopping,
                    Stopped,
                    Aborting,
                    Aborted,
                    Clearing,
                    Idle,
                    Complete,
                ],
                Element::Delay,
                Element::Idle,
            ),
        ];
        assert_eq!(table.iter().map(|(states, ..)| states.len()).sum::<usize>(), State::ALL.len());
        for (states, with_order, without) in table {
            for state in states {
                assert_eq!(counted(Seen::producing(*state), true, Planned::Busy), with_order, "{state} with an order");
                assert_eq!(counted(Seen::producing(*state), false, Planned::Busy), without, "{state} without an order");
            }
        }
    }

    #[test]
    fn what_is_not_known_is_never_taken_for_something() {
        assert_eq!(counted(Seen::NOTHING, true, Planned::Busy), Element::Unknown);
        assert_eq!(counted(Seen::NOTHING, false, Planned::Busy), Element::Unknown);
        assert_eq!(counted(Seen::NOTHING, true, Planned::Break), Element::PlannedDown);
        assert_eq!(counted(Seen::NOTHING, true, Planned::Off), Element::OffShift);
    }

    #[test]
    fn production_in_a_break_is_production() {
        let runs = Seen::producing(State::Execute);
        for planned in [Planned::Off, Planned::Break, Planned::Maintenance] {
            assert_eq!(counted(runs, true, planned), Element::Production);
            assert!(!counted(Seen::producing(State::Held), true, planned).is_busy());
        }
        let serviced = Seen { state: Some(State::Execute), mode: Some(Mode::Maintenance) };
        assert_eq!(counted(serviced, true, Planned::Maintenance), Element::PlannedDown);
        assert_eq!(counted(serviced, true, Planned::Busy), Element::Delay);
    }

    #[test]
    fn a_reason_outranks_the_state_and_the_calendar_outranks_the_reason() {
        let held = Seen::producing(State::Held);
        let with = |planned| element(Counting::default(), held, Some(Element::Setup), true, planned);
        assert_eq!(with(Planned::Busy), Element::Setup);
        assert_eq!(with(Planned::Break), Element::PlannedDown);
    }

    #[test]
    fn a_unit_without_orders_is_held_up_all_the_same() {
        let counting = Counting { without_orders: true, start_up: StartUp::Delay };
        assert_eq!(element(counting, Seen::producing(State::Stopped), None, false, Planned::Busy), Element::Delay);
        assert_eq!(element(counting, Seen::producing(State::Starting), None, false, Planned::Busy), Element::Delay);
    }
}
