//! Definitions of the ERP become a version of the plant model: one for all of a message that can be, with the rights of who sent it.

use super::define::{Defined, Known, Reader, deletes};
use super::{Inbound, Outcome, Sender, failed};
use andon_api::ports::erp::MessageProblem;
use andon_api::ports::{Author, DocumentErrorView, DocumentView, PlantError};
use andon_b2mml::definition::OperationsDefinition;
use andon_b2mml::material::MaterialDefinition;
use andon_b2mml::verb::Verb;
use andon_b2mml::{DataArea, Identifier, OneOrMore};
use andon_model::Timestamp;
use andon_model::access::Action;
use andon_model::plant::{MasterKind, Plant};
use andon_store::documents;
use andon_store::erp::ErpRepository as _;
use std::collections::{BTreeMap, HashMap};

/// The most definitions of a message: each is a document.
pub(super) const MOST_DEFINITIONS: usize = documents::DOCUMENTS_LIMIT;
/// So often what does not hold is taken out and the rest tried again.
const ROUNDS: usize = 8;
/// So often a version that somebody else made meanwhile is waited for.
const CONFLICTS: usize = 5;
/// What is told of a definition that does not hold, in errors.
const ERRORS: usize = 3;
/// How a document of a definition is called, before its number.
const DOCUMENT: &str = "definition ";

/// What a message defines.
pub(super) enum Things<'m> {
    Materials(&'m OneOrMore<MaterialDefinition>),
    Operations(&'m OneOrMore<OperationsDefinition>),
}

impl Things<'_> {
    pub(super) fn ids(&self) -> Vec<&Identifier> {
        match self {
            Self::Materials(all) => all.iter().map(|one| &one.id).collect(),
            Self::Operations(all) => all.iter().map(|one| &one.id).collect(),
        }
    }

    /// By what it is remembered when something was said of a thing last.
    fn subject(&self, id: &Identifier) -> String {
        match self {
            Self::Materials(_) => format!("material:{id}"),
            Self::Operations(_) => format!("operations:{id}"),
        }
    }

    /// Which things an answer is about, and not all that was said of them.
    pub(super) fn brief(&self, verb: Verb) -> Option<DataArea> {
        Some(match self {
            Self::Materials(all) => {
                let brief = all.iter().map(|one| MaterialDefinition::new(one.id.clone()));
                DataArea::MaterialDefinition(verb, OneOrMore::new(brief.collect())?)
            }
            Self::Operations(all) => {
                let brief = all.iter().map(|one| OperationsDefinition::new(one.id.clone()));
                DataArea::OperationsDefinition(verb, OneOrMore::new(brief.collect())?)
            }
        })
    }
}

