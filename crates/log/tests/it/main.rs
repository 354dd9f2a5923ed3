//! The log's promises, on the real disk and on simulated ones.

mod basics;
mod crash;
mod damage;
mod faults;
mod golden;
mod model;
mod space;
mod support;
mod threads;
