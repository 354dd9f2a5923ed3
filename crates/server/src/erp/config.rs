//! `[b2mml]` and `[[erp]]` of the settings: how messages are understood, and where they go.

use andon_mes::calendar::Calendar;
use andon_model::EquipmentPath;
use hyper::Uri;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml::Spanned;

/// The most links.
const MOST: usize = 16;

/// How messages are understood.
#[derive(Debug, Clone, PartialEq)]
pub struct Rules {
    /// What this node calls itself in messages.
    pub sender: String,
    /// The IANA name of the zone of times that say none; `None`: such times are refused.
    pub zone: Option<String>,
    /// The ERP's numbers of the lowest and of the highest priority.
    pub priorities: (i32, i32),
    /// The plant's word for a unit of the ERP's.
    pub units: BTreeMap<String, String>,
    /// The key of `[[material]]` that a property of the ERP's is, one of [`PROPERTIES`].
    pub properties: BTreeMap<String, String>,
    /// The path of a piece of equipment, by the ERP's name of it.
    pub equipment: BTreeMap<String, String>,
}

/// What properties of a material can say; a property that has one of these names needs no rule.
pub const PROPERTIES: [&str; 4] = ["unit", "gtin", "tracked", "family"];

impl Default for Rules {
    fn default() -> Self {
        Self {
            sender: "andon".to_owned(),
            zone: None,
            priorities: (1, 9),
            units: BTreeMap::new(),
            properties: BTreeMap::new(),
            equipment: BTreeMap::new(),
        }
    }
}

/// The other side of a link, over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// As it was written.
    pub url: String,
    /// The host alone.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Path and query.
    pub path: String,
    /// Whether it is encrypted.
    pub tls: bool,
    /// Whose certificates are trusted; `None`: those that the system trusts.
    pub ca: Option<PathBuf>,
    /// The name of the secret that is shown to it.
    pub secret: Option<String>,
    /// The secret is this user's password; `None`: it is a bearer token.
    pub user: Option<String>,
}

/// Where messages go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Posted.
    Http(Remote),
    /// Files in a folder.
    Folder(PathBuf),
}

/// What is said of a message to the ERP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verb {
    /// It is to be posted.
    Process,
    /// It is published.
    Sync,
}

/// A link to an ERP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its name.
    pub name: String,
    /// Where messages go; `None`: nowhere.
    pub target: Option<Target>,
    /// Where files are taken from.
    pub in_folder: Option<PathBuf>,
    /// What it is about; `""` is everything.
    pub branches: Vec<String>,
    /// The verb of messages that go out.
    pub verb: Verb,
    /// How often counts of what runs are sent.
    pub counts: Option<Duration>,
    /// Also orders that somebody made here are told of.
    pub all_orders: bool,
    /// What waits for longer is given up.
    pub keep: Duration,
}

impl Link {
    /// The name of the secret that is shown to the other side.
    pub fn secret(&self) -> Option<&str> {
        match self.target.as_ref()? {
            Target::Http(remote) => remote.secret.as_deref(),
            Target::Folder(_) => None,
        }
    }
}

/// `[b2mml]` as it is written.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct RawRules {
    sender: Option<Spanned<String>>,
    time_zone: Option<Spanned<String>>,
    priorities: Option<Spanned<(i32, i32)>>,
    units: BTreeMap<String, String>,
    properties: BTreeMap<String, Spanned<String>>,
    equipment: BTreeMap<String, Spanned<String>>,
}

/// A link as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawLink {
    name: Spanned<String>,
    url: Option<Spanned<String>>,
    secret: Option<Spanned<String>>,
    user: Option<Spanned<String>>,
    ca: Option<String>,
    folder: Option<Spanned<String>>,
    in_folder: Option<Spanned<String>>,
    branches: Option<Spanned<Vec<String>>>,
    verb: Option<Verb>,
    counts_minutes: Option<Spanned<u32>>,
    #[serde(default)]
    all_orders: bool,
    keep_days: Option<Spanned<u32>>,
}

