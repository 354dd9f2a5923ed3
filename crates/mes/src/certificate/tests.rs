//! Certificates, and everything that can be wrong with one, by a real Ed25519.
//!
//! `UPDATE_CASES=1 cargo test -p andon-mes` writes the sample that is there now; read the difference before it is committed.

use super::*;
use crate::element::Element;
use crate::quantity::Quantity;
use crate::sums::Sums;
use andon_model::path::EquipmentPath;
use andon_model::{Timestamp, Unit};
use proptest::prelude::*;
use rustls::SignatureScheme;
use rustls::crypto::aws_lc_rs;
use rustls_pki_types::{PrivatePkcs8KeyDer, SignatureVerificationAlgorithm};
use std::convert::Infallible;
use std::path::Path;
use std::sync::LazyLock;
use uuid::Uuid;

/// A key by its seed, in PKCS #8 (RFC 8410, 7).
struct Owner(std::sync::Arc<dyn rustls::sign::SigningKey>);

impl Owner {
    fn new(seed: [u8; 32]) -> Self {
        let head = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
        let der = PrivatePkcs8KeyDer::from([&head[..], &seed].concat());
        Self(aws_lc_rs::sign::any_eddsa_type(&der).unwrap())
    }

    /// The first key of RFC 8032, 7.1, which everybody knows: nobody can take it for somebody's.
    fn of_the_rfc() -> Self {
        Self::new(Hex::parse("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60").unwrap().0)
    }
}

impl Signer for Owner {
    type Error = Infallible;
    fn public_key(&self) -> PublicKey {
        PublicKey::parse(self.0.public_key().unwrap().as_ref()).unwrap()
    }
    fn sign(&self, message: &[u8]) -> Result<Signature, Infallible> {
        let signer = self.0.choose_scheme(&[SignatureScheme::ED25519]).unwrap();
        Ok(Hex(signer.sign(message).unwrap().try_into().unwrap()))
    }
}

/// Ed25519 as TLS has it.
fn check(key: &PublicKey, message: &[u8], signature: &Signature) -> bool {
    static ED25519: LazyLock<&dyn SignatureVerificationAlgorithm> = LazyLock::new(|| {
        let known = aws_lc_rs::default_provider().signature_verification_algorithms.mapping;
        known.iter().find(|(scheme, _)| *scheme == SignatureScheme::ED25519).unwrap().1[0]
    });
    ED25519.verify_signature(&key.0.0, message, &signature.0).is_ok()
}

fn judge(file: &str) -> Result<Certificate, Refusal> {
    verify(file.as_bytes(), &[Owner::of_the_rfc().public_key()], check)
}

fn rfc_key() -> PublicKey {
    PublicKey::parse(b"d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a").unwrap()
}

fn id(text: &str) -> Id {
    Id::parse(text).unwrap()
}

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn unit(code: &str) -> Unit {
    Unit::parse(code).unwrap()
}

fn decimal(text: &str) -> Decimal {
    Decimal::parse(text).unwrap()
}

fn path(text: &str) -> EquipmentPath {
    EquipmentPath::parse(text).unwrap()
}

fn time(text: &str) -> Timestamp {
    Timestamp::parse_rfc3339(text).unwrap()
}

fn test(characteristic: &str, value: &str, code: &str, lower: Option<&str>, upper: Option<&str>) -> TestValue {
    let limits = Limits::new(lower.map(decimal), upper.map(decimal)).unwrap();
    TestValue { characteristic: name(characteristic), value: decimal(value), unit: unit(code), limits }
}

