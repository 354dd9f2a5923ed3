//! What a subscription asks to be sent before what comes: kept messages, or the last one of each topic.
//!
//! **Idea.** It is written with QoS 0 straight to the connection, as it takes it, by a task of its own; TCP brings it whole and
//! in order, and a client that is cut off asks again from the last that it got. Until it is through, what comes live with QoS
//! 1 and 2 waits in the session's queue, as for a client that is not there. What comes with QoS 0 is kept as well, is held back
//! and sent from there; what is not kept is sent at once. When little of that is left, nothing more is held back: what comes
//! then waits in memory until the rest is through, and so it comes to its end however much is published.

use crate::asks::{Ask, Extra};
use crate::broker::Broker;
use crate::core::{Core, merge};
use crate::fetch::AHEAD_BYTES;
use crate::frames::SessionNo;
use crate::history::{HistoryQuery, Kept, Missing, Page};
use crate::index::{Index, Matches, Wish};
use crate::message::{Encodings, Message};
use crate::origin;
use crate::session::{Later, Link, Session};
use andon_model::Timestamp;
use andon_model::access::Principal;
use andon_wire::mqtt::{Filter, QoS, Text, TopicFilter, TopicName};
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::{Notify, Semaphore, oneshot};
use tokio_util::sync::{CancellationToken, DropGuard};

/// So many messages are read at a time.
const PAGE: usize = 512;
/// When so few numbers are left to be read, nothing more is held back.
const FEW: u64 = 1000;
/// Neither where it is not less by a part of so many than the last time: it comes about as fast as the client takes it.
const LESS: u64 = 8;
/// The most messages, and bytes of them, that wait in memory behind what is on its way; further ones are dropped and counted.
const BEHIND: usize = 10_000;
const BEHIND_BYTES: usize = 8 << 20;
/// So often what comes may change between what it holds back and what waits in the queue, in what is not read yet; then it holds
/// back nothing more.
const RUNS: usize = 8192;
/// So many messages are handed to a connection while the state is held.
const AT_ONCE: usize = 64;
/// So many words about what is missing are told at the end; the rest is counted.
const MISSING_TOLD: usize = 20;

/// What is asked for of the past.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Past {
    /// Kept messages.
    History {
        from: Timestamp,
        /// Without it, what comes follows.
        until: Option<Timestamp>,
        /// The last so many of them.
        most: Option<usize>,
    },
    /// The last message of each topic.
    Last,
}

/// What is on its way to a connection from the past.
#[derive(Debug)]
pub(crate) struct CatchUp {
    /// What is asked for, but for what was taken back by UNSUBSCRIBE.
    filters: Vec<TopicFilter>,
    /// The same, to be looked up.
    wanted: Index,
    /// All that was asked for: what comes on these topics comes in order with what was held back.
    asked: Index,
    /// Subscription identifiers.
    pub(crate) ids: Box<[u32]>,
    /// What comes follows, and waits until then.
    pub(crate) follows: bool,
    /// It is read from what is kept; else it is the last messages.
    pub(crate) history: bool,
    /// Messages with numbers up to this one were there when it began.
    pub(crate) cut: u64,
    /// It owes those up to this number; behind `cut`, what it held back.
    owes: u64,
    /// From which number on what came on these topics was held back (true) or waits in the queue (false), and is not brought.
    runs: VecDeque<(u64, bool)>,
    /// It holds back nothing more.
    closing: bool,
    /// So many numbers were left to be read when it was last not at its end.
    left: u64,
    /// What came with QoS 0 and goes when it is through.
    behind: VecDeque<Later>,
    behind_bytes: usize,
    /// There is room again. By this one who reads for it knows it for its own.
    pub(crate) wake: Arc<Notify>,
    /// Tells who reads for it, and who asked, that it is over, however it came to that.
    #[expect(dead_code, reason = "what it does it does when it is dropped")]
    pub(crate) over: DropGuard,
}

