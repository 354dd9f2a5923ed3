//! Links that the other side ends, maybe over a message, and links that end for other reasons.

use super::*;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// Ends the link with a reason, and waits until the bridge has closed. What came meanwhile.
async fn throw_out(mut caller: Caller, reason: ReasonCode) -> Vec<Packet> {
    caller.send(Packet::Disconnect(Disconnect { reason, ..Disconnect::default() })).await;
    let mut came = Vec::new();
    while let Some(packet) = caller.try_next().await {
        came.push(packet);
    }
    came
}

#[tokio::test]
async fn a_retained_message_of_before_at_which_the_other_side_ends_every_link_is_named_and_passed_over_too() {
    for skip_refused in [false, true] {
        let (_here, here) = Site::usual().await;
        let remote = Remote::new().await;
        let mut device = here.client(hello("device")).await;
        for (id, topic) in [(1, "a/bad"), (2, "a/good")] {
            device.send(Packet::Publish(Publish { retain: true, ..publish(topic, "x", QoS::AtLeastOnce, id) })).await;
            device.expect_ack(Packet::PubAck, id).await;
        }
        let settings = BridgeOptions { skip_refused, ..options(1, vec![rule("a/#", "", "")], vec![]) };
        let over = start(&here, settings, remote.address).await;
        for end in 1..=4 {
            let (mut caller, _) = remote.admit(ConnAck::default(), 0).await;
            assert_eq!(caller.publish().await.topic.unwrap().as_str(), "a/bad");
            until(|| over.bridge.report().state == LinkState::Connected).await;
            throw_out(caller, ReasonCode::QUOTA_EXCEEDED).await;
            until(|| over.bridge.report().failures == end).await;
            assert_eq!(
                over.trouble().await.text.contains("4 links in a row at the same message to \"a/bad\""),
                end == 4
            );
        }
        let (mut caller, _) = remote.admit(ConnAck::default(), 0).await;
        if !skip_refused {
            let bad = caller.publish().await;
            assert_eq!(bad.topic.as_ref().unwrap().as_str(), "a/bad");
            caller.acknowledge(&bad).await;
        }
        // It is passed over once: the next link begins with what is left.
        assert_eq!(caller.publish().await.topic.unwrap().as_str(), "a/good");
        until(|| over.bridge.report().lost.messages == u64::from(skip_refused)).await;
        drop(caller);
        let (mut caller, _) = remote.admit(ConnAck::default(), 0).await;
        if !skip_refused {
            let bad = caller.publish().await;
            caller.acknowledge(&bad).await;
        }
        let good = caller.publish().await;
        assert_eq!(good.topic.as_ref().unwrap().as_str(), "a/good");
        caller.acknowledge(&good).await;
        publish_all(&mut device, "a/next", 0..1).await;
        assert_eq!(caller.publish().await.topic.unwrap().as_str(), "a/next");
        until(|| over.bridge.report().lost.messages == u64::from(skip_refused)).await;
        over.bridge.stop().await;
    }
}

#[tokio::test]
async fn while_it_is_to_be_found_out_whether_it_is_this_message_no_other_passes_by() {
    let (_here, here) = Site::usual().await;
    let remote = Remote::new().await;
    let over = start(&here, options(1, vec![rule("a", "", "")], vec![]), remote.address).await;
    let mut device = here.client(hello("device")).await;
    publish_all(&mut device, "a", 0..1).await;
    for end in 1..=2 {
        let (mut caller, _) = remote.admit(ConnAck::default(), 0).await;
        caller.publish().await;
        throw_out(caller, ReasonCode::QUOTA_EXCEEDED).await;
        until(|| over.bridge.report().failures == end).await;
    }
    let (mut caller, _) = remote.admit(ConnAck::default(), 0).await;
    let suspect = caller.publish().await;
    device.send(Packet::Publish(publish("a", "live", QoS::AtMostOnce, 0))).await;
    until(|| over.bridge.report().not_sent == 1).await;
    caller.acknowledge(&suspect).await;
    until(|| over.bridge.report().waiting == Amount::default()).await;
    device.send(Packet::Publish(publish("a", "live again", QoS::AtMostOnce, 0))).await;
    assert_eq!(text(&caller.publish().await), "live again");
    over.bridge.stop().await;
}

#[tokio::test]
async fn a_link_that_ends_for_another_reason_later_does_not_name_the_message() {
    let (_here, here) = Site::usual().await;
    let remote = Remote::new().await;
    let over = start(&here, options(1, vec![rule("a", "", "")], vec![]), remote.address).await;
    let mut device = here.client(hello("device")).await;
    publish_all(&mut device, "a", 0..1).await;
    for (end, reason) in [(1, ReasonCode::QUOTA_EXCEEDED); 4].into_iter().chain([(0, ReasonCode::SERVER_SHUTTING_DOWN)])
    {
        let (mut caller, _) = remote.admit(ConnAck::default(), 0).await;
        caller.publish().await;
        let before = over.bridge.report().failures;
        throw_out(caller, reason).await;
        until(|| over.bridge.report().failures > before).await;
        let named = over.trouble().await.text.contains("in a row at the same message");
        assert_eq!(named, end == 1 && before == 3, "{}", over.trouble().await.text);
    }
    over.bridge.stop().await;
}

/// Lines that break when the test says so, as over a network that fails: nobody at the other end has ended them.
struct Cable {
    to: SocketAddr,
    last: Mutex<CancellationToken>,
}

struct Line {
    stream: TcpStream,
    broken: Pin<Box<WaitForCancellationFutureOwned>>,
}

#[async_trait]
impl Dial for Cable {
    async fn dial(&self) -> Result<Box<dyn Stream>, Trouble> {
        let token = CancellationToken::new();
        *self.last.lock().unwrap() = token.clone();
        let stream = TcpStream::connect(self.to).await.map_err(|error| Trouble::new(error.to_string(), "wait"))?;
        Ok(Box::new(Line { stream, broken: Box::pin(token.cancelled_owned()) }))
    }
}

impl AsyncRead for Line {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.broken.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::HostUnreachable.into()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Line {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[tokio::test]
async fn a_network_that_fails_makes_no_message_suspect() {
    let (_here, here) = Site::usual().await;
    let remote = Remote::new().await;
    let cable = Arc::new(Cable { to: remote.address, last: Mutex::default() });
    let settings = BridgeOptions { skip_refused: true, ..options(1, vec![rule("a", "", "")], vec![]) };
    let ears: Arc<Listening> = Arc::default();
    let bridge = Bridge::start(here.broker.clone(), settings, Some(cable.clone()), ears).await.unwrap();
    let mut device = here.client(hello("device")).await;
    publish_all(&mut device, "a", 0..2).await;
    for end in 1..=5 {
        let (mut caller, _) = remote.admit(ConnAck::default(), 0).await;
        assert_eq!([text(&caller.publish().await), text(&caller.publish().await)], ["0", "1"], "{end}");
        cable.last.lock().unwrap().cancel();
        until(|| bridge.report().failures == end).await;
        let (_, trouble) = bridge.report().last_trouble.unwrap();
        assert!(trouble.text.starts_with("the connection broke"), "{trouble:?}");
    }
    assert_eq!(bridge.report().lost, Amount::default());
    bridge.stop().await;
}
