//! The broker's clients and subscriptions as screens show them. Takes the state's lock for each look, so it is for people.

use crate::asks::Ask;
use crate::broker::Broker;
use crate::core::Core;
use crate::departures::Departure;
use crate::frames::SessionNo;
use crate::hooks::EndReason;
use crate::index::Matches;
use crate::session::{Session, Subscription};
use andon_model::Timestamp;
use andon_model::access::Principal;
use andon_wire::mqtt::{QoS, ReasonCode, RetainHandling, Text};
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::time::Duration;

/// So many sessions are looked at under one lock.
const AT_A_TIME: usize = 500;
/// A rate is told over at least so long.
const RATE_OVER_AT_LEAST: Duration = Duration::from_secs(2);
/// A count older than that is not what a rate begins with.
const RATE_OVER_AT_MOST: Duration = Duration::from_secs(60);

/// A client as screens show it.
#[derive(Debug, Clone, PartialEq)]
pub struct ClientInfo {
    /// Its identifier.
    pub client_id: String,
    /// The user name it gave.
    pub user: Option<String>,
    /// Who it is; `None` while it is not connected and has not been since the start.
    pub principal: Option<Principal>,
    /// Where it is connected from.
    pub address: Option<SocketAddr>,
    /// "3.1", "3.1.1" or "5.0".
    pub protocol: &'static str,
    /// Whether it is connected.
    pub connected: bool,
    /// When it last came or went.
    pub since: Timestamp,
    /// The keep alive in force, in seconds; 0: none. `None` while it is not connected.
    pub keep_alive_s: Option<u16>,
    /// How long its session outlives its connection, in seconds; `u32::MAX`: for ever.
    pub expiry_s: u32,
    /// How many subscriptions it has.
    pub subscriptions: usize,
    /// Packets received on this connection.
    pub received: u64,
    /// Messages sent on this connection.
    pub sent: u64,
    /// The same per second, lately; `None` until somebody has looked twice.
    pub per_second: Option<(f64, f64)>,
    /// Messages of QoS 1 and 2 sent and not yet answered.
    pub in_flight: usize,
    /// How many of these there may be.
    pub window: usize,
    /// Messages waiting or under way.
    pub queued: usize,
    /// Messages dropped for it.
    pub dropped: u64,
    /// Whether it has a will.
    pub will: bool,
}

/// A subscription as screens show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriptionInfo {
    /// Whose.
    pub client_id: String,
    /// Whether that client is connected.
    pub connected: bool,
    /// Its filter, with `$share/<group>/` if it is a shared one.
    pub filter: String,
    /// The highest QoS.
    pub qos: QoS,
    /// Not what the client itself published.
    pub no_local: bool,
    /// With the retain flag as published.
    pub retain_as_published: bool,
    /// What of the retained messages it wanted when it was made.
    pub retain_handling: RetainHandling,
    /// Its identifier; 0: none.
    pub id: u32,
    /// What it asks for beyond MQTT.
    pub ask: Ask,
    /// How many messages were left out for it, since the start or since it was made.
    pub left_out: u64,
}

/// What rates begin with: counts at some time not long ago.
#[derive(Debug, Default)]
pub(crate) struct RateMemory {
    /// The counts from which rates are told, and those that follow them.
    from: Counts,
    next: Counts,
}

#[derive(Debug, Default)]
struct Counts {
    at: Duration,
    /// By connection: received, sent.
    by_connection: HashMap<u64, (u64, u64)>,
}

impl RateMemory {
    /// Moves on: what was counted becomes what the next rates begin with.
    fn turn(&mut self, now: Duration, counts: HashMap<u64, (u64, u64)>) {
        if now.saturating_sub(self.next.at) >= RATE_OVER_AT_LEAST || self.next.by_connection.is_empty() {
            self.from = std::mem::replace(&mut self.next, Counts { at: now, by_connection: counts });
        }
    }

    fn of(&self, connection: u64, now: Duration, received: u64, sent: u64) -> Option<(f64, f64)> {
        let rate_from = |counts: &Counts| {
            let over = now.saturating_sub(counts.at);
            let (r, s) = counts.by_connection.get(&connection)?;
            let fits = over >= RATE_OVER_AT_LEAST && over <= RATE_OVER_AT_MOST;
            #[expect(clippy::cast_precision_loss, reason = "a difference of counts within a minute")]
            let per_second = |then: u64, count: u64| count.saturating_sub(then) as f64 / over.as_secs_f64();
            fits.then(|| (per_second(*r, received), per_second(*s, sent)))
        };
        rate_from(&self.next).or_else(|| rate_from(&self.from))
    }
}

