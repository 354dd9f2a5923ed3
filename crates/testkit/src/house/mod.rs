//! The house of the demo: real room data and switches that act, spoken as the real devices speak, over real MQTT.
//!
//! | client | device | topics |
//! | --- | --- | --- |
//! | `zigbee2mqtt` | Zigbee2MQTT with six devices: climate in two rooms, air (CO2, light), lamp, door, leak | `zigbee2mqtt/…` |
//! | `DVES_9CF9D1` | Tasmota plug with energy meter | `tele/`, `stat/`, `cmnd/living_plug/…` |
//! | `shellyplus1pm-a8032abe54dc` | Shelly Gen2 on the water valve | `shellyplus1pm-a8032abe54dc/…` |
//! | `shelly1pm-68C63AFB6C1F` | Shelly Gen1 on the bedroom heater | `shellies/shelly1pm-68C63AFB6C1F/…` |
//!
//! A device is a [`Gadget`]: pure, without socket or clock, so that its words are tested without a broker. Its task
//! owns the connection, comes back after a loss, and ends with [`House::stop`].
//! The plant document that understands them is [`PLANT`].
//!
//! Start reading at [`House::start`].

mod replay;
mod shelly;
mod tasmota;
mod world;
mod zigbee;

use crate::mqtt_client::{ClientError, Message, MqttClient, Options};
use andon_model::{Clock, Timestamp};
use andon_wire::mqtt::Version;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;
use world::{Step, World};

/// The document of the house: tree, tags, alarms and topic mappings.
pub const PLANT: &str = include_str!("plant.toml");

const KEEP_ALIVE: Duration = Duration::from_secs(30);
const FIRST_RETRY: Duration = Duration::from_millis(200);
const LONGEST_RETRY: Duration = Duration::from_secs(5);
const STOP_DEADLINE: Duration = Duration::from_secs(3);

/// What a device needs from the broker.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeviceSpec {
    /// The user name its credential should have.
    pub user: &'static str,
    /// The client id it connects with.
    pub client_id: &'static str,
    /// The branch of the plant that it belongs to.
    pub branch: &'static str,
    /// The topics it publishes to.
    pub publish: &'static [&'static str],
    /// The topics it subscribes to.
    pub subscribe: &'static [&'static str],
}

/// Every MQTT client of the house, so that each gets a credential of its own.
#[must_use]
pub fn devices() -> Vec<DeviceSpec> {
    vec![
        DeviceSpec {
            user: "zigbee2mqtt",
            client_id: "zigbee2mqtt",
            branch: "house",
            publish: &["zigbee2mqtt/#"],
            subscribe: &["zigbee2mqtt/+/set", "zigbee2mqtt/+/get"],
        },
        DeviceSpec {
            user: "living-plug",
            client_id: "DVES_9CF9D1",
            branch: "house/ground/living",
            publish: &["tele/living_plug/#", "stat/living_plug/#"],
            subscribe: &["cmnd/living_plug/#"],
        },
        DeviceSpec {
            user: "kitchen-valve",
            client_id: "shellyplus1pm-a8032abe54dc",
            branch: "house/ground/kitchen",
            publish: &["shellyplus1pm-a8032abe54dc/#"],
            subscribe: &["shellyplus1pm-a8032abe54dc/rpc", "shellyplus1pm-a8032abe54dc/command"],
        },
        DeviceSpec {
            user: "bedroom-heater",
            client_id: "shelly1pm-68C63AFB6C1F",
            branch: "house/upper/bedroom",
            publish: &["shellies/shelly1pm-68C63AFB6C1F/#"],
            subscribe: &["shellies/shelly1pm-68C63AFB6C1F/relay/0/command"],
        },
    ]
}

fn gadgets(world: &World) -> Vec<Box<dyn Gadget>> {
    vec![
        Box::new(zigbee::Bridge::new(world.clone())),
        Box::new(tasmota::Plug::new(world.clone())),
        Box::new(shelly::Valve::new(world.clone())),
        Box::new(shelly::Heater::new()),
    ]
}

/// What a device does, without socket or clock. `step` counts the rows of the recordings.
trait Gadget: Send {
    /// What the broker says when the device is gone; also its last word when it is stopped.
    fn will(&self) -> Message;
    fn subscriptions(&self) -> Vec<String>;
    /// After every connection.
    fn hello(&mut self, step: Step, now: Timestamp) -> Vec<Message>;
    /// At every row.
    fn tick(&mut self, step: Step, now: Timestamp) -> Vec<Message>;
    fn receive(&mut self, topic: &str, payload: &[u8], step: Step, now: Timestamp) -> Vec<Message>;
}

/// 0 to 1, scattered, the same for the same number: meters tremble, and a test can repeat it.
#[expect(clippy::cast_precision_loss, reason = "16 bits")]
fn noise(number: u64) -> f64 {
    let mixed = number.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(31).wrapping_mul(0xD6E8_FEB8_6659_FD93);
    (mixed >> 48) as f64 / 65_535.0
}

/// How the house lives.
#[derive(Clone)]
pub struct HouseOptions {
    /// The broker.
    pub address: SocketAddr,
    /// User and password by client id, as in [`devices`]; a client without an entry connects anonymously.
    pub credentials: HashMap<String, (String, String)>,
    /// The protocol version; real devices of these families speak 3.1.1.
    pub version: Version,
    /// One row of the recordings, a minute in the room, per this time: a second is sixty times as fast.
    pub row_every: Duration,
    /// Where the devices get their time from.
    pub clock: Arc<dyn Clock>,
}