/// A heat pump's circulator, as it leaves the line.
fn sample() -> Content {
    let (from, to) = (time("2026-11-27T06:12:03.250Z"), time("2026-11-27T06:21:41Z"));
    let times = [(Element::Production, 431_000_000), (Element::Setup, 62_500_000), (Element::Delay, 84_250_000)];
    let times =
        times.into_iter().map(|(element, micros)| Sums::of_time(element, micros)).fold(Sums::ZERO, |a, b| a + b);
    let digest = |byte| Hex([byte; 32]);
    let person = |number: u8| {
        Uuid::from_bytes([
            0x0c, 0x4e, 0x91, 0x5f, 0x6e, 0x1d, 0x4a, 0x0b, 0x8a, 0x51, 0x2f, 0x5d, 0x33, 0xc0, 0x77, number,
        ])
    };
    Content {
        unit: SerialUnit {
            serial: id("CP25-0004711"),
            product: Product { id: ProductId::Gtin(Gtin::parse("4006381333931").unwrap()), revision: id("C") },
        },
        identity: Some(Identity::PublicKey(Owner::new([7; 32]).public_key())),
        issuer: Issuer {
            site: path("works"),
            node_id: Uuid::from_bytes([
                0x6f, 0x9d, 0x2c, 0x1e, 0x38, 0x4b, 0x4c, 0x55, 0x9c, 0x1a, 0x6d, 0x0e, 0x2b, 0x7f, 0x48, 0x10,
            ]),
            key_id: Owner::of_the_rfc().public_key(),
        },
        issued_at: time("2026-11-27T06:21:44.871Z"),
        job_order: Some(id("4711-10")),
        parts: vec![
            Part {
                component: name("Pump housing, cast"),
                trace: Trace::Lot(id("GJL-2611-08")),
                quantity: Decimal::from(Quantity::pieces(1).unwrap()),
                unit: unit("1"),
                position: None,
            },
            Part {
                component: name("Motor 45 W"),
                trace: Trace::Serial(id("M45-99120")),
                quantity: decimal("1"),
                unit: unit("1"),
                position: Some(id("B1")),
            },
            Part {
                component: name("Grease, \"blue\""),
                trace: Trace::Lot(id("F\\77")),
                quantity: decimal("0.0125"),
                unit: unit("kg"),
                position: Some(id("bearing A")),
            },
        ],
        tests: vec![
            test("Leak rate at 6 bar", "0.031", "mL/min", None, Some("0.5")),
            test("Head at 1 m³/h", "4.2", "m", Some("4"), Some("4.6")),
            test("Winding resistance", "17.85", "Ohm", Some("17"), Some("19")),
            test("Noise at 1 m", "34.25", "dB", None, None),
        ],
        firmware: vec![Firmware {
            component: name("Motor controller"),
            version: id("2.4.1"),
            sha256: Some(digest(0x5a)),
        }],
        documents: vec![Document { name: name("Fitting the motor"), revision: id("7"), sha256: digest(0xc3) }],
        roles: vec![
            Role { role: id("assembler"), person: person(0x12) },
            Role { role: id("inspector"), person: person(0x34) },
        ],
        states: vec![StateTimes::new(path("works/line-2/cell-4"), from, to, &times).unwrap()],
        energy: vec![Energy {
            carrier: id("electricity"),
            quantity: decimal("0.184"),
            unit: unit("kW.h"),
            basis: None,
        }],
    }
}

fn signed(content: Content) -> String {
    Certificate::new(content).unwrap().seal(&Owner::of_the_rfc()).unwrap()
}

/// A certificate in JSON that was changed before it was signed.
fn signed_after(change: impl FnOnce(&mut serde_json::Value)) -> String {
    let mut certificate: serde_json::Value = serde_json::from_str(&signed(sample())).unwrap();
    let mut certificate = certificate["certificate"].take();
    change(&mut certificate);
    sealed_as_it_is(&certificate)
}

fn sealed_as_it_is(certificate: &serde_json::Value) -> String {
    let json = Json::read(certificate.to_string().as_bytes()).unwrap();
    let (owner, canonical) = (Owner::of_the_rfc(), json.canonical());
    let value = owner.sign(&canonical).unwrap();
    let canonical = String::from_utf8(canonical).unwrap();
    format!(
        "{{\"certificate\":{canonical},\"signature\":{{\"alg\":\"Ed25519\",\"key_id\":\"{}\",\"value\":\"{value}\"}}}}",
        owner.public_key()
    )
}

