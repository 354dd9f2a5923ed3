//! Where a message comes from, told to those who ask: when it was received, and who published it.

use crate::asks::PREFIX;
use crate::hooks::BrokerHooks;
use crate::message::Message;
use andon_model::Timestamp;
use andon_model::access::{Principal, PrincipalKind};
use andon_wire::mqtt::{Text, UserProperties};
use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};
use uuid::Uuid;

/// So many names are kept; of others the id is told.
const NAMES: usize = 100_000;

/// What those who publish are called, so that nobody has to be asked while messages are handed out.
#[derive(Debug, Default)]
pub(crate) struct Names(RwLock<HashMap<Uuid, Text>>);

impl Names {
    /// Asks what somebody is called, before the first message of theirs is handed out.
    pub(crate) fn learn(&self, who: &Principal, hooks: &dyn BrokerHooks) {
        let name = hooks.name_of(who).and_then(|name| Text::parse(&name).ok());
        let mut names = self.0.write().unwrap_or_else(PoisonError::into_inner);
        match name {
            Some(name) if names.len() < NAMES || names.contains_key(&who.id) => drop(names.insert(who.id, name)),
            Some(_) => {}
            None => drop(names.remove(&who.id)),
        }
    }

    /// As [`Names::learn`], of those whose names are not known yet.
    pub(crate) fn learn_new<'a>(&self, who: impl Iterator<Item = &'a Principal>, hooks: &dyn BrokerHooks) {
        let known = |who: &Principal| self.of(who.id).is_some();
        who.filter(|who| !known(who)).for_each(|who| self.learn(who, hooks));
    }

    /// Asks again: somebody may have been renamed, or taken out.
    pub(crate) fn refresh(&self, hooks: &dyn BrokerHooks) {
        let known: Vec<Uuid> = self.0.read().unwrap_or_else(PoisonError::into_inner).keys().copied().collect();
        // What kind somebody is of does not change what it is called.
        known.into_iter().for_each(|id| self.learn(&Principal { id, kind: PrincipalKind::Device }, hooks));
    }

    fn of(&self, id: Uuid) -> Option<Text> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }
}

/// The user properties for somebody who asked for something of ours: the publisher's own, in order, but for those that
/// look like ours. MQTT 5.0 [MQTT-3.3.2-18].
pub(crate) fn without_ours(message: &Message) -> UserProperties {
    message
        .user_properties
        .iter()
        .filter(|(name, _)| !name.as_bytes().starts_with(PREFIX.as_bytes()))
        .cloned()
        .collect()
}

/// Tells where a message comes from. `names`: what publishers are called; without them, their ids are told.
pub(crate) fn tell(message: &Message, names: Option<&Names>, out: &mut UserProperties) {
    let mut say = |name: &'static str, value: Text| {
        if let Ok(name) = Text::parse(name) {
            out.push((name, value));
        }
    };
    if let Ok(received) = Text::parse(&time(message.received)) {
        say("andon-received", received);
    }
    if let Some(client) = &message.publisher {
        say("andon-client", client.clone());
    }
    let kind = match (&message.user, &message.publisher) {
        (Some(who), _) => match who.kind {
            PrincipalKind::Person => "person",
            PrincipalKind::Token => "token",
            PrincipalKind::Device => "device",
            PrincipalKind::System => "node",
            PrincipalKind::Anonymous => "anonymous",
        },
        (None, None) => "node",
        (None, Some(_)) => "unknown",
    };
    if let Ok(kind) = Text::parse(kind) {
        say("andon-publisher", kind);
    }
    let named = |who: &&Principal| !matches!(who.kind, PrincipalKind::System | PrincipalKind::Anonymous);
    if let Some(who) = message.user.as_ref().filter(named) {
        let name = names.and_then(|names| names.of(who.id));
        if let Some(user) = name.or_else(|| Text::parse(&who.id.to_string()).ok()) {
            say("andon-user", user);
        }
    }
}

/// RFC 3339 in UTC, with milliseconds always.
pub(crate) fn time(at: Timestamp) -> String {
    let (year, month, day, hour, minute, second, micros) = at.civil();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", micros / 1000)
}
