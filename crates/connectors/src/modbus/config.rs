//! The user's words about one Modbus device, checked. Pure: no sockets, no clock, no bus.
//!
//! [`parse`] turns settings and the plant's tags into a [`Config`] or into findings, each with its place.
//! Whoever holds a `Config` need not check again: addresses with their width lie in 0..=65535, the type fits the tag,
//! a writable register lies in a writable table and its tag has a write rule, and no tag stands twice.

use crate::settings::{Findings, Section, tags_read};
use andon_model::plant::{ConnectorDef, Finding, Plant, TagDef};
use andon_model::{DataType, TagPath};
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::time::Duration;

/// The most registers one read may ask for (Modbus Application Protocol V1.1b3 §6.3, §6.4).
pub const MAX_READ_REGISTERS: u16 = 125;
/// The most coils or discrete inputs one read may ask for (V1.1b3 §6.1, §6.2).
pub const MAX_READ_BITS: u16 = 2000;
/// The most `[[connector.register]]` entries of one device.
pub const MAX_REGISTERS: usize = 10_000;

/// One of the four tables of a Modbus device.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Table {
    /// Bits that can be written (function codes 1, 5, 15).
    Coil,
    /// Bits that can only be read (function code 2).
    Discrete,
    /// 16-bit registers that can be written (function codes 3, 6, 16, 22).
    Holding,
    /// 16-bit registers that can only be read (function code 4).
    Input,
}

impl Table {
    /// The word in settings and messages.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Coil => "coil",
            Self::Discrete => "discrete",
            Self::Holding => "holding",
            Self::Input => "input",
        }
    }

    /// True for the two tables of single bits.
    #[must_use]
    pub const fn is_bits(self) -> bool {
        matches!(self, Self::Coil | Self::Discrete)
    }

    /// True for the two tables that take writes.
    #[must_use]
    pub const fn is_writable(self) -> bool {
        matches!(self, Self::Coil | Self::Holding)
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// How a value lies in registers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum Kind {
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
    F32,
    F64,
    /// A coil or discrete input, a bit of a register (0 is the lowest), or a whole register (not 0 is true).
    Bool {
        bit: Option<u8>,
    },
    /// UTF-8 text, two bytes in a register, filled up with NUL; `words` registers long.
    Text {
        words: u16,
    },
}

impl Kind {
    /// How many registers (or bits, in the bit tables) it takes.
    #[must_use]
    pub const fn width(self) -> u16 {
        match self {
            Self::U16 | Self::I16 | Self::Bool { .. } => 1,
            Self::U32 | Self::I32 | Self::F32 => 2,
            Self::U64 | Self::I64 | Self::F64 => 4,
            Self::Text { words } => words,
        }
    }

    const fn is_number(self) -> bool {
        !matches!(self, Self::Bool { .. } | Self::Text { .. })
    }

    const fn is_float(self) -> bool {
        matches!(self, Self::F32 | Self::F64)
    }

    /// The word in settings and messages.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::U16 => "u16",
            Self::I16 => "i16",
            Self::U32 => "u32",
            Self::I32 => "i32",
            Self::U64 => "u64",
            Self::I64 => "i64",
            Self::F32 => "f32",
            Self::F64 => "f64",
            Self::Bool { .. } => "bool",
            Self::Text { .. } => "string",
        }
    }
}

/// Which half comes first.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Order {
    /// The most significant first, as the Modbus specification lays out bytes.
    #[default]
    Big,
    /// The least significant first.
    Little,
}

/// `value = raw × scale + offset`, exact for decimal scales.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Scaling {
    /// The tag's units per raw step; finite, not zero.
    pub scale: f64,
    /// The value of raw 0; finite.
    pub offset: f64,
}

impl Scaling {
    /// Raw and value are the same.
    pub const NONE: Self = Self { scale: 1.0, offset: 0.0 };

    /// True when raw and value are the same.
    #[must_use]
    pub fn is_none(self) -> bool {
        self == Self::NONE
    }

    /// True when whole raw values make whole values.
    #[must_use]
    pub fn is_whole(self) -> bool {
        self.scale.fract() == 0.0 && self.offset.fract() == 0.0 && self.scale.abs() < 1e15 && self.offset.abs() < 1e15
    }
}

/// One value of the device, and the tag it becomes.
#[derive(Clone, PartialEq, Debug)]
pub struct Register {
    /// The tag.
    pub tag: TagPath,
    /// The tag's type.
    pub data_type: DataType,
    /// Which table.
    pub table: Table,
    /// The zero-based address as it stands in the request (the "40001" of a manual is holding address 0).
    pub address: u16,
    /// How the value lies there.
    pub kind: Kind,
    /// Which register of a value over several comes first.
    pub word_order: Order,
    /// Which byte of a register comes first.
    pub byte_order: Order,
    /// From raw to the tag's unit.
    pub scaling: Scaling,
    /// Whether the tag may be written through here.
    pub writable: bool,
    /// How often it is read.
    pub poll: Duration,
}