#[test]
fn the_library_is_the_ed25519_of_rfc_8032() {
    // 7.1, tests 1 and 3.
    let owner = Owner::of_the_rfc();
    assert_eq!(owner.public_key().to_string(), "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
    let signature = "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b";
    assert_eq!(owner.sign(b"").unwrap().to_string(), signature);
    let key = PublicKey::parse(b"fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025").unwrap();
    let signature = Hex::parse("6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a").unwrap();
    assert!(check(&key, &[0xaf, 0x82], &signature));
    assert!(!check(&key, &[0xaf, 0x83], &signature));
}

#[test]
fn a_certificate_is_read_back_as_it_was_signed() {
    let file = signed(sample());
    assert_eq!(judge(&file).unwrap(), Certificate::new(sample()).unwrap());
    assert!(file.ends_with("}\n") && !file.trim_end().contains('\n'), "one line");
    let mut bare = sample();
    bare.identity = Some(Identity::Id(id("cp25-0004711")));
    bare.unit.product.id = ProductId::Own(id("CP-25"));
    (bare.parts, bare.tests, bare.firmware, bare.documents) = Default::default();
    (bare.roles, bare.states, bare.energy) = Default::default();
    assert_eq!(judge(&signed(bare.clone())).unwrap().content(), &bare);
    bare.identity = None;
    assert_eq!(judge(&signed(bare.clone())).unwrap().content(), &bare);
}

/// Where the sample and its key are kept, for programs of others to verify.
fn kept(file: &str, now: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases/certificate").join(file);
    if std::env::var_os("UPDATE_CASES").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, now).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap_or_default(), now, "{}", path.display());
}

#[test]
fn the_sample_that_others_verify_is_what_is_made_today() {
    kept("sample.json", &signed(sample()));
    kept("key.pem", &Owner::of_the_rfc().public_key().to_pem());
}

/// The file as people like to read it: members in another order, and white space.
fn laid_out(file: &str) -> String {
    fn write(json: &Json, indent: usize, out: &mut String) {
        let line = |out: &mut String, indent| *out += &format!("\r\n{}", "\t".repeat(indent));
        match json {
            Json::List(values) => {
                out.push('[');
                for (at, value) in values.iter().enumerate() {
                    *out += if at > 0 { " , " } else { " " };
                    write(value, indent + 1, out);
                }
                out.push(']');
            }
            Json::Members(members) => {
                out.push('{');
                for (at, (name, value)) in members.iter().rev().enumerate() {
                    *out += if at > 0 { "," } else { "" };
                    line(out, indent + 1);
                    *out += &format!("{}: ", serde_json::to_string(name).unwrap());
                    write(value, indent + 1, out);
                }
                line(out, indent);
                out.push('}');
            }
            other => *out += std::str::from_utf8(&other.canonical()).unwrap(),
        }
    }
    let mut out = String::from("\n");
    write(&Json::read(file.as_bytes()).unwrap(), 0, &mut out);
    out + " \n"
}

#[test]
fn white_space_and_the_order_of_members_are_of_no_effect() {
    let file = laid_out(&signed(sample()));
    assert!(file.len() > signed(sample()).len() + 500);
    assert_eq!(judge(&file).unwrap(), Certificate::new(sample()).unwrap());
}

/// A small certificate with everything in it, so that every change of it can be tried.
fn small() -> Content {
    let mut content = sample();
    content.parts.drain(..2);
    content.tests.truncate(2);
    content.roles.truncate(1);
    content
}

/// Tries a changed file: it is refused, or differs in white space alone.
fn try_changed(
    file: &[u8],
    changed: &[u8],
    check: impl FnOnce(&PublicKey, &[u8], &Signature) -> bool,
    taken: &mut usize,
) {
    if let Ok(certificate) = verify(changed, &[rfc_key()], check) {
        assert_eq!(certificate, Certificate::new(small()).unwrap());
        let (was, is) = (without_white_space(file), without_white_space(changed));
        assert_eq!(was, is, "{}", String::from_utf8_lossy(changed));
        *taken += 1;
    }
}

/// Without the white space that stands between values.
fn without_white_space(file: &[u8]) -> Vec<u8> {
    let (mut inside, mut escaped) = (false, false);
    let mut kept = Vec::new();
    for byte in file {
        if inside || !b" \t\r\n".contains(byte) {
            kept.push(*byte);
        }
        match (*byte, escaped) {
            (b'"', false) => inside = !inside,
            (b'\\', false) => {
                escaped = true;
                continue;
            }
            _ => {}
        }
        escaped = false;
    }
    kept
}

