//! `andon verify`: documents that left the house, judged without asking anybody.

use crate::commands::FOUND;
use crate::say::{complain, say};
use andon_mes::certificate::{self, Certificate, FILE_MAX, KEY_FILE_MAX, PublicKey, Refusal, Signature};
use andon_mes::report;
use andon_model::Timestamp;
use andon_model::text::{counted, shown};
use anyhow::{Context, Result};
use rustls::SignatureScheme;
use std::io::Read as _;
use std::path::Path;
use std::process::ExitCode;

/// Says whether a birth certificate is one that a trusted key has signed, and what it is about.
/// # Errors
/// The file or a key cannot be read.
pub fn certificate(file: &Path, keys: &[String]) -> Result<ExitCode> {
    let trusted = keys.iter().map(|key| trusted_key(key)).collect::<Result<Vec<_>>>()?;
    // One byte more than there may be, so that what is too large is seen to be.
    let bytes = read(file, FILE_MAX + 1)?;
    match certificate::verify(&bytes, &trusted, is_signed_by) {
        Ok(certificate) => {
            tell(&certificate);
            Ok(ExitCode::SUCCESS)
        }
        Err(refusal) => {
            complain!("refused: {refusal}");
            if let (Refusal::UnknownKey { .. }, true) = (&refusal, keys.is_empty()) {
                complain!("  try: --key FILE with the issuer's public key, or its 64 hexadecimal digits");
            }
            Ok(ExitCode::from(FOUND))
        }
    }
}

/// Says whether a report is one that a trusted key has signed, and what it is of.
/// # Errors
/// The file or a key cannot be read.
pub fn report(file: &Path, keys: &[String]) -> Result<ExitCode> {
    let trusted = keys.iter().map(|key| trusted_key(key)).collect::<Result<Vec<_>>>()?;
    let bytes = read(file, report::FILE_MAX + 1)?;
    match report::verify(&bytes, &trusted, is_signed_by) {
        Ok(head) => {
            tell_report(&head);
            Ok(ExitCode::SUCCESS)
        }
        Err(refusal) => {
            complain!("refused: {refusal}");
            if let (report::Refusal::UnknownKey { .. }, true) = (&refusal, keys.is_empty()) {
                complain!("  try: --key FILE with the node's public key, or its 64 hexadecimal digits");
            }
            Ok(ExitCode::from(FOUND))
        }
    }
}

/// A key as digits, or a file with one.
fn trusted_key(key: &str) -> Result<PublicKey> {
    if key.len() == 64 && key.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return PublicKey::parse(key.as_bytes()).with_context(|| format!("could not take {key} for a key"));
    }
    let bytes = read(Path::new(key), KEY_FILE_MAX)?;
    PublicKey::parse(&bytes).with_context(|| format!("could not take {key} for a key"))
}

/// The first bytes of a file.
fn read(file: &Path, at_most: usize) -> Result<Vec<u8>> {
    let reading = || format!("could not read {}", file.display());
    let mut bytes = Vec::new();
    std::fs::File::open(file)
        .with_context(reading)?
        .take(at_most as u64)
        .read_to_end(&mut bytes)
        .with_context(reading)?;
    Ok(bytes)
}

/// Ed25519 as TLS has it: the one cryptographic library of the program.
pub(crate) fn is_signed_by(key: &PublicKey, message: &[u8], signature: &Signature) -> bool {
    let known = rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms.mapping;
    let ed25519 = known.iter().find(|(scheme, _)| *scheme == SignatureScheme::ED25519);
    ed25519
        .and_then(|(_, algorithms)| algorithms.first())
        .is_some_and(|algorithm| algorithm.verify_signature(&key.0.0, message, &signature.0).is_ok())
}

fn tell(certificate: &Certificate) {
    let content = certificate.content();
    let (unit, issuer) = (&content.unit, &content.issuer);
    say!("good: serial {} of {}, revision {}", unit.serial, unit.product.id, unit.product.revision);
    say!(
        "issued {} by site {}, node {}, under the key {}",
        content.issued_at,
        issuer.site,
        issuer.node_id,
        issuer.key_id
    );
    let count = |all: usize, one, more| counted(all as u64, one, more);
    let tests = count(content.tests.len(), "test value", "test values");
    let failed = match certificate.failed() {
        0 => "none outside its limits".to_owned(),
        failed => format!("{failed} outside their limits"),
    };
    let parts = count(content.parts.len(), "part", "parts");
    let order = content.job_order.as_ref().map_or("no job order".to_owned(), |order| format!("job order {order}"));
    say!("{order}, {parts}, {tests}, {failed}");
}

fn tell_report(head: &report::Head) {
    let [from, to, made] = [head.from_ms, head.to_ms, head.made_ms].map(Timestamp::from_millis);
    let named =
        [head.shift.as_deref(), head.order.as_deref()].into_iter().flatten().map(|name| format!(" {}", shown(name)));
    let place = if head.path.is_empty() { "the whole plant".into() } else { shown(&head.path) };
    say!("good: report {} of {} {}{}", head.id, place, shown(&head.kind), named.collect::<String>());
    say!("from {from} to {to}, made {made} by node {}, under the key {}", head.node.id, head.node.key_id);
    let who = match (&head.schedule, head.by) {
        (Some(schedule), _) => format!("schedule {}", shown(schedule)),
        (None, Some(person)) => format!("asked for by {person}"),
        (None, None) => "nobody is named as having asked for it".to_owned(),
    };
    match head.replaces {
        Some(before) => say!("{who}; it takes the place of report {before}"),
        None => say!("{who}"),
    }
}
