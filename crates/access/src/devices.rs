//! MQTT devices: their credentials, and who a client is that shows one.

use crate::Accounts;
use crate::accounts::{AccountError, MAX_ACCOUNTS};
use crate::certificate::{Certificate, CertificateName};
use crate::name;
use crate::records::{Change, DeviceRecord};
use crate::scram::Verifier;
use crate::secret::{self, Digest256, Secret, digest, hex};
use andon_model::access::{Principal, PrincipalKind};
use std::collections::HashMap;
use uuid::Uuid;

/// The longest password that is looked at, in bytes. Ours have 64; what a stranger sends must not cost more than that.
const PASSWORD_BYTES: usize = 256;
/// Stands in for the digest of a name that there is not: nothing is known whose SHA-256 this is.
const DIGEST_OF_NOBODY: Digest256 = [0; 32];

/// What a device is to be let in with, and to what.
#[derive(Debug, Clone, Default)]
pub struct NewDevice {
    /// The MQTT user name.
    pub user: String,
    /// The only client identifier it may use; `None`: any that is not bound to another device.
    pub client_id: Option<String>,
    /// The certificate without which it is not let in, and with which it needs no password; `None`: none is asked for.
    pub certificate: Option<CertificateName>,
    /// Topic filters it may publish to.
    pub publish: Vec<String>,
    /// Topic filters it may subscribe to.
    pub subscribe: Vec<String>,
    /// The branch of the tree whose tags it may command through command topics; `None`: none.
    pub operate: Option<String>,
}

/// What is to be different of a device; `None`: that stays as it is.
#[derive(Debug, Clone, Default)]
pub struct DeviceChange {
    /// The only client identifier it may use; `Some(None)`: any that is not bound to another device.
    pub client_id: Option<Option<String>>,
    /// Topic filters it may publish to.
    pub publish: Option<Vec<String>>,
    /// Topic filters it may subscribe to.
    pub subscribe: Option<Vec<String>>,
    /// The branch of the tree whose tags it may command; `Some(None)`: none.
    pub operate: Option<Option<String>>,
}

/// The certificate with which a device is to come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceCertificate {
    /// How it is named.
    pub name: CertificateName,
    /// One that the name means, in DER form.
    pub entered: Vec<u8>,
}

/// All devices, by user name.
#[derive(Default)]
pub(crate) struct Devices {
    by_user: HashMap<String, DeviceRecord>,
    /// By which change each became what it is.
    since: HashMap<Uuid, u64>,
    /// Counts changes.
    changed: u64,
}

impl Devices {
    pub(crate) fn new(devices: Vec<DeviceRecord>) -> Self {
        let since = devices.iter().map(|d| (d.id, 1)).collect();
        Self { since, by_user: devices.into_iter().map(|d| (d.user.clone(), d)).collect(), changed: 1 }
    }

    fn put(&mut self, device: DeviceRecord) {
        self.changed += 1;
        self.since.insert(device.id, self.changed);
        self.by_user.insert(device.user.clone(), device);
    }

    fn remove(&mut self, device: &DeviceRecord) {
        self.changed += 1;
        self.since.remove(&device.id);
        self.by_user.remove(&device.user);
    }

    pub(crate) fn by_id(&self, id: Uuid) -> Option<&DeviceRecord> {
        self.by_user.values().find(|d| d.id == id)
    }

    fn bound_to(&self, client_id: &str) -> Option<&DeviceRecord> {
        self.by_user.values().find(|d| d.client_id.as_deref() == Some(client_id))
    }

    /// The device whose certificate this is; one that names exactly this certificate comes first.
    fn of_certificate(&self, certificate: &Certificate) -> Option<&DeviceRecord> {
        let meant = |d: &&DeviceRecord| d.certificate.as_ref().is_some_and(|name| name.means(certificate));
        let exactly = |d: &&DeviceRecord| matches!(d.certificate, Some(CertificateName::Fingerprint(_)));
        let mut found = self.by_user.values().filter(meant);
        found.clone().find(exactly).or_else(|| found.next())
    }

