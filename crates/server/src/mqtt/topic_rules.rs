//! Topic rules in force: what the broker is told, what the timeline is told, and how the rules stand.

use super::Hooks;
use super::telling::{told_client, told_topic};
use andon_api::ports::{OffenderView, TopicRuleView};
use andon_broker::{NoRight, Offer, Refused, Ruling};
use andon_model::access::Principal;
use andon_model::plant::Plant;
use andon_model::text::counted;
use andon_rules::{Breach, Mode, Offender, Offered, Part, Rule, TopicRules};
use std::sync::{Arc, PoisonError};
use uuid::Uuid;

impl Hooks {
    /// Follows the rules of the plant model.
    pub(super) fn set_topic_rules(&self, plant: &Plant) {
        let before = self.topic_rules.load_full();
        match TopicRules::of_plant(plant, sparkplug, &before, self.clock.now()) {
            Ok(rules) => self.topic_rules.store(Arc::new(rules)),
            // The document check refuses such a rule, so this is a model of another version of the program.
            Err((name, finding)) => {
                let words =
                    format!("The topic rule \"{name}\" cannot be used, so those before stay: {}", finding.message);
                self.notes.say("", "topic_rules", words);
            }
        }
    }

    /// The rules in force.
    pub fn topic_rules(&self) -> Arc<TopicRules> {
        self.topic_rules.load_full()
    }

    /// What holds for a message; it is counted, and told if it breaks its rule.
    pub(super) fn ruling(&self, offer: &Offer<'_>) -> Ruling {
        let rules = self.topic_rules.load();
        let Some(rule) = rules.of(offer.topic) else { return Ruling::Durable };
        rule.book.matched();
        let offered = Offered { topic: offer.topic, payload: offer.payload, retain: offer.retain };
        let breach = match rule.check(&offered) {
            Ok(()) => return kept(rule),
            Err(breach) => breach,
        };
        let by = offer.who.map_or(Uuid::nil(), |who| who.id);
        rule.book.broke(offer.client_id, by, &offered, &breach, self.clock.now());
        if rule.mode != Mode::Observe {
            self.tell_breach(rule, offer, by, &breach);
        }
        let words = || format!("topic rule {}: {breach}", rule.def.name);
        match rule.mode {
            Mode::Observe | Mode::Warn => kept(rule),
            Mode::Reject => Ruling::Refused(Refused { topic: breach.part == Part::Topic, words: words() }),
            Mode::Quarantine => Ruling::Withheld { rule: rule.def.name.clone(), words: breach.words },
        }
    }

    /// Once in ten minutes for each publisher and rule, of a bounded number of both; what was not told is counted.
    fn tell_breach(&self, rule: &Rule, offer: &Offer<'_>, by: Uuid, breach: &Breach) {
        let now = self.clock.monotonic();
        let mut breaches = self.breaches.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(before) = breaches.tell(by, NoRight::Publish, &rule.def.name, now) else { return };
        drop(breaches);
        let outcome = match rule.mode {
            Mode::Observe | Mode::Warn => "It passes",
            Mode::Reject => "It is refused",
            Mode::Quarantine => "It is in quarantine",
        };
        let more = match before.same {
            0 => String::new(),
            more => format!(" {} like it before.", counted(more, "message", "messages")),
        };
        let words = format!(
            "A message of {} on {} breaks the topic rule \"{}\": {breach}. {outcome}.{more}",
            teller(offer),
            told_topic(offer.topic),
            rule.def.name,
        );
        self.notes.say_of(offer.who.unwrap_or(&Principal::SYSTEM), "topic_rules", words);
    }

    /// How the rules stand, by name.
    pub(super) fn rule_views(&self) -> Vec<TopicRuleView> {
        let (kept, _) = self.broker.get().map(|broker| broker.quarantine()).unwrap_or_default();
        let rules = self.topic_rules.load();
        rules
            .all()
            .iter()
            .map(|rule| self.rule_view(rule, kept.iter().filter(|(_, w)| w.rule.as_str() == rule.def.name).count()))
            .collect()
    }

    fn rule_view(&self, rule: &Rule, in_quarantine: usize) -> TopicRuleView {
        let standing = rule.book.standing();
        TopicRuleView {
            name: rule.def.name.clone(),
            filter: rule.def.filter.clone(),
            description: rule.description.clone(),
            durability: if rule.volatile { "volatile" } else { "durable" }.to_owned(),
            mode: rule.asks().then(|| rule.mode.word().to_owned()),
            wishes: rule.wishes(),
            keep_s: rule.keep.map(|keep| keep.age.as_secs()),
            keep_bytes: rule.keep.map(|keep| keep.bytes),
            since_ms: rule.book.since.millis(),
            matched: standing.matched,
            broke: standing.broke,
            in_quarantine,
            offenders: standing.offenders.into_iter().map(|one| self.offender_view(one)).collect(),
            others: standing.others,
        }
    }

    fn offender_view(&self, one: Offender) -> OffenderView {
        OffenderView {
            user: self.accounts.name_of(one.by),
            client: one.client_id,
            topic: one.topic,
            count: one.count,
            first_ms: one.first.millis(),
            last_ms: one.last.millis(),
            words: one.words,
            payload: one.payload,
            size: one.size,
        }
    }
}

/// How often the messages of each rule came and broke it: for `/metrics`.
pub fn counts(rules: &TopicRules) -> Vec<(String, u64, u64)> {
    rules
        .all()
        .iter()
        .map(|rule| (rule.def.name.clone(), rule.book.counts()))
        .map(|(name, (m, b))| (name, m, b))
        .collect()
}

const fn kept(rule: &Rule) -> Ruling {
    if rule.volatile { Ruling::Volatile } else { Ruling::Durable }
}

fn teller(offer: &Offer<'_>) -> String {
    match offer.who {
        Some(_) => format!("the MQTT client {}", told_client(offer.client_id)),
        None if offer.client_id.starts_with("andon:") => "a person".to_owned(),
        None => format!("the MQTT client {}, its will,", told_client(offer.client_id)),
    }
}

/// Whether bytes are a Sparkplug B payload.
fn sparkplug(payload: &[u8]) -> Result<(), String> {
    andon_sparkplug::payload::decode(payload, &andon_sparkplug::Limits::default())
        .map(|_| ())
        .map_err(|e| e.to_string())
}
