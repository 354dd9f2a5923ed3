//! Who works on an order. Somebody does exactly while it is Running: so the time in which work is done is the time of its people together.

use crate::job::{Interruption, JobState, NotNow, Prepared, Trigger};
use uuid::Uuid;

/// What is done with an order.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Deed {
    /// It may begin.
    Release,
    /// It may not begin any more.
    Revoke,
    /// It is prepared so far.
    Prepare(Prepared),
    /// Somebody begins it.
    Begin,
    /// One more person works on it.
    Join,
    /// A person does no longer.
    Leave,
    /// Nobody works on it; or, of one that is interrupted: the cause is another.
    Pause(Interruption),
    /// Somebody goes on.
    Resume,
    /// It is done.
    Finish,
    /// It is given up.
    Cancel,
    /// Nothing of it changes any more.
    Close,
}

/// What comes of a deed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Done {
    /// What the order is in then.
    pub state: JobState,
    /// Who works on it from then on.
    pub begins: Vec<Uuid>,
    /// Who does no longer.
    pub ends: Vec<Uuid>,
}

/// Why a deed is not done.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DeedError {
    /// The state does not know it.
    #[error(transparent)]
    NotNow(#[from] NotNow),
    /// Only while it runs.
    #[error("the order is {0}: people join and leave it while it is Running")]
    NotRunning(JobState),
    /// The person is there already.
    #[error("this person works on it already")]
    There,
    /// The person is not there.
    #[error("this person does not work on it")]
    NotThere,
    /// Nobody would be left.
    #[error("nobody else works on it: pause it or finish it")]
    Last,
}

impl Deed {
    /// The word that people and the ledger have for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Revoke => "revoke",
            Self::Prepare(_) => "prepare",
            Self::Begin => "begin",
            Self::Join => "join",
            Self::Leave => "leave",
            Self::Pause(_) => "pause",
            Self::Resume => "resume",
            Self::Finish => "finish",
            Self::Cancel => "cancel",
            Self::Close => "close",
        }
    }

    /// Whether somebody works on the order after it who may not have before: whoever does it has to be qualified.
    #[must_use]
    pub const fn puts_to_work(self) -> bool {
        matches!(self, Self::Begin | Self::Join | Self::Resume)
    }

    /// One of each word.
    #[must_use]
    pub fn all() -> [Self; 11] {
        [
            Self::Release,
            Self::Revoke,
            Self::Prepare(Prepared::Ready),
            Self::Begin,
            Self::Join,
            Self::Leave,
            Self::Pause(Interruption::Held),
            Self::Resume,
            Self::Finish,
            Self::Cancel,
            Self::Close,
        ]
    }
}

/// What comes of a deed of `who` on an order on which `at_work` work.
///
/// # Errors
/// [`DeedError`]; then nothing changes.
pub fn after(state: JobState, at_work: &[Uuid], deed: Deed, who: Uuid) -> Result<Done, DeedError> {
    let is_there = at_work.contains(&who);
    let stays = |begins: Vec<Uuid>, ends: Vec<Uuid>| Ok(Done { state, begins, ends });
    let trigger = match deed {
        Deed::Join | Deed::Leave if state != JobState::Running => return Err(DeedError::NotRunning(state)),
        Deed::Join if is_there => return Err(DeedError::There),
        Deed::Join => return stays(vec![who], Vec::new()),
        Deed::Leave if !is_there => return Err(DeedError::NotThere),
        Deed::Leave if at_work.len() == 1 => return Err(DeedError::Last),
        Deed::Leave => return stays(Vec::new(), vec![who]),
        Deed::Release => Trigger::Start,
        Deed::Revoke => Trigger::RevokeStart,
        Deed::Prepare(prepared) => Trigger::Prepare(prepared),
        Deed::Begin => Trigger::Begin,
        Deed::Pause(why) if matches!(state, JobState::Interrupted(_)) => Trigger::Attribute(why),
        Deed::Pause(why) => Trigger::Pause(why),
        Deed::Resume => Trigger::Resume,
        Deed::Finish => Trigger::Stop,
        Deed::Cancel => Trigger::Abort,
        Deed::Close => Trigger::Close,
    };
    let new = state.after(trigger)?;
    let begins = if new == JobState::Running { vec![who] } else { Vec::new() };
    Ok(Done { state: new, begins, ends: at_work.to_vec() })
}

/// The words of what the state knows, sorted. Whether this person may is not looked at; whether somebody would be left is.
#[must_use]
pub fn may(state: JobState, at_work: &[Uuid]) -> Vec<&'static str> {
    let anybody = |deed: Deed| {
        let who = if deed == Deed::Leave { at_work.first().copied() } else { None };
        after(state, at_work, deed, who.unwrap_or_default()).is_ok()
    };
    let variants = |deed: Deed| match deed {
        Deed::Prepare(_) => [Prepared::Waiting, Prepared::Ready, Prepared::Loaded].map(Deed::Prepare).to_vec(),
        Deed::Pause(_) => [Interruption::Held, Interruption::Suspended].map(Deed::Pause).to_vec(),
        other => vec![other],
    };
    let mut words: Vec<_> =
        Deed::all().into_iter().filter(|deed| variants(*deed).into_iter().any(anybody)).map(Deed::word).collect();
    words.sort_unstable();
    words
}
