//! Certificate authorities and the files that a listener reads.

use std::path::{Path, PathBuf};

use gateway_transport::{ClientAuth, TlsFiles};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer,
    DistinguishedName, DnType, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams,
    SerialNumber, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tempfile::TempDir;

pub(crate) struct Authority {
    pub(crate) issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn params(name: &str) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params
    }

    pub(crate) fn new(name: &str) -> Self {
        let issuer = CertifiedIssuer::self_signed(Self::params(name), KeyPair::generate().unwrap());
        Authority { issuer: issuer.unwrap() }
    }

    /// An authority below this one.
    pub(crate) fn below(&self, name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let issuer = CertifiedIssuer::signed_by(Self::params(name), key, &self.issuer);
        Authority { issuer: issuer.unwrap() }
    }

    pub(crate) fn sign(&self, fill: impl FnOnce(&mut CertificateParams)) -> Certified {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        fill(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Certified { chain: vec![certificate.der().clone()], key }
    }

    pub(crate) fn server(&self, name: &str) -> Certified {
        self.sign(|params| {
            params.subject_alt_names = vec![rcgen::SanType::DnsName(name.try_into().unwrap())];
        })
    }

    pub(crate) fn client(&self, common_name: &str, serial: u8) -> Certified {
        self.sign(|params| {
            params.distinguished_name.push(DnType::CommonName, common_name);
            params.serial_number = Some(SerialNumber::from(vec![serial]));
        })
    }

    /// A list with the serial numbers of revoked certificates.
    pub(crate) fn revoke(&self, serials: &[u8]) -> rcgen::CertificateRevocationList {
        let revoked = |serial: &u8| RevokedCertParams {
            serial_number: SerialNumber::from(vec![*serial]),
            revocation_time: date_time_ymd(2026, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2026, 1, 1),
            next_update: date_time_ymd(2026, 1, 2),
            crl_number: SerialNumber::from(vec![1]),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).unwrap()
    }
}

pub(crate) struct Certified {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: KeyPair,
}

impl Certified {
    pub(crate) fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::try_from(self.key.serialize_der()).unwrap()
    }

    pub(crate) fn pem(&self) -> String {
        self.chain.iter().map(|der| pem("CERTIFICATE", der)).collect()
    }
}

pub(crate) fn pem(tag: &str, der: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in der.chunks(3) {
        let mut bytes = [0; 3];
        bytes[..chunk.len()].copy_from_slice(chunk);
        let word = u32::from_be_bytes([0, bytes[0], bytes[1], bytes[2]]);
        for index in 0..4 {
            let symbol = ALPHABET[(word >> (18 - 6 * index)) as usize & 63];
            text.push(if index <= chunk.len() { symbol as char } else { '=' });
        }
        if text.len() % 65 == 64 {
            text.push('\n');
        }
    }
    format!("-----BEGIN {tag}-----\n{}\n-----END {tag}-----\n", text.trim_end())
}

/// A folder with the files of a listener.
pub(crate) struct Folder {
    folder: TempDir,
}

impl Folder {
    pub(crate) fn new() -> Self {
        Folder { folder: TempDir::new().unwrap() }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// Writes certificate and key under `name`.
    pub(crate) fn certified(&self, name: &str, certified: &Certified) -> (PathBuf, PathBuf) {
        (
            self.write(&format!("{name}.pem"), certified.pem()),
            self.write(&format!("{name}.key"), certified.key.serialize_pem()),
        )
    }

    /// The files of a listener with one certificate.
    pub(crate) fn files(&self, server: &Certified) -> TlsFiles {
        let (certificate, key) = self.certified("server", server);
        TlsFiles { certificate, key, ..TlsFiles::default() }
    }

    /// The same, which asks clients for certificates of `authority`.
    pub(crate) fn mutual_files(
        &self,
        server: &Certified,
        authority: &Authority,
        client_auth: ClientAuth,
    ) -> TlsFiles {
        TlsFiles {
            client_ca: Some(self.write("clients.pem", authority.issuer.pem())),
            client_auth,
            ..self.files(server)
        }
    }
}
