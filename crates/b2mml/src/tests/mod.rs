//! Values with anything in them, and the tests that are about all types at once.

mod abuse;
mod cases;
mod edition;
mod round_trip;

/// Where sampled values come from: the same number, the same value.
pub(crate) struct Random {
    state: u64,
    depth: usize,
}

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed, depth: 0 }
    }

    /// SplitMix64.
    pub(crate) fn number(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.number() % u64::try_from(end).unwrap()).unwrap()
    }

    /// Whether there is to be another part; the deeper, the less.
    pub(crate) fn wants_more(&mut self) -> bool {
        let against = self.depth;
        self.depth < 9 && self.below(2 + against) == 0
    }

    pub(crate) fn within<T>(&mut self, act: impl FnOnce(&mut Self) -> T) -> T {
        self.depth += 1;
        let result = act(self);
        self.depth -= 1;
        result
    }

    /// A text that is hard on whoever writes XML.
    pub(crate) fn text(&mut self) -> String {
        const CHARACTERS: [&str; 16] =
            ["a", "Z", "7", "ä", "漢", "🏮", "<", ">", "&", "\"", "'", "]]>", " ", "\n", "&amp;", "<!--"];
        let inner: String = (0..self.below(12)).map(|_| CHARACTERS[self.below(CHARACTERS.len())]).collect();
        format!("x{inner}y")
    }
}

/// A type that is declared as a list of elements.
pub(crate) trait Listed {
    fn listed() -> Listing;
}

/// Its list.
pub(crate) struct Listing {
    pub name: &'static str,
    pub attributes: Vec<&'static str>,
    /// Name, how often, type.
    pub elements: Vec<(&'static str, &'static str, &'static str)>,
}

/// A list of codes.
pub(crate) trait Coded {
    /// Its type in the edition, its words, and whether the sender's own word may stand beside `Other`.
    const CODES: (&'static str, &'static [&'static str], bool);
}
