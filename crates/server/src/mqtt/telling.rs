//! What the timeline is told of MQTT clients, and how often: a device that sends nonsense every second, or comes and goes all the
//! time, must not fill it. Everything here has a bound, and what is not told is counted and told later.

use andon_broker::NoRight;
use andon_model::access::Principal;
use andon_model::peer::source_of;
use andon_model::text::{counted, shown};
use std::borrow::Cow;
use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;
use uuid::Uuid;

/// The same trouble with a topic is told again after this long.
const TELL_AGAIN: Duration = Duration::from_secs(600);
/// Troubles remembered, so that each is told once in that time; what is new beyond them is not told until there is room.
const TROUBLES: usize = 1000;
/// So many different topics to which a device has no right are told of in [`TELL_AGAIN`]; refusals for further ones are counted.
const TOPICS_TOLD: usize = 16;
/// Devices whose such topics are remembered.
const DEVICES_TOLD: usize = 1000;
/// So many comings and goings of a client are told in [`TELL_AGAIN`]; further ones are counted.
const COMINGS_TOLD: u64 = 20;
/// Clients whose comings and goings are counted apart; what is new beyond them is counted together.
const CLIENTS_TOLD: usize = 10_000;
/// Strangers of whose refusals each is told apart; what comes from others is told together.
const STRANGERS_TOLD: usize = 32;
/// How many characters of a stranger's topic are told.
const TOPIC_SHOWN: usize = 200;
/// What went wrong lately, so that a device that sends nonsense every second does not fill the timeline.
#[derive(Default)]
pub(crate) struct Troubles(HashMap<String, Trouble>);

struct Trouble {
    /// When it was last told, on the monotonic clock.
    told: Duration,
    untold: u64,
}

impl Troubles {
    /// Whether to tell of this trouble now, and how many like it were not told.
    pub(crate) fn tell(&mut self, about: &str, now: Duration) -> Option<u64> {
        if let Some(known) = self.0.get_mut(about) {
            if now.saturating_sub(known.told) < TELL_AGAIN {
                known.untold += 1;
                return None;
            }
            let untold = known.untold;
            *known = Trouble { told: now, untold: 0 };
            return Some(untold);
        }
        if self.0.len() >= TROUBLES {
            self.0.retain(|_, known| now.saturating_sub(known.told) < TELL_AGAIN);
        }
        if self.0.len() >= TROUBLES {
            return None;
        }
        self.0.insert(about.to_owned(), Trouble { told: now, untold: 0 });
        Some(0)
    }
}

/// For what a client is refused before anybody knows who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Refusal {
    /// Its user name, password, certificate or identifier.
    Credentials,
    /// Its certificate is not good, or it shows none.
    Certificate,
}

/// Clients that were refused, by whom they come from: an address, or an IPv6 network ([`source_of`]). Apart from all else that is told,
/// for a stranger must not be able to take its room: at most [`STRANGERS_TOLD`], and all others together are one more.
#[derive(Default)]
pub(super) struct Strangers {
    by_source: HashMap<(Refusal, IpAddr), Trouble>,
    /// Of those for which there was no room.
    others: Option<Trouble>,
}

/// A refusal that is told.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ToldOf {
    /// With so many of the same stranger that were not.
    One { untold: u64 },
    /// That others are refused as well, so many since that was last told.
    Others { untold: u64 },
}

impl Strangers {
    /// Whether to tell of this refusal now.
    pub(super) fn tell(&mut self, refusal: Refusal, from: IpAddr, now: Duration) -> Option<ToldOf> {
        let fresh = |known: &Trouble| now.saturating_sub(known.told) < TELL_AGAIN;
        let key = (refusal, source_of(from));
        if !self.by_source.contains_key(&key) && self.by_source.len() >= STRANGERS_TOLD {
            let old = self.by_source.extract_if(|_, known| !fresh(known)).map(|(_, known)| known.untold).sum::<u64>();
            if old > 0 {
                // Due at once, if nothing was told of them yet.
                let due = || Trouble { told: now.saturating_sub(TELL_AGAIN), untold: 0 };
                self.others.get_or_insert_with(due).untold += old;
            }
        }
        if let Some(known) = self.by_source.get_mut(&key) {
            if fresh(known) {
                known.untold += 1;
                return None;
            }
            let untold = std::mem::replace(known, Trouble { told: now, untold: 0 }).untold;
            return Some(ToldOf::One { untold });
        }
        if self.by_source.len() < STRANGERS_TOLD {
            self.by_source.insert(key, Trouble { told: now, untold: 0 });
            return Some(ToldOf::One { untold: 0 });
        }
        match &mut self.others {
            Some(known) if fresh(known) => {
                known.untold += 1;
                None
            }
            others => {
                let before = others.replace(Trouble { told: now, untold: 0 });
                Some(ToldOf::Others { untold: before.map_or(0, |before| before.untold) + 1 })
            }
        }
    }
}