impl CatchUp {
    /// What is asked for under these filters; `id`: the subscription identifier, 0: none.
    pub(crate) fn new(past: &Past, filters: &[Filter], id: u32, wake: Arc<Notify>, over: DropGuard) -> Self {
        let (mut wanted, mut asked) = (Index::default(), Index::default());
        for filter in filters {
            let wish = Wish::new(filter, id, Ask::default());
            wanted.insert(&filter.filter, SessionNo::NODE, wish);
            asked.insert(&filter.filter, SessionNo::NODE, wish);
        }
        Self {
            filters: filters.iter().map(|filter| filter.filter.clone()).collect(),
            wanted,
            asked,
            ids: if id == 0 { Box::default() } else { Box::new([id]) },
            follows: !matches!(past, Past::History { until: Some(_), .. }),
            history: matches!(past, Past::History { .. }),
            cut: 0,
            owes: 0,
            runs: VecDeque::new(),
            closing: false,
            left: u64::MAX,
            behind: VecDeque::new(),
            behind_bytes: 0,
            wake,
            over,
        }
    }

    /// How a message from before it began is wanted, and for which subscription identifiers. `own`: the client published it.
    fn wish(&self, topic: &str, own: bool) -> Option<(Wish, Box<[u32]>)> {
        let wishes = matching(&self.wanted, topic);
        merge(wishes.iter().filter(|wish| !(wish.no_local && own)))
    }

    /// A message that is kept under `no` comes. True: it holds it back, and brings it; else it waits elsewhere.
    fn takes(&mut self, no: u64, topic: &str, qos: QoS) -> bool {
        if !self.follows || !self.history || self.closing || matching(&self.asked, topic).is_empty() {
            return false;
        }
        let holds_back = qos == QoS::AtMostOnce;
        if holds_back {
            self.owes = no;
        }
        if holds_back != self.runs.back().is_some_and(|(_, held_back)| *held_back) {
            self.runs.push_back((no, holds_back));
            self.closing |= self.runs.len() >= RUNS;
        }
        holds_back
    }

    /// Whether it held back what is kept under `no`, which is more than it was asked before.
    fn held_back(&mut self, no: u64) -> bool {
        while self.runs.get(1).is_some_and(|(first, _)| *first <= no) {
            self.runs.pop_front();
        }
        no <= self.owes && self.runs.front().is_some_and(|(first, held_back)| *held_back && *first <= no)
    }

    /// Brings nothing more of what was asked for under a filter; true: nor anything else.
    fn take_back(&mut self, filter: &TopicFilter) -> bool {
        self.filters.retain(|asked| asked != filter);
        self.wanted.remove(filter, SessionNo::NODE);
        self.filters.is_empty() && self.owes <= self.cut
    }

    /// Whether something that comes with QoS 0 may wait behind it.
    pub(crate) const fn is_ahead(&self) -> bool {
        self.follows && (self.closing || !self.history)
    }

    /// Whether what comes with QoS 0 on this topic waits behind it.
    pub(crate) fn goes_before(&self, topic: &str, is_kept: bool) -> bool {
        self.is_ahead() && (is_kept || !self.history) && !matching(&self.asked, topic).is_empty()
    }

    /// Has a message wait behind it; it is given back where there is no room.
    pub(crate) fn put_behind(&mut self, later: Later) -> Result<(), Later> {
        let bytes = self.behind_bytes.saturating_add(later.message.size());
        if self.behind.len() >= BEHIND || bytes > BEHIND_BYTES {
            return Err(later);
        }
        self.behind_bytes = bytes;
        self.behind.push_back(later);
        Ok(())
    }
}

fn matching(index: &Index, topic: &str) -> Vec<Wish> {
    let mut found = Matches::default();
    index.matching(topic, &mut found);
    found.plain.into_iter().map(|(_, wish)| wish).collect()
}

/// Begins it where the subscription begins.
#[derive(Debug)]
pub(crate) struct Begin {
    /// Which connection asked.
    pub(crate) connection: u64,
    pub(crate) catch_up: CatchUp,
    pub(crate) begun: oneshot::Sender<u64>,
}

/// Whether more can be sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Room {
    Yes,
    No,
    /// The connection is over.
    Gone,
}

impl Core {
    /// The connection that asked begins to catch up; false: it is catching up already, or is over.
    pub(crate) fn begin_past(&mut self, number: SessionNo, begin: Begin) -> bool {
        let cut = self.history.as_ref().map_or(0, |history| history.last_no());
        let Begin { connection, mut catch_up, begun } = begin;
        let link = self.sessions.get_mut(&number).and_then(|session| session.link.as_mut());
        // Another may have come for the session while this was on its way through the log.
        let link = link.filter(|link| link.connection == connection && link.catch_up.is_none());
        let Some(link) = link else { return false };
        (catch_up.cut, catch_up.owes) = (cut, cut);
        link.catch_up = Some(Box::new(catch_up));
        begun.send(cut).is_ok()
    }

