//! What the node looks at again and again by itself.

use std::fmt::Display;
use std::time::Duration;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

/// Looks every so often until `stop`. That it cannot be done is told once, until it can.
pub async fn look_every<E, F>(pause: Duration, stop: &CancellationToken, cannot: &str, look: impl Fn() -> F)
where
    E: Display,
    F: Future<Output = Result<(), E>>,
{
    let mut tick = tokio::time::interval(pause);
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut failed = false;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = tick.tick() => {}
        }
        let outcome = look().await;
        if let Err(error) = &outcome
            && !failed
        {
            tracing::error!("{cannot}: {error}");
        }
        failed = outcome.is_err();
    }
}
