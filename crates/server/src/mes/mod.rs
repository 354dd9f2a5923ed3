//! Manufacturing execution on a running node: the floor follows the lane of samples, hours are kept, people ask and put right.
//!
//! [`energy`] says what meters counted at a node.
//! [`read`] reads the lane, [`keep`] writes what is over, [`ask`] and [`children`] answer, [`correct`] takes people's word. What the numbers mean stands in `andon-mes`.
//!
//! One task writes at a time ([`Manufacturing::turn`]); what is asked in between sees either all of it or nothing. The floor itself is behind a
//! lock that is never held across a wait.

mod ask;
mod children;
mod correct;
mod energy;
mod keep;
mod memory;
mod orders;
mod read;
mod times;
mod tools;

pub(crate) use orders::branch_of;
pub(crate) use tools::ToolStands;

use crate::energy::Meters;
pub use ask::EDITION;

use crate::notes::Notes;
use andon_bus::{Bus, PlantView};
use andon_mes::element::Element;
use andon_mes::floor::{NodeId, UnitId, UnitSettings, kept_hour};
use andon_mes::follow::{Follow, Follower, Shown};
use andon_mes::master::MasterData;
use andon_mes::rollup::{Level, Slot};
use andon_mes::sums::Amounts;
use andon_mes::unit::{ReasonId, UnitLog};
use andon_mes::wear::Wear;
use andon_model::log::{Log, Seq};
use andon_model::{Clock, TagId, Timestamp};
use andon_store::floor::{FloorKeep, FloorRepository, NumberKind, Progress, READER};
use andon_store::{Store, StoreError};
use anyhow::{Context, Result};
use memory::Memory;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicI64};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use uuid::Uuid;

/// So many hours are looked back at the start for when a machine's state began.
const LOOKED_BACK: i64 = 24;
/// How far ahead the calendar of a unit is laid out.
const PLANNED_AHEAD: Duration = Duration::from_secs(48 * 3600);

/// What is known of the plant, and the floor.
struct State {
    follower: Follower,
    master: Arc<MasterData>,
    /// Machines by path, and the other way round.
    units: BTreeMap<String, UnitId>,
    paths: HashMap<UnitId, String>,
    /// Every node that ever had a number, by path: what was kept under it stays.
    nodes: BTreeMap<String, NodeId>,
    reasons: HashMap<String, ReasonId>,
    reason_names: Arc<HashMap<ReasonId, String>>,
    /// Until when calendars are laid out on the floor.
    planned_until: Timestamp,
}

impl State {
    /// What a reason counts as.
    fn counts_as(&self) -> impl Fn(ReasonId) -> Option<Element> + use<> {
        let (names, master) = (self.reason_names.clone(), self.master.clone());
        move |reason| Some(master.reasons.get(names.get(&reason)?)?.counts_as)
    }
}

/// Manufacturing execution.
pub struct Manufacturing {
    /// Itself, for changes that outlive whoever asked for them.
    own: Weak<Self>,
    state: Mutex<State>,
    /// Who changes what is kept waits here for its turn, and so does who asks for what is kept.
    turn: tokio::sync::RwLock<()>,
    store: Store,
    log: Arc<dyn Log>,
    bus: Arc<Bus>,
    clock: Arc<dyn Clock>,
    notes: Notes,
    /// What counters counted of jobs that have ended.
    orders: Memory<Uuid, Amounts>,
    /// What machines did between two moments that are over, while a tool was mounted there.
    worn: Memory<(String, Timestamp, Timestamp), Wear>,
    meters: Arc<Meters>,
    /// Until when what machines said is in the floor, in µs since 1970.
    heard_until: AtomicI64,
    /// The last frame that earlier runs left.
    left: Seq,
    /// See [`Manufacturing::times_are_known`].
    times_are_known: AtomicBool,
    /// Whether every hour and day has its figures.
    has_all_figures: AtomicBool,
}

