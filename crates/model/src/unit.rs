//! Engineering units: UCUM codes (The Unified Code for Units of Measure, v2.1, case sensitive) and how they are shown.
//!
//! A code is checked once, in [`Unit::parse`], against the grammar (UCUM §§2–12) and the table of atoms below: SI, the
//! units used with it, and the customary ones of plants and homes. Two atoms are ours, for UCUM has none that people
//! would recognise: `var` and `VA`. What a unit measures is not looked at: `Cel/min` is taken.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Why a unit is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{code}\" is not a UCUM unit: {reason}")]
pub struct UnitError {
    /// As written.
    pub code: String,
    /// What is wrong with it.
    pub reason: String,
}

/// A checked UCUM code (case sensitive), such as `Cel`, `bar`, `L/min`, `kW.h`, `%`, `{bottles}/h`.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Unit(Box<str>);

impl Unit {
    /// Checks a UCUM code of 1 to 64 bytes.
    /// # Errors
    /// [`UnitError`] names the part that is wrong and, for common spellings, the code that was meant.
    pub fn parse(code: &str) -> Result<Self, UnitError> {
        match Parser::parse(code) {
            Ok(_) => Ok(Self(code.into())),
            Err(reason) => Err(UnitError { code: code.chars().take(64).collect(), reason }),
        }
    }

