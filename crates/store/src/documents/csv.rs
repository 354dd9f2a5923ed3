//! Tables of materials, bills and operations as spreadsheets save them, into the same tree as TOML.
//!
//! A file's name says what its rows are: `materials.csv`, `bills.csv`, … ([`TABLES`]). Its first line names the columns. Rows of bills,
//! characteristics and operations belong to a material of another row, so all such files of one change are read together; that way each
//! material is as whole as one in TOML, and the same rules look at it.

use super::node::{Data, Entry, Node};
use super::report::{Place, Report, nearest};
use std::collections::{BTreeMap, HashMap};

/// The most rows of a file.
const ROWS: usize = 200_000;
/// More columns than so many are not looked at; none of the tables has as many.
const COLUMNS: usize = 50;

/// What a cell holds.
#[derive(Clone, Copy, PartialEq)]
enum Cell {
    Text,
    Number,
    /// Texts with `|` between them; a `-` alone is the empty list.
    List,
}
use Cell::{List, Number, Text};

/// What the rows of a file are.
struct Table {
    /// The file's name begins with it, with or without an `s` at its end.
    word: &'static str,
    /// The key under which rows stand in a material; `None`: they are parts of the model themselves.
    inside: Option<&'static str>,
    /// Column, the key that it becomes, and what its cells hold.
    columns: &'static [(&'static str, &'static str, Cell)],
}

/// The column that says to which material a row belongs.
const OWNER: &str = "material";

static TABLES: [Table; 10] = [
    Table {
        word: "material",
        inside: None,
        columns: &[
            ("name", "name", Text),
            ("revision", "revision", Text),
            ("title", "title", Text),
            ("description", "description", Text),
            ("unit", "unit", Text),
            ("gtin", "gtin", Text),
            ("tracked", "tracked", Text),
            ("family", "family", Text),
        ],
    },
    Table {
        word: "bill",
        inside: Some("bill"),
        columns: &[
            (OWNER, "", Text),
            ("component", "material", Text),
            ("quantity", "quantity", Number),
            ("operation", "operation", Text),
        ],
    },
    Table {
        word: "characteristic",
        inside: Some("characteristic"),
        columns: &[
            (OWNER, "", Text),
            ("name", "name", Text),
            ("unit", "unit", Text),
            ("target", "target", Number),
            ("lower", "lower", Number),
            ("upper", "upper", Number),
            ("operation", "operation", Text),
        ],
    },
    Table {
        word: "operation",
        inside: Some("operation"),
        columns: &[
            (OWNER, "", Text),
            ("name", "name", Text),
            ("title", "title", Text),
            ("equipment", "equipment", List),
            ("run_time", "run_time", Text),
            ("setup", "setup", Text),
            ("after", "after", List),
            ("skills", "skills", List),
            ("instructions", "instructions", List),
        ],
    },
    Table {
        word: "instruction",
        inside: None,
        columns: &[
            ("name", "name", Text),
            ("revision", "revision", Text),
            ("title", "title", Text),
            ("text", "text", Text),
        ],
    },
    Table {
        word: "skill",
        inside: None,
        columns: &[("name", "name", Text), ("title", "title", Text), ("description", "description", Text)],
    },
    Table {
        word: "reason",
        inside: None,
        columns: &[
            ("name", "name", Text),
            ("counts_as", "counts_as", Text),
            ("cause", "cause", Text),
            ("action", "action", Text),
        ],
    },
    Table {
        word: "maintenance_plan",
        inside: None,
        columns: &[
            ("name", "name", Text),
            ("title", "title", Text),
            ("equipment", "equipment", Text),
            ("every", "every", Text),
            ("every_cycles", "every_cycles", Number),
            ("every_run_time", "every_run_time", Text),
            ("condition", "condition", Text),
            ("begins", "begins", Text),
            ("lead", "lead", Text),
            ("within", "within", Text),
            ("estimated", "estimated", Text),
            ("priority", "priority", Number),
            ("skills", "skills", List),
            ("instructions", "instructions", List),
        ],
    },
    Table {
        word: "meter",
        inside: None,
        columns: &[
            ("name", "name", Text),
            ("title", "title", Text),
            ("at", "at", Text),
            ("tag", "tag", Text),
            ("reads", "reads", Text),
            ("carrier", "carrier", Text),
            ("factor", "factor", Number),
            ("rolls_over_at", "rolls_over_at", Number),
            ("most_kw", "most_kw", Number),
        ],
    },
    Table {
        word: "target",
        inside: None,
        columns: &[
            ("equipment", "equipment", Text),
            ("oee_index", "oee_index", Number),
            ("availability", "availability", Number),
            ("effectiveness", "effectiveness", Number),
            ("quality_ratio", "quality_ratio", Number),
            ("scrap_ratio", "scrap_ratio", Number),
        ],
    },
];