/// That clients of more strangers than are told apart are refused.
pub(super) fn others_refused(count: u64) -> String {
    let clients = counted(count, "MQTT client was", "MQTT clients were");
    let minutes = TELL_AGAIN.as_secs() / 60;
    format!(
        "{clients} refused from further addresses: of {STRANGERS_TOLD} addresses it is told apart within {minutes} min, and more are only counted. \
         Many addresses at once are seldom devices of your own: look who can reach this node."
    )
}

/// The topics to which devices have no right, as far as they are told ([`begin_of`]): at most [`TOPICS_TOLD`] of at most
/// [`DEVICES_TOLD`] devices.
#[derive(Default)]
pub(super) struct RefusedTopics(HashMap<Uuid, TopicsOfOne>);

#[derive(Default)]
struct TopicsOfOne {
    told: Vec<(NoRight, Box<str>, Trouble)>,
    /// Refusals for topics for which there was no room, since something was last told of this device.
    others: u64,
}

/// What was not told since the last time.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Untold {
    /// Refusals of the same kind for the same topic.
    pub(super) same: u64,
    /// Refusals for topics that were not told at all.
    others: u64,
}

impl RefusedTopics {
    /// Whether to tell of a refusal for this topic now, and what was not told before it.
    pub(super) fn tell(&mut self, device: Uuid, what: NoRight, topic: &str, now: Duration) -> Option<Untold> {
        let fresh = |known: &Trouble| now.saturating_sub(known.told) < TELL_AGAIN;
        if !self.0.contains_key(&device) && self.0.len() >= DEVICES_TOLD {
            self.0.retain(|_, one| one.told.iter().any(|(_, _, known)| fresh(known)));
            if self.0.len() >= DEVICES_TOLD {
                return None;
            }
        }
        let topic = begin_of(topic);
        let TopicsOfOne { told, others } = self.0.entry(device).or_default();
        let same = match told.iter_mut().find(|(asked, known, _)| *asked == what && **known == *topic) {
            Some((_, _, known)) if fresh(known) => {
                known.untold += 1;
                return None;
            }
            Some((_, _, known)) => std::mem::replace(known, Trouble { told: now, untold: 0 }).untold,
            None => {
                if told.len() >= TOPICS_TOLD {
                    let over: u64 =
                        told.extract_if(.., |(_, _, known)| !fresh(known)).map(|(_, _, known)| known.untold).sum();
                    *others += over;
                }
                if told.len() >= TOPICS_TOLD {
                    *others += 1;
                    return None;
                }
                told.push((what, topic.into(), Trouble { told: now, untold: 0 }));
                0
            }
        };
        Some(Untold { same, others: std::mem::take(others) })
    }
}

impl std::fmt::Display for Untold {
    /// Nothing, or a sentence with a space before it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let others = || counted(self.others, "refusal", "refusals");
        match (self.same, self.others) {
            (0, 0) => Ok(()),
            (same, 0) => write!(f, " {same} more like it before."),
            (0, _) => write!(f, " And {} for other topics before.", others()),
            (same, _) => write!(f, " {same} more like it before, and {} for other topics.", others()),
        }
    }
}

/// The comings and goings of clients, or of Sparkplug edge nodes and devices, so that one that comes again at once whenever it is closed does not fill the timeline.
#[derive(Default)]
pub(crate) struct Comings {
    by_client: HashMap<Box<str>, Coming>,
    /// Of the clients for which there was no room.
    others: Option<Coming>,
    /// When what is old was last forgotten.
    swept: Duration,
}

struct Coming {
    /// The first one of those in `told`, on the monotonic clock.
    since: Duration,
    told: u64,
    untold: u64,
}

/// A coming or going that is told.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Told {
    /// How many before it were not.
    untold: u64,
    /// Whether those that follow are not, for a while.
    last: bool,
}

