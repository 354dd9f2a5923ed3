//! The state machine of one alarm. Pure: no clock, no I/O; time comes in with each call.
//!
//! Two parts that meet in [`AlarmState`]: whether the condition holds (limits, deadband, delays, silence), and what a
//! person has done about it (ISA-18.2-2016 §5.4, IEC 62682:2022 §5.4):
//!
//! ```text
//!                     raised                         acknowledged
//!        Normal ───────────────► Unacknowledged ────────────────► Acknowledged
//!          ▲ ▲                     │        ▲                           │
//!          │ │            returned ▼        │ raised                    │ returned
//!          │ └─────── ReturnedToNormalUnacknowledged                    │
//!          │ acknowledged                                               │
//!          └────────────────────────────────────────────────────────────┘
//! ```
//!
//! **Invariants**
//! - `Acknowledged` is only ever reached by an acknowledgement.
//! - A bad or missing value changes nothing about a limit or a state: what is not known neither raises nor returns.
//!   Not knowing is what a `silent` alarm is for.
//! - Time is a [`Duration`] since a fixed point, from a clock that never goes back; a step of the wall clock cannot
//!   cut a delay short.

use andon_model::event::AlarmState;
use andon_model::plant::{AlarmDef, Condition};
use andon_model::{StatusCode, Value};
use std::time::Duration;

/// What moves an alarm from state to state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cause {
    /// The condition has held for the on-delay.
    Raised,
    /// The condition has been gone for the off-delay.
    Returned,
    /// A person has seen it.
    Acknowledged,
    /// The alarm was taken out of the plant model.
    Removed,
}

/// The state after `cause`; `None` when it changes nothing.
#[must_use]
pub const fn step(state: AlarmState, cause: Cause) -> Option<AlarmState> {
    use AlarmState::{Acknowledged, Normal, ReturnedToNormalUnacknowledged, Unacknowledged};
    match (state, cause) {
        (Normal | ReturnedToNormalUnacknowledged, Cause::Raised) => Some(Unacknowledged),
        (Unacknowledged, Cause::Returned) => Some(ReturnedToNormalUnacknowledged),
        (Unacknowledged, Cause::Acknowledged) => Some(Acknowledged),
        (Acknowledged, Cause::Returned) | (ReturnedToNormalUnacknowledged, Cause::Acknowledged) => Some(Normal),
        (Normal, Cause::Removed) => None,
        (_, Cause::Removed) => Some(Normal),
        _ => None,
    }
}

/// True while the process is abnormal.
#[must_use]
pub const fn is_active(state: AlarmState) -> bool {
    matches!(state, AlarmState::Unacknowledged | AlarmState::Acknowledged)
}

/// A step of the machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Transition {
    /// When it was due: the end of the delay, not when somebody looked.
    pub at: Duration,
    /// The state before.
    pub from: AlarmState,
    /// The state after.
    pub to: AlarmState,
    /// Why.
    pub cause: Cause,
}

/// When an alarm is raised and when it returns.
#[derive(Clone, PartialEq, Debug)]
pub struct Rule {
    condition: Condition,
    on_delay: Duration,
    off_delay: Duration,
}

impl Rule {
    /// The rule of an alarm of the plant model.
    #[must_use]
    pub fn of(alarm: &AlarmDef) -> Self {
        Self {
            condition: alarm.condition.clone(),
            on_delay: Duration::from_millis(alarm.on_delay_ms),
            off_delay: Duration::from_millis(alarm.off_delay_ms),
        }
    }

    const fn silent_after(&self) -> Option<Duration> {
        match self.condition {
            Condition::Silent { after_ms } => Some(Duration::from_millis(after_ms)),
            _ => None,
        }
    }

