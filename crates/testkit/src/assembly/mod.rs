//! The assembly line of the demo: four stations that put heat pumps together, one by one, and tell of each over MQTT.
//!
//! | station | what | topics below `works/assembly/line2/<station>` |
//! | --- | --- | --- |
//! | mount | compressor (serial) and valve (lot) into the frame | `unit`, `state`, `counts`, `online`, `control`; hears `run/set`, `product/set` |
//! | leak | leak test, g/a | `unit`, `state`, `counts`, `online` |
//! | eol | electrical test: power, COP, insulation; which firmware was loaded | the same |
//! | pack | into the carton, on the scales | the same |
//!
//! [`World`] is the line itself, pure; here its stations get a client each. A station keeps what the broker has not
//! acknowledged, in order and at most [`OUTBOX_LIMIT`] messages of it, and resumes its session: over a restart of the
//! broker nothing is lost, and what was under way is sent again under its own packet id. One that has no room left begins
//! no unit (Held, `NO-RECORD`) rather than making something of which nobody would ever hear.
//! The plant document that understands the topics is [`PLANT`]; what is made here and how, [`MASTER`].
//!
//! Start reading at [`Assembly::start`].

mod edge;
pub mod parts;
pub mod state;
#[cfg(test)]
mod tests;
pub mod world;

pub use parts::Product;
pub use world::{Controls, Place};

use crate::house::DeviceSpec;
use crate::mqtt_client::{Message, Options};
use andon_model::{Clock, Timestamp};
use andon_wire::mqtt::Version;
use edge::{Edge, Task};
use serde_json::{Value as Json, json};
use state::{Reason, State};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use world::{CYCLE, Report, Said, World};

pub use edge::OUTBOX_LIMIT;

/// The document of the line: tree, tags, topic mappings and alarms. The site `works` is the bottling line's
/// ([`crate::line::PLANT`]).
pub const PLANT: &str = include_str!("plant.toml");
/// The master data of the line: machines, materials, instructions, skills, reasons. What both lines share, such as the
/// calendar, is the bottling line's ([`crate::line::MASTER`]).
pub const MASTER: &str = include_str!("master.toml");

/// Where all topics of the line begin.
const LINE: &str = "works/assembly/line2";
/// The program that the end of line loads into each unit's controller.
const FIRMWARE: &str = "HPC-2.4.1";
const KEEP_ALIVE: Duration = Duration::from_secs(30);
const STOP_DEADLINE: Duration = Duration::from_secs(3);
/// Running numbers of units count from the beginning of 2026, in seconds: no line makes a unit a second, so that one
/// that is switched on anew repeats no serial.
const NUMBERS_SINCE: Timestamp = Timestamp::from_millis(1_767_225_600_000);

/// The MQTT clients of the line, in the order of [`Place::ALL`], so that each gets a credential of its own.
#[must_use]
pub fn devices() -> [DeviceSpec; 4] {
    let tester = |user, branch, publish| DeviceSpec { user, client_id: user, branch, publish, subscribe: &[] };
    [
        DeviceSpec {
            user: "line2-mount",
            client_id: "line2-mount",
            branch: "works/assembly/line2/mount",
            publish: &[
                "works/assembly/line2/mount/unit",
                "works/assembly/line2/mount/state",
                "works/assembly/line2/mount/counts",
                "works/assembly/line2/mount/online",
                "works/assembly/line2/mount/control",
            ],
            subscribe: &["works/assembly/line2/mount/run/set", "works/assembly/line2/mount/product/set"],
        },
        tester(
            "line2-leak",
            "works/assembly/line2/leak",
            &[
                "works/assembly/line2/leak/unit",
                "works/assembly/line2/leak/state",
                "works/assembly/line2/leak/counts",
                "works/assembly/line2/leak/online",
            ],
        ),
        tester(
            "line2-eol",
            "works/assembly/line2/eol",
            &[
                "works/assembly/line2/eol/unit",
                "works/assembly/line2/eol/state",
                "works/assembly/line2/eol/counts",
                "works/assembly/line2/eol/online",
            ],
        ),
        tester(
            "line2-pack",
            "works/assembly/line2/pack",
            &[
                "works/assembly/line2/pack/unit",
                "works/assembly/line2/pack/state",
                "works/assembly/line2/pack/counts",
                "works/assembly/line2/pack/online",
            ],
        ),
    ]
}

/// How the line lives.
#[derive(Clone)]
pub struct AssemblyOptions {
    /// The broker.
    pub address: SocketAddr,
    /// User and password by client id, as in [`devices`]; a client without an entry connects anonymously.
    pub credentials: HashMap<String, (String, String)>,
    /// The protocol version.
    pub version: Version,
    /// What a unit takes while nothing stands, at least 240 ms. At less than a second a restart repeats serials.
    pub cycle: Duration,
    /// The same seed and the same controls at the same steps repeat the shift.
    pub seed: u64,
    /// What the line is told at its start; by default it waits to be told.
    pub controls: Controls,
    /// Where the stations get their time from.
    pub clock: Arc<dyn Clock>,
}

impl AssemblyOptions {
    /// A unit in 24 s, MQTT 5.0.
    #[must_use]
    pub fn new(address: SocketAddr, credentials: HashMap<String, (String, String)>, clock: Arc<dyn Clock>) -> Self {
        let cycle = Duration::from_secs(24);
        Self { address, credentials, version: Version::V5, cycle, seed: 1, controls: Controls::default(), clock }
    }
}

