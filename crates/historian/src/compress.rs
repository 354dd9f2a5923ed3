//! Leaving out points that the points kept tell within a stated deviation.
//!
//! For a sloped tag this is the swinging door: a point goes only while one straight line from the last point kept to the
//! newest one passes every point left out at no more than the deviation. For a stepped tag it is a dead band: a point goes
//! only while it is no further than the deviation from the last point kept, whose value is what a reader sees there.
//!
//! **Invariants**
//! - The newest point is always there. It goes when the next one shows that it can be told without it.
//! - Between two points kept is no more time than the rule's `at_least_every`, as far as points came at all.
//! - What is not a good, finite number, or not newer than everything of its tag before, in files too, is kept, and nothing is
//!   left out across it: what comes late or again is a correction, and never left out.

use std::collections::HashMap;

/// How far a tag's history may deviate from what came.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Compression {
    /// The greatest distance of a point left out from what the points kept say at its time, in the tag's unit; above 0.
    pub deviation: f64,
    /// A point is kept at least this often, in µs; above 0.
    pub at_least_every_us: i64,
    /// Whether the value between points is the one before (dead band), or on the line between them (swinging door).
    pub stepped: bool,
}

/// The tags that are compressed, by number; the others keep every point.
pub type Compressions = HashMap<u32, Compression>;

/// The newest time of each tag that is compressed. Where it is not known it is that of all tags, which is no earlier.
#[derive(Default)]
pub(crate) struct Newest {
    of_tag: HashMap<u32, i64>,
    of_all: Option<i64>,
}

impl Newest {
    /// Of history that ends at `latest`.
    pub(crate) fn after(latest: Option<i64>) -> Self {
        Self { of_tag: HashMap::new(), of_all: latest }
    }

    /// From now on these tags are asked for.
    pub(crate) fn follow(&mut self, rules: &Compressions) {
        let of_all = self.of_all.unwrap_or(i64::MIN);
        self.of_tag.retain(|tag, _| rules.contains_key(tag));
        for tag in rules.keys() {
            self.of_tag.entry(*tag).or_insert(of_all);
        }
    }

    /// Notes a sample's time; true if its tag is followed and had none as late before.
    pub(crate) fn note(&mut self, tag: u32, ts: i64) -> bool {
        self.of_all = self.of_all.max(Some(ts));
        let Some(newest) = self.of_tag.get_mut(&tag) else { return false };
        let newer = ts > *newest;
        *newest = ts.max(*newest);
        newer
    }
}

/// What one tag's last points say about the next one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Door {
    rule: Compression,
    kept: (i64, f64),
    /// The newest point, if it is another than the one kept.
    newest: Option<(i64, f64)>,
    /// Slopes, per µs, of the lines from `kept` that pass all points left out near enough.
    low: f64,
    high: f64,
}

impl Door {
    /// After a point that is kept.
    pub(crate) const fn new(rule: Compression, ts: i64, value: f64) -> Self {
        Self { rule, kept: (ts, value), newest: None, low: f64::NEG_INFINITY, high: f64::INFINITY }
    }

