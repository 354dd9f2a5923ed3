//! Who is signed on where, what they attended and worked, and who sees whom.
//!
//! Events of sign-ons name the number of the sign-on and no person: the timeline is for all who view a place, and who was there is for the
//! person, supervisors and administrators. The record with that number names the person.

use super::{Done, Shift, key_of, key_used};
use andon_api::ports::NotDone;
use andon_api::ports::shift::{
    Answer, Labour, LabourAnswer, LabourPersonView, LabourPlaceView, LabourSpanView, LabourSpans, PresentAnswer,
    PresentAtView, PresentView, SpanCorrectionView, SpanWish, SupervisorView,
};
use andon_mes::element::Planned;
use andon_mes::labour::{Worked, ends_by, worked};
use andon_mes::master::MasterData;
use andon_mes::steps::Steps;
use andon_model::Timestamp;
use andon_model::access::{Action, Gate as _, Principal, PrincipalKind};
use andon_model::event::{UserChange, What};
use andon_model::path::is_under;
use andon_store::StoreError;
use andon_store::labour::{
    Ended, LabourFilter, LabourRepository, LabourSpan, MOST_SPANS, SignOff, SignOn, Signed, SpanChange,
};
use andon_store::orders::{JobSpan, SpanFilter};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// The most spans, places and people that are told at once.
const LISTED: usize = 1_000;
/// The longest sign-on that a supervisor writes down.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// Whom somebody sees.
struct Sight {
    me: Uuid,
    /// Where they see everybody.
    branches: Vec<String>,
}

impl Sight {
    fn sees(&self, person: Uuid, path: &str) -> bool {
        person == self.me || self.supervises(path)
    }

    fn supervises(&self, path: &str) -> bool {
        self.branches.iter().any(|branch| is_under(path, branch))
    }
}

/// The event of a sign-on: what happened to which, and not to whom.
fn told(action: &str, detail: Option<String>) -> What {
    What::User(UserChange { action: action.to_owned(), subject: None, from: None, detail })
}

fn nobody() -> NotDone {
    NotDone::Refused(
        "nobody says who it is".to_owned(),
        "log in as a person, or name the \"person\" with an API token".to_owned(),
    )
}

impl Shift {
    /// Ends what nobody ended, when it was to end. In turn.
    pub(super) async fn end_overdue(&self) -> Result<(), StoreError> {
        for span in self.parts.store.labour_overdue(self.now()).await? {
            let detail = format!("sign-on {} was not ended; it ended at {} by rule", span.number, span.ends_by);
            let event =
                self.event(self.now(), &span.path, &Principal::SYSTEM, told("signed_off_by_rule", Some(detail)));
            self.parts.store.labour_end_by_rule(span.number, event).await?;
        }
        Ok(())
    }

    async fn sight(&self, who: &Principal) -> Result<Sight, NotDone> {
        let may = |action: Action, branch: &str| self.parts.accounts.authorise(who, action, branch).is_ok();
        let grants = self.parts.accounts.grants(who).into_iter().map(|grant| grant.branch);
        let mut branches: Vec<String> = grants.filter(|branch| may(Action::Administer, branch)).collect();
        // Who may not view the branch any more does not see its people either.
        let supervised = self.parts.store.labour_supervisors().await?;
        let mine = supervised.into_iter().filter(|(person, branch)| *person == who.id && may(Action::View, branch));
        branches.extend(mine.map(|(_, branch)| branch));
        Ok(Sight { me: who.id, branches })
    }

    /// Whom a request is about, and whether who asks may ask it at that place.
    async fn person_of(&self, person: Option<Uuid>, by: &Principal, path: Option<&str>) -> Result<Uuid, NotDone> {
        let Some(person) = person.filter(|person| *person != by.id) else {
            return if by.kind == PrincipalKind::Person { Ok(by.id) } else { Err(nobody()) };
        };
        let known = self.parts.accounts.users().iter().any(|user| user.id == person);
        let operates = |path: &str| {
            by.kind == PrincipalKind::Token && self.parts.accounts.authorise(by, Action::Operate, path).is_ok()
        };
        let sight = self.sight(by).await?;
        let allowed = path.is_some_and(|path| operates(path) || sight.supervises(path));
        if !allowed {
            return Err(NotDone::NotAllowed(
                "others are signed on and off by supervisors of the place, and by API tokens of terminals there"
                    .to_owned(),
                "sign on yourself, or ask a supervisor".to_owned(),
            ));
        }
        if known { Ok(person) } else { Err(NotDone::Unknown("this person".to_owned())) }
    }

