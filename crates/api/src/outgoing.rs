//! Answers that are sent while they are made, and go on only as long as their reader may see them.
//!
//! What makes an answer asks for the right before each part. But parts that are made already wait here and there for a client that reads
//! slowly; so a right that is taken away ends the connection, and they are not sent any more.

use crate::App;
use crate::auth::Caller;
use crate::socket::Cut;
use axum::body::{Body, Bytes};
use futures_util::stream::{Stream, StreamExt as _};
use std::io;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// How often the right is looked at. It is gone for two looks before the connection ends: so that an answer whose reader keeps up ends
/// with a word and not with its connection. Within a second in any case.
const LOOK: Duration = Duration::from_millis(300);

/// As body of an answer, for a caller. `still`: whether they may see all of it. Without a `cut` (no connection) nobody looks.
pub(crate) fn body(
    pieces: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    still: impl Fn() -> bool + Send + 'static,
    cut: Option<Cut>,
) -> Body {
    let ended = CancellationToken::new();
    let guard = ended.clone().drop_guard();
    if let Some(cut) = cut {
        // Ends with the body.
        tokio::spawn(watch(still, cut, ended));
    }
    // Whoever packs the answer asks once more after its end.
    let pieces = pieces.fuse().inspect(move |_| {
        let _until_the_body_ends = &guard;
    });
    Body::from_stream(pieces)
}

async fn watch(still: impl Fn() -> bool, cut: Cut, ended: CancellationToken) {
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut gone = false;
    loop {
        tokio::select! {
            () = ended.cancelled() => return,
            _ = look.tick() => {}
        }
        let was_gone = std::mem::replace(&mut gone, !still());
        if gone && was_gone {
            return cut.off();
        }
    }
}

/// Whether the caller has all the grants that they have now.
pub(crate) fn keeps_grants(app: App, caller: Caller) -> impl Fn() -> bool + Send + 'static {
    let before = app.accounts.grants(&caller.who);
    move || {
        let now = app.accounts.grants(&caller.who);
        before.iter().all(|grant| now.contains(grant))
    }
}