    /// Whether a device may come with this client identifier and certificate.
    fn may_come(&self, device: &DeviceRecord, client_id: &str, certificate: Option<&Certificate>) -> bool {
        let own_name = device.client_id.as_deref().is_none_or(|own| own == client_id);
        let not_anothers = self.bound_to(client_id).is_none_or(|bound| bound.id == device.id);
        let meant = device.certificate.as_ref().is_none_or(|name| certificate.is_some_and(|shown| name.means(shown)));
        own_name && not_anothers && meant
    }
}

/// How a device's certificate is told in an event: by SHA-256, for a common name may be somebody's, and events stay.
fn told(name: Option<&CertificateName>, entered: Option<&Vec<u8>>) -> String {
    match (name, entered) {
        (None, _) => "none".to_owned(),
        (Some(CertificateName::Fingerprint(fingerprint)), _) => format!("SHA-256 {}", hex(fingerprint)),
        (Some(CertificateName::CommonName(_)), None) => "any with a common name".to_owned(),
        (Some(CertificateName::CommonName(_)), Some(der)) => {
            format!("any with the common name of SHA-256 {}", hex(&Certificate::of(der).fingerprint))
        }
    }
}

/// The most characters of one list of topic filters in an event: that all of them fit into one.
const TOLD_CHARS: usize = 300;

/// What is different of a device, in words for an event: `publish +a/#, -b`. Empty: nothing is.
fn told_change(before: &DeviceRecord, after: &DeviceRecord) -> String {
    let short = |words: String| match words.char_indices().nth(TOLD_CHARS) {
        Some((end, _)) => format!("{}…", &words[..end]),
        None => words,
    };
    // What was given and taken comes first, so that no long list hides it.
    let list = |before: &[String], after: &[String]| {
        let only = |sign: &str, these: &[String], those: &[String]| {
            let differ = these.iter().filter(|filter| !those.contains(filter));
            differ.map(|filter| format!("{sign}{filter}")).collect::<Vec<_>>()
        };
        let mut words = [only("+", after, before), only("-", before, after)].concat();
        if words.is_empty() {
            words.push("in another order".to_owned());
        }
        let all = words.len();
        let mut told = short(words.join(", "));
        if told.ends_with('…') {
            told.push_str(&format!(" ({all} differences)"));
        }
        told
    };
    let branch = |branch: &Option<String>| match branch.as_deref() {
        None => "nothing".to_owned(),
        Some("") => "everywhere".to_owned(),
        Some(path) => path.to_owned(),
    };
    let mut told = Vec::new();
    if before.publish != after.publish {
        told.push(format!("publish {}", list(&before.publish, &after.publish)));
    }
    if before.subscribe != after.subscribe {
        told.push(format!("subscribe {}", list(&before.subscribe, &after.subscribe)));
    }
    if before.operate != after.operate {
        told.push(format!("command {} → {}", branch(&before.operate), branch(&after.operate)));
    }
    if before.client_id != after.client_id {
        // Not which one: it may be somebody's, and events stay.
        let words = if after.client_id.is_some() { "bound to another" } else { "any" };
        told.push(format!("client identifier: {words}"));
    }
    told.join("; ")
}

impl Accounts {
    /// All MQTT devices, by user name.
    #[must_use]
    pub fn devices(&self) -> Vec<DeviceRecord> {
        let mut devices: Vec<_> = self.state().devices.by_user.values().cloned().collect();
        devices.sort_by(|a, b| a.user.cmp(&b.user));
        devices
    }

    /// Counts changes of the devices, so that a copy of their rights can tell when it is out of date.
    #[must_use]
    pub fn devices_changed(&self) -> u64 {
        self.state().devices.changed
    }

    /// Whether a device is still what it was at that count of [changes](Self::devices_changed).
    #[must_use]
    pub fn device_is_as_it_was(&self, id: Uuid, changes: u64) -> bool {
        self.state().devices.since.get(&id).is_some_and(|since| *since <= changes)
    }

    /// The device with this id.
    #[must_use]
    pub fn device(&self, id: Uuid) -> Option<DeviceRecord> {
        self.state().devices.by_id(id).cloned()
    }

    /// The device that comes with this certificate.
    #[must_use]
    pub fn device_of_certificate(&self, certificate: &Certificate) -> Option<DeviceRecord> {
        self.state().devices.of_certificate(certificate).cloned()
    }

