//! What lies where: people carry, pack, unpack and exchange, and look what lies in a place.

use super::Traceability;
use super::change::{counted, digest, shown};
use super::show::{amount, failed, item_view};
use andon_api::ports::NotDone;
use andon_api::ports::stock::{
    ContainerView, ContainerWish, ContentView, ExchangeWish, LyingView, MaterialStockView, MoveView, MoveWish,
    MovesPage, PackWish, PassesPage, PlaceView, PlacesView, Stock, StockPage, UnitPassView,
};
use andon_api::ports::trace::{LotView, Traced, UnitView};
use andon_bus::ids::new_id;
use andon_mes::trace::gs1::ContainerCode;
use andon_model::Timestamp;
use andon_model::access::Principal;
use andon_store::trace::{
    Change, Disposition, Edge, Item, ItemKind, ItemName, ItemRef, LyingMaterial, Move, NewEdge, NewItem, NewMove,
    NewRemoval, NewState, NewUnpacking, ONE, PAGE_MAX, Packed, PassAt, Step, TraceRepository,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

/// So many things in a container are told at once.
const CONTENTS: u32 = 500;
/// The longest number of a container, in bytes.
const NUMBER: usize = 128;

impl Traceability {
    async fn carried(&self, id: Uuid, wish: MoveWish, by: Principal) -> Result<LotView, NotDone> {
        let item = self.item(id).await?;
        let content = digest(&["move", &id.to_string(), &format!("{wish:?}")]);
        let MoveWish { key, quantity, from, to } = wish;
        let quantity = how_much(&item, quantity)?.ok_or_else(no_quantity)?;
        let at = self.moment();
        let place = |place: &Option<String>| place.clone().unwrap_or_else(|| "outside".to_owned());
        let detail = format!("{} from {} to {}", amount(quantity), place(&from), place(&to));
        let event = self.change_event(at, &by, "moved", id, shown(&item), detail);
        let item = ItemRef::Id(id);
        let step = Step::Move(NewMove { item, quantity, from, to, at, by: Some(by.id), even_so: false });
        self.change(Change::new(key, content, vec![step], event)).await?;
        self.lot_view(id).await
    }

    async fn container_made(&self, wish: ContainerWish, by: Principal) -> Result<ContainerView, NotDone> {
        let content = digest(&["container", &format!("{wish:?}")]);
        let ContainerWish { key, material, number, place } = wish;
        let code = ContainerCode::parse(&number).map_err(|error| {
            refused(error.to_string(), "scan its label again, or write the number as it stands there")
        })?;
        let number = code.map_or(number, |code| code.number().to_owned());
        if number.len() > NUMBER {
            let text = format!("the number has {} bytes, more than {NUMBER}", number.len());
            return Err(refused(text, "give it a shorter number"));
        }
        let at = self.moment();
        let name = ItemName { kind: ItemKind::Container, material, number };
        let whereto = place.as_deref().map(|place| format!(", at {place}")).unwrap_or_default();
        let (told, detail) = (format!("{} {}", name.material, name.number), format!("a container{whereto}"));
        let id = new_id(&*self.parts.clock);
        let step = Step::Item(NewItem {
            id,
            name: name.clone(),
            revision: None,
            quantity: None,
            state: Disposition::Released,
            place,
            at,
            job: None,
            by: Some(by.id),
            told_if_new: None,
        });
        let event = self.change_event(at, &by, "made", id, told, detail);
        self.change(Change::new(key, content, vec![step], event)).await?;
        let item = self.parts.store.trace_item(ItemRef::Name(name)).await.map_err(failed)?;
        let item = item.ok_or_else(|| NotDone::Failed("the container is not in the records".to_owned()))?;
        self.container_view(&item, None).await
    }

    async fn container_view(&self, item: &Item, after: Option<Uuid>) -> Result<ContainerView, NotDone> {
        let found = self.parts.store.trace_contents(item.id, after, CONTENTS + 1).await.map_err(failed)?;
        let (found, more) = page(found, CONTENTS);
        let next = found.last().filter(|_| more).map(|packed| packed.item.id);
        let content = |packed: &Packed| ContentView {
            item: item_view(&packed.item),
            quantity: amount(packed.quantity),
            packed_ms: packed.at.millis(),
        };
        Ok(ContainerView { lot: self.lot_view(item.id).await?, contents: found.iter().map(content).collect(), next })
    }

    async fn container_of(&self, id: Uuid) -> Result<Item, NotDone> {
        let item = self.parts.store.trace_item(ItemRef::Id(id)).await.map_err(failed)?;
        let item = item.filter(|item| item.name.kind == ItemKind::Container);
        item.ok_or_else(|| NotDone::Unknown("this container".to_owned()))
    }

    async fn packed(&self, id: Uuid, wish: PackWish, by: Principal) -> Result<ContainerView, NotDone> {
        let container = self.container_of(id).await?;
        let item = self.item(wish.item).await?;
        let content = digest(&["pack", &id.to_string(), &format!("{wish:?}")]);
        let quantity = how_much(&item, wish.quantity)?.ok_or_else(no_quantity)?;
        let at = self.moment();
        let detail = format!("{} into {}", amount(quantity), shown(&container));
        let event = self.change_event(at, &by, "packed", item.id, shown(&item), detail);
        let step = Step::Edge(NewEdge {
            from: ItemRef::Id(item.id),
            to: ItemRef::Id(id),
            quantity,
            position: String::new(),
            at,
            job: None,
            equipment: None,
            by: Some(by.id),
            adds: false,
            even_so: false,
            replaces: false,
        });
        self.change(Change::new(wish.key, content, vec![step], event)).await?;
        self.container_view(&self.container_of(id).await?, None).await
    }

    async fn unpacked(&self, id: Uuid, wish: PackWish, by: Principal) -> Result<ContainerView, NotDone> {
        let container = self.container_of(id).await?;
        let item = self.item(wish.item).await?;
        let content = digest(&["unpack", &id.to_string(), &format!("{wish:?}")]);
        let quantity = how_much(&item, wish.quantity)?;
        let at = self.moment();
        let said = quantity.map_or_else(|| "all".to_owned(), |quantity| amount(quantity).to_string());
        let detail = format!("{said} out of {}", shown(&container));
        let event = self.change_event(at, &by, "unpacked", item.id, shown(&item), detail);
        let (item, container) = (ItemRef::Id(item.id), ItemRef::Id(id));
        let step = Step::Unpack(NewUnpacking { item, container, quantity, at, by: Some(by.id) });
        self.change(Change::new(wish.key, content, vec![step], event)).await?;
        self.container_view(&self.container_of(id).await?, None).await
    }

    async fn lying_in(&self, place: String, after: Option<Uuid>, limit: u32) -> Result<StockPage, NotDone> {
        let store = &self.parts.store;
        let materials = store.trace_materials_in(place.clone(), PAGE_MAX).await.map_err(failed)?;
        let truncated = materials.len() >= usize::try_from(PAGE_MAX).unwrap_or(usize::MAX);
        let found = store.trace_stock_in(place.clone(), after, limit + 1).await.map_err(failed)?;
        let (found, more) = page(found, limit);
        let next = found.last().filter(|_| more).map(|(item, _)| item.id);
        let master = self.parts.mes.master_data();
        let material = |lying: LyingMaterial| MaterialStockView {
            unit: master.material(&lying.material, None).map(|material| material.unit.clone()),
            material: lying.material,
            quantity: total(lying.quantity),
            released: total(lying.released),
            items: lying.items,
        };
        let lying = |(item, quantity): (Item, i64)| LyingView { item: item_view(&item), quantity: amount(quantity) };
        Ok(StockPage {
            place,
            materials: materials.into_iter().map(material).collect(),
            items: found.into_iter().map(lying).collect(),
            next,
            truncated,
        })
    }

    async fn all_places(&self) -> Result<PlacesView, NotDone> {
        let found = self.parts.store.trace_places(PAGE_MAX).await.map_err(failed)?;
        let truncated = found.len() >= usize::try_from(PAGE_MAX).unwrap_or(usize::MAX);
        let places = found.into_iter().map(|(place, items)| PlaceView { place, items }).collect();
        Ok(PlacesView { places, truncated })
    }

    async fn moves_of(&self, id: Uuid, after: Option<String>, limit: u32) -> Result<MovesPage, NotDone> {
        self.item(id).await?;
        let before = after.map(|text| move_of(&text).ok_or_else(no_page)).transpose()?;
        let found = self.parts.store.trace_moves(id, before, limit + 1).await.map_err(failed)?;
        let (found, more) = page(found, limit);
        let next = found.last().filter(|_| more).map(token_of);
        let accounts = &self.parts.accounts;
        let moved = |moved: Move| MoveView {
            at_ms: moved.at.millis(),
            from: moved.from,
            to: moved.to,
            quantity: amount(moved.quantity),
            by: moved.by,
            by_name: moved.by.and_then(|by| accounts.name_of(by)),
        };
        Ok(MovesPage { moves: found.into_iter().map(moved).collect(), next })
    }

    async fn passes_of(
        &self,
        equipment: String,
        (from, to): (Timestamp, Timestamp),
        after: Option<String>,
        limit: u32,
    ) -> Result<PassesPage, NotDone> {
        let is_station = self.state().follower.stations().contains_key(&equipment);
        let is_first = after.is_none();
        let before = after.map(|text| pass_of(&text).ok_or_else(no_page)).transpose()?;
        let found = self.parts.store.trace_passes_at(equipment, from, to, before, limit + 1).await;
        let (found, more) = page(found.map_err(failed)?, limit);
        // One that has been taken down is known by what passed it.
        if found.is_empty() && is_first && !is_station {
            return Err(NotDone::Unknown("this station".to_owned()));
        }
        let next = found.last().filter(|_| more).map(|pass| format!("{}.{}", pass.at.micros(), pass.unit));
        let passed = |pass: PassAt| UnitPassView {
            unit: pass.unit,
            at_ms: pass.at.millis(),
            job: pass.job,
            operation: pass.operation,
            passed: pass.passed,
        };
        Ok(PassesPage { passes: found.into_iter().map(passed).collect(), next })
    }

    async fn exchanged(&self, id: Uuid, wish: ExchangeWish, by: Principal) -> Result<UnitView, NotDone> {
        let unit = self.item(id).await?;
        if unit.name.kind != ItemKind::Unit {
            return Err(NotDone::Unknown("this serial unit".to_owned()));
        }
        let content = digest(&["exchange", &id.to_string(), &format!("{wish:?}")]);
        let ExchangeWish { key, part, position, put_in_ms, with, reason } = wish;
        let (part, edge) = self.part_of(id, part, &position, put_in_ms).await?;
        let with = match with {
            Some(with) => Some(self.item(with).await?),
            None => None,
        };
        let at = self.moment();
        let (from, to) = (ItemRef::Id(part.id), ItemRef::Id(id));
        let mut steps = vec![Step::Remove(NewRemoval {
            from: from.clone(),
            to: to.clone(),
            position: position.clone(),
            at: edge.at,
            removed_at: at,
            replaced_by: with.as_ref().map(|with| ItemRef::Id(with.id)),
            given_back: false,
            by: Some(by.id),
        })];
        if let Some(with) = &with {
            let quantity = if with.name.kind.is_whole() { ONE } else { edge.quantity };
            steps.push(Step::Edge(NewEdge {
                from: ItemRef::Id(with.id),
                to,
                quantity,
                position,
                at,
                job: None,
                equipment: None,
                by: Some(by.id),
                adds: false,
                even_so: false,
                replaces: false,
            }));
        }
        // Nobody takes a good part out of a unit for nothing: it is looked at before it is used again. What was used of a lot stays used.
        if part.name.kind.is_whole() && part.state == Disposition::Released {
            let (state, why) = (Disposition::Quarantine, format!("taken out of {}: {reason}", shown(&unit)));
            steps.push(Step::State(NewState { item: from, state, at, by: Some(by.id), why }));
        }
        let place = with.as_ref().map(|with| format!(", {} in its place", shown(with))).unwrap_or_default();
        let detail = format!("{} taken out{place}: {reason}", shown(&part));
        let event = self.change_event(at, &by, "exchanged", id, shown(&unit), detail);
        self.change(Change::new(key, content, steps, event)).await?;
        self.unit_view(id).await
    }

    /// The part of a unit that was put in at that millisecond; that which is in there now before one that is not.
    async fn part_of(&self, unit: Uuid, part: Uuid, position: &str, put_in_ms: i64) -> Result<(Item, Edge), NotDone> {
        let parts = self.parts.store.trace_parts(unit).await.map_err(failed)?;
        let is_it =
            |(item, edge): &(Item, Edge)| item.id == part && edge.position == position && edge.at.millis() == put_in_ms;
        let found = parts.into_iter().filter(is_it).min_by_key(|(_, edge)| edge.removed_at.is_some());
        let unknown = || NotDone::Unknown("this part, put into this position of the unit at that time,".to_owned());
        found.ok_or_else(unknown)
    }
}

/// How much of an item is meant, in millionths; `None`: nobody has said of a lot.
fn how_much(item: &Item, quantity: Option<f64>) -> Result<Option<i64>, NotDone> {
    match (item.name.kind.is_whole(), quantity) {
        (true, None) => Ok(Some(ONE)),
        (true, Some(_)) => {
            let text = format!("a {} is one whole", item.name.kind.word());
            Err(refused(text, "leave \"quantity\" out"))
        }
        (false, None) => Ok(None),
        (false, Some(quantity)) => counted(quantity).map(Some),
    }
}

fn no_quantity() -> NotDone {
    refused("how much of the lot is not said".to_owned(), "say \"quantity\"")
}

fn refused(text: String, remedy: &str) -> NotDone {
    NotDone::Refused(text, remedy.to_owned())
}

fn no_page() -> NotDone {
    NotDone::Asked("\"after\" is no \"next\" of a page of this list".to_owned())
}

/// A page, of which one more was asked for, and whether there are more.
fn page<T>(mut found: Vec<T>, limit: u32) -> (Vec<T>, bool) {
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = found.len() > most;
    found.truncate(most);
    (found, more)
}

/// A sum of millionths, as far as a number of JSON tells it.
#[expect(clippy::cast_precision_loss, reason = "the sum of many is told as well as a number of JSON can")]
fn total(millionths: i128) -> f64 {
    i64::try_from(millionths).map_or(millionths as f64 / ONE as f64, amount)
}

/// By which the page after a movement is asked for.
fn token_of(last: &Move) -> String {
    let text = serde_json::json!([last.at.micros(), last.from, last.to]).to_string();
    URL_SAFE_NO_PAD.encode(text)
}

/// The movement that a token stands for, without its quantity.
fn move_of(token: &str) -> Option<Move> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
    let (at, from, to): (i64, Option<String>, Option<String>) = serde_json::from_slice(&bytes).ok()?;
    Some(Move { quantity: 0, from, to, at: Timestamp::from_micros(at), by: None })
}