    async fn span_view(&self, span: LabourSpan) -> Result<LabourSpanView, NotDone> {
        Ok(self.span_views(vec![span]).await?.remove(0))
    }

    async fn span_views(&self, spans: Vec<LabourSpan>) -> Result<Vec<LabourSpanView>, NotDone> {
        let numbers = spans.iter().map(|span| span.number).collect();
        let mut corrections: HashMap<u64, Vec<SpanCorrectionView>> = HashMap::new();
        for made in self.parts.store.labour_corrections(numbers).await? {
            corrections.entry(made.span).or_default().push(SpanCorrectionView {
                at_ms: made.at.millis(),
                by: made.by,
                by_name: self.name_of(made.by),
                was_from_ms: made.was_from.millis(),
                was_to_ms: made.was_to.map(Timestamp::millis),
                reason: made.reason,
            });
        }
        let view = |span: LabourSpan| LabourSpanView {
            number: span.number,
            person: span.person,
            name: self.name_of(span.person),
            path: span.path,
            from_ms: span.from.millis(),
            to_ms: span.to.map(Timestamp::millis),
            ended: span.ended.map(|ended: Ended| ended.word().to_owned()),
            ends_by_ms: span.ends_by.millis(),
            corrections: corrections.remove(&span.number).unwrap_or_default(),
        };
        Ok(spans.into_iter().map(view).collect())
    }

    async fn sign_on_in_turn(
        &self,
        path: String,
        person: Option<Uuid>,
        key: Uuid,
        by: Principal,
    ) -> Done<LabourSpanView> {
        let _turn = self.turn.lock().await;
        let person = self.person_of(person, &by, Some(&path)).await?;
        let master = self.parts.mes.master_data();
        if !master.machines.keys().any(|machine| is_under(machine, &path)) {
            return Err(NotDone::Refused(
                format!("no machine stands at or below {path}"),
                "sign on at a machine, or at a node above one".to_owned(),
            ));
        }
        self.end_overdue().await?;
        let now = self.now();
        // The records say its number.
        let event = self.event(now, &path, &Principal::SYSTEM, told("signed_on", None));
        let id = event.id;
        let key = key_of(key, &["sign-on", &path, &person.to_string()]);
        let sign = SignOn { key, person, ends_by: ends_by(master.calendar_at(&path), now), path, at: now, event };
        self.signed(self.parts.store.labour_sign_on(sign).await?, id).await
    }

    async fn sign_off_in_turn(&self, person: Option<Uuid>, key: Uuid, by: Principal) -> Done<LabourSpanView> {
        let _turn = self.turn.lock().await;
        self.end_overdue().await?;
        let about = person.unwrap_or(by.id);
        let key = key_of(key, &["sign-off", &about.to_string()]);
        let at = match self.parts.store.labour_of_key(key).await? {
            // Asked again: where it was done, wherever the person is by now.
            Some(done) => Some(done.path),
            None => self.last_place(about).await?,
        };
        let person = self.person_of(person, &by, at.as_deref()).await?;
        let now = self.now();
        let path = at.unwrap_or_default();
        let event = self.event(now, &path, &Principal::SYSTEM, told("signed_off", None));
        let id = event.id;
        let sign = SignOff { key, person, at: now, event };
        self.signed(self.parts.store.labour_sign_off(sign).await?, id).await
    }

    /// Where the person is, or was last.
    async fn last_place(&self, person: Uuid) -> Result<Option<String>, NotDone> {
        let (from, to) = (Timestamp::from_micros(i64::MIN), Timestamp::from_micros(i64::MAX));
        let filter = LabourFilter { path: String::new(), person: Some(person), from, to, limit: 1 };
        Ok(self.parts.store.labour_spans(filter).await?.pop().map(|span| span.path))
    }

