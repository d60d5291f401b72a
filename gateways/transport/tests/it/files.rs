use std::path::{Path, PathBuf};

use gateway_transport::{ClientAuth, NamedFiles, TlsContext, TlsFileError, TlsFiles};

use crate::authority::{Authority, Folder};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/files").join(name)
}

fn of(certificate: &str, key: &str) -> Result<TlsContext, TlsFileError> {
    let (certificate, key) = (fixture(certificate), fixture(key));
    TlsContext::new(&TlsFiles { certificate, key, ..TlsFiles::default() })
}

/// Expects an error that blames `path` with `text`.
fn assert_blames(files: &TlsFiles, path: &Path, text: &str) {
    let error = TlsContext::new(files).unwrap_err();
    assert_eq!(error.path, path, "{error}");
    assert!(error.text.contains(text), "{error}");
    assert!(error.to_string().starts_with(&*path.to_string_lossy()), "{error}");
}

#[test]
fn keys_of_all_forms_are_read() {
    of("rsa.pem", "rsa-pkcs1.key").unwrap();
    of("rsa.pem", "rsa-pkcs8.key").unwrap();
    of("ec.pem", "ec-sec1.key").unwrap();
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    let error = of("rsa.pem", "ec-sec1.key").unwrap_err();
    assert_eq!(error.path, fixture("ec-sec1.key"));
    assert!(error.text.contains("not that of the certificate in"), "{error}");
    assert!(error.text.contains("rsa.pem"), "{error}");
}

#[test]
fn an_encrypted_key_is_named_as_such() {
    let error = of("rsa.pem", "rsa-encrypted.key").unwrap_err();
    assert!(error.text.contains("encrypted"), "{error}");
}

#[test]
fn certificate_and_key_that_are_none_are_named() {
    let error = of("missing.pem", "ec-sec1.key").unwrap_err();
    assert!(error.path == fixture("missing.pem") && error.text.contains("No such file"), "{error}");
    let error = of("ec.pem", "missing.key").unwrap_err();
    assert!(error.path == fixture("missing.key") && error.text.contains("No such file"), "{error}");
    let error = of("ec-sec1.key", "ec-sec1.key").unwrap_err();
    assert!(error.text.contains("no certificate"), "{error}");
    let error = of("ec.pem", "ec.pem").unwrap_err();
    assert!(error.text.contains("no private key"), "{error}");

    let authority = Authority::new("servers");
    let folder = Folder::new();
    let good = folder.files(&authority.server("localhost"));
    let bad = |text: &str| folder.write("bad.pem", text);
    let head = "-----BEGIN CERTIFICATE-----\n";
    let path = bad(&format!("{head}AAAA\n"));
    assert_blames(&TlsFiles { certificate: path.clone(), ..good.clone() }, &path, "no end");
    let path = bad(&format!("{head}A*AA\n-----END CERTIFICATE-----\n"));
    assert_blames(&TlsFiles { certificate: path.clone(), ..good.clone() }, &path, "base64");
    let path = bad(&format!("{head}AAAA\n-----END CERTIFICATE-----\n"));
    let files = TlsFiles { certificate: path.clone(), ..good.clone() };
    assert_blames(&files, &path, "first certificate cannot be used");
    let path = bad("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
    assert_blames(&TlsFiles { key: path.clone(), ..good }, &path, "key cannot be used");
}

#[test]
fn names_are_checked() {
    let authority = Authority::new("servers");
    let folder = Folder::new();
    let good = folder.files(&authority.server("localhost"));
    let (certificate, key) = folder.certified("other", &authority.server("other.example"));
    let with = |names: &[&str]| {
        let named = |name: &&str| NamedFiles {
            name: (*name).into(),
            certificate: certificate.clone(),
            key: key.clone(),
        };
        TlsFiles { names: names.iter().map(named).collect(), ..good.clone() }
    };
    TlsContext::new(&with(&["other.example", "*.other.example"])).unwrap();
    for names in [&["a.example", "A.example"][..], &["*."], &[""], &["a.*.example"], &["*"]] {
        assert_blames(&with(names), &certificate, "server name");
    }
    let mut mixed = with(&["other.example"]);
    mixed.names[0].key = good.key.clone();
    assert_blames(&mixed, &good.key, "not that of the certificate in");
}

#[test]
fn files_about_clients_are_checked() {
    let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
    let folder = Folder::new();
    let good = folder.mutual_files(&servers.server("localhost"), &clients, ClientAuth::Required);
    TlsContext::new(&good).unwrap();

    let without = TlsFiles { client_ca: None, ..good.clone() };
    assert_blames(&without, &good.certificate, "of which authority");
    let path = folder.write("bad.pem", "nothing");
    let files = TlsFiles { client_ca: Some(path.clone()), ..good.clone() };
    assert_blames(&files, &path, "no certificate");
    let unasked = TlsFiles { client_auth: ClientAuth::None, ..files };
    assert_blames(&unasked, &path, "no certificate");
    let junk = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let path = folder.write("junk.pem", junk);
    let files = TlsFiles { client_ca: Some(path.clone()), ..good.clone() };
    assert_blames(&files, &path, "certificate 1 is no authority");

    let with = |path: &PathBuf| TlsFiles { crls: vec![path.clone()], ..good.clone() };
    let missing = folder.path().join("missing.crl");
    assert_blames(&with(&missing), &missing, "No such file");
    let path = folder.write("none.crl", "nothing");
    assert_blames(&with(&path), &path, "no revocation list");
    let path = folder.write("der.crl", [0x30, 0x01, 0x00]);
    assert_blames(&with(&path), &path, "cannot be read");
    let junk = "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n";
    let path = folder.write("junk.crl", junk);
    assert_blames(&with(&path), &path, "cannot be read");
}