    /// The connection that is caught up by whoever has this `wake`.
    fn caught_up(&mut self, number: SessionNo, wake: &Arc<Notify>) -> Option<&mut Link> {
        let link = self.sessions.get_mut(&number)?.link.as_mut()?;
        link.catch_up.as_ref().is_some_and(|catch_up| Arc::ptr_eq(&catch_up.wake, wake)).then_some(&mut **link)
    }

    pub(crate) fn room_for_past(&mut self, number: SessionNo, wake: &Arc<Notify>) -> Room {
        match self.caught_up(number, wake) {
            None => Room::Gone,
            Some(link) if link.outbox.has_room() => Room::Yes,
            Some(_) => Room::No,
        }
    }

    /// Nobody reads for it any more: what waited behind it goes.
    pub(crate) fn leave_past(&mut self, number: SessionNo, wake: &Arc<Notify>) {
        let Some(link) = self.caught_up(number, wake) else { return };
        link.end_catch_up();
        self.pump(number, None);
    }

    /// A session takes back one of its filters: what was asked for under it goes no more.
    pub(crate) fn past_without(&mut self, number: SessionNo, filter: &TopicFilter) {
        let link = self.sessions.get_mut(&number).and_then(|session| session.link.as_mut());
        let Some(link) = link else { return };
        if link.catch_up.as_mut().is_some_and(|catch_up| catch_up.take_back(filter)) {
            link.end_catch_up();
            self.pump(number, None);
        }
    }

    /// Behind which number something is still wanted; `None`: nothing any more.
    fn past_from(&mut self, number: SessionNo, wake: &Arc<Notify>) -> Option<u64> {
        let catch_up = self.caught_up(number, wake)?.catch_up.as_ref()?;
        Some(if catch_up.filters.is_empty() { catch_up.cut } else { 0 })
    }

    /// A message that is kept comes to a session, as it is kept. True: its connection is brought it from there.
    pub(crate) fn past_takes(&mut self, number: SessionNo, message: &Message, qos: QoS) -> bool {
        let Some(history) = &self.history else { return false };
        let link = self.sessions.get_mut(&number).and_then(|session| session.link.as_mut());
        let catch_up = link.and_then(|link| link.catch_up.as_mut());
        catch_up.is_some_and(|catch_up| catch_up.takes(history.last_no(), message.topic.as_str(), qos))
    }

    /// Sends of what was read as much as there is room for, and not more than [`AT_ONCE`]; how many were sent.
    pub(crate) fn send_past(
        &mut self,
        number: SessionNo,
        wake: &Arc<Notify>,
        messages: &mut VecDeque<Kept>,
    ) -> (Room, u64) {
        let now = self.now;
        if self.caught_up(number, wake).is_none() {
            return (Room::Gone, 0);
        }
        let Some(session) = self.sessions.get_mut(&number) else { return (Room::Gone, 0) };
        let Session { client_id, subscriptions, link, .. } = &mut **session;
        let Some(link) = link else { return (Room::Gone, 0) };
        let Some(mut catch_up) = link.catch_up.take() else { return (Room::Gone, 0) };
        let extra = Extra { asked: true, origin: true, past: catch_up.history, left_out: 0 };
        let (mut sent, mut room) = (0, Room::Yes);
        for _ in 0..AT_ONCE {
            let Some(Kept { no, message, .. }) = messages.front() else { break };
            if !link.outbox.has_room() {
                room = Room::No;
                break;
            }
            let (topic, own) = (message.topic.as_str(), message.publisher.as_ref() == Some(client_id));
            let wish = if *no <= catch_up.cut || !catch_up.follows {
                catch_up.wish(topic, own)
            } else if catch_up.held_back(*no) {
                // As it would have been handed out.
                let plain = subscriptions.values().filter(|s| s.filter.filter.share_group().is_none());
                let matching = plain.filter(|s| s.filter.filter.matches(topic) && !(s.filter.no_local && own));
                let wishes: Vec<_> = matching.map(|s| Wish::new(&s.filter, s.id, s.ask)).collect();
                merge(wishes.iter())
            } else {
                None
            };
            if let Some((wish, ids)) = wish {
                let mut encodings = Encodings::new(message, now);
                let retain = message.retain && (wish.retain_as_published || !catch_up.history);
                if let Some(bytes) = link.encode(&mut encodings, QoS::AtMostOnce, retain, &ids, extra) {
                    link.outbox.message(&bytes, 0, false);
                    self.counters.delivered += 1;
                    sent += 1;
                } else {
                    link.dropped += 1;
                    self.counters.dropped += 1;
                }
            }
            messages.pop_front();
        }
        link.catch_up = Some(catch_up);
        (room, sent)
    }

