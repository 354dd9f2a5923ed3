//! Which alarms were raised in a window, how often, and how long they stood.

use super::{Reports, table};
use andon_api::ports::NotDone;
use andon_model::Timestamp;
use andon_model::event::{AlarmChange, AlarmState, What};
use andon_model::path::is_under;
use andon_store::{TimelineFilter, TimelineRepository as _};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;
use uuid::Uuid;

/// Rows of the table.
pub(super) const ALARM: [&str; 8] =
    ["priority", "alarm", "message", "tag", "raised", "longest_ms", "total_ms", "stands"];
/// The most alarms that are told.
const LISTED: usize = 200;
/// The most transitions that are looked at of the window, and as many after it; and how many at once.
const LOOKED_AT: u32 = 50_000;
const PAGE: u32 = 1_000;
/// So long after the window it is looked for what ended: by it is known what stood all the time.
const AFTER: Duration = Duration::from_secs(86_400);

/// A transition.
struct Moved {
    at: Timestamp,
    tag: String,
    change: AlarmChange,
}

/// What an alarm did in the window.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Tally {
    priority: u8,
    message: String,
    tag: String,
    raised: u64,
    longest: Duration,
    total: Duration,
    stands: bool,
}

impl Reports {
    pub(super) async fn alarm_section(
        &self,
        path: &str,
        window: (Timestamp, Timestamp),
    ) -> Result<Map<String, Value>, NotDone> {
        self.alarms_of(path, window, LOOKED_AT).await
    }

    /// Of at most so many transitions of the window, and as many after it.
    pub(super) async fn alarms_of(
        &self,
        path: &str,
        (from, to): (Timestamp, Timestamp),
        most: u32,
    ) -> Result<Map<String, Value>, NotDone> {
        // Each with a limit of its own: however much came afterwards, the window itself is told.
        let (mut moved, cut) = self.moved(path, from, to, most).await?;
        let (after, cut_after) = self.moved(path, to, to.plus(AFTER), most).await?;
        moved.extend(after);
        let cut = cut || cut_after;
        let mut tallies = tallied(&moved, (from, to));
        // What stood before the window and stands still has moved in none of the events.
        for alarm in self.parts.alarms.list() {
            let here = alarm.equipment.is_under(path) || is_under(alarm.tag.as_str(), path);
            if here && stands(alarm.state) && alarm.raised_at < to && !tallies.contains_key(&alarm.name) {
                let stood = to.since(alarm.raised_at.max(from));
                tallies.insert(
                    alarm.name,
                    Tally {
                        priority: alarm.priority,
                        message: alarm.message,
                        tag: alarm.tag.to_string(),
                        raised: u64::from(alarm.raised_at >= from),
                        longest: stood,
                        total: stood,
                        stands: true,
                    },
                );
            }
        }
        Ok(section(tallies, cut))
    }

    /// Transitions of alarms on or below a path, the oldest first; of more than so many the newest, and that there are more.
    async fn moved(
        &self,
        path: &str,
        from: Timestamp,
        to: Timestamp,
        most: u32,
    ) -> Result<(Vec<Moved>, bool), NotDone> {
        let mut filter = TimelineFilter {
            from: Some(from),
            to: Some(to),
            kinds: vec!["alarm".to_owned()],
            branches: vec![path.to_owned()],
            limit: PAGE.min(most),
            ..TimelineFilter::default()
        };
        let (mut moved, mut looked_at) = (Vec::new(), 0);
        loop {
            let page = self.parts.store.timeline_query(filter.clone()).await?;
            let told = u32::try_from(page.len()).unwrap_or(u32::MAX);
            let full = told >= filter.limit;
            looked_at += told;
            filter.before = page.last().map(|sealed| sealed.seq);
            moved.extend(page.into_iter().filter_map(|sealed| match sealed.event.what {
                What::Alarm(change) => Some(Moved { at: sealed.event.at, tag: sealed.event.path, change }),
                _ => None,
            }));
            filter.limit = PAGE.min(most.saturating_sub(looked_at));
            if !full || filter.limit == 0 {
                moved.reverse();
                return Ok((moved, full));
            }
        }
    }
}

/// Whether what an alarm watches is out of order, acknowledged or not.
const fn stands(state: AlarmState) -> bool {
    matches!(state, AlarmState::Unacknowledged | AlarmState::Acknowledged)
}

/// What each alarm did in a window, out of its transitions from the window's beginning on, the oldest first.
fn tallied(moved: &[Moved], (from, to): (Timestamp, Timestamp)) -> BTreeMap<String, Tally> {
    let mut tallies: BTreeMap<String, Tally> = BTreeMap::new();
    // Since when an occurrence stands.
    let mut standing: HashMap<(&str, Uuid), Timestamp> = HashMap::new();
    let mut seen: HashSet<(&str, Uuid)> = HashSet::new();
    for Moved { at, tag, change } in moved {
        let key = (change.alarm.as_str(), change.occurrence);
        let is_first = seen.insert(key);
        if is_first && stands(change.from) {
            standing.insert(key, from);
        }
        let was = standing.contains_key(&key);
        // What began after the window is not in it; what stood before is, also where it ended later.
        if *at >= to && !was {
            continue;
        }
        let tally = tallies.entry(change.alarm.clone()).or_default();
        if *at < to {
            (tally.priority, tally.message, tally.tag) = (change.priority, change.message.clone(), tag.clone());
            tally.raised += u64::from(change.to == AlarmState::Unacknowledged && !stands(change.from));
        } else if tally.tag.is_empty() {
            (tally.priority, tally.message, tally.tag) = (change.priority, change.message.clone(), tag.clone());
        }
        match (was, stands(change.to)) {
            (false, true) => {
                standing.insert(key, *at);
            }
            (true, false) => {
                let since = standing.remove(&key).unwrap_or(*at);
                tally.stood(since, (*at).min(to));
                tally.stands |= *at >= to;
            }
            (true, true) | (false, false) => {}
        }
    }
    for ((alarm, _), since) in standing {
        if let Some(tally) = tallies.get_mut(alarm) {
            tally.stood(since, to);
            tally.stands = true;
        }
    }
    tallies
}

