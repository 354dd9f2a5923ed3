//! The states of a packaging machine, and which leads to which (PackML, ANSI/ISA-TR88.00.02; OPC 30050 1.01).
//!
//! The edges are a table that a machine may widen: the base model holds and suspends from Execute only, and completes by itself
//! only. [`Machine`] says which of the further edges of the OPC UA model a machine has, and which states a mode leaves out.
//!
//! A command that a state does not know is refused, never queued and never remembered.

use std::fmt;

/// A state of the machine, with its number on the wire (`StateCurrent`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
#[expect(missing_docs, reason = "the standard's names; what each is for stands in `kind` and in the table of edges")]
pub enum State {
    Clearing = 1,
    Stopped = 2,
    Starting = 3,
    Idle = 4,
    Suspended = 5,
    Execute = 6,
    Stopping = 7,
    Aborting = 8,
    Aborted = 9,
    Holding = 10,
    Held = 11,
    Unholding = 12,
    Suspending = 13,
    Unsuspending = 14,
    Resetting = 15,
    Completing = 16,
    Complete = 17,
}

/// Whether a state ends by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// The machine does something, and goes on when it is done.
    Acting,
    /// The machine rests until it is told.
    Wait,
}

impl State {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 17] = [
        Self::Clearing,
        Self::Stopped,
        Self::Starting,
        Self::Idle,
        Self::Suspended,
        Self::Execute,
        Self::Stopping,
        Self::Aborting,
        Self::Aborted,
        Self::Holding,
        Self::Held,
        Self::Unholding,
        Self::Suspending,
        Self::Unsuspending,
        Self::Resetting,
        Self::Completing,
        Self::Complete,
    ];

    /// The number on the wire, 1–17.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The state of a number. `None`: no machine is in it. 18 (Running) and 19 (Cleared) are containers of states in OPC UA, not states.
    #[must_use]
    pub fn from_number(number: i64) -> Option<Self> {
        usize::try_from(number).ok().and_then(|n| n.checked_sub(1)).and_then(|at| Self::ALL.get(at)).copied()
    }

    /// The standard's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Clearing => "Clearing",
            Self::Stopped => "Stopped",
            Self::Starting => "Starting",
            Self::Idle => "Idle",
            Self::Suspended => "Suspended",
            Self::Execute => "Execute",
            Self::Stopping => "Stopping",
            Self::Aborting => "Aborting",
            Self::Aborted => "Aborted",
            Self::Holding => "Holding",
            Self::Held => "Held",
            Self::Unholding => "Unholding",
            Self::Suspending => "Suspending",
            Self::Unsuspending => "Unsuspending",
            Self::Resetting => "Resetting",
            Self::Completing => "Completing",
            Self::Complete => "Complete",
        }
    }

    /// The state of a name, in any case; `Completed`, as the edition of 2022 is said to call it, is `Complete`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let is = |state: &Self| state.name().eq_ignore_ascii_case(name);
        Self::ALL.into_iter().find(is).or_else(|| name.eq_ignore_ascii_case("Completed").then_some(Self::Complete))
    }

    /// Whether it ends by itself. Execute is both: it acts, and its end leads to Completing.
    #[must_use]
    pub const fn kind(self) -> Kind {
        match self {
            Self::Stopped | Self::Idle | Self::Suspended | Self::Aborted | Self::Held | Self::Complete => Kind::Wait,
            _ => Kind::Acting,
        }
    }

    /// Where it leads when it is done (state complete, "SC"). `None`: a wait state, which is not done by itself.
    #[must_use]
    pub const fn completes_to(self) -> Option<Self> {
        Some(match self {
            Self::Clearing | Self::Stopping => Self::Stopped,
            Self::Starting | Self::Unholding | Self::Unsuspending => Self::Execute,
            Self::Execute => Self::Completing,
            Self::Aborting => Self::Aborted,
            Self::Holding => Self::Held,
            Self::Suspending => Self::Suspended,
            Self::Resetting => Self::Idle,
            Self::Completing => Self::Complete,
            Self::Stopped | Self::Idle | Self::Suspended | Self::Aborted | Self::Held | Self::Complete => return None,
        })
    }

    const fn bit(self) -> u32 {
        1 << self.number()
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a machine can be told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "the standard's names")]
pub enum Command {
    Reset,
    Start,
    Stop,
    Hold,
    Unhold,
    Suspend,
    Unsuspend,
    Abort,
    Clear,
    /// Execute is to end (`ToComplete` in OPC UA): only machines with [`Edges::complete_command`] know it, and it has no number in `CntrlCmd`.
    Complete,
}