    /// All up to `read` was sent. If that is all that is owed, says so with what `marker` gives for the filters, and lets go what waited behind it.
    pub(crate) fn end_past(
        &mut self,
        number: SessionNo,
        wake: &Arc<Notify>,
        read: u64,
        marker: impl FnOnce(&[TopicFilter]) -> Message,
    ) -> Ended {
        let now = self.now;
        let Some(link) = self.caught_up(number, wake) else { return Ended::Yes };
        let Some(catch_up) = &mut link.catch_up else { return Ended::Yes };
        if catch_up.history && catch_up.follows && catch_up.owes > read {
            let (before, left) = (catch_up.left, catch_up.owes - read);
            catch_up.closing |= left <= FEW || left > before - before / LESS;
            catch_up.left = left;
            return Ended::NotBefore(catch_up.owes);
        }
        let ids = std::mem::take(&mut catch_up.ids);
        let extra = Extra { past: false, ..Extra::default() };
        // Who took all of it back hears nothing more of it.
        let marker = (!catch_up.filters.is_empty()).then(|| Arc::new(marker(&catch_up.filters)));
        if let Some(mut encodings) = marker.as_ref().map(|marker| Encodings::new(marker, now))
            && let Some(bytes) = link.encode(&mut encodings, QoS::AtMostOnce, false, &ids, extra)
        {
            link.outbox.message(&bytes, 0, false);
        }
        link.end_catch_up();
        self.pump(number, None);
        Ended::Yes
    }
}

impl Link {
    /// Whether nothing with QoS 0 waits that came before what comes now.
    pub(crate) fn is_free(&self) -> bool {
        self.later.is_empty() && !self.catch_up.as_ref().is_some_and(|catch_up| catch_up.is_ahead())
    }

    /// What it asked for of the past is over: what waited behind that goes when there is room.
    fn end_catch_up(&mut self) {
        if let Some(catch_up) = self.catch_up.take() {
            self.later.extend(catch_up.behind);
        }
    }
}

/// Whether it is at its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ended {
    Yes,
    /// There is more to be brought: up to this number.
    NotBefore(u64),
}

/// Who is caught up.
pub(crate) struct Reader {
    pub(crate) session: SessionNo,
    pub(crate) connection: u64,
    pub(crate) principal: Principal,
    pub(crate) filters: Vec<TopicFilter>,
    pub(crate) wake: Arc<Notify>,
    pub(crate) over: CancellationToken,
}

/// Reads of what is kept: few at a time in the whole node and each in its turn, however many ask. The disk gains nothing by more, and the
/// threads for what blocks are there for others too.
#[derive(Debug)]
pub(crate) struct Reads(Arc<Semaphore>);

/// So many at a time.
const READS: usize = 4;

impl Default for Reads {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(READS)))
    }
}

impl Reads {
    /// Runs this when its turn has come. Its place is taken until it is done, also when nobody waits for it any more.
    async fn run<T: Send + 'static>(
        &self,
        read: impl FnOnce() -> std::io::Result<T> + Send + 'static,
    ) -> std::io::Result<T> {
        let place = self.0.clone().acquire_owned().await.map_err(std::io::Error::other)?;
        let reading = tokio::task::spawn_blocking(move || {
            let _place = place;
            read()
        });
        reading.await.map_err(std::io::Error::other)?
    }
}

/// Whoever reads for a connection, for as long as that goes on.
struct Reading<'a> {
    broker: &'a Broker,
    reader: &'a Reader,
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.broker.with_core(|core| core.leave_past(self.reader.session, &self.reader.wake));
    }
}