    /// Whether this value, known to be good, asks for a change: to raise when not `active`, to return when it is.
    fn asks_for_change(&self, active: bool, value: &Value) -> Option<bool> {
        if self.silent_after().is_some() {
            return Some(active); // Any good word ends the silence, whatever it says.
        }
        let number = value.as_f64()?;
        Some(match (&self.condition, active) {
            (Condition::High { limit, .. }, false) => number >= *limit,
            (Condition::High { limit, deadband }, true) => number < limit - deadband,
            (Condition::Low { limit, .. }, false) => number <= *limit,
            (Condition::Low { limit, deadband }, true) => number > limit + deadband,
            (Condition::State { equals }, active) => is_state(value, *equals) != active,
            (Condition::Silent { .. }, _) => return None,
        })
    }
}

#[expect(clippy::cast_precision_loss, reason = "states are small whole numbers")]
fn is_state(value: &Value, equals: i64) -> bool {
    match value {
        Value::Int64(number) => *number == equals,
        Value::Boolean(on) => i64::from(*on) == equals,
        Value::Double(number) => *number == equals as f64,
        Value::String(_) | Value::Null => false,
    }
}

/// One alarm.
#[derive(Clone, Debug)]
pub struct Machine {
    rule: Rule,
    state: AlarmState,
    /// Since when the value asks for a change, without a break.
    asking_since: Option<Duration>,
    /// When the device last said something good; at first, when we began to listen.
    heard: Duration,
    /// The latest time seen.
    now: Duration,
}

impl Machine {
    /// An alarm that begins to watch at `now`, in `state`.
    #[must_use]
    pub const fn new(rule: Rule, state: AlarmState, now: Duration) -> Self {
        Self { rule, state, asking_since: None, heard: now, now }
    }

    /// The state.
    #[must_use]
    pub const fn state(&self) -> AlarmState {
        self.state
    }

    /// Takes over a state that was recorded elsewhere: after a restart, or when a step could not be recorded.
    pub const fn set_state(&mut self, state: AlarmState) {
        self.state = state;
    }

    /// Takes a changed rule; delays begin anew.
    pub fn set_rule(&mut self, rule: Rule) {
        self.rule = rule;
        self.asking_since = None;
    }

    /// A sample at time `at` (an earlier time than one seen before counts as that one). Gives the steps that were due
    /// before it, and those it causes.
    pub fn feed(&mut self, at: Duration, value: &Value, quality: StatusCode) -> Vec<Transition> {
        let at = at.max(self.now);
        let mut steps = self.tick(at);
        let asks = if quality.is_bad() { None } else { self.rule.asks_for_change(is_active(self.state), value) };
        if self.rule.silent_after().is_some_and(|after| self.heard + after <= at) {
            self.asking_since = None; // It was silent in between: the off-delay begins anew.
        }
        if !quality.is_bad() {
            self.heard = at;
        }
        self.asking_since = if asks == Some(true) { self.asking_since.or(Some(at)) } else { None };
        steps.extend(self.tick(at));
        steps
    }

    /// The device has said something that is not news: only its silence is over.
    pub fn hear(&mut self, at: Duration) -> Vec<Transition> {
        if self.rule.silent_after().is_some() { self.feed(at, &Value::Null, StatusCode::GOOD) } else { Vec::new() }
    }

    /// Time has come to `now`: gives the steps whose delays have ended.
    pub fn tick(&mut self, now: Duration) -> Vec<Transition> {
        self.now = self.now.max(now);
        let mut steps = Vec::new();
        while let Some(due) = self.deadline().filter(|due| *due <= self.now) {
            let cause = if is_active(self.state) { Cause::Returned } else { Cause::Raised };
            self.asking_since = None;
            steps.extend(self.go(due, cause));
        }
        steps
    }

