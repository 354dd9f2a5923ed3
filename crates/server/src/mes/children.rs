//! A node and what stands one level below it, each with its figures in brief: how people go down from a site to the machine that costs most.

use super::Manufacturing;
use super::ask::{shape, units_below};
use andon_api::ports::mes::{ChildrenAnswer, GreatestLoss, KpiAnswer, MesProblem, NodeView, OrdersBrief, Window};
use andon_mes::kpi::Kpi;
use andon_model::Timestamp;
use andon_model::path::is_under;
use andon_model::plant::{Equipment, Level, Profile};
use andon_store::orders::{JobRow, MOST_ORDERS, OrderFilter, OrderRepository, StoredOrder};
use std::collections::{HashMap, HashSet};

/// The most nodes of an answer.
const LISTED: usize = 500;
/// The most open orders that are looked at.
const OPEN_ORDERS: usize = 5_000;
/// Nobody lost these: nothing was to be made then.
const PLANNED: [&str; 2] = ["off_shift", "planned_down"];

impl Manufacturing {
    /// A node, or with an empty path nothing, and those one level below it that are on or below the branches.
    pub(super) async fn one_below(
        &self,
        path: String,
        window: Window,
        branches: Vec<String>,
    ) -> Result<ChildrenAnswer, MesProblem> {
        let view = self.bus.plant();
        let tree = Tree::of(&view.plant.equipment, &branches);
        let node = tree.items.get(path.as_str()).copied();
        if node.is_none() && !path.is_empty() {
            return Err(MesProblem::NoMachine(path));
        }
        let below = tree.below.get(path.as_str()).map_or(&[][..], Vec::as_slice);
        let orders = self.begun_or_released(&path, branches.clone()).await?;

        let _turn = self.turn.read().await;
        let window = self.until_now(window);
        let now = self.clock.now();
        let node = match node {
            Some(item) => Some(self.brief(item, &tree, window, now, orders.as_deref()).await?),
            None => None,
        };
        let mut children = Vec::with_capacity(below.len().min(LISTED));
        for item in below.iter().take(LISTED) {
            children.push(self.brief(item, &tree, window, now, orders.as_deref()).await?);
        }
        Ok(ChildrenAnswer {
            path,
            from_ms: window.from.millis(),
            to_ms: window.to.millis(),
            now_ms: now.millis(),
            node,
            children,
            truncated: below.len() > LISTED,
        })
    }

    async fn brief(
        &self,
        item: &Equipment,
        tree: &Tree<'_>,
        window: Window,
        now: Timestamp,
        orders: Option<&[StoredOrder]>,
    ) -> Result<NodeView, MesProblem> {
        let path = item.path.as_str();
        let machines = units_below(&self.state(), path).count();
        let mut answer = None;
        if machines > 0 {
            let totals = self.totals(path, window).await?;
            answer = Some(shape(&self.state(), path.to_owned(), window, now, machines, &totals, None));
        }
        let answer = answer.as_ref();
        let kpi = |kpi: Kpi| answer?.kpis.iter().find(|view| view.id == kpi.id())?.value;
        let target = self.state().master.targets.get(path).and_then(|target| target.of(Kpi::Oee));
        Ok(NodeView {
            path: path.to_owned(),
            title: item.title.clone(),
            level: level_word(item.level).to_owned(),
            children: tree.below.get(path).map_or(0, Vec::len),
            machines,
            oee: kpi(Kpi::Oee),
            availability: kpi(Kpi::Availability),
            effectiveness: kpi(Kpi::Effectiveness),
            quality_ratio: kpi(Kpi::QualityRatio),
            target,
            produced: answer.map(|answer| answer.amounts.produced),
            good: answer.map(|answer| answer.amounts.good),
            scrap: answer.map(|answer| answer.amounts.scrap),
            loss: answer.and_then(greatest_loss),
            orders: orders.map(|orders| brief_of(orders, path, now)),
        })
    }

