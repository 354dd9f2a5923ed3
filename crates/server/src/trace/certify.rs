//! Certificates of finished units.
//!
//! A unit that passed a last station is due in the store. Some seconds later, so that what other stations say late is in it, its certificate
//! is made of what stands recorded, signed, and kept in the transaction in which it is due no more. A kill before it leaves it due.

use super::Traceability;
use super::steps::UNKNOWN;
use andon_access::signing::SigningKeyError;
use andon_bus::ids::new_id;
use andon_mes::certificate::{
    Certificate, Content, Decimal, Document, Energy, Firmware, Hex, Id, Identity, Issuer, Limits, Name, Part, Product,
    ProductId, PublicKey, Role, SerialUnit, Sha256, Signature, Signer, StateTimes, TestValue, Trace,
};
use andon_mes::energy::trail::Drawn;
use andon_mes::job::Trigger;
use andon_mes::master::{Characteristic, MasterData, Material};
use andon_mes::order::ledger::Content as Entry;
use andon_mes::quantity::Quantity;
use andon_model::Timestamp;
use andon_model::access::Principal;
use andon_model::error::causes;
use andon_model::event::{Event, TraceChange, What};
use andon_model::path::EquipmentPath;
use andon_model::unit::Unit;
use andon_store::StoreError;
use andon_store::orders::OrderRepository;
use andon_store::trace::{
    Edge, Finished, Item, ItemKind, ItemRef, NewCertificate, PAGE_MAX, PassAt, Program, TraceRepository,
};
use sha2::Digest as _;
use std::collections::BTreeMap;
use std::time::Duration;
use uuid::Uuid;

/// What other stations say late of a unit is waited for so long, before its certificate is made.
pub(super) const WAITED: Duration = Duration::from_secs(10);
/// The most entries of a job's ledger that are read at once.
const ENTRIES: u32 = 1_000;
/// What stands for a revision where there is none.
const NO_REVISION: &str = "-";

/// Why there is no certificate.
#[derive(Debug)]
pub(super) enum Fault {
    /// It cannot be made; why, and what to do.
    NotPossible(String),
    /// It could not be made now.
    Failed(String),
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        match error {
            // Another try would find the same.
            StoreError::Refused(_) | StoreError::Damaged { .. } | StoreError::EventTooLarge { .. } => {
                Self::NotPossible(causes(&error))
            }
            error => Self::Failed(causes(&error)),
        }
    }
}

/// A station that was on a unit, from when to when; where it began may not be known.
struct Stay {
    station: String,
    from: Option<Timestamp>,
    to: Timestamp,
}

/// All that a certificate is made of.
struct Known {
    item: Item,
    passes: Vec<PassAt>,
    parts: Vec<(Item, Edge)>,
    documents: Vec<Document>,
    roles: Vec<Role>,
    states: Vec<StateTimes>,
    energy: Vec<Energy>,
    job: Option<String>,
}

impl Traceability {
    /// Makes the certificates that are due of units that were finished long enough ago.
    pub(super) async fn certify_due(&self, heard_until: Timestamp) -> Result<(), StoreError> {
        let mut failed = None;
        // How machines spent the time is known as far as the shop floor has read.
        let mut heard_until = heard_until.min(self.parts.mes.heard_until());
        let meters = self.parts.mes.meters();
        if !meters.followed().is_empty() {
            heard_until = heard_until.min(meters.heard_until());
        }
        for finished in self.parts.store.trace_due(heard_until.minus(WAITED)).await? {
            match self.certify(&finished, false, &Principal::SYSTEM).await {
                Ok(()) => {}
                Err(Fault::NotPossible(why)) => {
                    let shown = self.shown(finished.unit).await?;
                    let detail = format!("its certificate cannot be made: {why}");
                    let event = self.event(&finished, "not_certified", shown, detail, Principal::SYSTEM);
                    self.parts.store.trace_not_certified(finished.unit, why, event).await?;
                }
                // The others are made all the same.
                Err(Fault::Failed(why)) => failed = Some(StoreError::Interrupted { reason: why }),
            }
        }
        failed.map_or(Ok(()), Err)
    }