#[test]
fn one_changed_byte_is_refused_or_is_white_space() {
    let canonical = Certificate::new(small()).unwrap().canonical();
    let value = Owner::of_the_rfc().sign(&canonical).unwrap();
    for (file, is_laid_out) in [(signed(small()), false), (laid_out(&signed(small())), true)] {
        let (mut file, mut taken) = (file.into_bytes(), 0);
        let original = file.clone();
        for at in 0..file.len() {
            let one_bit = |byte: u8| (byte ^ original[at]).is_power_of_two();
            // Where the file is laid out, what has a meaning in JSON.
            let tried = |byte: u8| !is_laid_out || one_bit(byte) || b" \t\r\n\"\\{}[],:".contains(&byte);
            for byte in (0..=255).filter(|byte| *byte != original[at] && tried(*byte)) {
                file[at] = byte;
                // With a signature that holds for nothing else, which leaves our own reading to be tried; what differs in one bit with
                // the real one, too.
                try_changed(&original, &file, |_, message, given| message == canonical && *given == value, &mut taken);
                if one_bit(byte) {
                    try_changed(&original, &file, check, &mut 0);
                }
            }
            file[at] = original[at];
        }
        // Each byte of white space has three others.
        let spaces = original.len() - without_white_space(&original).len();
        assert_eq!(taken, 3 * spaces);
    }
}

#[test]
fn one_byte_more_or_less_is_refused_or_is_white_space() {
    for file in [signed(small()), laid_out(&signed(small()))] {
        let (file, mut taken) = (file.into_bytes(), 0);
        for at in 0..=file.len() {
            if at < file.len() {
                try_changed(&file, &[&file[..at], &file[at + 1..]].concat(), check, &mut taken);
            }
            for byte in b"\"\\{}[],:0aF. \n\0\xc3".iter().chain(file.get(at)) {
                try_changed(&file, &[&file[..at], &[*byte], &file[at..]].concat(), check, &mut taken);
            }
            try_changed(&file, &file[..at], check, &mut taken);
        }
        assert!(taken > 500, "{taken}");
    }
}

#[test]
fn what_is_wrong_is_said() {
    let file = signed(sample());
    let other = Owner::new([9; 32]).public_key();
    let refused = |file: &str| judge(file).unwrap_err().to_string();
    let rfc = Owner::of_the_rfc().public_key();
    let with = |old: &str, new: &str| {
        assert!(file.contains(old), "{old}");
        file.replacen(old, new, 1)
    };

    assert_eq!(judge(&with("CP25-0004711", "CP25-0004712")), Err(Refusal::Signature { key: rfc }));
    assert_eq!(judge(&with("\"0.031\"", "\"0.931\"")), Err(Refusal::Signature { key: rfc }));
    let trusted = |keys: &[PublicKey]| verify(file.as_bytes(), keys, check);
    assert_eq!(trusted(&[]), Err(Refusal::UnknownKey { key: rfc, trusted: 0 }));
    assert_eq!(trusted(&[other]), Err(Refusal::UnknownKey { key: rfc, trusted: 1 }));
    assert!(trusted(&[other, rfc]).is_ok());
    // Somebody who puts a trusted key's name on their own signature.
    let theirs = file.replace(&rfc.to_string(), &other.to_string());
    assert_eq!(verify(theirs.as_bytes(), &[other], check), Err(Refusal::Signature { key: other }));

    for (changed, said) in [
        (String::new(), "this is no JSON: EOF while parsing a value at line 1 column 0"),
        (file.clone() + "x", "this is no JSON: trailing characters at line 2 column 1"),
        ("[]".into(), "this is no signed certificate: the file is no object"),
        ("{\"certificate\":{}}".into(), "this is no signed certificate: the file has no member `signature`"),
        (
            "{\"certificate\":1,\"signature\":{}}".into(),
            "this is no signed certificate: `certificate` has no text `format`",
        ),
        (
            with("\"signature\"", "\"signatur\""),
            "this is no signed certificate: the file has a member \"signatur\", which there is not",
        ),
        (
            with("andon-birth", "andon-death"),
            "the format is \"andon-death-certificate\"; a birth certificate's is \"andon-birth-certificate\"",
        ),
        (
            with("\"version\":1}", "\"version\":2}"),
            "it is of version 2 of the format, and this program knows version 1 only; a newer one may know it",
        ),
        (
            with("\"version\":1}", "\"version\":\"1\"}"),
            "this is no signed certificate: `certificate` has no number `version`",
        ),
        (
            with("\"version\":1}", "\"version\":1.0}"),
            "the number 1 is not a whole one between ±9007199254740991; others are signed as texts, such as \"12.5\"",
        ),
        (with("\"Ed25519\"", "\"HS256\""), "it is signed by \"HS256\"; a birth certificate is signed by Ed25519"),
        (
            with("\"serial\":\"CP25-0004711\"", "\"serial\":\"CP25-0004711\",\"serial\":\"X\""),
            "an object has two members \"serial\", and readers may take either",
        ),
        (
            with(&format!("{rfc}\",\"value\":\""), &format!("{rfc}\",\"value\":\"A")),
            "this is no signed certificate: `value`: 128 digits of 0-9 and a-f are expected here, in lower case",
        ),
        (with("\"serial\":\"C", "\"serial\":\"\\u0043"), "byte"),
    ] {
        let found = refused(&changed);
        assert!(found.starts_with(said), "{found}");
    }
    assert_eq!(verify(&vec![b' '; FILE_MAX + 1], &[rfc], check), Err(Refusal::Large));
}