    /// Orders that have been released or begun and have a job at or below a path; `None`: there are more than [`OPEN_ORDERS`].
    async fn begun_or_released(
        &self,
        path: &str,
        branches: Vec<String>,
    ) -> Result<Option<Vec<StoredOrder>>, MesProblem> {
        let mut filter = OrderFilter {
            states: vec!["Released".to_owned(), "Running".to_owned()],
            branches,
            branch: (!path.is_empty()).then(|| path.to_owned()),
            limit: MOST_ORDERS,
            ..OrderFilter::default()
        };
        let mut orders = Vec::new();
        loop {
            let page = self.store.orders(filter.clone()).await?;
            orders.extend(page.orders);
            if orders.len() > OPEN_ORDERS {
                return Ok(None);
            }
            match page.next {
                Some(next) => filter.after = Some(next),
                None => return Ok(Some(orders)),
            }
        }
    }
}

/// What somebody sees of the plants' tree.
struct Tree<'p> {
    items: HashMap<&'p str, &'p Equipment>,
    /// What stands one level below a node, by path. Below the empty path: what has nothing above it that is seen.
    below: HashMap<&'p str, Vec<&'p Equipment>>,
}

impl<'p> Tree<'p> {
    fn of(equipment: &'p [Equipment], branches: &[String]) -> Self {
        let seen = |item: &&Equipment| {
            item.profile == Profile::Plant && branches.iter().any(|branch| is_under(item.path.as_str(), branch))
        };
        let items: HashMap<&str, &Equipment> =
            equipment.iter().filter(seen).map(|item| (item.path.as_str(), item)).collect();
        let mut below: HashMap<&str, Vec<&Equipment>> = HashMap::new();
        for (path, item) in &items {
            let mut above = path.rmatch_indices('/').map(|(at, _)| &path[..at]);
            let parent = above.find(|above| items.contains_key(above)).unwrap_or("");
            below.entry(parent).or_default().push(item);
        }
        for list in below.values_mut() {
            list.sort_by_key(|item| item.path.as_str());
        }
        Self { items, below }
    }
}

/// The level as the plant model's documents write it.
const fn level_word(level: Level) -> &'static str {
    match level {
        Level::Enterprise => "enterprise",
        Level::Site => "site",
        Level::Area => "area",
        Level::WorkCenter => "work_center",
        Level::WorkUnit => "work_unit",
    }
}

/// The greatest loss, with the reason that most of it has.
fn greatest_loss(answer: &KpiAnswer) -> Option<GreatestLoss> {
    let lost = answer.losses.iter().filter(|loss| !PLANNED.contains(&loss.id.as_str()) && loss.ms > 0.0);
    let loss = lost.max_by(|a, b| a.ms.total_cmp(&b.ms))?;
    // The longest comes first.
    let reason = answer.reasons.iter().find(|reason| reason.element == loss.id);
    Some(GreatestLoss { id: loss.id.clone(), ms: loss.ms, reason: reason.and_then(|reason| reason.reason.clone()) })
}

fn brief_of(orders: &[StoredOrder], path: &str, now: Timestamp) -> OrdersBrief {
    let mut brief = OrdersBrief::default();
    let mut counted = HashSet::new();
    for StoredOrder { order, jobs } in orders {
        let here = |job: &&JobRow| {
            let mut places = job.equipment.iter().chain(job.alternatives.iter().filter(|_| job.equipment.is_none()));
            job.open && places.any(|place| is_under(place, path))
        };
        let mut jobs = jobs.iter().filter(here).peekable();
        // An order may stand on two pages, if it was changed in between.
        if jobs.peek().is_none() || !counted.insert(order.id) {
            continue;
        }
        brief.running += usize::from(jobs.any(|job| job.stands));
        brief.late += usize::from(order.due.is_some_and(|due| due < now));
    }
    brief
}