impl Register {
    /// The last address it takes.
    #[must_use]
    pub const fn last(&self) -> u16 {
        self.address.saturating_add(self.kind.width().saturating_sub(1))
    }

    /// How people find it in the device's manual: `holding 12..13`.
    #[must_use]
    pub fn place(&self) -> String {
        place(self.table, self.address, self.kind.width())
    }
}

/// A span of a table in words: `holding 12`, `input 0..9`.
#[must_use]
pub fn place(table: Table, start: u16, count: u16) -> String {
    match count {
        0 | 1 => format!("{table} {start}"),
        _ => format!("{table} {start}..{}", u32::from(start) + u32::from(count) - 1),
    }
}

/// One device, checked.
#[derive(Clone, PartialEq, Debug)]
pub struct Config {
    /// `host:port`; the name is looked up at each connect.
    pub endpoint: String,
    /// The unit identifier of the request header; 1 unless a gateway needs another.
    pub unit_id: u8,
    /// How long to wait for a connection and for each answer. After it the connection is dropped.
    pub timeout: Duration,
    /// Holes up to this many registers are read with their neighbours.
    pub max_gap: u16,
    /// The most registers in one read.
    pub max_read: u16,
    /// What is read.
    pub registers: Vec<Register>,
}

const ORDERS: [(&str, Order); 2] = [("big", Order::Big), ("little", Order::Little)];
const TABLES: [(&str, Table); 4] =
    [("holding", Table::Holding), ("input", Table::Input), ("coil", Table::Coil), ("discrete", Table::Discrete)];
const KINDS: [(&str, Kind); 10] = [
    ("u16", Kind::U16),
    ("i16", Kind::I16),
    ("u32", Kind::U32),
    ("i32", Kind::I32),
    ("u64", Kind::U64),
    ("i64", Kind::I64),
    ("f32", Kind::F32),
    ("f64", Kind::F64),
    ("bool", Kind::Bool { bit: None }),
    ("string", Kind::Text { words: 0 }),
];
const POLL: std::ops::RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(86_400);
const TIMEOUT: std::ops::RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(60);

/// What a register entry inherits from its device.
struct Defaults {
    poll: Duration,
    word_order: Order,
    byte_order: Order,
    max_read: u16,
}

/// Checks the settings of a Modbus connector against the plant's tags.
/// # Errors
/// Everything that is wrong, each with its place and a remedy.
pub fn parse(connector: &ConnectorDef, plant: &Plant) -> Result<Config, Vec<Finding>> {
    Findings::gather(|findings| device(connector, plant, findings))
}

fn device(connector: &ConnectorDef, plant: &Plant, findings: &mut Findings) -> Option<Config> {
    let mut section = Section::open(&connector.settings, Vec::new(), findings)?;
    let endpoint = endpoint(&mut section, findings);
    let unit_id = section.integer("unit_id", 0..=255, findings).and_then(|n| u8::try_from(n).ok()).unwrap_or(1);
    let timeout = section.duration("timeout", TIMEOUT, findings).unwrap_or(Duration::from_secs(1));
    let most = i64::from(MAX_READ_REGISTERS);
    let max_gap = section.integer("max_gap", 0..=most, findings).and_then(|n| u16::try_from(n).ok()).unwrap_or(8);
    let max_read = section.integer("max_read", 1..=most, findings).and_then(|n| u16::try_from(n).ok());
    let defaults = Defaults {
        poll: section.duration("poll", POLL, findings).unwrap_or(Duration::from_secs(1)),
        word_order: section.choice("word_order", &ORDERS, findings).unwrap_or_default(),
        byte_order: section.choice("byte_order", &ORDERS, findings).unwrap_or_default(),
        max_read: max_read.unwrap_or(MAX_READ_REGISTERS),
    };
    let registers = registers(&mut section, connector, plant, &defaults, findings);
    section.finish(findings);
    Some(Config { endpoint: endpoint?, unit_id, timeout, max_gap, max_read: defaults.max_read, registers })
}

fn endpoint(section: &mut Section<'_>, findings: &mut Findings) -> Option<String> {
    let text = section.required_text("endpoint", "\"192.168.1.20:502\"", findings)?;
    let good = text.rsplit_once(':').is_some_and(|(host, port)| {
        let plain = !host.is_empty()
            && host.len() <= 255
            && !host.chars().any(|c| c.is_whitespace() || matches!(c, '{' | '}' | '/' | '@'));
        let bracketed = host.starts_with('[') == host.ends_with(']') && (!host.contains(':') || host.starts_with('['));
        plain && bracketed && port.parse::<u16>().is_ok_and(|port| port > 0)
    });
    if !good {
        let message = format!("`endpoint` must be host:port, not \"{}\"", text.chars().take(80).collect::<String>());
        findings.add(
            section.at("endpoint"),
            message,
            "write the device's address and its port, usually 502: \"192.168.1.20:502\"",
        );
    }
    good.then(|| text.to_owned())
}