#[test]
fn what_was_signed_and_cannot_be_is_said() {
    let refused = |change: &dyn Fn(&mut serde_json::Value)| judge(&signed_after(change)).unwrap_err().to_string();
    assert!(judge(&signed_after(|_| ())).is_ok());
    // A verdict is computed, not claimed.
    let said = refused(&|c| c["tests"][0]["value"] = "0.9".into());
    assert!(
        said.starts_with("the signature is right, but the content is not: \"Leak rate at 6 bar\" says pass, but 0.9 with the upper limit 0.5 is fail, near "),
        "{said}"
    );
    for (test, claimed, words) in [
        (1, "fail", "\"Head at 1 m³/h\" says fail, but 4.2 with the limits 4 and 4.6 is pass"),
        (3, "pass", "\"Noise at 1 m\" says pass, but 34.25 with no limits is no_limits"),
        (0, "no_limits", "says no_limits, but 0.031 with the upper limit 0.5 is pass"),
        (0, "Pass", "unknown variant `Pass`"),
    ] {
        let said = refused(&|c| c["tests"][test]["verdict"] = claimed.into());
        assert!(said.contains(words), "{said}");
    }
    type Change = fn(&mut serde_json::Value);
    let changes: [(Change, &str); 20] = [
        (|c| c["tests"][1]["lower"] = "5".into(), "the lower limit 5 is above the upper limit 4.6"),
        (
            |c| c["tests"][1]["value"] = "4.20".into(),
            "\"4.20\" is no decimal number as it stands in a certificate; \"12.5\", \"-0.25\" and \"0\" are, near ",
        ),
        (|c| c["tests"][1]["value"] = 4.into(), "invalid type: integer `4`, expected a string"),
        (
            |c| c["unit"]["product"]["gtin"] = "4006381333913".into(),
            "the GTIN 4006381333913 ends with 3, but its check digit is 7",
        ),
        (|c| c["unit"]["product"]["id"] = "X".into(), "either `gtin` or `id` is needed, and not both"),
        (|c| c["parts"][0]["lot"] = serde_json::Value::Null, "either `lot` or `serial` is needed, and not both"),
        (|c| c["parts"][1]["quantity"] = "0".into(), "`parts`, entry 2: the quantity 0 cannot be"),
        (|c| c["energy"][0]["quantity"] = "-1".into(), "`energy`, entry 1: the quantity -1 cannot be"),
        (
            |c| c["states"][0]["times_us"]["setup"] = 1.into(),
            "the times of works/line-2/cell-4 are 515250001 µs together",
        ),
        (|c| c["states"][0]["times_us"]["setup"] = (-1).into(), "invalid value: integer `-1`"),
        (|c| c["states"][0]["times_us"]["idle"] = 0.into(), "it has something that version 1 says in another way"),
        (|c| c["states"][0]["to"] = "2026-11-27T06:21:41.000Z".into(), "is no time as it stands in a certificate"),
        (|c| c["states"][0]["to"] = "2025-11-27T06:21:41Z".into(), "is no time in which a unit is made"),
        (|c| c["issued_at"] = "2026-11-27T07:21:44.871+01:00".into(), "is no time as it stands in a certificate"),
        (
            |c| c["issuer"]["node_id"] = "6F9D2C1E-384B-4C55-9C1A-6D0E2B7F4810".into(),
            "it has something that version 1 says in another way",
        ),
        (|c| c["identity"] = serde_json::Value::Null, "it has something that version 1 says in another way"),
        (|c| c["job_order"] = "".into(), "a text is empty"),
        (|c| c["unit"]["serial"] = "CP\u{200b}25".into(), "character 3 is U+200B"),
        (|c| c["more"] = true.into(), "unknown field `more`"),
        (|c| drop(c.as_object_mut().unwrap().remove("roles")), "missing field `roles`"),
    ];
    for (change, words) in changes {
        let said = refused(&change);
        assert!(said.starts_with("the signature is right, but the content is not: ") && said.contains(words), "{said}");
    }
    // What a message shows of the file is short, and does nothing to a terminal.
    let long = "\u{9b}2J\u{202e}".repeat(100_000);
    for said in [refused(&|c| c["job_order"] = long.as_str().into()), refused(&|c| c[&long] = 1.into())] {
        assert!(said.len() < 4_000 && andon_model::text::check_line(&said).is_ok(), "{said}");
    }
    let twice = format!("{{\"{long}\":1,\"{long}\":1}}");
    assert!(judge(&twice).unwrap_err().to_string().len() < 1_000);
    let other = Owner::new([9; 32]).public_key();
    let signed_by_another = judge(&signed_after(|c| c["issuer"]["key_id"] = other.to_string().into()));
    assert_eq!(signed_by_another, Err(Refusal::OtherKey { named: other, signed: Owner::of_the_rfc().public_key() }));
}