/// Whether a document of this name is read as such a table.
pub(super) fn is_table(name: &str) -> bool {
    name.to_ascii_lowercase().ends_with(".csv")
}

/// What has been read of the tables so far.
#[derive(Default)]
pub(super) struct Tables {
    /// By the word of the part.
    parts: BTreeMap<&'static str, Vec<Node>>,
    /// Rows that belong to a material: where, to which, under which key.
    inner: Vec<(Place, String, &'static str, Node)>,
    /// A table could not be read: rows of others may belong to what stood there.
    broken: bool,
}

impl Tables {
    /// Reads one of them; what is wrong goes to `report`. False: not all of its rows could be read.
    pub(super) fn read(&mut self, document: usize, name: &str, text: &str, report: &mut Report) -> bool {
        let before = std::mem::take(&mut self.broken);
        let read = self.rows(document, name, text, report).is_some() && !self.broken;
        self.broken = before || !read;
        read
    }

    fn rows(&mut self, document: usize, name: &str, text: &str, report: &mut Report) -> Option<()> {
        let top = Place::new(document, 1, 1);
        let Some(table) = table_of(name) else {
            let known: Vec<String> = TABLES.iter().map(|table| format!("{}s.csv", table.word)).collect();
            let remedy = format!("give it one of these names, which may go on behind a `-`: {}", known.join(", "));
            report.add(top, "the file's name does not say what its rows are", remedy);
            return None;
        };
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let separator = separator(text);
        let mut lines = match records(document, text, separator) {
            Ok(lines) => lines.into_iter(),
            Err((place, message, remedy)) => {
                report.add(place, message, remedy);
                return None;
            }
        };
        let Some(head) = lines.next() else {
            report.add(top, "the table is empty", format!("name its columns in the first line: {}", columns_of(table)));
            return None;
        };
        let columns = head_of(table, &head, report)?;
        for line in lines {
            self.row(table, &columns, separator, line, report);
        }
        Some(())
    }