impl Broker {
    /// Kept messages, a page at a time.
    ///
    /// # Errors
    /// The disk cannot be read.
    pub async fn history(&self, query: HistoryQuery) -> std::io::Result<Page> {
        let (history, last_no) = (self.history.clone(), self.history.last_no());
        history.until_written(last_no).await;
        self.reads.run(move || history.page(&query)).await
    }

    /// Brings a connection what it asked for of the past.
    pub(crate) async fn catch_up(self: Arc<Self>, reader: Reader, past: Past, begun: oneshot::Receiver<u64>) {
        let _reading = Reading { broker: &self, reader: &reader };
        let Ok(cut) = begun.await else { return };
        let brought = async {
            match past {
                Past::History { from, until, most } => self.bring_history(&reader, from, until, most, cut).await,
                Past::Last => self.bring_last(&reader).await,
            }
        };
        tokio::select! {
            () = self.stop.cancelled() => {}
            () = reader.over.cancelled() => {}
            result = brought => if let Err(error) = result {
                tracing::error!(%error, "kept MQTT messages could not be read; the connection of who asked for them ends");
                self.with_core(|core| core.not_fetched(reader.session, reader.connection));
            }
        }
    }

    async fn bring_history(
        self: &Arc<Self>,
        reader: &Reader,
        from: Timestamp,
        until: Option<Timestamp>,
        most: Option<usize>,
        cut: u64,
    ) -> std::io::Result<()> {
        self.history.until_written(cut).await;
        let end_of_time = Timestamp::from_micros(i64::MAX);
        let mut query = HistoryQuery {
            filters: reader.filters.clone(),
            from,
            until: until.unwrap_or(end_of_time),
            after: 0,
            limit: PAGE,
            bytes: AHEAD_BYTES as usize,
        };
        if let Some(most) = most {
            query.after = self.before_the_last(query.clone(), most).await?;
        }
        // What ends does not go on with what comes.
        let mut last = until.map(|_| self.history.last_no());
        let (mut told, mut missing) = (0, NotThere::default());
        loop {
            let from = self.with_core(|core| core.past_from(reader.session, &reader.wake));
            let Some(from) = from else { return Ok(()) };
            query.after = query.after.max(from);
            let page = self.read_page(query.clone()).await?;
            query.after = if page.end { page.next.max(page.written) } else { page.next };
            missing.add(page.missing);
            self.names.learn_new(page.messages.iter().filter_map(|kept| kept.message.user.as_ref()), &*self.hooks);
            let may = |m: &Message| self.hooks.may_subscribe(&reader.principal, m.topic.as_str());
            let kept: VecDeque<_> = page.messages.into_iter().filter(|kept| may(&kept.message)).collect();
            let Some(sent) = self.send_all(reader, kept).await else { return Ok(()) };
            told += sent;
            if !page.end && last.is_none_or(|last| query.after < last) {
                continue;
            }
            let marker = |filters: &[TopicFilter]| end_of_history(filters, told, &missing, self.clock.now());
            match self.with_core(|core| core.end_past(reader.session, &reader.wake, query.after, marker)) {
                Ended::Yes => return Ok(()),
                Ended::NotBefore(owed) => {
                    last = Some(owed);
                    self.history.until_written(owed).await;
                }
            }
        }
    }

    async fn read_page(&self, query: HistoryQuery) -> std::io::Result<Page> {
        let history = self.history.clone();
        self.reads.run(move || history.page(&query)).await
    }

    /// The number before the last `most` of kept messages: what to ask for after.
    ///
    /// # Errors
    /// The disk cannot be read.
    pub async fn before_the_last(&self, query: HistoryQuery, most: usize) -> std::io::Result<u64> {
        let (history, last_no) = (self.history.clone(), self.history.last_no());
        history.until_written(last_no).await;
        self.reads.run(move || history.before_the_last(&query, most)).await
    }

    /// Sends messages as there is room; how many, or `None`: the connection is over.
    async fn send_all(&self, reader: &Reader, mut messages: VecDeque<Kept>) -> Option<u64> {
        let mut all = 0;
        loop {
            let (room, sent) = self.with_core(|core| core.send_past(reader.session, &reader.wake, &mut messages));
            all += sent;
            match room {
                Room::Gone => return None,
                Room::Yes if messages.is_empty() => return Some(all),
                Room::Yes => {}
                Room::No => self.until_room(reader).await?,
            }
        }
    }

