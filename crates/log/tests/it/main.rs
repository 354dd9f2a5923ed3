//! The log's promises, on the real disk and on simulated ones.

mod basics;
