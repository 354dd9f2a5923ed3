//! Recorded room data, row by row. Where it comes from: `data/ORIGIN.md`.

/// One minute in a room. The bedroom's recording has climate only; the rest is zero there.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(super) struct Row {
    pub(super) temperature_c: f64,
    pub(super) humidity_pct: f64,
    pub(super) light_lux: f64,
    pub(super) co2_ppm: f64,
    pub(super) occupied: bool,
}

/// A recording that begins again at its end.
#[derive(Clone, Debug)]
pub(super) struct Replay {
    rows: Vec<Row>,
}

impl Replay {
    pub(super) fn living_room() -> Self {
        Self::read(include_str!("../../data/living-room.csv"))
    }

    pub(super) fn bedroom() -> Self {
        Self::read(include_str!("../../data/bedroom.csv"))
    }

    fn read(text: &str) -> Self {
        let row = |line: &str| {
            let mut cells = line.split(',').skip(1).map(|cell| cell.parse().unwrap_or(0.0));
            let mut next = || cells.next().unwrap_or(0.0);
            Row {
                temperature_c: next(),
                humidity_pct: next(),
                light_lux: next(),
                co2_ppm: next(),
                occupied: next() > 0.0,
            }
        };
        Self { rows: text.lines().skip(1).map(row).collect() }
    }

    pub(super) fn row(&self, step: u64) -> Row {
        let length = u64::try_from(self.rows.len()).unwrap_or(1).max(1);
        usize::try_from(step % length).ok().and_then(|at| self.rows.get(at)).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recordings_are_whole_and_reach_the_alarm_limit() {
        let living = Replay::living_room();
        assert_eq!(living.rows.len(), 2665);
        assert!(living.rows.iter().all(|row| (15.0..30.0).contains(&row.temperature_c) && row.co2_ppm > 400.0));
        assert!(living.row(0).co2_ppm < 1000.0, "the demo begins calm");
        assert!((30..60).any(|step| living.row(step).co2_ppm >= 1000.0), "CO2 is high within the first minute");
        assert_eq!(living.row(2665), living.row(0));
        let bedroom = Replay::bedroom();
        assert_eq!(bedroom.rows.len(), 1440);
        assert!(bedroom.rows.iter().all(|row| (15.0..30.0).contains(&row.temperature_c) && row.humidity_pct > 10.0));
    }
}