    /// The UCUM code.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.0
    }

    /// How people write it: `°C` for `Cel`, `kWh` for `kW.h`, `m³/h` for `m3/h`, `bottles/h` for `{bottles}/h`.
    #[must_use]
    pub fn symbol(&self) -> String {
        // The field is private and was checked: the code always parses.
        Parser::parse(&self.0).unwrap_or_else(|_| self.0.to_string())
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl TryFrom<String> for Unit {
    type Error = UnitError;
    fn try_from(text: String) -> Result<Self, UnitError> {
        Self::parse(&text)
    }
}
impl From<Unit> for String {
    fn from(unit: Unit) -> Self {
        unit.0.into()
    }
}

/// Prefixes (UCUM table 1) and the binary ones (§30), with the sign that people write.
const PREFIXES: [(&str, &str); 24] = [
    ("da", "da"),
    ("Ki", "Ki"),
    ("Mi", "Mi"),
    ("Gi", "Gi"),
    ("Ti", "Ti"),
    ("Y", "Y"),
    ("Z", "Z"),
    ("E", "E"),
    ("P", "P"),
    ("T", "T"),
    ("G", "G"),
    ("M", "M"),
    ("k", "k"),
    ("h", "h"),
    ("d", "d"),
    ("c", "c"),
    ("m", "m"),
    ("u", "µ"),
    ("n", "n"),
    ("p", "p"),
    ("f", "f"),
    ("a", "a"),
    ("z", "z"),
    ("y", "y"),
];

/// Atoms that take a prefix: the code, and what people write where it differs (UCUM tables 2–6 and further).
const METRIC: [(&str, &str); 70] = [
    ("m", ""),
    ("s", ""),
    ("g", ""),
    ("rad", ""),
    ("K", ""),
    ("C", ""),
    ("cd", ""),
    ("mol", ""),
    ("sr", ""),
    ("Hz", ""),
    ("N", ""),
    ("Pa", ""),
    ("J", ""),
    ("W", ""),
    ("A", ""),
    ("V", ""),
    ("F", ""),
    ("Ohm", "Ω"),
    ("S", ""),
    ("Wb", ""),
    ("Cel", "°C"),
    ("T", ""),
    ("H", ""),
    ("lm", ""),
    ("lx", ""),
    ("Bq", ""),
    ("Gy", ""),
    ("Sv", ""),
    ("kat", ""),
    ("l", ""),
    ("L", ""),
    ("ar", "a"),
    ("st", ""),
    ("t", ""),
    ("u", ""),
    ("eV", ""),
    ("pc", ""),
    ("bar", ""),
    ("cal", ""),
    ("cal_[15]", "cal"),
    ("cal_[20]", "cal"),
    ("cal_m", "cal"),
    ("cal_IT", "cal"),
    ("cal_th", "cal"),
    ("Np", ""),
    ("B", ""),
    ("B[SPL]", "B(SPL)"),
    ("B[V]", "B(V)"),
    ("B[mV]", "B(mV)"),
    ("B[uV]", "B(µV)"),
    ("B[W]", "B(W)"),
    ("B[kW]", "B(kW)"),
    ("bit", ""),
    ("By", "B"),
    ("Bd", ""),
    ("dyn", ""),
    ("erg", ""),
    ("P", ""),
    ("St", ""),
    ("G", ""),
    ("Ci", ""),
    ("gf", ""),
    ("tex", ""),
    ("eq", ""),
    ("osm", ""),
    ("U", ""),
    ("m[H2O]", "mH₂O"),
    ("m[Hg]", "mHg"),
    ("var", ""),
    ("VA", ""),
];

/// Atoms that take no prefix.
const PLAIN: [(&str, &str); 90] = [
    ("10*", "10"),
    ("10^", "10"),
    ("[pi]", "π"),
    ("%", ""),
    ("[ppth]", "‰"),
    ("[ppm]", "ppm"),
    ("[ppb]", "ppb"),
    ("[pptr]", "ppt"),
    ("[pH]", "pH"),
    ("gon", ""),
    ("deg", "°"),
    ("'", "′"),
    ("''", "″"),
    ("circ", ""),
    ("min", ""),
    ("h", ""),
    ("d", ""),
    ("wk", ""),
    ("mo", ""),
    ("mo_s", "mo"),
    ("mo_j", "mo"),
    ("mo_g", "mo"),
    ("a", ""),
    ("a_t", "a"),
    ("a_j", "a"),
    ("a_g", "a"),
    ("AU", ""),
    ("[ly]", "ly"),
    ("atm", ""),
    ("att", "at"),
    ("[psi]", "psi"),
    ("[in_i'H2O]", "inH₂O"),
    ("[in_i'Hg]", "inHg"),
    ("[degF]", "°F"),
    ("[degR]", "°R"),
    ("[degRe]", "°Ré"),
    ("[lb_av]", "lb"),
    ("[oz_av]", "oz"),
    ("[gr]", "gr"),
    ("[stone_av]", "st"),
    ("[ston_av]", "short ton"),
    ("[lton_av]", "long ton"),
    ("[lbf_av]", "lbf"),
    ("[in_i]", "in"),
    ("[ft_i]", "ft"),
    ("[yd_i]", "yd"),
    ("[mi_i]", "mi"),
    ("[nmi_i]", "nmi"),
    ("[kn_i]", "kn"),
    ("[mil_i]", "mil"),
    ("[sin_i]", "in²"),
    ("[sft_i]", "ft²"),
    ("[syd_i]", "yd²"),
    ("[cin_i]", "in³"),
    ("[cft_i]", "ft³"),
    ("[cyd_i]", "yd³"),
    ("[in_us]", "in"),
    ("[ft_us]", "ft"),
    ("[yd_us]", "yd"),
    ("[mi_us]", "mi"),
    ("[acr_us]", "acre"),
    ("[acr_br]", "acre"),
    ("[gal_us]", "gal"),
    ("[qt_us]", "qt"),
    ("[pt_us]", "pt"),
    ("[foz_us]", "fl oz"),
    ("[cup_us]", "cup"),
    ("[tbs_us]", "tbsp"),
    ("[tsp_us]", "tsp"),
    ("[bbl_us]", "bbl"),
    ("[bu_us]", "bu"),
    ("[gal_br]", "imp gal"),
    ("[qt_br]", "imp qt"),
    ("[pt_br]", "imp pt"),
    ("[foz_br]", "imp fl oz"),
    ("[Btu]", "BTU"),
    ("[Btu_IT]", "BTU"),
    ("[Btu_th]", "BTU"),
    ("[Cal]", "Cal"),
    ("[HP]", "hp"),
    ("[car_m]", "ct"),
    ("[den]", "den"),
    ("[g]", "gₙ"),
    ("[c]", "c"),
    ("[iU]", "IU"),
    ("[IU]", "IU"),
    ("[arb'U]", "arb. U"),
    ("[CFU]", "CFU"),
    ("[NTU]", "NTU"),
    ("[FNU]", "FNU"),
];

/// What people write, and the code they mean. `ft` would be a femtotonne; nobody means that.
const HINTS: [(&str, &str); 57] = [
    ("°C", "Cel"),
    ("degC", "Cel"),
    ("celsius", "Cel"),
    ("℃", "Cel"),
    ("°F", "[degF]"),
    ("degF", "[degF]"),
    ("℉", "[degF]"),
    ("°", "deg"),
    ("Ω", "Ohm"),
    ("ohm", "Ohm"),
    ("Ohms", "Ohm"),
    ("kWh", "kW.h"),
    ("Wh", "W.h"),
    ("MWh", "MW.h"),
    ("KWh", "kW.h"),
    ("kwh", "kW.h"),
    ("kVAh", "kVA.h"),
    ("kvarh", "kvar.h"),
    ("VAr", "var"),
    ("kVAr", "kvar"),
    ("Ah", "A.h"),
    ("mAh", "mA.h"),
    ("Nm", "N.m"),
    ("rpm", "{revolutions}/min"),
    ("RPM", "{revolutions}/min"),
    ("psi", "[psi]"),
    ("PSI", "[psi]"),
    ("ppm", "[ppm]"),
    ("ppb", "[ppb]"),
    ("mmHg", "mm[Hg]"),
    ("inHg", "[in_i'Hg]"),
    ("mH2O", "m[H2O]"),
    ("mmH2O", "mm[H2O]"),
    ("inH2O", "[in_i'H2O]"),
    ("in", "[in_i]"),
    ("inch", "[in_i]"),
    ("ft", "[ft_i]"),
    ("mi", "[mi_i]"),
    ("mile", "[mi_i]"),
    ("kn", "[kn_i]"),
    ("lb", "[lb_av]"),
    ("lbs", "[lb_av]"),
    ("oz", "[oz_av]"),
    ("gal", "[gal_us]"),
    ("gpm", "[gal_us]/min"),
    ("cfm", "[cft_i]/min"),
    ("hp", "[HP]"),
    ("BTU", "[Btu_IT]"),
    ("sec", "s"),
    ("hr", "h"),
    ("hour", "h"),
    ("day", "d"),
    ("days", "d"),
    ("lux", "lx"),
    ("pcs", "{pieces}"),
    ("pieces", "{pieces}"),
    ("count", "{count}"),
];

/// Reads a code and writes its symbol on the way. Errors are the reason, in words.
struct Parser<'c> {
    rest: &'c str,
    symbol: String,
}

