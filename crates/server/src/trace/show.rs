//! What stands recorded, as people see it.

use super::Traceability;
use andon_api::ports::NotDone;
use andon_api::ports::trace::{
    CertificateFile, CertificateView, DecisionView, DecisionWish, FindingView, FinishedView, FirmwareView,
    HoldingCertificateView, ItemView, ItemsPage, ItemsQuery, LabelForm, LinkView, Listed, LotView, OrderUnitView,
    OrderUnitsPage, PartView, PassView, ReachedView, RecallRowView, RecallView, ReceiptWish, StockView, TraceView,
    Traced, Traces, UnitCredential, UnitView,
};
use andon_mes::certificate::Hex;
use andon_mes::trace::gs1::{Code, ContainerCode, Element, number_of};
use andon_mes::trace::label::{Field, Label, Shape};
use andon_mes::trace::qr;
use andon_model::Timestamp;
use andon_model::access::Principal;
use andon_store::Store;
use andon_store::trace::{
    AsOf, CertificateBrief, CertificateState, ClosureWish, Cut, Direction, Disposition, Edge, Finished, Item,
    ItemFilter, ItemKind, ItemRef, PAGE_MAX, PassAt, Place, Program, RecallRow, TraceRepository, UnitOfJob,
};
use uuid::Uuid;

/// The most pages of passes of a unit that are told.
const PAGES: usize = 5;
/// How wide a QR code is on a screen, in pixels.
const PIXELS: u16 = 240;

impl Traceability {
    pub(super) async fn item(&self, id: Uuid) -> Result<Item, NotDone> {
        let item = self.parts.store.trace_item(ItemRef::Id(id)).await.map_err(failed)?;
        item.ok_or_else(|| NotDone::Unknown("this lot or unit".to_owned()))
    }

    async fn listed(&self, query: ItemsQuery) -> Result<ItemsPage, NotDone> {
        let limit = query.limit.clamp(1, PAGE_MAX - 1);
        let filter = ItemFilter {
            material: query.material,
            kind: Some(match query.kind {
                Listed::Units => ItemKind::Unit,
                Listed::Lots => ItemKind::Lot,
                Listed::Containers => ItemKind::Container,
            }),
            state: query.state.as_deref().and_then(disposition),
            begins: query.text,
            // Whoever scans a label scans its link.
            number: query.number.map(|text| scanned(query.kind, text)),
            before: query.before,
            limit: limit + 1,
        };
        let mut items = self.parts.store.trace_items(filter).await.map_err(failed)?;
        let most = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = items.len() > most;
        items.truncate(most);
        let next = items.last().filter(|_| more).map(|item| item.id);
        Ok(ItemsPage { items: items.iter().map(item_view).collect(), next })
    }

    pub(super) async fn unit_view(&self, id: Uuid) -> Result<UnitView, NotDone> {
        let store = &self.parts.store;
        let item = self.item(id).await?;
        if item.name.kind != ItemKind::Unit {
            return Err(NotDone::Unknown("this serial unit".to_owned()));
        }
        let (mut passes, mut cut): (Vec<PassAt>, _) = (Vec::new(), true);
        for _ in 0..PAGES {
            let after = passes.last().map(|pass| (pass.at, pass.equipment.clone()));
            let page = store.trace_passes(id, after).await.map_err(failed)?;
            cut = page.len() >= usize::try_from(PAGE_MAX).unwrap_or(usize::MAX);
            passes.extend(page);
            if !cut {
                break;
            }
        }
        let finished = store.trace_finished(id).await.map_err(failed)?;
        let parts = store.trace_parts(id).await.map_err(failed)?;
        let built_until = finished.as_ref().map_or(Timestamp::from_micros(i64::MAX), |finished| finished.at);
        let is_in = |edge: &Edge, at: Timestamp| edge.at <= at && edge.removed_at.is_none_or(|removed| removed > at);
        let as_built = parts.iter().filter(|(_, edge)| is_in(edge, built_until)).map(part_view).collect();
        let as_maintained = parts.iter().filter(|(_, edge)| edge.removed_at.is_none()).map(part_view).collect();
        let certificates = store.trace_certificates(id).await.map_err(failed)?;
        let identity = store.trace_identity(id).await.map_err(failed)?;
        Ok(UnitView {
            item: item_view(&item),
            passes: passes.into_iter().map(pass_view).collect(),
            as_built,
            as_maintained,
            finished: finished.map(finished_view),
            certificates: certificates.into_iter().map(certificate_view).collect(),
            identity_given_ms: identity.map(|identity| identity.at.millis()),
            cut,
        })
    }