fn registers(
    section: &mut Section<'_>,
    connector: &ConnectorDef,
    plant: &Plant,
    defaults: &Defaults,
    findings: &mut Findings,
) -> Vec<Register> {
    let list = section.list("register", findings);
    if list.len() > MAX_REGISTERS {
        let message = format!("{} registers are more than the {MAX_REGISTERS} that one connector takes", list.len());
        findings.add(section.at("register"), message, "split the device over several connectors");
        return Vec::new();
    }
    if list.is_empty() && !section.has("register") {
        findings.add(
            section.here(),
            "no `register` is listed, so nothing would be read",
            "add a [[connector.register]] table",
        );
    }
    let tags: HashMap<&str, &TagDef> = plant.tags.iter().map(|tag| (tag.path.as_str(), tag)).collect();
    let others = plant.connectors.iter().filter(|other| other.name != connector.name);
    let elsewhere: HashMap<&str, &str> = tags_read(others).collect();
    let mut seen = HashSet::new();
    let mut registers = Vec::with_capacity(list.len());
    for (index, value) in list.iter().enumerate() {
        let pointer = vec!["register".to_owned(), index.to_string()];
        let Some(mut entry) = Section::open(value, pointer, findings) else { continue };
        let register = register(&mut entry, &tags, defaults, findings);
        if let Some(register) = register {
            let path = register.tag.as_str();
            if !seen.insert(register.tag.clone()) {
                findings.add(
                    entry.at("tag"),
                    format!("the tag {path} is already read by an earlier register"),
                    "remove one of the two",
                );
            } else if let Some(other) = elsewhere.get(path) {
                let message = format!("the tag {path} is already read by the connector \"{other}\"");
                findings.add(entry.at("tag"), message, "a tag has one source: remove one of the two");
            }
            registers.push(register);
        }
        entry.finish(findings);
    }
    registers
}

fn register(
    entry: &mut Section<'_>,
    tags: &HashMap<&str, &TagDef>,
    defaults: &Defaults,
    findings: &mut Findings,
) -> Option<Register> {
    let before = findings.len();
    let tag = tag(entry, tags, findings);
    let table = entry.choice("table", &TABLES, findings);
    if table.is_none() && !entry.has("table") {
        findings.add(entry.here(), "`table` is missing", "add table = \"holding\" (or input, coil, discrete)");
    }
    let address =
        entry.required_integer("address", 0..=65_535, "0 (zero-based: the 40001 of a manual is holding 0)", findings);
    let kind = kind(entry, table, defaults, findings);
    let scaling = scaling(entry, kind, findings);
    let writable = entry.boolean("write", findings).unwrap_or(false);
    let poll = entry.duration("poll", POLL, findings).unwrap_or(defaults.poll);
    let word_order = entry.choice("word_order", &ORDERS, findings).unwrap_or(defaults.word_order);
    let byte_order = entry.choice("byte_order", &ORDERS, findings).unwrap_or(defaults.byte_order);
    let (tag, table, kind) = (tag?, table?, kind?);
    let address = u16::try_from(address?).ok()?;
    let register = Register {
        tag: tag.path.clone(),
        data_type: tag.data_type,
        table,
        address,
        kind,
        word_order,
        byte_order,
        scaling,
        writable,
        poll,
    };
    check_width(&register, entry, findings);
    check_type(&register, entry, findings);
    check_write(&register, tag, entry, findings);
    (findings.len() == before).then_some(register)
}

fn tag<'p>(entry: &mut Section<'_>, tags: &HashMap<&str, &'p TagDef>, findings: &mut Findings) -> Option<&'p TagDef> {
    let path = entry.required_text("tag", "\"site/line/machine/value\"", findings)?;
    let found = tags.get(path).copied();
    if found.is_none() {
        let message = format!("there is no tag \"{}\"", path.chars().take(255).collect::<String>());
        findings.add(entry.at("tag"), message, "add a [[tag]] with this path, or correct the path");
    }
    found
}

