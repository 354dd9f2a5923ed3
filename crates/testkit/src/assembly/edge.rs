//! The edge of each station: what it has to tell and has not told yet, and the connection that tells it.

use super::state::{Reason, State};
use super::world::{Controls, Place, Said};
use super::{KEEP_ALIVE, Product, control, message, online};
use crate::house::DeviceSpec;
use crate::mqtt_client::{ClientError, Message, MqttClient, Options};
use andon_model::{Clock, Timestamp};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::{interval, sleep};
use tokio_util::sync::CancellationToken;

/// The most messages that a station keeps while the broker is away: hours of them, at a unit in 24 s.
pub const OUTBOX_LIMIT: usize = 2_000;
/// With less room than this a station begins no unit. A unit that was begun, and the way to Held, take far less.
const RESERVE: usize = 100;
/// The broker keeps a station's session over a long weekend.
const SESSION: Duration = Duration::from_secs(4 * 86_400);
/// A station says state, counts and controls again this often, so that silence means something.
const BEAT: Duration = Duration::from_secs(30);
const FIRST_RETRY: Duration = Duration::from_millis(200);
const LONGEST_RETRY: Duration = Duration::from_secs(5);

/// What one station keeps.
#[derive(Debug)]
struct Outbox {
    waiting: VecDeque<Message>,
    state: (State, Reason),
    counts: (u64, u64, u64),
    last: Timestamp,
}

/// What all stations keep, and what the line is told.
pub(super) struct Edge {
    clock: Arc<dyn Clock>,
    shared: Mutex<Shared>,
    news: [Notify; 4],
}

struct Shared {
    outboxes: [Outbox; 4],
    controls: Controls,
}

impl std::fmt::Debug for Edge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Edge").field("room", &self.room()).finish_non_exhaustive()
    }
}

impl Edge {
    pub(super) fn new(controls: Controls, clock: Arc<dyn Clock>) -> Self {
        let outbox = |_| Outbox {
            waiting: VecDeque::new(),
            state: (State::Idle, Reason::Nothing),
            counts: (0, 0, 0),
            last: Timestamp::from_micros(0),
        };
        let shared = Mutex::new(Shared { outboxes: Place::ALL.map(outbox), controls });
        Self { clock, shared, news: Place::ALL.map(|_| Notify::new()) }
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        // Each change is made whole, so a panic elsewhere cannot have left a half one.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn controls(&self) -> Controls {
        self.shared().controls
    }

    /// Changes what the line is told; `mount` says what it is told now.
    pub(super) fn change(&self, by: impl FnOnce(&mut Controls)) {
        let mut shared = self.shared();
        by(&mut shared.controls);
        let controls = shared.controls;
        let outbox = &mut shared.outboxes[Place::Mount as usize];
        let now = outbox.now(self.clock.as_ref());
        outbox.push(control(controls, now));
        self.news[Place::Mount as usize].notify_one();
    }

    /// Whether each station may begin a unit.
    pub(super) fn room(&self) -> [bool; 4] {
        self.shared().outboxes.each_ref().map(|outbox| outbox.waiting.len() + RESERVE <= OUTBOX_LIMIT)
    }

    /// Takes what the stations said in one step: what a station says together has one time.
    pub(super) fn say(&self, said: &[(Place, Said)]) {
        if said.is_empty() {
            return;
        }
        let mut shared = self.shared();
        let now = shared.outboxes.each_mut().map(|outbox| outbox.now(self.clock.as_ref()));
        for (place, said) in said {
            let outbox = &mut shared.outboxes[*place as usize];
            match said {
                Said::Unit(_) => {}
                Said::State(state, reason) => outbox.state = (*state, *reason),
                Said::Counts { good, scrap, energy } => outbox.counts = (*good, *scrap, *energy),
            }
            outbox.push(message(*place, said, now[*place as usize]));
            self.news[*place as usize].notify_one();
        }
    }

    /// How many messages wait.
    #[cfg(test)]
    pub(super) fn waiting(&self, place: Place) -> usize {
        self.shared().outboxes[place as usize].waiting.len()
    }

    fn first(&self, place: Place) -> Option<Message> {
        self.shared().outboxes[place as usize].waiting.front().cloned()
    }

    fn told(&self, place: Place) {
        drop(self.shared().outboxes[place as usize].waiting.pop_front());
    }

    /// State, counts and controls as they are now, unless something waits.
    fn beat(&self, place: Place) {
        let mut shared = self.shared();
        let controls = shared.controls;
        let outbox = &mut shared.outboxes[place as usize];
        // Behind news it would be none, and on a broken line it would only pile up.
        if !outbox.waiting.is_empty() {
            return;
        }
        let now = outbox.now(self.clock.as_ref());
        let ((state, reason), (good, scrap, energy)) = (outbox.state, outbox.counts);
        outbox.push(message(place, &Said::State(state, reason), now));
        outbox.push(message(place, &Said::Counts { good, scrap, energy }, now));
        if place == Place::Mount {
            outbox.push(control(controls, now));
        }
    }