    async fn shown(&self, unit: Uuid) -> Result<String, StoreError> {
        let item = self.parts.store.trace_item(ItemRef::Id(unit)).await?;
        Ok(item.map_or_else(|| unit.to_string(), |item| format!("{} {}", item.name.material, item.name.number)))
    }

    fn event(&self, finished: &Finished, action: &str, shown: String, detail: String, by: Principal) -> Event {
        let what = TraceChange { action: action.to_owned(), item: finished.unit, shown, detail: Some(detail) };
        Event {
            id: new_id(&*self.parts.clock),
            at: self.parts.clock.now(),
            source_at: Some(finished.at),
            path: finished.equipment.clone(),
            by,
            what: What::Trace(what),
        }
    }

    /// Makes the certificate of a finished unit and keeps it.
    pub(super) async fn certify(&self, finished: &Finished, anew: bool, by: &Principal) -> Result<(), Fault> {
        // One at a time, so that two never take the same number.
        let _turn = self.turn.lock().await;
        let former = self.parts.store.trace_certificates(finished.unit).await?;
        let number = format!("{}-{}", finished.unit, former.len() + 1);
        let known = self.known(finished, anew).await?;
        let shown = format!("{} {}", known.item.name.material, known.item.name.number);
        let issued_at = self.parts.clock.now();
        let (file, key) = self.sealed(finished, known, issued_at)?;
        let certificate = NewCertificate {
            unit: ItemRef::Id(finished.unit),
            number: number.clone(),
            issued_at,
            sha256: sha2::Sha256::digest(file.as_bytes()).into(),
            key_id: key.to_string(),
            bytes: file.into_bytes(),
        };
        let detail = match former.last() {
            Some(former) => format!("{number}, in the place of {}", former.number),
            None => number,
        };
        let event = self.event(finished, "certificate", shown, detail, by.clone());
        self.parts.store.trace_certify(certificate, anew, event).await?;
        Ok(())
    }

    /// The signed file, and the key that signed it.
    fn sealed(&self, finished: &Finished, known: Known, issued_at: Timestamp) -> Result<(String, PublicKey), Fault> {
        let master = self.parts.mes.master_data();
        let issuer = Issuer { site: site(&finished.equipment)?, node_id: self.parts.node, key_id: self.public_key() };
        let content = content(&master, known, issuer, issued_at)?;
        let certificate = Certificate::new(content)
            .map_err(|error| Fault::NotPossible(format!("{error}; ask for it anew when that is put right")))?;
        let file = certificate.seal(self).map_err(|error| Fault::Failed(causes(&error)))?;
        Ok((file, self.public_key()))
    }

    /// Everything that is known of a finished unit: as it was when it was finished, or, where it is made `anew`, now.
    async fn known(&self, finished: &Finished, anew: bool) -> Result<Known, Fault> {
        let store = &self.parts.store;
        let gone = || Fault::Failed("the unit is not in the records".to_owned());
        let item = store.trace_item(ItemRef::Id(finished.unit)).await?.ok_or_else(gone)?;
        let mut passes: Vec<PassAt> = Vec::new();
        loop {
            let after = passes.last().map(|pass| (pass.at, pass.equipment.clone()));
            let page = store.trace_passes(finished.unit, after).await?;
            let is_last = page.len() < usize::try_from(PAGE_MAX).unwrap_or(usize::MAX);
            passes.extend(page);
            if is_last {
                break;
            }
        }
        let parts = store.trace_parts(finished.unit).await?;
        if parts.len() >= usize::try_from(PAGE_MAX).unwrap_or(usize::MAX) {
            let text =
                format!("more than {PAGE_MAX} parts were put into it; look whether its number is that of a carrier");
            return Err(Fault::NotPossible(text));
        }
        let until = if anew { Timestamp::from_micros(i64::MAX) } else { finished.at };
        passes.retain(|pass| pass.at <= until);
        let is_in = |edge: &Edge| edge.at <= until && edge.removed_at.is_none_or(|removed| until < removed);
        let parts = parts.into_iter().filter(|(_, edge)| is_in(edge)).collect();
        // Of each job, when the unit left it: what was done for it later was not done for this unit.
        let jobs: BTreeMap<Uuid, Timestamp> = passes.iter().filter_map(|pass| Some((pass.job?, pass.at))).collect();
        let (mut documents, mut roles) = (Vec::new(), Vec::new());
        for (job, left) in jobs {
            self.of_job(job, left, &mut documents, &mut roles).await?;
        }
        let last = passes.iter().rev().find_map(|pass| pass.job);
        let job = match last {
            Some(job) => store
                .order_of_job(job)
                .await?
                .and_then(|order| order.jobs.into_iter().find(|known| known.id == job).map(|job| job.number)),
            None => None,
        };
        let stays = self.stays(&passes).await?;
        let states = self.states(&stays).await;
        let energy = self.energy(&stays).await?;
        Ok(Known { item, passes, parts, documents, roles, states, energy, job })
    }