impl<'c> Parser<'c> {
    fn parse(code: &'c str) -> Result<String, String> {
        if code.is_empty() || code.len() > 64 {
            return Err("a unit has 1 to 64 characters".to_owned());
        }
        if let Some(reason) = hint(code) {
            return Err(reason);
        }
        let mut parser = Parser { rest: code, symbol: String::new() };
        if parser.eat('/') {
            parser.symbol.push_str("1/");
        }
        parser.term()?;
        match parser.rest.chars().next() {
            None => Ok(parser.symbol),
            Some(')') => Err("a \")\" has no \"(\" before it".to_owned()),
            Some(_) => Err(format!("\"{}\" cannot stand here; units are joined by \".\" and \"/\"", parser.rest)),
        }
    }

    fn eat(&mut self, sign: char) -> bool {
        match self.rest.strip_prefix(sign) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Takes `bytes` off the front; `bytes` comes from a search in `rest`, so it lies between two characters.
    fn take(&mut self, bytes: usize) -> &'c str {
        let (taken, rest) = self.rest.split_at_checked(bytes).unwrap_or((self.rest, ""));
        self.rest = rest;
        taken
    }

    /// `component (("." | "/") component)*`
    fn term(&mut self) -> Result<(), String> {
        let mut before = self.component()?;
        loop {
            if self.eat('/') {
                self.symbol.push('/');
                before = self.component()?;
            } else if self.eat('.') {
                let mark = self.symbol.len();
                self.symbol.push('·');
                let after = self.component()?;
                if joins(before, after) {
                    self.symbol.replace_range(mark..mark + '·'.len_utf8(), "");
                }
                before = after;
            } else {
                return Ok(());
            }
        }
    }

