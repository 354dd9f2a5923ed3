//! Manufacturing execution: what machines are in, which orders they work on, and what comes of it.
//!
//! Pure: no I/O, no clock, no async. What is stored and when is handed in and out.
//!
//! # Invariants
//! - A job order and a machine change by their tables ([`job`], [`packml`]) and in no other way.
//! - An order is in what its jobs are in, and what was made is the sum of what was counted ([`order`]).
//! - What held over a window is without gap and without overlap, and as long as the window ([`steps`]).
//! - Every moment of a work unit belongs to exactly one time of ISO 22400-2 ([`element`]); what is not known is [`element::Element::Unknown`].
//! - KPIs come from added numerators and denominators, and a zero below the line is no value ([`kpi`]).
//! - Of a birth certificate, no byte can be changed but white space ([`certificate`]).
//! - Of a kept report, likewise; every number in it is whole, or a text of decimal digits ([`report`]).
//! - The same readings of a station give the same passes of units, wherever reading was broken off and taken up again ([`pass`]).
//! - A maintenance order moves by the table of job orders, somebody works on it exactly while it runs, and failures add up over equipment and windows ([`maintenance`]).
//! - What a tool has used is what its machines made and ran while it was mounted there, and a span is the sum of its parts ([`tool`], [`wear`]).
//! - The quarter hours of a meter add up to what its counter went up by, and a main meter and those behind it are never both counted ([`energy`]).
//! - A schedule holds every operation, breaks no rule but for what is pinned, and is the same for the same request, steps and seed ([`schedule`]).
//!
//! Start reading at [`element::element`], then [`sums::Sums`], then [`kpi::Kpi`].

pub mod calc;
pub mod calendar;
pub mod certificate;
pub mod counter;
pub mod element;
pub mod energy;
pub mod floor;
pub mod follow;
pub mod job;
pub mod kpi;
pub mod labour;
pub mod maintenance;
pub mod master;
pub mod order;
pub mod packml;
pub mod pass;
pub mod quantity;
pub mod report;
pub mod rollup;
pub mod schedule;
pub mod steps;
pub mod sums;
pub mod tool;
pub mod trace;
pub mod unit;
pub mod wear;
