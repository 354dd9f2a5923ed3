//! Golden cases: `src/modbus/cases/<name>/` with `config.toml` and `wire.hex` → `expected.txt` or `error.txt`.
//!
//! `config.toml` holds the connector's settings, `[[tag]]` (path, type, range) and, for writes, `[[write]]` (tag, value).
//! `wire.hex` is the conversation: `>` we must send exactly this, `<` the device answers this; `#` begins a comment.

use crate::rig::{PATIENCE, plant, tag};
use andon_connectors::check;
use andon_connectors::modbus::config::{self, Config};
use andon_connectors::modbus::driver::read_once;
use andon_connectors::modbus::link::{Link, LinkError};
use andon_connectors::modbus::value::encode;
use andon_model::plant::{Plant, TagDef};
use andon_model::{DataType, Value};
use std::fmt::Write;
use std::path::Path;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

#[tokio::test]
async fn golden_cases() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/modbus/cases");
    let mut names: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    assert!(names.len() >= 6);
    for case in names {
        let outcome = tokio::time::timeout(PATIENCE, run(&case)).await.unwrap();
        let file = case.join(if outcome.is_ok() { "expected.txt" } else { "error.txt" });
        let expected = std::fs::read_to_string(&file).unwrap_or_default();
        let actual = outcome.unwrap_or_else(|error| error);
        assert_eq!(actual, expected, "{} differs", file.display());
    }
}

async fn run(case: &Path) -> Result<String, String> {
    let document: serde_json::Value =
        toml::from_str(&std::fs::read_to_string(case.join("config.toml")).unwrap()).unwrap();
    let mut settings = document.clone();
    let object = settings.as_object_mut().unwrap();
    object.remove("tag");
    object.remove("write");
    let tags = document["tag"].as_array().unwrap().iter().map(tag_of).collect();
    let wire = std::fs::read_to_string(case.join("wire.hex")).unwrap_or_default();
    let peer = Peer::listen(&wire).await;
    if settings.get("endpoint").is_some_and(|endpoint| endpoint == "{device}") {
        settings["endpoint"] = peer.address.clone().into();
    }
    let plant = plant(tags, settings);
    let config = checked(&plant)?;
    let outcome = talk(&config, &document).await;
    let unspoken = peer.task.await.unwrap();
    assert_eq!(unspoken, Ok(()), "{}", case.display());
    outcome.map_err(|error| format!("{error}\n  try: {}\n", error.remedy()))
}

fn checked(plant: &Plant) -> Result<Config, String> {
    let findings = check(&plant.connectors[0], plant);
    let mut words = String::new();
    for finding in findings {
        writeln!(words, "{}: {}\n  try: {}", finding.pointer.join("."), finding.message, finding.remedy).unwrap();
    }
    if words.is_empty() { Ok(config::parse(&plant.connectors[0], plant).unwrap()) } else { Err(words) }
}

fn tag_of(entry: &serde_json::Value) -> TagDef {
    let data_type: DataType = serde_json::from_value(entry["type"].clone()).unwrap();
    let mut tag = tag(entry["path"].as_str().unwrap(), data_type);
    tag.range = entry.get("range").map(|range| serde_json::from_value(range.clone()).unwrap());
    tag
}

/// Reads everything once, then carries out the writes; one line for each value and each write.
async fn talk(config: &Config, document: &serde_json::Value) -> Result<String, LinkError> {
    let mut link = Link::connect(config).await?;
    let mut lines = String::new();
    for (index, value, quality) in read_once(&mut link, config).await?.values {
        writeln!(lines, "{} = {value} {quality}", config.registers[index].tag).unwrap();
    }
    for write in document.get("write").and_then(|list| list.as_array()).into_iter().flatten() {
        let register = config.registers.iter().find(|register| register.tag.as_str() == write["tag"]).unwrap();
        let value: Value = serde_json::from_value(write["value"].clone()).unwrap();
        let outcome = match encode(register, &value) {
            Err(error) => error.to_string(),
            Ok(raw) => match link.write(register.table, register.address, &raw).await? {
                Ok(()) => "taken".to_owned(),
                Err(refused) => refused.to_string(),
            },
        };
        writeln!(lines, "{} := {value}: {outcome}", register.tag).unwrap();
    }
    Ok(lines)
}

/// Plays the device's part of `wire.hex` on a socket.
struct Peer {
    address: String,
    task: tokio::task::JoinHandle<Result<(), String>>,
}

impl Peer {
    async fn listen(wire: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let lines: Vec<(char, Vec<u8>)> = wire.lines().filter_map(line).collect();
        let task = tokio::spawn(async move {
            if lines.is_empty() {
                return Ok(());
            }
            let (mut stream, _) = listener.accept().await.unwrap();
            for (direction, bytes) in lines {
                if direction == '<' {
                    stream.write_all(&bytes).await.unwrap();
                    continue;
                }
                let mut got = vec![0; bytes.len()];
                stream.read_exact(&mut got).await.map_err(|error| format!("{bytes:02x?} was not sent: {error}"))?;
                if got != bytes {
                    return Err(format!("sent     {got:02x?}\nexpected {bytes:02x?}"));
                }
            }
            let mut more = Vec::new();
            // The client closes when it is done; a reset is as good.
            let _ = stream.read_to_end(&mut more).await;
            if more.is_empty() { Ok(()) } else { Err(format!("sent too much: {more:02x?}")) }
        });
        Self { address, task }
    }
}

fn line(line: &str) -> Option<(char, Vec<u8>)> {
    let text = line.split('#').next().unwrap().trim();
    let direction = text.chars().next()?;
    assert!(matches!(direction, '>' | '<'), "{line}");
    let digits: Vec<u32> = text[1..].chars().filter_map(|c| c.to_digit(16)).collect();
    Some((direction, digits.chunks(2).map(|pair| u8::try_from(pair[0] * 16 + pair[1]).unwrap()).collect()))
}
