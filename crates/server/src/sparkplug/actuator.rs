//! Writing a tag that is a metric of somebody else's edge node.

use super::{HostRun, Sparkplug};
use andon_model::command::{Actuator, WriteError, Written};
use andon_model::{BoxFuture, TagId, Timestamp, Value};
use andon_wire::mqtt::TopicName;
use std::sync::Arc;

/// Writes a tag by an NCMD or DCMD to those connected now.
pub(super) struct SparkplugActuator {
    pub sparkplug: Arc<Sparkplug>,
    pub run: Arc<HostRun>,
}

impl SparkplugActuator {
    fn send(&self, tag: TagId, value: &Value, deadline: Timestamp) -> Result<Written, WriteError> {
        let now = self.sparkplug.clock.now();
        let left = deadline.since(now);
        if left.is_zero() {
            return Err(WriteError::NotSent("its time ran out".to_owned()));
        }
        let core = self.run.core();
        let gone = || WriteError::NotSent("the tag is no metric any more".to_owned());
        let address = core.addresses.get(&tag).ok_or_else(gone)?;
        let message = core.host.command(address, value, now).map_err(|error| match error {
            andon_sparkplug::CommandError::Offline(_) => WriteError::NotConnected(error.to_string()),
            _ => WriteError::NotSent(error.to_string()),
        })?;
        drop(core);
        let topic = TopicName::parse(&message.topic).map_err(|error| WriteError::NotSent(error.to_string()))?;
        let broker =
            self.sparkplug.broker.get().ok_or_else(|| WriteError::NotSent("the node is starting".to_owned()))?;
        match broker.send_command(&topic, message.payload.into(), left) {
            Ok(_) => Ok(Written::Sent),
            Err(_) => Err(WriteError::NotConnected(format!("no device listens on \"{}\"", message.topic))),
        }
    }
}

impl Actuator for SparkplugActuator {
    fn write(&self, tag: TagId, value: Value, deadline: Timestamp) -> BoxFuture<'static, Result<Written, WriteError>> {
        Box::pin(std::future::ready(self.send(tag, &value, deadline)))
    }
}