impl Command {
    /// All of them; the first nine in the order of their numbers.
    pub const ALL: [Self; 10] = [
        Self::Reset,
        Self::Start,
        Self::Stop,
        Self::Hold,
        Self::Unhold,
        Self::Suspend,
        Self::Unsuspend,
        Self::Abort,
        Self::Clear,
        Self::Complete,
    ];

    /// The number in `CntrlCmd`, 1–9.
    #[must_use]
    pub const fn number(self) -> Option<u8> {
        Some(match self {
            Self::Reset => 1,
            Self::Start => 2,
            Self::Stop => 3,
            Self::Hold => 4,
            Self::Unhold => 5,
            Self::Suspend => 6,
            Self::Unsuspend => 7,
            Self::Abort => 8,
            Self::Clear => 9,
            Self::Complete => return None,
        })
    }

    /// The standard's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reset => "Reset",
            Self::Start => "Start",
            Self::Stop => "Stop",
            Self::Hold => "Hold",
            Self::Unhold => "Unhold",
            Self::Suspend => "Suspend",
            Self::Unsuspend => "Unsuspend",
            Self::Abort => "Abort",
            Self::Clear => "Clear",
            Self::Complete => "Complete",
        }
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Edges that the OPC UA model has and the base model has not.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Edges {
    /// Hold is also known in Starting, Unholding, Suspending, Suspended and Unsuspending.
    pub hold_while_under_way: bool,
    /// Execute can be told to complete.
    pub complete_command: bool,
}

impl Edges {
    /// The base model.
    pub const BASE: Self = Self { hold_while_under_way: false, complete_command: false };
    /// The model of OPC 30050 1.01.
    pub const OPC_UA: Self = Self { hold_while_under_way: true, complete_command: true };
}

/// States that every mode keeps.
const KEPT: u32 = State::Stopped.bit() | State::Execute.bit() | State::Aborting.bit() | State::Aborted.bit();

/// What one mode of a machine leaves out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LeftOut(u32);

impl LeftOut {
    /// Leaves these states out.
    ///
    /// # Errors
    /// A state that every mode keeps: Stopped, Execute, Aborting, Aborted; or one without which another leads nowhere, such as Held
    /// without Holding.
    pub fn of(states: &[State]) -> Result<Self, LeftOutError> {
        let out = Self(states.iter().fold(0, |bits, state| bits | state.bit()));
        if let Some(state) = states.iter().find(|state| KEPT & state.bit() != 0) {
            return Err(LeftOutError::Kept(*state));
        }
        // What is left out is passed over; a state that ends by itself must still lead somewhere. Execute need not end by itself.
        let machine = Machine { edges: Edges::BASE, left_out: out };
        let lost =
            |state: State| state.completes_to().filter(|next| machine.settle(*next).is_none() && !out.has(state));
        match State::ALL
            .into_iter()
            .filter(|state| *state != State::Execute)
            .find_map(|state| lost(state).map(|next| (state, next)))
        {
            Some((from, to)) => Err(LeftOutError::LeadsNowhere { from, to }),
            None => Ok(out),
        }
    }

    /// Whether the mode leaves this state out.
    #[must_use]
    pub const fn has(self, state: State) -> bool {
        self.0 & state.bit() != 0
    }
}

