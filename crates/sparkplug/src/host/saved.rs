//! What a host application keeps over a restart: who there was, with which metrics, aliases and types. Values are kept elsewhere.

use super::node::Node;
use super::table::{Known, Table};
use super::{Host, Outcome};
use crate::topic::NodeName;
use crate::value::DataType;
use crate::{Limits, Now, topic};
use prost::Message as _;
use std::collections::HashMap;
use std::sync::Arc;

const FORMAT: u32 = 1;
/// The largest state that is read.
const BYTES: usize = 256 << 20;

/// Why a saved state is not taken.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RestoreError {
    /// A newer program wrote it.
    #[error("the Sparkplug state has format {0}; this version reads format {FORMAT}")]
    Format(u32),
    /// It is damaged.
    #[error("the Sparkplug state cannot be read: {0}")]
    Damaged(String),
}

#[derive(Clone, PartialEq, prost::Message)]
struct Saved {
    #[prost(uint32, tag = "1")]
    format: u32,
    #[prost(message, repeated, tag = "2")]
    nodes: Vec<SavedNode>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct SavedNode {
    #[prost(string, tag = "1")]
    group: String,
    #[prost(string, tag = "2")]
    node: String,
    #[prost(uint64, optional, tag = "3")]
    bd_seq: Option<u64>,
    #[prost(message, repeated, tag = "4")]
    metrics: Vec<SavedMetric>,
    #[prost(message, repeated, tag = "5")]
    devices: Vec<SavedDevice>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct SavedDevice {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, repeated, tag = "2")]
    metrics: Vec<SavedMetric>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct SavedMetric {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(uint64, optional, tag = "2")]
    alias: Option<u64>,
    #[prost(uint32, tag = "3")]
    data_type: u32,
    #[prost(bool, tag = "4")]
    transient: bool,
    #[prost(string, optional, tag = "5")]
    unit: Option<String>,
}

fn save(table: &Table) -> Vec<SavedMetric> {
    let metric = |known: &Known| SavedMetric {
        name: known.name.to_string(),
        alias: known.alias,
        data_type: known.data_type.map_or(0, DataType::code),
        transient: known.transient,
        unit: known.unit.as_deref().map(str::to_owned),
    };
    table.metrics.iter().map(metric).collect()
}

impl Host {
    /// The state as bytes: of those that were ever born.
    #[must_use]
    pub fn save(&self) -> Vec<u8> {
        let device = |(name, table): (&str, &Table)| SavedDevice { name: name.to_owned(), metrics: save(table) };
        let node = |node: &Node| SavedNode {
            group: node.name.group.to_string(),
            node: node.name.node.to_string(),
            bd_seq: node.bd_seq(),
            metrics: node.table(None).map(save).unwrap_or_default(),
            devices: node.devices().map(device).collect(),
        };
        let nodes = self.nodes.values().flat_map(HashMap::values).filter(|node| node.was_born()).map(node).collect();
        Saved { format: FORMAT, nodes }.encode_to_vec()
    }

    /// Takes back what [`Host::save`] gave; for a host that knows nobody yet. All of it is stale: who is there will be born. Gives what the
    /// mapped tags are to be told.
    /// # Errors
    /// [`RestoreError`]; then the host still knows nobody.
    pub fn restore(&mut self, bytes: &[u8], now: Now) -> Result<Outcome, RestoreError> {
        if bytes.len() > BYTES {
            return Err(RestoreError::Damaged(format!("it has more than {BYTES} bytes")));
        }
        let saved = Saved::decode(bytes).map_err(|error| RestoreError::Damaged(error.to_string()))?;
        if saved.format != FORMAT {
            return Err(RestoreError::Format(saved.format));
        }
        let mut out = Outcome::default();
        for node in saved.nodes.into_iter().take(self.options.nodes) {
            let Some(name) = NodeName::new(&node.group, &node.node).filter(|_| self.wants(&node.group)) else {
                continue;
            };
            let table = self.table(&name, "", node.metrics, now, &mut out);
            let mut devices = Vec::new();
            for device in node.devices {
                if topic::is_id(&device.name) && self.counts.devices < self.options.devices {
                    self.counts.devices += 1;
                    let table = self.table(&name, &device.name, device.metrics, now, &mut out);
                    devices.push((device.name.into(), table));
                }
            }
            let node = Node::restored(Arc::new(name.clone()), node.bd_seq, table, devices, now);
            if !node.was_born() {
                continue;
            }
            self.nodes.entry(name.group).or_default().insert(name.node, node);
        }
        Ok(out)
    }

    fn table(
        &mut self,
        name: &NodeName,
        device: &str,
        metrics: Vec<SavedMetric>,
        now: Now,
        out: &mut Outcome,
    ) -> Table {
        let mut table = Table::default();
        let longest = Limits::default().name;
        for metric in metrics.into_iter().filter(|metric| metric.name.len() <= longest) {
            if self.counts.metrics + table.metrics.len() >= self.options.metrics {
                break;
            }
            let tag = self.targets.of(name, device, &metric.name);
            let data_type = DataType::from_code(metric.data_type);
            let unit = metric.unit.map(Into::into);
            let known = Known::restored(&metric.name, metric.alias, data_type, metric.transient, unit, tag, now.wall);
            known.tell(out);
            table.add(known);
        }
        self.counts.metrics += table.metrics.len();
        table
    }
}
