//! Topics over the live link: the rows that are on a screen, and a bounded look at messages as they come.

use crate::App;
use crate::auth::Caller;
use crate::routes::topics::{SeenView, Sight, TopicView, is_askable};
use andon_broker::{TooManyWatches, Watch};
use andon_wire::mqtt::{TopicFilter, TopicFilterError};
use std::collections::HashMap;
use std::time::Duration;

/// How many topics a screen may follow.
const FOLLOWED: usize = 500;
/// Messages told at a time; what comes beyond is skipped and counted.
const AT_A_TIME: usize = 50;
/// How long messages are gathered.
pub(crate) const GATHER: Duration = Duration::from_millis(250);

/// What a screen follows of topics.
#[derive(Default)]
pub(crate) struct Looking {
    /// With what was last told of each: count, time, and whether it was overdue.
    followed: HashMap<String, Option<(u64, i64, bool)>>,
    watch: Option<Watch>,
}

/// Why nothing is watched.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WatchError {
    #[error("this is no topic filter: {0}")]
    Filter(#[from] TopicFilterError),
    #[error("{0}; try again later")]
    TooMany(#[from] TooManyWatches),
    #[error("a shared subscription cannot be looked at; leave out \"$share/…/\"")]
    Shared,
    #[error("you may look at single topics whose messages become tags of yours, and at no others")]
    NoRight,
    #[error("topics that begin with $ are the server's and cannot be looked at")]
    ServerOwned,
}

/// Who may not see all is not told either how many messages there are that they may not see.
fn may_watch(sight: &Sight, filter: &TopicFilter) -> bool {
    sight.all || (!filter.has_wildcard() && sight.sees(filter.as_str()))
}

impl Looking {
    /// Follows these topics instead of those before.
    pub(crate) fn follow(&mut self, topics: Vec<String>) {
        let mut wanted: HashMap<_, _> =
            topics.into_iter().filter(|t| is_askable(t)).take(FOLLOWED).map(|topic| (topic, None)).collect();
        for (topic, told) in self.followed.drain() {
            if let Some(place) = wanted.get_mut(&topic) {
                *place = told;
            }
        }
        self.followed = wanted;
    }

    /// What is new about followed topics that the caller may see.
    pub(crate) fn news(&mut self, app: &App, caller: &Caller) -> Vec<TopicView> {
        let sight = Sight::of(app, caller);
        let catalogue = app.broker.catalogue();
        let mut news = Vec::new();
        for (topic, told) in &mut self.followed {
            let Some((count, received)) = catalogue.mark(topic) else { continue };
            // What has not come can have become overdue since: that is looked at too.
            let as_told = told.is_some_and(|(c, at, overdue)| c == count && at == received.millis() && overdue);
            if as_told || !sight.sees(topic) {
                continue;
            }
            let Some(view) = TopicView::of(app, topic) else { continue };
            let mark = (view.count, view.received_ms, view.silent_since_ms.is_some());
            if *told != Some(mark) {
                *told = Some(mark);
                news.push(view);
            }
        }
        news
    }

    /// Looks at messages under a filter, instead of those under the one before; none: at nothing.
    pub(crate) fn watch(&mut self, app: &App, caller: &Caller, filter: Option<&str>) -> Result<(), WatchError> {
        self.watch = None;
        let Some(filter) = filter else { return Ok(()) };
        let filter = TopicFilter::parse(filter)?;
        if filter.share_group().is_some() {
            return Err(WatchError::Shared);
        }
        if filter.as_str().starts_with('$') {
            return Err(WatchError::ServerOwned);
        }
        let sight = Sight::of(app, caller);
        if !may_watch(&sight, &filter) {
            return Err(WatchError::NoRight);
        }
        self.watch = Some(app.broker.catalogue().watch(filter)?);
        Ok(())
    }

    /// Whether anything is watched.
    pub(crate) const fn watches(&self) -> bool {
        self.watch.is_some()
    }

    /// The messages that came since the last time, as far as the caller may see them, and how many more there were.
    pub(crate) fn seen(&mut self, app: &App, caller: &Caller) -> (Vec<SeenView>, u64) {
        let Some(watch) = &mut self.watch else { return (Vec::new(), 0) };
        let sight = Sight::of(app, caller);
        if !may_watch(&sight, watch.filter()) {
            // Nor is it told how much there is of what it may not see any more.
            self.watch = None;
            return (Vec::new(), 0);
        }
        let mut seen = Vec::new();
        let mut skipped = watch.take_skipped();
        while let Some(message) = watch.try_next() {
            if !sight.sees(&message.topic) {
                continue;
            }
            if seen.len() < AT_A_TIME {
                seen.push(SeenView::new(app, &message));
            } else {
                skipped += 1;
            }
        }
        (seen, skipped)
    }
}
