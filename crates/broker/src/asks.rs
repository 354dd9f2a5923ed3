//! What a subscriber may ask for beyond MQTT: user properties of SUBSCRIBE that begin with `andon-`.
//!
//! They hold for every filter of the packet. What is not understood is refused, never passed over: a subscriber that
//! asked for something and was told "yes" gets it.

use crate::past::Past;
use andon_model::Timestamp;
use andon_wire::mqtt::UserProperties;
use bytes::BufMut;
use std::ops::RangeInclusive;
use std::time::Duration;

/// What names of ours begin with, in what is asked and in what is told.
pub(crate) const PREFIX: &str = "andon-";

/// What a subscription asks for, for as long as it is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Ask {
    /// Tell with each message when it was received and who published it.
    pub origin: bool,
    /// What of the messages is sent.
    pub deliver: Deliver,
}

/// What of its messages a subscription is sent; by what leaves out less.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Deliver {
    /// All.
    #[default]
    All,
    /// To a client that does not keep up the newest of each topic.
    Latest,
    /// Of each topic one in so many milliseconds at most: the newest, also the last one.
    Every {
        /// 200 to 86,400,000.
        ms: u32,
    },
    /// Of each topic no number that differs by less from the one sent before.
    Deadband {
        /// The bits of a number above 0, which are in the order of such numbers.
        bits: u64,
    },
}

impl Deliver {
    /// Whether something may be left out.
    #[must_use]
    pub const fn is_lossy(self) -> bool {
        !matches!(self, Self::All)
    }
}

impl std::fmt::Display for Deliver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Latest => f.write_str("latest"),
            Self::Every { ms } if ms % 1000 == 0 => write!(f, "every={}s", ms / 1000),
            Self::Every { ms } => write!(f, "every={ms}ms"),
            Self::Deadband { bits } => write!(f, "deadband={}", f64::from_bits(*bits)),
        }
    }
}

impl Ask {
    /// Whether anything at all is asked for.
    pub(crate) fn is_any(self) -> bool {
        self != Self::default()
    }

    /// What `self` and `other` ask for one delivery that serves both.
    pub(crate) fn with(self, other: Self) -> Self {
        Self { origin: self.origin || other.origin, deliver: self.deliver.min(other.deliver) }
    }

    /// What is told beside a message for this.
    pub(crate) fn extra(self) -> Extra {
        Extra { asked: self.is_any(), origin: self.origin, left_out: 0, past: false }
    }
}

/// What a subscriber is told beside a message, because it asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Extra {
    /// It asked for anything: properties of the publisher's that look like ours are left out, for it takes them for ours.
    pub(crate) asked: bool,
    pub(crate) origin: bool,
    /// So many of its topic were left out since the one before.
    pub(crate) left_out: u32,
    /// It was kept, and is sent because somebody asked for what was; never stored.
    pub(crate) past: bool,
}

impl Extra {
    /// In a byte, and with bit 2 set four more for the count. Part of the format.
    pub(crate) fn put(self, out: &mut impl BufMut) {
        out.put_u8(u8::from(self.asked) | u8::from(self.origin) << 1 | u8::from(self.left_out > 0) << 2);
        if self.left_out > 0 {
            out.put_u32(self.left_out);
        }
    }

    /// As [`Extra::put`] wrote it; `byte` gives the next one.
    pub(crate) fn take<E>(mut byte: impl FnMut() -> Result<u8, E>) -> Result<Self, E> {
        let bits = byte()?;
        let mut left_out = 0;
        if bits & 4 != 0 {
            for _ in 0..4 {
                left_out = left_out << 8 | u32::from(byte()?);
            }
        }
        Ok(Self { asked: bits & 1 != 0, origin: bits & 2 != 0, left_out, past: false })
    }
}

/// What a SUBSCRIBE asks for: for as long as its subscriptions are there, and once.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Asked {
    pub(crate) ask: Ask,
    pub(crate) past: Option<Past>,
}

