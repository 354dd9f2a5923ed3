//! How connectors of discovery are doing, and what they have found: for the screens that show connectors.

use super::{Discovery, Made, Seeker};
use andon_connectors::health::Broken;
use andon_connectors::{ConnectorHealth, FoundValue, FoundValues, Guests, TestReport};
use andon_discovery::{Family, Item, Listed, State};
use andon_model::text::{counted, shown};
use andon_model::{StatusCode, Timestamp, Value};
use andon_store::documents;
use std::sync::PoisonError;

/// The most values in one list.
const LISTED: usize = 10_000;

impl Discovery {
    /// What was found, in a few words.
    fn words(seeker: &Seeker, made: Option<&Made>) -> String {
        let prefix = &seeker.config.places.prefix;
        let Some(made) = made else { return format!("what was announced under {prefix} is being read") };
        format!(
            "{} under {prefix}: {} mapped, {} proposed",
            counted(made.devices as u64, "device", "devices"),
            counted(made.mapped as u64, "value", "values"),
            made.proposed
        )
    }

    fn shown(&self, listed: &Listed) -> FoundValue {
        let item = &listed.item;
        let view = self.bus.plant();
        let mapped = listed.tag.as_ref().filter(|_| listed.state == State::Mapped);
        let last = mapped.and_then(|tag| self.bus.last(view.id_of(tag.as_str())?));
        let (value, quality, at) = last
            .map_or((Value::Null, StatusCode::BAD_WAITING_FOR_INITIAL_DATA, Timestamp::default()), |last| {
                (last.value, last.quality, last.source_ts)
            });
        FoundValue {
            place: shown(&place(item)).into_owned(),
            data_type: item.kind.clone(),
            tag_type: item.what.as_ref().ok().map(|wanted| wanted.point.data_type),
            state: listed.state.word(),
            tag: listed.tag.as_ref().map(ToString::to_string),
            why: listed.why.clone(),
            transient: false,
            value,
            quality,
            at,
        }
    }
}

/// Where it is: where it was announced, or of a family, whose announcement holds many devices, the device's own topic with its whole name.
fn place(item: &Item) -> String {
    let source = item.what.as_ref().ok().and_then(|wanted| wanted.source.as_ref());
    let own = source.filter(|_| item.family != Family::HomeAssistant).map(|source| &source.filter);
    format!("{}: {} / {}", own.unwrap_or(&item.topic), item.device.name, item.name)
}

impl Guests for Discovery {
    fn health(&self) -> Vec<ConnectorHealth> {
        let seekers = self.seekers();
        let broken = self.broken.read().unwrap_or_else(PoisonError::into_inner);
        let seekers = seekers.iter().map(|seeker| {
            let made = self.last_made(seeker);
            let words = Self::words(seeker, made.as_deref());
            seeker.health.report(&seeker.def, words, made.map_or(0, |made| made.mapped))
        });
        let broken = broken.iter().map(|broken| broken.report(&self.clock));
        let announcers = self.announcers();
        let announcers = announcers.iter().map(|announcer| {
            let words =
                format!("tags below {} under {}", announcer.config.options.branch, announcer.config.options.prefix);
            announcer.health.report(&announcer.def, words, announcer.entities.len())
        });
        seekers.chain(announcers).chain(broken).collect()
    }

    fn test(&self, name: &str) -> Option<TestReport> {
        if let Some(seeker) = self.seekers().into_iter().find(|seeker| seeker.def.name == name) {
            let words = Self::words(&seeker, Some(&self.made(&seeker)));
            let (there, refused) = seeker.heard().announcements.figures();
            let detail = match refused {
                0 => words,
                refused => format!("{words}; {refused} announcements found no room"),
            };
            return Some(TestReport { ok: there > 0 && refused == 0, detail });
        }
        if let Some(announcer) = self.announcers().into_iter().find(|announcer| announcer.def.name == name) {
            let written = announcer.entities.iter().filter(|(_, _, entity)| entity.command_topic.is_some()).count();
            let tags = counted(announcer.entities.len() as u64, "tag is", "tags are");
            let detail = format!(
                "{tags} announced under {}, {written} of them can be commanded",
                announcer.config.options.prefix
            );
            return Some(TestReport { ok: !announcer.entities.is_empty(), detail });
        }
        let broken = self.broken.read().unwrap_or_else(PoisonError::into_inner);
        broken.iter().find(|broken| broken.def.name == name).map(Broken::test)
    }

    fn found(&self, name: &str) -> Option<FoundValues> {
        let seeker = self.seekers().into_iter().find(|seeker| seeker.def.name == name)?;
        let made = self.made(&seeker);
        // What is not taken yet is what people look for.
        let mut list: Vec<&Listed> = made.proposal.listed.iter().collect();
        list.sort_by_key(|listed| listed.state);
        let values = list.iter().take(LISTED).map(|listed| self.shown(listed)).collect();
        let document = seeker.config.place.is_some().then(|| documents::export(&made.proposal.parts));
        Some(FoundValues {
            values,
            more: list.len().saturating_sub(LISTED) + made.more,
            document,
            nodes: Vec::new(),
            more_nodes: 0,
        })
    }
}
