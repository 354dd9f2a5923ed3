//! The broker as others see it.

use crate::bridge::Taps;
use crate::catalogue::Catalogue;
use crate::core::{Core, Effects, Told};
use crate::departures::Departures;
use crate::fetch::Fetches;
use crate::frames::{FrameError, Op, Published, SessionNo, SessionOp};
use crate::history::{History, HistoryFigures, Keeping};
use crate::hooks::BrokerHooks;
use crate::message::Message;
use crate::options::BrokerOptions;
use crate::origin::Names;
use crate::outbox::Wakes;
use crate::overview::RateMemory;
use crate::past::Reads;
use crate::quarantine::Withheld;
use crate::queue::Bounds;
use crate::router::{Pipeline, QUEUES, READER, Reply};
use crate::ruling::{self, Offer, Origin, Ruling};
use crate::session::Session;
use andon_model::access::Principal;
use andon_model::log::{AppendError, Lane, Log, ReadError, Seq, SnapshotError};
use andon_model::{Clock, Timestamp};
use andon_wire::mqtt::{QoS, ReasonCode, Text, TopicFilter, TopicName};
use bytes::Bytes;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

/// How much of the lane is read at a time during replay.
const REPLAY_BYTES: usize = 4 << 20;

/// An MQTT broker on a durable log. Made by [`Broker::new`], fed with connections by [`Broker::serve`], ended by
/// [`Broker::stop`].
pub struct Broker {
    pub(crate) options: BrokerOptions,
    pub(crate) hooks: Arc<dyn BrokerHooks>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) pipeline: Pipeline,
    core: Mutex<Core>,
    pub(crate) fetches: Fetches,
    pub(crate) names: Arc<Names>,
    pub(crate) history: Arc<History>,
    pub(crate) reads: Reads,
    /// Ends the task that keeps messages, after everything else.
    pub(crate) last: CancellationToken,
    keeper: Mutex<Option<JoinHandle<()>>>,
    /// Everything that takes in is to end.
    pub(crate) stop: CancellationToken,
    /// The router is to end once nothing is left to do.
    pub(crate) finish: CancellationToken,
    /// Connections and the commands they brought.
    pub(crate) clients: TaskTracker,
    tasks: Mutex<Vec<JoinHandle<()>>>,
    pub(crate) connections: AtomicUsize,
    pub(crate) next_connection: AtomicU64,
    pub(crate) started: Duration,
    catalogue: Arc<Catalogue>,
    pub(crate) taps: Taps,
    pub(crate) departures: Departures,
    pub(crate) rates: Mutex<RateMemory>,
}

