//! The rules of topics for people: which become tags, which are commands, and why a client may do something or not.
//!
//! A dry run asks what the broker asks, in its order, and says what it finds; a test holds it to what the broker then does.

use super::{Hooks, covers};
use crate::mqtt::telling::{told_client, told_topic};
use andon_access::records::DeviceRecord;
use andon_api::ports::{CheckView, MqttRules, MqttWish, TopicRuleView, TopicTags, VerdictView};
use andon_broker::{Broker, BrokerHooks as _, SubscriptionInfo};
use andon_model::access::{Action, Gate, Principal, PrincipalKind};
use andon_rules::Mode;
use andon_wire::mqtt::{QoS, TopicFilter, TopicName};
use std::sync::Arc;

/// The rules in force.
pub struct Rules {
    /// Who may what.
    pub hooks: Arc<Hooks>,
    /// Who subscribed to what, and the limits.
    pub broker: Arc<Broker>,
}

/// A check that says no.
struct No;

/// What was asked so far.
#[derive(Default)]
struct Checks(Vec<CheckView>);

impl Checks {
    fn fine(&mut self, text: impl Into<String>) {
        self.0.push(CheckView { ok: true, text: text.into() });
    }

    fn no(&mut self, text: impl Into<String>) -> No {
        self.0.push(CheckView { ok: false, text: text.into() });
        No
    }
}

impl MqttRules for Rules {
    fn tags_of(&self, topic: &str) -> TopicTags {
        let (tags, all) = self.hooks.mapping().tags_of(topic);
        TopicTags { tags: tags.into_iter().map(|tag| tag.to_string()).collect(), all }
    }

    fn command_for(&self, topic: &str) -> Option<String> {
        let announced = || {
            let plant = self.hooks.bus.plant();
            Some(plant.tag(self.hooks.announced(topic)?)?.path.to_string())
        };
        self.hooks.mapping().command_for(topic).map(|tag| tag.to_string()).or_else(announced)
    }

    fn commanded(&self, topic: &str) -> Option<String> {
        let tag = self.command_for(topic).map(|tag| format!("the tag {tag}"));
        tag.or_else(|| self.hooks.command_topic(topic).then(|| "metrics of a Sparkplug edge node".to_owned()))
    }

    fn topic_rules(&self) -> Vec<TopicRuleView> {
        self.hooks.rule_views()
    }

    fn explain(&self, who: &Principal, client_id: Option<&str>, wish: MqttWish, topic: &str) -> VerdictView {
        let mut checks = Checks::default();
        let answer = match wish {
            MqttWish::Publish => self.publish(who, topic, &mut checks),
            MqttWish::Subscribe => self.subscribe(who, client_id, topic, &mut checks),
            MqttWish::Receive => self.receive(who, client_id, topic, &mut checks),
        };
        let reason = checks.0.last().map(|check| check.text.clone()).unwrap_or_default();
        VerdictView { allowed: answer.is_ok(), reason, checks: checks.0 }
    }
}

/// Topic filters as they are listed.
fn listed(filters: &[String]) -> String {
    match filters {
        [] => "none".to_owned(),
        some => some.iter().map(|filter| told_topic(filter)).collect::<Vec<_>>().join(", "),
    }
}

impl Rules {
    /// The device, or `None` for a client without credentials that is let in.
    fn known(&self, who: &Principal, checks: &mut Checks) -> Result<Option<DeviceRecord>, No> {
        if who.kind == PrincipalKind::Anonymous {
            if self.hooks.accounts.anonymous_mqtt() {
                checks.fine("Clients without credentials are let in here, and may do everything");
                return Ok(None);
            }
            return Err(checks.no("Clients without credentials are not let in"));
        }
        match self.hooks.accounts.device(who.id) {
            Some(device) => {
                checks.fine(format!("{} is a device with a credential", told_client(&device.user)));
                Ok(Some(device))
            }
            None => Err(checks.no("This device has no credential any more")),
        }
    }

    fn name(&self, topic: &str, checks: &mut Checks) -> Result<TopicName, No> {
        let name = TopicName::parse(topic).map_err(|error| checks.no(format!("This is no topic: {error}")))?;
        let (levels, most) = (name.levels(), self.broker.options().topic_levels);
        if levels > most {
            return Err(checks.no(format!("A topic of {levels} levels is refused; at most {most} are taken")));
        }
        Ok(name)
    }

    fn publish(&self, who: &Principal, topic: &str, checks: &mut Checks) -> Result<(), No> {
        let device = self.known(who, checks)?;
        let name = self.name(topic, checks)?;
        if name.is_server_owned() {
            return Err(checks.no("Topics that begin with $ are the server's"));
        }
        if let Some(tag) = self.command_for(topic) {
            checks
                .fine(format!("The topic commands the tag {tag}: a message there goes through the door for commands"));
            return match self.hooks.accounts.authorise(who, Action::Operate, &tag) {
                Ok(()) => {
                    checks.fine("It may operate this tag; limits and interlocks are asked when it is carried out");
                    Ok(())
                }
                Err(_) => Err(checks.no(format!("It may not operate the tag {tag}"))),
            };
        }
        if let Some(what) = self.commanded(topic) {
            checks.fine(format!("The topic commands {what}: a message there goes through the door for commands"));
            checks.fine("For each metric that a message names it is asked whether it may operate that tag");
            return Ok(());
        }
        let Some(device) = device else { return self.topic_rule(topic, checks) };
        let lets = |filter: &&String| TopicFilter::parse(filter).is_ok_and(|filter| filter.matches(topic));
        match device.publish.iter().find(lets) {
            Some(filter) => {
                checks.fine(format!("Its topic filter {} lets it publish there", told_topic(filter)));
                self.topic_rule(topic, checks)
            }
            None => Err(checks
                .no(format!("None of the topic filters that it may publish to matches: {}", listed(&device.publish)))),
        }
    }

