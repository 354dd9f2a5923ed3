//! How hosts and edge nodes are doing, and what hosts have found: for the screens that show connectors.

use super::{HostRun, Sparkplug, found};
use andon_connectors::health::{Broken, ConnectorState};
use andon_connectors::{ConnectorHealth, FoundValues, Guests, TestReport};
use andon_model::StatusCode;
use andon_sparkplug::Address;
use andon_sparkplug::topic::state_topic;
use std::sync::PoisonError;

impl Sparkplug {
    fn host_health(&self, run: &HostRun) -> ConnectorHealth {
        let core = run.core();
        let (online, nodes) = core.host.online();
        run.health.enter(match (nodes, online) {
            (0, _) => ConnectorState::Connecting,
            (_, 0) => ConnectorState::Failed,
            _ => ConnectorState::Connected,
        });
        let endpoint = format!("{online} of {nodes} edge nodes of {}", core.config.groups.join(", "));
        run.health.report(&core.def, endpoint, core.addresses.len())
    }
}

impl Guests for Sparkplug {
    fn health(&self) -> Vec<ConnectorHealth> {
        let hosts = self.hosts();
        let edges = self.edges();
        let broken = self.broken.read().unwrap_or_else(PoisonError::into_inner);
        let hosts = hosts.iter().map(|run| self.host_health(run));
        let edges = edges.iter().map(|run| {
            let tags = run.node().tags().count();
            run.health.report(&run.def, format!("edge node {}", run.settings.name), tags)
        });
        let broken = broken.iter().map(|broken| broken.report(&self.clock));
        hosts.chain(edges).chain(broken).collect()
    }

    fn test(&self, name: &str) -> Option<TestReport> {
        if let Some(run) = self.hosts().into_iter().find(|run| run.name == name) {
            let endpoint = self.host_health(&run).endpoint;
            let core = run.core();
            let good = |address: &&Address| core.host.quality(address).is_some_and(StatusCode::is_good);
            let there = core.addresses.values().filter(good).count();
            let missing = core.addresses.values().find(|address| !good(address)).map(ToString::to_string);
            let detail = format!("{endpoint} are online; {there} of {} tags have a good value", core.addresses.len());
            drop(core);
            return Some(match missing {
                None => TestReport { ok: true, detail },
                Some(address) => TestReport { ok: false, detail: format!("{detail}; one that has none: {address}") },
            });
        }
        if let Some(run) = self.edges().into_iter().find(|run| run.def.name == name) {
            let born = run.node().is_born();
            let detail = match (&run.settings.primary_host, born) {
                (_, true) => format!("the edge node {} is online", run.settings.name),
                (Some(host), false) => format!(
                    "it waits for the primary host \"{host}\" to say on {} that it is online",
                    state_topic(host)
                ),
                (None, false) => "it is starting".to_owned(),
            };
            return Some(TestReport { ok: born, detail });
        }
        let broken = self.broken.read().unwrap_or_else(PoisonError::into_inner);
        broken.iter().find(|broken| broken.def.name == name).map(Broken::test)
    }

    fn found(&self, name: &str) -> Option<FoundValues> {
        let run = self.hosts().into_iter().find(|run| run.name == name)?;
        let (def, nodes, place) = {
            let core = run.core();
            (core.def.clone(), core.host.nodes(), core.config.place.clone())
        };
        // One at a time: while it is locked, no message is taken.
        let (mut found, mut states) = (Vec::new(), Vec::with_capacity(nodes.len()));
        for node in &nodes {
            let core = run.core();
            found.append(&mut core.host.found_of(node));
            states.push(core.host.states_of(node));
        }
        let (nodes, more_nodes) = found::nodes(states);
        let values = found::values(&def, place.as_ref(), &self.bus.plant().plant, &found, &*self.clock);
        Some(FoundValues { nodes, more_nodes, ..values })
    }
}
