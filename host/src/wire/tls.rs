//! Whom the wire trusts. There is no configuration that trusts everybody.

use crate::hex::hex;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, OtherError, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use sha2::{Digest as _, Sha256};

/// Trusts the authorities of a PEM file and no others. Name and expiry are checked as usual.
pub(super) fn with_ca_file(path: &Path) -> Result<ClientConfig, TlsSetupError> {
    let unreadable = |source| TlsSetupError::CaFile { path: path.to_owned(), source };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(unreadable)? {
        roots
            .add(certificate.map_err(unreadable)?)
            .map_err(|source| TlsSetupError::Authority { path: path.to_owned(), source })?;
    }
    if roots.is_empty() {
        return Err(TlsSetupError::EmptyCaFile { path: path.to_owned() });
    }
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider())
        .build()
        .map_err(|_| TlsSetupError::EmptyCaFile { path: path.to_owned() })?;
    with_verifier(verifier)
}

/// Trusts the one certificate with this SHA-256, whatever its name, issuer and expiry.
pub(super) fn with_pin(sha256: [u8; 32]) -> Result<ClientConfig, TlsSetupError> {
    with_verifier(Arc::new(PinnedCertificate { sha256, provider: provider() }))
}

/// Trusts nobody: for plain http, which would otherwise load the system's authorities for nothing.
pub(super) fn without_trust() -> Result<ClientConfig, TlsSetupError> {
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    Ok(config)
}

fn with_verifier(verifier: Arc<dyn ServerCertVerifier>) -> Result<ClientConfig, TlsSetupError> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// Accepts one certificate by its hash. That the other end holds the key is still proven by the handshake's signature.
#[derive(Debug)]
struct PinnedCertificate {
    sha256: [u8; 32],
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for PinnedCertificate {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let found: [u8; 32] = Sha256::digest(end_entity).into();
        if found == self.sha256 {
            return Ok(ServerCertVerified::assertion());
        }
        let mismatch = OtherError(Arc::new(PinMismatch { found }));
        Err(rustls::Error::InvalidCertificate(CertificateError::Other(mismatch)))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Another certificate than the pinned one. Its hash is public and is what a person compares.
#[derive(Debug, thiserror::Error)]
#[error("its certificate has SHA-256 {}, which is not pin_sha256", hex(found))]
struct PinMismatch {
    found: [u8; 32],
}

/// Why trust could not be set up.
#[derive(Debug, thiserror::Error)]
pub(super) enum TlsSetupError {
    /// Missing, unreadable or not PEM.
    #[error("cannot read ca_file {}: {source}", path.display())]
    CaFile { path: PathBuf, source: rustls_pki_types::pem::Error },
    /// PEM, but no certificate that can be an authority.
    #[error("ca_file {} holds a certificate that cannot be used: {source}", path.display())]
    Authority { path: PathBuf, source: rustls::Error },
    /// No certificate inside.
    #[error("ca_file {} holds no certificate", path.display())]
    EmptyCaFile { path: PathBuf },
    /// The crypto library has no usable protocol version.
    #[error("no usable TLS version: {0}")]
    Versions(#[from] rustls::Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ca_file_that_cannot_be_used_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, content) in [
            ("missing.pem", None),
            ("empty.pem", Some("")),
            ("text.pem", Some("not a certificate\n")),
            ("key.pem", Some("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")),
            ("garbage.pem", Some("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")),
        ] {
            let path = folder.path().join(name);
            if let Some(content) = content {
                std::fs::write(&path, content).expect("a file");
            }
            let error = with_ca_file(&path).expect_err(name).to_string();
            assert!(error.contains("ca_file") && error.contains(name), "{error}");
        }
    }
}