    pub(super) async fn lot_view(&self, id: Uuid) -> Result<LotView, NotDone> {
        let item = self.item(id).await?;
        let stock = self.parts.store.trace_stock(id).await.map_err(failed)?;
        let decisions = self.parts.store.trace_states(id, None).await.map_err(failed)?;
        let decision = |said: andon_store::trace::StateSaid| DecisionView {
            state: said.state.word().to_owned(),
            at_ms: said.at.millis(),
            by: said.by,
            reason: said.why,
        };
        Ok(LotView {
            item: item_view(&item),
            stock: stock_view(stock),
            decisions: decisions.into_iter().map(decision).collect(),
        })
    }

    async fn closure(&self, id: Uuid, forward: bool, at: Option<Timestamp>) -> Result<TraceView, NotDone> {
        /// More in one answer is for nobody to read.
        const ITEMS: usize = 50_000;
        let direction = if forward { Direction::Forward } else { Direction::Backward };
        let wish = ClosureWish { items_max: ITEMS, ..ClosureWish::all(ItemRef::Id(id), direction, as_of(at)) };
        // One at a time, so that those of a few people do not keep everybody from the store.
        let _turn = self.reach.lock().await;
        let closure = self.parts.store.trace_closure(wish).await.map_err(failed)?;
        let closure = closure.ok_or_else(|| NotDone::Unknown("this lot or unit".to_owned()))?;
        let link = |edge: Edge| LinkView {
            from: edge.from,
            to: edge.to,
            quantity: amount(edge.quantity),
            position: edge.position,
            at_ms: edge.at.millis(),
            removed_ms: edge.removed_at.map(Timestamp::millis),
            equipment: edge.equipment,
        };
        Ok(TraceView {
            items: closure
                .items
                .iter()
                .map(|reached| ReachedView { item: item_view(&reached.item), depth: reached.depth })
                .collect(),
            links: closure.edges.into_iter().map(link).collect(),
            cut: closure.cut.map(cut_word),
        })
    }

    async fn called_back(&self, id: Uuid, at: Option<Timestamp>) -> Result<RecallView, NotDone> {
        let _turn = self.reach.lock().await;
        let recall = self.parts.store.trace_recall(ItemRef::Id(id), as_of(at)).await.map_err(failed)?;
        let recall = recall.ok_or_else(|| NotDone::Unknown("this lot or unit".to_owned()))?;
        let row = |row: RecallRow| RecallRowView {
            item: item_view(&row.item),
            depth: row.depth,
            stock: stock_view(row.places),
            packed_in: row.packed_in.iter().map(ToString::to_string).collect(),
        };
        Ok(RecallView {
            root: item_view(&recall.root),
            reached: recall.reached,
            units: recall.units.into_iter().map(row).collect(),
            lots: recall.lots.into_iter().map(row).collect(),
            cut: recall.cut.map(cut_word),
        })
    }

    async fn found(&self, before: Option<i64>, limit: u32) -> Result<Vec<FindingView>, NotDone> {
        let findings = self.parts.store.trace_findings(before, limit).await.map_err(failed)?;
        let view = |found: andon_store::trace::Finding| FindingView {
            number: found.number,
            what: found.what,
            at_ms: found.at.millis(),
            item: found.item,
            other: found.other,
            text: found.text,
        };
        Ok(findings.into_iter().map(view).collect())
    }

    async fn file(&self, number: String) -> Result<CertificateFile, NotDone> {
        let stored = self.parts.store.trace_certificate(number).await.map_err(failed)?;
        let stored = stored.ok_or_else(|| NotDone::Unknown("this certificate".to_owned()))?;
        let serial = self.item(stored.unit).await?.name.number;
        Ok(CertificateFile { serial, bytes: stored.bytes })
    }

    /// What GS1 has on a label: its link, and what people read. `None`: the material has no GTIN, GS1 cannot write the number, or a container's
    /// is one of the house's own; then the number stands alone.
    fn code_of(&self, item: &Item) -> Option<(String, String)> {
        let element = match item.name.kind {
            ItemKind::Unit => Element::Serial,
            ItemKind::Lot => Element::Lot,
            ItemKind::Container => {
                let code = ContainerCode::of_number(&item.name.number).ok()??;
                return Some((code.digital_link(), code.shown()));
            }
            ItemKind::Sublot => return None,
        };
        let master = self.parts.mes.master_data();
        let material = master.material(&item.name.material, item.revision.as_deref())?;
        let code = Code::new(material.gtin.as_ref()?, element, &item.name.number).ok()?;
        Some((code.digital_link(), code.shown()))
    }