    /// A unit with its exponent and annotation, an annotation alone, a number, or a term in parentheses.
    /// Returns the atom, where it is one without an exponent.
    fn component(&mut self) -> Result<&'c str, String> {
        if self.eat('(') {
            self.symbol.push('(');
            self.term()?;
            if !self.eat(')') {
                return Err("a \"(\" is not closed".to_owned());
            }
            self.symbol.push(')');
            return Ok("");
        }
        if self.rest.starts_with('{') {
            self.annotation("")?;
            return Ok("");
        }
        let digits = self.rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.rest.len());
        if digits > 0 && !self.rest.starts_with("10*") && !self.rest.starts_with("10^") {
            let number = self.take(digits);
            self.symbol.push_str(number);
            return Ok("");
        }
        let atom = self.atom()?;
        let bare = !self.exponent()?;
        if self.rest.starts_with('{') {
            self.annotation(" ")?;
        }
        Ok(if bare { atom } else { "" })
    }

    /// An atom, with a prefix if it takes one.
    fn atom(&mut self) -> Result<&'c str, String> {
        let word = self.word()?;
        if let Some((code, shown)) = METRIC.iter().chain(&PLAIN).find(|(code, _)| *code == word) {
            self.symbol.push_str(if shown.is_empty() { code } else { shown });
            return Ok(word);
        }
        for (prefix, sign) in PREFIXES {
            let Some(rest) = word.strip_prefix(prefix) else { continue };
            if let Some((code, shown)) = METRIC.iter().find(|(code, _)| *code == rest) {
                self.symbol.push_str(sign);
                self.symbol.push_str(if shown.is_empty() { code } else { shown });
                return Ok(rest);
            }
            if PLAIN.iter().any(|(code, _)| *code == rest) && rest != "10*" && rest != "10^" {
                return Err(hint(word).unwrap_or_else(|| format!("\"{rest}\" takes no prefix such as \"{prefix}\"")));
            }
        }
        Err(hint(word).unwrap_or_else(|| format!("\"{word}\" is not known; for a counted thing write {{{word}}}")))
    }

    /// The letters and bracketed parts of an atom.
    fn word(&mut self) -> Result<&'c str, String> {
        if self.rest.starts_with("10*") || self.rest.starts_with("10^") {
            return Ok(self.take(3));
        }
        let mut inside = false;
        let end = self.rest.find(|c: char| {
            inside = (inside || c == '[') && c != ']';
            !inside && (c.is_ascii_digit() || matches!(c, '.' | '/' | '(' | ')' | '{' | '}' | '+' | '-'))
        });
        let word = self.take(end.unwrap_or(self.rest.len()));
        if inside {
            return Err(format!("the \"[\" of \"{word}\" is not closed"));
        }
        if word.is_empty() {
            return Err(match self.rest.chars().next() {
                Some(sign) => format!("a unit is missing before \"{sign}\""),
                None => "a unit is missing at the end".to_owned(),
            });
        }
        if let Some(odd) = word.chars().find(|c| !c.is_ascii_graphic()) {
            return Err(hint(word).unwrap_or_else(|| match odd {
                '²' | '³' => format!("write the exponent of \"{word}\" as a digit: m2, m3"),
                'µ' | 'μ' => format!("write \"u\" for the \"{odd}\" of \"{word}\""),
                _ => format!("\"{odd}\" cannot stand in a unit"),
            }));
        }
        Ok(word)
    }

    /// `["+" | "-"] digits`; says whether there was one.
    fn exponent(&mut self) -> Result<bool, String> {
        let signed = self.rest.starts_with(['+', '-']);
        let (sign, digits) = self.rest.split_at_checked(usize::from(signed)).unwrap_or(("", self.rest));
        let length = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
        if length == 0 {
            return if signed { Err(format!("an exponent is missing after \"{sign}\"")) } else { Ok(false) };
        }
        if length > 2 {
            return Err("an exponent has at most two digits".to_owned());
        }
        let exponent = self.take(sign.len() + length);
        self.symbol.extend(exponent.chars().filter_map(superscript));
        Ok(true)
    }

    /// `{…}` of printable ASCII (UCUM §6); shown without the braces.
    fn annotation(&mut self, gap: &str) -> Result<(), String> {
        let Some(end) = self.rest.find('}') else { return Err("a \"{\" is not closed".to_owned()) };
        let text = self.take(end + 1);
        let text = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')).unwrap_or_default();
        if let Some(odd) = text.chars().find(|c| !c.is_ascii_graphic() || *c == '{') {
            return Err(format!(
                "\"{odd}\" cannot stand between braces; use ASCII letters, digits and signs without spaces"
            ));
        }
        if !text.is_empty() {
            self.symbol.push_str(gap);
            self.symbol.push_str(text);
        }
        Ok(())
    }
}

