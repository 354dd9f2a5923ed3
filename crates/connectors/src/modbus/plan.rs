//! Which requests to send: registers of one rate and one table, merged over small holes. Pure.
//!
//! The idea: a request costs a round trip (1–20 ms), an unwanted register two bytes. So neighbours are read together, and a
//! hole of up to `max_gap` registers is read along. When the device refuses a block, [`Block::split`] cuts it,
//! first at its widest hole, until the register that the device does not have stands alone.
//!
//! **Invariant**: every register lies whole in exactly one block; no block is wider than the limit of its table.

use super::config::{Config, MAX_READ_BITS, Register, Table, place};
use std::collections::BTreeMap;
use std::time::Duration;

/// One read request and the registers that it feeds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Block {
    /// Which table.
    pub table: Table,
    /// The first address.
    pub start: u16,
    /// How many registers or bits, at least 1.
    pub count: u16,
    /// Indices into [`Config::registers`], by address.
    pub registers: Vec<usize>,
}

impl Block {
    /// In words: `holding 12..40`.
    #[must_use]
    pub fn place(&self) -> String {
        place(self.table, self.start, self.count)
    }

    /// Two smaller blocks with the same registers, cut at the widest hole, or in the middle if there is none.
    /// `None` when it cannot be cut: one register, or several that overlap.
    #[must_use]
    pub fn split(&self, registers: &[Register]) -> Option<(Self, Self)> {
        let mut end = 0_u32;
        let mut cuts = Vec::new(); // (hole, distance from the middle, index after the cut)
        for (index, register) in self.registers.iter().filter_map(|i| registers.get(*i)).enumerate() {
            let start = u32::from(register.address);
            if index > 0 && start > end {
                cuts.push((start - end, index.abs_diff(self.registers.len() / 2), index));
            }
            end = end.max(u32::from(register.last()));
        }
        let (_, _, cut) =
            cuts.into_iter().max_by_key(|(hole, off_middle, _)| (*hole, std::cmp::Reverse(*off_middle)))?;
        let (left, right) = self.registers.split_at_checked(cut)?;
        Some((Self::around(self.table, left, registers)?, Self::around(self.table, right, registers)?))
    }

    /// The smallest block around these registers.
    fn around(table: Table, indices: &[usize], registers: &[Register]) -> Option<Self> {
        let all = || indices.iter().filter_map(|index| registers.get(*index));
        let start = all().map(|register| register.address).min()?;
        let last = all().map(Register::last).max()?;
        Some(Self { table, start, count: last.saturating_sub(start).saturating_add(1), registers: indices.to_vec() })
    }
}

/// Blocks that are read at the same rate.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Group {
    /// How often.
    pub period: Duration,
    /// In the order of tables and addresses.
    pub blocks: Vec<Block>,
}

/// The groups of a device, fastest first.
#[must_use]
pub fn plan(config: &Config) -> Vec<Group> {
    let mut sorted: BTreeMap<(Duration, Table), Vec<usize>> = BTreeMap::new();
    for (index, register) in config.registers.iter().enumerate() {
        sorted.entry((register.poll, register.table)).or_default().push(index);
    }
    let mut groups: Vec<Group> = Vec::new();
    for ((period, table), mut indices) in sorted {
        indices.sort_by_key(|index| config.registers.get(*index).map(|register| (register.address, register.last())));
        let blocks = merge(config, table, &indices);
        match groups.last_mut() {
            Some(group) if group.period == period => group.blocks.extend(blocks),
            _ => groups.push(Group { period, blocks }),
        }
    }
    groups
}