    /// What people confirmed to have seen for a job until then, and who they are.
    async fn of_job(
        &self,
        job: Uuid,
        until: Timestamp,
        documents: &mut Vec<Document>,
        roles: &mut Vec<Role>,
    ) -> Result<(), Fault> {
        let (mut pages, mut before) = (Vec::new(), None);
        loop {
            let page = self.parts.store.job_ledger(job, before, ENTRIES).await?;
            let Some(first) = page.first() else { break };
            before = Some(first.number);
            pages.push(page);
        }
        // The oldest first.
        for entry in pages.into_iter().rev().flatten().filter(|entry| entry.entry.at <= until) {
            let role = match serde_json::from_value(entry.entry.content) {
                Ok(Entry::Seen { instruction, revision, sha256 }) => {
                    let revision = if revision.is_empty() { NO_REVISION } else { &revision };
                    let (name, revision) = (Name::parse(&instruction), Id::parse(revision));
                    if let (Ok(name), Ok(revision), Ok(sha256)) = (name, revision, Sha256::parse(&sha256)) {
                        let document = Document { name, revision, sha256 };
                        if !documents.contains(&document) {
                            documents.push(document);
                        }
                    }
                    "operator"
                }
                Ok(Entry::Trigger { trigger: Trigger::Begin | Trigger::Pause(_) | Trigger::Resume, .. }) => "operator",
                _ => continue,
            };
            let Ok(role) = Id::parse(role) else { continue };
            let role = Role { role, person: entry.entry.by };
            if !roles.contains(&role) {
                roles.push(role);
            }
        }
        Ok(())
    }

    /// From when to when stations were on a unit: since the unit before it left, since its own pass before, or since the job came, whichever was
    /// last.
    async fn stays(&self, passes: &[PassAt]) -> Result<Vec<Stay>, Fault> {
        let mut stays = Vec::new();
        let mut own: Option<Timestamp> = None;
        for pass in passes {
            let before = self.parts.store.trace_pass_before(pass.equipment.clone(), pass.at).await?;
            let mut from = own.max(before.map(|pass| pass.at));
            if let Some(job) = pass.job {
                let spans = self.parts.store.spans_of_job(job).await?;
                let began = spans.into_iter().filter(|span| span.unit == pass.equipment && span.from <= pass.at);
                from = from.max(began.map(|span| span.from).max());
            }
            own = Some(pass.at);
            // One that ends as it begins took nothing.
            if from.is_some_and(|from| from >= pass.at) {
                continue;
            }
            stays.push(Stay { station: pass.equipment.clone(), from, to: pass.at });
        }
        Ok(stays)
    }

    /// How stations spent the time on a unit.
    async fn states(&self, stays: &[Stay]) -> Vec<StateTimes> {
        let mut states = Vec::new();
        for Stay { station, from, to } in stays {
            let Some(from) = *from else { continue };
            let (Some(times), Ok(path)) =
                (self.parts.mes.times_of(station, from, *to).await, EquipmentPath::parse(station))
            else {
                continue;
            };
            states.extend(StateTimes::new(path, from, *to, &times).ok());
        }
        states
    }