/// Why a mode cannot leave a state out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LeftOutError {
    /// Every mode keeps it.
    #[error("{0} is kept by every mode; leave it out of the list")]
    Kept(State),
    /// A state that stays leads to it.
    #[error("{from} leads to {to}, which is left out; leave {from} out as well, or keep {to}")]
    LeadsNowhere {
        /// The state that stays.
        from: State,
        /// The state that is left out.
        to: State,
    },
}

/// A command that the state does not know.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{command} is not known in {state}")]
pub struct Refused {
    /// What was to be done.
    pub command: Command,
    /// The state in which the machine stays.
    pub state: State,
}

/// The edges of one machine in one mode.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Machine {
    /// Beyond the base model.
    pub edges: Edges,
    /// What its present mode leaves out.
    pub left_out: LeftOut,
}

impl Machine {
    /// The state after a command.
    ///
    /// # Errors
    /// The state does not know the command, or it would lead to a state that the mode leaves out with all that follows it.
    pub fn command(self, state: State, command: Command) -> Result<State, Refused> {
        let refused = Refused { command, state };
        let next = self.edge(state, command).ok_or(refused)?;
        self.settle(next).filter(|next| *next != state).ok_or(refused)
    }

    /// The state after the present one is done. `None`: it rests.
    #[must_use]
    pub fn complete(self, state: State) -> Option<State> {
        state.completes_to().and_then(|next| self.settle(next))
    }

    /// Where a state leads when it, and those after it that the mode leaves out, are passed over.
    fn settle(self, mut state: State) -> Option<State> {
        while self.left_out.has(state) {
            state = state.completes_to()?;
        }
        Some(state)
    }

    fn edge(self, state: State, command: Command) -> Option<State> {
        use State::{
            Aborted, Aborting, Clearing, Complete, Completing, Execute, Held, Holding, Idle, Resetting, Starting,
            Stopped, Stopping, Suspended, Suspending, Unholding, Unsuspending,
        };
        match (command, state) {
            (Command::Reset, Stopped | Complete) => Some(Resetting),
            (Command::Start, Idle) => Some(Starting),
            (Command::Stop, Clearing | Stopped | Stopping | Aborting | Aborted) => None,
            (Command::Stop, _) => Some(Stopping),
            (Command::Hold, Execute) => Some(Holding),
            (Command::Hold, Starting | Unholding | Suspending | Suspended | Unsuspending)
                if self.edges.hold_while_under_way =>
            {
                Some(Holding)
            }
            (Command::Unhold, Held) => Some(Unholding),
            (Command::Suspend, Execute) => Some(Suspending),
            (Command::Unsuspend, Suspended) => Some(Unsuspending),
            (Command::Abort, Aborting | Aborted) => None,
            (Command::Abort, _) => Some(Aborting),
            (Command::Clear, Aborted) => Some(Clearing),
            (Command::Complete, Execute) if self.edges.complete_command => Some(Completing),
            _ => None,
        }
    }
}

/// What a machine is used for at present, with its number on the wire (`UnitModeCurrent`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Mode {
    /// 1: it makes products.
    Production,
    /// 2: it is serviced.
    Maintenance,
    /// 3: a person moves single parts of it.
    Manual,
    /// 4–31: what the machine's maker says.
    User(u8),
}

impl Mode {
    /// The mode of a number; `None`: 0, which is said to be invalid, or beyond 31.
    #[must_use]
    pub fn from_number(number: i64) -> Option<Self> {
        Some(match number {
            1 => Self::Production,
            2 => Self::Maintenance,
            3 => Self::Manual,
            4..=31 => Self::User(u8::try_from(number).ok()?),
            _ => return None,
        })
    }

    /// The number on the wire, 1–31.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Production => 1,
            Self::Maintenance => 2,
            Self::Manual => 3,
            Self::User(number) => number,
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Production => f.write_str("Production"),
            Self::Maintenance => f.write_str("Maintenance"),
            Self::Manual => f.write_str("Manual"),
            Self::User(number) => write!(f, "mode {number}"),
        }
    }
}

#[cfg(test)]
mod tests;
