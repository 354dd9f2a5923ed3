//! A connection's byte stream, and how it is read and written.
//!
//! One task attends to a connection, in both directions. It is made to take little memory while nothing happens: what is needed only
//! for a while stands in memory of its own, and there are no futures of the kind that wait in lists.

use crate::outbox::{Next, Outbox};
use andon_wire::mqtt::{DecodeError, Decoder, Packet};
use bytes::{Buf, BytesMut};
use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// The most that is read at once, in bytes.
const READ_MOST: usize = 64 << 10;
/// So often a connection writes before it reads again: the runtime's budget for one turn of a task, 128, is then far from used up.
pub(crate) const TURNS: u32 = 16;
/// What was written is room for what comes next if it was no more than this, in bytes: who reads slowly has not two large buffers.
const SPARE_BYTES: u32 = 32 << 10;

thread_local! {
    /// Where every connection of a thread reads to: one that is silent needs no buffer of its own.
    static ARRIVING: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_MOST].into_boxed_slice());
}

/// A connection's byte stream with what was read of it and what is to be written.
pub(crate) struct Line<S> {
    pub(crate) io: S,
    pub(crate) input: Input,
    pub(crate) writer: Writer,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Line<S> {
    pub(crate) fn new(io: S, decoder: Decoder) -> Self {
        Self { io, input: Input { buffer: BytesMut::new(), decoder }, writer: Writer::default() }
    }

    /// Reads more; 0: the other end is done.
    pub(crate) async fn fill(&mut self) -> std::io::Result<usize> {
        let Self { io, input, .. } = self;
        poll_fn(|context| input.poll_fill(io, context)).await
    }

    /// Writes this before anything else: for what is said to a client that has no outbox yet.
    pub(crate) async fn write(&mut self, bytes: BytesMut) -> std::io::Result<()> {
        let Self { io, writer, .. } = self;
        writer.current = bytes;
        poll_fn(|context| writer.poll_current(io, context)).await
    }

    /// Writes what is left and says goodbye on the transport.
    pub(crate) async fn finish(&mut self, outbox: &Outbox) {
        let rest = outbox.take_rest();
        let Self { io, writer, .. } = self;
        if poll_fn(|context| writer.poll_current(io, context)).await.is_ok() && self.write(rest).await.is_ok() {
            let _ = self.io.shutdown().await;
        }
    }
}

/// What came.
pub(crate) struct Input {
    /// Is no whole packet yet.
    buffer: BytesMut,
    pub(crate) decoder: Decoder,
}

impl Input {
    /// The next packet that is complete already.
    pub(crate) fn next(&mut self) -> Result<Option<Packet>, DecodeError> {
        let packet = self.decoder.decode(&mut self.buffer);
        if self.buffer.is_empty() {
            // Whoever holds a part of it keeps it; we do not.
            self.buffer = BytesMut::new();
        }
        packet
    }