fn pass_of(token: &str) -> Option<(Timestamp, Uuid)> {
    let (at, unit) = token.split_once('.')?;
    Some((Timestamp::from_micros(at.parse().ok()?), unit.parse().ok()?))
}

impl Stock for Traceability {
    fn carry(&self, id: Uuid, wish: MoveWish, by: Principal) -> Traced<'_, LotView> {
        Box::pin(self.carried(id, wish, by))
    }

    fn make_container(&self, wish: ContainerWish, by: Principal) -> Traced<'_, ContainerView> {
        Box::pin(self.container_made(wish, by))
    }

    fn container(&self, id: Uuid, after: Option<Uuid>) -> Traced<'_, ContainerView> {
        Box::pin(async move { self.container_view(&self.container_of(id).await?, after).await })
    }

    fn pack(&self, container: Uuid, wish: PackWish, by: Principal) -> Traced<'_, ContainerView> {
        Box::pin(self.packed(container, wish, by))
    }

    fn unpack(&self, container: Uuid, wish: PackWish, by: Principal) -> Traced<'_, ContainerView> {
        Box::pin(self.unpacked(container, wish, by))
    }

    fn places(&self) -> Traced<'_, PlacesView> {
        Box::pin(self.all_places())
    }

    fn lying(&self, place: String, after: Option<Uuid>, limit: u32) -> Traced<'_, StockPage> {
        Box::pin(self.lying_in(place, after, limit))
    }

    fn moves(&self, item: Uuid, after: Option<String>, limit: u32) -> Traced<'_, MovesPage> {
        Box::pin(self.moves_of(item, after, limit))
    }

    fn passes(
        &self,
        equipment: String,
        window: (Timestamp, Timestamp),
        after: Option<String>,
        limit: u32,
    ) -> Traced<'_, PassesPage> {
        Box::pin(self.passes_of(equipment, window, after, limit))
    }

    fn exchange(&self, unit: Uuid, wish: ExchangeWish, by: Principal) -> Traced<'_, UnitView> {
        Box::pin(self.exchanged(unit, wish, by))
    }
}