    /// What was metered at stations while they were on a unit, by carrier. One of which a part is not known is left out.
    async fn energy(&self, stays: &[Stay]) -> Result<Vec<Energy>, Fault> {
        let mut sums: BTreeMap<&str, Option<Drawn>> = BTreeMap::new();
        for Stay { station, from, to } in stays {
            let metered = self.parts.mes.energy_between(station, *from, *to).await;
            for (carrier, drawn) in metered.map_err(|error| Fault::Failed(error.to_string()))? {
                let sum = sums.entry(carrier).or_insert(Some(Drawn { is_known: true, ..Drawn::default() }));
                *sum = sum.zip(drawn).map(|(sum, drawn)| sum.and(drawn));
            }
        }
        let known = sums.into_iter().filter_map(|(carrier, sum)| Some((carrier, sum?)));
        Ok(known.filter_map(|(carrier, sum)| energy_of(carrier, sum)).collect())
    }

    /// The public half of the key that signs.
    pub(super) fn public_key(&self) -> PublicKey {
        PublicKey(Hex(self.parts.key.public()))
    }
}

impl Signer for Traceability {
    type Error = SigningKeyError;

    fn public_key(&self) -> PublicKey {
        Self::public_key(self)
    }

    fn sign(&self, message: &[u8]) -> Result<Signature, SigningKeyError> {
        self.parts.key.sign(message).map(Hex)
    }
}

/// The site that a station is on: where its path begins.
fn site(station: &str) -> Result<EquipmentPath, Fault> {
    let site = station.split('/').next().unwrap_or(station);
    EquipmentPath::parse(site).map_err(|error| Fault::NotPossible(format!("{site} is no site: {error}")))
}

/// What a certificate tells.
fn content(master: &MasterData, known: Known, issuer: Issuer, issued_at: Timestamp) -> Result<Content, Fault> {
    let Known { item, passes, parts, documents, roles, states, energy, job } = known;
    if item.name.material == UNKNOWN {
        let why = "which product it is is not known: no job ran at its first station, which says no product, and more than one can be made \
                   there. Begin a job there before units are made, or give the station a tag with the product";
        return Err(Fault::NotPossible(why.to_owned()));
    }
    let product = master.material(&item.name.material, item.revision.as_deref());
    let id = |what: &str, text: &str| {
        Id::parse(text)
            .map_err(|error| Fault::NotPossible(format!("the {what} does not fit into a certificate: {error}")))
    };
    let revision = item.revision.clone().or_else(|| product.and_then(|product| product.revision.clone()));
    let product_id = match product.and_then(|product| product.gtin.clone()) {
        Some(gtin) => ProductId::Gtin(gtin),
        None => ProductId::Own(id("part number", &item.name.material)?),
    };
    Ok(Content {
        unit: SerialUnit {
            serial: id("serial number", &item.name.number)?,
            product: Product { id: product_id, revision: id("revision", revision.as_deref().unwrap_or(NO_REVISION))? },
        },
        identity: Some(Identity::Id(id("unit's id", &item.id.to_string())?)),
        issuer,
        issued_at,
        job_order: job.map(|job| id("job order", &job)).transpose()?,
        parts: parts.iter().map(|(item, edge)| part(master, item, edge)).collect::<Result<_, _>>()?,
        tests: tests(product, &passes)?,
        firmware: firmware(&passes)?,
        documents,
        roles,
        states,
        energy,
    })
}

/// Pieces, and whatever has no code of UCUM.
fn unit_of(code: Option<&str>) -> Unit {
    code.and_then(|code| Unit::parse(code).ok())
        .filter(|unit| unit.code() != "pcs")
        .unwrap_or_else(|| Unit::parse("1").expect("the unit one"))
}

/// Energy as a certificate tells it, in kWh; `None`: it cannot be told.
fn energy_of(carrier: &str, sum: Drawn) -> Option<Energy> {
    let Drawn { amount, is_known } = sum;
    let basis = if is_known && amount.estimated == 0 { "metered" } else { "estimated" };
    Some(Energy {
        carrier: Id::parse(carrier).ok()?,
        quantity: Decimal::parse(&Quantity::from_millionths(amount.energy).to_string()).ok()?,
        unit: Unit::parse("kW.h").ok()?,
        basis: Some(Id::parse(basis).ok()?),
    })
}