/// The products that people write as one word: kWh, Ah, VA.
fn joins(before: &str, after: &str) -> bool {
    matches!((before, after), ("W" | "A" | "VA" | "var", "h") | ("V", "A"))
}

fn superscript(sign: char) -> Option<char> {
    let digits = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];
    match sign {
        '-' => Some('⁻'),
        digit => digit.to_digit(10).and_then(|digit| digits.get(usize::try_from(digit).ok()?).copied()),
    }
}

fn hint(word: &str) -> Option<String> {
    HINTS.iter().find(|(written, _)| *written == word).map(|(_, code)| format!("write {code} for \"{word}\""))
}

#[cfg(test)]
mod tests {
    use super::{HINTS, METRIC, PLAIN, Unit};

    #[test]
    fn good_codes_are_shown_as_people_write_them() {
        for (code, symbol) in [
            ("Cel", "°C"),
            ("[degF]", "°F"),
            ("K", "K"),
            ("%", "%"),
            ("%{RH}", "% RH"),
            ("[ppm]", "ppm"),
            ("[ppb]", "ppb"),
            ("[pH]", "pH"),
            ("bar", "bar"),
            ("mbar", "mbar"),
            ("Pa", "Pa"),
            ("hPa", "hPa"),
            ("[psi]", "psi"),
            ("mm[Hg]", "mmHg"),
            ("cm[H2O]", "cmH₂O"),
            ("L/min", "L/min"),
            ("l/h", "l/h"),
            ("m3/h", "m³/h"),
            ("m3{STP}/h", "m³ STP/h"),
            ("[gal_us]/min", "gal/min"),
            ("[ft_i]", "ft"),
            ("[in_i]", "in"),
            ("W.h", "Wh"),
            ("kW.h", "kWh"),
            ("kW.h/m2", "kWh/m²"),
            ("kVA.h", "kVAh"),
            ("mA.h", "mAh"),
            ("V.A", "VA"),
            ("VA", "VA"),
            ("kvar", "kvar"),
            ("kW", "kW"),
            ("MW", "MW"),
            ("mW", "mW"),
            ("N.m", "N·m"),
            ("kOhm", "kΩ"),
            ("uS/cm", "µS/cm"),
            ("um", "µm"),
            ("m/s2", "m/s²"),
            ("s-1", "s⁻¹"),
            ("m+2", "m²"),
            ("/min", "1/min"),
            ("1/min", "1/min"),
            ("{bottles}/h", "bottles/h"),
            ("{bottles}", "bottles"),
            ("{}", ""),
            ("kJ/(kg.K)", "kJ/(kg·K)"),
            ("10*3/uL", "10³/µL"),
            ("10^6", "10⁶"),
            ("10*", "10"),
            ("dB", "dB"),
            ("dB[SPL]", "dB(SPL)"),
            ("deg", "°"),
            ("kat", "kat"),
            ("Bq/m3", "Bq/m³"),
            ("uSv/h", "µSv/h"),
            ("lx", "lx"),
            ("kcal", "kcal"),
            ("keV", "keV"),
            ("mmol/L", "mmol/L"),
            ("g/kg", "g/kg"),
            ("mg/m3", "mg/m³"),
            ("ug/m3", "µg/m³"),
            ("t/d", "t/d"),
            ("min", "min"),
            ("ms", "ms"),
            ("MiBy", "MiB"),
            ("kbit/s", "kbit/s"),
            ("dam", "dam"),
            ("cd/m2", "cd/m²"),
            ("100.m", "100·m"),
            ("m2.5", "m²·5"),
            ("Wb", "Wb"),
            ("mT", "mT"),
            ("nF", "nF"),
            ("mH", "mH"),
            ("[HP]", "hp"),
            ("Cel/min", "°C/min"),
        ] {
            assert_eq!(Unit::parse(code).map(|unit| unit.symbol()), Ok(symbol.to_owned()), "{code}");
        }
    }

