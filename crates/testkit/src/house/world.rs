//! What the devices of the house share: the lamp takes its power through the plug, the leak ends when the valve closes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A moment of the replay: row `step` of the recordings.
pub(super) type Step = u64;

/// The leak of the story begins at this row and at every further multiple.
const LEAK_EVERY: Step = 900;
/// Nobody closed the valve: it dries by itself after this many rows.
const LEAK_LASTS: Step = 240;
/// After the valve is closed it takes this many rows to dry.
const DRIES_IN: Step = 10;

/// Shared between the devices' tasks; locked for a few instructions, never across a wait.
#[derive(Clone, Debug, Default)]
pub(super) struct World(Arc<Mutex<State>>);

#[derive(Debug)]
pub(super) struct State {
    /// What the lamp takes, in watts.
    pub(super) lamp_w: f64,
    /// Whether water flows to the kitchen.
    pub(super) valve_open: bool,
    /// Opened by hand from a test or the demo; the story goes on beside it.
    pub(super) door_held_open: bool,
    leak_since: Option<Step>,
    closed_since: Option<Step>,
}

impl Default for State {
    fn default() -> Self {
        Self { lamp_w: 0.0, valve_open: true, door_held_open: false, leak_since: None, closed_since: None }
    }
}

impl World {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        // Every change is a single assignment, so a panic elsewhere cannot have left it half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Water runs out, if the valve lets it.
    pub(super) const fn spill(&mut self, step: Step) {
        if self.valve_open && self.leak_since.is_none() {
            self.leak_since = Some(step);
        }
    }

    /// Whether there is water on the kitchen floor; moves the story on.
    pub(super) fn leaking(&mut self, step: Step) -> bool {
        if step > 0 && step.is_multiple_of(LEAK_EVERY) {
            self.spill(step);
        }
        self.closed_since = if self.valve_open { None } else { Some(self.closed_since.unwrap_or(step)) };
        let over = |since: Option<Step>, after: Step| since.is_some_and(|since| step.saturating_sub(since) >= after);
        if over(self.leak_since, LEAK_LASTS) || over(self.closed_since, DRIES_IN) {
            self.leak_since = None;
        }
        self.leak_since.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_the_valve_ends_the_leak() {
        let mut state = State::default();
        state.spill(5);
        assert!(state.leaking(6));
        state.valve_open = false;
        assert!(state.leaking(7));
        assert!(!state.leaking(7 + DRIES_IN));
        state.spill(30);
        assert!(!state.leaking(30), "no water comes through a closed valve");
    }
}