    async fn printed(&self, id: Uuid, form: LabelForm) -> Result<String, NotDone> {
        let item = self.item(id).await?;
        let refused = |reason: String| NotDone::Refused(reason, "give it a shorter number".to_owned());
        let code = self.code_of(&item);
        let link = code.as_ref().map_or_else(|| item.name.number.clone(), |(link, _)| link.clone());
        let number = item.name.number;
        match form {
            LabelForm::Svg => qr::svg(&link, PIXELS).map_err(|error| refused(error.to_string())),
            LabelForm::Zpl => {
                let text = |y, height, text: String| Field { x: 260, y, shape: Shape::Text { height, text } };
                // 75 × 30 mm at 8 dots a millimetre.
                let label = Label {
                    width: 600,
                    length: 240,
                    copies: 1,
                    fields: vec![
                        Field { x: 24, y: 24, shape: Shape::Qr { module: 5, data: link } },
                        text(40, 40, item.name.material),
                        text(100, 32, number),
                        text(150, 20, code.map_or_else(|| item.name.kind.word().to_owned(), |(_, shown)| shown)),
                    ],
                };
                label.zpl().map_err(|error| refused(error.to_string()))
            }
        }
    }
}

/// Units that were made under any of these job orders, the newest first.
pub async fn units_of(
    store: &Store,
    jobs: Vec<Uuid>,
    before: Option<Uuid>,
    limit: u32,
) -> Result<OrderUnitsPage, NotDone> {
    let limit = limit.clamp(1, PAGE_MAX);
    let mut units = store.trace_units_of(jobs, before, limit + 1).await.map_err(failed)?;
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = units.len() > most;
    units.truncate(most);
    let next = units.last().filter(|_| more).map(|unit| unit.item.id);
    Ok(OrderUnitsPage { units: units.into_iter().map(order_unit).collect(), next })
}

fn order_unit(unit: UnitOfJob) -> OrderUnitView {
    let UnitOfJob { item, finished, certificate } = unit;
    let certificate = certificate.map(|brief| HoldingCertificateView {
        number: brief.number,
        sha256: Hex(brief.sha256).to_string(),
        issued_ms: brief.issued_at.millis(),
    });
    let state = finished.as_ref().map(|(_, state)| certificate_word(state).to_owned());
    OrderUnitView {
        id: item.id,
        material: item.name.material,
        revision: item.revision,
        number: item.name.number,
        state: item.state.word().to_owned(),
        made_ms: item.made_at.millis(),
        job: item.job,
        finished_ms: finished.map(|(at, _)| at.millis()),
        certificate_state: state,
        certificate,
    }
}

impl Traces for Traceability {
    fn stations(&self) -> Vec<String> {
        self.state().follower.stations().keys().cloned().collect()
    }

    fn items(&self, query: ItemsQuery) -> Traced<'_, ItemsPage> {
        Box::pin(self.listed(query))
    }

    fn units_of(&self, jobs: Vec<Uuid>, before: Option<Uuid>, limit: u32) -> Traced<'_, OrderUnitsPage> {
        Box::pin(units_of(&self.parts.store, jobs, before, limit))
    }

    fn unit(&self, id: Uuid) -> Traced<'_, UnitView> {
        Box::pin(self.unit_view(id))
    }

    fn lot(&self, id: Uuid) -> Traced<'_, LotView> {
        Box::pin(self.lot_view(id))
    }

    fn receive(&self, wish: ReceiptWish, by: Principal) -> Traced<'_, LotView> {
        Box::pin(self.received(wish, by))
    }

    fn decide(&self, id: Uuid, wish: DecisionWish, by: Principal) -> Traced<'_, LotView> {
        Box::pin(self.decided(id, wish, by))
    }

    fn trace(&self, id: Uuid, forward: bool, at: Option<Timestamp>) -> Traced<'_, TraceView> {
        Box::pin(self.closure(id, forward, at))
    }

    fn recall(&self, id: Uuid, at: Option<Timestamp>) -> Traced<'_, RecallView> {
        Box::pin(self.called_back(id, at))
    }

    fn findings(&self, before: Option<i64>, limit: u32) -> Traced<'_, Vec<FindingView>> {
        Box::pin(self.found(before, limit))
    }

    fn certificate(&self, number: String) -> Traced<'_, CertificateFile> {
        Box::pin(self.file(number))
    }

    fn certify(&self, id: Uuid, by: Principal) -> Traced<'_, UnitView> {
        Box::pin(self.certified_anew(id, by))
    }

    fn public_key(&self) -> String {
        Self::public_key(self).to_pem()
    }

    fn identify(&self, id: Uuid, by: Principal) -> Traced<'_, UnitCredential> {
        Box::pin(self.identified(id, by))
    }

    fn label(&self, id: Uuid, form: LabelForm) -> Traced<'_, String> {
        Box::pin(self.printed(id, form))
    }
}