    fn row(
        &mut self,
        table: &'static Table,
        columns: &[(&'static str, Cell)],
        separator: char,
        line: Vec<(Place, String)>,
        report: &mut Report,
    ) {
        let at = line.first().map_or(Place::NONE, |(place, _)| *place);
        if line.len() != columns.len() {
            let message =
                format!("this row has {} cells, and the first line names {} columns", line.len(), columns.len());
            let remedy = format!("a text with a `{separator}`, a quote or a line break in it stands in double quotes");
            report.add(at, message, remedy);
            self.broken = true;
            return;
        }
        let mut entries = Vec::new();
        let mut owner = None;
        for ((place, text), (key, cell)) in line.into_iter().zip(columns) {
            let text = text.trim();
            if key.is_empty() {
                owner = Some((place, text.to_owned()));
            } else if !text.is_empty()
                && let Some(data) = data(place, text, *cell, separator, report)
            {
                entries.push(Entry { key: (*key).to_owned(), at: place, value: Node { at: place, data } });
            }
        }
        let node = Node { at, data: Data::Table(entries) };
        match (table.inside, owner) {
            (None, _) => self.parts.entry(table.word).or_default().push(node),
            (Some(key), Some((place, owner))) if !owner.is_empty() => self.inner.push((place, owner, key, node)),
            (Some(_), owner) => {
                let place = owner.map_or(at, |(place, _)| place);
                report.add(
                    place,
                    "this row does not say to which material it belongs",
                    "write its name under `material`",
                );
            }
        }
    }

    /// All of them as one document; `None` if there were none.
    pub(super) fn finish(mut self, report: &mut Report) -> Option<Node> {
        if self.parts.is_empty() && self.inner.is_empty() {
            return None;
        }
        let materials = self.parts.remove("material").unwrap_or_default();
        let materials = with_rows(materials, std::mem::take(&mut self.inner), self.broken, report);
        if !materials.is_empty() {
            self.parts.insert("material", materials);
        }
        let entry = |(word, nodes): (&str, Vec<Node>)| {
            let at = nodes.first().map_or(Place::NONE, |node| node.at);
            Entry { key: word.to_owned(), at, value: Node { at, data: Data::List(nodes) } }
        };
        let entries: Vec<Entry> = self.parts.into_iter().map(entry).collect();
        let at = entries.first().map_or(Place::NONE, |entry| entry.at);
        Some(Node { at, data: Data::Table(entries) })
    }
}

/// Puts every row into its material: the one whose name, or name and revision with an `@` between them, it says.
fn with_rows(
    mut materials: Vec<Node>,
    rows: Vec<(Place, String, &'static str, Node)>,
    broken: bool,
    report: &mut Report,
) -> Vec<Node> {
    let mut known: HashMap<String, Vec<usize>> = HashMap::new();
    for (at, node) in materials.iter().enumerate() {
        let Some(name) = text_of(node, "name") else { continue };
        if let Some(revision) = text_of(node, "revision") {
            known.entry(format!("{name}@{revision}")).or_default().push(at);
        }
        known.entry(name.to_owned()).or_default().push(at);
    }
    let mut lists: Vec<BTreeMap<&'static str, Vec<Node>>> = Vec::new();
    lists.resize_with(materials.len(), BTreeMap::new);
    for (place, owner, key, node) in rows {
        match known.get(&owner).map(Vec::as_slice) {
            Some([at]) => {
                if let Some(list) = lists.get_mut(*at) {
                    list.entry(key).or_default().push(node);
                }
            }
            Some(_) => {
                let message = format!("there are several materials \"{owner}\" in these tables");
                report.add(place, message, format!("write which: {owner}@ and its revision"));
            }
            None if broken => {}
            None => {
                let near = nearest(&owner, known.keys().map(String::as_str));
                let add = "give its materials.csv as well, for a material is replaced whole";
                let remedy = near.map_or_else(|| add.to_owned(), |near| format!("did you mean \"{near}\"? Or {add}"));
                report.add(place, format!("there is no row of the material \"{owner}\" in these tables"), remedy);
            }
        }
    }
    for (node, lists) in materials.iter_mut().zip(lists) {
        let Data::Table(entries) = &mut node.data else { continue };
        for (key, list) in lists {
            let at = list.first().map_or(node.at, |first| first.at);
            entries.push(Entry { key: key.to_owned(), at, value: Node { at, data: Data::List(list) } });
        }
    }
    materials
}

fn text_of<'n>(node: &'n Node, key: &str) -> Option<&'n str> {
    let Data::Table(entries) = &node.data else { return None };
    entries.iter().find(|entry| entry.key == key).and_then(|entry| match &entry.value.data {
        Data::Text(text) => Some(text.as_str()),
        _ => None,
    })
}

/// `bills-line2.csv` and `Bill.csv` are bills.
fn table_of(name: &str) -> Option<&'static Table> {
    let name = name.rsplit(['/', '\\']).next().unwrap_or(name).to_ascii_lowercase();
    let word: String = name.chars().take_while(char::is_ascii_alphabetic).collect();
    TABLES.iter().find(|table| word == table.word || word.strip_suffix('s') == Some(table.word))
}

fn columns_of(table: &Table) -> String {
    table.columns.iter().map(|(column, ..)| *column).collect::<Vec<_>>().join(", ")
}

/// The columns that the first line names.
fn head_of(table: &Table, head: &[(Place, String)], report: &mut Report) -> Option<Vec<(&'static str, Cell)>> {
    let mut columns = Vec::new();
    let mut seen: Vec<&str> = Vec::new();
    let mut good = true;
    for (place, text) in head.iter().take(COLUMNS + 1) {
        let word = text.trim().to_lowercase().replace([' ', '-'], "_");
        match table.columns.iter().find(|(column, ..)| *column == word) {
            Some((column, ..)) if seen.contains(column) => {
                good = false;
                report.add(*place, format!("the column \"{column}\" is there twice"), "keep one");
            }
            Some((column, key, cell)) => {
                seen.push(column);
                columns.push((*key, *cell));
            }
            None => {
                good = false;
                let near = nearest(&word, table.columns.iter().map(|(column, ..)| *column));
                let known = format!("known are: {}", columns_of(table));
                let remedy = near.map_or(known, |near| format!("did you mean \"{near}\"?"));
                report.add(*place, format!("\"{text}\" is not a column of {}s", table.word), remedy);
            }
        }
    }
    let first = table.columns.first().map_or("", |(column, ..)| column);
    if good && !seen.contains(&first) {
        let place = head.first().map_or(Place::NONE, |(place, _)| *place);
        report.add(place, format!("there is no column \"{first}\""), "name the columns in the first line");
        good = false;
    }
    good.then_some(columns)
}

fn data(place: Place, text: &str, cell: Cell, separator: char, report: &mut Report) -> Option<Data> {
    match cell {
        Text => Some(Data::Text(text.to_owned())),
        List if text == "-" => Some(Data::List(Vec::new())),
        List => {
            let item = |text: &str| Node { at: place, data: Data::Text(text.trim().to_owned()) };
            Some(Data::List(text.split('|').map(item).collect()))
        }
        Number => {
            // Where a comma does not part cells, it may be the sign before decimals: 1,25 and 0,125, but is 1,250 more than a thousand?
            if separator != ',' && may_be_thousands(text) {
                let message = format!("\"{text}\" may be {} or {}", text.replace(',', "."), text.replace(',', ""));
                report.add(place, message, "write a point before decimals, and nothing between thousands");
                return None;
            }
            let plain = if separator == ',' { text.to_owned() } else { text.replacen(',', ".", 1) };
            let is_number =
                plain.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'e' | b'E' | b'+'));
            match (plain.parse::<i64>(), plain.parse::<f64>()) {
                (Ok(whole), _) if is_number => Some(Data::Int(whole)),
                (_, Ok(number)) if is_number && number.is_finite() => Some(Data::Float(number)),
                _ => {
                    report.add(
                        place,
                        format!("\"{text}\" is no number"),
                        "write digits without signs between thousands, such as 1250.5",
                    );
                    None
                }
            }
        }
    }
}