fn part(master: &MasterData, item: &Item, edge: &Edge) -> Result<Part, Fault> {
    let wrong = |what: &str, error: &dyn std::fmt::Display| {
        Fault::NotPossible(format!("the {what} of its part {} does not fit into a certificate: {error}", item.name))
    };
    let number = Id::parse(&item.name.number).map_err(|error| wrong("number", &error))?;
    let sign = if edge.quantity < 0 { "-" } else { "" };
    let (whole, part) = (edge.quantity.unsigned_abs() / 1_000_000, edge.quantity.unsigned_abs() % 1_000_000);
    let quantity = format!("{sign}{whole}.{part:06}");
    let quantity = quantity.trim_end_matches('0').trim_end_matches('.');
    let unit = master.material(&item.name.material, item.revision.as_deref()).map(|material| material.unit.as_str());
    Ok(Part {
        component: Name::parse(&item.name.material).map_err(|error| wrong("name", &error))?,
        trace: if item.name.kind == ItemKind::Unit { Trace::Serial(number) } else { Trace::Lot(number) },
        quantity: Decimal::parse(quantity).map_err(|error| wrong("quantity", &error))?,
        unit: unit_of(unit),
        position: Id::parse(&edge.position).ok(),
    })
}

/// What was last said of each program; one whose version nobody said is none.
fn firmware(passes: &[PassAt]) -> Result<Vec<Firmware>, Fault> {
    let mut last: BTreeMap<&str, &Program> = BTreeMap::new();
    for (component, program) in passes.iter().flat_map(|pass| &pass.firmware) {
        if program.version.is_some() {
            last.insert(component, program);
        }
    }
    let wrong = |component: &str, error: &dyn std::fmt::Display| {
        Fault::NotPossible(format!("the firmware of its {component} does not fit into a certificate: {error}"))
    };
    last.into_iter()
        .filter_map(|(component, program)| Some((component, program.version.as_deref()?, program.sha256.as_deref())))
        .map(|(component, version, sha256)| {
            Ok(Firmware {
                component: Name::parse(component).map_err(|error| wrong(component, &error))?,
                version: Id::parse(version).map_err(|error| wrong(component, &error))?,
                sha256: sha256.map(Sha256::parse).transpose().map_err(|error| wrong(component, &error))?,
            })
        })
        .collect()
}

/// The last value of each characteristic at each station, against the limits in force.
fn tests(product: Option<&Material>, passes: &[PassAt]) -> Result<Vec<TestValue>, Fault> {
    let limits: BTreeMap<&str, &Characteristic> = product
        .into_iter()
        .flat_map(|product| product.characteristics.iter())
        .map(|characteristic| (characteristic.name.as_str(), characteristic))
        .collect();
    let mut last: BTreeMap<(&str, &str), (Timestamp, f64)> = BTreeMap::new();
    for pass in passes {
        for (name, value) in &pass.measures {
            if let Some(value) = value.as_f64() {
                last.insert((&pass.equipment, name), (pass.at, value));
            }
        }
    }
    let mut tests: Vec<_> = last.into_iter().collect();
    tests.sort_by_key(|((station, name), (at, _))| (*at, *station, *name));
    tests
        .into_iter()
        .map(|((_, name), (_, value))| {
            let wrong = |error: &dyn std::fmt::Display| {
                Fault::NotPossible(format!("its {name} does not fit into a certificate: {error}"))
            };
            let decimal = |value: f64| Decimal::from_f64(value).map_err(|error| wrong(&error));
            let known = limits.get(name);
            let lower = known.and_then(|known| known.lower).map(decimal).transpose()?;
            let upper = known.and_then(|known| known.upper).map(decimal).transpose()?;
            Ok(TestValue {
                characteristic: Name::parse(name).map_err(|error| wrong(&error))?,
                value: decimal(value)?,
                unit: unit_of(known.and_then(|known| known.unit.as_ref()).map(Unit::code)),
                limits: Limits::new(lower, upper).map_err(|error| wrong(&error))?,
            })
        })
        .collect()
}