/// Why what was asked for is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AskError {
    #[error(
        "\"{0}\" is not known; known are andon-origin, andon-deliver, andon-from, andon-until, andon-max and andon-last"
    )]
    Unknown(String),
    #[error("\"{0}\" stands there twice")]
    Twice(String),
    #[error("\"{0}\" is not for shared subscriptions, whose messages go to one of several")]
    Shared(&'static str),
    #[error("\"andon-last\" goes with neither \"andon-from\" nor \"andon-until\" nor \"andon-max\"")]
    Both,
    #[error("what was asked for of the past before is still on its way")]
    Busy,
    #[error("no messages are kept here; a topic rule with \"keep\" says which are")]
    NothingKept,
    #[error("\"andon-until\" must be after \"andon-from\"")]
    Backwards,
    #[error("\"{name}\" must be {wanted}, not \"{value}\"")]
    Value { name: &'static str, wanted: &'static str, value: String },
}

/// The most of a client's words that a reason repeats, in bytes.
const REPEATED: usize = 64;

fn repeated(text: &str) -> String {
    text.get(..text.floor_char_boundary(REPEATED)).unwrap_or_default().to_owned()
}

/// Reads what the user properties of a SUBSCRIBE ask for.
/// `shared`: there is a shared subscription among those it is for.
pub(crate) fn parse(user: &UserProperties, shared: bool, now: Timestamp) -> Result<Asked, AskError> {
    let (mut ask, mut from, mut until, mut most, mut last) = (Ask::default(), None, None, None, false);
    let ours = || user.iter().map(|(n, v)| (n.as_str(), v.as_str())).filter(|(n, _)| n.starts_with(PREFIX));
    for (at, (name, value)) in ours().enumerate() {
        if ours().take(at).any(|(earlier, _)| earlier == name) {
            return Err(AskError::Twice(repeated(name)));
        }
        match name {
            "andon-origin" => ask.origin = yes_or_no("andon-origin", value)?,
            "andon-deliver" => ask.deliver = deliver(value)?,
            "andon-from" => from = Some(time("andon-from", value, now)?),
            "andon-until" => until = Some(time("andon-until", value, now)?),
            "andon-max" => most = Some(most_of(value)?),
            "andon-last" => last = yes_or_no("andon-last", value)?,
            _ => return Err(AskError::Unknown(repeated(name))),
        }
    }
    if shared && ask.deliver.is_lossy() {
        return Err(AskError::Shared("andon-deliver"));
    }
    let history = from.is_some() || until.is_some() || most.is_some();
    if shared && (history || last) {
        return Err(AskError::Shared(if last { "andon-last" } else { "andon-from" }));
    }
    if history && last {
        return Err(AskError::Both);
    }
    let from = from.unwrap_or(Timestamp::from_micros(i64::MIN));
    if until.is_some_and(|until| until <= from) {
        return Err(AskError::Backwards);
    }
    let past = if history { Some(Past::History { from, until, most }) } else { last.then_some(Past::Last) };
    Ok(Asked { ask, past })
}

/// A time as it is asked for: RFC 3339, or `-` and how long ago, such as `-1h`.
#[must_use]
pub fn time_asked(text: &str, now: Timestamp) -> Option<Timestamp> {
    let ago = text.strip_prefix('-').and_then(span_ms).map(|ms| now.minus(Duration::from_millis(ms)));
    ago.or_else(|| Timestamp::parse_rfc3339(text))
}

fn time(name: &'static str, value: &str, now: Timestamp) -> Result<Timestamp, AskError> {
    let wanted = "a time such as 2026-11-26T06:00:00Z, or how long ago, such as -1h";
    time_asked(value, now).ok_or_else(|| AskError::Value { name, wanted, value: repeated(value) })
}