    async fn signed(&self, signed: Signed, event: Uuid) -> Done<LabourSpanView> {
        match signed {
            Signed::Now(span) => Ok((self.span_view(span).await?, Some(event))),
            Signed::Before(span) => Ok((self.span_view(span).await?, None)),
            Signed::KeyUsed => Err(key_used()),
            Signed::NotThere => Err(NotDone::Conflict(
                "not signed on anywhere".to_owned(),
                "sign on first; what ended by rule is put right by a supervisor".to_owned(),
            )),
            Signed::Overlaps(other) => {
                let until = other.to.map_or_else(|| "now".to_owned(), |to| to.to_string());
                Err(NotDone::Conflict(
                    format!("the person was signed on at {} from {} until {until}", other.path, other.from),
                    "put that one right first, or choose other times".to_owned(),
                ))
            }
            Signed::Unfit => Err(NotDone::Refused(
                "a sign-on that ended does not last again, and none ends before it begins".to_owned(),
                "write an end after the beginning".to_owned(),
            )),
        }
    }

    async fn correct_in_turn(&self, number: u64, wish: SpanWish, by: Principal) -> Done<LabourSpanView> {
        let _turn = self.turn.lock().await;
        self.end_overdue().await?;
        let unknown = || NotDone::Unknown("this sign-on".to_owned());
        let span = self.parts.store.labour_span(number).await?.ok_or_else(unknown)?;
        let sight = self.sight(&by).await?;
        if !sight.sees(span.person, &span.path) {
            return Err(unknown());
        }
        let administers = self.parts.accounts.authorise(&by, Action::Administer, &span.path).is_ok();
        if !sight.supervises(&span.path) || (span.person == by.id && !administers) {
            return Err(NotDone::NotAllowed(
                "a sign-on is put right by a supervisor of the place, and nobody's by himself".to_owned(),
                "ask a supervisor".to_owned(),
            ));
        }
        let now = self.now();
        let end = wish.to.unwrap_or(now);
        if wish.from > now || end > now || end.since(wish.from) > LONGEST {
            return Err(NotDone::Refused(
                "a sign-on ends not later than now, and at most 24 hours after its beginning".to_owned(),
                "write other times".to_owned(),
            ));
        }
        let detail = format!("sign-on {number}: {}", wish.reason);
        let event = self.event(now, &span.path, &by, told("sign_on_corrected", Some(detail)));
        let id = event.id;
        let asked = format!("{number} {} {:?}", wish.from.micros(), wish.to.map(Timestamp::micros));
        let key = key_of(wish.key, &["correct", &by.id.to_string(), &asked, &wish.reason]);
        let (from, to, reason) = (wish.from, wish.to, wish.reason);
        let change = SpanChange { key, number, from, to, at: now, by: by.id, reason, event };
        self.signed(self.parts.store.labour_correct(change).await?, id).await
    }

    async fn present_at(&self, path: String, who: Principal) -> Result<PresentAnswer, NotDone> {
        let now = self.now();
        let sight = self.sight(&who).await?;
        // What is to have ended has ended, told or not.
        let lasting = self.parts.store.labour_lasting("").await?.into_iter().filter(|span| span.ends_by > now);
        let (mut places, mut me): (BTreeMap<String, PresentAtView>, _) = (BTreeMap::new(), None);
        for span in lasting {
            if is_under(&span.path, &path) {
                let place = places.entry(span.path.clone()).or_insert_with(|| PresentAtView {
                    path: span.path.clone(),
                    people: 0,
                    persons: Vec::new(),
                });
                place.people += 1;
                if sight.sees(span.person, &span.path) {
                    let (person, name) = (span.person, self.name_of(span.person));
                    place.persons.push(PresentView { person, name, since_ms: span.from.millis() });
                }
            }
            if span.person == who.id {
                me = Some(span);
            }
        }
        let me = match me {
            Some(span) => Some(self.span_view(span).await?),
            None => None,
        };
        Ok(PresentAnswer { now_ms: now.millis(), places: places.into_values().collect(), me })
    }