pub(super) fn failed(error: andon_store::StoreError) -> NotDone {
    NotDone::Failed(andon_model::error::causes(&error))
}

/// A state by its word.
pub(super) fn disposition(word: &str) -> Option<Disposition> {
    Disposition::ALL.into_iter().find(|state| state.word() == word)
}

/// The number that is meant by what somebody typed or a scanner read of a label.
fn scanned(kind: Listed, text: String) -> String {
    if kind != Listed::Containers {
        return number_of(&text).unwrap_or(text);
    }
    match ContainerCode::parse(&text) {
        Ok(Some(code)) => code.number().to_owned(),
        Ok(None) | Err(_) => text,
    }
}

fn as_of(at: Option<Timestamp>) -> AsOf {
    at.map_or(AsOf::Ever, AsOf::At)
}

fn cut_word(cut: Cut) -> String {
    match cut {
        Cut::Depth => "depth",
        Cut::Items => "items",
    }
    .to_owned()
}

pub(super) fn amount(millionths: i64) -> f64 {
    andon_mes::quantity::Quantity::from_millionths(millionths).to_f64()
}

pub(super) fn item_view(item: &Item) -> ItemView {
    ItemView {
        id: item.id,
        kind: item.name.kind.word().to_owned(),
        material: item.name.material.clone(),
        revision: item.revision.clone(),
        number: item.name.number.clone(),
        quantity: item.quantity().map(amount),
        remaining: item.remaining().map(amount),
        state: item.state.word().to_owned(),
        place: match &item.place {
            Place::In(place) => Some(place.clone()),
            Place::Nowhere | Place::Several => None,
        },
        made_ms: item.made_at.millis(),
        job: item.job,
    }
}

fn pass_view(pass: PassAt) -> PassView {
    PassView {
        equipment: pass.equipment,
        at_ms: pass.at.millis(),
        job: pass.job,
        operation: pass.operation,
        passed: pass.passed,
        measures: pass.measures,
        firmware: pass
            .firmware
            .into_iter()
            .map(|(component, Program { version, sha256 })| FirmwareView { component, version, sha256 })
            .collect(),
    }
}

fn part_view((item, edge): &(Item, Edge)) -> PartView {
    PartView {
        item: item_view(item),
        quantity: amount(edge.quantity),
        position: edge.position.clone(),
        at_ms: edge.at.millis(),
        removed_ms: edge.removed_at.map(Timestamp::millis),
        replaced_by: edge.replaced_by,
        equipment: edge.equipment.clone(),
    }
}

fn stock_view(stock: Vec<(String, i64)>) -> Vec<StockView> {
    stock.into_iter().map(|(place, quantity)| StockView { place, quantity: amount(quantity) }).collect()
}

fn finished_view(finished: Finished) -> FinishedView {
    let certificate = certificate_word(&finished.certificate).to_owned();
    let why = match finished.certificate {
        CertificateState::NotPossible(why) => Some(why),
        CertificateState::Due | CertificateState::Issued => None,
    };
    FinishedView { at_ms: finished.at.millis(), equipment: finished.equipment, certificate, why }
}

const fn certificate_word(state: &CertificateState) -> &'static str {
    match state {
        CertificateState::Due => "due",
        CertificateState::Issued => "issued",
        CertificateState::NotPossible(_) => "not_possible",
    }
}

fn certificate_view(brief: CertificateBrief) -> CertificateView {
    CertificateView {
        number: brief.number,
        issued_ms: brief.issued_at.millis(),
        sha256: Hex(brief.sha256).to_string(),
        key_id: brief.key_id,
        superseded_by: brief.superseded_by,
    }
}