    /// The rule that holds for messages there.
    fn topic_rule(&self, topic: &str, checks: &mut Checks) -> Result<(), No> {
        let rules = self.hooks.topic_rules();
        let Some(rule) = rules.of(topic) else { return Ok(()) };
        let name = format!("The topic rule \"{}\" ({}) holds there", rule.def.name, told_topic(&rule.def.filter));
        if let Err(breach) = rule.check_topic(topic) {
            let words = format!("{name}, and the topic breaks it: {breach}");
            return match rule.mode {
                Mode::Reject => Err(checks.no(words)),
                Mode::Quarantine => Err(checks.no(format!("{words}. Messages there go into quarantine"))),
                Mode::Observe | Mode::Warn => {
                    checks.fine(format!("{words}. Messages there pass all the same"));
                    Ok(())
                }
            };
        }
        let kept = if rule.volatile { "; messages are volatile" } else { "" };
        let outcome = match rule.mode {
            Mode::Observe | Mode::Warn => "passes all the same",
            Mode::Reject => "is refused",
            Mode::Quarantine => "goes into quarantine",
        };
        let wishes = match rule.wishes().join(", ") {
            wishes if wishes.is_empty() => String::new(),
            wishes => format!("; it asks that {wishes}: a message that breaks it {outcome}"),
        };
        checks.fine(format!("{name}{kept}{wishes}"));
        Ok(())
    }

    /// The right to be sent what is under a filter.
    fn right_to(&self, device: Option<&DeviceRecord>, pattern: &str, checks: &mut Checks) -> Result<(), No> {
        let Some(device) = device else { return Ok(()) };
        match device.subscribe.iter().find(|own| covers(own, pattern)) {
            Some(filter) => {
                checks.fine(format!("Its topic filter {} covers it", told_topic(filter)));
                Ok(())
            }
            None => Err(checks.no(format!(
                "None of the topic filters that it may subscribe to covers all of it: {}",
                listed(&device.subscribe)
            ))),
        }
    }

    fn subscribe(&self, who: &Principal, client_id: Option<&str>, filter: &str, checks: &mut Checks) -> Result<(), No> {
        let device = self.known(who, checks)?;
        let parsed =
            TopicFilter::parse(filter).map_err(|error| checks.no(format!("This is no topic filter: {error}")))?;
        let options = self.broker.options();
        if parsed.levels() > options.topic_levels {
            let (levels, most) = (parsed.levels(), options.topic_levels);
            return Err(checks.no(format!("A topic filter of {levels} levels is refused; at most {most} are taken")));
        }
        let own = client_id.and_then(|client| self.broker.subscriptions_of(client)).unwrap_or_default();
        let has = own.iter().any(|one| one.filter == filter);
        if !has && own.len() >= options.subscriptions {
            return Err(checks.no(format!("It has {} subscriptions, as many as a client may", own.len())));
        }
        self.right_to(device.as_ref(), parsed.pattern(), checks)?;
        if has {
            checks.fine("It has this subscription already");
        }
        Ok(())
    }

    fn receive(&self, who: &Principal, client_id: Option<&str>, topic: &str, checks: &mut Checks) -> Result<(), No> {
        let device = self.known(who, checks)?;
        self.name(topic, checks)?;
        self.right_to(device.as_ref(), topic, checks)?;
        let Some(client) = client_id else {
            return Err(checks.no("No client of it, or more than one, has a session: name the client"));
        };
        let Some(own) = self.broker.subscriptions_of(client) else {
            return Err(
                checks.no(format!("The client {} has no session, so it has no subscription", told_client(client)))
            );
        };
        let matches =
            |one: &&SubscriptionInfo| TopicFilter::parse(&one.filter).is_ok_and(|filter| filter.matches(topic));
        let fitting: Vec<_> = own.iter().filter(matches).collect();
        let Some(best) = fitting.iter().max_by_key(|one| one.qos) else {
            let filters: Vec<_> = own.iter().map(|one| one.filter.clone()).collect();
            return Err(checks.no(format!("None of its subscriptions matches: {}", listed(&filters))));
        };
        checks.fine(format!("Its subscription {} matches, with QoS {}", told_topic(&best.filter), best.qos as u8));
        if let Some(what) = self.commanded(topic) {
            checks.fine(format!("The topic commands {what}: what a client publishes there is not passed on"));
            if !best.connected {
                return Err(checks.no("It is away, and a command goes only to those who are connected"));
            }
            checks.fine("It gets the commands that Andon sends there");
            return Ok(());
        }
        if fitting.iter().all(|one| one.filter.starts_with("$share/")) {
            checks.fine("It shares this subscription: each message goes to one member of the group");
        }
        if fitting.iter().all(|one| one.no_local) {
            checks.fine("It does not want back what it published itself");
        }
        match (best.connected, best.qos) {
            (true, _) => checks.fine("It is connected, and gets it"),
            (false, QoS::AtMostOnce) => {
                return Err(checks.no("It is away, and nothing waits for it with QoS 0"));
            }
            (false, _) => checks.fine("It is away: messages of QoS 1 and 2 wait for it, those of QoS 0 do not"),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_listed_so_that_all_of_them_is_seen() {
        assert_eq!(listed(&[]), "none");
        assert_eq!(listed(&["a/#".to_owned(), "b\u{202e}".to_owned()]), "\"a/#\", \"b\\u{202e}\"");
    }
}
