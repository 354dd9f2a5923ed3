//! The states of a job order, and which leads to which (OPC 10031-4, ISA-95 job control; B2MML's states beside them).
//!
//! A transition is in the table of [`JobState::after`] or it does not happen. What a refused trigger could have been is told.

use serde::{Deserialize, Serialize};
use std::fmt;

/// How far a job is prepared before it begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
pub enum Prepared {
    /// Something that it needs is missing.
    Waiting,
    /// All that it needs is there.
    Ready,
    /// It stands on the machine.
    Loaded,
}

/// Why a job is interrupted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
pub enum Interruption {
    /// The cause is inside the machine.
    Held,
    /// The cause is outside.
    Suspended,
}

/// How a job has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
pub enum Ending {
    /// It is done; what was made can still be put right.
    Completed,
    /// Nothing of it changes any more.
    Closed,
}

/// The state of a job order.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
pub enum JobState {
    /// It is known, and must not begin.
    NotAllowedToStart(Prepared),
    /// It may begin.
    AllowedToStart(Prepared),
    /// The equipment works on it.
    Running,
    /// The equipment has stopped and is to go on.
    Interrupted(Interruption),
    /// It has ended as it should, or was stopped.
    Ended(Ending),
    /// It was given up.
    Aborted,
}

/// What happens to a job order.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
pub enum Trigger {
    /// It is allowed to start.
    Start,
    /// It is not allowed to start any more.
    RevokeStart,
    /// Its content is replaced before it begins.
    Update,
    /// It is prepared so far.
    Prepare(Prepared),
    /// The equipment begins.
    Begin,
    /// The equipment stops, to go on later.
    Pause(Interruption),
    /// The cause of an interruption has changed.
    Attribute(Interruption),
    /// The equipment goes on.
    Resume,
    /// It ends as it is.
    Stop,
    /// It is given up.
    Abort,
    /// What was made is final.
    Close,
}

/// How a job order comes into being.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stored {
    /// It waits for its release (`Store`).
    Only,
    /// It may begin at once (`StoreAndStart`).
    AndStart,
}

impl JobState {
    /// The state of a new job order.
    #[must_use]
    pub const fn new(stored: Stored) -> Self {
        match stored {
            Stored::Only => Self::NotAllowedToStart(Prepared::Waiting),
            Stored::AndStart => Self::AllowedToStart(Prepared::Waiting),
        }
    }

    /// The state after a trigger.
    ///
    /// # Errors
    /// The table has no such transition.
    pub const fn after(self, trigger: Trigger) -> Result<Self, NotNow> {
        Ok(match (self, trigger) {
            (Self::NotAllowedToStart(prepared), Trigger::Start) => Self::AllowedToStart(prepared),
            (Self::AllowedToStart(prepared), Trigger::RevokeStart) => Self::NotAllowedToStart(prepared),
            (Self::NotAllowedToStart(_) | Self::AllowedToStart(_), Trigger::Update) => self,
            (Self::NotAllowedToStart(from), Trigger::Prepare(to)) if from.leads_to(to) => Self::NotAllowedToStart(to),
            (Self::AllowedToStart(from), Trigger::Prepare(to)) if from.leads_to(to) => Self::AllowedToStart(to),
            (Self::AllowedToStart(_), Trigger::Begin) => Self::Running,
            (Self::Running, Trigger::Pause(why)) => Self::Interrupted(why),
            (Self::Interrupted(Interruption::Held), Trigger::Attribute(Interruption::Suspended)) => {
                Self::Interrupted(Interruption::Suspended)
            }
            (Self::Interrupted(Interruption::Suspended), Trigger::Attribute(Interruption::Held)) => {
                Self::Interrupted(Interruption::Held)
            }
            (Self::Interrupted(_), Trigger::Resume) => Self::Running,
            (Self::Running | Self::Interrupted(_), Trigger::Stop) => Self::Ended(Ending::Completed),
            (
                Self::NotAllowedToStart(_) | Self::AllowedToStart(_) | Self::Running | Self::Interrupted(_),
                Trigger::Abort,
            ) => Self::Aborted,
            (Self::Ended(Ending::Completed), Trigger::Close) => Self::Ended(Ending::Closed),
            _ => return Err(NotNow { state: self, trigger }),
        })
    }