#[test]
fn a_certificate_under_another_key_is_not_signed() {
    let certificate = Certificate::new(sample()).unwrap();
    let other = Owner::new([9; 32]);
    let error = certificate.seal(&other).unwrap_err();
    assert_eq!(error, SealError::OtherKey { named: Owner::of_the_rfc().public_key(), given: other.public_key() });
}

#[test]
fn a_limit_itself_is_within() {
    let limits = Limits::new(Some(decimal("-0.1")), Some(decimal("0.3"))).unwrap();
    for (value, verdict) in [("-0.1", Verdict::Pass), ("0.3", Verdict::Pass), ("0", Verdict::Pass)] {
        assert_eq!(limits.verdict(decimal(value)), verdict, "{value}");
    }
    for value in ["-0.100000000000000001", "0.300000000000000001", "-1", "10"] {
        assert_eq!(limits.verdict(decimal(value)), Verdict::Fail, "{value}");
    }
    // What a sum of floats is, is not what people wrote as the limit.
    assert_eq!(limits.verdict(Decimal::from_f64(0.1 + 0.2).unwrap()), Verdict::Fail);
    let mut failed = sample();
    failed.tests.push(test("Vibration", "2.9", "mm/s", None, Some("2.8")));
    assert_eq!(judge(&signed(failed)).unwrap().failed(), 1, "it is true all the same, and says so");
}

