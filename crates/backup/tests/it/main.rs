//! A repository's promises, on a real disk.
#![expect(clippy::unwrap_used, reason = "helpers of tests: a failure is the test's answer")]

mod repository;
mod restore;
mod support;