    /// Whether the newest point can go now that this one has come, which is later and becomes the newest.
    #[expect(clippy::cast_precision_loss, reason = "spans of time far below 2⁵³ µs")]
    pub(crate) fn drops_newest(&mut self, rule: &Compression, ts: i64, value: f64) -> bool {
        if self.rule != *rule {
            *self = Self::new(*rule, ts, value);
            return false;
        }
        let Some((held_ts, held)) = self.newest.replace((ts, value)) else { return false };
        let since = |ts: i64| ts.saturating_sub(self.kept.0) as f64;
        let (low, high) = if rule.stepped {
            (self.low, self.high)
        } else {
            let away = held - self.kept.1;
            (
                self.low.max((away - rule.deviation) / since(held_ts)),
                self.high.min((away + rule.deviation) / since(held_ts)),
            )
        };
        let told = if rule.stepped {
            (held - self.kept.1).abs() <= rule.deviation
        } else {
            let slope = (value - self.kept.1) / since(ts);
            low <= slope && slope <= high
        };
        let goes = told && ts.saturating_sub(self.kept.0) <= rule.at_least_every_us;
        *self = if goes {
            Self { low, high, ..*self }
        } else {
            Self { newest: self.newest, ..Self::new(*rule, held_ts, held) }
        };
        goes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: i64 = 1_000_000;

    /// The points kept, as a buffer would hold them.
    fn keep(rule: &Compression, points: &[(i64, f64)]) -> Vec<(i64, f64)> {
        let mut kept: Vec<(i64, f64)> = Vec::new();
        let mut door: Option<Door> = None;
        for &(ts, value) in points {
            match &mut door {
                None => door = Some(Door::new(*rule, ts, value)),
                Some(door) => {
                    if door.drops_newest(rule, ts, value) {
                        kept.pop();
                    }
                }
            }
            kept.push((ts, value));
        }
        kept
    }

    /// What the points kept say at a time.
    fn told(rule: &Compression, kept: &[(i64, f64)], ts: i64) -> f64 {
        let after = kept.partition_point(|(at, _)| *at <= ts);
        let (t0, v0) = kept[after - 1];
        match kept.get(after) {
            Some((t1, v1)) if !rule.stepped => v0 + (v1 - v0) * (ts - t0) as f64 / (t1 - t0) as f64,
            _ => v0,
        }
    }

    fn rule(deviation: f64, stepped: bool) -> Compression {
        Compression { deviation, at_least_every_us: 60 * SECOND, stepped }
    }

    proptest! {
        #[test]
        fn every_point_is_told_within_the_deviation_and_often_enough(
            steps in prop::collection::vec((1_i64..5_000_000, -3.0..3.0_f64), 1..400),
            deviation in 0.01..4.0_f64,
            stepped: bool,
        ) {
            let mut at = (0, 0.0);
            let points: Vec<_> = steps
                .iter()
                .map(|(later, change)| {
                    at = (at.0 + later, at.1 + change);
                    at
                })
                .collect();
            let rule = rule(deviation, stepped);
            let kept = keep(&rule, &points);
            prop_assert_eq!((kept.first(), kept.last()), (points.first(), points.last()));
            for (ts, value) in &points {
                let off = (told(&rule, &kept, *ts) - value).abs();
                prop_assert!(off <= deviation * (1.0 + 1e-9), "{} is {} off", ts, off);
            }
            for pair in kept.windows(2) {
                let between = points.iter().filter(|(ts, _)| (pair[0].0 + 1..pair[1].0).contains(ts)).count();
                prop_assert!(between == 0 || pair[1].0 - pair[0].0 <= rule.at_least_every_us);
            }
        }
    }

    #[test]
    fn a_ramp_is_its_ends_and_a_rest_its_first_and_newest() {
        let ramp: Vec<_> = (0..50).map(|n| (n * SECOND, n as f64)).collect();
        assert_eq!(keep(&rule(0.1, false), &ramp), [ramp[0], ramp[49]]);
        let rest: Vec<_> = (0..50).map(|n| (n * SECOND, (n % 2) as f64 * 0.05)).collect();
        assert_eq!(keep(&rule(0.1, true), &rest), [rest[0], rest[49]]);
        assert_eq!(keep(&rule(0.01, true), &rest).len(), 50);
    }

    #[test]
    fn a_point_is_kept_at_least_so_often() {
        let rest: Vec<_> = (0..600).map(|n| (n * SECOND, 1.0)).collect();
        let kept = keep(&rule(0.1, false), &rest);
        assert_eq!(
            kept.iter().map(|(ts, _)| ts / SECOND).collect::<Vec<_>>(),
            [0, 60, 120, 180, 240, 300, 360, 420, 480, 540, 599]
        );
    }
}
