//! The live link to a screen: values (newest per tag, at most ten times a second), alarms, events, connectors.
//!
//! One task per link. It keeps nothing for a slow screen but the newest value of each tag; a screen that takes longer
//! than [`SEND_WITHIN`] to read is dropped and comes back by itself. Rights are asked again once a second, also while a screen
//! does not read: what waits for it then is not sent any more.

use crate::App;
use crate::auth::{Caller, identify, peer_of, same_origin};
use crate::outgoing;
use crate::problem::Problem;
use crate::routes::alarms::{AlarmView, visible};
use crate::routes::connectors::{self, Connectors};
use crate::routes::timeline;
use crate::routes::topics::{SeenView, TopicView};
use crate::routes::topics_live::{GATHER as GATHER_MESSAGES, Looking};
use crate::serve::Held;
use crate::socket::Cut;
use crate::views::{EventView, Live, live};
use andon_bus::NewestSubscription;
use andon_model::access::Action;
use andon_model::event::SealedEvent;
use andon_model::{Sample, TagId};
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{FromRequestParts, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

/// Values are gathered for this long.
const GATHER: Duration = Duration::from_millis(100);
/// A screen that does not read for this long is dropped.
const SEND_WITHIN: Duration = Duration::from_secs(10);
/// How often it is looked whether a screen that does not read may still see what waits for it.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// The largest message from a screen, in bytes.
const MAX_REQUEST: usize = 1 << 20;

/// What a screen asks.
#[derive(Deserialize)]
#[serde(tag = "op", rename_all = "lowercase")]
enum Ask {
    Subscribe {
        tags: Tags,
    },
    Unsubscribe {
        tags: Vec<String>,
    },
    Ping {
        n: u64,
    },
    /// Follows these topics instead of those before.
    Topics {
        topics: Vec<String>,
    },
    /// Looks at messages under this filter instead of the one before; none: at nothing.
    Watch {
        filter: Option<String>,
    },
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Tags {
    Some(Vec<String>),
    All(String),
}

/// What a screen is told.
#[derive(Serialize)]
#[serde(tag = "t", rename_all = "lowercase")]
enum Tell<'a> {
    Hello { now_ms: i64, version: &'a str },
    Values { values: &'a [Live] },
    Alarms { alarms: &'a [AlarmView] },
    Event { event: &'a EventView },
    Connectors(&'a Connectors),
    Tick { now_ms: i64 },
    Topics { topics: &'a [TopicView] },
    Messages { messages: &'a [SeenView], skipped: u64 },
    Watching { filter: Option<&'a str>, error: Option<&'a str> },
    Plant { version: u64 },
    Pong { n: u64, now_ms: i64 },
    Error { detail: &'a str },
    Bye { reason: &'a str },
}

/// Opens the live link.
#[utoipa::path(get, path = "/api/ws", responses((status = 101), (status = 401, body = Problem), (status = 403, body = Problem)))]
pub async fn open(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    let (mut parts, _) = request.into_parts();
    if !same_origin(&parts.headers) {
        return Err(Problem::new(StatusCode::FORBIDDEN, "foreign-origin", "this page is not ours"));
    }
    let tls = peer_of(&parts).tls;
    let held = parts.extensions.get::<Held>().cloned();
    let cut = parts.extensions.get::<Cut>().cloned().unwrap_or_default();
    let caller = identify(&app, &parts.headers, tls).await?;
    let upgrade = match WebSocketUpgrade::from_request_parts(&mut parts, &app).await {
        Ok(upgrade) => upgrade.max_message_size(MAX_REQUEST).max_frame_size(MAX_REQUEST),
        Err(rejection) => return Ok(rejection.into_response()),
    };
    let headers = parts.headers;
    Ok(upgrade.on_upgrade(move |socket| async move {
        let _held = held;
        let link = Link::new(app, caller, socket, headers, tls, cut);
        link.run().await;
    }))
}

struct Link {
    app: App,
    caller: Caller,
    socket: WebSocket,
    headers: axum::http::HeaderMap,
    tls: bool,
    cut: Cut,
    values: NewestSubscription,
    events: broadcast::Receiver<Arc<SealedEvent>>,
    /// `None`: every tag that may be seen.
    wanted: Option<HashSet<TagId>>,
    alarms: Vec<AlarmView>,
    connectors: Option<Connectors>,
    plant_version: u64,
    looking: Looking,
}

/// The link is over.
struct Over;

impl Link {
    fn new(app: App, caller: Caller, socket: WebSocket, headers: axum::http::HeaderMap, tls: bool, cut: Cut) -> Self {
        let values = app.bus.subscribe_newest(Some(HashSet::new()));
        let events = app.audit.subscribe();
        let plant_version = app.bus.plant().plant.version;
        Self {
            app,
            caller,
            socket,
            headers,
            tls,
            cut,
            values,
            events,
            wanted: Some(HashSet::new()),
            alarms: Vec::new(),
            connectors: None,
            plant_version,
            looking: Looking::default(),
        }
    }

    async fn run(mut self) {
        let _ = self.talk().await;
    }

    async fn talk(&mut self) -> Result<(), Over> {
        self.say(&Tell::Hello { now_ms: self.app.clock.now().millis(), version: self.app.version }).await?;
        let still = self.sees_as_now();
        self.alarms = visible(&self.app, &self.caller);
        let alarms = text(&Tell::Alarms { alarms: &self.alarms });
        self.send(alarms, still).await?;
        let mut tick = interval(Duration::from_secs(1));
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut alarm_changes = self.app.alarms.subscribe();
        let stop = self.app.stop.clone();
        let mut gather_until = Instant::now();
        let mut look = interval(GATHER_MESSAGES);
        look.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                () = stop.cancelled() => {
                    self.say(&Tell::Bye { reason: "the node is stopping" }).await?;
                    return Err(Over);
                }
                message = self.socket.recv() => self.hear(message).await?,
                samples = gathered(&mut self.values, gather_until) => {
                    gather_until = Instant::now() + GATHER;
                    self.tell_values(&samples).await?;
                }
                event = self.events.recv() => self.tell_event(event).await?,
                changed = alarm_changes.changed() => {
                    changed.map_err(|_| Over)?;
                    self.tell_alarms().await?;
                }
                _ = tick.tick() => self.each_second().await?,
                _ = look.tick(), if self.looking.watches() => self.tell_messages().await?,
            }
        }
    }

    /// To be asked before something is gathered that not everybody may see: whether the screen still sees what it saw then.
    fn sees_as_now(&self) -> impl Fn() -> bool + Send + use<> {
        outgoing::sees_as_now(self.app.clone(), self.caller.clone())
    }

    /// Sends what everybody may see. But it may wait behind something else in the system's buffer, and goes with it.
    async fn say(&mut self, tell: &Tell<'_>) -> Result<(), Over> {
        let still = self.sees_as_now();
        self.send(text(tell), still).await
    }

    /// Sends a message. `still`: whether it may be seen.
    async fn send(&mut self, message: String, still: impl Fn() -> bool + Send) -> Result<(), Over> {
        let Self { app, caller, socket, headers, tls, cut, .. } = self;
        if !still() {
            cut.off();
            return Err(Over);
        }
        let sending = socket.send(Message::Text(message.into()));
        tokio::pin!(sending);
        let until = Instant::now() + SEND_WITHIN;
        loop {
            if let Ok(sent) = tokio::time::timeout(LOOK_AGAIN, sending.as_mut()).await {
                return sent.map_err(|_| Over);
            }
            let logged_in = identify(app, headers, *tls).await.is_ok_and(|now| now.who == caller.who);
            if Instant::now() >= until || !logged_in || !still() {
                cut.off();
                return Err(Over);
            }
        }
    }

    async fn hear(&mut self, message: Option<Result<Message, axum::Error>>) -> Result<(), Over> {
        let text_of = match message {
            Some(Ok(Message::Text(text))) => text,
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => return Ok(()),
            _ => return Err(Over),
        };
        match serde_json::from_str(&text_of) {
            Ok(Ask::Subscribe { tags: Tags::All(star) }) if star == "*" => {
                self.wanted = None;
                self.filter_changed(None).await
            }
            Ok(Ask::Subscribe { tags: Tags::Some(paths) }) => {
                let plant = self.app.bus.plant();
                let new: Vec<_> = paths.iter().filter_map(|p| plant.id_of(p)).collect();
                self.wanted.get_or_insert_default().extend(&new);
                self.filter_changed(Some(new)).await
            }
            Ok(Ask::Unsubscribe { tags }) => {
                let plant = self.app.bus.plant();
                if let Some(wanted) = &mut self.wanted {
                    for id in tags.iter().filter_map(|p| plant.id_of(p)) {
                        wanted.remove(&id);
                    }
                }
                self.values.set_filter(self.wanted.clone());
                Ok(())
            }
            Ok(Ask::Topics { topics }) => {
                self.looking.follow(topics);
                self.tell_topics().await
            }
            Ok(Ask::Watch { filter }) => {
                let error = self.looking.watch(&self.app, &self.caller, filter.as_deref()).err().map(|e| e.to_string());
                self.say(&Tell::Watching { filter: filter.as_deref(), error: error.as_deref() }).await
            }
            Ok(Ask::Ping { n }) => self.say(&Tell::Pong { n, now_ms: self.app.clock.now().millis() }).await,
            Ok(Ask::Subscribe { .. }) | Err(_) => {
                let detail =
                    "not understood: send subscribe with a list of tags or \"*\", unsubscribe, topics, watch, or ping";
                self.say(&Tell::Error { detail }).await
            }
        }
    }

    /// Sends the present values of what was newly asked for, and follows them from now on.
    async fn filter_changed(&mut self, new: Option<Vec<TagId>>) -> Result<(), Over> {
        self.values.set_filter(self.wanted.clone());
        let now: Vec<Sample> = match new {
            None => self.app.bus.last_all(),
            Some(ids) => ids.into_iter().filter_map(|id| self.app.bus.last(id)).collect(),
        };
        self.tell_values(&now).await
    }

    async fn tell_values(&mut self, samples: &[Sample]) -> Result<(), Over> {
        let still = self.sees_as_now();
        let plant = self.app.bus.plant();
        let mut values = Vec::with_capacity(samples.len());
        for sample in samples {
            if let Some(tag) = plant.tag(sample.tag).filter(|t| self.caller.sees(&self.app, t.path.as_str())) {
                values.push(live(tag.path.as_str(), sample));
            }
        }
        if values.is_empty() {
            return Ok(());
        }
        let message = text(&Tell::Values { values: &values });
        self.send(message, still).await
    }

    async fn tell_topics(&mut self) -> Result<(), Over> {
        let still = self.sees_as_now();
        let topics = self.looking.news(&self.app, &self.caller);
        if topics.is_empty() {
            return Ok(());
        }
        let message = text(&Tell::Topics { topics: &topics });
        self.send(message, still).await
    }

    async fn tell_messages(&mut self) -> Result<(), Over> {
        let still = self.sees_as_now();
        let (messages, skipped) = self.looking.seen(&self.app, &self.caller);
        if messages.is_empty() && skipped == 0 {
            return Ok(());
        }
        let message = text(&Tell::Messages { messages: &messages, skipped });
        self.send(message, still).await
    }

    async fn tell_event(&mut self, event: Result<Arc<SealedEvent>, RecvError>) -> Result<(), Over> {
        let still = self.sees_as_now();
        match event {
            Ok(sealed) if self.caller.sees(&self.app, &sealed.event.path) => {
                let event = timeline::view(&self.app, &sealed);
                let message = text(&Tell::Event { event: &event });
                self.send(message, still).await
            }
            Ok(_) => Ok(()),
            // The screen reads the timeline again; nothing is lost.
            Err(RecvError::Lagged(_)) => {
                self.say(&Tell::Error { detail: "events were skipped: read the timeline again" }).await
            }
            Err(RecvError::Closed) => Err(Over),
        }
    }

    async fn tell_alarms(&mut self) -> Result<(), Over> {
        let still = self.sees_as_now();
        let alarms = visible(&self.app, &self.caller);
        if alarms == self.alarms {
            return Ok(());
        }
        self.alarms = alarms;
        let message = text(&Tell::Alarms { alarms: &self.alarms });
        self.send(message, still).await
    }

    async fn each_second(&mut self) -> Result<(), Over> {
        match identify(&self.app, &self.headers, self.tls).await {
            Ok(caller) if caller.who == self.caller.who => self.caller = caller,
            _ => {
                self.say(&Tell::Bye { reason: "the log-in has ended" }).await?;
                return Err(Over);
            }
        }
        self.say(&Tell::Tick { now_ms: self.app.clock.now().millis() }).await?;
        let version = self.app.bus.plant().plant.version;
        if version != self.plant_version {
            self.plant_version = version;
            self.say(&Tell::Plant { version }).await?;
        }
        self.tell_alarms().await?;
        self.tell_topics().await?;
        let still = self.sees_as_now();
        if self.caller.may(&self.app, Action::View, "").is_ok() {
            let now = connectors::state(&self.app);
            if self.connectors.as_ref() != Some(&now) {
                let message = text(&Tell::Connectors(&now));
                self.connectors = Some(now);
                self.send(message, still).await?;
            }
        }
        Ok(())
    }
}

/// Waits until values have gathered, then takes the newest of each tag.
async fn gathered(values: &mut NewestSubscription, until: Instant) -> Vec<Sample> {
    sleep_until(until).await;
    values.next().await
}

fn text(tell: &Tell<'_>) -> String {
    serde_json::to_string(tell).unwrap_or_else(|_| "{\"t\":\"error\",\"detail\":\"not representable\"}".to_owned())
}