    /// When the next step is due if nothing is heard until then; `None`: never.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        match (self.rule.silent_after(), is_active(self.state)) {
            (Some(after), false) => Some(self.heard + after + self.rule.on_delay),
            // Silent again before the off-delay has ended: it has not returned.
            (Some(after), true) => {
                self.asking_since.map(|since| since + self.rule.off_delay).filter(|due| *due < self.heard + after)
            }
            (None, false) => self.asking_since.map(|since| since + self.rule.on_delay),
            (None, true) => self.asking_since.map(|since| since + self.rule.off_delay),
        }
    }

    /// A person has seen it; `None` when there is nothing to acknowledge.
    pub fn acknowledge(&mut self, at: Duration) -> Option<Transition> {
        self.go(at.max(self.now), Cause::Acknowledged)
    }

    /// It was taken out of the plant model; `None` when it was normal.
    pub fn remove(&mut self, at: Duration) -> Option<Transition> {
        self.go(at.max(self.now), Cause::Removed)
    }

    fn go(&mut self, at: Duration, cause: Cause) -> Option<Transition> {
        let (from, to) = (self.state, step(self.state, cause)?);
        self.state = to;
        Some(Transition { at, from, to, cause })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use andon_model::TagPath;
    use proptest::prelude::*;

    /// An alarm under test and what it has done.
    struct Desk {
        machine: Machine,
        steps: Vec<Transition>,
    }

    /// From words such as `high 80, deadband 2, on-delay 2 s, off-delay 5 s`, `state 3`, `silent 10 s`.
    fn alarm(words: &str) -> Desk {
        let mut numbers = std::collections::HashMap::new();
        for part in words.split(',') {
            let mut words = part.split_whitespace();
            let key = words.next().expect("a word");
            numbers.insert(key, words.next().and_then(|number| number.parse::<f64>().ok()).expect("a number"));
        }
        let number = |key: &str| numbers.get(key).copied();
        let millis = |key: &str| (number(key).unwrap_or(0.0) * 1000.0) as u64;
        let deadband = number("deadband").unwrap_or(0.0);
        let condition = match (number("high"), number("low"), number("state")) {
            (Some(limit), ..) => Condition::High { limit, deadband },
            (_, Some(limit), _) => Condition::Low { limit, deadband },
            (.., Some(equals)) => Condition::State { equals: equals as i64 },
            _ => Condition::Silent { after_ms: millis("silent") },
        };
        let def = AlarmDef {
            name: "m/t:x".to_owned(),
            tag: TagPath::parse("m/t").expect("a good path"),
            condition,
            on_delay_ms: millis("on-delay"),
            off_delay_ms: millis("off-delay"),
            priority: 2,
            message: String::new(),
            cause: String::new(),
            consequence: String::new(),
            action: String::new(),
        };
        Desk { machine: Machine::new(Rule::of(&def), AlarmState::Normal, Duration::ZERO), steps: Vec::new() }
    }

    impl Desk {
        /// Each entry a time and a value, `bad`, `null`, `ack` or `wait`; gives the journal.
        fn feed(mut self, script: &str) -> String {
            for entry in script.split(',') {
                let (time, word) = entry.trim().split_once(' ').expect("a time and a word");
                let at = Duration::from_secs_f64(time.trim_end_matches('s').parse().expect("seconds"));
                let steps = match word {
                    "wait" => self.machine.tick(at),
                    "ack" => self.machine.acknowledge(at).into_iter().collect(),
                    "null" => self.machine.feed(at, &Value::Null, StatusCode::GOOD),
                    "bad" => self.machine.feed(at, &Value::Null, StatusCode::BAD_NO_COMMUNICATION),
                    number => {
                        let value = Value::Double(number.parse().expect("a number"));
                        self.machine.feed(at, &value, StatusCode::GOOD)
                    }
                };
                self.steps.extend(steps);
            }
            let show = |step: &Transition| format!("{}s {:?}", step.at.as_secs_f64(), step.to);
            self.steps.iter().map(show).collect::<Vec<_>>().join(", ")
        }
    }

    #[test]
    fn is_raised_at_the_limit_and_returns_below_the_deadband() {
        let journal = alarm("high 80, deadband 2").feed("0s 79.9, 1s 80, 2s 78.5, 3s 78, 4s 77.9");
        insta::assert_snapshot!(journal, @"1s Unacknowledged, 4s ReturnedToNormalUnacknowledged");
        let journal = alarm("low 5, deadband 1").feed("0s 5.1, 1s 5, 2s 6, 3s 6.1");
        insta::assert_snapshot!(journal, @"1s Unacknowledged, 3s ReturnedToNormalUnacknowledged");
    }

    #[test]
    fn clears_only_after_the_off_delay() {
        let journal = alarm("high 80, off-delay 5 s").feed("0s 79, 1s 81, 4s 78, 10s 78");
        insta::assert_snapshot!(journal, @"1s Unacknowledged, 9s ReturnedToNormalUnacknowledged");
    }

    #[test]
    fn is_raised_only_after_the_on_delay_and_at_its_end() {
        let journal = alarm("high 80, on-delay 3 s").feed("0s 81, 2s 79, 3s 81, 5.9s 82, 8s wait");
        insta::assert_snapshot!(journal, @"6s Unacknowledged");
    }

    #[test]
    fn acknowledged_while_active_it_returns_to_normal_by_itself() {
        let journal = alarm("high 80").feed("1s 81, 2s ack, 3s 79, 4s 81");
        insta::assert_snapshot!(journal, @"1s Unacknowledged, 2s Acknowledged, 3s Normal, 4s Unacknowledged");
    }

    #[test]
    fn returned_but_not_acknowledged_it_waits_for_a_person() {
        let journal = alarm("high 80").feed("1s 81, 2s 79, 3s ack, 4s ack");
        insta::assert_snapshot!(journal, @"1s Unacknowledged, 2s ReturnedToNormalUnacknowledged, 3s Normal");
    }

    #[test]
    fn is_raised_again_while_it_waits_for_a_person() {
        let journal = alarm("high 80").feed("1s 81, 2s 79, 3s 81, 4s ack");
        insta::assert_snapshot!(journal, @"1s Unacknowledged, 2s ReturnedToNormalUnacknowledged, 3s Unacknowledged, 4s Acknowledged");
    }

    #[test]
    fn bad_and_missing_values_neither_raise_nor_return() {
        let journal = alarm("high 80").feed("1s 81, 2s bad, 3s null, 4s 79");
        insta::assert_snapshot!(journal, @"1s Unacknowledged, 4s ReturnedToNormalUnacknowledged");
        let journal = alarm("high 80, on-delay 5 s").feed("0s 81, 3s bad, 6s wait, 7s 81, 11s wait, 12s wait");
        insta::assert_snapshot!(journal, @"12s Unacknowledged");
        let journal = alarm("high 80, off-delay 5 s").feed("0s 81, 1s 79, 3s bad, 9s 79, 15s wait");
        insta::assert_snapshot!(journal, @"0s Unacknowledged, 14s ReturnedToNormalUnacknowledged");
    }

    #[test]
    fn a_state_is_an_alarm_while_it_lasts() {
        let journal = alarm("state 3").feed("0s 2, 1s 3, 2s 3, 3s 2");
        insta::assert_snapshot!(journal, @"1s Unacknowledged, 3s ReturnedToNormalUnacknowledged");
    }

    #[test]
    fn a_device_is_silent_without_samples_or_with_bad_ones() {
        let journal = alarm("silent 10 s").feed("3s 1, 12.9s wait, 13s wait, 20s 1");
        insta::assert_snapshot!(journal, @"13s Unacknowledged, 20s ReturnedToNormalUnacknowledged");
        let journal = alarm("silent 10 s").feed("3s 1, 8s bad, 12s bad, 16s bad");
        insta::assert_snapshot!(journal, @"13s Unacknowledged");
        let journal = alarm("silent 10 s").feed("9s wait, 11s wait");
        insta::assert_snapshot!(journal, @"10s Unacknowledged");
    }

    #[test]
    fn a_word_followed_by_silence_does_not_end_a_silence_with_an_off_delay() {
        let journal =
            alarm("silent 2 s, off-delay 5 s").feed("2s wait, 3s 1, 9s wait, 10s 1, 11.5s 1, 13s 1, 14.5s 1, 15s wait");
        insta::assert_snapshot!(journal, @"2s Unacknowledged, 15s ReturnedToNormalUnacknowledged");
    }

    #[test]
    fn a_time_that_goes_back_counts_as_the_latest_one() {
        let journal = alarm("high 80, on-delay 5 s").feed("10s 81, 4s 81, 14s wait, 15s wait");
        insta::assert_snapshot!(journal, @"15s Unacknowledged");
    }

    #[derive(Clone, Debug)]
    enum Input {
        Value(i32),
        Bad,
        Wait,
        Acknowledge,
    }

    fn any_script() -> impl Strategy<Value = Vec<(u64, Input)>> {
        let input = prop_oneof![
            4 => (70..90).prop_map(Input::Value),
            1 => Just(Input::Bad),
            1 => Just(Input::Wait),
            1 => Just(Input::Acknowledge),
        ];
        prop::collection::vec((0_u64..4000, input), 0..60)
    }

    fn any_alarm() -> impl Strategy<Value = &'static str> {
        prop::sample::select(vec![
            "high 80",
            "high 80, deadband 3, on-delay 2 s, off-delay 5 s",
            "low 80, deadband 3, on-delay 1 s",
            "state 80, off-delay 3 s",
            "silent 3 s, on-delay 1 s, off-delay 1 s",
        ])
    }

    /// Runs a script with each entry `times` over.
    fn run(words: &str, script: &[(u64, Input)], times: usize) -> (AlarmState, Vec<Transition>) {
        let (mut machine, mut at, mut steps) = (alarm(words).machine, Duration::ZERO, Vec::new());
        for (after_ms, input) in script {
            at += Duration::from_millis(*after_ms);
            for _ in 0..times {
                match input {
                    Input::Value(value) => {
                        steps.extend(machine.feed(at, &Value::Double(f64::from(*value)), StatusCode::GOOD))
                    }
                    Input::Bad => steps.extend(machine.feed(at, &Value::Null, StatusCode::BAD)),
                    Input::Wait => steps.extend(machine.tick(at)),
                    Input::Acknowledge => {
                        steps.extend(machine.tick(at));
                        steps.extend(machine.acknowledge(at));
                    }
                }
            }
        }
        (machine.state(), steps)
    }

    proptest! {
        #[test]
        fn equal_events_make_one_alarm(words in any_alarm(), script in any_script()) {
            prop_assert_eq!(run(words, &script, 1), run(words, &script, 3));
        }

        #[test]
        fn acknowledged_is_only_reached_by_a_person(words in any_alarm(), script in any_script()) {
            for step in run(words, &script, 1).1 {
                prop_assert!(step.to != AlarmState::Acknowledged || step.cause == Cause::Acknowledged);
            }
        }

        #[test]
        fn the_state_is_the_fold_of_its_steps(words in any_alarm(), script in any_script()) {
            let (state, steps) = run(words, &script, 1);
            let mut replayed = AlarmState::Normal;
            for pair in steps.windows(2) {
                prop_assert!(pair[0].at <= pair[1].at, "in order of time");
            }
            for transition in steps {
                prop_assert_eq!(transition.from, replayed);
                replayed = step(replayed, transition.cause).expect("a step that the table knows");
                prop_assert_eq!(transition.to, replayed);
            }
            prop_assert_eq!(replayed, state);
        }

        #[test]
        fn when_somebody_looks_changes_nothing(words in any_alarm(), script in any_script(), looks in prop::collection::vec(0_u64..4000, 60)) {
            let mut often = Vec::new();
            for ((after_ms, input), look) in script.iter().zip(looks) {
                let look = look.min(*after_ms);
                often.push((look, Input::Wait));
                often.push((after_ms - look, input.clone()));
            }
            prop_assert_eq!(run(words, &script, 1), run(words, &often, 1));
        }
    }
}
