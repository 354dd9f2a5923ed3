//! The bus itself.

use crate::arrivals::{Arrivals, Way};
use crate::direct::{Floors, Unpublished};
use crate::plant::PlantView;
use crate::stored::StoredUpTo;
use crate::subscribe::{AllSubscription, LastValues, NewestShared, NewestSubscription};
use andon_model::command::Actuator;
use andon_model::plant::{Plant, TagDef};
use andon_model::{Clock, DataType, Sample, StatusCode, TagId, Timestamp, Value};
use arc_swap::ArcSwap;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};
use std::time::Duration;
use tokio::sync::mpsc;

/// The largest batch that an [`AllSubscription`] is handed, in samples; larger ones are cut.
const BATCH_SAMPLES_MAX: usize = 4096;

/// When received times go back by more than this, our own clock was set back, and the new sample counts as newer.
const CLOCK_SET_BACK: Duration = Duration::from_secs(1);

/// What the bus has done since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BusStats {
    /// Samples published and taken.
    pub published: u64,
    /// Samples older than the last value of their tag; they were passed on, but did not replace it.
    pub late: u64,
    /// Samples whose value was not of the tag's type or not finite; passed on as null with a bad quality.
    pub unfit: u64,
    /// Samples of tags that are not in the plant; dropped.
    pub unknown_tag: u64,
}

#[derive(Debug, Default)]
struct Counters {
    published: AtomicU64,
    late: AtomicU64,
    unfit: AtomicU64,
    unknown_tag: AtomicU64,
}

/// The live plant. Shared as `Arc<Bus>`.
pub struct Bus {
    clock: Arc<dyn Clock>,
    plant: ArcSwap<PlantView>,
    last: Arc<LastValues>,
    newest: Mutex<Vec<Weak<NewestShared>>>,
    all: Mutex<Vec<Subscriber>>,
    actuators: RwLock<HashMap<TagId, Arc<dyn Actuator>>>,
    counters: Counters,
    /// How many samples were handed to the subscribers of all samples, or would have been. Counted while `all` is locked.
    handed: AtomicU64,
    pub(crate) stored: StoredUpTo,
    pub(crate) floors: Floors,
    /// In the order of [`Way::ALL`].
    arrivals: [Arrivals; 3],
}

/// Somebody who wants every sample.
#[derive(Debug, Clone)]
struct Subscriber {
    sender: mpsc::Sender<Arc<[Sample]>>,
    /// It stores them, so it leaves out what is stored already.
    stores: bool,
}

