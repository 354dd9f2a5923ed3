//! The log's promises, on the real disk and on simulated ones.
#![expect(clippy::unwrap_used, reason = "helpers of tests: a failure is the test's answer")]

mod basics;
mod copy;
mod crash;
mod damage;
mod faults;
mod golden;
mod model;
mod space;
mod support;
mod threads;
