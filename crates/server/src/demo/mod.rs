//! `andon demo`: the made-up bottling line, assembly line and house, over real protocols, on real data.

mod crew;

use crate::node::Node;
use crate::settings::{AccessMode, Limits, Listen, OpenTable, Settings, SqlLimits};
use andon_access::NewDevice;
use andon_access::accounts::AccountError;
use andon_access::secret;
use andon_access::tls::Oldest;
use andon_api::ports::{Author, DocumentView, PlantAdmin, PlantError};
use andon_model::access::{Grant, Principal, Role};
use andon_testkit::assembly::{self, Assembly, AssemblyOptions};
use andon_testkit::house::{self, House, HouseOptions};
use andon_testkit::line::{self, Addresses, Line};
use anyhow::{Context, Result};
use crew::Crew;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// What is made up, shown in the UI.
pub const TEXT: &str = "Demo: the machines, their states, counts and set points are simulated, and so are the planner and the operator of line 2. Real recordings are replayed faster than life: \
machine temperature (Numenta Anomaly Benchmark), plant energy (DAEWOO Steel, UCI 851), room climate (Candanedo, UCI 357).";

/// The demo's person.
const USER: &str = "demo";
/// Who makes orders for the assembly line, and who works there.
const PLANNER: &str = "line2-planner";
const OPERATOR: &str = "line2-operator";
/// The line's devices listen here, so that the plant model stays the same from start to start.
const FIRST_MODBUS_PORT: u16 = 15_020;

/// What the user may choose.
pub struct DemoOptions {
    /// Where the demo keeps its data between starts.
    pub data_dir: PathBuf,
    /// The HTTP listener; a free port is taken when it is busy.
    pub http: SocketAddr,
    /// The MQTT listener; likewise.
    pub mqtt: SocketAddr,
}

/// A running demo.
pub struct Demo {
    node: Node,
    line: Line,
    assembly: Assembly,
    crew: JoinHandle<()>,
    crew_stop: CancellationToken,
    house: House,
    /// The one URL that logs in.
    pub url: String,
}

/// The address, or one with any free port when it is taken, and that is said.
fn free_or(what: &str, address: SocketAddr) -> SocketAddr {
    match std::net::TcpListener::bind(address) {
        Ok(_) => address,
        Err(error) => {
            tracing::warn!(%address, %error, "{what} takes a free port instead; is another program, or another demo, listening here?");
            SocketAddr::new(address.ip(), 0)
        }
    }
}

/// The folder of the demo when none is named.
pub fn default_data_dir() -> PathBuf {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/share"));
    let base = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from).filter(|p| p.is_absolute()).or_else(home);
    base.unwrap_or_else(std::env::temp_dir).join("andon/demo")
}

impl Demo {
    /// Starts the line, the node and the house.
    /// # Errors
    /// What could not be started.
    pub async fn start(options: DemoOptions) -> Result<Self> {
        let settings = Settings {
            data_dir: options.data_dir.clone(),
            http: Listen::At(free_or("HTTP", options.http)),
            https: Listen::Off,
            mqtt: Listen::At(free_or("MQTT", options.mqtt)),
            mqtts: Listen::Off,
            allow_anonymous: false,
            mqtt_client_ca: None,
            sql: Listen::At(free_or("SQL", SocketAddr::from(([127, 0, 0, 1], 5442)))),
            sql_limits: SqlLimits::default(),
            access: AccessMode::Login,
            certificate: None,
            names: vec!["localhost".to_owned()],
            oldest_tls: Oldest::default(),
            records: crate::records::Place::default(),
            open_table: OpenTable::default(),
            b2mml: crate::erp::config::Rules::default(),
            erp: Vec::new(),
            limits: Limits::default(),
        };
        let line = start_line().await?;
        let node = Node::start(settings, Some(TEXT.to_owned())).await?;
        apply(&node, &line).await?;
        let user = person(&node, USER, Role::Administrator, "").await?;
        let link = node.accounts.new_login_link(user)?;
        let http = node.addresses.http.context("the demo has an HTTP listener")?;
        let mqtt = node.addresses.mqtt.context("the demo has an MQTT listener")?;
        let credentials = credentials(&node, &options.data_dir).await?;
        let assembly = Assembly::start(&AssemblyOptions::new(mqtt, credentials.clone(), node.clock.clone()));
        let crew = Crew {
            orders: node.mes.clone(),
            mes: node.mes.clone(),
            clock: node.clock.clone(),
            panel: assembly.panel(),
            planner: person(&node, PLANNER, Role::Engineer, crew::LINE).await?,
            operator: person(&node, OPERATOR, Role::Operator, crew::LINE).await?,
        };
        let crew_stop = CancellationToken::new();
        // `stop` ends it.
        let crew = tokio::spawn(crew.run(crew_stop.clone()));
        let house = House::start(&HouseOptions::new(mqtt, credentials, node.clock.clone()));
        let url = format!("http://{http}/login?code={}", link.reveal());
        Ok(Self { node, line, assembly, crew, crew_stop, house, url })
    }