impl std::fmt::Debug for Bus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bus").field("plant_version", &self.plant.load().plant.version).finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Bus {
    /// A bus with an empty plant: set the plant before publishing.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self {
            clock,
            plant: ArcSwap::default(),
            last: Arc::default(),
            newest: Mutex::default(),
            all: Mutex::default(),
            actuators: RwLock::default(),
            counters: Counters::default(),
            handed: AtomicU64::new(0),
            stored: StoredUpTo::default(),
            floors: Floors::default(),
            arrivals: Default::default(),
        })
    }

    /// Takes a new version of the plant; `ids` in the order of `plant.tags`. Tags that stay (by [`TagDef::id`], with
    /// a value that still fits their type) keep their last value.
    ///
    /// [`TagDef::id`]: andon_model::plant::TagDef::id
    pub fn set_plant(&self, plant: Arc<Plant>, ids: Vec<TagId>) {
        let view = PlantView::new(plant, ids);
        let mut last = self.last.write().unwrap_or_else(PoisonError::into_inner);
        let before = self.plant.load();
        let former: HashMap<_, _> = before.tags().map(|(id, tag)| (tag.id, id)).collect();
        let mut kept = vec![None; view.id_bound()];
        for (id, tag) in view.tags() {
            let value = former.get(&tag.id).and_then(|old| last.get(old.0 as usize).cloned().flatten());
            let value = value.and_then(|old| Some(Sample { tag: id, value: old.value.coerce(tag.data_type)?, ..old }));
            if let Some(slot) = kept.get_mut(id.0 as usize) {
                *slot = value;
            }
        }
        *last = kept;
        self.plant.store(Arc::new(view));
    }

    /// The plant as it is now.
    #[must_use]
    pub fn plant(&self) -> Arc<PlantView> {
        self.plant.load_full()
    }

    /// The clock that times are measured by.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// Publishes samples, in order. Last values and [`NewestSubscription`]s have them before the first await; then
    /// this waits while an [`AllSubscription`] is full. A call that is dropped while it waits has not reached all of
    /// those, so let it end.
    pub async fn publish(&self, mut samples: Vec<Sample>) {
        self.take_in(&mut samples);
        let subscribers = {
            let all = lock(&self.all);
            self.handed.fetch_add(samples.len() as u64, Ordering::Relaxed);
            all.clone()
        };
        self.hand_out(samples, subscribers).await;
    }

    /// As [`Bus::publish`], for samples that are durable in the samples lane already: they are not stored again.
    pub(crate) async fn publish_stored(&self, mut samples: Vec<Sample>, unpublished: Unpublished) {
        self.stored.note(&samples);
        self.take_in(&mut samples);
        drop(unpublished);
        let subscribers = lock(&self.all).iter().filter(|subscriber| !subscriber.stores).cloned().collect();
        self.hand_out(samples, subscribers).await;
    }

    async fn hand_out(&self, samples: Vec<Sample>, subscribers: Vec<Subscriber>) {
        if samples.is_empty() || subscribers.is_empty() {
            return;
        }
        let batches: Vec<Arc<[Sample]>> = if samples.len() <= BATCH_SAMPLES_MAX {
            vec![samples.into()]
        } else {
            samples.chunks(BATCH_SAMPLES_MAX).map(Arc::from).collect()
        };
        let mut some_are_gone = false;
        for batch in batches {
            for subscriber in &subscribers {
                some_are_gone |= subscriber.sender.send(batch.clone()).await.is_err();
            }
        }
        if some_are_gone {
            lock(&self.all).retain(|subscriber| !subscriber.sender.is_closed());
        }
    }

    /// Makes the samples fit their tags, drops those of unknown tags, and renews last values and newest subscriptions.
    /// Leaves out samples of unknown tags and makes the others what their tags can be; returns how many were not. Doing it
    /// twice changes nothing more.
    pub(crate) fn make_fit(&self, samples: &mut Vec<Sample>) -> u64 {
        let plant = self.plant.load();
        let mut unfit = 0;
        samples.retain_mut(|sample| {
            let Some(tag) = plant.tag(sample.tag) else { return false };
            unfit += u64::from(!fit_type(sample, tag.data_type));
            note_range(sample, tag);
            true
        });
        unfit
    }

    fn take_in(&self, samples: &mut Vec<Sample>) {
        let before = samples.len();
        let unfit = self.make_fit(samples);
        let changed = self.renew(samples);
        let add = |counter: &AtomicU64, n: usize| counter.fetch_add(n as u64, Ordering::Relaxed);
        add(&self.counters.published, samples.len());
        add(&self.counters.unknown_tag, before - samples.len());
        add(&self.counters.late, samples.len() - changed.len());
        self.counters.unfit.fetch_add(unfit, Ordering::Relaxed);
        lock(&self.newest).retain(|subscriber| match subscriber.upgrade() {
            Some(subscriber) => {
                subscriber.mark(&changed);
                true
            }
            None => false,
        });
    }

    /// Takes samples from before a restart: those that still fit their tags become last values. Gives their number.
    pub(crate) fn restore(&self, samples: Vec<Sample>) -> usize {
        let plant = self.plant.load();
        let fitting = samples.into_iter().filter_map(|sample| {
            let value = sample.value.coerce(plant.tag(sample.tag)?.data_type)?;
            Some(Sample { value, ..sample })
        });
        self.renew(&fitting.collect::<Vec<_>>()).len()
    }

    /// Renews last values; gives the tags of the samples that were not late.
    fn renew(&self, samples: &[Sample]) -> Vec<TagId> {
        let mut changed = Vec::with_capacity(samples.len());
        let mut last = self.last.write().unwrap_or_else(PoisonError::into_inner);
        for sample in samples {
            let Some(slot) = last.get_mut(sample.tag.0 as usize) else { continue };
            if slot.as_ref().is_none_or(|last| !is_late(sample, last)) {
                *slot = Some(sample.clone());
                changed.push(sample.tag);
            }
        }
        changed
    }

    /// The newest sample of a tag.
    #[must_use]
    pub fn last(&self, tag: TagId) -> Option<Sample> {
        self.last.read().unwrap_or_else(PoisonError::into_inner).get(tag.0 as usize)?.clone()
    }

    /// The newest sample of every tag of the plant that has one, by ascending tag number.
    #[must_use]
    pub fn last_all(&self) -> Vec<Sample> {
        let plant = self.plant.load();
        let last = self.last.read().unwrap_or_else(PoisonError::into_inner);
        last.iter().flatten().filter(|sample| plant.tag(sample.tag).is_some()).cloned().collect()
    }

    /// True when the tag may go stale ([`TagDef::stale_after_ms`]) and nothing was received for that long, or ever.
    ///
    /// [`TagDef::stale_after_ms`]: andon_model::plant::TagDef::stale_after_ms
    #[must_use]
    pub fn stale(&self, tag: TagId, now: Timestamp) -> bool {
        let plant = self.plant.load();
        let Some(limit) = plant.tag(tag).and_then(|tag| tag.stale_after_ms) else { return false };
        self.last(tag).is_none_or(|last| now.since(last.received_ts) > Duration::from_millis(limit))
    }

    /// Newest values of these tags (`None`: all). See [`NewestSubscription`].
    pub fn subscribe_newest(&self, filter: Option<HashSet<TagId>>) -> NewestSubscription {
        // Registered while the list is locked, so that no change falls between the last values and the list.
        let mut newest = lock(&self.newest);
        let known: Vec<_> = self.last_all().iter().map(|sample| sample.tag).collect();
        let shared = NewestShared::new(filter, &known);
        newest.push(Arc::downgrade(&shared));
        NewestSubscription { shared, last: self.last.clone() }
    }

    /// Every sample from now on; `capacity` batches of at most 4,096 samples may wait, then publishers do.
    /// See [`AllSubscription`].
    pub fn subscribe_all(&self, capacity: usize) -> AllSubscription {
        let (sender, receiver) = mpsc::channel(capacity.max(1));
        lock(&self.all).push(Subscriber { sender, stores: false });
        AllSubscription { receiver }
    }

    /// As [`Bus::subscribe_all`], for the one who stores every sample.
    pub(crate) fn subscribe_to_store(&self, capacity: usize) -> AllSubscription {
        let (sender, receiver) = mpsc::channel(capacity.max(1));
        let mut all = lock(&self.all);
        all.push(Subscriber { sender, stores: true });
        self.stored.begin(self.handed.load(Ordering::Relaxed));
        AllSubscription { receiver }
    }

    /// Resolves when every sample whose publishing began before this call is durable in the log, or told lost; at once while no spool
    /// runs. It may take as long as a full disk lasts, so give it a deadline.
    pub fn settled(&self) -> impl Future<Output = ()> + Send + 'static {
        let all = lock(&self.all);
        let handed = self.handed.load(Ordering::Relaxed);
        drop(all);
        self.stored.settled(handed)
    }

    /// From now on `actuator` writes these tags.
    pub fn set_actuator(&self, tags: impl IntoIterator<Item = TagId>, actuator: Arc<dyn Actuator>) {
        let mut actuators = self.actuators.write().unwrap_or_else(PoisonError::into_inner);
        actuators.extend(tags.into_iter().map(|tag| (tag, actuator.clone())));
    }

    /// Who can write the tag now; `None`: nobody.
    #[must_use]
    pub fn actuator(&self, tag: TagId) -> Option<Arc<dyn Actuator>> {
        self.actuators.read().unwrap_or_else(PoisonError::into_inner).get(&tag).cloned()
    }

    /// Nobody writes these tags any more.
    pub fn clear_actuators(&self, tags: impl IntoIterator<Item = TagId>) {
        let mut actuators = self.actuators.write().unwrap_or_else(PoisonError::into_inner);
        for tag in tags {
            actuators.remove(&tag);
        }
    }

    /// The source time of the tag's newest sample that is safely in the log since this start; `None`: none yet.
    #[must_use]
    pub fn stored_up_to(&self, tag: TagId) -> Option<Timestamp> {
        self.stored.tag(tag)
    }

    /// Everything published up to this time, of any tag, is safely in the log; `None`: nothing yet since this start.
    #[must_use]
    pub fn all_stored_up_to(&self) -> Option<Timestamp> {
        self.stored.all()
    }

    /// How far the readings have come that take this way in. Whoever brings them notes them there.
    #[must_use]
    pub const fn arrivals(&self, way: Way) -> &Arrivals {
        let [mqtt, http, import] = &self.arrivals;
        match way {
            Way::Mqtt => mqtt,
            Way::Http => http,
            Way::Import => import,
        }
    }

    /// What the bus has done so far.
    #[must_use]
    pub fn stats(&self) -> BusStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        BusStats {
            published: read(&self.counters.published),
            late: read(&self.counters.late),
            unfit: read(&self.counters.unfit),
            unknown_tag: read(&self.counters.unknown_tag),
        }
    }
}