/// What is wrong: where in the text, what, and what to do.
pub type Wrong = (usize, String, &'static str);

impl RawRules {
    /// Checked.
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(self) -> Result<Rules, Wrong> {
        let mut rules = Rules { units: self.units, ..Rules::default() };
        if let Some(sender) = self.sender {
            let at = sender.span().start;
            andon_b2mml::Identifier::new(sender.get_ref())
                .map_err(|wrong| (at, wrong.to_string(), "give a short name, such as \"andon\""))?;
            rules.sender = sender.into_inner();
        }
        if let Some(zone) = self.time_zone {
            let at = zone.span().start;
            Calendar::new(zone.get_ref(), Vec::new(), Vec::new())
                .map_err(|error| (at, error.to_string(), "give an IANA name, such as \"Europe/Berlin\""))?;
            rules.zone = Some(zone.into_inner());
        }
        if let Some(priorities) = self.priorities {
            let (low, high) = *priorities.get_ref();
            if low == high {
                return Err((
                    priorities.span().start,
                    "the lowest and the highest priority are the same".to_owned(),
                    "give the ERP's number of the lowest and of the highest, such as [9, 1]",
                ));
            }
            rules.priorities = (low, high);
        }
        for (property, key) in self.properties {
            if !PROPERTIES.contains(&key.get_ref().as_str()) {
                let message = format!("the property {property:?} cannot be {:?} of a material", key.get_ref());
                return Err((key.span().start, message, "write unit, gtin, tracked or family"));
            }
            rules.properties.insert(property, key.into_inner());
        }
        for (name, path) in self.equipment {
            let at = path.span().start;
            EquipmentPath::parse(path.get_ref()).map_err(|error| {
                (at, error.to_string(), "write the path of a machine, such as \"works/line1/filler\"")
            })?;
            rules.equipment.insert(name, path.into_inner());
        }
        Ok(rules)
    }
}

/// All links, checked; relative paths are taken from `base`.
/// # Errors
/// The first thing that is wrong.
pub fn check(raw: Vec<RawLink>, base: &Path) -> Result<Vec<Link>, Wrong> {
    let mut links: Vec<Link> = Vec::with_capacity(raw.len());
    for raw in raw {
        let at = raw.name.span().start;
        let link = raw.check(base)?;
        if links.iter().any(|other| other.name == link.name) {
            return Err((at, format!("there are two links of the name {:?}", link.name), "give each its own name"));
        }
        if links.len() >= MOST {
            return Err((at, format!("there are more than {MOST} links to an ERP"), "remove some"));
        }
        links.push(link);
    }
    Ok(links)
}

impl RawLink {
    fn check(self, base: &Path) -> Result<Link, Wrong> {
        let at = self.name.span().start;
        let name = self.name.into_inner();
        let fits = (1..=32).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !fits {
            return Err((
                at,
                format!("{name:?} cannot name a link to an ERP"),
                "write 1 to 32 of a-z, 0-9 and \"-\", for how far it has come is kept under that name",
            ));
        }
        let folder = |given: Spanned<String>| -> Result<PathBuf, Wrong> {
            let at = given.span().start;
            let given = given.into_inner();
            if given.is_empty() {
                return Err((at, "a folder of a link to an ERP is empty".to_owned(), "name a folder"));
            }
            Ok(base.join(given))
        };
        let target = match (self.url, self.folder) {
            (Some(url), None) => {
                let ca = self.ca.map(|ca| base.join(ca));
                Some(Target::Http(remote(&url, self.secret, self.user, ca)?))
            }
            (None, Some(given)) => Some(Target::Folder(folder(given)?)),
            (None, None) => None,
            (Some(url), Some(_)) => {
                return Err((
                    url.span().start,
                    format!("the link {name:?} has both url and folder"),
                    "make two links of it, one for each",
                ));
            }
        };
        let in_folder = self.in_folder.map(folder).transpose()?;
        if target.is_none() && in_folder.is_none() {
            return Err((at, format!("the link {name:?} leads nowhere"), "give it a url, a folder or an in_folder"));
        }
        if let (Some(Target::Folder(out)), Some(within)) = (&target, &in_folder)
            && out == within
        {
            let remedy = "give two folders, for what is sent would be taken in again";
            return Err((at, format!("folder and in_folder of the link {name:?} are the same"), remedy));
        }
        let branches = match self.branches {
            None => vec![String::new()],
            Some(given) => {
                let at = given.span().start;
                let wrong = given.get_ref().iter().find(|path| EquipmentPath::parse(path).is_err());
                if given.get_ref().is_empty() || wrong.is_some() {
                    let what =
                        wrong.map_or_else(|| "branches is empty".to_owned(), |path| format!("{path:?} is no path"));
                    return Err((at, what, "name equipment, such as [\"works/line1\"], or leave branches out for all"));
                }
                given.into_inner()
            }
        };
        let bounded = |given: Option<Spanned<u32>>, key: &str, most: u32| match given {
            Some(given) if !(1..=most).contains(given.get_ref()) => {
                let (at, number) = (given.span().start, *given.get_ref());
                Err((at, format!("{key} = {number} is not from 1 to {most}"), "give another number, or leave it out"))
            }
            given => Ok(given.map(Spanned::into_inner)),
        };
        let counts = bounded(self.counts_minutes, "counts_minutes", 1440)?;
        let keep_days = bounded(self.keep_days, "keep_days", 3650)?.unwrap_or(90);
        Ok(Link {
            name,
            target,
            in_folder,
            branches,
            verb: self.verb.unwrap_or(Verb::Process),
            counts: counts.map(|minutes| Duration::from_secs(u64::from(minutes) * 60)),
            all_orders: self.all_orders,
            keep: Duration::from_secs(u64::from(keep_days) * 86_400),
        })
    }
}

fn remote(
    url: &Spanned<String>,
    secret: Option<Spanned<String>>,
    user: Option<Spanned<String>>,
    ca: Option<PathBuf>,
) -> Result<Remote, Wrong> {
    let at = url.span().start;
    let text = url.get_ref();
    let wrong = || {
        let what = "the url of a link to an ERP cannot be understood".to_owned();
        (at, what, "write https://HOST/PATH or http://HOST:PORT/PATH, without user and password")
    };
    let uri: Uri = text.parse().map_err(|_| wrong())?;
    let tls = match uri.scheme_str() {
        Some("https") => true,
        Some("http") => false,
        _ => return Err(wrong()),
    };
    let authority = uri.authority().filter(|authority| !authority.as_str().contains('@')).ok_or_else(wrong)?;
    let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
    let near = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    if let Some(secret) = secret.as_ref().filter(|_| !tls && !near) {
        return Err((
            secret.span().start,
            "the secret would be readable on the network".to_owned(),
            "use https:// for an ERP on another machine",
        ));
    }
    if let Some(secret) = secret.as_ref().filter(|secret| !crate::secrets::is_name(secret.get_ref())) {
        let what = format!("{:?} is no name of a secret", secret.get_ref());
        return Err((secret.span().start, what, "set it with `andon secret set NAME`, and write its name here"));
    }
    if let (Some(user), None) = (&user, &secret) {
        return Err((
            user.span().start,
            "user says nothing without secret".to_owned(),
            "name the secret that holds its password",
        ));
    }
    if let Some(user) = user.as_ref().filter(|user| user.get_ref().contains(':') || user.get_ref().is_empty()) {
        let what = "a user's name is not empty and has no colon".to_owned();
        return Err((user.span().start, what, "give the name alone"));
    }
    Ok(Remote {
        url: text.clone(),
        port: authority.port_u16().unwrap_or(if tls { 443 } else { 80 }),
        path: uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string),
        host,
        tls,
        ca,
        secret: secret.map(Spanned::into_inner),
        user: user.map(Spanned::into_inner),
    })
}