fn subscription(session: &Session, subscription: &Subscription) -> SubscriptionInfo {
    let Subscription { filter, id, ask, left_out } = subscription;
    SubscriptionInfo {
        client_id: session.client_id.as_str().to_owned(),
        connected: session.link.is_some(),
        filter: filter.filter.as_str().to_owned(),
        qos: filter.qos,
        no_local: filter.no_local,
        retain_as_published: filter.retain_as_published,
        retain_handling: filter.retain_handling,
        id: *id,
        ask: *ask,
        left_out: *left_out,
    }
}

impl Broker {
    /// Shows every session to `look`, with a lock on the state for each [`AT_A_TIME`] of them: others get at it in between.
    fn each_session(&self, mut look: impl FnMut(&Session)) {
        let numbers: Vec<SessionNo> = self.with_core(|core| core.sessions.keys().copied().collect());
        for some in numbers.chunks(AT_A_TIME) {
            self.with_core(|core| {
                some.iter().filter_map(|number| core.sessions.get(number)).for_each(|session| look(session));
            });
        }
    }

    /// Every session, by client identifier. For many of them it takes some tens of milliseconds, so call it where that is no harm.
    #[must_use]
    pub fn clients(&self) -> Vec<ClientInfo> {
        let now = self.clock.monotonic();
        let mut connections = HashMap::new();
        let mut clients: Vec<(Option<u64>, ClientInfo)> = Vec::new();
        self.each_session(|session| {
            let info = client(session);
            let connection = session.link.as_ref().map(|link| link.connection);
            if let Some(connection) = connection {
                connections.insert(connection, (info.received, info.sent));
            }
            clients.push((connection, info));
        });
        let mut memory = self.rates.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        for (connection, info) in &mut clients {
            info.per_second = connection.and_then(|at| memory.of(at, now, info.received, info.sent));
        }
        memory.turn(now, connections);
        drop(memory);
        for (_, info) in clients.iter_mut().filter(|(_, info)| info.principal.is_none()) {
            info.principal = self.departures.principal(&info.client_id);
        }
        let mut clients: Vec<_> = clients.into_iter().map(|(_, info)| info).collect();
        clients.sort_by(|a, b| a.client_id.cmp(&b.client_id));
        clients
    }

    /// One session; `None`: there is none of this client. Its rates go back to when somebody looked at all.
    #[must_use]
    pub fn client(&self, client_id: &str) -> Option<ClientInfo> {
        let named = Text::parse(client_id).ok()?;
        let (connection, mut info) = self.with_core(|core| {
            let session = core.sessions.get(core.by_client.get(&named)?)?;
            Some((session.link.as_ref().map(|link| link.connection), client(session)))
        })?;
        let memory = self.rates.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let now = self.clock.monotonic();
        info.per_second = connection.and_then(|at| memory.of(at, now, info.received, info.sent));
        drop(memory);
        info.principal = info.principal.or_else(|| self.departures.principal(client_id));
        Some(info)
    }

    /// The client that is connected or has a session as this principal, if it is one and no more.
    #[must_use]
    pub fn only_client_of(&self, who: &Principal) -> Option<String> {
        let mut found = Vec::new();
        self.each_session(|session| {
            let client = session.client_id.as_str();
            let own = match &session.link {
                Some(link) => link.principal == *who,
                None => self.departures.principal(client).as_ref() == Some(who),
            };
            if own && found.len() < 2 {
                found.push(client.to_owned());
            }
        });
        found.pop().filter(|_| found.is_empty())
    }

    /// The last connections that ended, the newest first: of one client, or of all.
    #[must_use]
    pub fn departures(&self, client_id: Option<&str>, limit: usize) -> Vec<Departure> {
        self.departures.list(client_id, limit)
    }

    /// Who is connected as this client, or was last.
    #[must_use]
    pub fn principal_of(&self, client_id: &str) -> Option<Principal> {
        self.departures.principal(client_id).or_else(|| self.client(client_id)?.principal)
    }

    /// The subscriptions of a client, by filter; `None`: it has no session.
    #[must_use]
    pub fn subscriptions_of(&self, client_id: &str) -> Option<Vec<SubscriptionInfo>> {
        let client = Text::parse(client_id).ok()?;
        self.with_core(|core| {
            let session = core.sessions.get(core.by_client.get(&client)?)?;
            Some(session.subscriptions.values().map(|own| subscription(session, own)).collect())
        })
    }

    /// How many subscriptions a message on this topic falls under, those of a shared one counted as one.
    #[must_use]
    pub fn reach(&self, topic: &str) -> usize {
        self.with_core(|core| {
            let mut matches = Matches::default();
            core.index.matching(topic, &mut matches);
            matches.plain.len() + matches.shared.len()
        })
    }