/// The most messages that `andon-max` asks for.
const MOST: std::ops::RangeInclusive<usize> = 1..=1_000_000;

fn most_of(value: &str) -> Result<usize, AskError> {
    let most = value.parse().ok().filter(|most| MOST.contains(most));
    let wrong =
        || AskError::Value { name: "andon-max", wanted: "a whole number from 1 to 1000000", value: repeated(value) };
    most.ok_or_else(wrong)
}

fn yes_or_no(name: &'static str, value: &str) -> Result<bool, AskError> {
    match value {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err(AskError::Value { name, wanted: "yes or no", value: repeated(value) }),
    }
}

/// The intervals that can be asked for, in milliseconds. What waits is looked at five times a second.
const INTERVALS_MS: RangeInclusive<u64> = 200..=86_400_000;

fn deliver(value: &str) -> Result<Deliver, AskError> {
    let wanted = "all, latest, every=<200ms to 1d>, or deadband=<a number above 0>";
    let wrong = || AskError::Value { name: "andon-deliver", wanted, value: repeated(value) };
    match value.split_once('=') {
        None if value == "all" => Ok(Deliver::All),
        None if value == "latest" => Ok(Deliver::Latest),
        Some(("every", span)) => {
            let ms = span_ms(span).filter(|ms| INTERVALS_MS.contains(ms)).and_then(|ms| u32::try_from(ms).ok());
            ms.map(|ms| Deliver::Every { ms }).ok_or_else(wrong)
        }
        Some(("deadband", band)) => {
            let band = band.parse::<f64>().ok().filter(|band| band.is_finite() && *band > 0.0);
            band.map(|band| Deliver::Deadband { bits: band.to_bits() }).ok_or_else(wrong)
        }
        _ => Err(wrong()),
    }
}

