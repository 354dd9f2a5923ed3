//! The face to an ERP: messages of B2MML 7.01 in and out, over HTTP and as files.
//!
//! [`inbound`] does what a message says, with the rights of who sent it; [`outbound`] tells what became of orders, from the records lane;
//! [`report`] is what is told, [`files`] how a message is a file, [`http`] how it is sent. The codec is `andon-b2mml`.
//!
//! # Invariants
//! - The same message twice changes nothing, and an older one does not undo a newer.
//! - Every event that an ERP is to hear of goes to each link once it is taken there, in order, over kills; or that it does not is told.
//!
//! Start reading at [`inbound`], then [`outbound`].

pub mod config;
pub mod files;
pub mod http;
mod inbound;
mod outbound;
mod report;

pub use outbound::uses;

use crate::mes::Manufacturing;
use crate::notes::Notes;
use crate::secrets::Secrets;
use andon_access::Accounts;
use andon_api::ports::PlantAdmin;
use andon_api::ports::erp::{Decision, DecisionProblem, LinkView, MessageProblem, Reply};
use andon_bus::Bus;
use andon_log::DurableLog;
use andon_model::access::Principal;
use andon_model::record::Recorder;
use andon_model::{BoxFuture, Clock};
use andon_store::Store;
use anyhow::Result;
use bytes::Bytes;
use config::{Link, Rules};
use files::Files;
use inbound::{Inbound, Sender};
use outbound::{Outbound, READERS};
use std::sync::Arc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// What is needed of the node.
pub struct Parts {
    pub rules: Rules,
    pub links: Vec<Link>,
    pub log: Arc<DurableLog>,
    pub store: Store,
    pub mes: Arc<Manufacturing>,
    pub bus: Arc<Bus>,
    pub accounts: Arc<Accounts>,
    pub secrets: Arc<Secrets>,
    pub recorder: Arc<dyn Recorder>,
    pub clock: Arc<dyn Clock>,
    pub notes: Notes,
}

/// All links to an ERP.
pub struct Erp {
    links: Vec<Link>,
    outbound: Vec<Arc<Outbound>>,
    inbound: Arc<Inbound>,
    notes: Notes,
}

impl Erp {
    /// None runs yet. A link that is not in the settings any more loses its place in the log.
    /// # Errors
    /// The rules cannot be.
    pub async fn open(parts: Parts) -> Result<Arc<Self>> {
        let Parts { rules, links, log, store, mes, bus, accounts, secrets, recorder, clock, notes } = parts;
        let rules = Arc::new(rules);
        let inbound = Inbound::new(rules.clone(), mes.clone(), store.clone(), bus, accounts, clock.clone())?;
        let own =
            outbound::Parts { rules, log: log.clone(), store, mes, secrets, recorder, clock, notes: notes.clone() };
        let sends = links.iter().filter(|link| link.target.is_some());
        let outbound: Vec<_> = sends.map(|link| Outbound::new(link.clone(), own.clone())).collect();
        let wanted: Vec<String> = outbound.iter().map(|link| link.reader()).collect();
        tokio::task::spawn_blocking(move || {
            let gone = log.readers().into_iter().filter(|name| name.starts_with(READERS) && !wanted.contains(name));
            for reader in gone {
                if let Err(error) = log.forget_reader(&reader) {
                    tracing::warn!(%error, reader, "a link to an ERP that was removed keeps its place in the log");
                }
            }
        })
        .await?;
        Ok(Arc::new(Self { links, outbound, inbound, notes }))
    }

    /// From now on definitions of materials are taken, too.
    pub fn set_admin(&self, admin: Arc<dyn PlantAdmin>) {
        self.inbound.set_admin(admin);
    }

    /// Starts the tasks; each ends with `stop`.
    pub fn start(&self, tasks: &mut JoinSet<()>, stop: &CancellationToken) {
        for outbound in &self.outbound {
            tasks.spawn(outbound.clone().run(stop.clone()));
        }
        for link in &self.links {
            let Some(folder) = link.in_folder.clone() else { continue };
            let files = Files {
                name: link.name.clone(),
                folder,
                branches: link.branches.clone(),
                inbound: self.inbound.clone(),
                notes: self.notes.clone(),
            };
            tasks.spawn(files.run(stop.clone()));
        }
    }

    /// What everybody should know as long as it is so.
    pub fn warnings(&self) -> Vec<String> {
        self.outbound.iter().filter_map(|link| link.warning()).collect()
    }

    fn view(&self, link: &Link) -> LinkView {
        let outbound = self.outbound.iter().find(|outbound| outbound.link.name == link.name);
        outbound.map_or_else(
            || LinkView {
                name: link.name.clone(),
                sends_to: None,
                takes_from: link.in_folder.as_ref().map(|folder| folder.display().to_string()),
                state: "off".to_owned(),
                sent: 0,
                last_sent_ms: None,
                waiting: 0,
                failing_since_ms: None,
                why: None,
                message: None,
                dropped: 0,
            },
            |outbound| outbound.view(),
        )
    }
}

impl andon_api::ports::erp::Erp for Erp {
    fn receive(&self, bytes: Bytes, by: Principal) -> BoxFuture<'_, Result<Reply, MessageProblem>> {
        Box::pin(self.inbound.receive(bytes, Sender::Account(by)))
    }

    fn links(&self) -> Vec<LinkView> {
        self.links.iter().map(|link| self.view(link)).collect()
    }

    fn decide(&self, name: String, what: Decision, by: Principal) -> BoxFuture<'_, Result<LinkView, DecisionProblem>> {
        Box::pin(async move {
            let found = self.outbound.iter().find(|outbound| outbound.link.name == name);
            let outbound = found.ok_or(DecisionProblem::Unknown(name))?;
            outbound.decide(what, by)?;
            Ok(outbound.view())
        })
    }
}