/// Whether a comma may stand between thousands: one to three digits before it, of which the first is no zero, and three behind it.
fn may_be_thousands(text: &str) -> bool {
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    text.trim_start_matches('-').split_once(',').is_some_and(|(before, behind)| {
        digits(before)
            && digits(behind)
            && behind.len() == 3
            && before.len() <= 3
            && !before.is_empty()
            && !before.starts_with('0')
    })
}

/// What parts the cells: whichever of `,`, `;` and a tab stands most often in the first line.
fn separator(text: &str) -> char {
    let head = text.lines().next().unwrap_or_default();
    let count = |separator: &char| head.matches(*separator).count();
    // Of equally many, the last one: a comma.
    [';', '\t', ','].into_iter().max_by_key(count).unwrap_or(',')
}

type Broken = (Place, String, String);
type Record = Vec<(Place, String)>;

/// The cells of every line that has any, each with its place (RFC 4180; lines end with LF or CRLF).
fn records(document: usize, text: &str, separator: char) -> Result<Vec<Record>, Broken> {
    let (mut all, mut record, mut cell) = (Vec::new(), Record::new(), String::new());
    let (mut line, mut column) = (1, 1);
    let mut start = Place::new(document, 1, 1);
    // Where the quotes were opened that hold what is read, and whether this cell was in quotes.
    let (mut open, mut quoted) = (None, false);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let here = Place::new(document, line, column);
        column += 1;
        if c == '\n' {
            (line, column) = (line + 1, 1);
        }
        match c {
            '"' if open.is_some() && chars.peek() == Some(&'"') => {
                chars.next();
                column += 1;
                cell.push('"');
            }
            '"' if open.is_some() => open = None,
            '\r' if chars.peek() == Some(&'\n') => {}
            c if open.is_some() => cell.push(c),
            '"' if cell.trim().is_empty() && !quoted => {
                cell.clear();
                (open, quoted) = (Some(here), true);
            }
            c if c == separator || c == '\n' => {
                record.push((start, std::mem::take(&mut cell)));
                quoted = false;
                start = Place::new(document, line, column);
                if c == '\n' {
                    end(&mut all, &mut record, here)?;
                }
            }
            c if quoted && !c.is_whitespace() => {
                let remedy = "write a quote within quotes twice, and nothing between the last one and the next cell";
                return Err((here, format!("`{c}` stands behind the quotes of a cell"), remedy.to_owned()));
            }
            c if quoted && c.is_whitespace() => {}
            c => cell.push(c),
        }
    }
    if let Some(place) = open {
        return Err((place, "these quotes are not closed".to_owned(), "close them, or take them out".to_owned()));
    }
    record.push((start, cell));
    end(&mut all, &mut record, start)?;
    Ok(all)
}

