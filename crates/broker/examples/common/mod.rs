//! What the benchmarks of the broker share.

use andon_broker::*;
use andon_model::BoxFuture;
use andon_model::access::Principal;
use andon_wire::mqtt::*;
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Lets everybody in and do everything. Topics below `volatile/` are volatile.
pub struct OpenDoor;

#[async_trait]
impl BrokerHooks for OpenDoor {
    async fn authenticate(&self, _: &str, _: Option<&str>, _: Option<&[u8]>, _: &Peer) -> Result<Principal, AuthError> {
        Ok(Principal::ANONYMOUS)
    }
    fn may_publish(&self, _: &Principal, _: &str) -> bool {
        true
    }
    fn rule(&self, offer: &Offer<'_>) -> Ruling {
        if offer.topic.starts_with("volatile/") { Ruling::Volatile } else { Ruling::Durable }
    }
    fn may_subscribe(&self, _: &Principal, _: &str) -> bool {
        true
    }
    fn on_message(&self, _: &Message) -> Option<BoxFuture<'static, ()>> {
        None
    }
    fn command_topic(&self, _: &str) -> bool {
        false
    }
    async fn command(&self, _: &Principal, _: &TopicName, _: &Bytes, _: &UserProperties) -> Result<(), CommandRefusal> {
        Ok(())
    }
    fn connection(&self, _: ConnectionEvent) {}
    fn dropped(&self, _: DropReport) {}
}

/// A 5.0 client whose CONNECT was answered.
pub async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    client_id: &str,
    lasting: bool,
) -> Result<(S, Decoder), Failure> {
    let properties = ConnectProperties { session_expiry_s: lasting.then_some(3600), ..ConnectProperties::default() };
    let connect = Connect {
        version: Version::V5,
        clean_start: !lasting,
        keep_alive_s: 0,
        client_id: Text::parse(client_id)?,
        will: None,
        user_name: None,
        password: None,
        properties,
    };
    let mut out = BytesMut::new();
    Packet::Connect(Box::new(connect)).encode(Version::V5, &mut out)?;
    stream.write_all(&out).await?;
    let mut decoder = Decoder::client(Version::V5, Limits::default());
    let mut buffer = BytesMut::new();
    while decoder.decode(&mut buffer)?.is_none() {
        stream.read_buf(&mut buffer).await?;
    }
    Ok((stream, decoder))
}

/// Subscribes to all of them and waits for the answer.
pub async fn subscribe<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    decoder: &mut Decoder,
    filters: &[String],
    qos: QoS,
) -> Result<(), Failure> {
    let lines = filters.iter().map(|text| {
        let (filter, retain_handling) = (TopicFilter::parse(text)?, RetainHandling::Send);
        Ok(Filter { filter, qos, no_local: false, retain_as_published: false, retain_handling })
    });
    let filters = lines.collect::<Result<Vec<_>, Failure>>()?;
    let mut out = BytesMut::new();
    let subscribe = Subscribe { packet_id: 1, properties: SubscribeProperties::default(), filters };
    Packet::Subscribe(subscribe).encode(Version::V5, &mut out)?;
    stream.write_all(&out).await?;
    let mut buffer = BytesMut::new();
    while decoder.decode(&mut buffer)?.is_none() {
        stream.read_buf(&mut buffer).await?;
    }
    Ok(())
}