    /// Resolves when there is room; `None`: the connection is over.
    async fn until_room(&self, reader: &Reader) -> Option<()> {
        loop {
            match self.with_core(|core| core.room_for_past(reader.session, &reader.wake)) {
                Room::Gone => return None,
                Room::Yes => return Some(()),
                Room::No => reader.wake.notified().await,
            }
        }
    }

    /// The last message of each topic, from what people see of topics, or the retained one where that was cut.
    async fn bring_last(self: &Arc<Self>, reader: &Reader) -> std::io::Result<()> {
        let begun = self.clock.now();
        let (mut told, mut cut_off) = (0, 0);
        let topics = self.catalogue().topics_under(&reader.filters);
        for topics in topics.chunks(64) {
            let mut messages = VecDeque::new();
            for topic in topics {
                if !self.hooks.may_subscribe(&reader.principal, topic) {
                    continue;
                }
                let Some(info) = self.catalogue().topic(topic, begun).filter(|info| info.received <= begun) else {
                    continue;
                };
                match self.last_message(&info) {
                    Some(message) => messages.push_back(Kept { no: 0, message: Arc::new(message) }),
                    None if info.is_whole() => {}
                    None => cut_off += 1,
                }
            }
            self.names.learn_new(messages.iter().filter_map(|kept| kept.message.user.as_ref()), &*self.hooks);
            let Some(sent) = self.send_all(reader, messages).await else { return Ok(()) };
            told += sent;
        }
        let told = serde_json::json!({ "messages": told, "too_long": cut_off });
        let marker = |_: &[TopicFilter]| marker("$andon/last", "andon-last", &told, self.clock.now());
        self.with_core(|core| core.end_past(reader.session, &reader.wake, u64::MAX, marker));
        Ok(())
    }

    /// What is known of the last message of a topic, if all of it is.
    fn last_message(&self, info: &crate::catalogue::TopicInfo) -> Option<Message> {
        let topic = TopicName::parse(&info.topic).ok()?;
        let retained = self.with_core(|core| core.retained.get(&topic).cloned());
        if let Some(retained) = retained.filter(|retained| retained.received == info.received) {
            return Some(Message { expires: None, ..(*retained).clone() });
        }
        // An empty payload takes the retained one back: there is nothing to be known.
        if !info.is_whole() || info.size == 0 {
            return None;
        }
        let payload = Bytes::copy_from_slice(&info.payload);
        let message = Message::internal(topic, payload, info.qos, false, info.received);
        Some(Message {
            publisher: info.publisher.clone(),
            user: info.user.clone(),
            content_type: info.content_type.clone(),
            ..message
        })
    }
}

/// What is missing, for who is told at the end.
#[derive(Default)]
struct NotThere {
    words: Vec<Missing>,
    /// So many more.
    more: u64,
}

impl NotThere {
    fn add(&mut self, missing: Vec<Missing>) {
        for one in missing {
            if self.words.contains(&one) {
                continue;
            }
            if self.words.len() < MISSING_TOLD {
                self.words.push(one);
            } else {
                self.more += 1;
            }
        }
    }
}

/// Says that all kept messages were sent, how many they were, and what of them is missing.
fn end_of_history(filters: &[TopicFilter], messages: u64, missing: &NotThere, now: Timestamp) -> Message {
    let filters: Vec<&str> = filters.iter().map(TopicFilter::as_str).collect();
    let words: Vec<_> = missing
        .words
        .iter()
        .map(|missing| {
            let until = origin::time(missing.until);
            serde_json::json!({ "until": until, "messages": missing.messages, "why": missing.why })
        })
        .collect();
    let told = serde_json::json!({
        "filters": filters, "messages": messages, "missing": words, "more_missing": missing.more,
    });
    marker("$andon/history", "andon-history", &told, now)
}