/// Why the broker could not start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The saved state could not be had.
    #[error("could not load the broker's saved state")]
    Snapshot(#[from] SnapshotError),
    /// The saved state is of a newer program, or damaged.
    #[error("the broker's saved state cannot be used; if a newer version wrote it, start that one")]
    State(#[source] FrameError),
    /// The lane could not be read.
    #[error("could not read the broker's messages from the log")]
    Read(#[from] ReadError),
    /// A frame of the lane is of a newer program, or damaged.
    #[error("frame {} of the messages lane cannot be used; if a newer version wrote it, start that one", seq.0)]
    Frame {
        /// Which.
        seq: Seq,
        /// Why.
        source: FrameError,
    },
}

/// Why a message of the node's own was not published.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// No topic name.
    #[error("\"{0}\" is no topic name")]
    Topic(String),
    /// Over the limit for payloads.
    #[error("a payload of {bytes} bytes is over the limit of {limit}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// More levels than a topic may have.
    #[error("a topic of {levels} levels is over the limit of {limit}")]
    Levels {
        /// How many it has.
        levels: usize,
        /// The limit.
        limit: usize,
    },
    /// A message there is a command.
    #[error("a message on \"{0}\" is a command")]
    Command(String),
    /// There is no room for one more retained message.
    #[error("{0} retained messages are kept, and no more can be")]
    RetainedFull(usize),
    /// It breaks the rule of its topic.
    #[error("{0}")]
    Rule(String),
    /// The log did not take it.
    #[error("the log did not take the message")]
    Log(#[from] AppendError),
    /// The broker is stopping.
    #[error("the broker is stopping")]
    Stopping,
}

/// No client that would get the command is connected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no client subscribed to \"{topic}\" is connected")]
pub struct NotConnected {
    /// The command's topic.
    pub topic: String,
}

/// A message that [`Broker::admit_message`] let in.
#[derive(Debug, Clone)]
pub struct Admitted {
    message: Message,
    ruling: Ruling,
}

impl Admitted {
    /// Whether the rule of its topic spares it the log.
    pub(crate) fn is_volatile(&self) -> bool {
        self.ruling == Ruling::Volatile
    }

    /// How it breaks the rule of its topic, where it would go into quarantine.
    #[must_use]
    pub fn breach(&self) -> Option<&str> {
        match &self.ruling {
            Ruling::Withheld { words, .. } => Some(words),
            _ => None,
        }
    }
}

/// Figures since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BrokerStats {
    /// Clients connected now.
    pub connected: usize,
    /// Sessions, connected or not.
    pub sessions: usize,
    /// Subscriptions.
    pub subscriptions: usize,
    /// Retained messages.
    pub retained: usize,
    /// Messages waiting or under way, over all sessions.
    pub queued: usize,
    /// Connected clients whose next messages are being read from the log.
    pub fetching: usize,
    /// Messages received.
    pub received: u64,
    /// Messages handed to connections.
    pub delivered: u64,
    /// Messages dropped, each counted per receiver.
    pub dropped: u64,
    /// Messages that expired before they could be delivered.
    pub expired: u64,
    /// Messages left out for subscriptions that asked for less than all.
    pub left_out: u64,
    /// Connections accepted.
    pub connections: u64,
}

impl Broker {
    /// Loads the state (snapshot, then the frames behind it; blocking) and starts the router and the housekeeper.
    /// Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`OpenError`]: the saved state or the lane cannot be used. Nothing was changed.
    pub fn new(
        options: BrokerOptions,
        log: Arc<dyn Log>,
        hooks: Arc<dyn BrokerHooks>,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, OpenError> {
        log.register_reader(READER, &[Lane::Messages])?;
        log.register_reader(QUEUES, &[Lane::Messages])?;
        let now = clock.now();
        let keeping = hooks.keeping();
        let rules = keeping.as_ref().map(|keeping| keeping.all()).unwrap_or_default();
        let history = Arc::new(History::open(options.history_dir.as_deref(), rules, now));
        let mut core = load(&*log, &*hooks, &history, keeping, now)?;
        core.live = true;
        core.now = now;
        let first_ops = first_ops(&core, &options);
        let catalogue = Catalogue::new(options.catalogue_topics, options.catalogue_bytes);
        core.retained.iter().for_each(|message| catalogue.begin_with(message));
        let names = Arc::new(Names::default());
        names.learn_new(core.retained.iter().filter_map(|message| message.user.as_ref()), &*hooks);
        names.learn_new(core.sessions.values().filter_map(|session| session.principal.as_ref()), &*hooks);
        let broker = Arc::new(Self {
            options,
            hooks,
            started: clock.monotonic(),
            clock,
            pipeline: Pipeline::new(log),
            core: Mutex::new(core),
            fetches: Fetches::default(),
            names,
            history,
            reads: Reads::default(),
            last: CancellationToken::new(),
            keeper: Mutex::default(),
            stop: CancellationToken::new(),
            finish: CancellationToken::new(),
            clients: TaskTracker::new(),
            tasks: Mutex::default(),
            connections: AtomicUsize::new(0),
            next_connection: AtomicU64::new(0),
            catalogue,
            taps: Taps::default(),
            departures: Departures::default(),
            rates: Mutex::default(),
        });
        broker.pipeline.leave(first_ops);
        let tasks = vec![tokio::spawn(broker.clone().route_commits()), tokio::spawn(broker.clone().keep_house())];
        *broker.tasks() = tasks;
        let waiting = [tokio::spawn(broker.clone().fetch_messages()), tokio::spawn(broker.clone().hold_messages())];
        broker.tasks().extend(waiting);
        let keeper = tokio::spawn(broker.clone().keep_messages());
        *broker.keeper.lock().unwrap_or_else(PoisonError::into_inner) = Some(keeper);
        Ok(broker)
    }

    fn tasks(&self) -> std::sync::MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends all connections ("server shutting down"), lets what is under way become durable, saves the state.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.with_core(|core| {
            let links = core.sessions.values().filter_map(|session| session.link.as_ref());
            links.for_each(|link| link.outbox.close(ReasonCode::SERVER_SHUTTING_DOWN));
        });
        self.clients.close();
        if tokio::time::timeout(self.options.stop_deadline, self.clients.wait()).await.is_err() {
            tracing::warn!("some MQTT connections did not end in time");
        }
        self.finish.cancel();
        let tasks = std::mem::take(&mut *self.tasks());
        for task in tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "a task of the MQTT broker failed");
            }
        }
        self.save_now().await;
        self.last.cancel();
        let keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Err(error)) = match keeper {
            Some(keeper) => Some(keeper.await),
            None => None,
        } {
            tracing::error!(%error, "the task that keeps MQTT messages failed");
        }
    }

    /// What rules say is to be kept from now on.
    pub fn set_keeping(self: &Arc<Self>, keeping: Option<Arc<dyn Keeping>>) {
        let rules = keeping.as_ref().map(|keeping| keeping.all()).unwrap_or_default();
        self.history.set_rules(rules);
        self.with_core(|core| core.keeping = keeping);
        // So that a start asks the new rules about few messages that counted under the old ones. Of those that they keep and the old ones
        // did not, some may be kept then; none is kept twice.
        let broker = self.clone();
        self.clients.spawn(async move { broker.save_now().await });
    }

    /// Whether messages are kept, or still are.
    #[must_use]
    pub fn keeps_messages(&self) -> bool {
        self.history.is_any()
    }

    /// Figures of kept messages.
    #[must_use]
    pub fn history_figures(&self) -> HistoryFigures {
        self.history.figures()
    }

    /// Publishes a message of the node's own. Returns how many sessions it reached; with QoS > 0 or `retain` after it is
    /// durable. Not handed to the mapping hook.
    ///
    /// # Errors
    /// [`PublishError`].
    pub async fn publish_internal(
        &self,
        topic: &str,
        payload: Bytes,
        qos: QoS,
        retain: bool,
    ) -> Result<usize, PublishError> {
        let name = TopicName::parse(topic).map_err(|_| PublishError::Topic(topic.to_owned()))?;
        if payload.len() > self.options.payload_bytes {
            return Err(PublishError::TooLarge { bytes: payload.len(), limit: self.options.payload_bytes });
        }
        let message = Arc::new(Message::internal(name, payload, qos, retain, self.clock.now()));
        let reached = self.route_own(message.clone(), false).await?;
        self.catalogue.note(&message);
        self.taps.pass(&message, qos != QoS::AtMostOnce || retain);
        Ok(reached)
    }

    /// Whether the broker would take this message of somebody who is no client: a client's limits hold, and commands go another way.
    ///
    /// # Errors
    /// [`PublishError`].
    pub fn check(&self, message: &Message) -> Result<(), PublishError> {
        let options = &self.options;
        if message.topic.is_server_owned() {
            return Err(PublishError::Topic(message.topic.as_str().to_owned()));
        }
        if self.hooks.command_topic(message.topic.as_str()) {
            return Err(PublishError::Command(message.topic.as_str().to_owned()));
        }
        let levels = message.topic.levels();
        if levels > options.topic_levels {
            return Err(PublishError::Levels { levels, limit: options.topic_levels });
        }
        if message.payload.len() > options.payload_bytes {
            return Err(PublishError::TooLarge { bytes: message.payload.len(), limit: options.payload_bytes });
        }
        let most = options.retained_messages;
        let full = message.retain
            && !message.payload.is_empty()
            && self.with_core(|core| core.retained.len() >= most && !core.retained.has(&message.topic));
        if full { Err(PublishError::RetainedFull(most)) } else { Ok(()) }
    }

    /// Publishes a message for somebody who is no client but whose messages count as a client's: it is mapped to tags, and the rule of
    /// its topic holds. It names its publisher. Returns how many sessions it reached; with QoS > 0 or `retain` after it is durable.
    ///
    /// # Errors
    /// [`PublishError`].
    pub async fn publish(&self, message: Message) -> Result<usize, PublishError> {
        self.publish_admitted(self.admit_message(message)?).await
    }

    /// Asks everything that is asked of a message for [`Broker::publish`], the rule of its topic too, which counts it.
    ///
    /// # Errors
    /// [`PublishError`]: it would not be published.
    pub fn admit_message(&self, message: Message) -> Result<Admitted, PublishError> {
        self.check(&message)?;
        match self.rule(&message) {
            Ruling::Refused(refused) => Err(PublishError::Rule(refused.words)),
            ruling => Ok(Admitted { message, ruling }),
        }
    }

    /// Publishes what was admitted.
    ///
    /// # Errors
    /// [`PublishError`].
    pub async fn publish_admitted(&self, Admitted { message, ruling }: Admitted) -> Result<usize, PublishError> {
        if let Ruling::Withheld { rule, words } = &ruling {
            let none = SessionNo::NODE;
            let from = Origin { publisher: none, packet_id: 0, will_of: none, by: Uuid::nil() };
            let withheld = ruling::withheld(Arc::new(message), &from, rule, words);
            return self.run_for(SessionOp::Withhold(withheld)).await;
        }
        self.route_own(Arc::new(message), ruling == Ruling::Volatile).await
    }

    /// Runs an operation through the log and waits until it counts.
    async fn run_for(&self, op: SessionOp) -> Result<usize, PublishError> {
        let (done, outcome) = oneshot::channel();
        self.pipeline.submit(Op::Session(op), Reply::Done(done)).await;
        Ok(outcome.await.map_err(|_| PublishError::Stopping)??)
    }

    /// The messages in quarantine, the oldest first, each under its number; and how many had to go for others since the start.
    #[must_use]
    pub fn quarantine(&self) -> (Vec<(u64, Arc<Withheld>)>, u64) {
        self.with_core(|core| {
            let kept = core.quarantine.iter().map(|(seq, withheld)| (seq, withheld.clone())).collect();
            (kept, core.quarantine.pushed_out)
        })
    }

    /// How many messages of QoS 0 were not taken into quarantine since the start, for their publisher had its share there.
    #[must_use]
    pub fn not_withheld(&self) -> u64 {
        self.with_core(|core| core.quarantine.not_taken)
    }

    /// The message of this number in quarantine.
    #[must_use]
    pub fn withheld(&self, number: u64) -> Option<Arc<Withheld>> {
        self.with_core(|core| core.quarantine.get(number).cloned())
    }

    /// Takes a message out of quarantine; false: it was there no more. Durable when it returns.
    ///
    /// # Errors
    /// [`PublishError::Log`], [`PublishError::Stopping`].
    pub async fn let_go(&self, number: u64) -> Result<bool, PublishError> {
        Ok(self.decide(SessionOp::LetGo { withheld: number }).await?.is_some())
    }

    /// Takes messages out of quarantine; how many were still there. Durable when it returns. They go through the log together, so it takes
    /// about as long as one.
    ///
    /// # Errors
    /// [`PublishError::Log`], [`PublishError::Stopping`]; some of them may be out then.
    pub async fn let_go_all(&self, numbers: &[u64]) -> Result<usize, PublishError> {
        let mut outcomes = Vec::with_capacity(numbers.len());
        for withheld in numbers {
            let (done, outcome) = oneshot::channel();
            self.pipeline.submit(Op::Session(SessionOp::LetGo { withheld: *withheld }), Reply::Decided(done)).await;
            outcomes.push(outcome);
        }
        let mut gone = 0;
        for outcome in outcomes {
            gone += usize::from(outcome.await.map_err(|_| PublishError::Stopping)??.is_some());
        }
        Ok(gone)
    }

    /// Publishes a message that is in quarantine, whatever its rule says, and takes it out, both in one: as a message of now and of
    /// `who`, named as the client `by`. If it had a time after which it is of no use, that begins anew. Returns how many sessions it
    /// reached; `None`: it was there no more, and nothing was published. Durable when it returns.
    ///
    /// # Errors
    /// [`PublishError`].
    pub async fn release(&self, number: u64, by: Text, who: Principal) -> Result<Option<usize>, PublishError> {
        let Some(withheld) = self.withheld(number) else { return Ok(None) };
        let (message, now) = (&*withheld.message, self.clock.now());
        let message = Message {
            publisher: Some(by),
            received: now,
            expires: message.expires.map(|expires| now.plus(expires.since(message.received))),
            user: Some(who),
            ..message.clone()
        };
        self.check(&message)?;
        message.user.iter().for_each(|who| self.names.learn(who, &*self.hooks));
        self.decide(SessionOp::Release { withheld: number, message: Arc::new(message) }).await
    }

    /// Runs what was decided on a message in quarantine.
    async fn decide(&self, op: SessionOp) -> Result<Option<usize>, PublishError> {
        let (done, outcome) = oneshot::channel();
        self.pipeline.submit(Op::Session(op), Reply::Decided(done)).await;
        Ok(outcome.await.map_err(|_| PublishError::Stopping)??)
    }

    /// What holds for a message that no connected client brings.
    pub(crate) fn rule(&self, message: &Message) -> Ruling {
        self.hooks.rule(&Offer {
            client_id: message.publisher.as_ref().map_or("", Text::as_str),
            who: None,
            topic: message.topic.as_str(),
            payload: &message.payload,
            retain: message.retain,
        })
    }

    /// Lets a message count: at once, or through the log.
    async fn route_own(&self, message: Arc<Message>, volatile: bool) -> Result<usize, PublishError> {
        message.user.iter().for_each(|who| self.names.learn(who, &*self.hooks));
        let passing = (message.qos == QoS::AtMostOnce || volatile) && !message.retain;
        let (done, reached) = oneshot::channel();
        let op = Op::Publish(Published { message, publisher: SessionNo::NODE, packet_id: 0, will_of: SessionNo::NODE });
        if passing {
            let ((), mapped) = self.with_core_mapped(|core| core.apply(Seq(0), &op, Reply::Done(done)));
            self.map(mapped, false).await;
        } else {
            self.pipeline.submit(op, Reply::Done(done)).await;
        }
        Ok(reached.await.map_err(|_| PublishError::Stopping)??)
    }

    /// Lets a message that was admitted count through the log, as a client's: resolves when it is appended, and what it returns when it
    /// is durable.
    pub(crate) async fn submit_own(&self, admitted: Admitted) -> oneshot::Receiver<Result<usize, AppendError>> {
        let (done, reached) = oneshot::channel();
        let message = Arc::new(admitted.message);
        let op = Op::Publish(Published { message, publisher: SessionNo::NODE, packet_id: 0, will_of: SessionNo::NODE });
        self.pipeline.submit(op, Reply::Done(done)).await;
        reached
    }

    /// What flows: the last message of each topic.
    #[must_use]
    pub const fn catalogue(&self) -> &Arc<Catalogue> {
        &self.catalogue
    }

    /// What is set.
    #[must_use]
    pub const fn options(&self) -> &BrokerOptions {
        &self.options
    }

    /// Sends a command to the clients that are connected now and subscribed to its topic; with QoS 0, never queued, never
    /// retained, not in the log. MQTT 5.0 clients are told when it expires. Returns how many clients it went to.
    ///
    /// # Errors
    /// [`NotConnected`]: nobody got it.
    pub fn send_command(&self, topic: &TopicName, payload: Bytes, expiry: Duration) -> Result<usize, NotConnected> {
        let now = self.clock.now();
        let mut message = Message::internal(topic.clone(), payload, QoS::AtMostOnce, false, now);
        message.expires = Some(now.plus(expiry));
        let message = Arc::new(message);
        match self.with_core(|core| core.send_command(&message)) {
            0 => Err(NotConnected { topic: topic.as_str().to_owned() }),
            reached => Ok(reached),
        }
    }

    /// The retained messages under a filter that have not expired, by topic.
    #[must_use]
    pub fn retained(&self, filter: &TopicFilter) -> Vec<Arc<Message>> {
        self.with_core(|core| core.retained.matching(filter, core.now))
    }

    /// The message that is retained on a topic, if it has not expired.
    #[must_use]
    pub fn retained_on(&self, topic: &TopicName) -> Option<Arc<Message>> {
        self.with_core(|core| core.retained.get(topic).filter(|message| !message.is_expired(core.now)).cloned())
    }

    /// Whether one more retained message is within the bound that clients are held to.
    #[must_use]
    pub fn may_retain(&self, topic: &TopicName) -> bool {
        let most = self.options.retained_messages;
        self.with_core(|core| core.retained.len() < most || core.retained.has(topic))
    }

    /// The largest packet that is taken, in bytes.
    #[must_use]
    pub fn packet_bytes(&self) -> usize {
        self.options.packet_bytes()
    }

    /// The largest CONNECT, and the largest of every other packet until a client is let in, in bytes.
    #[must_use]
    pub fn connect_bytes(&self) -> usize {
        self.options.connect_bytes()
    }

    /// Ends the connections of a principal whose access was taken away; how many there were.
    pub fn disconnect_principal(&self, id: Uuid) -> usize {
        self.with_core(|core| {
            let links = core.sessions.values().filter_map(|s| s.link.as_ref());
            links
                .filter(|link| link.principal.id == id)
                .map(|link| link.outbox.close(ReasonCode::NOT_AUTHORIZED))
                .count()
        })
    }

    /// Figures since the start.
    #[must_use]
    pub fn stats(&self) -> BrokerStats {
        self.with_core(|core| BrokerStats {
            connected: core.sessions.values().filter(|s| s.link.is_some()).count(),
            sessions: core.sessions.len(),
            subscriptions: core.sessions.values().map(|s| s.subscriptions.len()).sum(),
            retained: core.retained.len(),
            queued: core.sessions.values().map(|s| s.queue.len()).sum(),
            fetching: core.sessions.values().filter_map(|s| s.link.as_ref()).filter(|link| link.fetching).count(),
            received: core.counters.received,
            delivered: core.counters.delivered,
            dropped: core.counters.dropped,
            expired: core.counters.expired,
            left_out: core.counters.left_out,
            connections: core.counters.connections,
        })
    }

    /// Runs something on the state and deals with what follows. Never call it from within itself.
    pub(crate) fn with_core<R>(&self, run: impl FnOnce(&mut Core) -> R) -> R {
        self.with_core_mapped(run).0
    }

    /// As [`Broker::with_core`]; also returns the messages that are due to the mapping hook.
    pub(crate) fn with_core_mapped<R>(&self, run: impl FnOnce(&mut Core) -> R) -> (R, Vec<Arc<Message>>) {
        let mut wakes = Wakes::default();
        let result = self.with_core_waking(&mut wakes, run);
        wakes.wake();
        result
    }

    /// As [`Broker::with_core_mapped`]; leaves it to the caller to wake those who have something to write.
    pub(crate) fn with_core_waking<R>(
        &self,
        wakes: &mut Wakes,
        run: impl FnOnce(&mut Core) -> R,
    ) -> (R, Vec<Arc<Message>>) {
        let (result, Effects { events, todo, mapped, fetches, wakes: mut more }) = {
            let mut core = self.core.lock().unwrap_or_else(PoisonError::into_inner);
            core.now = self.clock.now();
            let result = run(&mut core);
            (result, std::mem::take(&mut core.effects))
        };
        wakes.append(&mut more);
        if !todo.is_empty() {
            self.pipeline.leave(todo);
        }
        if !fetches.is_empty() {
            self.fetches.ask(fetches);
        }
        for event in events {
            match event {
                Told::Connection(event) => {
                    self.departures.note(&event, self.clock.now());
                    self.hooks.connection(event);
                }
                Told::Dropped(report) => self.hooks.dropped(report),
            }
        }
        (result, mapped)
    }
}

