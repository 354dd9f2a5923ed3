//! The node's own certificate: given in the settings or made, and what is to be said of its end.

use crate::data_dir::DataDir;
use crate::settings::{Listen, Settings};
use andon_access::tls::{self, Files, RENEW_WITHIN, TlsError};
use andon_model::text::counted;
use andon_model::{Clock, Timestamp};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// An end of one that was given is said so long before.
const SAID_BEFORE: Duration = Duration::from_secs(60 * 86_400);

/// The certificate with which the node runs.
pub struct Own {
    /// Where it and its key stand.
    pub files: Files,
    /// When it ends, as far as it is used and can be read.
    pub end: Option<End>,
    /// It was made in the place of one that ends then, or ended.
    pub former_end: Option<Timestamp>,
}

/// The end of a certificate.
#[derive(Clone)]
pub struct End {
    file: PathBuf,
    at: Timestamp,
    given: bool,
}

impl Own {
    /// That of the settings, or the one that was made, made now where it is needed: at the first start, and before it ends.
    /// # Errors
    /// It cannot be made.
    pub fn find(settings: &Settings, dir: &DataDir, clock: &dyn Clock) -> Result<Self, TlsError> {
        if let Some((certificate, key)) = &settings.certificate {
            let files = Files { certificate: certificate.clone(), key: key.clone() };
            let end = End::of(&files.certificate, true);
            return Ok(Self { files, end, former_end: None });
        }
        if settings.https == Listen::Off && settings.mqtts == Listen::Off && !settings.sql_beyond_loopback() {
            let files = Files { certificate: dir.join("tls/certificate.pem"), key: dir.join("tls/key.pem") };
            return Ok(Self { files, end: None, former_end: None });
        }
        let (files, former_end) = tls::ensure(&dir.join("tls"), &settings.names, clock.now())?;
        let end = End::of(&files.certificate, false);
        Ok(Self { files, end, former_end })
    }

    /// That it was made anew, for the timeline.
    pub fn renewal(&self) -> Option<String> {
        let end = self.former_end?;
        let file = self.files.certificate.display();
        Some(format!(
            "The node has made a new certificate, for the former one ends or has ended at {end}: clients that trust it by its file must be given {file} again."
        ))
    }
}

impl End {
    /// Of a file that can be read as a certificate. What is wrong with another is said by whoever uses it.
    pub fn of(file: &Path, given: bool) -> Option<Self> {
        tls::ends(file).ok().map(|at| Self { file: file.to_owned(), at, given })
    }

    /// What a person must be warned of, and what to do.
    pub fn warning(&self, now: Timestamp) -> Option<String> {
        let before = if self.given { SAID_BEFORE } else { RENEW_WITHIN };
        if self.at > now.plus(before) {
            return None;
        }
        let remedy = if self.given {
            "put a new one in its place and restart Andon"
        } else {
            "restart Andon, which makes a new one"
        };
        let days = self.at.since(now).as_secs() / 86_400;
        let when = if self.at < now {
            format!("ended at {}: clients that look refuse the node", self.at)
        } else {
            format!("ends in {}, at {}", counted(days, "day", "days"), self.at)
        };
        Some(format!("The node's certificate {} {when}; {remedy}.", self.file.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_said_in_time_with_what_to_do() {
        let at = |text: &str| Timestamp::parse_rfc3339(text).expect("a time");
        let end = |given| End { file: "c.pem".into(), at: at("2027-03-02T00:00:00Z"), given };
        assert_eq!(end(true).warning(at("2026-12-31T00:00:00Z")), None);
        assert_eq!(
            end(true).warning(at("2027-01-01T00:00:00Z")).as_deref(),
            Some(
                "The node's certificate c.pem ends in 60 days, at 2027-03-02T00:00:00Z; put a new one in its place and restart Andon."
            )
        );
        assert_eq!(end(false).warning(at("2027-01-01T00:00:00Z")), None);
        let made = end(false).warning(at("2027-03-01T00:00:00Z")).expect("a warning");
        assert!(made.contains("ends in 1 day, at") && made.contains("restart Andon, which makes a new one"), "{made}");
        let over = end(true).warning(at("2027-03-02T00:00:01Z")).expect("a warning");
        assert!(over.contains("ended at 2027-03-02T00:00:00Z: clients that look refuse the node"), "{over}");
    }
}