/// The running line.
#[derive(Debug)]
pub struct Assembly {
    edge: Arc<Edge>,
    stop_world: CancellationToken,
    world: JoinHandle<()>,
    stop: CancellationToken,
    tasks: JoinSet<()>,
    connected: watch::Receiver<usize>,
}

/// The panel of `mount`, at which somebody stands.
#[derive(Clone, Debug)]
pub struct Panel(Arc<Edge>);

impl Panel {
    /// Tells the line what to do; its tags follow.
    pub fn set(&self, controls: Controls) {
        self.0.change(|now| *now = controls);
    }
}

impl Assembly {
    /// Starts the line and its stations as tasks of the current tokio runtime. A station that finds no broker tries
    /// again and keeps what it has to tell.
    #[must_use]
    pub fn start(options: &AssemblyOptions) -> Self {
        let edge = Arc::new(Edge::new(options.controls, Arc::clone(&options.clock)));
        let (stop_world, stop) = (CancellationToken::new(), CancellationToken::new());
        let first_unit = options.clock.now().since(NUMBERS_SINCE).as_secs();
        let world = World::new(options.seed, first_unit);
        let world = tokio::spawn(run(world, Arc::clone(&edge), options.cycle, stop_world.clone()));
        let (count, connected) = watch::channel(0);
        let count = Arc::new(count);
        let mut tasks = JoinSet::new();
        for (place, spec) in Place::ALL.into_iter().zip(devices()) {
            let connect = Options {
                address: options.address,
                version: options.version,
                client_id: spec.client_id.to_owned(),
                credential: options.credentials.get(spec.client_id).cloned(),
                will: Some(online(place, false)),
                keep_alive: KEEP_ALIVE,
            };
            let task = Task::new(place, spec, connect, Arc::clone(&edge), Arc::clone(&count));
            tasks.spawn(task.run(stop.clone()));
        }
        Self { edge, stop_world, world, stop, tasks, connected }
    }

    /// How many stations are connected now; it can be waited for.
    #[must_use]
    pub fn connected(&self) -> watch::Receiver<usize> {
        self.connected.clone()
    }

    /// What the line is told now.
    #[must_use]
    pub fn controls(&self) -> Controls {
        self.edge.controls()
    }

    /// The panel of `mount`.
    #[must_use]
    pub fn panel(&self) -> Panel {
        Panel(Arc::clone(&self.edge))
    }

    /// Stops the line, sends what is kept if the broker is there, and says that the stations are offline. Returns after
    /// at most three seconds.
    pub async fn stop(mut self) {
        self.stop_world.cancel();
        // The task only ends; how it ended changes nothing now.
        let _ = self.world.await;
        self.stop.cancel();
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if timeout(STOP_DEADLINE, all).await.is_err() {
            self.tasks.shutdown().await;
        }
    }
}

/// Steps the world and hands on what it says until told to stop.
async fn run(mut world: World, edge: Arc<Edge>, cycle: Duration, stop: CancellationToken) {
    let mut tick = interval((cycle / CYCLE).max(Duration::from_millis(1)));
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip); // After a pause the line goes on where it was.
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = tick.tick() => {
                let said = world.step(edge.controls(), edge.room());
                edge.say(&said);
            }
        }
    }
}

fn topic(place: Place, what: &str) -> String {
    format!("{LINE}/{}/{what}", place.name())
}

/// Whether a station is there: its first word, its last, and its will.
fn online(place: Place, online: bool) -> Message {
    Message::new(topic(place, "online"), if online { "online" } else { "offline" }).sure().retained()
}

/// What a station says, as a message.
fn message(place: Place, said: &Said, now: Timestamp) -> Message {
    let (what, payload) = match said {
        Said::Unit(report) => ("unit", unit(report, now)),
        Said::State(state, reason) => ("state", state_payload(*state, *reason, now)),
        Said::Counts { good, scrap, energy } => {
            ("counts", json!({ "ts": now.to_string(), "good": good, "scrap": scrap, "energy": energy }))
        }
    };
    Message::new(topic(place, what), payload.to_string()).sure()
}

fn state_payload(state: State, reason: Reason, now: Timestamp) -> Json {
    json!({ "ts": now.to_string(), "state": state.number(), "reason": reason.code() })
}

/// What `mount` was told, so that a write is seen to have been obeyed.
fn control(controls: Controls, now: Timestamp) -> Message {
    let payload = json!({ "ts": now.to_string(), "run": controls.run, "product": controls.product.name() });
    Message::new(topic(Place::Mount, "control"), payload.to_string()).sure()
}

fn unit(report: &Report, now: Timestamp) -> Json {
    use parts::Measured;
    let mut payload = json!({
        "ts": now.to_string(),
        "serial": report.unit.serial(),
        "result": report.verdict as u8,
        "attempt": report.attempt,
    });
    let measured = match report.measured {
        Measured::Mount { torque } => json!({
            "torque": torque,
            "valve_lot": format!("V-{}", report.unit.valve_lot),
            "compressor_serial": format!("C-{}", report.unit.compressor),
        }),
        Measured::Leak { leak_rate } => json!({ "leak_rate": leak_rate }),
        Measured::Eol { power, cop, insulation } => {
            json!({ "power": power, "cop": cop, "insulation": insulation, "firmware": FIRMWARE })
        }
        Measured::Pack { weight } => json!({ "weight": weight }),
    };
    if let (Json::Object(all), Json::Object(more)) = (&mut payload, measured) {
        all.extend(more);
    }
    payload
}