/// A time span such as `500ms`, `1s`, `5min`, `1h`, `7d`, in milliseconds.
pub(crate) fn span_ms(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(digits)?;
    let unit = match unit {
        "ms" => 1,
        "s" => 1000,
        "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use andon_wire::mqtt::Text;

    fn asked(pairs: &[(&str, &str)]) -> Result<Ask, String> {
        let text = |s: &str| Text::parse(s).unwrap();
        let user = pairs.iter().map(|(n, v)| (text(n), text(v))).collect();
        let asked = parse(&user, false, Timestamp::from_millis(10_000_000)).map_err(|error| error.to_string())?;
        assert_eq!(asked.past, None);
        Ok(asked.ask)
    }

    #[test]
    fn what_is_not_ours_asks_for_nothing() {
        assert_eq!(asked(&[("origin", "yes"), ("Andon-Origin", "maybe"), ("x", "")]), Ok(Ask::default()));
    }

    #[test]
    fn origin_is_asked_for_with_yes() {
        assert_eq!(asked(&[("andon-origin", "yes")]), Ok(Ask { origin: true, ..Ask::default() }));
        assert_eq!(asked(&[("andon-origin", "no")]), Ok(Ask::default()));
    }

    #[test]
    fn what_is_sent_is_asked_for_in_words_that_are_told_again() {
        for (words, deliver) in [
            ("all", Deliver::All),
            ("latest", Deliver::Latest),
            ("every=1s", Deliver::Every { ms: 1000 }),
            ("every=250ms", Deliver::Every { ms: 250 }),
            ("every=86400s", Deliver::Every { ms: 86_400_000 }),
            ("deadband=0.5", Deliver::Deadband { bits: 0.5_f64.to_bits() }),
        ] {
            assert_eq!(asked(&[("andon-deliver", words)]), Ok(Ask { deliver, ..Ask::default() }));
            assert_eq!(deliver.to_string(), words);
        }
        assert_eq!(asked(&[("andon-deliver", "every=1min")]), asked(&[("andon-deliver", "every=60s")]));
        for wrong in [
            "",
            "Latest",
            "latest=1",
            "every",
            "every=",
            "every=1",
            "every=199ms",
            "every=25h",
            "every=-1s",
            "every=1.5s",
            "deadband",
            "deadband=0",
            "deadband=-1",
            "deadband=NaN",
            "deadband=inf",
            "deadband=1s",
        ] {
            let error = asked(&[("andon-deliver", wrong)]).unwrap_err();
            assert!(error.starts_with("\"andon-deliver\" must be all, latest, every="), "{error}");
        }
    }

    #[test]
    fn the_past_is_asked_for_by_times_and_numbers() {
        let past = |pairs: &[(&str, &str)]| {
            let text = |s: &str| Text::parse(s).unwrap();
            let user = pairs.iter().map(|(n, v)| (text(n), text(v))).collect();
            parse(&user, false, Timestamp::from_millis(10_000_000)).map(|asked| asked.past).map_err(|e| e.to_string())
        };
        let (always, at) = (Timestamp::from_micros(i64::MIN), Timestamp::from_millis);
        let history = |from, until, most| Ok(Some(Past::History { from, until, most }));
        assert_eq!(past(&[("andon-from", "-1h")]), history(at(6_400_000), None, None));
        let both = [("andon-from", "1970-01-01T00:00:01Z"), ("andon-until", "1970-01-01T01:00:02+01:00")];
        assert_eq!(past(&both), history(at(1000), Some(at(2000)), None));
        assert_eq!(past(&[("andon-max", "100")]), history(always, None, Some(100)));
        assert_eq!((past(&[("andon-last", "yes")]), past(&[("andon-last", "no")])), (Ok(Some(Past::Last)), Ok(None)));
        for wrong in [
            [("andon-from", "yesterday"), ("x", "")],
            [("andon-from", "1h"), ("x", "")],
            [("andon-max", "0"), ("x", "")],
            [("andon-max", "-1"), ("x", "")],
            [("andon-from", "-1h"), ("andon-until", "-2h")],
            [("andon-from", "-1h"), ("andon-until", "-1h")],
            [("andon-from", "-1h"), ("andon-last", "yes")],
        ] {
            assert!(past(&wrong).is_err(), "{wrong:?}");
        }
        let shared = |name: &str, value: &str| {
            let user = vec![(Text::parse(name).unwrap(), Text::parse(value).unwrap())];
            parse(&user, true, Timestamp::default()).is_err()
        };
        assert!(shared("andon-from", "-1h") && shared("andon-last", "yes") && !shared("andon-origin", "yes"));
    }

    #[test]
    fn of_two_that_overlap_what_leaves_out_less_holds() {
        let band = |band: f64| Deliver::Deadband { bits: band.to_bits() };
        let by_less = [
            Deliver::All,
            Deliver::Latest,
            Deliver::Every { ms: 200 },
            Deliver::Every { ms: 1000 },
            band(0.5),
            band(3.0),
        ];
        assert!(by_less.is_sorted());
        let ask = |deliver| Ask { deliver, origin: false };
        assert_eq!(ask(band(0.5)).with(ask(Deliver::Latest)), ask(Deliver::Latest));
    }

    #[test]
    fn what_is_not_understood_is_refused_with_what_is() {
        let error = |pairs: &[(&str, &str)]| asked(pairs).unwrap_err();
        assert_eq!(
            error(&[("andon-orign", "yes")]),
            "\"andon-orign\" is not known; known are andon-origin, andon-deliver, andon-from, andon-until, andon-max and andon-last"
        );
        assert_eq!(error(&[("andon-origin", "true")]), "\"andon-origin\" must be yes or no, not \"true\"");
        assert_eq!(error(&[("andon-origin", "no"), ("andon-origin", "yes")]), "\"andon-origin\" stands there twice");
        let long = format!("andon-{}ü", "x".repeat(1000));
        assert!(error(&[(&long, "")]).len() < 200, "no more is repeated than a reason has room for");
    }
}