impl HouseOptions {
    /// Sixty times as fast as recorded, MQTT 3.1.1.
    #[must_use]
    pub fn new(address: SocketAddr, credentials: HashMap<String, (String, String)>, clock: Arc<dyn Clock>) -> Self {
        Self { address, credentials, version: Version::V311, row_every: Duration::from_secs(1), clock }
    }
}

/// The running house.
#[derive(Debug)]
pub struct House {
    stop: CancellationToken,
    tasks: JoinSet<()>,
    world: World,
    rows: Rows,
    connected: watch::Receiver<usize>,
}

/// Which row the house is at.
#[derive(Clone)]
struct Rows {
    clock: Arc<dyn Clock>,
    since: Duration,
    every: Duration,
}

impl std::fmt::Debug for Rows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rows").field("every", &self.every).finish_non_exhaustive()
    }
}

impl Rows {
    fn step(&self) -> Step {
        let gone = self.clock.monotonic().saturating_sub(self.since);
        u64::try_from(gone.as_micros() / self.every.as_micros().max(1)).unwrap_or(u64::MAX)
    }
}

impl House {
    /// Starts every device as a task of the current tokio runtime. A device that finds no broker tries again.
    #[must_use]
    pub fn start(options: &HouseOptions) -> Self {
        let world = World::default();
        let stop = CancellationToken::new();
        let (count, connected) = watch::channel(0);
        let count = Arc::new(count);
        let rows =
            Rows { clock: Arc::clone(&options.clock), since: options.clock.monotonic(), every: options.row_every };
        let mut tasks = JoinSet::new();
        for (gadget, spec) in gadgets(&world).into_iter().zip(devices()) {
            let connect = Options {
                address: options.address,
                version: options.version,
                client_id: spec.client_id.to_owned(),
                credential: options.credentials.get(spec.client_id).cloned(),
                will: Some(gadget.will()),
                keep_alive: KEEP_ALIVE,
            };
            let task = Task { gadget, connect, rows: rows.clone(), connected: Arc::clone(&count) };
            tasks.spawn(task.run(stop.clone()));
        }
        Self { stop, tasks, world, rows, connected }
    }

    /// How many devices are connected now; it can be waited for.
    #[must_use]
    pub fn connected(&self) -> watch::Receiver<usize> {
        self.connected.clone()
    }

    /// Spills water on the kitchen floor, if the valve is open.
    pub fn spill(&self) {
        let step = self.rows.step();
        self.world.state().spill(step);
    }

    /// Holds the front door open, or lets it go.
    pub fn hold_door(&self, open: bool) {
        self.world.state().door_held_open = open;
    }

    /// Stops every device; each says that it is offline. Returns after at most three seconds.
    pub async fn stop(mut self) {
        self.stop.cancel();
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if timeout(STOP_DEADLINE, all).await.is_err() {
            self.tasks.shutdown().await;
        }
    }
}

/// A device with its connection.
struct Task {
    gadget: Box<dyn Gadget>,
    connect: Options,
    rows: Rows,
    connected: Arc<watch::Sender<usize>>,
}

impl Task {
    async fn run(mut self, stop: CancellationToken) {
        let mut wait = FIRST_RETRY;
        let mut told = false;
        while !stop.is_cancelled() {
            let lost = match MqttClient::connect(&self.connect).await {
                Err(error) => error,
                Ok(client) => {
                    self.connected.send_modify(|count| *count += 1);
                    (wait, told) = (FIRST_RETRY, false);
                    let ended = self.live(client, &stop).await;
                    self.connected.send_modify(|count| *count -= 1);
                    match ended {
                        Ok(()) => return,
                        Err(error) => error,
                    }
                }
            };
            // A broker that stays away is told of once.
            if !std::mem::replace(&mut told, true) {
                tracing::warn!(
                    client = self.connect.client_id,
                    error = &lost as &dyn std::error::Error,
                    "a device of the house lost its broker"
                );
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(wait) => wait = (wait * 2).min(LONGEST_RETRY),
            }
        }
    }

    /// Until the stop, which is `Ok`, or the loss of the connection.
    async fn live(&mut self, mut client: MqttClient, stop: &CancellationToken) -> Result<(), ClientError> {
        let filters = self.gadget.subscriptions();
        client.subscribe(&filters.iter().map(String::as_str).collect::<Vec<_>>()).await?;
        let hello = self.gadget.hello(self.rows.step(), self.rows.clock.now());
        send(&mut client, hello).await?;
        let mut row = interval(self.rows.every);
        row.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut ping = interval(KEEP_ALIVE / 2);
        loop {
            let messages = tokio::select! {
                () = stop.cancelled() => {
                    client.publish(&self.gadget.will()).await?;
                    return client.disconnect().await;
                }
                _ = row.tick() => self.gadget.tick(self.rows.step(), self.rows.clock.now()),
                _ = ping.tick() => {
                    client.ping().await?;
                    Vec::new()
                }
                message = client.next() => {
                    let Message { topic, payload, .. } = message?;
                    self.gadget.receive(&topic, &payload, self.rows.step(), self.rows.clock.now())
                }
            };
            send(&mut client, messages).await?;
        }
    }
}

async fn send(client: &mut MqttClient, messages: Vec<Message>) -> Result<(), ClientError> {
    for message in messages {
        client.publish(&message).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