/// True when `sample` is older than `last`. A source time in the future counts as received now, so that a device
/// whose clock ran ahead does not freeze its value; and after our own clock was set back, what comes now is newer.
#[must_use]
pub fn is_late(sample: &Sample, last: &Sample) -> bool {
    let time = |sample: &Sample| sample.source_ts.min(sample.received_ts);
    let set_back = sample.received_ts.plus(CLOCK_SET_BACK) < last.received_ts;
    time(sample) < time(last) && !set_back
}

/// What lies outside the instrument's range is kept, but not trusted as good (OPC 10000-4 v1.05 §7.39,
/// `UncertainEngineeringUnitsExceeded`), whichever way it came.
fn note_range(sample: &mut Sample, tag: &TagDef) {
    let Some((low, high)) = tag.range.filter(|_| tag.data_type != DataType::Boolean) else { return };
    let outside = sample.value.as_f64().is_some_and(|number| number < low || number > high);
    if outside && sample.quality.is_good() {
        sample.quality = StatusCode::UNCERTAIN_ENGINEERING_UNITS_EXCEEDED;
    }
}

/// Brings the value to the tag's type; false when it did not fit and was replaced by null with a bad quality.
fn fit_type(sample: &mut Sample, wanted: DataType) -> bool {
    let fits = match (&sample.value, wanted) {
        (Value::Double(number), DataType::Double) => number.is_finite(),
        (Value::Int64(_), DataType::Int64)
        | (Value::Boolean(_), DataType::Boolean)
        | (Value::String(_), DataType::String)
        | (Value::Null, _) => true,
        (other, _) => {
            if let Some(value) = other.coerce(wanted) {
                sample.value = value;
                return true;
            }
            false
        }
    };
    if !fits {
        let not_finite = matches!(sample.value, Value::Double(number) if !number.is_finite());
        sample.quality = if not_finite { StatusCode::BAD_OUT_OF_RANGE } else { StatusCode::BAD_TYPE_MISMATCH };
        sample.value = Value::Null;
    }
    fits
}

