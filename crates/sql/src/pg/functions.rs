//! Andon's own functions as the catalogue tells of them: what `\df` lists.

/// A function: its arguments and its result in PostgreSQL's words.
pub struct Listed {
    /// Its name.
    pub name: &'static str,
    /// `f` for a function, `a` for an aggregate.
    pub kind: &'static str,
    /// Whether it gives rows.
    pub rows: bool,
    /// Names and types.
    pub arguments: &'static str,
    /// A type, or a table's columns.
    pub result: &'static str,
    /// What it is for.
    pub about: &'static str,
}

impl Listed {
    /// The types of its arguments.
    pub fn types(&self) -> impl Iterator<Item = &'static str> {
        self.arguments.split(", ").map(|argument| {
            let argument = argument.trim_start_matches("VARIADIC ");
            let of = argument.split_once(' ').map_or(argument, |(_, of)| of);
            of.split_once(" DEFAULT").map_or(of, |(of, _)| of)
        })
    }
}

/// The first id of a function.
const FIRST: i64 = 17_000;

const fn one(name: &'static str, arguments: &'static str, result: &'static str, about: &'static str) -> Listed {
    Listed { name, kind: "f", rows: false, arguments, result, about }
}

/// All of them, by name.
pub const FUNCTIONS: [Listed; 9] = [
    one(
        "date_format",
        "ts timestamp with time zone, pattern text",
        "text",
        "A time by a pattern with %, such as '%Y-%m-%d'",
    ),
    one(
        "json_extract_path",
        "json text, VARIADIC path text[]",
        "text",
        "A part of JSON as JSON; json -> key for one step",
    ),
    one(
        "json_extract_path_text",
        "json text, VARIADIC path text[]",
        "text",
        "A part of JSON as text; json ->> key for one step",
    ),
    Listed {
        name: "last_side_by_side",
        kind: "f",
        rows: true,
        arguments: "equipment text, VARIADIC tags text[]",
        result: "TABLE(path text, tag any, ...)",
        about: "A row for each equipment with the last values of its tags, each a column",
    },
    Listed {
        name: "resample",
        kind: "f",
        rows: true,
        arguments: "path text, \"from\" timestamp with time zone, \"to\" timestamp with time zone, step interval",
        result: "TABLE(ts timestamp with time zone, value double precision, min double precision, max double precision, last double precision, samples bigint, good double precision)",
        about: "A row for each step: average over time, extremes, last value, and how much of the time was good",
    },
    Listed {
        name: "side_by_side",
        kind: "f",
        rows: true,
        arguments: "equipment text, \"from\" timestamp with time zone, \"to\" timestamp with time zone, VARIADIC tags text[]",
        result: "TABLE(path text, ts timestamp with time zone, tag any, ...)",
        about: "A row for each time of each equipment with its tags as columns",
    },
    Listed {
        name: "thin",
        kind: "f",
        rows: true,
        arguments: "path text, \"from\" timestamp with time zone, \"to\" timestamp with time zone, n integer",
        result: "SETOF samples",
        about: "At most n rows of samples that draw the same picture",
    },
    one(
        "time_bucket",
        "width interval, ts timestamp with time zone, origin timestamp with time zone DEFAULT NULL",
        "timestamp with time zone",
        "The beginning of the bucket in which a time lies; date_bin is the same",
    ),
    Listed {
        name: "time_weighted_average",
        kind: "a",
        rows: false,
        arguments: "ts timestamp with time zone, value double precision, stepped boolean DEFAULT false",
        result: "double precision",
        about: "The average over time, in straight lines or in steps, of one tag in each group",
    },
];

/// All of them with their ids.
pub fn listed() -> impl Iterator<Item = (i64, &'static Listed)> {
    (FIRST..).zip(&FUNCTIONS)
}

/// The function of an id.
pub fn of(oid: i64) -> Option<&'static Listed> {
    usize::try_from(oid.checked_sub(FIRST)?).ok().and_then(|place| FUNCTIONS.get(place))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_types_of_arguments_are_told_apart() {
        let of = |name: &str| {
            let listed = FUNCTIONS.iter().find(|listed| listed.name == name).expect("listed");
            listed.types().collect::<Vec<_>>().join("|")
        };
        assert_eq!(of("time_weighted_average"), "timestamp with time zone|double precision|boolean");
        assert_eq!(of("side_by_side"), "text|timestamp with time zone|timestamp with time zone|text[]");
    }
}