    #[test]
    fn bad_codes_are_refused_with_the_part_that_is_wrong() {
        for (code, words) in [
            ("", "1 to 64"),
            ("°C", "write Cel for"),
            ("kWh", "write kW.h for"),
            ("kWh/d", "write kW.h for"),
            ("rpm", "{revolutions}/min"),
            ("L/mim", "\"mim\" is not known"),
            ("bottles/h", "write {bottles}"),
            ("kmin", "\"min\" takes no prefix"),
            ("k%", "\"%\" takes no prefix"),
            ("CEL", "\"CEL\" is not known"),
            ("m/", "missing at the end"),
            ("m//s", "missing before \"/\""),
            (".m", "missing before \".\""),
            ("kJ/(kg.K", "\"(\" is not closed"),
            ("kg)", "no \"(\" before it"),
            ("(m", "not closed"),
            ("{bottles/h", "\"{\" is not closed"),
            ("{Stück}/h", "\"ü\" cannot stand between braces"),
            ("{two words}", "without spaces"),
            ("[psi", "\"[\" of \"[psi\" is not closed"),
            ("[psig]", "\"[psig]\" is not known"),
            ("m³", "as a digit"),
            ("µm", "write \"u\""),
            ("m-", "exponent is missing"),
            ("m 2", "cannot stand in a unit"),
            ("m123", "at most two digits"),
            ("m2s", "cannot stand here"),
            ("m}", "cannot stand here"),
            ("€", "\"€\" cannot stand in a unit"),
        ] {
            let error = Unit::parse(code).expect_err(code);
            assert!(error.reason.contains(words), "{error}");
        }
    }

    #[test]
    fn every_atom_parses_and_every_hint_leads_to_a_unit() {
        for (code, _) in METRIC.iter().chain(&PLAIN) {
            assert!(Unit::parse(code).is_ok(), "{code}");
        }
        for (code, _) in METRIC {
            assert!(Unit::parse(&format!("k{code}")).is_ok(), "k{code}");
        }
        for (_, code) in HINTS {
            assert!(Unit::parse(code).is_ok(), "{code}");
        }
    }

    #[test]
    fn no_code_stands_in_the_tables_twice() {
        let mut codes: Vec<_> = METRIC.iter().chain(&PLAIN).map(|(code, _)| *code).collect();
        codes.sort_unstable();
        assert!(codes.windows(2).all(|pair| pair[0] != pair[1]));
    }

    proptest::proptest! {
        #[test]
        fn whatever_parses_stays_what_it_is_and_nothing_panics(code in "[a-zA-Z0-9.*/^(){}\\[\\]'%+µ³ -]{0,20}") {
            if let Ok(unit) = Unit::parse(&code) {
                proptest::prop_assert_eq!(unit.code(), &code);
                let json = serde_json::to_string(&unit).unwrap();
                proptest::prop_assert_eq!(serde_json::from_str::<Unit>(&json).unwrap(), unit);
            }
        }
    }
}