    /// Whether nothing leads out of it.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Ended(Ending::Closed) | Self::Aborted)
    }

    /// Whether an order in this state stands on its equipment: it has begun and not ended.
    #[must_use]
    pub const fn is_under_way(self) -> bool {
        matches!(self, Self::Running | Self::Interrupted(_))
    }

    /// The words for it, state and sub-state, in the standard's spelling.
    #[must_use]
    pub const fn words(self) -> (&'static str, Option<&'static str>) {
        match self {
            Self::NotAllowedToStart(prepared) => ("NotAllowedToStart", Some(prepared.word())),
            Self::AllowedToStart(prepared) => ("AllowedToStart", Some(prepared.word())),
            Self::Running => ("Running", None),
            Self::Interrupted(Interruption::Held) => ("Interrupted", Some("Held")),
            Self::Interrupted(Interruption::Suspended) => ("Interrupted", Some("Suspended")),
            Self::Ended(Ending::Completed) => ("Ended", Some("Completed")),
            Self::Ended(Ending::Closed) => ("Ended", Some("Closed")),
            Self::Aborted => ("Aborted", None),
        }
    }

    /// The other way from [`JobState::words`].
    #[must_use]
    pub fn from_words(state: &str, substate: Option<&str>) -> Option<Self> {
        Self::all().find(|known| known.words() == (state, substate))
    }

    /// Every state there is.
    pub fn all() -> impl Iterator<Item = Self> {
        let prepared = [Prepared::Waiting, Prepared::Ready, Prepared::Loaded];
        let before = prepared
            .into_iter()
            .flat_map(|prepared| [Self::NotAllowedToStart(prepared), Self::AllowedToStart(prepared)]);
        before.chain([
            Self::Running,
            Self::Interrupted(Interruption::Held),
            Self::Interrupted(Interruption::Suspended),
            Self::Ended(Ending::Completed),
            Self::Ended(Ending::Closed),
            Self::Aborted,
        ])
    }
}

impl Prepared {
    /// Waiting and Ready, Ready and Loaded lead to each other; what is taken off the machine may wait again.
    const fn leads_to(self, to: Self) -> bool {
        matches!(
            (self, to),
            (Self::Waiting, Self::Ready)
                | (Self::Ready, Self::Waiting | Self::Loaded)
                | (Self::Loaded, Self::Ready | Self::Waiting)
        )
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Waiting => "Waiting",
            Self::Ready => "Ready",
            Self::Loaded => "Loaded",
        }
    }
}

impl Trigger {
    /// Every trigger there is.
    pub fn all() -> impl Iterator<Item = Self> {
        let prepare = [Prepared::Waiting, Prepared::Ready, Prepared::Loaded].map(Self::Prepare);
        let pause = [Interruption::Held, Interruption::Suspended];
        [Self::Start, Self::RevokeStart, Self::Update, Self::Begin, Self::Resume, Self::Stop, Self::Abort, Self::Close]
            .into_iter()
            .chain(prepare)
            .chain(pause.into_iter().flat_map(|why| [Self::Pause(why), Self::Attribute(why)]))
    }

    /// What a person would call it.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Start => "allow to start",
            Self::RevokeStart => "revoke the release",
            Self::Update => "change",
            Self::Prepare(Prepared::Waiting) => "set to waiting",
            Self::Prepare(Prepared::Ready) => "set to ready",
            Self::Prepare(Prepared::Loaded) => "load",
            Self::Begin => "begin",
            Self::Pause(Interruption::Held) => "hold",
            Self::Pause(Interruption::Suspended) => "suspend",
            Self::Attribute(Interruption::Held) => "attribute to the machine",
            Self::Attribute(Interruption::Suspended) => "attribute to its neighbours",
            Self::Resume => "resume",
            Self::Stop => "stop",
            Self::Abort => "abort",
            Self::Close => "close",
        }
    }
}

impl fmt::Display for JobState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.words() {
            (state, Some(sub)) => write!(f, "{state} ({sub})"),
            (state, None) => f.write_str(state),
        }
    }
}

/// A trigger that the state of a job order does not know.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub struct NotNow {
    /// The state, which stays.
    pub state: JobState,
    /// What was to happen.
    pub trigger: Trigger,
}

