//! Labels in ZPL II, for the printers that most plants have.
//!
//! Whatever stands in data is written so that it cannot be a command: every character but letters, digits and harmless marks goes as
//! the hexadecimal bytes of its UTF-8, by `^FH` with `\` as the sign for them. (Zebra, ZPL II Programming Guide: `^FH`, `^BQ`.)

use std::fmt::Write as _;

/// The widest and longest label, in dots.
pub const DOTS_MAX: u16 = 32_000;
/// The most fields.
pub const FIELDS_MAX: usize = 200;
/// The longest data of a field, in bytes.
pub const DATA_MAX: usize = 2_000;
/// The most labels of one kind at once.
pub const COPIES_MAX: u16 = 1_000;

/// A label.
#[derive(Clone, PartialEq, Debug)]
pub struct Label {
    /// How wide it is, in dots.
    pub width: u16,
    /// How long it is, in dots.
    pub length: u16,
    /// How many are printed.
    pub copies: u16,
    /// What stands on it.
    pub fields: Vec<Field>,
}

/// Something on a label.
#[derive(Clone, PartialEq, Debug)]
pub struct Field {
    /// Dots from the left.
    pub x: u16,
    /// Dots from the top.
    pub y: u16,
    /// What it is.
    pub shape: Shape,
}

/// What a field is.
#[derive(Clone, PartialEq, Debug)]
pub enum Shape {
    /// A line of text, so many dots high.
    Text {
        /// In dots.
        height: u16,
        /// What it says.
        text: String,
    },
    /// A QR code.
    Qr {
        /// A square, 1 to 10 dots.
        module: u8,
        /// What it says.
        data: String,
    },
}

/// Why a label cannot be printed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LabelError {
    /// A size that no printer has.
    #[error("{what} of {value}: {least} to {most} can be")]
    Size {
        /// Which one.
        what: &'static str,
        /// How much.
        value: usize,
        /// The least.
        least: usize,
        /// The most.
        most: usize,
    },
}

impl Label {
    /// The label in ZPL II.
    ///
    /// # Errors
    /// A size is beyond what printers have.
    pub fn zpl(&self) -> Result<String, LabelError> {
        within("a width", self.width.into(), 1, DOTS_MAX.into())?;
        within("a length", self.length.into(), 1, DOTS_MAX.into())?;
        within("a number of copies", self.copies.into(), 1, COPIES_MAX.into())?;
        within("a number of fields", self.fields.len(), 1, FIELDS_MAX)?;
        let mut zpl = format!("^XA\n^CI28\n^PW{}\n^LL{}\n", self.width, self.length);
        for field in &self.fields {
            within("a place across", field.x.into(), 0, self.width.into())?;
            within("a place along", field.y.into(), 0, self.length.into())?;
            // Writing into a text cannot fail.
            let _ = write!(zpl, "^FO{},{}", field.x, field.y);
            shape(&mut zpl, &field.shape)?;
            zpl.push_str("^FS\n");
        }
        let _ = write!(zpl, "^PQ{}\n^XZ\n", self.copies);
        Ok(zpl)
    }
}

fn shape(zpl: &mut String, shape: &Shape) -> Result<(), LabelError> {
    match shape {
        Shape::Text { height, text } => {
            within("a height", (*height).into(), 10, DOTS_MAX.into())?;
            let _ = write!(zpl, "^A0N,{height},{height}");
            data(zpl, "", text)
        }
        Shape::Qr { module, data: text } => {
            within("a module", (*module).into(), 1, 10)?;
            let _ = write!(zpl, "^BQN,2,{module}");
            data(zpl, "MA,", text)
        }
    }
}

/// Writes the data of a field: `code` is ours, `text` is anybody's.
fn data(zpl: &mut String, code: &str, text: &str) -> Result<(), LabelError> {
    within("a text", text.len(), 1, DATA_MAX)?;
    let _ = write!(zpl, "^FH\\^FD{code}");
    for byte in text.bytes() {
        match byte {
            b' ' | b'!'..=b'[' | b']' | b'_'..=b'}' => zpl.push(char::from(byte)),
            other => {
                let _ = write!(zpl, "\\{other:02X}");
            }
        }
    }
    Ok(())
}

fn within(what: &'static str, value: usize, least: usize, most: usize) -> Result<(), LabelError> {
    if (least..=most).contains(&value) { Ok(()) } else { Err(LabelError::Size { what, value, least, most }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn label(shapes: Vec<Shape>) -> Label {
        let fields = shapes.into_iter().zip(0..).map(|(shape, n)| Field { x: 20, y: 20 + 100 * n, shape }).collect();
        Label { width: 812, length: 1218, copies: 2, fields }
    }

    #[test]
    fn a_label_is_what_the_printer_understands() {
        let label = label(vec![
            Shape::Text { height: 40, text: "Насос №2 ^XZ~JA\\".to_owned() },
            Shape::Qr { module: 4, data: "https://id.example/01/09506000134352/21/7".to_owned() },
        ]);
        let wanted = concat!(
            "^XA\n^CI28\n^PW812\n^LL1218\n",
            "^FO20,20^A0N,40,40^FH\\^FD\\D0\\9D\\D0\\B0\\D1\\81\\D0\\BE\\D1\\81 \\E2\\84\\962 \\5EXZ\\7EJA\\5C^FS\n",
            "^FO20,120^BQN,2,4^FH\\^FDMA,https://id.example/01/09506000134352/21/7^FS\n",
            "^PQ2\n^XZ\n",
        );
        assert_eq!(label.zpl().unwrap(), wanted);
    }

    #[test]
    fn what_no_printer_prints_is_refused() {
        let refused = |shape| label(vec![shape]).zpl().unwrap_err();
        for shape in [
            Shape::Text { height: 9, text: "a".to_owned() },
            Shape::Text { height: 20, text: String::new() },
            Shape::Text { height: 20, text: "a".repeat(DATA_MAX + 1) },
            Shape::Qr { module: 11, data: "a".to_owned() },
            Shape::Qr { module: 0, data: "a".to_owned() },
        ] {
            assert!(matches!(refused(shape), LabelError::Size { .. }));
        }
        let mut none = label(vec![]);
        assert!(none.zpl().is_err());
        none = label(vec![Shape::Qr { module: 1, data: "a".to_owned() }]);
        none.copies = 0;
        assert!(none.zpl().is_err());
    }

    /// The commands of a label, as a printer finds them.
    fn commands(zpl: &str) -> Vec<String> {
        zpl.split(['^', '~']).skip(1).map(|command| command.chars().take(2).collect()).collect()
    }

    proptest! {
        #[test]
        fn no_data_is_a_command_and_all_of_it_arrives(text in "\\PC{1,40}|[\\^~\\\\_>XZJA]{1,40}") {
            let zpl = label(vec![Shape::Text { height: 30, text: text.clone() }]).zpl().unwrap();
            let plain = ["XA", "CI", "PW", "LL", "FO", "A0", "FH", "FD", "FS", "PQ", "XZ"];
            prop_assert_eq!(commands(&zpl), plain);
            let written = zpl.split("^FD").nth(1).unwrap().split("^FS").next().unwrap();
            let mut bytes = Vec::new();
            let mut rest = written.bytes();
            while let Some(byte) = rest.next() {
                bytes.push(if byte == b'\\' {
                    let hex: String = rest.by_ref().take(2).map(char::from).collect();
                    u8::from_str_radix(&hex, 16).unwrap()
                } else {
                    byte
                });
            }
            prop_assert_eq!(String::from_utf8(bytes).unwrap(), text);
        }
    }
}
