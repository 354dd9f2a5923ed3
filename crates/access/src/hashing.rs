//! The memory for password hashes: two pieces of 19 MiB and a thread for each. There is no third, however many log in.
//!
//! A hash takes its memory as a parameter ([`crate::password::hash`]), and only these threads have any. So a storm of
//! log-ins takes 38 MiB, whatever the allocator does, and no thread that serves requests ever waits for a hash.
//! A piece is given back when it was not needed for half a minute.
//!
//! **Fair**: who comes first is served first; one source (an address, or an IPv6 network) has at most
//! [`WAITING_PER_SOURCE`] places in the queue, so a single stranger cannot fill it. When it is full, the answer is
//! [`Busy`] at once.

use crate::password::Memory;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;

/// How many hashes are computed at a time.
const THREADS: usize = 2;
/// The most jobs that wait, over all sources: about two seconds of work on a small board.
pub const WAITING: usize = 32;
/// The most jobs of one source that wait.
pub const WAITING_PER_SOURCE: usize = 8;
/// A piece of memory that nobody needed for this long is given back.
const IDLE: Duration = Duration::from_secs(30);

/// Too many hashes are waiting already, or too many of this source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Busy;

type Job = Box<dyn FnOnce(&mut Memory) + Send>;

#[derive(Default)]
struct Queue {
    waiting: VecDeque<(String, Job)>,
    threads: usize,
    closed: bool,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    change: Condvar,
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The two threads and the queue before them. The threads end with it.
#[derive(Default)]
pub struct Hashing {
    shared: Arc<Shared>,
}

impl Hashing {
    /// Runs `job` with one of the two pieces of memory, in its turn. A job whose caller has gone before its turn is not run.
    /// # Errors
    /// [`Busy`]: too many wait.
    pub async fn run<T: Send + 'static>(
        &self,
        source: &str,
        job: impl FnOnce(&mut Memory) -> T + Send + 'static,
    ) -> Result<T, Busy> {
        let (done, result) = oneshot::channel();
        let job: Job = Box::new(move |memory| {
            if !done.is_closed() {
                let _ = done.send(job(memory));
            }
        });
        self.enqueue(source, job)?;
        // An error means that the job panicked or the process is ending.
        result.await.map_err(|_| Busy)
    }

    fn enqueue(&self, source: &str, job: Job) -> Result<(), Busy> {
        let mut queue = self.shared.queue();
        let own = queue.waiting.iter().filter(|(other, _)| other == source).count();
        if queue.waiting.len() >= WAITING || own >= WAITING_PER_SOURCE {
            return Err(Busy);
        }
        if queue.threads < THREADS {
            let shared = self.shared.clone();
            let thread = std::thread::Builder::new().name("andon-hash".to_owned());
            match thread.spawn(move || work(&shared)) {
                Ok(_) => queue.threads += 1,
                Err(error) if queue.threads == 0 => {
                    tracing::warn!(%error, "no thread for checking passwords could be started");
                    return Err(Busy);
                }
                Err(_) => {}
            }
        }
        queue.waiting.push_back((source.to_owned(), job));
        drop(queue);
        self.shared.change.notify_one();
        Ok(())
    }
}

impl Drop for Hashing {
    fn drop(&mut self) {
        let mut queue = self.shared.queue();
        queue.closed = true;
        queue.waiting.clear();
        drop(queue);
        self.shared.change.notify_all();
    }
}

fn work(shared: &Shared) {
    let mut memory = Memory::new();
    while let Some(job) = next(shared, &mut memory) {
        // A panic is our bug and is printed; it must not cost everybody else the thread.
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| job(&mut memory)));
    }
}

/// The next job; `None` when the queue is closed.
fn next(shared: &Shared, memory: &mut Memory) -> Option<Job> {
    let mut queue = shared.queue();
    loop {
        if queue.closed {
            return None;
        }
        if let Some((_, job)) = queue.waiting.pop_front() {
            return Some(job);
        }
        let (again, waited) = shared.change.wait_timeout(queue, IDLE).unwrap_or_else(PoisonError::into_inner);
        queue = again;
        if waited.timed_out() && queue.waiting.is_empty() {
            memory.give_back();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::sync::mpsc;

    /// Holds both threads until the sender is dropped.
    async fn hold(hashing: &Arc<Hashing>) -> mpsc::Sender<()> {
        let (release, held) = mpsc::channel::<()>();
        let held = Arc::new(Mutex::new(held));
        let (began, mut begun) = tokio::sync::mpsc::unbounded_channel();
        for source in ["a", "b"] {
            let (hashing, held, began) = (hashing.clone(), held.clone(), began.clone());
            tokio::spawn(async move {
                hashing
                    .run(source, move |_| {
                        let _ = began.send(());
                        let _ = held.lock().map(|held| held.recv());
                    })
                    .await
            });
        }
        begun.recv().await;
        // The second waits for the lock that the first holds; it has begun too.
        begun.recv().await;
        release
    }

    /// Puts a job into the queue and gives what waits for it.
    fn queued(hashing: &Arc<Hashing>, source: &str) -> Result<oneshot::Receiver<String>, Busy> {
        let (done, result) = oneshot::channel();
        let name = source.to_owned();
        hashing.enqueue(source, Box::new(move |_| drop(done.send(name))))?;
        Ok(result)
    }

    #[tokio::test]
    async fn a_thousand_hashes_use_two_threads_and_two_pieces_of_memory() {
        let hashing = Arc::new(Hashing::default());
        let mut seen = HashSet::new();
        for number in 0..1000 {
            let who = hashing.run(&number.to_string(), |memory| (std::thread::current().id(), memory.address())).await;
            seen.insert(who.expect("never more than one waits"));
        }
        assert!(seen.len() <= 2, "{seen:?}");
    }

    #[tokio::test]
    async fn a_full_queue_answers_at_once_and_one_source_cannot_fill_it() {
        let hashing = Arc::new(Hashing::default());
        let release = hold(&hashing).await;
        let mut waiting = Vec::new();
        for _ in 0..WAITING_PER_SOURCE {
            waiting.push(queued(&hashing, "flood").expect("a place"));
        }
        assert!(queued(&hashing, "flood").is_err(), "its own places are taken");
        for other in 0..WAITING - WAITING_PER_SOURCE {
            waiting.push(queued(&hashing, &format!("other {other}")).expect("a place for others"));
        }
        assert_eq!(hashing.run("late", |_| ()).await, Err(Busy));
        drop(release);
        for job in waiting {
            job.await.expect("what was let in is served");
        }
        assert_eq!(hashing.run("flood", |_| ()).await, Ok(()), "there is room again");
    }

    #[tokio::test]
    async fn a_job_that_panics_takes_nobody_elses_turn_away() {
        let hashing = Arc::new(Hashing::default());
        for _ in 0..5 {
            assert_eq!(hashing.run("a", |_| panic!("a fault of ours")).await, Err(Busy));
        }
        assert_eq!(hashing.run("a", |_| 7).await, Ok(7));
    }
}
