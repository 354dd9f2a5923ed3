//! The records lane as its writers and listeners see it: one door, one chain.

use crate::BoxFuture;
use crate::event::{Event, SealedEvent};
use crate::log::AppendError;
use std::sync::Arc;

/// Writes events: sealed into the hash chain, synced, then shown. `andon-access` implements it.
pub trait Recorder: Send + Sync + 'static {
    /// Seals `event` into the chain and appends it now, in call order; the future resolves once it is durable.
    /// Only after that has the event happened for anybody: listeners hear of it then.
    /// # Errors
    /// Not durable: the effect must not take place.
    fn record(&self, event: Event) -> BoxFuture<'static, Result<Arc<SealedEvent>, AppendError>>;
}