    /// The subscriptions under which a message on this topic falls, by client identifier; at most `limit`, and how many there are.
    #[must_use]
    pub fn subscribers_of(&self, topic: &str, limit: usize) -> (Vec<SubscriptionInfo>, usize) {
        let mut found = self.with_core(|core| {
            let mut matches = Matches::default();
            core.index.matching(topic, &mut matches);
            let plain = matches.plain.iter().map(|(session, _)| *session);
            let shared = matches.shared.iter().flat_map(|members| members.keys().copied());
            let sessions: std::collections::BTreeSet<SessionNo> = plain.chain(shared).collect();
            let mut found = Vec::new();
            for session in sessions.iter().filter_map(|number| core.sessions.get(number)) {
                let own = session.subscriptions.values().filter(|own| own.filter.filter.matches(topic));
                found.extend(own.map(|own| subscription(session, own)));
            }
            found
        });
        found.sort_by(|a, b| (&a.client_id, &a.filter).cmp(&(&b.client_id, &b.filter)));
        let total = found.len();
        found.truncate(limit);
        (found, total)
    }

    /// All subscriptions, by client identifier and filter: at most `limit` of those whose client or filter holds `text`, after the pair
    /// `after`; and how many there are.
    #[must_use]
    pub fn subscriptions(
        &self,
        text: &str,
        after: Option<(&str, &str)>,
        limit: usize,
    ) -> (Vec<SubscriptionInfo>, usize) {
        let fits = |client: &str, filter: &str| text.is_empty() || client.contains(text) || filter.contains(text);
        // The first ones behind `after`, and never many more than are asked for.
        let mut first: BTreeMap<(String, String), SubscriptionInfo> = BTreeMap::new();
        let mut total = 0;
        self.each_session(|session| {
            let client = session.client_id.as_str();
            for own in session.subscriptions.values() {
                let pair = (client, own.filter.filter.as_str());
                if !fits(pair.0, pair.1) {
                    continue;
                }
                total += 1;
                let full = first.len() >= limit;
                let beyond = || first.last_key_value().is_none_or(|((c, f), _)| pair >= (c.as_str(), f.as_str()));
                if after.is_some_and(|after| pair <= after) || (full && beyond()) {
                    continue;
                }
                first.insert((pair.0.to_owned(), pair.1.to_owned()), subscription(session, own));
                if full {
                    first.pop_last();
                }
            }
        });
        (first.into_values().collect(), total)
    }

    /// Ends the connection of a client, which is told that somebody did so; false: it is not connected.
    pub fn disconnect_client(&self, client_id: &str) -> bool {
        let Ok(client) = Text::parse(client_id) else { return false };
        self.with_core(|core| {
            let session = core.by_client.get(&client).and_then(|number| core.sessions.get(number));
            let link = session.and_then(|session| session.link.as_ref());
            link.inspect(|link| link.outbox.close(ReasonCode::ADMINISTRATIVE_ACTION)).is_some()
        })
    }
}

fn client(session: &Session) -> ClientInfo {
    let (received, sent) = Core::traffic(session);
    let link = session.link.as_ref();
    ClientInfo {
        client_id: session.client_id.as_str().to_owned(),
        user: session.user.as_ref().map(|user| user.as_str().to_owned()),
        principal: link.map(|link| link.principal.clone()),
        address: session.address,
        protocol: session.version.name(),
        connected: link.is_some(),
        since: session.since,
        keep_alive_s: link.map(|link| link.outbox.keep_alive_s),
        expiry_s: session.expiry_s,
        subscriptions: session.subscriptions.len(),
        received,
        sent,
        per_second: None,
        in_flight: link.map_or(0, |link| link.in_flight),
        window: link.map_or(0, |link| link.window),
        queued: session.queue.len(),
        dropped: session.queue.dropped + link.map_or(0, |link| link.dropped),
        will: session.will.is_some(),
    }
}

impl EndReason {
    /// Who ended it: `client`, `server`, or `lost`.
    #[must_use]
    pub const fn by(&self) -> &'static str {
        match self {
            Self::Client(_) => "client",
            Self::Server(_) | Self::MayNotPublish(_) | Self::BrokeRule(_) => "server",
            Self::Lost(_) => "lost",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_what_was_counted_since_a_look_not_long_ago() {
        let mut memory = RateMemory::default();
        let at = Duration::from_secs;
        let look = |memory: &mut RateMemory, second: u64, received: u64| {
            let rate = memory.of(7, at(second), received, 0).map(|(r, _)| r);
            memory.turn(at(second), HashMap::from([(7, (received, 0))]));
            rate
        };
        assert_eq!(look(&mut memory, 100, 1_000), None, "the first look");
        assert_eq!(look(&mut memory, 101, 1_010), None, "too soon to tell");
        assert_eq!(look(&mut memory, 104, 1_040), Some(10.0));
        assert_eq!(look(&mut memory, 105, 1_090), Some(18.0), "over the last five seconds, for one was too short");
        assert_eq!(look(&mut memory, 500, 9_000), None, "nobody looked for long");
        assert_eq!(look(&mut memory, 502, 9_002), Some(1.0));
    }
}