#[cfg(test)]
mod tests {
    use crate::settings;
    use std::path::Path;

    fn check(more: &str) -> Result<settings::Settings, String> {
        let text = format!("data_dir = \"d\"\n{more}");
        settings::parse("andon.toml", &text, Path::new("/etc/andon")).map_err(|error| error.to_string())
    }

    #[test]
    fn links_are_read_and_what_cannot_be_is_refused_with_its_line() {
        let text = "[b2mml]\ntime_zone = \"Europe/Berlin\"\npriorities = [9, 1]\nunits = { PCE = \"pcs\" }\n\
                    [[erp]]\nname = \"sap\"\nurl = \"https://erp.example:8443/in?x=1\"\nsecret = \"sap\"\nuser = \"ANDON\"\n\
                    branches = [\"works/line1\"]\nverb = \"sync\"\ncounts_minutes = 15\n[[erp]]\nname = \"files\"\nfolder = \"out\"\nin_folder = \"in\"\n";
        let settings = check(text).expect("fine");
        let [sap, files] = &settings.erp[..] else { panic!("two links") };
        let Some(super::Target::Http(remote)) = &sap.target else { panic!("over HTTP") };
        assert_eq!((&*remote.host, remote.port, &*remote.path, remote.tls), ("erp.example", 8443, "/in?x=1", true));
        assert_eq!((sap.verb, sap.counts.map(|every| every.as_secs())), (super::Verb::Sync, Some(900)));
        assert_eq!(files.in_folder.as_deref(), Some(Path::new("/etc/andon/in")));
        assert_eq!(settings.b2mml.priorities, (9, 1));
        for (text, expected) in [
            ("[[erp]]\nname = \"SAP\"\nfolder = \"o\"", "line 3: \"SAP\" cannot name"),
            ("[[erp]]\nname = \"a\"", "line 3: the link \"a\" leads nowhere"),
            ("[[erp]]\nname = \"a\"\nurl = \"ftp://x/\"", "line 4: the url"),
            ("[[erp]]\nname = \"a\"\nurl = \"http://u:p@x/\"", "line 4: the url"),
            ("[[erp]]\nname = \"a\"\nurl = \"http://erp/\"\nsecret = \"s\"", "line 5: the secret would be readable"),
            ("[[erp]]\nname = \"a\"\nurl = \"https://erp/\"\nuser = \"s\"", "line 5: user says nothing"),
            ("[[erp]]\nname = \"a\"\nfolder = \"x\"\nin_folder = \"x\"", "are the same"),
            ("[[erp]]\nname = \"a\"\nfolder = \"x\"\nbranches = []", "line 5: branches is empty"),
            ("[[erp]]\nname = \"a\"\nfolder = \"x\"\ncounts_minutes = 0", "line 5: counts_minutes = 0"),
            (
                "[[erp]]\nname = \"a\"\nfolder = \"x\"\n[[erp]]\nname = \"a\"\nfolder = \"y\"",
                "line 6: there are two links",
            ),
            ("[b2mml]\ntime_zone = \"Moon/Base\"", "line 3: "),
            ("[b2mml]\npriorities = [1, 1]", "line 3: the lowest and the highest"),
        ] {
            let error = check(text).expect_err(text);
            assert!(error.contains(expected) && error.contains("try:"), "{text:?}: {error}");
        }
    }
}