    /// Somebody wants something of `mount`. What it cannot do leaves things as they are, and it says how they are.
    fn hear(&self, topic: &str, payload: &[u8]) {
        let wish = String::from_utf8_lossy(payload);
        self.change(|controls| match (topic.rsplit('/').nth(1), wish.trim()) {
            (Some("run"), "ON" | "true" | "1") => controls.run = true,
            (Some("run"), "OFF" | "false" | "0") => controls.run = false,
            (Some("product"), name) => controls.product = Product::from_name(name).unwrap_or(controls.product),
            _ => {}
        });
    }
}

impl Outbox {
    /// The time of what is said now: never that of something said before, whatever the clock does.
    fn now(&mut self, clock: &dyn Clock) -> Timestamp {
        self.last = clock.now().max(self.last.plus(Duration::from_micros(1)));
        self.last
    }

    fn push(&mut self, message: Message) {
        if self.waiting.len() < OUTBOX_LIMIT {
            self.waiting.push_back(message);
        } else {
            // Only people who press at the panel all through a long outage come here; units and states keep to the reserve.
            tracing::warn!(topic = message.topic, "a station's outbox is full and the message is left out");
        }
    }
}

/// A station's connection.
pub(super) struct Task {
    place: Place,
    spec: DeviceSpec,
    connect: Options,
    edge: Arc<Edge>,
    connected: Arc<watch::Sender<usize>>,
    /// The packet id of the first waiting message, if it was sent and not acknowledged.
    under_way: Option<u16>,
}

impl Task {
    pub(super) fn new(
        place: Place,
        spec: DeviceSpec,
        connect: Options,
        edge: Arc<Edge>,
        connected: Arc<watch::Sender<usize>>,
    ) -> Self {
        Self { place, spec, connect, edge, connected, under_way: None }
    }

    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut wait = FIRST_RETRY;
        let mut told = false;
        loop {
            let connected = tokio::select! {
                () = stop.cancelled() => return,
                connected = MqttClient::resume(&self.connect, SESSION) => connected,
            };
            let lost = match connected {
                Err(error) => error,
                Ok((client, present)) => {
                    self.connected.send_modify(|count| *count += 1);
                    let ended = self.live(client, present, &stop, &mut wait).await;
                    self.connected.send_modify(|count| *count -= 1);
                    match ended {
                        Ok(()) => return,
                        Err(error) => error,
                    }
                }
            };
            told = told && wait > FIRST_RETRY;
            // A broker that stays away is told of once.
            if !std::mem::replace(&mut told, true) {
                let (client, error) = (self.spec.client_id, &lost as &dyn std::error::Error);
                tracing::warn!(client, error, "a station of the assembly line lost its broker");
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(wait) => wait = (wait * 2).min(LONGEST_RETRY),
            }
        }
    }

    /// Until the stop, which is `Ok`, or the loss of the connection.
    async fn live(
        &mut self,
        mut client: MqttClient,
        present: bool,
        stop: &CancellationToken,
        wait: &mut Duration,
    ) -> Result<(), ClientError> {
        // The broker may have taken it and only its yes was lost; under its own number it is told as the same.
        match self.under_way {
            Some(packet_id) if present => self.send(&mut client, packet_id, true).await?,
            _ => self.under_way = None,
        }
        if !self.spec.subscribe.is_empty() {
            client.subscribe(self.spec.subscribe).await?;
        }
        client.publish(&online(self.place, true)).await?;
        let mut beat = interval(BEAT);
        let mut ping = interval(KEEP_ALIVE / 2);
        loop {
            while self.edge.first(self.place).is_some() {
                let packet_id = client.packet_id();
                self.send(&mut client, packet_id, false).await?;
                *wait = FIRST_RETRY; // Only a broker that takes something is well.
            }
            tokio::select! {
                // A stop comes when all was told that there was to tell.
                () = stop.cancelled() => {
                    client.publish(&online(self.place, false)).await?;
                    return client.disconnect().await;
                }
                () = self.edge.news[self.place as usize].notified() => {}
                _ = beat.tick() => self.edge.beat(self.place),
                _ = ping.tick() => client.ping().await?,
                message = client.next() => {
                    let Message { topic, payload, .. } = message?;
                    self.edge.hear(&topic, &payload);
                }
            }
        }
    }

    /// Sends what waits first, and forgets it once the broker has it.
    async fn send(&mut self, client: &mut MqttClient, packet_id: u16, again: bool) -> Result<(), ClientError> {
        let Some(message) = self.edge.first(self.place) else { return Ok(()) };
        self.under_way = Some(packet_id);
        let sent = client.publish_as(&message, packet_id, again).await;
        // A no is an answer too: the packet id is free, and the message is tried again as a new one.
        if !matches!(sent, Err(ClientError::Io(_) | ClientError::Closed | ClientError::Silent(_))) {
            self.under_way = None;
        }
        sent?;
        self.edge.told(self.place);
        Ok(())
    }
}