    /// As [`Line::fill`]. The buffer grows with what really arrives.
    pub(crate) fn poll_fill<S>(&mut self, io: &mut S, context: &mut Context<'_>) -> Poll<std::io::Result<usize>>
    where
        S: AsyncRead + Unpin,
    {
        ARRIVING.with_borrow_mut(|arriving| {
            let mut read = ReadBuf::new(arriving);
            ready!(Pin::new(io).poll_read(context, &mut read))?;
            self.buffer.extend_from_slice(read.filled());
            Poll::Ready(Ok(read.filled().len()))
        })
    }
}

/// What is being written.
#[derive(Default)]
pub(crate) struct Writer {
    current: BytesMut,
    /// How much it was when its writing began, in bytes.
    size: u32,
    is_flushed: bool,
}

/// Why [`Writer::poll`] is ready.
#[derive(Debug)]
pub(crate) enum WriterPause {
    /// All was written and there is room for messages held back.
    Room,
    /// The connection is to end.
    Close,
    /// The client cannot be reached.
    Broken(std::io::Error),
}

impl Writer {
    /// Writes what is there until something else is to be done. Pending: all was written, or the transport takes no more now, or `turns`
    /// is used up, for there is always more: others have their turn. The task is woken when it is to go on.
    pub(crate) fn poll<S>(
        &mut self,
        io: &mut S,
        outbox: &Outbox,
        turns: &mut u32,
        context: &mut Context<'_>,
    ) -> Poll<WriterPause>
    where
        S: AsyncWrite + Unpin,
    {
        outbox.wakes(context);
        loop {
            if let Err(error) = ready!(self.poll_current(io, context)) {
                return Poll::Ready(WriterPause::Broken(error));
            }
            if self.size > SPARE_BYTES {
                (self.current, self.size) = (BytesMut::new(), 0);
            }
            if *turns == 0 {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            *turns -= 1;
            match outbox.take(&mut self.current) {
                Next::Write => {
                    self.size = u32::try_from(self.current.len()).unwrap_or(u32::MAX);
                    outbox.made_room();
                }
                Next::Room => return Poll::Ready(WriterPause::Room),
                Next::Close => return Poll::Ready(WriterPause::Close),
                Next::Sleep => return Poll::Pending,
            }
        }
    }

    fn poll_current<S>(&mut self, io: &mut S, context: &mut Context<'_>) -> Poll<std::io::Result<()>>
    where
        S: AsyncWrite + Unpin,
    {
        while self.current.has_remaining() {
            let written = ready!(Pin::new(&mut *io).poll_write(context, &self.current))?;
            if written == 0 {
                return Poll::Ready(Err(std::io::ErrorKind::WriteZero.into()));
            }
            self.current.advance(written);
            self.is_flushed = false;
        }
        if !self.is_flushed {
            ready!(Pin::new(io).poll_flush(context))?;
            self.is_flushed = true;
        }
        Poll::Ready(Ok(()))
    }
}

/// A deadline that is put off again and again: the clock is set anew only when it is up too early.
#[derive(Default)]
pub(crate) struct Deadline(Option<Pin<Box<Sleep>>>);

impl Deadline {
    /// Ready from this time on.
    pub(crate) fn poll(&mut self, until: Instant, context: &mut Context<'_>) -> Poll<()> {
        let sleep = self.0.get_or_insert_with(|| Box::pin(sleep_until(until)));
        if until < sleep.deadline() {
            sleep.as_mut().reset(until);
        }
        loop {
            ready!(sleep.as_mut().poll(context));
            if until <= sleep.deadline() {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(until);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use andon_wire::mqtt::{QoS, Version};
    use std::pin::pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;
    use tokio::io::{AsyncReadExt, duplex};

    const SOON: Duration = Duration::from_secs(10);

    fn answer(outbox: &Outbox, bytes: usize) {
        (0..bytes / 2).for_each(|_| outbox.packet(&Packet::PingResp));
    }

    #[tokio::test]
    async fn a_deadline_that_is_put_off_is_over_at_its_last_time() {
        let begin = Instant::now();
        let (first, last) = (begin + Duration::from_millis(20), begin + Duration::from_millis(60));
        let mut deadline = Deadline::default();
        poll_fn(|context| deadline.poll(if Instant::now() < first { first } else { last }, context)).await;
        assert!(Instant::now() >= last);
        // It can be set back, too.
        let far = Instant::now() + Duration::from_secs(3600);
        assert!(poll_fn(|context| Poll::Ready(deadline.poll(far, context))).await.is_pending());
        let soon = Instant::now() + Duration::from_millis(20);
        tokio::time::timeout(SOON, poll_fn(|context| deadline.poll(soon, context))).await.expect("it is over");
    }

    fn poll<S: AsyncWrite + Unpin>(
        writer: &mut Writer,
        io: &mut S,
        outbox: &Outbox,
        context: &mut Context<'_>,
    ) -> Poll<WriterPause> {
        writer.poll(io, outbox, &mut TURNS.clone(), context)
    }

    /// A transport that takes nothing until it is open, and then everything, while `more` puts something new into the outbox.
    struct Gate<'a> {
        is_open: bool,
        more: Option<&'a Outbox>,
        writes: usize,
    }

    impl AsyncWrite for Gate<'_> {
        fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
            self.writes += 1;
            assert!(self.writes < 1000, "it never comes to an end");
            self.more.iter().for_each(|outbox| answer(outbox, 2));
            if self.is_open { Poll::Ready(Ok(bytes.len())) } else { Poll::Pending }
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[test]
    fn who_waits_for_room_goes_on_when_what_was_in_its_way_is_written() {
        let mut gate = Gate { is_open: false, more: None, writes: 0 };
        let outbox = Outbox::new(Version::V311, 100, usize::MAX, false);
        let (mut writer, woken) = (Writer::default(), Arc::new(Woken::default()));
        let waker = woken.clone().into();
        let mut context = Context::from_waker(&waker);
        answer(&outbox, 200);
        assert!(poll(&mut writer, &mut gate, &outbox, &mut context).is_pending());
        answer(&outbox, 200);
        let mut readable = pin!(outbox.readable(1));
        assert!(readable.as_mut().poll(&mut context).is_pending());
        let before = woken.0.load(Ordering::Relaxed);
        gate.is_open = true;
        assert!(poll(&mut writer, &mut gate, &outbox, &mut context).is_pending());
        assert_eq!(woken.0.load(Ordering::Relaxed), before + 1, "the one that waits is asked again");
        assert!(readable.as_mut().poll(&mut context).is_ready());
    }

    #[test]
    fn who_is_always_to_get_more_is_read_all_the_same() {
        let outbox = Outbox::new(Version::V311, 1000, usize::MAX, false);
        let mut gate = Gate { is_open: true, more: Some(&outbox), writes: 0 };
        let (mut writer, woken) = (Writer::default(), Arc::new(Woken::default()));
        let waker = woken.clone().into();
        let mut context = Context::from_waker(&waker);
        answer(&outbox, 2);
        assert!(poll(&mut writer, &mut gate, &outbox, &mut context).is_pending());
        assert_eq!((gate.writes, woken.0.load(Ordering::Relaxed)), (16, 1), "its turn is over, and it has another one");
        gate.more = None;
        assert!(poll(&mut writer, &mut gate, &outbox, &mut context).is_pending());
        assert_eq!((gate.writes, woken.0.load(Ordering::Relaxed)), (17, 1), "all is written");
    }

    #[tokio::test]
    async fn who_waits_for_an_answer_to_the_client_goes_on_with_it() {
        let outbox = Arc::new(Outbox::new(Version::V311, 100, usize::MAX, false));
        assert_eq!((outbox.question(), outbox.question()), (1, 2));
        assert!(!outbox.may_read(2) && outbox.may_read(3));
        let waiting = tokio::spawn({
            let outbox = outbox.clone();
            async move { tokio::join!(outbox.readable(2), outbox.answered_but(1)) }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        outbox.answered();
        tokio::time::timeout(SOON, waiting).await.expect("it is woken").unwrap();
        // An answer that nobody waits for wakes nobody.
        let woken = Arc::new(Woken::default());
        outbox.wakes(&Context::from_waker(&woken.clone().into()));
        outbox.answered();
        assert_eq!(woken.0.load(Ordering::Relaxed), 0);
        outbox.refuse(1, QoS::AtLeastOnce, andon_wire::mqtt::ReasonCode::QUOTA_EXCEEDED, None);
        assert_eq!(woken.0.load(Ordering::Relaxed), 1);
    }

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl std::task::Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[tokio::test]
    async fn the_task_is_woken_for_what_is_to_be_written_only_when_it_sleeps() {
        let (mut near, mut far) = duplex(64);
        let outbox = Outbox::new(Version::V311, 1000, usize::MAX, false);
        let (mut writer, woken) = (Writer::default(), Arc::new(Woken::default()));
        let waker = woken.clone().into();
        let mut context = Context::from_waker(&waker);
        let count = || woken.0.load(Ordering::Relaxed);
        assert!(poll(&mut writer, &mut near, &outbox, &mut context).is_pending());
        answer(&outbox, 4);
        assert_eq!(count(), 1, "it slept, and is woken once");
        // More than the transport takes: the task is awake until that is gone, so nobody wakes it for more.
        answer(&outbox, 100);
        assert!(poll(&mut writer, &mut near, &outbox, &mut context).is_pending());
        answer(&outbox, 4);
        assert_eq!(count(), 1);
        far.read_exact(&mut [0; 64]).await.unwrap();
        assert_eq!(count(), 2, "by the transport");
        assert!(poll(&mut writer, &mut near, &outbox, &mut context).is_pending());
        far.read_exact(&mut [0; 44]).await.unwrap();
        assert_eq!(writer.current.capacity(), 0, "nothing is kept for what may come one day");
        // It stays awake while it handles what came, for it looks again afterwards.
        outbox.stay_awake();
        answer(&outbox, 4);
        assert_eq!(count(), 2);
        assert!(poll(&mut writer, &mut near, &outbox, &mut context).is_pending());
        answer(&outbox, 4);
        assert_eq!(count(), 3, "it slept again");
    }
}
