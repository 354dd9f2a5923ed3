//! A storm of log-ins, in a process of its own, because it looks at the memory of the whole process.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[allow(dead_code, reason = "shared with the other tests, which use more of it")]
#[path = "../it/fakes.rs"]
mod fakes;

use andon_access::accounts::AccountError;
use fakes::{ADMIN, Node, PASSWORD};

/// The most resident memory that the process has had so far, in KiB.
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_storm_of_log_ins_takes_the_memory_of_two_hashes_and_lets_the_right_one_in() {
    let (node, ..) = Node::set_up().await;
    let before = peak_kib();
    let (mut busy, mut wrong) = (0, 0);
    for _ in 0..10 {
        let tries: Vec<_> = (0..200)
            .map(|number| {
                let accounts = node.accounts.clone();
                let from = format!("198.51.100.{number}");
                tokio::spawn(async move { accounts.log_in("nobody", "a wrong password", &from).await })
            })
            .collect();
        for one in tries {
            match one.await.unwrap() {
                Err(AccountError::Busy { .. }) => busy += 1,
                Err(AccountError::WrongLogin | AccountError::Wait { .. }) => wrong += 1,
                other => panic!("{other:?}"),
            }
        }
    }
    // One piece was taken at the set-up; the second came with the storm.
    let grown_mib = (peak_kib() - before) / 1024;
    println!("{grown_mib} MiB more at the peak; {wrong} checked, {busy} told to come back");
    assert!(grown_mib < 32, "the storm took {grown_mib} MiB");
    assert!(busy > 0 && wrong > 0, "{busy} told to come back, {wrong} checked");
    node.accounts.log_in(ADMIN, PASSWORD, "192.0.2.9").await.unwrap();
}
