//! Units as Home Assistant and devices write them, and UCUM's codes; and which class of device a unit means where it can mean one only.

use andon_model::Unit;

/// As Home Assistant writes it, and UCUM's code. The first of a code is how it is written back.
const UNITS: [(&str, &str); 96] = [
    ("°C", "Cel"),
    ("°F", "[degF]"),
    ("K", "K"),
    ("%", "%"),
    ("mW", "mW"),
    ("W", "W"),
    ("kW", "kW"),
    ("MW", "MW"),
    ("Wh", "W.h"),
    ("kWh", "kW.h"),
    ("MWh", "MW.h"),
    ("J", "J"),
    ("kJ", "kJ"),
    ("MJ", "MJ"),
    ("GJ", "GJ"),
    ("V", "V"),
    ("mV", "mV"),
    ("A", "A"),
    ("mA", "mA"),
    ("VA", "VA"),
    ("kVA", "kVA"),
    ("var", "var"),
    ("VAr", "var"),
    ("kvar", "kvar"),
    ("kvarh", "kvar.h"),
    ("Hz", "Hz"),
    ("kHz", "kHz"),
    ("MHz", "MHz"),
    ("GHz", "GHz"),
    ("Ω", "Ohm"),
    ("kΩ", "kOhm"),
    ("Pa", "Pa"),
    ("hPa", "hPa"),
    ("kPa", "kPa"),
    ("MPa", "MPa"),
    ("bar", "bar"),
    ("mbar", "mbar"),
    ("cbar", "cbar"),
    ("psi", "[psi]"),
    ("inHg", "[in_i'Hg]"),
    ("mmHg", "mm[Hg]"),
    ("lx", "lx"),
    ("lm", "lm"),
    ("W/m²", "W/m2"),
    ("W/m2", "W/m2"),
    ("ppm", "[ppm]"),
    ("ppb", "[ppb]"),
    ("µg/m³", "ug/m3"),
    ("μg/m³", "ug/m3"),
    ("ug/m3", "ug/m3"),
    ("mg/m³", "mg/m3"),
    ("g/m³", "g/m3"),
    ("dB", "dB"),
    ("mm", "mm"),
    ("cm", "cm"),
    ("m", "m"),
    ("km", "km"),
    ("in", "[in_i]"),
    ("ft", "[ft_i]"),
    ("yd", "[yd_i]"),
    ("mi", "[mi_i]"),
    ("m/s", "m/s"),
    ("km/h", "km/h"),
    ("mph", "[mi_i]/h"),
    ("kn", "[kn_i]"),
    ("ft/s", "[ft_i]/s"),
    ("mm/h", "mm/h"),
    ("mm/d", "mm/d"),
    ("mL", "mL"),
    ("L", "L"),
    ("l", "L"),
    ("m³", "m3"),
    ("ft³", "[cft_i]"),
    ("gal", "[gal_us]"),
    ("L/min", "L/min"),
    ("L/h", "L/h"),
    ("m³/h", "m3/h"),
    ("ft³/min", "[cft_i]/min"),
    ("gal/min", "[gal_us]/min"),
    ("µg", "ug"),
    ("mg", "mg"),
    ("g", "g"),
    ("kg", "kg"),
    ("oz", "[oz_av]"),
    ("lb", "[lb_av]"),
    ("ms", "ms"),
    ("s", "s"),
    ("min", "min"),
    ("h", "h"),
    ("d", "d"),
    ("B", "By"),
    ("kB", "kBy"),
    ("MB", "MBy"),
    ("GB", "GBy"),
    ("rpm", "{revolutions}/min"),
    ("°", "deg"),
];