/// Ends a line; one without anything in it is none.
fn end(all: &mut Vec<Record>, record: &mut Record, place: Place) -> Result<(), Broken> {
    let record = std::mem::take(record);
    if record.iter().all(|(_, text)| text.trim().is_empty()) {
        return Ok(());
    }
    if all.len() > ROWS {
        let message = format!("the table has more than {ROWS} rows");
        return Err((place, message, "make several files of it, and apply them one after the other".to_owned()));
    }
    all.push(record);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(text: &str) -> Vec<Vec<String>> {
        let separator = separator(text);
        let records = records(0, text, separator).expect("a table");
        records.into_iter().map(|record| record.into_iter().map(|(_, text)| text).collect()).collect()
    }

    #[test]
    fn cells_are_read_as_spreadsheets_write_them() {
        assert_eq!(
            cells("a,b\r\n1,\"x, \"\"y\"\"\nz\"\r\n\r\n,\r\n2,\r\n"),
            [["a", "b"], ["1", "x, \"y\"\nz"], ["2", ""]]
        );
        assert_eq!(cells("a;b\n0,5;\"c\" \n"), [["a", "b"], ["0,5", "c"]]);
        assert_eq!(cells("a\tb\n1\t2"), [["a", "b"], ["1", "2"]]);
        assert_eq!(cells(""), [[""; 0]; 0]);
        for (bad, line, column) in [("a\n\"b", 2, 1), ("a,b\n1,\"c\"d\n", 2, 6)] {
            let (place, ..) = records(0, bad, ',').expect_err("broken");
            assert_eq!(place, Place::new(0, line, column), "{bad}");
        }
    }

    #[test]
    fn the_name_of_a_file_says_what_it_holds() {
        for (name, word) in
            [("materials.csv", "material"), ("x/Bill.CSV", "bill"), ("c:\\operations-line2.csv", "operation")]
        {
            assert_eq!(table_of(name).map(|table| table.word), Some(word));
        }
        assert!(table_of("plant.csv").is_none() && table_of(".csv").is_none() && table_of("materialss.csv").is_none());
    }

    #[test]
    fn numbers_are_read_in_either_spelling() {
        let read = |text, separator| {
            let mut report = Report::new(Vec::new());
            data(Place::NONE, text, Number, separator, &mut report)
        };
        assert_eq!(read("12", ','), Some(Data::Int(12)));
        assert_eq!((read("0.5", ','), read("0,5", ';')), (Some(Data::Float(0.5)), Some(Data::Float(0.5))));
        for bad in ["1.000,5", "1 000", "inf", "0x1", "1e999", "NaN", "-"] {
            assert_eq!(read(bad, ';'), None, "{bad}");
        }
    }
}
