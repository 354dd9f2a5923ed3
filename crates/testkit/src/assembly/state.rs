//! The states of a station, with the numbers of PackML (ISA-TR88.00.02), and why it is not at work.

/// What a station is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum State {
    /// The fault is being cleared.
    Clearing = 1,
    /// Off.
    Stopped = 2,
    /// Coming up; also being set up for another product.
    Starting = 3,
    /// Ready, with nothing to do.
    Idle = 4,
    /// It waits for its neighbours.
    Suspended = 5,
    /// At work.
    Execute = 6,
    /// Going off.
    Stopping = 7,
    /// Going off at once.
    Aborting = 8,
    /// Off for its safety.
    Aborted = 9,
    /// Going to hold.
    Holding = 10,
    /// It has a fault of its own.
    Held = 11,
    /// Coming back from a fault.
    Unholding = 12,
    /// Going to wait.
    Suspending = 13,
    /// Coming back from waiting.
    Unsuspending = 14,
    /// Making itself ready.
    Resetting = 15,
    /// Ending what it was doing.
    Completing = 16,
    /// Done.
    Complete = 17,
}

impl State {
    /// The number on the wire.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// Where the state leads when its time is over. A station of this line resets and clears itself, as if somebody
    /// stood beside it. `None`: it stays until something happens.
    pub(super) const fn then(self) -> Option<Self> {
        Some(match self {
            Self::Clearing | Self::Stopping => Self::Stopped,
            Self::Stopped | Self::Complete => Self::Resetting,
            Self::Starting | Self::Unholding | Self::Unsuspending => Self::Execute,
            Self::Aborting => Self::Aborted,
            Self::Aborted => Self::Clearing,
            Self::Holding => Self::Held,
            Self::Held => Self::Unholding,
            Self::Suspending => Self::Suspended,
            Self::Resetting => Self::Idle,
            Self::Completing => Self::Complete,
            Self::Idle | Self::Suspended | Self::Execute => return None,
        })
    }
}

/// Why a station is not at work.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reason {
    /// It is at work, or has nothing to do.
    Nothing,
    /// No unit comes.
    Starved,
    /// The place behind it is taken.
    Blocked,
    /// The next lot of valves has not been delivered.
    NoValves,
    /// It is being set up for another product.
    Changeover,
    /// A screw got stuck in the screwdriver.
    ScrewJam,
    /// The vacuum pump does not reach its pressure.
    VacuumPump,
    /// The test adapter has no contact.
    TestAdapter,
    /// The strapping band tore.
    StrappingBand,
    /// Somebody opened the guard.
    GuardOpen,
    /// What it would tell of a unit could not be kept, so it begins none.
    NoRecord,
}

impl Reason {
    /// What the station says.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Nothing => "",
            Self::Starved => "STARVED",
            Self::Blocked => "BLOCKED",
            Self::NoValves => "NO-VALVES",
            Self::Changeover => "CHANGEOVER",
            Self::ScrewJam => "SCREW-JAM",
            Self::VacuumPump => "VACUUM-PUMP",
            Self::TestAdapter => "TEST-ADAPTER",
            Self::StrappingBand => "STRAPPING-BAND",
            Self::GuardOpen => "GUARD-OPEN",
            Self::NoRecord => "NO-RECORD",
        }
    }
}