impl fmt::Display for NotNow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a job order that is {} has no \"{}\"", self.state, self.trigger.words())?;
        let mut known = Trigger::all().filter(|trigger| self.state.after(*trigger).is_ok()).map(Trigger::words);
        match known.next() {
            None => f.write_str("; nothing leads out of that state"),
            Some(first) => {
                write!(f, "; it has {first}")?;
                known.try_for_each(|next| write!(f, ", {next}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// All transitions, one a line, written down a second time so that the code can be wrong.
    const TABLE: &str = "
        NotAllowedToStart (Waiting): allow to start -> AllowedToStart (Waiting); change; abort -> Aborted; set to ready -> NotAllowedToStart (Ready)
        NotAllowedToStart (Ready): allow to start -> AllowedToStart (Ready); change; abort -> Aborted; set to waiting -> NotAllowedToStart (Waiting); load -> NotAllowedToStart (Loaded)
        NotAllowedToStart (Loaded): allow to start -> AllowedToStart (Loaded); change; abort -> Aborted; set to waiting -> NotAllowedToStart (Waiting); set to ready -> NotAllowedToStart (Ready)
        AllowedToStart (Waiting): revoke the release -> NotAllowedToStart (Waiting); change; begin -> Running; abort -> Aborted; set to ready -> AllowedToStart (Ready)
        AllowedToStart (Ready): revoke the release -> NotAllowedToStart (Ready); change; begin -> Running; abort -> Aborted; set to waiting -> AllowedToStart (Waiting); load -> AllowedToStart (Loaded)
        AllowedToStart (Loaded): revoke the release -> NotAllowedToStart (Loaded); change; begin -> Running; abort -> Aborted; set to waiting -> AllowedToStart (Waiting); set to ready -> AllowedToStart (Ready)
        Running: stop -> Ended (Completed); abort -> Aborted; hold -> Interrupted (Held); suspend -> Interrupted (Suspended)
        Interrupted (Held): resume -> Running; stop -> Ended (Completed); abort -> Aborted; attribute to its neighbours -> Interrupted (Suspended)
        Interrupted (Suspended): resume -> Running; stop -> Ended (Completed); abort -> Aborted; attribute to the machine -> Interrupted (Held)
        Ended (Completed): close -> Ended (Closed)
        Ended (Closed):
        Aborted:";

    #[test]
    fn a_job_order_changes_by_its_table_and_in_no_other_way() {
        let line = |state: JobState| {
            let known = Trigger::all().filter_map(|trigger| state.after(trigger).ok().map(|to| (trigger, to)));
            let known: Vec<_> = known
                .map(
                    |(trigger, to)| {
                        if to == state { trigger.words().to_owned() } else { format!("{} -> {to}", trigger.words()) }
                    },
                )
                .collect();
            format!("{state}: {}", known.join("; ")).trim_end().to_owned()
        };
        let mut lines: Vec<_> = JobState::all().map(line).collect();
        let mut table: Vec<_> =
            TABLE.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect();
        lines.sort();
        table.sort();
        assert_eq!(lines, table);
    }

    #[test]
    fn a_refusal_says_what_could_be_done_instead() {
        let refused = JobState::Ended(Ending::Completed).after(Trigger::Begin).expect_err("it has ended");
        assert_eq!(refused.to_string(), r#"a job order that is Ended (Completed) has no "begin"; it has close"#);
        let refused = JobState::Aborted.after(Trigger::Resume).expect_err("it was given up");
        assert_eq!(
            refused.to_string(),
            r#"a job order that is Aborted has no "resume"; nothing leads out of that state"#
        );
    }

    #[test]
    fn the_words_of_a_state_lead_back_to_it() {
        for state in JobState::all() {
            let (word, sub) = state.words();
            assert_eq!(JobState::from_words(word, sub), Some(state));
        }
        assert_eq!(JobState::from_words("Running", Some("Held")), None);
        assert_eq!(JobState::from_words("Paused", None), None);
    }

    proptest! {
        /// What has ended never runs again, whatever happens to it.
        #[test]
        fn nothing_runs_after_its_end(triggers in proptest::collection::vec(proptest::sample::select(Trigger::all().collect::<Vec<_>>()), 0..40)) {
            let mut state = JobState::new(Stored::Only);
            let (mut began, mut ended) = (false, false);
            for trigger in triggers {
                let before = state;
                match state.after(trigger) {
                    Ok(next) => state = next,
                    Err(refused) => prop_assert_eq!((refused.state, refused.trigger), (before, trigger)),
                }
                began |= state.is_under_way();
                ended |= matches!(state, JobState::Ended(_) | JobState::Aborted);
                prop_assert!(!(ended && state.is_under_way()), "{} after its end", state);
                prop_assert!(began || !matches!(state, JobState::Ended(_)), "{} without a beginning", state);
            }
        }
    }
}