    async fn worked_at(
        &self,
        path: String,
        (from, to): (Timestamp, Timestamp),
        who: Principal,
    ) -> Result<LabourAnswer, NotDone> {
        let now = self.now();
        let window = (from, to.min(now).max(from));
        let sight = self.sight(&who).await?;
        let filter = LabourFilter { path: path.clone(), person: None, from, to: window.1, limit: MOST_SPANS + 1 };
        let spans = self.parts.store.labour_spans(filter).await?;
        if spans.len() > usize::try_from(MOST_SPANS).unwrap_or(usize::MAX) {
            return Err(NotDone::Refused(
                format!("there are more than {MOST_SPANS} sign-ons in this window"),
                "ask for less time, or for a lower place".to_owned(),
            ));
        }
        let stood = SpanFilter { branches: vec![path.clone()], ..SpanFilter::of(window.0, window.1) };
        let jobs = self.parts.mes.spans(stood).await?;
        let master = self.parts.mes.master_data();
        // Off the threads that serve: there may be many.
        let sums = tokio::task::spawn_blocking(move || Sum::of(&spans, &jobs, &master, window, now)).await;
        let sums = sums.map_err(|error| NotDone::Failed(error.to_string()))?;
        Ok(self.answer(path, (from, to), now, &sums, &sight))
    }

    fn answer(
        &self,
        path: String,
        (from, to): (Timestamp, Timestamp),
        now: Timestamp,
        sums: &[Sum],
        sight: &Sight,
    ) -> LabourAnswer {
        let mut places: BTreeMap<&str, (Worked, BTreeSet<Uuid>)> = BTreeMap::new();
        let mut persons: BTreeMap<Uuid, Worked> = BTreeMap::new();
        for sum in sums {
            let ends = sum.path.match_indices('/').map(|(at, _)| at).chain([sum.path.len()]);
            for end in ends.filter(|end| is_under(&sum.path[..*end], &path)) {
                let (worked, people) = places.entry(&sum.path[..end]).or_default();
                *worked += sum.worked;
                people.insert(sum.person);
            }
            if sight.sees(sum.person, &sum.path) {
                *persons.entry(sum.person).or_default() += sum.worked;
            }
        }
        let truncated = places.len() > LISTED || persons.len() > LISTED;
        let (all, people) = places.get(path.as_str()).cloned().unwrap_or_default();
        let place = |(path, (worked, people)): (&str, (Worked, BTreeSet<Uuid>))| LabourPlaceView {
            path: path.to_owned(),
            people: people.len(),
            attendance_ms: worked.attendance_us / 1_000,
            working_ms: worked.working_us / 1_000,
            worker_efficiency: worked.efficiency(),
        };
        let person = |(person, worked): (Uuid, Worked)| LabourPersonView {
            person,
            name: self.name_of(person),
            attendance_ms: worked.attendance_us / 1_000,
            working_ms: worked.working_us / 1_000,
            worker_efficiency: worked.efficiency(),
        };
        LabourAnswer {
            from_ms: from.millis(),
            to_ms: to.millis(),
            now_ms: now.millis(),
            people: people.len(),
            attendance_ms: all.attendance_us / 1_000,
            working_ms: all.working_us / 1_000,
            worker_efficiency: all.efficiency(),
            places: places.into_iter().take(LISTED).map(place).collect(),
            persons: persons.into_iter().take(LISTED).map(person).collect(),
            truncated,
            path,
        }
    }

    async fn spans_seen(&self, filter: LabourFilter, who: Principal) -> Result<LabourSpans, NotDone> {
        let sight = self.sight(&who).await?;
        let person = if sight.branches.is_empty() && filter.person.is_none() { Some(who.id) } else { filter.person };
        let spans = self.parts.store.labour_spans(LabourFilter { person, ..filter }).await?;
        let cut = spans.len() >= usize::try_from(MOST_SPANS).unwrap_or(usize::MAX);
        let mut spans: Vec<LabourSpan> = spans.into_iter().filter(|span| sight.sees(span.person, &span.path)).collect();
        let truncated = cut || spans.len() > LISTED;
        spans.truncate(LISTED);
        Ok(LabourSpans { spans: self.span_views(spans).await?, truncated })
    }
}

/// What a sign-on comes to.
struct Sum {
    person: Uuid,
    path: String,
    worked: Worked,
}

