//! The shift on a running node: its logbook and hand-overs, and who is signed on where.
//!
//! [`logbook`] writes down and hands over, [`labour`] signs people on and off and answers what they attended and worked. One change is made
//! at a time ([`Shift::turn`]), and to its end, also when whoever asked for it has gone.

mod labour;
mod logbook;

use crate::mes::Manufacturing;
use crate::plant_admin::to_its_event;
use crate::records::complain_of;
use andon_access::Accounts;
use andon_alarms::Engine;
use andon_api::ports::NotDone;
use andon_api::ports::shift::ShiftSpan;
use andon_bus::ids::new_id;
use andon_model::access::Principal;
use andon_model::event::{Event, What};
use andon_model::{Clock, Timestamp};
use andon_store::Store;
use andon_store::logbook::{InShift, Key};
use sha2::Digest as _;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// How often it is looked who was to sign off and did not.
const LOOK_EVERY: Duration = Duration::from_secs(20);

/// What it stands on.
pub struct Parts {
    /// The records.
    pub store: Store,
    /// Machines, calendars, orders.
    pub mes: Arc<Manufacturing>,
    /// Alarms.
    pub alarms: Arc<Engine>,
    /// People.
    pub accounts: Arc<Accounts>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// The shift.
pub struct Shift {
    /// Itself, for changes that outlive whoever asked for them.
    own: Weak<Self>,
    parts: Parts,
    /// Whoever changes something waits here for its turn.
    turn: tokio::sync::Mutex<()>,
}

/// What was done, and the event that tells of it; `None`: nothing was done that was not done before.
type Done<T> = Result<(T, Option<Uuid>), NotDone>;

impl Shift {
    /// Over these parts.
    pub fn new(parts: Parts) -> Arc<Self> {
        Arc::new_cyclic(|own| Self { own: own.clone(), parts, turn: tokio::sync::Mutex::default() })
    }

    /// Ends sign-ons that nobody ended, until `stop`.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        loop {
            {
                let _turn = self.turn.lock().await;
                if let Err(error) = self.end_overdue().await {
                    complain_of("sign-ons that were to end could not be ended", &error);
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    fn now(&self) -> Timestamp {
        self.parts.clock.now()
    }

    fn name_of(&self, id: Uuid) -> Option<String> {
        self.parts.accounts.name_of(id)
    }

    fn event(&self, at: Timestamp, path: &str, by: &Principal, what: What) -> Event {
        let id = new_id(&*self.parts.clock);
        Event { id, at, source_at: None, path: path.to_owned(), by: by.clone(), what }
    }

    /// Makes a change to its end, whoever waits for it, and waits for its event; whether something was done now.
    async fn made<T, F>(&self, change: impl FnOnce(Arc<Self>) -> F) -> Result<(bool, T), NotDone>
    where
        T: Send + 'static,
        F: Future<Output = Done<T>> + Send + 'static,
    {
        let own = self.own.upgrade().ok_or_else(|| NotDone::Failed("the shift has stopped".to_owned()))?;
        let (view, now) = to_its_event(&self.parts.store, change(own), NotDone::Failed).await?;
        Ok((now, view))
    }

    /// The shift of a place: by the calendar of the first machine at or below it.
    fn shift_at(&self, path: &str, at: Timestamp) -> Option<InShift> {
        let master = self.parts.mes.master_data();
        let shift = master.calendar_at(path)?.shift_at(at)?;
        Some(InShift { name: shift.name.to_owned(), from: shift.from, to: shift.to })
    }
}

/// By which a request is known again: its key, and a digest of what it asks.
pub(crate) fn key_of(key: Uuid, asked: &[&str]) -> Key {
    let mut digest = sha2::Sha256::new();
    for part in asked {
        digest.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
        digest.update(part);
    }
    Key { key, content: digest.finalize().into() }
}

fn shift_view(shift: InShift) -> ShiftSpan {
    ShiftSpan { name: shift.name, from_ms: shift.from.millis(), to_ms: shift.to.millis() }
}

fn key_used() -> NotDone {
    NotDone::Conflict(
        "something else was asked with this key".to_owned(),
        "make a new key for each request, and send it again only with the same request".to_owned(),
    )
}

#[cfg(test)]
mod tests;