impl Tally {
    fn stood(&mut self, since: Timestamp, until: Timestamp) {
        let stood = until.since(since);
        self.longest = self.longest.max(stood);
        self.total = self.total.saturating_add(stood);
    }
}

/// The worst priority first, then the most frequent, then the longest.
fn section(tallies: BTreeMap<String, Tally>, cut: bool) -> Map<String, Value> {
    let mut priorities: BTreeMap<u8, u64> = BTreeMap::new();
    for tally in tallies.values() {
        *priorities.entry(tally.priority).or_default() += tally.raised;
    }
    let raised: u64 = priorities.values().sum();
    let mut all: Vec<(String, Tally)> = tallies.into_iter().collect();
    all.sort_by(|(a_name, a), (b_name, b)| {
        let order = a.priority.cmp(&b.priority).then(b.raised.cmp(&a.raised)).then(b.total.cmp(&a.total));
        order.then_with(|| a_name.cmp(b_name))
    });
    let truncated = cut || all.len() > LISTED;
    all.truncate(LISTED);
    let ms = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    let row = |(alarm, tally): (String, Tally)| {
        json!({
            "priority": tally.priority, "alarm": alarm, "message": tally.message, "tag": tally.tag, "raised": tally.raised,
            "longest_ms": ms(tally.longest), "total_ms": ms(tally.total), "stands": tally.stands,
        })
    };
    let mut section = table(all.into_iter().map(row).collect(), truncated);
    let by = priorities.into_iter().map(|(priority, raised)| json!({ "priority": priority, "raised": raised }));
    section.insert("by_priority".to_owned(), by.collect());
    section.insert("raised".to_owned(), raised.into());
    section
}

#[cfg(test)]
mod tests {
    use super::*;
    use AlarmState::{Acknowledged, Normal, ReturnedToNormalUnacknowledged as Back, Unacknowledged};
    use andon_model::{StatusCode, Value};

    fn at(s: i64) -> Timestamp {
        Timestamp::from_micros(s * 1_000_000)
    }

    fn moved(s: i64, occurrence: u128, from: AlarmState, to: AlarmState) -> Moved {
        let change = AlarmChange {
            alarm: "press/temp:high".to_owned(),
            occurrence: Uuid::from_u128(occurrence),
            from,
            to,
            priority: 2,
            condition: "high".to_owned(),
            message: "hot".to_owned(),
            value: Value::Null,
            quality: StatusCode::GOOD,
            limit: None,
            note: None,
        };
        Moved { at: at(s), tag: "press/temp".to_owned(), change }
    }

    /// Raised, longest, total in seconds, and whether it stands at the end, of a window from 100 s to 200 s.
    fn told(moves: &[Moved]) -> Option<(u64, u64, u64, bool)> {
        let tallies = tallied(moves, (at(100), at(200)));
        let tally = tallies.get("press/temp:high")?;
        Some((tally.raised, tally.longest.as_secs(), tally.total.as_secs(), tally.stands))
    }

    #[test]
    fn what_was_raised_is_counted_and_what_stood_is_measured_within_the_window() {
        let twice = [
            moved(110, 1, Normal, Unacknowledged),
            moved(115, 1, Unacknowledged, Acknowledged),
            moved(120, 1, Acknowledged, Normal),
            moved(150, 2, Normal, Unacknowledged),
            moved(180, 2, Unacknowledged, Back),
            moved(185, 2, Back, Normal),
        ];
        assert_eq!(told(&twice), Some((2, 30, 40, false)), "acknowledging ends nothing");
        let before = [moved(130, 1, Unacknowledged, Back)];
        assert_eq!(told(&before), Some((0, 30, 30, false)), "it stood when the window began");
        let after = [moved(190, 1, Normal, Unacknowledged), moved(260, 1, Unacknowledged, Normal)];
        assert_eq!(told(&after), Some((1, 10, 10, true)), "it stood when the window ended");
        assert_eq!(told(&[moved(250, 1, Acknowledged, Normal)]), Some((0, 100, 100, true)), "it stood all the time");
        assert_eq!(told(&[moved(210, 1, Normal, Unacknowledged)]), None, "it began later");
        let again = [moved(120, 1, Back, Unacknowledged), moved(140, 1, Unacknowledged, Back)];
        assert_eq!(told(&again), Some((1, 20, 20, false)), "it came back before anybody saw it");
    }

    #[test]
    fn the_worst_come_first() {
        let tally = |priority, raised| Tally { priority, raised, ..Tally::default() };
        let all = [("a", tally(3, 9)), ("b", tally(1, 1)), ("c", tally(1, 4))];
        let told = section(all.into_iter().map(|(name, tally)| (name.to_owned(), tally)).collect(), false);
        let names: Vec<_> = told["rows"].as_array().unwrap().iter().map(|row| row["alarm"].as_str().unwrap()).collect();
        assert_eq!(names, ["c", "b", "a"]);
        assert_eq!(told["by_priority"], json!([{ "priority": 1, "raised": 5 }, { "priority": 3, "raised": 9 }]));
        assert_eq!((told["raised"].as_u64(), told["truncated"].as_bool()), (Some(14), Some(false)));
    }
}