impl Sum {
    fn of(
        spans: &[LabourSpan],
        jobs: &[JobSpan],
        master: &MasterData,
        (from, to): (Timestamp, Timestamp),
        now: Timestamp,
    ) -> Vec<Self> {
        let mut places: HashMap<&str, (Steps<Planned>, Steps<bool>)> = HashMap::new();
        let mut sums = Vec::with_capacity(spans.len());
        for span in spans {
            // What lasts ends when it is to end, told or not.
            let off = span.to.unwrap_or_else(|| now.min(span.ends_by));
            if off <= from {
                continue;
            }
            let (planned, runs) = places.entry(&span.path).or_insert_with(|| {
                let planned = master.calendar_at(&span.path).map(|calendar| calendar.planned(from, to));
                let mut runs = Steps::new(false);
                for job in jobs.iter().filter(|job| is_under(&job.unit, &span.path)) {
                    runs.paint(job.from, job.to.unwrap_or(now).min(to), true);
                }
                (planned.unwrap_or_else(|| Steps::new(Planned::Busy)), runs)
            });
            let worked = worked((from, to), (span.from, off), planned, runs);
            sums.push(Self { person: span.person, path: span.path.clone(), worked });
        }
        sums
    }
}

impl Labour for Shift {
    fn sign_on(
        &self,
        path: String,
        person: Option<Uuid>,
        key: Uuid,
        by: Principal,
    ) -> Answer<'_, (bool, LabourSpanView)> {
        Box::pin(self.made(move |own: Arc<Self>| async move { own.sign_on_in_turn(path, person, key, by).await }))
    }

    fn sign_off(&self, person: Option<Uuid>, key: Uuid, by: Principal) -> Answer<'_, LabourSpanView> {
        Box::pin(async move {
            let sign = move |own: Arc<Self>| async move { own.sign_off_in_turn(person, key, by).await };
            Ok(self.made(sign).await?.1)
        })
    }

    fn present(&self, path: String, who: Principal) -> Answer<'_, PresentAnswer> {
        Box::pin(self.present_at(path, who))
    }

    fn worked(&self, path: String, window: (Timestamp, Timestamp), who: Principal) -> Answer<'_, LabourAnswer> {
        Box::pin(self.worked_at(path, window, who))
    }

    fn spans(
        &self,
        path: String,
        (from, to): (Timestamp, Timestamp),
        person: Option<Uuid>,
        who: Principal,
    ) -> Answer<'_, LabourSpans> {
        let filter = LabourFilter { path, person, from, to, limit: MOST_SPANS };
        Box::pin(self.spans_seen(filter, who))
    }

    fn correct(&self, number: u64, wish: SpanWish, by: Principal) -> Answer<'_, LabourSpanView> {
        Box::pin(async move {
            let correct = move |own: Arc<Self>| async move { own.correct_in_turn(number, wish, by).await };
            Ok(self.made(correct).await?.1)
        })
    }

    fn supervisors(&self) -> Answer<'_, Vec<SupervisorView>> {
        Box::pin(async move {
            let all = self.parts.store.labour_supervisors().await?.into_iter();
            Ok(all.map(|(person, branch)| SupervisorView { person, name: self.name_of(person), branch }).collect())
        })
    }

    fn supervise(&self, person: Uuid, branch: String, is_one: bool, by: Principal) -> Answer<'_, ()> {
        let supervise = move |own: Arc<Self>| async move {
            let _turn = own.turn.lock().await;
            let action = if is_one { "supervisor_made" } else { "supervisor_removed" };
            let detail = if branch.is_empty() { "the whole plant".to_owned() } else { branch.clone() };
            let what = What::User(UserChange {
                action: action.to_owned(),
                subject: Some(person),
                from: None,
                detail: Some(detail),
            });
            let event = own.event(own.now(), "", &by, what);
            let id = event.id;
            let done = if is_one {
                own.parts.store.labour_supervisor_put(person, &branch, event).await
            } else {
                own.parts.store.labour_supervisor_remove(person, &branch, event).await
            };
            match done {
                Ok(()) => Ok(((), Some(id))),
                Err(StoreError::Missing { what, .. }) => Err(NotDone::Unknown(format!("this {what}"))),
                Err(error) => Err(error.into()),
            }
        };
        Box::pin(async move {
            let (_, ()) = self.made(supervise).await?;
            Ok(())
        })
    }
}