#[test]
fn the_largest_certificate_fits_the_file_and_one_more_entry_is_refused() {
    let mut content = sample();
    // As many bytes as 64 and 128 characters can have: four each, or two where they are escaped.
    let (long_id, long_name) = (id(&"😀".repeat(64)), name(&"😀".repeat(128)));
    let long_unit = unit(&format!("{{{}}}", "x".repeat(62)));
    let digits = decimal("-999999999999999999.999999999999999999");
    let large = decimal("999999999999999999.999999999999999999");
    let (a, b) = (time("1999-01-01T00:00:00.000001Z"), time("2026-01-01T00:00:00.000009Z"));
    let window = b.micros() - a.micros();
    let times =
        Element::ALL.into_iter().map(|element| Sums::of_time(element, window / 8)).fold(Sums::ZERO, |a, b| a + b);
    let deep = path(&["x".repeat(63), "y".repeat(63), "z".repeat(63), "w".repeat(63)].join("/"));
    let part = Part {
        component: long_name.clone(),
        trace: Trace::Serial(long_id.clone()),
        quantity: large,
        unit: long_unit.clone(),
        position: Some(long_id.clone()),
    };
    let limits = Limits::new(Some(digits), Some(large)).unwrap();
    let measured = TestValue { characteristic: long_name.clone(), value: digits, unit: long_unit.clone(), limits };
    content.parts = vec![part; PARTS_MAX];
    content.tests = vec![measured; PARTS_MAX];
    content.firmware =
        vec![
            Firmware { component: long_name.clone(), version: long_id.clone(), sha256: Some(Hex([1; 32])) };
            ROLES_MAX
        ];
    content.documents =
        vec![Document { name: long_name, revision: long_id.clone(), sha256: Hex([1; 32]) }; DOCUMENTS_MAX];
    content.roles = vec![Role { role: long_id.clone(), person: Uuid::max() }; ROLES_MAX];
    content.states = vec![StateTimes::new(deep, a, b, &times).unwrap(); DOCUMENTS_MAX];
    let basis = Some(long_id.clone());
    content.energy = vec![Energy { carrier: long_id, quantity: large, unit: long_unit, basis }; ROLES_MAX];
    let file = signed(content.clone());
    assert!(file.len() < FILE_MAX * 2 / 3, "{}", file.len());
    assert_eq!(judge(&file).unwrap().content(), &content);
    content.parts.push(content.parts[0].clone());
    let said = Certificate::new(content).unwrap_err().to_string();
    assert_eq!(said, "`parts` has 2001 entries, and a certificate at most 2000");
}

fn any_text<const MAX: usize>() -> impl Strategy<Value = Text<MAX>> {
    any::<String>().prop_filter_map("no text", |text| Text::parse(&text.chars().take(MAX).collect::<String>()).ok())
}

fn any_decimal() -> impl Strategy<Value = Decimal> {
    (-1e12..1e12_f64, 0..6).prop_map(|(number, places)| Decimal::from_f64(number / 10f64.powi(places)).unwrap())
}

fn any_test() -> impl Strategy<Value = TestValue> {
    let limit = || proptest::option::of(any_decimal());
    (any_text(), any_decimal(), limit(), limit()).prop_map(|(characteristic, value, a, b)| {
        let (lower, upper) = if a.is_some() && b.is_some() { (a.min(b), a.max(b)) } else { (a, b) };
        TestValue {
            characteristic,
            value,
            unit: Unit::parse("bar").unwrap(),
            limits: Limits::new(lower, upper).unwrap(),
        }
    })
}

proptest! {
    #[test]
    fn whatever_is_signed_is_read_back(
        serial in any_text(),
        tests in proptest::collection::vec(any_test(), 0..8),
        lots in proptest::collection::vec((any_text(), any_text(), proptest::option::of(any_text())), 0..8),
        issued in Timestamp::FIRST_DATE.micros()..=Timestamp::LAST_DATE.micros(),
    ) {
        let mut content = sample();
        content.unit.serial = serial;
        content.tests = tests;
        content.issued_at = Timestamp::from_micros(issued);
        content.parts = lots.into_iter().map(|(component, lot, position)| Part {
            component, trace: Trace::Lot(lot), quantity: Decimal::from_f64(0.1).unwrap(), unit: Unit::parse("kg").unwrap(), position,
        }).collect();
        let file = signed(content.clone());
        for file in [laid_out(&file), file] {
            let read = judge(&file).unwrap();
            prop_assert_eq!(read.content(), &content);
            let failed = content.tests.iter().filter(|t| t.limits.lower().is_some_and(|l| t.value < l) || t.limits.upper().is_some_and(|u| t.value > u));
            prop_assert_eq!(read.failed(), failed.count());
        }
    }

    #[test]
    fn no_bytes_break_the_reader(at in any::<prop::sample::Index>(), bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
        let file = signed(sample()).into_bytes();
        let at = at.index(file.len());
        let changed = [&file[..at], &bytes, &file[(at + bytes.len()).min(file.len())..]].concat();
        if changed != file {
            let judged = verify(&changed, &[Owner::of_the_rfc().public_key()], check);
            prop_assert!(judged.is_err() || without_white_space(&changed) == without_white_space(&file));
        }
    }
}