#[cfg(test)]
mod tests {
    use super::*;
    use andon_model::plant::{Interpolation, TagDef};
    use andon_model::{SystemClock, TagPath};
    use uuid::Uuid;

    fn tag(path: &str, id: u128, data_type: DataType) -> TagDef {
        TagDef {
            id: Uuid::from_u128(id),
            path: TagPath::parse(path).expect("a good path"),
            title: path.to_owned(),
            description: String::new(),
            data_type,
            unit: None,
            range: None,
            digits: None,
            states: std::collections::BTreeMap::new(),
            interpolation: Interpolation::Sloped,
            compress: None,
            keep_days: None,
            stale_after_ms: Some(1000),
            write: None,
            origin: None,
        }
    }

    fn plant(tags: Vec<TagDef>) -> Arc<Plant> {
        Arc::new(Plant { tags, ..Plant::default() })
    }

    /// Tag 0 is a double, tag 1 a whole number, tag 5 a text.
    fn bus() -> Arc<Bus> {
        let bus = Bus::new(Arc::new(SystemClock));
        let tags = vec![
            tag("m/level", 1, DataType::Double),
            tag("m/count", 2, DataType::Int64),
            tag("m/text", 3, DataType::String),
        ];
        bus.set_plant(plant(tags), vec![TagId(0), TagId(1), TagId(5)]);
        bus
    }

