//! Quality of a value: the OPC UA StatusCode (OPC 10000-4 v1.05 §7.39, codes of OPC 10000-6 Annex A.2).

use serde::{Deserialize, Serialize};
use std::fmt;

/// How far a value can be trusted. The two highest bits are the severity: 00 good, 01 uncertain, 10 bad.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StatusCode(pub u32);

macro_rules! codes {
    ($($name:ident = $code:literal, $constant:ident, $words:literal;)*) => {
        impl StatusCode {
            $(#[doc = concat!("`", stringify!($name), "`: ", $words, ".")] pub const $constant: Self = Self($code);)*

            /// The name in the standard without sub-status bits, or `None` for a code that Andon does not use itself.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match self.0 & 0xFFFF_0000 { $($code => Some(stringify!($name)),)* _ => None }
            }

            /// Reads what people and [`fmt::Display`] write: a name of the standard, `good`, `uncertain`, `bad`, a number, or one in
            /// hexadecimal (`0x80310000`). `None` for anything else.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                Some(match text {
                    $(stringify!($name) => Self::$constant,)*
                    "good" => Self::GOOD,
                    "uncertain" => Self::UNCERTAIN,
                    "bad" => Self::BAD,
                    _ => Self(match text.strip_prefix("0x") {
                        Some(digits) if !digits.starts_with('+') => u32::from_str_radix(digits, 16).ok()?,
                        _ if text.starts_with(|c: char| c.is_ascii_digit()) => text.parse().ok()?,
                        _ => return None,
                    }),
                })
            }

            /// What the code means, in plain words.
            #[must_use]
            pub const fn words(self) -> &'static str {
                match self.0 & 0xFFFF_0000 {
                    $($code => $words,)*
                    _ if self.is_bad() => "bad",
                    _ if self.is_uncertain() => "uncertain",
                    _ => "good",
                }
            }
        }
    };
}

codes! {
    Good = 0x0000_0000, GOOD, "good";
    GoodLocalOverride = 0x0096_0000, GOOD_LOCAL_OVERRIDE, "overridden by hand";
    Uncertain = 0x4000_0000, UNCERTAIN, "uncertain";
    UncertainLastUsableValue = 0x4090_0000, UNCERTAIN_LAST_USABLE_VALUE, "last usable value, no longer updated";
    UncertainInitialValue = 0x4092_0000, UNCERTAIN_INITIAL_VALUE, "initial value, not yet measured";
    UncertainEngineeringUnitsExceeded = 0x4094_0000, UNCERTAIN_ENGINEERING_UNITS_EXCEEDED, "outside the range of the instrument";
    Bad = 0x8000_0000, BAD, "bad";
    BadCommunicationError = 0x8005_0000, BAD_COMMUNICATION_ERROR, "communication failed";
    BadTypeMismatch = 0x8074_0000, BAD_TYPE_MISMATCH, "the value is not of the tag's type";
    BadDecodingError = 0x8007_0000, BAD_DECODING_ERROR, "the data could not be understood";
    BadOutOfRange = 0x803C_0000, BAD_OUT_OF_RANGE, "out of range";
    BadNoCommunication = 0x8031_0000, BAD_NO_COMMUNICATION, "no communication with the device";
    BadWaitingForInitialData = 0x8032_0000, BAD_WAITING_FOR_INITIAL_DATA, "no value yet";
    BadConfigurationError = 0x8089_0000, BAD_CONFIGURATION_ERROR, "configured wrongly";
    BadNotConnected = 0x808A_0000, BAD_NOT_CONNECTED, "never connected";
    BadDeviceFailure = 0x808B_0000, BAD_DEVICE_FAILURE, "device failure";
    BadSensorFailure = 0x808C_0000, BAD_SENSOR_FAILURE, "sensor failure";
    BadOutOfService = 0x808D_0000, BAD_OUT_OF_SERVICE, "out of service";
    BadNoData = 0x809B_0000, BAD_NO_DATA, "no data";
    BadDataLost = 0x809D_0000, BAD_DATA_LOST, "data was lost";
}

impl StatusCode {
    /// Severity good.
    #[must_use]
    pub const fn is_good(self) -> bool {
        self.0 >> 30 == 0
    }
    /// Severity uncertain.
    #[must_use]
    pub const fn is_uncertain(self) -> bool {
        self.0 >> 30 == 1
    }
    /// Severity bad (the reserved severity 11 counts as bad).
    #[must_use]
    pub const fn is_bad(self) -> bool {
        self.0 >> 30 >= 2
    }
}

impl fmt::Display for StatusCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "{:#010x}", self.0),
        }
    }
}

impl fmt::Debug for StatusCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::StatusCode;

    #[test]
    fn severity_is_the_top_two_bits() {
        assert!(StatusCode::GOOD.is_good() && StatusCode(0x0096_0403).is_good());
        assert!(StatusCode::UNCERTAIN_INITIAL_VALUE.is_uncertain());
        assert!(StatusCode::BAD_NO_COMMUNICATION.is_bad() && StatusCode(0xC000_0000).is_bad());
        assert_eq!(StatusCode(0x8031_0401).name(), Some("BadNoCommunication"));
    }

    #[test]
    fn what_is_shown_is_read() {
        for code in [StatusCode::GOOD, StatusCode::BAD_NO_COMMUNICATION, StatusCode(0x8000_1234), StatusCode(7 << 16)] {
            let named = StatusCode(code.0 & 0xFFFF_0000);
            assert_eq!(StatusCode::parse(&code.to_string()), Some(if code.name().is_some() { named } else { code }));
            assert_eq!(StatusCode::parse(&code.0.to_string()), Some(code));
        }
        assert_eq!(StatusCode::parse("uncertain"), Some(StatusCode::UNCERTAIN));
        for wrong in ["", "0x", "0x+1", "+1", "-1", "4294967296", "GOOD", "fine"] {
            assert_eq!(StatusCode::parse(wrong), None, "{wrong}");
        }
    }
}
