//! Answers that are sent while they are made, and go on only as long as their reader may see them.
//!
//! What makes an answer asks for the right before each part. But parts that are made already wait here and there for a client that reads
//! slowly; so a right that is taken away ends the connection, and they are not sent any more. That is so until the last byte is with the
//! system, also when all parts are made: HTTP takes some 400 kB ahead. What the system took of the end of an answer (a few hundred kB, see
//! [`listen`](crate::socket::listen)) is on its way, and cannot be called back.
//!
//! Over HTTP/2 the end of the last part may wait for its stream's window, and is not looked at any more. The streams of a connection end
//! together: hyper does not look at a body whose part waits, so there is no way to end only the one.

use crate::App;
use crate::auth::Caller;
use crate::socket::Cut;
use andon_access::table::authorise;
use andon_model::access::{Action, Grant};
use axum::body::{Body, Bytes};
use futures_util::stream::{Stream, StreamExt as _};
use std::io;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::{MissedTickBehavior, interval};

/// How often the right is looked at. It is gone for two looks before the connection ends: so that an answer whose reader keeps up ends
/// with a word and not with its connection. Within a second in any case.
const LOOK: Duration = Duration::from_millis(300);

/// As body of an answer, for a caller. `still`: whether they may see all of it. Without a `cut` (no connection) nobody looks.
pub(crate) fn body(
    pieces: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    still: impl Fn() -> bool + Send + 'static,
    cut: Option<Cut>,
) -> Body {
    let guard = cut.map(|cut| {
        let (ended, end) = oneshot::channel();
        // Ends with the body and the next flush of its connection, or with that.
        tokio::spawn(watch(still, cut.clone(), end));
        Ended { cut, ended: Some(ended) }
    });
    // Whoever packs the answer asks once more after its end.
    let pieces = pieces.fuse().inspect(move |_| {
        let _until_the_body_ends = &guard;
    });
    Body::from_stream(pieces)
}

/// Tells when the body is no more, and how often its connection had been flushed by then. What the body gave is with the system after
/// the next time.
struct Ended {
    cut: Cut,
    ended: Option<oneshot::Sender<u64>>,
}

impl Drop for Ended {
    fn drop(&mut self) {
        if let Some(ended) = self.ended.take() {
            let _ = ended.send(self.cut.flushes());
        }
    }
}

async fn watch(still: impl Fn() -> bool, cut: Cut, end: oneshot::Receiver<u64>) {
    let sent = async {
        if let Ok(flushes) = end.await {
            cut.flushed_after(flushes).await;
        }
    };
    tokio::pin!(sent);
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut gone = false;
    loop {
        tokio::select! {
            () = sent.as_mut() => return,
            _ = look.tick() => {}
        }
        let was_gone = std::mem::replace(&mut gone, !still());
        if gone && was_gone {
            return cut.off();
        }
    }
}

/// Whether the caller sees at least what they see now. A greater role, or a branch more, takes nothing away.
pub(crate) fn sees_as_now(app: App, caller: Caller) -> impl Fn() -> bool + Send + 'static {
    let before = app.accounts.grants(&caller.who);
    move || sees_as_before(&before, &app.accounts.grants(&caller.who))
}

fn sees_as_before(before: &[Grant], now: &[Grant]) -> bool {
    let sees = |grants: &[Grant], branch: &str| authorise(grants, Action::View, branch).is_ok();
    before.iter().filter(|grant| sees(before, &grant.branch)).all(|grant| sees(now, &grant.branch))
}

#[cfg(test)]
mod tests {
    use super::*;
    use andon_model::access::Role::{self, Administrator, Operator, Viewer};

    fn grants(of: &[(Role, &str)]) -> Vec<Grant> {
        of.iter().map(|(role, branch)| Grant { role: *role, branch: (*branch).to_owned() }).collect()
    }

    #[test]
    fn an_answer_goes_on_as_long_as_each_branch_is_seen_by_any_grant() {
        let before = grants(&[(Viewer, "a"), (Operator, "b/c")]);
        for (now, goes_on) in [
            (&[(Viewer, "a"), (Operator, "b/c")][..], true),
            (&[(Operator, "a"), (Viewer, "b/c")], true),
            (&[(Administrator, "")], true),
            (&[(Viewer, "a"), (Viewer, "b")], true),
            (&[(Viewer, "a"), (Operator, "b/c"), (Viewer, "d")], true),
            (&[(Viewer, "a")], false),
            (&[(Administrator, "a/b"), (Operator, "b/c")], false),
            (&[(Viewer, "a"), (Operator, "b/cc")], false),
            (&[], false),
        ] {
            assert_eq!(sees_as_before(&before, &grants(now)), goes_on, "{now:?}");
        }
        assert!(sees_as_before(&[], &[]), "nothing was seen");
    }
}
