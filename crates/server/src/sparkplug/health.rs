//! How hosts and edge nodes are doing, and what hosts have found: for the screens that show connectors.

use super::{HostRun, Sparkplug, found};
use andon_connectors::health::{Broken, ConnectorState};
use andon_connectors::{ConnectorHealth, FoundValues, Guests, TestReport};
use andon_model::StatusCode;
use andon_sparkplug::Address;
use andon_sparkplug::topic::state_topic;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// So long those edge nodes may take to be born that a host knows from before it began: they are asked for it, and again after ten seconds.
const STARTING: Duration = Duration::from_secs(30);
/// So many of those that are not online are named.
const NAMED: usize = 3;
/// What to do when no edge node is online.
const REMEDY: &str = "look whether they are switched on and come to this broker as MQTT clients with a device that may publish to \
                      spBv1.0/GROUP/# and subscribe to spBv1.0/GROUP/NCMD/#: a host believes an edge node from its NBIRTH on, and asks for it there";

/// How a host stands that knows so many edge nodes, so long after it began.
const fn standing(nodes: usize, online: usize, was_online: bool, runs_for: Duration) -> ConnectorState {
    match (nodes, online) {
        (0, _) => ConnectorState::Connecting,
        (_, 0) if !was_online && runs_for.as_millis() < STARTING.as_millis() => ConnectorState::Connecting,
        (_, 0) => ConnectorState::Failed,
        _ => ConnectorState::Connected,
    }
}

/// That none of these is online, in words.
fn none_online(mut names: Vec<String>) -> String {
    names.sort();
    let more = names.len().saturating_sub(NAMED);
    names.truncate(NAMED);
    let and_more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("no edge node is online that this host knows: {}{and_more}", names.join(", "))
}

impl Sparkplug {
    fn host_health(&self, run: &HostRun) -> ConnectorHealth {
        let core = run.core();
        let (online, nodes) = core.host.online();
        let was_online = run.was_online.fetch_or(online > 0, Ordering::Relaxed);
        let runs_for = self.clock.monotonic().saturating_sub(run.begun);
        let state = standing(nodes, online, was_online, runs_for);
        if state == ConnectorState::Failed && run.health.state() != state {
            let names = core.host.nodes().iter().map(ToString::to_string).collect();
            run.health.failed(none_online(names), REMEDY);
        }
        run.health.enter(state);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_starts_until_its_edge_nodes_had_time_to_be_born_and_fails_with_their_names() {
        let at = Duration::from_secs;
        for (nodes, online, was_online, runs_for, state) in [
            (0, 0, false, at(3600), ConnectorState::Connecting),
            (2, 0, false, at(0), ConnectorState::Connecting),
            (2, 0, false, at(29), ConnectorState::Connecting),
            (2, 0, false, at(30), ConnectorState::Failed),
            (2, 0, true, at(1), ConnectorState::Failed),
            (2, 1, false, at(0), ConnectorState::Connected),
        ] {
            assert_eq!(
                standing(nodes, online, was_online, runs_for),
                state,
                "{nodes} {online} {was_online} {runs_for:?}"
            );
        }
        let names = ["g/c", "g/a", "g/d", "g/b", "g/e"].map(str::to_owned);
        assert_eq!(
            none_online(names.to_vec()),
            "no edge node is online that this host knows: g/a, g/b, g/c and 2 more"
        );
        assert_eq!(none_online(names[..1].to_vec()), "no edge node is online that this host knows: g/c");
    }
}