impl Comings {
    /// Whether to tell of this one.
    pub(crate) fn tell(&mut self, client: &str, now: Duration) -> Option<Told> {
        let old = |one: &Coming| now.saturating_sub(one.since) >= TELL_AGAIN;
        let full = self.by_client.len() >= CLIENTS_TOLD && !self.by_client.contains_key(client);
        // All are looked at, so not for each of a flood of clients.
        if full && now.saturating_sub(self.swept) >= Duration::from_secs(1) {
            self.by_client.retain(|_, one| !old(one));
            self.swept = now;
        }
        let new = || Coming { since: now, told: 0, untold: 0 };
        let one = if let Some(known) = self.by_client.get_mut(client) {
            known
        } else if self.by_client.len() < CLIENTS_TOLD {
            self.by_client.entry(client.into()).or_insert_with(new)
        } else {
            self.others.get_or_insert_with(new)
        };
        if old(one) {
            *one = Coming { untold: one.untold, ..new() };
        }
        if one.told >= COMINGS_TOLD {
            one.untold += 1;
            return None;
        }
        one.told += 1;
        Some(Told { untold: std::mem::take(&mut one.untold), last: one.told == COMINGS_TOLD })
    }
}

impl std::fmt::Display for Told {
    /// Nothing, or what follows a reason.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let minutes = TELL_AGAIN.as_secs() / 60;
        if self.untold > 0 {
            let before = counted(self.untold, "coming or going", "comings and goings");
            write!(f, " ({before} before it left out: more than {COMINGS_TOLD} within {minutes} min)")?;
        }
        if self.last {
            write!(f, " (the last one told: more than {COMINGS_TOLD} within {minutes} min are only counted)")?;
        }
        Ok(())
    }
}

/// Under which name the comings and goings of a client are counted. The broker makes a new identifier for each connection of a
/// client that has none, so they are counted by who it is.
pub(super) fn counted_as<'a>(client_id: &'a str, who: &Principal) -> Cow<'a, str> {
    if client_id.starts_with("auto-") { format!("auto-{}", who.id).into() } else { client_id.into() }
}

/// A client identifier in words: all of it is to be seen.
pub(super) fn told_client(client_id: &str) -> String {
    format!("\"{}\"", shown(client_id))
}

/// A topic in words: its first [`TOPIC_SHOWN`] characters, and all of them are to be seen.
pub(super) fn told_topic(topic: &str) -> String {
    let begin = begin_of(topic);
    let rest = if begin.len() < topic.len() { "…" } else { "" };
    format!("\"{}{rest}\"", shown(begin))
}

/// As much of a topic as is told.
fn begin_of(topic: &str) -> &str {
    topic.char_indices().nth(TOPIC_SHOWN).map_or(topic, |(end, _)| &topic[..end])
}