impl Inbound {
    /// Everything that a message defines. What failed of our own breaks it off before anything is done; it can be sent again.
    pub(super) async fn define(
        &self,
        (verb, things): (&Verb, &Things<'_>),
        created: Timestamp,
        by: &Sender,
        reason: String,
    ) -> Result<(Vec<Outcome>, Vec<(String, Timestamp)>), MessageProblem> {
        let ids = things.ids();
        let mut outcomes: Vec<Option<Result<String, String>>> = vec![None; ids.len()];
        if !self.may(by, Action::Configure, "") {
            let why = "the sender may not configure the whole plant, which materials are a part of; give it that right";
            outcomes.fill(Some(Err(why.to_owned())));
        }
        let subjects: Vec<String> = ids.iter().map(|id| things.subject(id)).collect();
        let known = self.store.erp_latest(subjects.clone()).await.map_err(failed)?;
        let mut first: HashMap<&Identifier, usize> = HashMap::with_capacity(ids.len());
        for (number, id) in ids.iter().enumerate() {
            let last = known.get(&subjects[number]).filter(|last| **last > created);
            let wrong = if *first.entry(id).or_insert(number) != number {
                Some("it stands in the message twice; only the first was looked at".to_owned())
            } else {
                last.map(|last| {
                    format!("a message of {last} about it was accepted before, and this one, of {created}, is older")
                })
            };
            if let Some(why) = wrong
                && outcomes[number].is_none()
            {
                outcomes[number] = Some(Err(why));
            }
        }
        self.define_all((verb, things), &mut outcomes, by, &reason).await?;
        let mut latest = Vec::new();
        let mut told = Vec::with_capacity(ids.len());
        for ((id, subject), outcome) in ids.into_iter().zip(subjects).zip(outcomes) {
            let outcome = outcome
                .unwrap_or_else(|| Err("it was not done, for other parts of the message do not hold".to_owned()));
            if outcome.is_ok() {
                latest.push((subject, created));
            }
            told.push((id.clone(), outcome));
        }
        Ok((told, latest))
    }

    /// What has no outcome yet gets one, or stays without: then it was not done.
    async fn define_all(
        &self,
        (verb, things): (&Verb, &Things<'_>),
        outcomes: &mut [Option<Result<String, String>>],
        by: &Sender,
        reason: &str,
    ) -> Result<(), MessageProblem> {
        let admin = self.admin.get().ok_or_else(|| MessageProblem::Failed("the node is not up yet".to_owned()))?;
        let mut conflicts = 0;
        let mut rounds = 0;
        while outcomes.iter().any(Option::is_none) && rounds < ROUNDS {
            let plant = self.bus.plant().plant.clone();
            let wanted = self.wanted(&plant, (verb, things), outcomes);
            let (documents, prune) = to_documents(&plant, &wanted);
            let done = if documents.is_empty() {
                Ok(plant.version)
            } else {
                let administers = self.may(by, Action::Administer, "");
                let author = Author { who: self.principal(by), administers };
                admin.apply(documents, prune, plant.version, author, Some(reason.to_owned())).await
            };
            match done {
                Ok(_) => {
                    for (number, defined) in wanted {
                        outcomes[number] = Some(Ok(said(&defined.left_out)));
                    }
                    return Ok(());
                }
                Err(PlantError::Conflict { .. }) if conflicts < CONFLICTS => conflicts += 1,
                Err(PlantError::Invalid(errors)) => {
                    rounds += 1;
                    if !refuse(&errors, outcomes) {
                        let why = words(&errors.iter().collect::<Vec<_>>());
                        outcomes.iter_mut().filter(|one| one.is_none()).for_each(|one| *one = Some(Err(why.clone())));
                    }
                }
                Err(PlantError::Failed(why)) => return Err(MessageProblem::Failed(why)),
                Err(other) => {
                    let why = other.to_string();
                    outcomes.iter_mut().filter(|one| one.is_none()).for_each(|one| *one = Some(Err(why.clone())));
                }
            }
        }
        Ok(())
    }

    /// What is to become of the materials of a plant; what cannot be meant has its outcome then.
    fn wanted(
        &self,
        plant: &Plant,
        (verb, things): (&Verb, &Things<'_>),
        outcomes: &mut [Option<Result<String, String>>],
    ) -> BTreeMap<usize, Defined> {
        let materials = plant.master.iter().filter(|def| def.kind == MasterKind::Material);
        let known: Known<'_> = materials.map(|def| (def.name.as_str(), def)).collect();
        let time = |what: &str, time| self.time(what, time);
        let reader = Reader { rules: &self.rules, known: &known, now: self.clock.now(), time };
        let one = |number: usize| match things {
            Things::Materials(all) => reader.material(&all[number], deletes(verb, &all[number].id)?),
            Things::Operations(all) => reader.operations(&all[number], deletes(verb, &all[number].id)?),
        };
        let mut wanted = BTreeMap::new();
        let mut taken: HashMap<String, usize> = HashMap::new();
        for (number, outcome) in outcomes.iter_mut().enumerate().filter(|(_, outcome)| outcome.is_none()) {
            let defined = one(number).and_then(|defined| match taken.insert(defined.name.clone(), number) {
                Some(_) => Err(format!("another definition of the message is of {} too", defined.name)),
                None => Ok(defined),
            });
            match defined {
                Ok(defined) => drop(wanted.insert(number, defined)),
                Err(why) => *outcome = Some(Err(why)),
            }
        }
        wanted
    }
}

/// The documents that make a plant so; none: it is so already. Only a whole model can leave something away.
fn to_documents(plant: &Plant, wanted: &BTreeMap<usize, Defined>) -> (Vec<DocumentView>, bool) {
    let there = |name: &str| plant.master.iter().find(|def| def.kind == MasterKind::Material && def.name == name);
    let new: Vec<_> = wanted.iter().filter(|(_, one)| one.def.as_ref() != there(&one.name)).collect();
    if !new.iter().any(|(_, one)| one.def.is_none()) {
        let document = |(number, one): (&&usize, &&Defined)| DocumentView {
            name: format!("{DOCUMENT}{number}"),
            text: documents::export(&Plant { master: one.def.iter().cloned().collect(), ..Plant::default() }),
        };
        return (new.iter().map(|(number, one)| document((number, one))).collect(), false);
    }
    let mut whole = plant.clone();
    let named: HashMap<&str, &Defined> = new.iter().map(|(_, one)| (one.name.as_str(), *one)).collect();
    whole.master.retain(|def| def.kind != MasterKind::Material || !named.contains_key(def.name.as_str()));
    whole.master.extend(new.iter().filter_map(|(_, one)| one.def.clone()));
    (vec![DocumentView { name: "the plant model".to_owned(), text: documents::export(&whole) }], true)
}

/// Tells the definitions whose documents do not hold; `false`: none of the errors is one of theirs.
fn refuse(errors: &[DocumentErrorView], outcomes: &mut [Option<Result<String, String>>]) -> bool {
    let mut own: BTreeMap<usize, Vec<&DocumentErrorView>> = BTreeMap::new();
    for error in errors {
        let number = error.document.strip_prefix(DOCUMENT).and_then(|number| number.parse().ok());
        if let Some(number) = number.filter(|number| *number < outcomes.len()) {
            own.entry(number).or_default().push(error);
        }
    }
    for (number, errors) in &own {
        outcomes[*number] = Some(Err(words(errors)));
    }
    !own.is_empty()
}

fn words(errors: &[&DocumentErrorView]) -> String {
    let mut words: Vec<String> =
        errors.iter().take(ERRORS).map(|error| format!("{}; {}", error.message, error.remedy)).collect();
    if errors.len() > ERRORS {
        words.push(format!("and {} more", errors.len() - ERRORS));
    }
    words.join(". ")
}

fn said(left_out: &[String]) -> String {
    if left_out.is_empty() { String::new() } else { format!("not kept here: {}", left_out.join(", ")) }
}