    fn at(tag: u32, value: Value, source_ms: i64, received_ms: i64) -> Sample {
        Sample {
            tag: TagId(tag),
            value,
            quality: StatusCode::GOOD,
            source_ts: Timestamp::from_millis(source_ms),
            received_ts: Timestamp::from_millis(received_ms),
        }
    }

    fn level(value: f64, ms: i64) -> Sample {
        at(0, Value::Double(value), ms, ms)
    }

    #[tokio::test]
    async fn a_late_sample_does_not_replace_the_last_value_but_reaches_those_who_want_all() {
        let bus = bus();
        let mut all = bus.subscribe_all(4);
        bus.publish(vec![level(1.0, 1000)]).await;
        let late = at(0, Value::Double(0.5), 500, 1001);
        bus.publish(vec![late.clone()]).await;
        assert_eq!(bus.last(TagId(0)), Some(level(1.0, 1000)));
        assert_eq!(all.next().await.as_deref(), Some([level(1.0, 1000)].as_slice()));
        assert_eq!(all.next().await.as_deref(), Some([late].as_slice()));
        assert_eq!(bus.stats().late, 1);
    }

    #[tokio::test]
    async fn a_device_whose_clock_ran_ahead_does_not_freeze_its_value() {
        let bus = bus();
        bus.publish(vec![at(0, Value::Double(1.0), 9_000_000_000, 1000)]).await;
        bus.publish(vec![level(2.0, 1500)]).await;
        assert_eq!(bus.last(TagId(0)), Some(level(2.0, 1500)));
    }

    #[tokio::test]
    async fn a_clock_that_was_set_back_does_not_freeze_values() {
        let bus = bus();
        bus.publish(vec![level(1.0, 9_000_000)]).await;
        bus.publish(vec![level(2.0, 1000)]).await;
        assert_eq!(bus.last(TagId(0)), Some(level(2.0, 1000)));
    }

    #[tokio::test]
    async fn what_does_not_fit_its_tag_becomes_null_with_a_bad_quality() {
        let bus = bus();
        let text: Value = Value::String("on".into());
        bus.publish(vec![level(f64::NAN, 1), at(1, text, 1, 1), at(5, Value::Int64(1), 1, 1)]).await;
        let qualities: Vec<_> = bus.last_all().iter().map(|s| (s.value.clone(), s.quality)).collect();
        let mismatch = (Value::Null, StatusCode::BAD_TYPE_MISMATCH);
        assert_eq!(qualities, [(Value::Null, StatusCode::BAD_OUT_OF_RANGE), mismatch.clone(), mismatch]);
        assert_eq!(bus.stats().unfit, 3);
        bus.publish(vec![at(1, Value::Double(4.0), 2, 2)]).await;
        assert_eq!(bus.last(TagId(1)).map(|s| s.value), Some(Value::Int64(4)));
    }

    #[tokio::test]
    async fn a_tag_outside_the_plant_is_dropped_and_counted() {
        let bus = bus();
        let mut all = bus.subscribe_all(4);
        bus.publish(vec![at(3, Value::Int64(1), 1, 1), at(u32::MAX, Value::Int64(1), 1, 1)]).await;
        assert_eq!((bus.stats().unknown_tag, all.try_next()), (2, None));
    }

