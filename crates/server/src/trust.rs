//! Whose certificates are trusted on the way to others: to another broker, to an ERP.

use andon_broker::bridge::Trouble;
use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

/// The certificates of a text in PEM; `what` is the key under which it was given.
/// # Errors
/// There is none in it.
pub fn certificates(pem: &str, what: &str) -> Result<Vec<CertificateDer<'static>>, Trouble> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    let read = read.ok().filter(|all| !all.is_empty());
    read.ok_or_else(|| {
        Trouble::new(format!("`{what}` holds no certificate"), "give it in PEM: -----BEGIN CERTIFICATE----- …")
    })
}

/// The authorities of `ca`, in PEM, and no other; without it those that the system trusts.
/// # Errors
/// Nobody would be trusted.
pub fn roots(ca: Option<&str>) -> Result<RootCertStore, Trouble> {
    let mut roots = RootCertStore::empty();
    match ca {
        Some(pem) => {
            for certificate in certificates(pem, "ca")? {
                roots.add(certificate).map_err(|error| {
                    Trouble::new(format!("`ca` cannot be used: {error}"), "give the certificate of the authority")
                })?;
            }
        }
        None => {
            let system = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(system.certs);
            if roots.is_empty() {
                let text = "this system trusts no certificate authority";
                return Err(Trouble::new(text, "install its certificates (Debian: ca-certificates), or give `ca`"));
            }
        }
    }
    Ok(roots)
}