    /// Where MQTT listens.
    pub const fn mqtt(&self) -> Option<SocketAddr> {
        self.node.addresses.mqtt
    }

    /// Where SQL listens.
    pub const fn sql(&self) -> Option<SocketAddr> {
        self.node.addresses.sql
    }

    /// Stops the house, the lines and the node.
    pub async fn stop(self) {
        self.crew_stop.cancel();
        // The task only ends; how it ended changes nothing now.
        let _ = self.crew.await;
        self.house.stop().await;
        self.assembly.stop().await;
        self.node.stop().await;
        self.line.stop().await;
    }
}

async fn start_line() -> Result<Line> {
    let mut port = FIRST_MODBUS_PORT;
    let fixed = [(); 5].map(|()| {
        let address = free_or("a simulated device", SocketAddr::from(([127, 0, 0, 1], port)));
        port += 1;
        address
    });
    Line::start(Addresses(fixed)).await.context("the simulated line could not listen")
}

/// Brings the demo's documents into the plant model, where they differ.
async fn apply(node: &Node, line: &Line) -> Result<()> {
    let documents = vec![
        DocumentView { name: "line.toml".to_owned(), text: line.plant_document() },
        DocumentView { name: "line-master.toml".to_owned(), text: line::MASTER.to_owned() },
        DocumentView { name: "assembly.toml".to_owned(), text: assembly::PLANT.to_owned() },
        DocumentView { name: "assembly-master.toml".to_owned(), text: assembly::MASTER.to_owned() },
        DocumentView { name: "house.toml".to_owned(), text: house::PLANT.to_owned() },
    ];
    let plan = node.plant.plan(documents.clone(), false).await.map_err(|e| explain(&e))?;
    if let Some(error) = plan.errors.first() {
        anyhow::bail!("{}:{}: {}; {}", error.document, error.line, error.message, error.remedy);
    }
    if !plan.changes.is_empty() {
        let reason = Some("the demo's plant and house".to_owned());
        node.plant.apply(documents, false, plan.version, Author::SYSTEM, reason).await.map_err(|e| explain(&e))?;
    }
    Ok(())
}

fn explain(error: &PlantError) -> anyhow::Error {
    match error {
        PlantError::Invalid(errors) => {
            let lines: Vec<_> = errors.iter().map(|e| format!("{}:{}: {}", e.document, e.line, e.message)).collect();
            anyhow::anyhow!("the demo's documents have errors:\n{}", lines.join("\n"))
        }
        other => anyhow::anyhow!("{other}"),
    }
}

/// A person of the demo; made at the first start, with a password that nobody knows: the link logs in.
async fn person(node: &Node, name: &str, role: Role, branch: &str) -> Result<Uuid> {
    if let Some(user) = node.accounts.users().into_iter().find(|u| u.name == name) {
        return Ok(user.id);
    }
    let password = secret::generate("")?;
    let grants = vec![Grant { role, branch: branch.to_owned() }];
    let made: Result<Uuid, AccountError> =
        node.accounts.create_user(&Principal::SYSTEM, name, password.reveal(), grants).await;
    Ok(made?)
}

/// A credential of its own for each device of the house and each station, kept beside the demo's data.
async fn credentials(node: &Node, data_dir: &Path) -> Result<HashMap<String, (String, String)>> {
    let path = data_dir.join("demo-devices.json");
    let kept: HashMap<String, (String, String)> =
        std::fs::read_to_string(&path).ok().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    let mut credentials = HashMap::new();
    for device in house::devices().into_iter().chain(assembly::devices()) {
        let known = kept.get(device.client_id).filter(|(user, password)| {
            node.accounts.authenticate_device(Some(user), Some(password), device.client_id, None).is_some()
        });
        let pair = match known {
            Some(pair) => pair.clone(),
            None => {
                let owned = |filters: &[&str]| filters.iter().map(|f| (*f).to_owned()).collect();
                let wanted = NewDevice {
                    user: device.user.to_owned(),
                    client_id: Some(device.client_id.to_owned()),
                    publish: owned(device.publish),
                    subscribe: owned(device.subscribe),
                    ..NewDevice::default()
                };
                let made = node.accounts.create_device(&Principal::SYSTEM, wanted).await?;
                (device.user.to_owned(), made.1.reveal().to_owned())
            }
        };
        credentials.insert(device.client_id.to_owned(), pair);
    }
    crate::data_dir::write_private(&path, &serde_json::to_string(&credentials)?)?;
    Ok(credentials)
}