/// To what a device has no right, and what to do.
pub(super) fn no_right(what: NoRight, topic: &str) -> String {
    let topic = told_topic(topic);
    let place = "under Users & audit, MQTT devices";
    match what {
        NoRight::Publish => format!(
            "it may not publish to {topic}, which none of its topic filters lets it. If it should, give it a filter that does \
             {place}"
        ),
        NoRight::Subscribe => format!(
            "it may not subscribe to {topic}, which none of its topic filters covers. If it should, give it a filter that \
             does {place}"
        ),
        NoRight::Command => format!(
            "it may not publish to {topic}, which operates a tag that it may not operate. If it should, give it the right \
             to operate there {place}"
        ),
        NoRight::CommandAsWill => {
            format!(
                "its will may not be published to {topic}, for that would be a command. Give it another topic there"
            )
        }
        NoRight::ServerTopic => {
            format!(
                "it may not publish to {topic}, for what begins with $ is the server's. Give it another topic there"
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_of_a_stranger_is_told_so_far_and_all_of_it_is_seen() {
        assert!(
            no_right(NoRight::Publish, "meters/8/power").starts_with("it may not publish to \"meters/8/power\", which")
        );
        let turned = no_right(NoRight::Publish, "a\u{202e}b");
        assert!(turned.contains(r"a\u{202e}b") && !turned.contains('\u{202e}'), "{turned}");
        let long = no_right(NoRight::Publish, &"é".repeat(60_000));
        assert!(long.contains(&format!("\"{}…\"", "é".repeat(TOPIC_SHOWN))) && long.len() < 1000, "{long}");
    }

    #[test]
    fn the_same_trouble_is_told_again_after_a_while_with_its_number() {
        let mut troubles = Troubles::default();
        let at = Duration::from_secs;
        assert_eq!(troubles.tell("a/b", at(0)), Some(0));
        assert_eq!((troubles.tell("a/b", at(1)), troubles.tell("a/b", at(599))), (None, None));
        assert_eq!(troubles.tell("a/c", at(2)), Some(0), "another topic is another trouble");
        assert_eq!(troubles.tell("a/b", at(600)), Some(2));
        assert_eq!(troubles.tell("a/b", at(1_200)), Some(0));
    }

    #[test]
    fn each_of_a_few_refused_topics_is_told_once_and_of_many_the_rest_is_counted() {
        let mut refused = RefusedTopics::default();
        let at = Duration::from_secs;
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let first = Some(Untold { same: 0, others: 0 });
        for n in 0..TOPICS_TOLD {
            assert_eq!(refused.tell(one, NoRight::Publish, &format!("t/{n}"), at(0)), first, "topic {n}");
        }
        assert_eq!(
            (refused.tell(one, NoRight::Publish, "t/0", at(1)), refused.tell(one, NoRight::Publish, "t/0", at(2))),
            (None, None)
        );
        assert_eq!(
            (
                refused.tell(one, NoRight::Publish, "more/1", at(3)),
                refused.tell(one, NoRight::Publish, "more/2", at(3))
            ),
            (None, None)
        );
        assert_eq!(refused.tell(other, NoRight::Publish, "more/1", at(3)), first, "each device has its own");
        assert_eq!(refused.tell(one, NoRight::Publish, "t/0", at(600)), Some(Untold { same: 2, others: 2 }));
        assert_eq!(refused.tell(one, NoRight::Publish, "more/1", at(600)), first, "what is old makes room");
        assert_eq!(
            refused.tell(one, NoRight::Subscribe, "more/1", at(600)),
            first,
            "a subscription is another trouble"
        );
        assert_eq!(refused.0[&one].told.len(), 3);
    }

    #[test]
    fn what_is_remembered_of_refused_topics_is_bounded() {
        let mut refused = RefusedTopics::default();
        let at = Duration::from_secs;
        for n in 0..2 * DEVICES_TOLD as u128 {
            refused.tell(Uuid::from_u128(n), NoRight::Publish, &"é".repeat(30_000), at(0));
        }
        assert_eq!(refused.0.len(), DEVICES_TOLD);
        assert!(refused.0.values().all(|of| of.told[0].1.chars().count() == TOPIC_SHOWN));
        assert!(
            refused.tell(Uuid::from_u128(u128::MAX), NoRight::Publish, "a", at(600)).is_some(),
            "there is room again"
        );
        assert_eq!(refused.0.len(), 1);
    }

    #[test]
    fn what_was_not_told_is_a_sentence() {
        let words = |same, others| Untold { same, others }.to_string();
        assert_eq!(words(0, 0), "");
        assert_eq!(words(3, 0), " 3 more like it before.");
        assert_eq!(words(0, 1), " And 1 refusal for other topics before.");
        assert_eq!(words(3, 2), " 3 more like it before, and 2 refusals for other topics.");
    }

    #[test]
    fn of_many_comings_and_goings_of_a_client_the_rest_is_counted() {
        let mut comings = Comings::default();
        let at = Duration::from_secs;
        let plain = Some(Told { untold: 0, last: false });
        for n in 1..COMINGS_TOLD {
            assert_eq!(comings.tell("press-7", at(n)), plain, "the {n}th");
        }
        assert_eq!(comings.tell("press-7", at(30)), Some(Told { untold: 0, last: true }));
        for n in 0..10_000 {
            assert_eq!(comings.tell("press-7", at(31 + n / 20)), None);
        }
        assert_eq!(comings.tell("press-8", at(31)), plain, "another client is told as ever");
        assert_eq!(comings.tell("press-7", at(601)), Some(Told { untold: 10_000, last: false }));
        assert_eq!(comings.tell("press-7", at(602)), plain);
        assert_eq!(comings.tell("press-7", at(9_000)), plain, "after a quiet time");
    }

    #[test]
    fn comings_and_goings_of_more_clients_than_are_remembered_are_counted_together() {
        let mut comings = Comings::default();
        let mut told = |n: usize, now| comings.tell(&format!("client {n}"), Duration::from_secs(now)).is_some();
        assert!((0..CLIENTS_TOLD).all(|n| told(n, 5)));
        let most = usize::try_from(COMINGS_TOLD).expect("a small number");
        assert_eq!((0..CLIENTS_TOLD).filter(|n| told(CLIENTS_TOLD + n, 6)).count(), most);
        assert!(told(0, 6), "those that are remembered are told as ever");
        assert!(told(2 * CLIENTS_TOLD, 700));
        assert_eq!((comings.by_client.len(), comings.swept), (1, Duration::from_secs(700)), "what is old is forgotten");
    }

    #[test]
    fn clients_without_an_identifier_of_their_own_are_counted_by_who_they_are() {
        let principal = Principal::SYSTEM;
        assert_eq!(counted_as("press-7", &principal), "press-7");
        assert_eq!(counted_as("auto-1", &principal), counted_as("auto-2", &principal));
    }

    #[test]
    fn what_was_left_out_follows_the_reason() {
        assert_eq!(Told { untold: 0, last: false }.to_string(), "");
        let words = Told { untold: 9_980, last: false }.to_string();
        assert_eq!(words, " (9980 comings and goings before it left out: more than 20 within 10 min)");
        assert!(Told { untold: 0, last: true }.to_string().contains("are only counted"));
    }

    #[test]
    fn what_was_refused_is_told_with_what_to_do() {
        for (what, words) in [
            (NoRight::Subscribe, "it may not subscribe to \"a/#\""),
            (NoRight::Command, "give it the right to operate there under Users & audit"),
            (NoRight::CommandAsWill, "its will may not be published to \"a/#\""),
            (NoRight::ServerTopic, "begins with $ is the server's"),
        ] {
            assert!(no_right(what, "a/#").contains(words), "{words}");
        }
    }

    #[test]
    fn a_stranger_is_told_once_whichever_addresses_of_its_network_it_takes() {
        let mut strangers = Strangers::default();
        let mut tell = |from: &str, at| {
            strangers.tell(Refusal::Credentials, from.parse().expect("an address"), Duration::from_secs(at))
        };
        assert_eq!(tell("2001:db8:1:2::1", 0), Some(ToldOf::One { untold: 0 }));
        for n in 2..2_000 {
            assert_eq!(tell(&format!("2001:db8:1:2::{n:x}"), 1), None, "the same network");
        }
        assert_eq!(tell("192.0.2.7", 1), Some(ToldOf::One { untold: 0 }), "another is told as ever");
        assert_eq!(tell("2001:db8:1:2:ffff::", 600), Some(ToldOf::One { untold: 1_998 }));
        let certificate =
            strangers.tell(Refusal::Certificate, "192.0.2.7".parse().expect("an address"), Duration::ZERO);
        assert_eq!(certificate, Some(ToldOf::One { untold: 0 }), "another trouble");
    }

    #[test]
    fn more_strangers_than_are_told_apart_are_told_together() {
        let mut strangers = Strangers::default();
        let mut tell = |network: usize, at| {
            let from = format!("2001:db8:{network:x}::1").parse().expect("an address");
            strangers.tell(Refusal::Credentials, from, Duration::from_secs(at))
        };
        let told = (0..10_000).filter_map(|n| tell(n, 5)).collect::<Vec<_>>();
        assert_eq!(told.len(), STRANGERS_TOLD + 1);
        assert_eq!(told.last(), Some(&ToldOf::Others { untold: 1 }));
        assert_eq!(tell(0, 6), None, "the first is remembered");
        for n in 0..STRANGERS_TOLD {
            assert_eq!(tell(20_000 + n, 605), Some(ToldOf::One { untold: 0 }), "what is old makes room");
        }
        let others = u64::try_from(10_000 - STRANGERS_TOLD - 1).expect("a number");
        assert_eq!(tell(30_000, 605), Some(ToldOf::Others { untold: others + 1 + 1 }), "with the one of the first");
        assert_eq!(strangers.by_source.len(), STRANGERS_TOLD);
        assert!(others_refused(1).starts_with("1 MQTT client was refused from further"), "{}", others_refused(1));
        assert!(others_refused(2).starts_with("2 MQTT clients were refused from further"));
    }

    #[test]
    fn of_too_many_troubles_the_new_ones_wait_for_room() {
        let mut troubles = Troubles::default();
        let at = Duration::from_secs;
        for n in 0..TROUBLES {
            assert_eq!(troubles.tell(&format!("t/{n}"), at(0)), Some(0));
        }
        assert_eq!(troubles.tell("one more", at(599)), None);
        assert_eq!(troubles.tell("one more", at(600)), Some(0));
        assert_eq!(troubles.0.len(), 1, "what is old was forgotten");
    }
}