impl Manufacturing {
    /// As it was when the node stopped.
    /// # Errors
    /// The records cannot be read.
    pub async fn open(
        store: Store,
        log: Arc<dyn Log>,
        bus: Arc<Bus>,
        clock: Arc<dyn Clock>,
        notes: Notes,
    ) -> Result<Arc<Self>> {
        log.register_reader(READER, &[andon_model::log::Lane::Samples])
            .context("the shop floor cannot read the log")?;
        let durable = log.durable_seq(andon_model::log::Lane::Samples);
        let progress = match store.floor_progress().await? {
            Some(progress) => progress,
            None => {
                // Nothing was followed before now; from now on the lane tells, also after a kill.
                let kept_until = Slot::of(Level::Hour, clock.now()).from();
                let progress = Progress { kept_until, first: durable.next(), seen: durable };
                store.floor_keep(FloorKeep { progress: Some(progress), ..FloorKeep::default() }).await?;
                progress
            }
        };
        if progress.seen > durable {
            tracing::warn!(
                seen = progress.seen.0,
                durable = durable.0,
                "the log is shorter than what the shop floor has kept of it"
            );
        }
        let seen = progress.seen.min(durable);
        let mut follower = Follower::new(progress.kept_until, seen);
        follower.begins_at(progress.first.min(durable.next()));
        let state = State {
            follower,
            master: Arc::default(),
            units: BTreeMap::new(),
            paths: HashMap::new(),
            nodes: BTreeMap::new(),
            reasons: HashMap::new(),
            reason_names: Arc::default(),
            planned_until: progress.kept_until,
        };
        let turn = tokio::sync::RwLock::default();
        let meters = Meters::open(store.clone(), log.clone(), clock.clone(), notes.clone())?;
        Ok(Arc::new_cyclic(|own| Self {
            own: own.clone(),
            state: Mutex::new(state),
            turn,
            store,
            log,
            bus,
            clock,
            notes,
            orders: Memory::default(),
            worn: Memory::default(),
            meters,
            heard_until: AtomicI64::new(0),
            left: durable,
            times_are_known: AtomicBool::new(false),
            has_all_figures: AtomicBool::new(false),
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a change in a task of its own, so that the floor hears of what is in the store also when whoever asked for it goes: by a
    /// closed connection, or by a time limit.
    async fn to_the_end<T, E, F>(
        &self,
        change: impl FnOnce(Arc<Self>) -> F,
        fault: impl FnOnce(String) -> E,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: Send + 'static,
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        match self.own.upgrade() {
            Some(own) => crate::plant_admin::to_the_end(change(own), fault).await,
            None => Err(fault("manufacturing execution has stopped".to_owned())),
        }
    }

    /// Follows the machines of the model in force.
    /// # Errors
    /// The records cannot be read or written.
    pub async fn follow(&self) -> Result<(), StoreError> {
        let _turn = self.turn.write().await;
        let view = self.bus.plant();
        let (master, wrong) = MasterData::of_plant(&view.plant);
        for wrong in wrong {
            for finding in wrong.findings {
                tracing::warn!(kind = wrong.kind.word(), name = wrong.name, "{}; {}", finding.message, finding.remedy);
            }
        }
        self.meters.follow(&master, &view).await?;
        let with_tree = |path: &String| {
            let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
            ends.map(|end| path[..end].to_owned()).collect::<Vec<_>>()
        };
        let names: HashSet<String> = master.machines.keys().flat_map(with_tree).collect();
        self.store.floor_numbers(NumberKind::Node, names.into_iter().collect()).await?;
        self.store.floor_numbers(NumberKind::Reason, master.reasons.keys().cloned().collect()).await?;
        let nodes: BTreeMap<_, _> =
            self.store.floor_names(NumberKind::Node).await?.into_iter().map(|(name, n)| (name, NodeId(n))).collect();
        let reasons: HashMap<_, _> = self
            .store
            .floor_names(NumberKind::Reason)
            .await?
            .into_iter()
            .map(|(name, n)| (name, ReasonId(n)))
            .collect();
        let units: BTreeMap<String, UnitId> =
            master.machines.keys().filter_map(|path| Some((path.clone(), UnitId(nodes.get(path)?.0)))).collect();
        let follows = units.iter().filter_map(|(path, unit)| follow_of(*unit, path, &master, &nodes, &reasons, &view));
        let follows: Vec<_> = follows.collect();

        let kept_until = self.state().follower.floor().kept_until();
        let new: Vec<u32> = {
            let state = self.state();
            units.values().filter(|unit| state.follower.floor().log_of(**unit).is_none()).map(|unit| unit.0).collect()
        };
        let mut logs = self.logs_at(&new, kept_until).await?;
        let shown: HashMap<TagId, Shown> = self
            .store
            .floor_counters()
            .await?
            .into_iter()
            .filter_map(|(tag, shown)| Some((tag, serde_json::from_str(&shown).ok()?)))
            .collect();
        let with_paths: Vec<_> =
            units.iter().filter(|(_, unit)| new.contains(&unit.0)).map(|(path, unit)| (*unit, path.clone())).collect();
        let mut restored = self.restored(&with_paths, kept_until).await?;
        let mut corrections = Vec::new();
        for unit in &new {
            let from = kept_until.minus(Duration::from_secs(3600));
            let made = self.store.floor_corrections(*unit, from, Timestamp::from_micros(i64::MAX)).await?;
            corrections.extend(made.into_iter().map(|made| (UnitId(*unit), made)));
        }

        let mut state = self.state();
        let unheard: Vec<UnitId> =
            new.iter().filter(|unit| !logs.contains_key(unit)).map(|unit| UnitId(*unit)).collect();
        let log = |unit: UnitId| {
            let mut log = logs.remove(&unit.0).unwrap_or_default();
            restored.remove(&unit).unwrap_or_default().into_log(&mut log, kept_until);
            log
        };
        let unsaid = state.follower.set_units(follows, log, |tag| shown.get(&tag).copied());
        // What a machine said before it was followed, or by a tag that it has now, still holds.
        let unheard: Vec<UnitId> = unheard.into_iter().chain(unsaid).collect();
        state.follower.hear_before(&unheard, &|tag| self.bus.last(tag));
        state.reason_names = Arc::new(reasons.iter().map(|(name, id)| (*id, name.clone())).collect());
        state.paths = units.iter().map(|(path, unit)| (*unit, path.clone())).collect();
        (state.master, state.units, state.nodes, state.reasons) = (Arc::new(master), units, nodes, reasons);
        for (unit, made) in corrections {
            let Some(correction) = correct::of_stored(&state, &made) else { continue };
            let _ = state.follower.floor_mut().correct(unit, made.number, correction);
        }
        state.planned_until = kept_until;
        self.plan(&mut state);
        Ok(())
    }

    /// What units were in when the first hour began that is not kept, and since when if that is not longer ago than [`LOOKED_BACK`]: those of
    /// which the hour before is kept.
    async fn logs_at(&self, units: &[u32], kept_until: Timestamp) -> Result<HashMap<u32, UnitLog>, StoreError> {
        let end = Slot::of(Level::Hour, kept_until).number;
        let mut logs: HashMap<u32, (i64, UnitLog)> = HashMap::new();
        for stored in self.store.floor_hours(units.to_vec(), end - LOOKED_BACK, end).await? {
            let mut kept = match kept_hour(UnitId(stored.unit), stored.hour, &stored.recorded, &stored.derived) {
                Ok(kept) => kept,
                Err(error) => {
                    tracing::error!(unit = stored.unit, hour = stored.hour, %error, "an hour of a machine cannot be read");
                    continue;
                }
            };
            let (next, log) = logs.entry(stored.unit).or_default();
            if stored.hour != *next {
                *log = UnitLog::new();
            }
            *next = stored.hour + 1;
            if stored.hour + 1 == end {
                log.restore_around(&kept.derived);
            } else {
                kept.recorded.counts.clear();
            }
            log.restore(&kept.recorded);
        }
        let whole = logs.into_iter().filter(|(_, (next, _))| *next == end);
        Ok(whole.map(|(unit, (_, log))| (unit, log)).collect())
    }

    /// Lays calendars out on the floor, from where that was done until some days ahead.
    fn plan(&self, state: &mut State) {
        let until = self.clock.now().plus(PLANNED_AHEAD);
        let from = state.planned_until;
        let master = state.master.clone();
        for (path, unit) in &state.units {
            let machine = master.machines.get(path);
            let Some(calendar) = machine.and_then(|machine| master.calendars.get(machine.calendar.as_ref()?)) else {
                let always = andon_mes::element::Planned::Busy;
                let _ = state.follower.floor_mut().plan(*unit, from, until, always);
                continue;
            };
            for piece in calendar.planned(from, until).within(from, until) {
                let _ = state.follower.floor_mut().plan(*unit, piece.from, piece.to, *piece.value);
            }
        }
        state.planned_until = until;
    }

    /// The first frame that has to be read: the one before the first that speaks of what is not kept.
    fn first(&self) -> Seq {
        Seq(self.state().follower.begins().0.saturating_sub(1).max(1))
    }
}

/// How a machine is followed; `None`: it has no number, which cannot be.
fn follow_of(
    unit: UnitId,
    path: &str,
    master: &MasterData,
    nodes: &BTreeMap<String, NodeId>,
    reasons: &HashMap<String, ReasonId>,
    view: &PlantView,
) -> Option<Follow> {
    let machine = master.machines.get(path)?.clone();
    let above = path.match_indices('/').map(|(at, _)| &path[..at]).chain([path]);
    let nodes = above.filter_map(|path| nodes.get(path).copied()).collect();
    let tags = [
        machine.state.as_ref().map(|tag| &tag.tag),
        machine.mode.as_ref().map(|tag| &tag.tag),
        machine.reason.as_ref().map(|tag| &tag.tag),
    ];
    let counted = machine.counts.iter().map(|count| &count.tag);
    let tags: HashMap<_, _> = tags
        .into_iter()
        .flatten()
        .chain(counted)
        .filter_map(|tag| Some((tag.clone(), view.id_of(tag.as_str())?)))
        .collect();
    let state = machine.state.as_ref().and_then(|state| view.tag(*tags.get(&state.tag)?));
    let silent_after = state.and_then(|tag| tag.stale_after_ms).map(Duration::from_millis);
    let settings = UnitSettings { rules: machine.rules, nodes };
    Some(Follow { unit, settings, machine, tags, silent_after, reasons: reasons.clone() })
}

#[cfg(test)]
pub(crate) mod testbed;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod year_tests;