fn merge(config: &Config, table: Table, indices: &[usize]) -> Vec<Block> {
    let limit = if table.is_bits() { MAX_READ_BITS } else { config.max_read };
    let mut blocks: Vec<Block> = Vec::new();
    for index in indices {
        let Some(register) = config.registers.get(*index) else { continue };
        if let Some(block) = blocks.last_mut() {
            let end = u32::from(block.start) + u32::from(block.count); // the address after the block
            let last = u32::from(register.last());
            let wider = (last + 1).max(end) - u32::from(block.start);
            if u32::from(register.address) <= end + u32::from(config.max_gap) && wider <= u32::from(limit) {
                block.count = u16::try_from(wider).unwrap_or(limit);
                block.registers.push(*index);
                continue;
            }
        }
        blocks.push(Block { table, start: register.address, count: register.kind.width(), registers: vec![*index] });
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modbus::config::{Kind, Order, Scaling};
    use andon_model::{DataType, TagPath};
    use proptest::prelude::*;

    fn register(table: Table, address: u16, kind: Kind, poll_ms: u64) -> Register {
        Register {
            tag: TagPath::parse(&format!("a/{table}{address}")).unwrap(),
            data_type: DataType::Double,
            table,
            address,
            kind,
            word_order: Order::Big,
            byte_order: Order::Big,
            scaling: Scaling::NONE,
            writable: false,
            poll: Duration::from_millis(poll_ms),
        }
    }

    fn config(registers: Vec<Register>) -> Config {
        let timeout = Duration::from_secs(1);
        Config { endpoint: "127.0.0.1:502".to_owned(), unit_id: 1, timeout, max_gap: 8, max_read: 125, registers }
    }

    fn places(config: &Config) -> Vec<String> {
        let groups = plan(config);
        groups
            .iter()
            .flat_map(|group| {
                group.blocks.iter().map(|block| format!("{}ms {}", group.period.as_millis(), block.place()))
            })
            .collect()
    }

    #[test]
    fn neighbours_and_small_holes_are_read_together() {
        let at = |address| register(Table::Holding, address, Kind::U16, 500);
        assert_eq!(places(&config(vec![at(0), at(1), at(10)])), ["500ms holding 0..10"]);
        assert_eq!(places(&config(vec![at(11), at(1)])), ["500ms holding 1", "500ms holding 11"]);
    }

    #[test]
    fn rates_and_tables_stay_apart() {
        let config = config(vec![
            register(Table::Input, 0, Kind::F32, 500),
            register(Table::Holding, 2, Kind::U16, 500),
            register(Table::Coil, 0, Kind::Bool { bit: None }, 500),
            register(Table::Input, 2, Kind::F64, 5000),
        ]);
        assert_eq!(places(&config), ["500ms coil 0", "500ms holding 2", "500ms input 0..1", "5000ms input 2..5"]);
    }

    #[test]
    fn no_read_is_wider_than_allowed() {
        let registers = (0..200).map(|address| register(Table::Holding, address, Kind::U16, 500)).collect();
        assert_eq!(places(&config(registers)), ["500ms holding 0..124", "500ms holding 125..199"]);
    }

    #[test]
    fn the_last_address_is_reachable() {
        let config = config(vec![
            register(Table::Holding, 65_534, Kind::F32, 500),
            register(Table::Holding, 65_530, Kind::U16, 500),
        ]);
        assert_eq!(places(&config), ["500ms holding 65530..65535"]);
    }

    #[test]
    fn a_block_is_cut_at_its_widest_hole_first() {
        let at = |address| register(Table::Holding, address, Kind::U16, 500);
        let config = config(vec![at(0), at(1), at(2), at(9), at(10)]);
        let block = &plan(&config)[0].blocks[0];
        let (left, right) = block.split(&config.registers).unwrap();
        assert_eq!((left.place(), right.place()), ("holding 0..2".to_owned(), "holding 9..10".to_owned()));
        let (left, right) = left.split(&config.registers).unwrap();
        assert_eq!((left.place(), right.place()), ("holding 0".to_owned(), "holding 1..2".to_owned()));
        assert_eq!(left.split(&config.registers), None);
    }

    proptest! {
        #[test]
        fn every_register_lies_whole_in_one_block_and_splitting_keeps_that(
            entries in prop::collection::vec((0_u16..300, 0_usize..4, any::<bool>()), 1..40), max_gap in 0_u16..20, max_read in 4_u16..125,
        ) {
            let kinds = [Kind::U16, Kind::F32, Kind::F64, Kind::Text { words: 4 }];
            let registers = entries.iter().map(|(address, kind, slow)| {
                register(Table::Holding, *address, kinds[*kind], if *slow { 5000 } else { 500 })
            }).collect();
            let config = Config { max_gap, max_read, ..config(registers) };
            let mut open: Vec<Block> = plan(&config).into_iter().flat_map(|group| group.blocks).collect();
            let mut seen = vec![0; config.registers.len()];
            while let Some(block) = open.pop() {
                prop_assert!(block.count >= 1 && block.count <= max_read);
                for index in &block.registers {
                    let register = &config.registers[*index];
                    prop_assert!(register.address >= block.start);
                    prop_assert!(u32::from(register.last()) < u32::from(block.start) + u32::from(block.count));
                }
                match block.split(&config.registers) {
                    Some((left, right)) => {
                        prop_assert!(left.registers.len() + right.registers.len() == block.registers.len());
                        open.extend([left, right]);
                    }
                    None => block.registers.iter().for_each(|index| seen[*index] += 1),
                }
            }
            prop_assert!(seen.iter().all(|times| *times == 1));
        }
    }
}