/// The state as the log has it.
fn load(
    log: &dyn Log,
    hooks: &dyn BrokerHooks,
    history: &Arc<History>,
    keeping: Option<Arc<dyn Keeping>>,
    now: Timestamp,
) -> Result<Core, OpenError> {
    let mut core = Core::default();
    (core.keeping, core.history) = (keeping, Some(history.clone()));
    if let Some(snapshot) = log.load_snapshot(READER)? {
        crate::snapshot::decode(snapshot.state, &mut core).map_err(OpenError::State)?;
        core.applied = snapshot.positions.messages;
    }
    history.begin_replay(core.applied, log.durable_seq(Lane::Messages));
    let mut next = core.applied.next();
    loop {
        let batch = log.read(Lane::Messages, next, REPLAY_BYTES)?;
        for gap in &batch.gaps {
            tracing::warn!(from = gap.from.0, to = gap.to.0, reason = %gap.reason, "MQTT messages are missing from the log");
        }
        if batch.frames.is_empty() && batch.next <= next {
            history.end_replay();
            return Ok(core);
        }
        for frame in batch.frames {
            core.applied = frame.seq;
            if frame.kind == andon_model::log::kind::GAP {
                continue;
            }
            let op =
                Op::decode(frame.kind, frame.payload).map_err(|source| OpenError::Frame { seq: frame.seq, source })?;
            match &op {
                Op::Publish(published) => hooks.replayed(&published.message),
                Op::Session(SessionOp::Release { withheld, message }) if core.quarantine.get(*withheld).is_some() => {
                    hooks.replayed(message);
                }
                Op::Session(_) => {}
            }
            core.apply(frame.seq, &op, Reply::None);
        }
        history.write_line(log, false, now);
        next = batch.next;
    }
}

/// What the start itself changes: the bounds if they were set anew, and connections that the last run did not end.
fn first_ops(core: &Core, options: &BrokerOptions) -> Vec<Op> {
    let (messages, bytes) = (options.queue_messages as u64, options.queue_bytes as u64);
    let limits = (core.bounds != Bounds { messages, bytes }).then_some(SessionOp::Limits { messages, bytes });
    let mut open: Vec<_> = core.sessions.values().filter(|s| s.gone_at.is_none()).collect();
    open.sort_by_key(|s| s.number);
    let gone = |s: &Session| SessionOp::Gone {
        session: s.number,
        opened: s.opened,
        at: core.now,
        expiry_s: None,
        keep_will: true,
    };
    limits.into_iter().chain(open.into_iter().map(|session| gone(session))).map(Op::Session).collect()
}