fn marker(topic: &str, property: &str, told: &serde_json::Value, now: Timestamp) -> Message {
    let topic = TopicName::parse(topic).expect("a topic name of ours");
    let mut message = Message::internal(topic, told.to_string().into(), QoS::AtMostOnce, false, now);
    message.content_type = Text::parse("application/json").ok();
    message.payload_format = Some(true);
    if let (Ok(name), Ok(end)) = (Text::parse(property), Text::parse("end")) {
        message.user_properties.push((name, end));
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;
    use andon_wire::mqtt::RetainHandling;

    #[test]
    fn what_was_goes_to_whoever_does_not_want_its_own_back_without_that_and_retained_as_it_was_asked() {
        let filter = |filter, no_local, retain_as_published| Filter {
            filter: TopicFilter::parse(filter).unwrap(),
            qos: QoS::AtLeastOnce,
            no_local,
            retain_as_published,
            retain_handling: RetainHandling::DoNotSend,
        };
        let filters = [filter("a/+", true, false), filter("a/b", false, true), filter("c", true, false)];
        let over = CancellationToken::new().drop_guard();
        let mut catch_up = CatchUp::new(&Past::Last, &filters, 7, Arc::default(), over);
        let wish = |catch_up: &CatchUp, topic, own| {
            catch_up.wish(topic, own).map(|(wish, ids)| (wish.retain_as_published, ids.to_vec()))
        };
        assert_eq!(wish(&catch_up, "a/b", false), Some((true, vec![7, 7])));
        assert_eq!(wish(&catch_up, "a/b", true), Some((true, vec![7])));
        assert_eq!((wish(&catch_up, "c", true), wish(&catch_up, "c", false)), (None, Some((false, vec![7]))));
        assert!(!catch_up.take_back(&filters[1].filter));
        assert_eq!((wish(&catch_up, "a/b", true), wish(&catch_up, "a/b", false)), (None, Some((false, vec![7]))));
        assert!(!catch_up.take_back(&filters[0].filter) && catch_up.take_back(&filters[2].filter));
    }

    #[test]
    fn what_is_missing_is_told_once_and_counted_beyond_the_words_that_are_told() {
        let mut not_there = NotThere::default();
        let missing = |n: u64| Missing {
            until: Timestamp::default(),
            messages: Some(n),
            why: "damaged".to_owned(),
            topics: Vec::new(),
        };
        for _ in 0..3 {
            not_there.add(vec![missing(0)]);
        }
        assert_eq!((not_there.words.len(), not_there.more), (1, 0));
        not_there.add((0..30).map(missing).collect());
        assert_eq!((not_there.words.len(), not_there.more), (20, 10));
        let marker = end_of_history(&[], 3, &not_there, Timestamp::default());
        let told: serde_json::Value = serde_json::from_slice(&marker.payload).unwrap();
        assert_eq!((&told["more_missing"], told["missing"].as_array().unwrap().len()), (&10.into(), 20));
    }

    #[tokio::test]
    async fn few_read_what_is_kept_at_a_time_and_a_place_is_free_when_a_read_is_done_and_not_when_its_asker_goes() {
        let reads = Arc::new(Reads::default());
        let (begun, mut at_work) = tokio::sync::mpsc::unbounded_channel();
        let (go_on, wait) = std::sync::mpsc::channel::<()>();
        let wait = Arc::new(std::sync::Mutex::new(wait));
        let mut askers: Vec<_> = (0..READS + 3)
            .map(|n| {
                let (reads, begun, wait) = (reads.clone(), begun.clone(), wait.clone());
                tokio::spawn(async move {
                    let read = move || {
                        begun.send(n).unwrap();
                        wait.lock().unwrap().recv().unwrap();
                        Ok(n)
                    };
                    reads.run(read).await.unwrap()
                })
            })
            .collect();
        for _ in 0..READS {
            at_work.recv().await.unwrap();
        }
        // They go away while they read: their places are not free yet.
        askers.drain(..READS).for_each(|asker| asker.abort());
        assert_eq!(reads.0.available_permits(), 0);
        tokio::task::yield_now().await;
        assert!(at_work.try_recv().is_err(), "the others wait");
        (0..READS + 3).for_each(|_| go_on.send(()).unwrap());
        for (asker, n) in askers.into_iter().zip(READS..) {
            assert_eq!(asker.await.unwrap(), n);
        }
        let all = reads.0.acquire_many(READS as u32);
        let all = tokio::time::timeout(std::time::Duration::from_secs(10), all).await;
        drop(all.expect("all places are free again").unwrap());
    }
}