fn kind(entry: &mut Section<'_>, table: Option<Table>, defaults: &Defaults, findings: &mut Findings) -> Option<Kind> {
    let bits = table.is_some_and(Table::is_bits);
    let kind = entry.choice("type", &KINDS, findings);
    let length =
        entry.integer("length", 1..=i64::from(defaults.max_read), findings).and_then(|n| u16::try_from(n).ok());
    let bit = entry.integer("bit", 0..=15, findings).and_then(|n| u8::try_from(n).ok());
    if kind.is_none() && entry.has("type") {
        return None;
    }
    if entry.has("length") && !matches!(kind, Some(Kind::Text { .. })) {
        findings.add(
            entry.at("length"),
            "`length` is for type = \"string\" only",
            "remove it: the type gives the width",
        );
    }
    if entry.has("bit") && (bits || !matches!(kind, Some(Kind::Bool { .. }) | None)) {
        findings.add(
            entry.at("bit"),
            "`bit` is for type = \"bool\" in a register only",
            "remove it, or set table and type to match",
        );
    }
    match (bits, kind) {
        (true, None | Some(Kind::Bool { .. })) => Some(Kind::Bool { bit: None }),
        (true, Some(other)) => {
            let message = format!("a coil or discrete input is one bit, not {}", other.word());
            findings.add(entry.at("type"), message, "use type = \"bool\", or a register table");
            None
        }
        (false, None) if entry.has("bit") => Some(Kind::Bool { bit }),
        (false, None) => {
            findings.add(
                entry.here(),
                "`type` is missing",
                "add type = \"u16\" (or i16, u32, i32, u64, i64, f32, f64, bool, string)",
            );
            None
        }
        (false, Some(Kind::Bool { .. })) => Some(Kind::Bool { bit }),
        (false, Some(Kind::Text { .. })) => {
            if !entry.has("length") {
                findings.add(
                    entry.here(),
                    "`length` is missing: how many registers the string takes",
                    "add length = 8 (16 characters)",
                );
            }
            Some(Kind::Text { words: length? })
        }
        (false, Some(number)) => Some(number),
    }
}

fn scaling(entry: &mut Section<'_>, kind: Option<Kind>, findings: &mut Findings) -> Scaling {
    let scale = entry.number("scale", findings).unwrap_or(1.0);
    let offset = entry.number("offset", findings).unwrap_or(0.0);
    if scale == 0.0 {
        findings.add(
            entry.at("scale"),
            "`scale` must not be 0: every value would be the offset",
            "give the units per raw step",
        );
    }
    for key in ["scale", "offset"] {
        if entry.has(key) && kind.is_some_and(|kind| !kind.is_number()) {
            findings.add(entry.at(key), format!("`{key}` is for numbers only"), "remove it");
        }
    }
    Scaling { scale, offset }
}

fn check_width(register: &Register, entry: &Section<'_>, findings: &mut Findings) {
    let width = register.kind.width();
    if u32::from(register.address) + u32::from(width) > 65_536 {
        let message = format!("{} registers from address {} end beyond 65535", width, register.address);
        findings.add(entry.at("address"), message, "correct the address or the type; addresses count from zero");
    }
}

fn check_type(register: &Register, entry: &Section<'_>, findings: &mut Findings) {
    let Register { kind, data_type, scaling, tag, .. } = register;
    let fits = match data_type {
        DataType::Boolean => matches!(kind, Kind::Bool { .. }),
        DataType::Int64 => {
            matches!(kind, Kind::Bool { .. }) || (kind.is_number() && !kind.is_float() && scaling.is_whole())
        }
        DataType::Double => kind.is_number(),
        DataType::String => matches!(kind, Kind::Text { .. }),
    };
    if fits {
        return;
    }
    let what = if kind.is_number() && !scaling.is_none() {
        format!("a scaled {}", kind.word())
    } else {
        kind.word().to_owned()
    };
    let place = if entry.has("type") { entry.at("type") } else { entry.here() };
    let message = format!("{what} does not fit the tag {tag}, which is {}", data_type.name());
    let remedy = match (kind, data_type) {
        (Kind::Bool { .. }, _) => "make the tag boolean or int64",
        (Kind::Text { .. }, _) => "make the tag string",
        (_, DataType::Boolean) => "use type = \"bool\", with `bit` for one bit of a register, or make the tag int64",
        _ => "make the tag double",
    };
    findings.add(place, message, remedy);
}

fn check_write(register: &Register, tag: &TagDef, entry: &Section<'_>, findings: &mut Findings) {
    if !register.writable {
        return;
    }
    if !register.table.is_writable() {
        let message = format!("the {} table cannot be written", register.table);
        findings.add(entry.at("write"), message, "use a holding register or a coil, or remove write = true");
    }
    if tag.write.is_none() {
        let message = format!("the tag {} has no write rule", tag.path);
        findings.add(
            entry.at("write"),
            message,
            "add write = { … } to the tag: who may write how far is the tag's matter",
        );
    }
    if register.kind == (Kind::Bool { bit: None }) && register.table == Table::Holding {
        let message = "a whole register as bool can be read, but a write would have to invent a number";
        findings.add(entry.at("write"), message, "name the bit with `bit`, or use type = \"u16\"");
    }
}