    /// Makes the MQTT credential of a device, or renews the password of one with the same user name; shown this once.
    /// # Errors
    /// Bad name, client identifier or certificate bound to another device, too many, saving failed.
    pub async fn create_device(&self, by: &Principal, wanted: NewDevice) -> Result<(Uuid, Secret), AccountError> {
        name::check(&wanted.user)?;
        let turn = self.one_at_a_time().await;
        let known = {
            let state = self.state();
            let devices = &state.devices.by_user;
            if !devices.contains_key(&wanted.user) && devices.len() >= MAX_ACCOUNTS {
                return Err(AccountError::TooMany);
            }
            let others = || devices.values().filter(|d| d.user != wanted.user);
            if let Some(taken) = wanted.client_id.as_ref().filter(|w| others().any(|d| d.client_id.as_ref() == Some(w)))
            {
                return Err(AccountError::NameTaken(taken.clone()));
            }
            if let Some(taken) =
                wanted.certificate.as_ref().filter(|w| others().any(|d| d.certificate.as_ref() == Some(w)))
            {
                return Err(AccountError::NameTaken(taken.to_string()));
            }
            // Of the same certificate it is known what it says.
            devices
                .get(&wanted.user)
                .map(|d| (d.id, d.certificate_entered.clone().filter(|_| d.certificate == wanted.certificate)))
        };
        let (known, certificate_entered) = known.map_or((None, None), |(id, entered)| (Some(id), entered));
        let secret = secret::generate("")?;
        let id = known.unwrap_or_else(|| (self.new_id)(&*self.clock));
        let action = if known.is_some() { "device_renewed" } else { "device_created" };
        let event = self.event(by.clone(), action, Some(id), None, None);
        let NewDevice { user, client_id, certificate, publish, subscribe, operate } = wanted;
        let device = DeviceRecord {
            id,
            user,
            digest: digest(secret.reveal()),
            scram: Some(Verifier::of(&secret)?),
            client_id,
            certificate,
            certificate_entered,
            publish,
            subscribe,
            operate,
            created: self.clock.now(),
        };
        let change = Change::PutDevice(Box::new(device.clone()));
        self.commit(turn, vec![change], Some(event), move |state| state.devices.put(device)).await?;
        Ok((id, secret))
    }

    /// Says with which certificate a device comes from now on; `None`: with none, so that its password alone lets it in. The password
    /// stays.
    /// # Errors
    /// Unknown device, certificate bound to another, saving failed.
    pub async fn bind_device(
        &self,
        by: &Principal,
        id: Uuid,
        certificate: Option<DeviceCertificate>,
    ) -> Result<(), AccountError> {
        let turn = self.one_at_a_time().await;
        let (before, taken) = {
            let state = self.state();
            let before = state.devices.by_id(id).cloned().ok_or(AccountError::Unknown)?;
            let mut others = state.devices.by_user.values().filter(|d| d.id != id);
            let taken = certificate.as_ref().filter(|c| others.any(|d| d.certificate.as_ref() == Some(&c.name)));
            (before, taken.map(|c| c.name.to_string()))
        };
        if let Some(taken) = taken {
            return Err(AccountError::NameTaken(taken));
        }
        let (name, entered) = certificate.map_or((None, None), |c| (Some(c.name), Some(c.entered)));
        let action = if name.is_some() { "device_certificate_bound" } else { "device_certificate_removed" };
        let then = told(before.certificate.as_ref(), before.certificate_entered.as_ref());
        let detail = format!("{then} → {}", told(name.as_ref(), entered.as_ref()));
        let event = self.event(by.clone(), action, Some(id), None, Some(detail));
        let device = DeviceRecord { certificate: name, certificate_entered: entered, ..before };
        let change = Change::PutDevice(Box::new(device.clone()));
        self.commit(turn, vec![change], Some(event), move |state| state.devices.put(device)).await
    }