    #[tokio::test]
    async fn newest_begins_with_what_is_known_and_then_conflates() {
        let bus = bus();
        bus.publish(vec![level(1.0, 1), at(1, Value::Int64(7), 1, 1)]).await;
        let mut newest = bus.subscribe_newest(Some(HashSet::from([TagId(0), TagId(5)])));
        assert_eq!(newest.next().await, [level(1.0, 1)]);
        for ms in 2..100 {
            bus.publish(vec![level(2.0, ms), at(1, Value::Int64(8), ms, ms)]).await;
        }
        assert_eq!(newest.next().await, [level(2.0, 99)]);
        newest.set_filter(None);
        assert_eq!(newest.next().await, [at(1, Value::Int64(8), 99, 99)], "only what is new to it");
    }

    #[tokio::test]
    async fn a_full_subscriber_makes_publishers_wait_and_a_gone_one_does_not() {
        let bus = bus();
        let mut all = bus.subscribe_all(1);
        bus.publish(vec![level(1.0, 1)]).await;
        let mut second = Box::pin(bus.publish(vec![level(2.0, 2)]));
        assert!(futures_poll(&mut second).await.is_none(), "the queue is full");
        assert_eq!(bus.last(TagId(0)), Some(level(2.0, 2)), "last values do not wait");
        assert_eq!(all.next().await.as_deref(), Some([level(1.0, 1)].as_slice()));
        second.await;
        drop(all);
        bus.publish(vec![level(3.0, 3)]).await;
    }

    /// Polls once: `None` while it is not ready.
    async fn futures_poll<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
        tokio::select! {
            biased;
            output = future => Some(output),
            () = std::future::ready(()) => None,
        }
    }

    #[tokio::test]
    async fn a_large_publish_is_cut_into_batches() {
        let bus = bus();
        let mut all = bus.subscribe_all(4);
        bus.publish((0..10_000).map(|ms| level(0.0, ms)).collect()).await;
        let sizes = [all.try_next(), all.try_next(), all.try_next()].map(|batch| batch.map_or(0, |batch| batch.len()));
        assert_eq!(sizes, [4096, 4096, 1808]);
    }

    #[tokio::test]
    async fn a_new_plant_keeps_the_values_of_tags_that_stay() {
        let bus = bus();
        bus.publish(vec![level(1.0, 1), at(1, Value::Int64(7), 1, 1), at(5, Value::String("a".into()), 1, 1)]).await;
        // Tag 0 is renamed, tag 1 becomes a text, tag 5 is removed.
        let tags = vec![tag("m/depth", 1, DataType::Double), tag("m/count", 2, DataType::String)];
        bus.set_plant(plant(tags), vec![TagId(0), TagId(1)]);
        assert_eq!(bus.last_all(), [level(1.0, 1)]);
        assert_eq!((bus.plant().id_of("m/depth"), bus.plant().id_of("m/level")), (Some(TagId(0)), None));
    }

    #[tokio::test]
    async fn a_tag_is_stale_after_its_time_or_before_its_first_value() {
        let bus = bus();
        assert!(bus.stale(TagId(0), Timestamp::from_millis(0)));
        bus.publish(vec![level(1.0, 5000)]).await;
        assert!(!bus.stale(TagId(0), Timestamp::from_millis(6000)));
        assert!(bus.stale(TagId(0), Timestamp::from_millis(6001)));
    }

    struct Nothing;
    impl Actuator for Nothing {
        fn write(
            &self,
            _: TagId,
            _: Value,
            _: Timestamp,
        ) -> andon_model::BoxFuture<'static, Result<andon_model::command::Written, andon_model::command::WriteError>>
        {
            Box::pin(async { Ok(andon_model::command::Written::Sent) })
        }
    }

    #[test]
    fn routes_are_set_found_and_cleared() {
        let bus = bus();
        bus.set_actuator([TagId(0), TagId(1)], Arc::new(Nothing));
        bus.clear_actuators([TagId(1)]);
        assert!(bus.actuator(TagId(0)).is_some() && bus.actuator(TagId(1)).is_none());
    }
}