/// Units that mean one class of device and no other; those that several share (`%`, `ppm`, `L`) have none.
const CLASSES: [(&str, &[&str]); 16] = [
    ("temperature", &["Cel", "[degF]"]),
    ("power", &["W", "kW"]),
    ("energy", &["W.h", "kW.h", "MW.h", "MJ", "GJ"]),
    ("voltage", &["V", "mV"]),
    ("current", &["A", "mA"]),
    ("apparent_power", &["VA"]),
    ("reactive_power", &["var"]),
    ("frequency", &["Hz", "kHz", "MHz", "GHz"]),
    ("pressure", &["Pa", "hPa", "kPa", "bar", "mbar", "cbar", "[psi]", "[in_i'Hg]", "mm[Hg]"]),
    ("illuminance", &["lx"]),
    ("irradiance", &["W/m2"]),
    ("volume_flow_rate", &["L/min", "m3/h", "[cft_i]/min", "[gal_us]/min"]),
    ("speed", &["m/s", "km/h", "[mi_i]/h", "[kn_i]", "[ft_i]/s"]),
    ("weight", &["ug", "mg", "g", "kg", "[oz_av]", "[lb_av]"]),
    ("distance", &["mm", "cm", "m", "km", "[in_i]", "[ft_i]", "[yd_i]", "[mi_i]"]),
    ("duration", &["ms", "s", "min", "h", "d"]),
];

/// The unit of a text. What nobody knows becomes a word that measures nothing (`{lqi}`); `None` where even that is not possible.
pub(crate) fn unit(text: &str) -> Option<Unit> {
    let text = text.trim();
    if let Some((_, code)) = UNITS.iter().find(|(written, _)| *written == text) {
        return Unit::parse(code).ok();
    }
    let word = !text.is_empty()
        && text.len() <= 20
        && text.bytes().all(|b| b.is_ascii_graphic() && !b"{}[]\"'\\".contains(&b));
    word.then(|| Unit::parse(&format!("{{{text}}}")).ok()).flatten()
}

/// A unit as somebody writes it who may know UCUM or not: as people write it, a code of UCUM, or a word that stands for itself.
#[must_use]
pub fn of_anybody(text: &str) -> Option<Unit> {
    let text = text.trim();
    let is_written = UNITS.iter().any(|(written, _)| *written == text);
    if is_written { unit(text) } else { Unit::parse(text).ok().or_else(|| unit(text)) }
}

/// How Home Assistant writes a unit.
pub(crate) fn written(unit: &Unit) -> String {
    let known = UNITS.iter().find(|(_, code)| *code == unit.code());
    known.map_or_else(|| unit.symbol(), |(written, _)| (*written).to_owned())
}

/// The class of device that a unit means, if it means one only.
pub(crate) fn class(unit: &Unit) -> Option<&'static str> {
    CLASSES.iter().find(|(_, codes)| codes.contains(&unit.code())).map(|(class, _)| *class)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_of_the_table_is_one_and_comes_back() {
        for (text, code) in UNITS {
            let unit = unit(text).unwrap_or_else(|| panic!("{text} as {code}"));
            assert_eq!(unit.code(), code);
            assert_eq!(super::unit(&written(&unit)), Some(unit), "{text}");
        }
        for (class, codes) in CLASSES {
            assert!(codes.iter().all(|code| UNITS.iter().any(|(_, known)| known == code)), "{class}");
        }
    }

    #[test]
    fn a_unit_is_understood_as_people_write_it_or_in_ucum() {
        let code = |text: &str| of_anybody(text).map(|unit| unit.code().to_owned());
        for (text, wanted) in [
            ("°C", "Cel"),
            ("Cel", "Cel"),
            ("psi", "[psi]"),
            (" kWh ", "kW.h"),
            ("m3/h", "m3/h"),
            ("rpm", "{revolutions}/min"),
            ("wibble", "{wibble}"),
        ] {
            assert_eq!(code(text).as_deref(), Some(wanted), "{text}");
        }
        assert_eq!(code("two words"), None);
    }

    #[test]
    fn what_nobody_knows_measures_nothing() {
        assert_eq!(unit("lqi").map(|unit| unit.code().to_owned()), Some("{lqi}".to_owned()));
        // A coulomb and a farad are not meant.
        assert_eq!(unit("C").map(|unit| unit.code().to_owned()), Some("{C}".to_owned()));
        assert_eq!(unit("{x}"), None);
        assert_eq!(unit(""), None);
        assert_eq!(Unit::parse("{bottles}/h").map(|unit| written(&unit)).ok(), Some("bottles/h".to_owned()));
    }
}