    /// Changes what a device may and with which client identifier it comes; its password and certificate stay. What it may publish and
    /// command counts with its next message. Returns whether its connection is to be closed: it has subscriptions, or a client identifier,
    /// to which it may have lost the right. Where nothing is different nothing is saved.
    /// # Errors
    /// Unknown device, client identifier bound to another, saving failed.
    pub async fn change_device(&self, by: &Principal, id: Uuid, change: DeviceChange) -> Result<bool, AccountError> {
        let turn = self.one_at_a_time().await;
        let before = self.device(id).ok_or(AccountError::Unknown)?;
        let mut device = before.clone();
        device.client_id = change.client_id.unwrap_or(device.client_id);
        device.publish = change.publish.unwrap_or(device.publish);
        device.subscribe = change.subscribe.unwrap_or(device.subscribe);
        device.operate = change.operate.unwrap_or(device.operate);
        let bound = device.client_id.as_ref().filter(|own| {
            let state = self.state();
            state.devices.by_user.values().any(|d| d.id != id && d.client_id.as_ref() == Some(own))
        });
        if let Some(taken) = bound {
            return Err(AccountError::NameTaken(taken.clone()));
        }
        let told = told_change(&before, &device);
        if told.is_empty() {
            return Ok(false);
        }
        let lost = before.subscribe.iter().any(|filter| !device.subscribe.contains(filter));
        let other_id = device.client_id.is_some() && device.client_id != before.client_id;
        let event = self.event(by.clone(), "device_changed", Some(id), None, Some(told));
        let change = Change::PutDevice(Box::new(device.clone()));
        self.commit(turn, vec![change], Some(event), move |state| state.devices.put(device)).await?;
        Ok(lost || other_id)
    }

    /// Removes a device's credential at once.
    /// # Errors
    /// Unknown, saving failed.
    pub async fn remove_device(&self, by: &Principal, id: Uuid) -> Result<(), AccountError> {
        let turn = self.one_at_a_time().await;
        let device = self.device(id).ok_or(AccountError::Unknown)?;
        let event = self.event(by.clone(), "device_removed", Some(id), None, None);
        let change = Change::RemoveDevice(id);
        self.commit(turn, vec![change], Some(event), move |state| state.devices.remove(&device)).await
    }

    /// Who an MQTT client is. A password that it gives must be right. A client identifier that is bound to one device is refused to every
    /// other, and a device that is bound to an identifier or a certificate comes with no other. A device that is bound to none may show
    /// any certificate beside its password, also one that another is bound to: the password says who it is.
    ///
    /// A name that there is costs what one costs that there is not: the digest of the password, made before anything is looked up.
    #[must_use]
    pub fn authenticate_device(
        &self,
        user: Option<&str>,
        password: Option<&str>,
        client_id: &str,
        certificate: Option<&Certificate>,
    ) -> Option<Principal> {
        // `None` within: too long to be right.
        let given = password.map(|password| (password.len() <= PASSWORD_BYTES).then(|| digest(password)));
        let state = self.state();
        let by_certificate = certificate.and_then(|shown| state.devices.of_certificate(shown));
        let device = match (user, by_certificate) {
            (None, None) => {
                let may = certificate.is_none() && self.anonymous_mqtt() && state.devices.bound_to(client_id).is_none();
                return may.then_some(Principal::ANONYMOUS);
            }
            (None, Some(device)) => Some(device),
            (Some(user), _) => state.devices.by_user.get(user),
        };
        let right = match &given {
            Some(Some(given)) => secret::same(device.map_or(&DIGEST_OF_NOBODY, |device| &device.digest), given),
            Some(None) => false,
            None => by_certificate.is_some_and(|shown| device.is_some_and(|device| shown.id == device.id)),
        };
        let device = device?;
        let may = right && state.devices.may_come(device, client_id, certificate);
        may.then_some(Principal { id: device.id, kind: PrincipalKind::Device })
    }

    /// By what the password of the device with this user name is checked.
    pub(crate) fn verifier_of(&self, user: &str) -> Option<(Uuid, Verifier)> {
        let state = self.state();
        let device = state.devices.by_user.get(user)?;
        Some((device.id, device.scram.clone()?))
    }

    /// Whether the device of this name, which proved its password to that verifier, is still the same and may come with this client
    /// identifier and certificate. Each password has a verifier of its own.
    pub(crate) fn proved_may_come(
        &self,
        user: &str,
        proved: &(Uuid, Verifier),
        client_id: &str,
        certificate: Option<&Certificate>,
    ) -> bool {
        let state = self.state();
        let device = state.devices.by_user.get(user);
        let same = |device: &&DeviceRecord| device.id == proved.0 && device.scram.as_ref() == Some(&proved.1);
        device.filter(same).is_some_and(|device| state.devices.may_come(device, client_id, certificate))
    }
}
